"""The answers that are being written: stored as they grow, stopped, failed, kept where the database is in the way."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from connector import CallReport, CallStatus, ChatCompletionsRequest, Client, UsageSource
from db import UNDO, Call, MessageStatus, NotFound, Person, StillWriting, utc_now
from generation import Received
from tests.db.conftest import run_sql
from tests.generation.conftest import LAST, App, until
from tests.provider.answers import chunk, error, usage
from tests.provider.server import Chunks, Drop, Hang, ProviderServer, Reply

AT_ONCE = 120.0
"""Seconds after which a wait is given up; no test is about them. What must not be waited for never comes by itself."""


def call_of(app: App, turn: Any) -> Call:
    return app.database.calls.get(app.me, turn.call_id)


def delta(**changes: Any) -> dict[str, Any]:
    """A chunk whose delta holds what is given."""
    return chunk(choices=[{"index": 0, "delta": changes, "finish_reason": None}])


def _has(received: Received, characters: int) -> bool:
    return len(received.text("content")) > characters


@pytest.fixture
def sql(path: Path) -> Callable[..., list[tuple[Any, ...]]]:
    return lambda statement, *values: run_sql(f"sqlite:///{path}", statement, *values)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program holds the write lock of the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def test_received_text_is_stored_while_more_is_awaited(server: ProviderServer, app: App) -> None:
    first, second = Event(), Event()
    server.next(Chunks([chunk("Hel"), first, chunk("lo"), second, LAST]))
    turn = app.ask()
    until(lambda: app.stored(turn).content == "Hel", AT_ONCE)
    assert app.stored(turn).status is MessageStatus.WRITING
    first.set()
    until(lambda: app.stored(turn).content == "Hello", AT_ONCE)
    assert app.stored(turn).status is MessageStatus.WRITING
    assert call_of(app, turn).status is CallStatus.RUNNING
    second.set()
    assert app.answers.wait(turn.answer_id, AT_ONCE)
    assert app.stored(turn).status is MessageStatus.COMPLETE


def test_an_answer_its_usage_and_its_status_are_stored_in_one_transaction(
    server: ProviderServer, app: App, sql: Callable[..., list[tuple[Any, ...]]]
) -> None:
    gate = Event()
    model = "gpt-4o-mini"
    counted = chunk(choices=[], model=model, usage=usage(1000, "Hel lo"))
    last = chunk(finish_reason="length", model=model)
    server.next(Chunks([chunk("Hel ", model=model), gate, chunk("lo", model=model), last, counted]))
    turn = app.ask("Ünd nun?")
    until(lambda: app.stored(turn).content == "Hel ", AT_ONCE)

    def looks() -> tuple[object, ...]:
        answer = app.stored(turn)
        assert answer.call
        return answer.status, answer.call.status, answer.finish_reason, answer.call.total_tokens, answer.content

    seen = [looks()]
    with ThreadPoolExecutor(1) as pool:
        is_over = pool.submit(app.answers.wait, turn.answer_id, 30)
        gate.set()
        while not is_over.done():
            seen.append(looks())
    seen.append(looks())
    complete = (MessageStatus.COMPLETE, CallStatus.DONE, "length", 1002, "Hel lo")
    writing = (MessageStatus.WRITING, CallStatus.RUNNING, None, None)
    assert seen[-1] == complete
    assert {each[:4] for each in seen if each != complete} == {writing}

    call = call_of(app, turn)
    assert (call.prompt_tokens, call.completion_tokens, call.usage_source) == (1000, 2, UsageSource.REPORTED)
    assert (call.model_asked, call.model_answered, call.finish_reason) == ("gpt-test", model, "length")
    assert call.cost == pytest.approx(0.002016)
    assert call.price_source
    assert call.price_source.startswith("own price")
    assert call.duration
    assert call.time_to_first_token
    assert call.prompt_characters == len("Ünd nun?")
    assert call.attempts == 1
    assert app.begin("And?", turn.session_id)  # nothing keeps the chat


def test_a_stop_closes_the_connection_and_keeps_the_received_text(server: ProviderServer, app: App) -> None:
    server.next(Chunks([chunk("Hel"), Event(), chunk("lo"), LAST]))
    turn = app.ask()
    received = app.received(turn)
    until(lambda: received.text("content") == "Hel")
    app.answers.stop(app.me, turn.answer_id)
    answer = app.stored(turn)
    assert (answer.content, answer.status) == ("Hel", MessageStatus.STOPPED)
    assert (call_of(app, turn).status, call_of(app, turn).error) == (CallStatus.STOPPED, None)
    assert server.disconnected.wait(AT_ONCE)
    assert app.answers.wait(turn.answer_id, AT_ONCE)
    assert received.is_finished
    app.answers.stop(app.me, turn.answer_id)  # harmless by now
    assert app.stored(turn) == answer


def test_a_stop_counts_although_the_reader_finishes_before_the_report_is_made(server: ProviderServer, app: App) -> None:
    gate, is_ending, may_report = Event(), Event(), Event()
    server.next(Chunks([chunk("Hel"), gate, chunk("lo"), LAST]))

    def client_of(book: Callable[[CallReport], None]) -> Client:
        def report_late(report: CallReport) -> None:
            is_ending.set()
            may_report.wait(AT_ONCE)
            book(report)

        return Client(app.client_of(book).configuration, on_call=report_late)

    turn = app.begin()
    app.answers.write(app.me, turn, client_of, ChatCompletionsRequest.of_prompts("What?"))
    received = app.received(turn)
    until(lambda: received.text("content") == "Hel")
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(app.answers.stop, app.me, turn.answer_id)
        assert is_ending.wait(AT_ONCE)
        gate.set()
        until(lambda: received.text("content") == "Hello")
        app.answers.wait(turn.answer_id, 0.5)  # it may wait for the report, or not
        may_report.set()
        stopping.result()
    assert app.answers.wait(turn.answer_id, AT_ONCE)
    assert app.stored(turn).status is MessageStatus.STOPPED
    assert (call_of(app, turn).status, call_of(app, turn).error) == (CallStatus.STOPPED, None)
    assert app.stored(turn).content.startswith("Hel")


@pytest.mark.parametrize("rounds", [5, pytest.param(300, marks=pytest.mark.soak)])
def test_a_fast_stream_can_be_stopped(server: ProviderServer, app: App, rounds: int) -> None:
    for number in range(rounds):
        server.next(Chunks([chunk("word ")] * 3_000 + [Event(), LAST]))
        turn = app.ask()
        received = app.received(turn)
        until(partial(_has, received, 300 * number % 3000))
        app.answers.stop(app.me, turn.answer_id)
        assert app.answers.wait(turn.answer_id, AT_ONCE)
        answer = app.stored(turn)
        assert (answer.status, call_of(app, turn).status) == (MessageStatus.STOPPED, CallStatus.STOPPED)
        assert answer.content == received.text("content") == "word " * (len(answer.content) // 5)


def test_a_stop_before_the_response_begins_finishes_the_answer_at_once(server: ProviderServer, app: App) -> None:
    server.next(Hang())
    turn = app.ask()
    until(lambda: server.requests)
    app.answers.stop(app.me, turn.answer_id)
    answer = app.stored(turn)
    assert (answer.content, answer.status) == ("", MessageStatus.STOPPED)
    assert call_of(app, turn).status is CallStatus.STOPPED
    app.begin("Another?", turn.session_id)


def test_a_response_that_begins_after_the_stop_is_closed(server: ProviderServer, app: App) -> None:
    thinks = Event()

    def think_long(_: dict[str, Any]) -> Chunks:
        thinks.wait(AT_ONCE)
        return Chunks([chunk("Hel"), Event(), LAST])

    server.objection = think_long
    turn = app.ask()
    until(lambda: server.requests)
    app.answers.stop(app.me, turn.answer_id)
    thinks.set()
    assert server.disconnected.wait(AT_ONCE)
    assert (app.stored(turn).content, app.stored(turn).status) == ("", MessageStatus.STOPPED)


def test_watchers_are_woken_by_a_stop_before_the_response_begins(server: ProviderServer, app: App) -> None:
    server.next(Hang())
    turn = app.ask()
    received = app.received(turn)
    until(lambda: server.requests)
    app.answers.stop(app.me, turn.answer_id)
    until(lambda: received.is_finished, AT_ONCE)


def test_a_stop_while_a_refused_call_waits_to_be_tried_again_sends_nothing_more(
    server: ProviderServer, app: App
) -> None:
    server.next(Reply(429, error("Slow down."), headers={"retry-after": "2"}))
    turn = app.begin()

    def patient(book: Callable[[CallReport], None]) -> Client:
        return Client(app.client_of(book).configuration, on_call=book, max_retries=2)

    app.answers.write(app.me, turn, patient, ChatCompletionsRequest.of_prompts("What?"))
    until(lambda: server.requests)
    app.answers.stop(app.me, turn.answer_id)
    assert app.stored(turn).status is MessageStatus.STOPPED
    assert app.answers.wait(turn.answer_id, AT_ONCE)
    assert len(server.requests) == 1, "who has stopped an answer pays for no other"


@pytest.mark.parametrize(
    ("reply", "status", "content"),
    [
        (Reply(500, error("It broke.")), CallStatus.FAILED, ""),
        (Drop(reset=True), CallStatus.FAILED, ""),
        (Chunks([chunk("Hel")], done=False, then="reset"), CallStatus.INTERRUPTED, "Hel"),
        (Chunks([chunk("Hel"), error("It broke.")]), CallStatus.INTERRUPTED, "Hel"),
    ],
    ids=["refuses", "goes away", "goes away half-way", "breaks half-way"],
)
def test_the_answer_of_a_failing_provider_has_failed(
    server: ProviderServer, app: App, reply: Any, status: CallStatus, content: str
) -> None:
    server.next(reply)
    turn = app.ask()
    until(lambda: app.has_ended(turn))
    answer = app.stored(turn)
    assert (answer.content, answer.status.value) == (content, status.value)
    assert answer.call
    assert answer.call.status is status
    assert answer.call.error
    assert " " in answer.call.error, "a sentence"
    assert answer.call.error_kind
    app.begin("Another?", turn.session_id)


def test_a_deleted_chat_stops_its_answer(server: ProviderServer, app: App) -> None:
    server.next(Chunks([chunk("Hel"), Event(), LAST]))
    turn = app.ask()
    until(lambda: app.stored(turn).content == "Hel")
    app.database.chat_sessions.delete(app.me, turn.session_id)
    assert server.disconnected.wait(AT_ONCE)
    assert app.answers.wait(turn.answer_id, AT_ONCE)
    assert call_of(app, turn).status is CallStatus.STOPPED
    app.database.chat_sessions.undelete(app.me, turn.session_id)
    assert (app.stored(turn).content, app.stored(turn).status) == ("Hel", MessageStatus.STOPPED)


def test_a_result_that_the_database_refuses_is_stored_once_it_accepts_it(
    server: ProviderServer, app: App, sql: Callable[..., list[tuple[Any, ...]]], caplog: pytest.LogCaptureFixture
) -> None:
    gate = Event()
    server.next(Chunks([chunk("Hel"), gate, chunk("lo"), LAST, chunk(choices=[], usage=usage(5, "Hello"))]))
    turn = app.ask()
    until(lambda: app.stored(turn).content == "Hel")
    sql("CREATE TRIGGER refuse BEFORE UPDATE ON messages BEGIN SELECT RAISE(FAIL, 'no'); END")
    gate.set()
    until(lambda: f"The result of answer {turn.answer_id} is not stored yet" in caplog.text)
    assert app.stored(turn).status is MessageStatus.WRITING
    assert call_of(app, turn).status is CallStatus.RUNNING
    assert not app.answers.wait(turn.answer_id, 0)
    sql("DROP TRIGGER refuse")
    assert app.answers.wait(turn.answer_id, AT_ONCE)
    answer = app.stored(turn)
    assert (answer.content, answer.status, answer.finish_reason) == ("Hello", MessageStatus.COMPLETE, "stop")
    assert (call_of(app, turn).status, call_of(app, turn).total_tokens) == (CallStatus.DONE, 6)


def test_a_result_is_stored_after_another_program_releases_its_lock(
    server: ProviderServer, app: App, path: Path
) -> None:
    gate = Event()
    server.next(Chunks([chunk("Hel"), gate, chunk("lo"), LAST]))
    turn = app.ask()
    received = app.received(turn)
    until(lambda: app.stored(turn).content == "Hel")
    with locked(path):
        gate.set()
        until(lambda: received.text("content") == "Hello")
        assert not app.answers.wait(turn.answer_id, 0.5)
        assert not received.is_finished, "how it ended is in the database by then"
        assert app.stored(turn).status is MessageStatus.WRITING
    assert app.answers.wait(turn.answer_id, AT_ONCE)
    assert (app.stored(turn).content, app.stored(turn).status) == ("Hello", MessageStatus.COMPLETE)
    assert received.is_finished


@pytest.mark.parametrize("has_begun", [True, False])
def test_an_answer_whose_result_is_refused_does_not_block_others(
    server: ProviderServer,
    app: App,
    sql: Callable[..., list[tuple[Any, ...]]],
    caplog: pytest.LogCaptureFixture,
    has_begun: bool,
) -> None:
    """Stopped from another process, so that it is the keeper that hangs up."""
    server.next(Chunks([chunk("One"), Event(), LAST]) if has_begun else Hang())
    refused = app.ask("One?")
    until(lambda: app.stored(refused).content == "One" or (server.requests and not has_begun))
    gate = Event()
    server.next(Chunks([chunk("Hel"), gate, chunk("lo"), Event(), LAST]))
    other = app.ask("Two?")
    until(lambda: app.stored(other).content == "Hel")
    end = f"WHEN NEW.id = {refused.answer_id} AND NEW.status <> OLD.status"
    sql(f"CREATE TRIGGER refuse BEFORE UPDATE ON messages {end} BEGIN SELECT RAISE(FAIL, 'no'); END")
    try:
        app.database.turns.ask_to_stop(app.me, refused.answer_id)
        until(lambda: f"The result of answer {refused.answer_id} is not stored yet" in caplog.text)
        gate.set()
        until(lambda: app.stored(other).content == "Hello", AT_ONCE)
    finally:
        sql("DROP TRIGGER refuse")
    until(lambda: app.stored(refused).status is MessageStatus.STOPPED)


def test_half_a_character_is_replaced_and_the_rest_of_its_answer_is_stored(server: ProviderServer, app: App) -> None:
    """A server that cuts an emoji in two sends such; no database could hold it."""
    gate = Event()
    half = 'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}\n\n'
    server.next(Chunks([chunk("Smile "), half, gate, chunk("!"), LAST]))
    odd = app.ask("One?")
    until(lambda: app.stored(odd).content == "Smile ")
    gate.set()
    until(lambda: app.has_ended(odd), AT_ONCE)
    assert (app.stored(odd).content, app.stored(odd).status) == ("Smile \ufffd!", MessageStatus.COMPLETE)


@pytest.mark.parametrize("where", ["making the client", "sending the request", "storing how it ended"])
def test_an_unexpected_error_fails_the_answer_instead_of_leaving_it_writing(
    server: ProviderServer, app: App, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(ChatCompletionsRequest):
        def body(self, *_: Any, **__: Any) -> Any:
            raise LookupError("secret")

    def client_of(book: Callable[[CallReport], None]) -> Client:
        if where == "making the client":
            raise LookupError("secret")
        if where == "sending the request":
            return app.client_of(book)
        # A call that is reported has ended; no row of the ledger says otherwise.
        return app.client_of(lambda report: book(replace(report, status=CallStatus.RUNNING)))

    turn = app.begin()
    request = ChatCompletionsRequest if where == "storing how it ended" else Odd
    app.answers.write(app.me, turn, client_of, request.of_prompts("What?"))
    until(lambda: app.has_ended(turn), AT_ONCE)
    answer = app.stored(turn)
    assert answer.status is MessageStatus.FAILED
    assert answer.call
    assert answer.call.status is CallStatus.FAILED
    assert answer.call.error
    assert "unexpected error" in answer.call.error
    assert "secret" not in answer.call.error
    assert ("KeyError" if where == "storing how it ended" else "LookupError") in caplog.text
    assert app.answers.wait(turn.answer_id, AT_ONCE)
    assert app.begin("Again?", turn.session_id)


def test_a_failure_before_the_request_is_sent_is_stored_too(server: ProviderServer, app: App) -> None:
    turn = app.begin()
    nowhere = ChatCompletionsRequest.of_prompts("What?", model="no-such-model")
    app.answers.write(app.me, turn, app.client_of, nowhere)
    until(lambda: app.has_ended(turn), AT_ONCE)
    call = call_of(app, turn)
    assert (app.stored(turn).status, call.status) == (MessageStatus.FAILED, CallStatus.FAILED)
    assert call.error
    assert "no-such-model" in call.error


def test_reasoning_is_kept_apart_from_the_answer(server: ProviderServer, app: App) -> None:
    gate, last = Event(), Event()
    thought = [delta(reasoning_content="Let me "), delta(reasoning_content="think.")]
    server.next(Chunks([*thought, gate, chunk("Hel"), chunk("lo"), last, delta(reasoning_content=" Done."), LAST]))
    turn = app.ask()
    until(lambda: app.stored(turn).reasoning == "Let me think.", AT_ONCE)
    assert app.stored(turn).content == ""
    gate.set()
    until(lambda: app.stored(turn).content == "Hello", AT_ONCE)
    assert app.stored(turn).reasoning == "Let me think."
    last.set()
    until(lambda: app.has_ended(turn))
    assert (app.stored(turn).content, app.stored(turn).reasoning) == ("Hello", "Let me think. Done.")


def test_the_refusal_of_a_model_is_its_answer(server: ProviderServer, app: App) -> None:
    server.next(Chunks([delta(refusal="I will "), delta(refusal="not."), LAST]))
    turn = app.ask()
    until(lambda: app.has_ended(turn))
    assert (app.stored(turn).content, app.stored(turn).status) == ("I will not.", MessageStatus.COMPLETE)


def test_only_the_first_of_several_choices_is_the_answer(server: ProviderServer, app: App) -> None:
    server.next(Chunks([chunk("B", index=1), chunk("A"), chunk("B", index=1, finish_reason="stop"), LAST]))
    turn = app.ask()
    until(lambda: app.has_ended(turn))
    assert (app.stored(turn).content, app.stored(turn).finish_reason) == ("A", "stop")


def test_other_peoples_answers_cannot_be_followed_or_stopped(
    server: ProviderServer, app: App, foreigner: Person
) -> None:
    gate = Event()
    server.next(Chunks([chunk("Hel"), gate, chunk("lo"), LAST]))
    turn = app.ask()
    until(lambda: app.stored(turn).content == "Hel")
    for forbidden in (app.answers.follow, app.answers.stop):
        with pytest.raises(NotFound):
            forbidden(foreigner, turn.answer_id)
        with pytest.raises(NotFound):
            forbidden(app.me, 10**6)
    gate.set()
    until(lambda: app.has_ended(turn))
    assert (app.stored(turn).content, app.stored(turn).status) == ("Hello", MessageStatus.COMPLETE)
    assert not server.disconnected.is_set()


def test_a_key_cannot_be_guessed_and_opens_one_answer(server: ProviderServer, app: App) -> None:
    gates = [Event(), Event()]
    turns = []
    for gate in gates:
        server.next(Chunks([chunk("Hel"), gate, LAST]))
        turns.append(app.ask())
    keys = [app.answers.follow(app.me, turn.answer_id) for turn in turns]
    assert keys == [app.answers.follow(app.me, turn.answer_id) for turn in turns]
    assert len({*keys, "", *(str(turn.answer_id) for turn in turns)}) == 5
    assert min(map(len, keys)) >= 22
    assert [app.answers.received(str(turn.answer_id)) for turn in turns] == [None, None]
    assert app.answers.received("") is None
    for gate, turn in zip(gates, turns, strict=True):
        gate.set()
        assert app.answers.wait(turn.answer_id, AT_ONCE)
    assert [app.answers.received(key) for key in keys] == [None, None]


def test_another_process_follows_an_answer_through_the_database(
    server: ProviderServer, app: App, open_app: Callable[..., App]
) -> None:
    gates = [Event(), Event()]
    thought = delta(reasoning_content="Hm.")
    server.next(Chunks([thought, chunk("Hel"), gates[0], chunk("lo"), gates[1], chunk("!"), LAST]))
    turn = app.ask()
    other = open_app()
    received = other.received(turn)
    until(lambda: received.text("content") == "Hel", AT_ONCE)
    assert received.text("reasoning") == "Hm."
    assert other.received(turn) is received
    gates[0].set()
    until(lambda: received.text("content") == "Hello", AT_ONCE)
    assert not received.is_finished
    gates[1].set()
    until(lambda: received.is_finished, AT_ONCE)
    assert (received.text("content"), received.text("reasoning")) == ("Hello!", "Hm.")
    assert other.answers.received(received.key) is None
    assert other.stored(turn).status is MessageStatus.COMPLETE


def test_a_stop_in_another_process_reaches_the_one_that_writes(
    server: ProviderServer, app: App, open_app: Callable[..., App]
) -> None:
    server.next(Chunks([chunk("Hel"), Event(), chunk("lo"), LAST]))
    turn = app.ask()
    other = open_app()
    received = other.received(turn)
    until(lambda: received.text("content") == "Hel", AT_ONCE)
    with pytest.raises(StillWriting):
        other.begin("Another?", turn.session_id)
    other.answers.stop(other.me, turn.answer_id)
    assert server.disconnected.wait(AT_ONCE)
    until(lambda: other.has_ended(turn), AT_ONCE)
    assert (other.stored(turn).content, other.stored(turn).status) == ("Hel", MessageStatus.STOPPED)
    until(lambda: received.is_finished, AT_ONCE)
    other.begin("Another?", turn.session_id)


def test_two_answers_side_by_side_are_written_at_once(server: ProviderServer, app: App) -> None:
    gates = {}
    for text in ("Ay", "Bee"):
        gates[text] = Event()
        server.next(Chunks([chunk(text), gates[text], LAST]))
    turn = app.begin(is_beside=True)
    assert turn.beside
    app.write(turn)
    until(lambda: len(server.requests) == 1)
    app.write(turn.beside)
    both = [app.received(turn), app.received(turn.beside)]
    until(lambda: [received.text("content") for received in both] == ["Ay", "Bee"])
    gates["Ay"].set()
    assert app.answers.wait(turn.answer_id, AT_ONCE)
    with pytest.raises(StillWriting):
        app.begin("And?", turn.session_id)
    app.answers.stop(app.me, turn.beside.answer_id)
    assert app.stored(turn).status is MessageStatus.COMPLETE
    beside = app.database.chat_sessions.conversation(app.me, turn.session_id).beside
    assert beside
    assert (beside.content, beside.status) == ("Bee", MessageStatus.STOPPED)
    app.begin("And?", turn.session_id)


def test_close_stops_all_answers_and_loses_no_text(
    server: ProviderServer, app: App, open_app: Callable[..., App]
) -> None:
    turns = []
    for number in range(5):
        server.next(Chunks([chunk(f"Number {number}"), Event(), LAST]))
        turns.append(app.ask(str(number)))
        until(partial(app.received(turns[-1]).text, "content"))
    app.close()
    other = open_app()
    assert [other.stored(turn).content for turn in turns] == [f"Number {number}" for number in range(5)]
    assert {other.stored(turn).status for turn in turns} == {MessageStatus.STOPPED}
    assert {call_of(other, turn).status for turn in turns} == {CallStatus.STOPPED}


def test_close_does_not_wait_for_providers(server: ProviderServer, app: App) -> None:
    server.next(Hang(), Hang(), Hang())
    turns = [app.ask() for _ in range(3)]
    until(lambda: len(server.requests) == 3)
    app.answers.close()
    assert {app.stored(turn).status for turn in turns} == {MessageStatus.STOPPED}


def test_an_answer_is_stored_when_the_database_file_is_back(
    server: ProviderServer, app: App, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Event()
    server.next(Chunks([chunk("Hel"), gate, chunk("lo"), LAST]))
    turn = app.ask()
    until(lambda: app.stored(turn).content == "Hel")
    aside = path.rename(path.with_name("aside.db"))
    gate.set()
    until(lambda: "The result of answer" in caplog.text)
    assert "was deleted or moved while it was in use" in caplog.text
    assert app.stored(turn).status is MessageStatus.WRITING
    aside.rename(path)
    until(lambda: app.has_ended(turn))
    assert (app.stored(turn).content, app.stored(turn).status) == ("Hello", MessageStatus.COMPLETE)


def test_close_ends_the_watching_of_answers_that_another_process_writes(
    server: ProviderServer, app: App, open_app: Callable[..., App]
) -> None:
    server.next(Chunks([chunk("Hel"), Event(), LAST]))
    turn = app.ask()
    other = open_app()
    received = other.received(turn)
    other.answers.close()
    assert received.is_finished
    assert app.stored(turn).status is MessageStatus.WRITING


def test_close_ends_the_watching_while_the_database_does_not_respond(
    server: ProviderServer, app: App, path: Path
) -> None:
    gate = Event()
    server.next(Chunks([chunk("Hel"), gate, LAST]))
    turn = app.ask()
    received = app.received(turn)
    until(partial(received.text, "content"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        app.answers.close()
        assert received.is_finished
        other.execute("ROLLBACK")
    assert app.answers.wait(turn.answer_id, AT_ONCE)
    assert (app.stored(turn).content, app.stored(turn).status) == ("Hel", MessageStatus.STOPPED)


@pytest.mark.parametrize("is_streamed", [True, False])
def test_an_answer_that_begins_after_close_is_stopped(server: ProviderServer, app: App, is_streamed: bool) -> None:
    server.next(Hang())
    app.answers.close()
    turn = app.begin()
    request = ChatCompletionsRequest.of_prompts("What?")
    app.answers.write(app.me, turn, app.client_of, request, is_streamed=is_streamed)
    assert app.answers.wait(turn.answer_id, AT_ONCE)
    assert app.stored(turn).status is MessageStatus.STOPPED


@pytest.mark.parametrize(
    "odd",
    [
        chunk("Hel", model="x" * 100_000),
        chunk("Hel\0lo", id=None) | {"model": None},
        chunk("Hel", id=[], created="never") | {"model": 5},
        chunk("Hel", usage={"prompt_tokens": 10**30, "completion_tokens": -1, "total_tokens": "many"}),
        chunk("Hel", usage=[1]),
        chunk(choices=[{"index": 0, "delta": {"content": "Hel"}, "finish_reason": {"why": 1}}]),
        chunk(choices=[{"index": "first", "delta": {"content": ["Hel"]}}]),
        chunk(choices=7),
        "data: [1]\n\n",
        "data: what?\n\n",
        b"data: \xff\n\n",
    ],
    ids=range(11),
)
def test_every_answer_finishes_whatever_the_provider_sends(server: ProviderServer, app: App, odd: Any) -> None:
    server.next(Chunks([odd, LAST]))
    turn = app.ask()
    until(lambda: app.has_ended(turn), AT_ONCE)
    assert call_of(app, turn).status is not CallStatus.RUNNING
    assert app.answers.wait(turn.answer_id, AT_ONCE)
    app.begin("Another?", turn.session_id)


def test_many_simultaneous_answers_are_complete(server: ProviderServer, app: App) -> None:
    """Each as the provider sends it, without one of the others in it."""
    questions = [f"What is number {number}?" for number in range(12)]
    turns = [app.ask(question) for question in questions]
    for turn in turns:
        assert app.answers.wait(turn.answer_id, AT_ONCE)
    assert [app.stored(turn).content for turn in turns] == [f"Answer 0 to: {question}" for question in questions]
    assert {app.stored(turn).status for turn in turns} == {MessageStatus.COMPLETE}
    assert all(call_of(app, turn).total_tokens for turn in turns)


def test_a_deleted_chat_is_removed_without_any_user_action(
    server: ProviderServer, app: App, open_app: Callable[..., App], path: Path
) -> None:
    turn = app.ask("A secret question")
    until(lambda: app.has_ended(turn))
    app.database.chat_sessions.delete(app.me, turn.session_id)
    app.close()
    open_app(clock=lambda: utc_now() + UNDO + timedelta(seconds=1))

    def left() -> list[tuple[str]]:
        with closing(sqlite3.connect(path)) as database:
            return database.execute("SELECT content FROM messages").fetchall()

    until(lambda: left() == [])
