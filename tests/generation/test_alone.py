"""Answers that stand alone are written like those of a chat; one that is not streamed comes in one piece."""

from threading import Event

from connector import CallStatus, ChatCompletionsRequest
from db import CallStart, LoneAnswer, MessageStatus, Turn
from tests.generation.conftest import App, until
from tests.provider.answers import chunk, completion, error
from tests.provider.server import Chunks, Hang, ProviderServer, Reply

PATIENCE = 10.0


def ask(app: App, *, is_streamed: bool = True) -> Turn:
    """Ask for an answer at a place, as `runtime.start_alone` does."""
    saved = app.database.configurations.all(app.me)[0]
    start = CallStart("translate", "call_api", saved.id, saved.display_name, "gpt-test")
    request = ChatCompletionsRequest.of_prompts("What?", n=2)
    turn = app.database.turns.begin_alone(app.me, "translate", request.body("gpt-test"), start)
    app.answers.write(app.me, turn, app.client_of, request, is_streamed=is_streamed)
    return turn


def last(app: App) -> LoneAnswer:
    answer = app.database.turns.last_alone(app.me, "translate")
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


def test_what_a_provider_refuses_is_told_with_the_answer(server: ProviderServer, app: App) -> None:
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
