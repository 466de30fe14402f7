"""Answers as they are written: this app beside a plain Streamlit page with `st.write_stream` and the openai SDK.

    python -m benchmarks.streaming                   measures all, prints it and writes it to results.md
    python -m benchmarks.streaming --only browser    one part: at-once, browser, sessions or memory; writes nothing
    python -m benchmarks.streaming --check           of the app alone: exits 1 with what was missed; writes nothing

Real processes over real HTTP, on Linux: the provider (slow_provider), the app or the page (running), many clients
without a browser (crowd), one Chromium (tab).
"""

import argparse
import asyncio
import logging
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, insert, select, update
from streamlit.testing.v1 import AppTest

from benchmarks import crowd, results, running
from benchmarks.start import chromium_browser
from benchmarks.tab import Tab
from connector import CallStatus, Role, UsageSource
from db import MessageStatus
from db.calls import CallRecord
from db.chat_sessions import ChatSessionRecord
from db.messages import MessageRecord
from pages.shared import base
from settings import Settings
from tests.pages.conftest import visit

TURNS, STOPS, RUNS = 10, 5, 10
GIVE_UP = 5.0
"""Seconds after which a provider's socket that is still open counts as never closed."""
WORDS = "What was said in an answer of some length, as **models** write them, with `code` and a list of points. "
NOTES = """
At once: so many answers of 280 tokens, 40 a second each, that begin together; how late the last word came to a client
without a browser, and what the server used from the questions on. The plain page is streamed to websocket clients that
speak Streamlit's protocol. Browser: one Chromium; medians of 10 turns of 280 tokens in one chat, and of 5 stops. Bytes
are those that the tab received from Enter to the end of the last run of the script: websocket frames without their
heads, and the bodies of /answers. Runs of a script are those of Streamlit's AppTest: the median of 10 for the rerun,
and one for the chat that is opened. – is what was not measured, or not over after five minutes; "never" is a socket
that was still open 5 seconds later.
""".strip()


Kinds = Sequence[str]
"""What is measured: plain, app."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    plain: float | None
    ours: float | None
    """None where it never came to that, NaN where nobody knows."""
    unit: str = ""
    bound: float | None = None
    is_below: bool = False
    """The bound itself is missed, too."""

    @property
    def is_reached(self) -> bool:
        if self.bound is None:
            return True
        return self.ours is not None and (self.ours < self.bound if self.is_below else self.ours <= self.bound)

    def cells(self) -> list[str]:
        wanted = "" if self.bound is None else f"{'below' if self.is_below else 'at most'} {self._shown(self.bound)}"
        verdict = "" if self.bound is None else "yes" if self.is_reached else "NO"
        return [self.name, self._shown(self.plain), self._shown(self.ours), wanted, verdict]

    def _shown(self, figure: float | None) -> str:
        if figure is None:
            return "never"
        if math.isnan(figure):
            return "–"
        number = f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
        return f"{number} {self.unit}".strip()


@contextmanager
def both(folder: Path, kind: str) -> Iterator[tuple[running.Provider, running.Running]]:
    """A provider, and the app or the plain page at it."""
    start = running.app if kind == "app" else running.plain
    with (
        tempfile.TemporaryDirectory(dir=folder) as own,
        running.provider() as provider,
        start(Path(own) / kind, provider.endpoint) as server,
    ):
        yield provider, server


# -- many answers at once


@dataclass(frozen=True)
class Load:
    """What so many answers at once came to."""

    lag: float
    cpu: float
    memory: float


NO_LOAD = Load(math.nan, math.nan, math.nan)


def at_once(folder: Path, kinds: Kinds) -> Iterator[Row]:
    loads = {kind: _loads(folder, kind) for kind in kinds}
    for count, lag, cpu, memory in ((50, 100.0, 5.0, 250.0), (200, 500.0, None, None)):
        plain, ours = (loads.get(kind, {}).get(count, NO_LOAD) for kind in ("plain", "app"))
        name = f"{count} answers at once"
        yield Row(f"{name}: lag of the last word, p95", plain.lag, ours.lag, "ms", lag, is_below=count == 200)
        yield Row(f"{name}: CPU of the server", plain.cpu, ours.cpu, "s", cpu)
        yield Row(f"{name}: memory of the server afterwards", plain.memory, ours.memory, "MB", memory)


def _loads(folder: Path, kind: str) -> dict[int, Load]:
    follow = crowd.of_app if kind == "app" else crowd.of_plain
    found = {}
    with both(folder, kind) as (_, server):
        _warm_up(server, kind)
        for count in (50, 200):
            before = server.cpu()
            try:
                lags = crowd.together(follow, server.port, [f"#{n} together-{count}" for n in range(count)])
            except TimeoutError:
                _say(f"{kind}, {count} at once: gave up")
                break
            p95 = statistics.quantiles(lags, n=20, method="inclusive")[-1]
            found[count] = Load(p95, server.cpu() - before, server.memory())
            _say(f"{kind}, {count} at once: {found[count]}")
    return found


def _warm_up(server: running.Running, kind: str) -> None:
    """What is imported and connected with the first answer, and with the first page."""
    if kind == "app":
        asyncio.run(crowd.visit(server.port, "chat"))
    follow = crowd.of_app if kind == "app" else crowd.of_plain
    crowd.together(follow, server.port, [f"#{n} tokens-3" for n in range(3)])


# -- one browser


@dataclass(frozen=True)
class Seen:
    """What one tab saw of one kind of chat."""

    to_first: float
    to_all: float
    kilobytes: float
    to_closed: float | None


NOTHING_SEEN = Seen(math.nan, math.nan, math.nan, math.nan)


def browser(folder: Path, kinds: Kinds) -> Iterator[Row]:
    plain, ours = (_seen(folder, kind) if kind in kinds else NOTHING_SEEN for kind in ("plain", "app"))
    yield Row("Enter to the first token on the screen", plain.to_first, ours.to_first, "ms", 150)
    yield Row("the provider's last chunk to the last word on the screen", plain.to_all, ours.to_all, "ms", 70)
    yield Row("received for an answer of 1,000 tokens", plain.kilobytes, ours.kilobytes, "kB", 100)
    yield Row("Stop to the provider's socket closed", plain.to_closed, ours.to_closed, "ms", 100)


def _seen(folder: Path, kind: str) -> Seen:
    path, stop_button = (
        ("/chat", "[class*=st-key-stop] button") if kind == "app" else ("", "[data-testid=stChatInputStopButton]")
    )
    with both(folder, kind) as (provider, server), chromium_browser() as chromium:
        tab = Tab(chromium.new_page(viewport={"width": 1440, "height": 900}), stop_button)
        tab.open(server.url + path)
        tab.turn("warm", "tokens-40")
        turns = [tab.turn(f"turn{n}") for n in range(TURNS)]
        _say(f"{kind}, turns: {[(round(turn.to_first), round(turn.to_all)) for turn in turns]}")
        tab.open(server.url + path)
        before = tab.frames, tab.body
        tab.turn("long", "tokens-1000")
        frames, body = tab.frames - before[0], tab.body - before[1]
        _say(f"{kind}, 1,000 tokens: {frames:,} bytes in frames, {body:,} in bodies")
        stops = [_stop(provider, tab, f"stop{n}") for n in range(STOPS)]
        _say(f"{kind}, stops: {stops}")
    return Seen(
        to_first=statistics.median(turn.to_first for turn in turns),
        to_all=statistics.median(turn.to_all for turn in turns),
        kilobytes=(frames + body) / 1000,
        to_closed=None if None in stops else statistics.median(each for each in stops if each is not None),
    )


def _stop(provider: running.Provider, tab: Tab, tag: str) -> float | None:
    pressed = tab.stop(tag)
    closed = provider.closed(tag, GIVE_UP)
    tab.settle()
    return None if closed is None else closed - pressed


# -- long chats


def sessions(folder: Path, kinds: Kinds) -> Iterator[Row]:
    # It would say of each AppTest that nobody started the script as Streamlit does.
    logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context").disabled = True
    with tempfile.TemporaryDirectory(dir=folder) as own:
        base.start(Settings(database_url=f"sqlite:///{own}/workbench.db"))
        try:
            base.database().configurations.add(base.person(), running.account("http://127.0.0.1:9/v1"))
            short, long = _long_chat("200", 200), _long_chat("10000", 10_000)
            at = visit("chat", chat=short)
            assert not at.exception, at.exception
            rerun = statistics.median(_milliseconds(at.run) for _ in range(RUNS))
            opened = _milliseconds(lambda: visit("chat", chat=long))
        finally:
            base.stop()
    plain_rerun = plain_opened = math.nan
    if "plain" in kinds:
        plain = _plain_chat(200)
        plain_rerun = statistics.median(_milliseconds(plain.run) for _ in range(RUNS))
        plain_opened = _milliseconds(lambda: _plain_chat(10_000))
    yield Row("a chat of 200 messages: run of its script", plain_rerun, rerun, "ms", 150, is_below=True)
    yield Row("a chat of 10,000 messages: opened", plain_opened / 1000, opened / 1000, "s", 1, is_below=True)


def _long_chat(title: str, length: int) -> str:
    """A stored chat of that many messages, each answer with its call; its id."""
    database, who, now = base.database(), base.person(), datetime.now(UTC)
    configuration = database.configurations.all(who)[0]
    chat = database.chat_sessions.create(who, title=title, configuration_id=configuration.id)
    call = {
        "started_at": now,
        "person_id": who.id,
        "configuration_id": configuration.id,
        "configuration_name": configuration.display_name,
        "model_asked": "tokens",
        "page": "chat",
        "operation": "execute_with_history",
        "status": CallStatus.DONE,
        "attempts": 1,
        "adaptations": "[]",
        "prompt_tokens": 20,
        "completion_tokens": 100,
        "total_tokens": 120,
        "usage_source": UsageSource.REPORTED,
        "time_to_first_token": 0.4,
        "duration": 2.5,
    }
    message = {
        "session_id": chat.id,
        "status": MessageStatus.COMPLETE,
        "created_at": now,
        "reasoning": "",
        "is_stop_asked": False,
    }
    with database._storage.writing() as session:
        calls = list(session.scalars(insert(CallRecord).returning(CallRecord.id), [call] * (length // 2)))
        last = None
        rows = []
        first = (session.scalar(select(func.max(MessageRecord.id))) or 0) + 1
        for number in range(length):
            is_answer = number % 2 == 1
            said = (
                {"role": Role.ASSISTANT, "content": WORDS * 4} if is_answer else {"role": Role.USER, "content": WORDS}
            )
            own = {
                "call_id": calls[number // 2] if is_answer else None,
                "earlier_sent": number - 1 if is_answer else None,
            }
            rows.append({**message, **said, **own, "id": first + number, "position": number + 1, "parent_id": last})
            last = first + number
        session.execute(insert(MessageRecord), rows)
        session.execute(update(ChatSessionRecord).where(ChatSessionRecord.id == chat.id).values(last_message_id=last))
    return chat.id


def _plain_chat(length: int) -> AppTest:
    """The plain page with that many messages, after its first run."""
    at = AppTest.from_string(running.PLAIN.format(key=running.KEY, endpoint="http://127.0.0.1:9/v1"))
    said = [{"role": "user", "content": WORDS}, {"role": "assistant", "content": WORDS * 4}]
    at.session_state["messages"] = said * (length // 2)
    at.run(timeout=120)
    assert not at.exception, at.exception
    return at


def _milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


# -- memory


def memory(folder: Path, kinds: Kinds) -> Iterator[Row]:
    with both(folder, "app") as (_, server):
        _warm_up(server, "app")
        crowd.together(crowd.of_app, server.port, [f"#{n} tokens-3" for n in range(100)], at_once=20)
        few = server.memory()
        crowd.together(crowd.of_app, server.port, [f"#{n} tokens-3" for n in range(900)], at_once=20)
        many = server.memory()
    _say(f"app, memory: {few:.1f} MB after 100 short answers, {many:.1f} MB after 1,000")
    name = "memory after 1,000 short answers against after 100"
    yield Row(name, math.nan, many / few, bound=1.05)


# -- all of it


PARTS = {"at-once": at_once, "browser": browser, "sessions": sessions, "memory": memory}


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Answers as they are written.")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        parts = [PARTS[options.only]] if options.only else PARTS.values()
        rows = [row for part in parts for row in part(Path(folder), ("app",) if options.check else ("plain", "app"))]
    head = ["", "plain Streamlit", "this app", "to reach", "reached"]
    body = f"{results.table(head, [row.cells() for row in rows])}\n\n{NOTES}"
    print(body)
    if not options.check and not options.only:
        results.write(
            "Streaming", "python -m benchmarks.streaming", body, ["streamlit", "starlette", "uvicorn", "openai"]
        )
    missed = [row for row in rows if not row.is_reached]
    for row in missed:
        print(f"Missed: {' | '.join(row.cells()[:4])}", file=sys.stderr)
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
