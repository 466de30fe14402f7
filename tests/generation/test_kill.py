"""SIGKILL while answers are written: what was stored is there, nothing is there by half, and nobody waits for the dead.

And who hangs up on whom: what a connection in between sees of a stop.
"""

import random
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from connector import CallStatus
from db import LEASE, Database, MessageStatus, StillWriting, StoredMessage, Turn, utc_now
from tests.db.conftest import ENCRYPTION_KEY, run_sql
from tests.db.processes import beside
from tests.generation.conftest import LAST, App, until
from tests.postgresql import PostgreSQLServer, running
from tests.provider.answers import chunk
from tests.provider.server import Chunks, ProviderServer

KILLS = pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.soak)])
CHATS = 4
PACE = 0.01
"""Seconds between two pieces of the provider."""


class Paced(list[Any]):
    """What a provider sends little by little."""

    def __init__(self, chunks: list[Any], stopping: Event) -> None:
        super().__init__(chunks)
        self._stopping = stopping

    def __iter__(self) -> Iterator[Any]:
        for each in super().__iter__():
            self._stopping.wait(PACE)
            yield each


def pieces_of(question: str) -> list[str]:
    """What the provider answers to this question: one piece or hundreds, and nothing that it answers to another."""
    return [f"{question}.{number} " for number in range(random.Random(question).randint(1, 200))]


def whole(question: str) -> str:
    return "".join(pieces_of(question))


def answer_slowly(server: ProviderServer) -> None:
    """From now on, whatever it is asked."""

    def answer(body: dict[str, Any]) -> Chunks:
        pieces = [chunk(piece) for piece in pieces_of(body["messages"][-1]["content"])]
        return Chunks(Paced([*pieces, LAST], server.stopping))

    server.objection = answer


def write_chats(line: Connection, url: str, name: str) -> None:
    """Write answers in several chats at once, one after the other, for ever; tell how much of each is stored."""
    app = App(url)
    turns: list[Turn | None] = [None] * CHATS
    for number in range(10**9):
        for at, turn in enumerate(turns):
            if turn is None or app.answers.wait(turn.answer_id, 0):
                if turn:
                    line.send(("ended", turn))
                question = f"{name}-{at}-{number}"
                begun = turns[at] = app.begin(question, turn.session_id if turn else None)
                line.send(("begun", begun))
                app.write(begun, question)
        for turn in filter(None, turns):
            line.send(("stored", (turn.answer_id, len(app.stored(turn).content))))
        time.sleep(0.02)


MOMENTS: list[Callable[[str, Any], bool]] = [
    lambda what, about: what == "begun",
    lambda what, about: what == "stored" and about[1] > 0,
    lambda what, about: what == "ended",
]
"""What a process has reported about one of its answers when it is killed, soon after."""


def heard_until(line: Connection, is_time: Callable[[str, Any], bool]) -> list[tuple[str, Any]]:
    heard = [line.recv()]
    while not is_time(*heard[-1]):
        heard.append(line.recv())
    return heard


@pytest.mark.slow
@KILLS
def test_stored_answers_survive_a_kill_and_nothing_is_half_stored(
    path: Path, server: ProviderServer, kills: int
) -> None:
    url = f"sqlite:///{path}"
    answer_slowly(server)
    with closing(App(url)) as app:
        app.configure(server)
    begun: dict[int, Turn] = {}
    ended: set[int] = set()
    least: Counter[int] = Counter()
    seen: set[MessageStatus] = set()
    for number in range(kills):
        with beside(write_chats, url, str(number)) as child:
            heard = heard_until(child.line, MOMENTS[number % 3])
            time.sleep(random.random())
            child.kill()
            heard += child.said()
        begun |= {turn.answer_id: turn for what, turn in heard if what == "begun"}
        ended |= {turn.answer_id for what, turn in heard if what == "ended"}
        for answer_id, length in (said for what, said in heard if what == "stored"):
            least[answer_id] = max(least[answer_id], length)

        with closing(Database(url, encryption_key=ENCRYPTION_KEY)) as database:
            stored = all_stored(database)
        is_sound(path)
        nothing_is_by_half(url)
        for turn in begun.values():
            question, answer = stored[turn.user_message_id], stored[turn.answer_id]
            assert (answer.parent_id, answer.call_id) == (question.id, turn.call_id)
        for answer in (each for each in stored.values() if each.call):
            assert answer.parent_id
            assert answer.call
            expected = whole(stored[answer.parent_id].content)
            assert expected.startswith(answer.content)
            assert len(answer.content) >= least[answer.id]
            is_complete = answer.id in ended or answer.status is MessageStatus.COMPLETE
            if is_complete:
                assert (answer.content, answer.call.status) == (expected, CallStatus.DONE)
                assert answer.status is MessageStatus.COMPLETE
            else:
                assert (answer.status, answer.call.status) == (MessageStatus.INTERRUPTED, CallStatus.INTERRUPTED)
            seen.add(answer.status)
        assert len(stored) - 2 * len(begun) <= 2 * (number + 1), (
            "a turn of each kill that was stored but never reported"
        )
    assert seen == {MessageStatus.COMPLETE, MessageStatus.INTERRUPTED}
    assert any(least.values())


def all_stored(database: Database) -> dict[int, StoredMessage]:
    me = database.people.local()
    chats = database.chat_sessions.all(me, limit=10**6)
    messages = (database.chat_sessions.conversation(me, each.id).messages for each in chats)
    return {message.id: message for each in messages for message in each}


def is_sound(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def nothing_is_by_half(url: str) -> None:
    """No message without its chat or question, no question without an answer, no chat without a turn, no lease."""
    messages, chats = "SELECT id FROM messages", "SELECT id FROM chat_sessions"
    for what, condition in (
        ("messages", f"session_id NOT IN ({chats})"),
        ("messages", f"parent_id NOT IN ({messages})"),
        ("messages", "lower(role) = 'assistant' AND (parent_id IS NULL OR call_id IS NULL)"),
        ("messages", "lower(role) = 'user' AND id NOT IN (SELECT parent_id FROM messages WHERE parent_id IS NOT NULL)"),
        ("messages", "lower(status) = 'complete' AND content = ''"),
        ("messages", "lower(status) = 'writing'"),
        ("calls", "lower(status) = 'running'"),
        ("calls", "id NOT IN (SELECT call_id FROM messages WHERE call_id IS NOT NULL)"),
        ("chat_sessions", f"last_message_id IS NULL OR last_message_id NOT IN ({messages})"),
        ("chat_sessions", "lease_until IS NOT NULL"),
    ):
        assert run_sql(url, f"SELECT * FROM {what} WHERE {condition}") == [], condition


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQLServer]:
    with running() as server:
        yield server


class Ahead:
    """A clock that a test sets forward."""

    by = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.by


def write_one(line: Connection, url: str) -> None:
    app = App(url)
    turn = app.ask("Who is killed?")
    until(lambda: app.stored(turn).content == "Hel")
    line.send(turn)
    Event().wait()


def test_another_process_on_postgresql_continues_when_the_lease_of_a_dead_one_has_expired(
    postgresql: PostgreSQLServer, server: ProviderServer
) -> None:
    url = postgresql.create()
    server.next(Chunks([chunk("Hel"), Event(), LAST]), Chunks([chunk("Mine"), LAST]))
    clock = Ahead()
    with closing(App(url, clock=clock)) as app:
        app.configure(server)
        with beside(write_one, url) as child:
            turn = child.line.recv()
            received = app.received(turn)
            with pytest.raises(StillWriting):
                app.begin("Mine?", turn.session_id)
            app.database.turns.recover()
            assert app.stored(turn).status is MessageStatus.WRITING
            child.kill()
        # For all that anybody knows it may still be alive.
        app.database.turns.recover()
        assert app.stored(turn).status is MessageStatus.WRITING
        with pytest.raises(StillWriting):
            app.begin("Mine?", turn.session_id)
        clock.by = LEASE + timedelta(seconds=1)
        until(lambda: app.has_ended(turn))
        answer = app.stored(turn)
        assert (answer.content, answer.status) == ("Hel", MessageStatus.INTERRUPTED)
        assert answer.call
        assert answer.call.status is CallStatus.INTERRUPTED
        until(lambda: received.is_finished)
        assert received.text("content") == "Hel"
        mine = app.ask("Mine?", turn.session_id)
        until(lambda: app.has_ended(mine))
        assert (app.stored(mine).content, app.stored(mine).status) == ("Mine", MessageStatus.COMPLETE)


class Between:
    """A connection in between: passes all on, and notes who closed first."""

    def __init__(self, port: int) -> None:
        self.closed_first: list[str] = []
        self._port = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="between")]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}/v1"

    @contextmanager
    def open(self) -> Iterator["Between"]:
        self._threads[0].start()
        try:
            yield self
        finally:
            for each in [self._listening, *self._sockets]:
                self._shut(each)
            for thread in self._threads:
                thread.join()
            for each in [self._listening, *self._sockets]:
                each.close()

    def _accept(self) -> None:
        while True:
            try:
                app, _ = self._listening.accept()
            except OSError:  # the test is over
                return
            provider = socket.create_connection(("127.0.0.1", self._port))
            self._sockets += [app, provider]
            first: list[str] = []
            for source, target, name in ((app, provider, "app"), (provider, app, "provider")):
                thread = threading.Thread(target=partial(self._pass_on, source, target, name, first), name="between")
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, source: socket.socket, target: socket.socket, name: str, first: list[str]) -> None:
        closed = name
        try:
            while data := source.recv(65536):
                closed = "provider" if name == "app" else "app"  # where what it sent cannot be passed on
                target.sendall(data)
                closed = name
        except OSError:  # a reset is as good as a close
            pass
        if not first:
            first.append(closed)
            self.closed_first.append(closed)
        self._shut(target)

    @staticmethod
    def _shut(each: socket.socket) -> None:
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:  # it is closed
            return


@pytest.fixture
def between(server: ProviderServer) -> Iterator[Between]:
    with Between(server.port).open() as it:
        yield it


def test_a_stop_closes_the_connection_in_the_middle_of_a_word(
    between: Between, server: ProviderServer, path: Path
) -> None:
    for is_quiet in (True, False):
        server.disconnected.clear()
        between.closed_first.clear()
        endless = Paced([chunk("word ")] * 10**5, server.stopping)
        server.next(Chunks([chunk("word "), Event(), LAST] if is_quiet else endless))
        with closing(App(f"sqlite:///{path}")) as app:
            for each in app.database.configurations.all(app.me):
                app.database.configurations.delete(app.me, each.id)
            app.configure(server, endpoint=between.endpoint)
            turn = app.ask()
            received = app.received(turn)
            until(partial(received.text, "content"))
            assert between.closed_first == []
            app.answers.stop(app.me, turn.answer_id)
            until(lambda: between.closed_first)
            assert between.closed_first == ["app"]
            assert server.disconnected.wait(120), "and the provider knows"
            answer = app.stored(turn)
            assert answer.status is MessageStatus.STOPPED
            assert answer.content == received.text("content")
            assert answer.content.startswith("word ")


def test_a_finished_answer_leaves_the_connection_open_for_the_next(
    between: Between, server: ProviderServer, path: Path
) -> None:
    with closing(App(f"sqlite:///{path}")) as app:
        app.configure(server, endpoint=between.endpoint)
        for _ in range(3):
            turn = app.ask()
            assert app.answers.wait(turn.answer_id, 120)
            assert app.stored(turn).status is MessageStatus.COMPLETE
        assert between.closed_first == []
        assert len({each.client_port for each in server.requests}) == 1
        server.next(Chunks([chunk("Hel")], then="reset"))
        turn = app.ask()
        assert app.answers.wait(turn.answer_id, 120)
        assert app.stored(turn).status is MessageStatus.INTERRUPTED
        assert between.closed_first == ["provider"]
