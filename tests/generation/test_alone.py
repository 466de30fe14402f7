"""Answers that stand alone are written like those of a chat; one that is not streamed comes in one piece."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from connector import CallReport, CallStatus, ChatCompletionsRequest, Client
from db import CallStart, LoneAnswer, MessageStatus, StillWriting, Turn
from generation.answers import ClientOf
from tests.generation.conftest import LAST, App, until
from tests.provider.answers import chunk, completion, error
from tests.provider.server import Chunks, Drop, Hang, ProviderServer, Reply

PATIENCE = 120.0
WHAT = ChatCompletionsRequest.of_prompts("What?", n=2)
EITHER_WAY = pytest.mark.parametrize("is_streamed", [True, False])


def ask(
    app: App,
    *,
    is_streamed: bool = True,
    request: ChatCompletionsRequest = WHAT,
    client_of: Callable[[Turn], ClientOf] | None = None,
) -> Turn:
    """Ask for an answer at a place, as `runtime.start_alone` does."""
    saved = app.database.configurations.all(app.me)[0]
    start = CallStart("translate", "call_api", saved.id, saved.display_name, "gpt-test")
    turn = app.database.lone_answers.begin(app.me, "translate", request.body("gpt-test"), start)
    made = client_of(turn) if client_of else app.client_of
    app.answers.write(app.me, turn, made, request, is_streamed=is_streamed)
    return turn


def last(app: App) -> LoneAnswer:
    answer = app.database.lone_answers.last(app.me, "translate")
    assert answer is not None
    return answer


def test_words_are_stored_as_they_come_and_the_response_at_the_end(server: ProviderServer, app: App) -> None:
    gate = Event()
    server.next(Chunks([chunk("Hel"), gate, chunk("lo"), chunk("Hi", index=1), chunk(finish_reason="stop")]))
    turn = ask(app)
    until(lambda: last(app).content == "Hel")
    assert last(app).response is None
    gate.set()
    assert app.answers.wait(turn.answer_id, PATIENCE)
    answer = last(app)
    assert (answer.content, answer.status) == ("Hello", MessageStatus.COMPLETE)
    assert answer.response is not None
    assert [choice.message.content for choice in answer.response.choices] == ["Hello", "Hi"]
    assert answer.sent == server.requests[-1].body
    assert answer.sent["stream"] is True


def test_an_answer_that_is_not_streamed_comes_in_one_piece(server: ProviderServer, app: App) -> None:
    server.next(Reply(200, completion("One", "Two")))
    turn = ask(app, is_streamed=False)
    assert app.answers.wait(turn.answer_id, PATIENCE)
    answer = last(app)
    assert (answer.content, answer.call.status) == ("One", CallStatus.DONE)
    assert answer.response is not None
    assert len(answer.response.choices) == 2
    assert answer.sent == server.requests[-1].body
    assert "stream" not in answer.sent


def test_the_refusal_of_a_provider_is_stored_with_the_answer(server: ProviderServer, app: App) -> None:
    for is_streamed in (True, False):
        server.next(Reply(400, error("Not taken.")))
        turn = ask(app, is_streamed=is_streamed)
        assert app.answers.wait(turn.answer_id, PATIENCE)
        assert (last(app).status, last(app).call.status) == (MessageStatus.FAILED, CallStatus.FAILED)
        assert "Not taken." in str(last(app).call.error)


def test_a_whole_answer_that_is_waited_for_can_be_stopped(server: ProviderServer, app: App) -> None:
    server.next(Hang())
    turn = ask(app, is_streamed=False)
    until(lambda: server.requests)
    app.answers.stop(app.me, turn.answer_id)
    assert app.answers.wait(turn.answer_id, PATIENCE)
    assert (last(app).status, last(app).call.status) == (MessageStatus.STOPPED, CallStatus.STOPPED)
    server.next(Reply(200, completion("Next")))
    assert app.answers.wait(ask(app, is_streamed=False).answer_id, PATIENCE)
    assert last(app).content == "Next"


def test_an_unstreamed_answer_that_arrives_while_it_is_stopped_keeps_its_text(server: ProviderServer, app: App) -> None:
    def client_of(turn: Turn) -> ClientOf:
        def made(book: Callable[[CallReport], None]) -> Client:
            def stop_and_book(report: CallReport) -> None:
                book(report)
                app.answers.stop(app.me, turn.answer_id)

            return app.client_of(stop_and_book)

        return made

    server.next(Reply(200, completion("One", "Two")))
    turn = ask(app, is_streamed=False, client_of=client_of)
    assert app.answers.wait(turn.answer_id, PATIENCE)
    answer = last(app)
    assert (answer.content, answer.status, answer.call.status) == ("One", MessageStatus.COMPLETE, CallStatus.DONE)
    assert answer.response is not None


@EITHER_WAY
def test_an_answer_stopped_before_it_is_sent_sends_no_request(
    server: ProviderServer, app: App, is_streamed: bool
) -> None:
    def client_of(turn: Turn) -> ClientOf:
        def made(book: Callable[[CallReport], None]) -> Client:
            app.answers.stop(app.me, turn.answer_id)
            return app.client_of(book)

        return made

    turn = ask(app, is_streamed=is_streamed, client_of=client_of)
    assert app.answers.wait(turn.answer_id, PATIENCE)
    assert (last(app).status, last(app).call.status) == (MessageStatus.STOPPED, CallStatus.STOPPED)
    server.next(Reply(200, completion("Next")))
    assert app.answers.wait(ask(app, is_streamed=False).answer_id, PATIENCE)
    assert len(server.requests) == 1


@EITHER_WAY
def test_reasoning_and_refusals_are_stored_streamed_or_not(server: ProviderServer, app: App, is_streamed: bool) -> None:
    message = {"role": "assistant", "content": None, "refusal": "I will not.", "reasoning_content": "Hm."}
    whole = completion(choices=[{"index": 0, "message": message, "finish_reason": "stop"}])
    delta = [{"index": 0, "delta": message, "finish_reason": "stop"}]
    server.next(Chunks([chunk(choices=delta)]) if is_streamed else Reply(200, whole))
    turn = ask(app, is_streamed=is_streamed)
    assert app.answers.wait(turn.answer_id, PATIENCE)
    assert (last(app).content, last(app).reasoning) == ("I will not.", "Hm.")
    assert last(app).status is MessageStatus.COMPLETE


@pytest.mark.parametrize(
    "odd",
    [
        completion("One", created="never", usage=[1]) | {"id": None},
        {"choices": [{"index": 0, "message": {"content": "One"}, "finish_reason": None}]},
        {"choices": [{"message": {"content": [{"type": "text", "text": "One"}]}}], "of_tomorrow": {"a": [1]}},
        {"choices": [{"index": 0, "message": {"content": "One", "tool_calls": [{"id": 7}]}}]},
    ],
    ids=range(4),
)
def test_a_malformed_unstreamed_response_is_stored_as_received(
    server: ProviderServer, app: App, odd: dict[str, Any]
) -> None:
    server.next(Reply(200, odd))
    turn = ask(app, is_streamed=False)
    assert app.answers.wait(turn.answer_id, PATIENCE)
    answer = last(app)
    assert (answer.content, answer.status, answer.call.status) == ("One", MessageStatus.COMPLETE, CallStatus.DONE)
    assert answer.response is not None
    assert set(answer.response.to_dict(mode="json", warnings=False)) >= set(odd)


def test_an_unstreamed_answer_without_text_is_complete(server: ProviderServer, app: App) -> None:
    server.next(Reply(200, {"choices": [{"index": 0}]}))
    turn = ask(app, is_streamed=False)
    assert app.answers.wait(turn.answer_id, PATIENCE)
    assert (last(app).content, last(app).status) == ("", MessageStatus.COMPLETE)


def test_an_answer_without_a_choice_fails(server: ProviderServer, app: App) -> None:
    server.next(Reply(200, completion(choices=[])))
    turn = ask(app, is_streamed=False)
    assert app.answers.wait(turn.answer_id, PATIENCE)
    answer = last(app)
    assert (answer.content, answer.status, answer.call.error_kind) == ("", MessageStatus.FAILED, "unreadable_answer")
    assert answer.call.total_tokens == 0


def test_a_lost_connection_fails_an_unstreamed_answer(server: ProviderServer, app: App) -> None:
    server.next(Drop())
    turn = ask(app, is_streamed=False)
    assert app.answers.wait(turn.answer_id, PATIENCE)
    answer = last(app)
    assert (answer.content, answer.status, answer.call.status) == ("", MessageStatus.FAILED, CallStatus.FAILED)
    assert answer.call.error_kind == "connection_failed"
    assert answer.response is None


def test_an_answer_that_is_cut_off_keeps_its_text(server: ProviderServer, app: App) -> None:
    server.next(Chunks([chunk("Hel"), chunk("lo")], then="close"))
    turn = ask(app)
    assert app.answers.wait(turn.answer_id, PATIENCE)
    answer = last(app)
    assert (answer.content, answer.status) == ("Hello", MessageStatus.INTERRUPTED)
    assert answer.response is not None
    assert answer.response.choices[0].message.content == "Hello"


@EITHER_WAY
def test_the_result_of_an_answer_is_stored_once(server: ProviderServer, app: App, is_streamed: bool) -> None:
    is_refused = Event()

    def client_of(*arguments: Any) -> Client:
        is_refused.wait(PATIENCE)
        return app.client_of(*arguments)

    turn = ask(app, is_streamed=is_streamed, client_of=lambda turn: client_of)
    with pytest.raises(StillWriting):
        ask(app)
    is_refused.set()
    assert app.answers.wait(turn.answer_id, PATIENCE)
    app.answers.stop(app.me, turn.answer_id)
    (call,) = app.database.calls.recent(app.me)
    assert (call.id, call.status, call.operation) == (turn.call_id, CallStatus.DONE, "call_api")
    assert call.total_tokens
    assert last(app).call == call


def test_a_parameter_that_the_model_refused_is_not_in_the_sent_request(server: ProviderServer, app: App) -> None:
    saved = app.database.configurations.all(app.me)[0]
    refused = (
        "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) is supported."
    )

    def client_of(_: Turn) -> ClientOf:
        opened = app.database.configurations.open(app.me, saved.id)
        learnt = app.database.adaptations.of(app.me, saved.id)
        return lambda book: Client(opened, on_call=book, learnt=learnt)

    request = ChatCompletionsRequest.of_prompts("What?", temperature=0.2)
    server.next(Reply(400, error(refused, param="temperature", code="unsupported_value")))
    for attempts in (2, 1):  # the second time it is known
        turn = ask(app, request=request, client_of=client_of)
        assert app.answers.wait(turn.answer_id, PATIENCE)
        answer = last(app)
        assert (answer.status, answer.call.attempts) == (MessageStatus.COMPLETE, attempts)
        assert answer.request["temperature"] == 0.2
        assert answer.sent == server.requests[-1].body
        assert "temperature" not in answer.sent
        assert len(answer.call.adaptations) == 1


@EITHER_WAY
def test_megabytes_of_pictures_are_stored_once(server: ProviderServer, app: App, path: Path, is_streamed: bool) -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'iVBORw0K' * 640_000}"}}
    content = [{"type": "text", "text": "What is this?"}, picture]
    request = ChatCompletionsRequest.of_body({"messages": [{"role": "user", "content": content}]})
    turn = ask(app, request=request, is_streamed=is_streamed)
    assert app.answers.wait(turn.answer_id, PATIENCE)
    answer = last(app)
    assert answer.status is MessageStatus.COMPLETE
    assert answer.request["messages"] == [{"role": "user", "content": content}]
    assert answer.sent == server.requests[-1].body
    with closing(sqlite3.connect(path)) as file:
        asked, sent = file.execute("SELECT length(request), length(sent) FROM messages").fetchone()
    assert asked > 5_000_000
    assert sent < 200


def test_a_stop_in_another_process_reaches_the_one_that_writes(
    server: ProviderServer, app: App, open_app: Callable[..., App]
) -> None:
    server.next(Chunks([chunk("Hel"), Event(), chunk("lo"), LAST]))
    turn = ask(app)
    other = open_app()
    until(lambda: last(other).content == "Hel")
    with pytest.raises(StillWriting):
        ask(other)
    other.answers.stop(other.me, turn.answer_id)
    assert server.disconnected.wait(PATIENCE)
    until(lambda: last(other).status is MessageStatus.STOPPED)
    assert (last(other).content, last(other).call.status) == ("Hel", CallStatus.STOPPED)


@EITHER_WAY
def test_clearing_a_place_stops_the_writer_and_stores_its_call(
    server: ProviderServer, app: App, is_streamed: bool
) -> None:
    server.next(Chunks([chunk("Hel"), Event(), LAST]) if is_streamed else Hang())
    turn = ask(app, is_streamed=is_streamed)
    until(lambda: last(app).content == "Hel" if is_streamed else server.requests)
    app.database.chat_sessions.delete(app.me, turn.session_id)
    assert app.answers.wait(turn.answer_id, PATIENCE)
    assert app.database.calls.get(app.me, turn.call_id).status is CallStatus.STOPPED
    assert app.database.lone_answers.last(app.me, "translate") is None
    assert app.answers.wait(ask(app).answer_id, PATIENCE)
    assert last(app).status is MessageStatus.COMPLETE


@EITHER_WAY
def test_close_stops_a_lone_answer(
    server: ProviderServer, app: App, open_app: Callable[..., App], is_streamed: bool
) -> None:
    server.next(Hang())
    ask(app, is_streamed=is_streamed)
    until(lambda: server.requests)
    app.close()
    answer = last(open_app())
    assert (answer.status, answer.call.status) == (MessageStatus.STOPPED, CallStatus.STOPPED)
