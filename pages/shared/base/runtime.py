"""The composition root: what the pages get their database, person and client from."""

import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import httpx2

import connector
from connector import (
    Adaptations,
    CallReport,
    ChatCompletionsRequest,
    Client,
    Configuration,
    ConnectorError,
    Finding,
    InvalidConfiguration,
    InvalidRequest,
    OfferedModel,
    State,
    models_of,
    pooled_http_client,
    steps_of,
)
from db import (
    CallStart,
    CannotOpen,
    ChangedMeanwhile,
    Database,
    NewChat,
    NotAllowed,
    NotFound,
    Person,
    Question,
    SavedConfiguration,
    StillWriting,
    StorageError,
    Turn,
)
from generation import Answers
from settings import InvalidSetting, Settings

__all__ = [
    "CannotOpen",
    "ChangedMeanwhile",
    "ConnectorError",
    "InvalidConfiguration",
    "InvalidRequest",
    "NotAllowed",
    "NotFound",
    "StillWriting",
    "StorageError",
    "Turn",
    "answers",
    "configurations",
    "database",
    "demo_endpoint",
    "examine",
    "examine_typed",
    "is_started",
    "log_failure",
    "models",
    "models_typed",
    "once",
    "one_run",
    "person",
    "reference",
    "start",
    "start_alone",
    "start_turn",
    "stop",
]


T = TypeVar("T")


@dataclass(frozen=True)
class _Runtime:
    settings: Settings
    database: Database
    answers: Answers
    http_client: httpx2.Client | None


_running: _Runtime | None = None


def start(settings: Settings, *, http_client: httpx2.Client | None = None) -> None:
    """Open the database, once per process. Raises `StorageError` and `InvalidSetting` with a sentence."""
    global _running
    stop()
    http_client = http_client or _outgoing(settings)
    database = Database(
        settings.database_url,
        encryption_key=settings.encryption_key,
        encryption_key_file=settings.encryption_key_file,
    )
    _running = _Runtime(settings, database, Answers(database), http_client)


def _outgoing(settings: Settings) -> httpx2.Client | None:
    """The way out that the settings ask for, None for the connector's own. Raises `InvalidSetting`."""
    if not (settings.outgoing_proxy or settings.outgoing_ca_file):
        return None
    try:
        return pooled_http_client(proxy=settings.outgoing_proxy or None, ca_file=settings.outgoing_ca_file or None)
    except OSError:  # a certificate that is none is one of them
        wrong = f"OUTGOING_CA_FILE: {settings.outgoing_ca_file} is not a readable file of certificates (PEM)."
    except ValueError:
        wrong = "OUTGOING_PROXY must look like http://proxy.example.com:3128."
    raise InvalidSetting(wrong)


def stop() -> None:
    global _running
    if _running:
        _running.answers.close()
        _running.database.close()
    _running = None


def is_started() -> bool:
    return _running is not None


def database() -> Database:
    return _get().database


def person() -> Person:
    """Who acts. There is one person, the administrator, until people sign in."""
    return once("person", lambda: database().people.local())


def configurations() -> list[SavedConfiguration]:
    """All of them, by name."""
    return once("configurations", lambda: database().configurations.all(person()))


_this_run = threading.local()


@contextmanager
def one_run() -> Iterator[None]:
    """While a page is drawn: what `once` has read stays so, in this thread."""
    if getattr(_this_run, "read", None) is not None:
        yield
        return
    _this_run.read = {}
    try:
        yield
    finally:
        _this_run.read = None


def once(name: str, read: Callable[[], T]) -> T:
    """What `read` gives: once for each run of a page, since one asks for it twenty times; elsewhere anew each time."""
    known: dict[str, Any] | None = getattr(_this_run, "read", None)
    if known is None:
        return read()
    if name not in known:
        known[name] = read()
    found: T = known[name]
    return found


def start_alone(
    configuration: SavedConfiguration,
    request: ChatCompletionsRequest,
    *,
    page: str,
    place: str,
    operation: str,
    is_streamed: bool,
) -> None:
    """Store that an answer was asked for, with its call, and begin to write it; see `Turns.begin_alone`.

    Raises before anything is stored when the key does not open (`StorageError`), no model is named, or the last answer
    at this place is still being written (`StillWriting`).
    """
    who, books = person(), database()
    opened = books.configurations.open(who, configuration.id)
    start = _call_start(opened, configuration.id, request, page, operation)
    client_of = partial(_client, opened, books.adaptations.of(who, configuration.id))
    turn = books.turns.begin_alone(who, place, request.body(start.model_asked), start)
    answers().write(who, turn, client_of, request, is_streamed=is_streamed)


def start_turn(
    configuration: SavedConfiguration,
    request: ChatCompletionsRequest,
    *,
    page: str,
    chat: str | NewChat,
    question: Question | None,
    model: str,
    instead_of: int | None = None,
    earlier_sent: int,
    beside: ChatCompletionsRequest | None = None,
) -> Turn:
    """Store the next turn of a chat with its call, and begin to write its answer; see `Turns.begin`.

    With `beside` that request is sent, too. Raises before anything is stored when the key does not open
    (`StorageError`), no model is named, or an answer in this chat is still being written (`StillWriting`).
    """
    who, books = person(), database()
    opened = books.configurations.open(who, configuration.id)
    start = _call_start(opened, configuration.id, request, page, "execute_with_history")
    client_of = partial(_client, opened, books.adaptations.of(who, configuration.id))
    turn = books.turns.begin(
        who,
        chat,
        question,
        start,
        model=model,
        instead_of=instead_of,
        earlier_sent=earlier_sent,
        beside=start if beside else None,
    )
    answers().write(who, turn, client_of, request)
    if beside and turn.beside:
        answers().write(who, turn.beside, client_of, beside)
    return turn


def answers() -> Answers:
    """The answers that are being written right now."""
    return _get().answers


def examine(saved: SavedConfiguration, *, model: str | None = None) -> Iterator[Finding]:
    """What a test of a saved configuration finds, as it comes; its calls are booked, and the test is noted.

    Raises before anything is sent when the key does not open (`StorageError`).
    """
    opened = database().configurations.open(person(), saved.id, is_test=True)
    return _examine(opened, saved.id, database().adaptations.of(person(), saved.id), model)


def examine_typed(configuration: Configuration) -> Iterator[Finding]:
    """The same for one that is only typed so far, with the key that was typed. Administrators only."""
    person().must_be_administrator()
    return _examine(configuration, None, Adaptations(), None)


def _examine(opened: Configuration, id: str | None, learnt: Adaptations, model: str | None) -> Iterator[Finding]:
    who, books = person(), database()
    # The first call tells whether the configuration works, the others what else it can do.
    test = CallStart("configurations", "test", id, opened.display_name, "")
    starts = iter([test])

    def book(report: CallReport) -> None:
        start = next(starts, replace(test, operation="probe"))
        books.calls.book(who, replace(start, model_asked=str(report.request.get("model", ""))), report)

    finding = None
    try:
        for finding in connector.examine(
            opened, model=model, http_client=_get().http_client, learnt=learnt, on_call=book
        ):
            yield finding
    finally:  # also where somebody left in the middle of it
        books.audit.tested(who, opened.display_name, *_outcome(opened, id, finding), configuration_id=id)


def _outcome(opened: Configuration, id: str | None, last: Finding | None) -> list[str]:
    outcome = "Broken off"
    if last and last.state is State.FAILED:
        outcome = f"Failed: {last.step.lower()}"
    elif last and last.step == steps_of(opened)[-1]:
        outcome = "Passed"
    return [outcome] if id else [outcome, f"Not saved yet: {opened.origin}"]


def models(saved: SavedConfiguration) -> list[OfferedModel]:
    """What the provider of a saved configuration lists, asked now. Raises `ConnectorError` and `StorageError`."""
    return models_of(database().configurations.open(person(), saved.id, is_test=True), http_client=_get().http_client)


def models_typed(configuration: Configuration) -> list[OfferedModel]:
    """The same for one that is only typed so far, with the key that was typed. Administrators only."""
    person().must_be_administrator()
    return models_of(configuration, http_client=_get().http_client)


def _client(opened: Configuration, learnt: Adaptations, book: Callable[[CallReport], None]) -> Client:
    return Client(opened, http_client=_get().http_client, on_call=book, learnt=learnt)


def _call_start(
    opened: Configuration, configuration_id: str, request: ChatCompletionsRequest, page: str, operation: str
) -> CallStart:
    return CallStart(
        page=page,
        operation=operation,
        configuration_id=configuration_id,
        configuration_name=opened.display_name,
        model_asked=opened.model_for(request.model),
    )


def demo_endpoint() -> str:
    """Where `make demo` starts its model."""
    return f"http://127.0.0.1:{_get().settings.demo_port}/v1"


def log_failure(error: BaseException) -> bool:
    """Log what nobody expected, under a reference that the person can quote. Streamlit still says that it failed."""
    logging.getLogger("workbench").error("reference %s", reference(error), exc_info=error)
    return False


def reference(error: BaseException) -> str:
    """Six characters that stand for one failure on the screen and in the log."""
    known = getattr(error, "workbench_reference", None)
    if known is None:
        known = secrets.token_hex(3)
        error.workbench_reference = known  # type: ignore[attr-defined]
    return str(known)


def _get() -> _Runtime:
    if _running is None:
        raise StorageError("The app was not started as a whole. Start it with: streamlit run app.py")
    return _running
