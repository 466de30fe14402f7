"""Conversations that go on: what a provider sent goes back to it as it wants it."""

from typing import Any

import pytest

from connector import Adaptations, ChatCompletionsRequest, Client, InvalidRequest, Message, Role
from tests.connector.conftest import PATIENCE, REQUEST, account
from tests.provider.answers import chunk, completion, error
from tests.provider.server import Chunks, ProviderServer, Reply

USER = Message(role=Role.USER, content="And now?")
CALL: Any = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
FIELDS = ("reasoning_content", "reasoning", "reasoning_details")


def answered(server: ProviderServer, client: Client, *, stream: bool = False, **message: Any) -> Any:
    """The message that the client receives."""
    if stream:
        server.next(Chunks([chunk(choices=[{"index": 0, "delta": message}]), chunk(finish_reason="stop")]))
        with client.stream(REQUEST) as answer:
            list(answer)
        return answer.response.choices[0].message
    choices = [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}]
    server.next(Reply(200, completion("x", choices=choices)))
    return client.call_api(REQUEST).choices[0].message


@pytest.mark.parametrize("stream", [False, True])
def test_content_is_null_beside_tool_calls(server: ProviderServer, client: Client, stream: bool) -> None:
    message = answered(server, client, stream=stream, content=None, tool_calls=[CALL])
    assert Message.of_answer(message).body() == {"role": "assistant", "content": None, "tool_calls": [CALL]}
    message = answered(server, client, stream=stream, content="I look.", tool_calls=[CALL])
    assert Message.of_answer(message).body()["content"] == "I look."


@pytest.mark.parametrize("form", ["the object", "a dump", "a dump of what was set", "of_answer", "JSON"])
def test_a_message_of_a_response_can_be_appended_in_any_form(server: ProviderServer, client: Client, form: str) -> None:
    sent: Any = {"content": "Hello", "tool_calls": [CALL], "annotations": [], "mood": "calm", "function_call": None}
    message = answered(server, client, **sent, audio=None)
    forms: dict[str, Any] = {
        "the object": message,
        "a dump": message.model_dump(),
        "a dump of what was set": message.to_dict(),
        "of_answer": Message.of_answer(message),
        "JSON": message.model_dump(mode="json"),
    }
    body = ChatCompletionsRequest(messages=(forms[form], USER)).body("gpt-test")
    assert body["messages"][0] == {"role": "assistant", "content": "Hello", "tool_calls": [CALL], "mood": "calm"}


@pytest.mark.parametrize("stream", [False, True])
def test_audio_goes_back_as_its_id(server: ProviderServer, client: Client, stream: bool) -> None:
    audio = {"id": "audio_1", "data": "UklGRg==", "expires_at": 1, "transcript": "Hello"}
    message = answered(server, client, stream=stream, content=None, audio=audio)
    assert Message.of_answer(message).body() == {"role": "assistant", "audio": {"id": "audio_1"}}


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_only_reasoned_can_be_appended(server: ProviderServer, client: Client, stream: bool) -> None:
    message = answered(server, client, stream=stream, content=None, reasoning_content="Hm")
    assert Message.of_answer(message).body() == {"role": "assistant", "content": ""}


@pytest.mark.parametrize("form", ["the object", "a dump"])
def test_calls_go_back_as_openai_sends_them(server: ProviderServer, client: Client, form: str) -> None:
    odd = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": None}}
    message = answered(server, client, content=None, tool_calls=[odd])
    request = ChatCompletionsRequest(messages=(message if form == "the object" else message.model_dump(), USER))
    assert request.body("m")["messages"][0]["tool_calls"] == [CALL]


def test_extra_fields_of_a_message_are_sent_as_they_are() -> None:
    cached: Any = {"cache_control": {"type": "ephemeral"}}
    message = Message(role=Role.USER, content="Hello", extra=cached)
    assert message.body() == {"role": "user", "content": "Hello", **cached}
    request = ChatCompletionsRequest(messages=(message,))
    assert ChatCompletionsRequest.of_body(request.body("m")) == ChatCompletionsRequest(messages=(message,), model="m")
    with pytest.raises(InvalidRequest, match="has a field of its own"):
        Message(role=Role.USER, content="Hello", extra={"name": "x"})
    with pytest.raises(InvalidRequest, match="There is no field “contnt”"):
        Message(role=Role.USER, contnt="Hello")  # type: ignore[call-arg]  # a typing error


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_is_kept_and_not_sent_back(server: ProviderServer, client: Client, name: str, stream: bool) -> None:
    reasoning: Any = [{"type": "reasoning.text", "text": "Hm", "index": 0}] if name.endswith("s") else "Hm"
    message = Message.of_answer(answered(server, client, stream=stream, content="Hello", **{name: reasoning}))
    assert message.reasoning == {name: reasoning}
    assert message.body() == {"role": "assistant", "content": "Hello"}
    assert message.body(reasoning=True) == {"role": "assistant", "content": "Hello", name: reasoning}


WORDS = [
    "The `reasoning_content` in the thinking mode must be passed back to the API.",
    "thinking is enabled but reasoning_content is missing in assistant tool call message at index 1",
    "Missing `reasoning_content` field in the assistant message at message index 2. See the guide.",
]


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("place", ["message", "param"])
def test_reasoning_is_sent_back_to_a_provider_that_requires_it_and_this_is_remembered(
    server: ProviderServer, words: str, place: str
) -> None:
    server.also_allowed = {"reasoning_content"}
    learnt = Adaptations()
    client = Client(account(server), learnt=learnt, timeout=PATIENCE, max_retries=0)
    thought = answered(server, client, content=None, reasoning_content="Hm", tool_calls=[CALL])
    result = Message(role=Role.TOOL, content="{}", tool_call_id="c1")
    request = ChatCompletionsRequest(messages=(USER, thought, result))
    refusal = error(words) if place == "message" else error("Param Incorrect", param=words)
    server.next(Reply(400, refusal), Reply(200, completion("Done")), Reply(200, completion("Again")))
    assert client.call_api(request).choices[0].message.content == "Done"
    assert client.call_api(request).choices[0].message.content == "Again"
    sent = [each.body["messages"][1].get("reasoning_content") for each in server.requests[1:]]
    assert sent == [None, "Hm", "Hm"]
    assert [each.change for each in learnt.of("gpt-test")] == ["reasoning of earlier answers sent back"]
    assert "reasoning_content" not in server.requests[0].body["messages"][0]


def test_a_provider_that_requires_reasoning_that_is_not_there_is_asked_once(server: ProviderServer) -> None:
    client = Client(account(server), learnt=Adaptations(), timeout=PATIENCE, max_retries=0)
    server.next(*[Reply(400, error(WORDS[0]))] * 3)
    with pytest.raises(Exception, match="must be passed back"):
        client.call_api(ChatCompletionsRequest(messages=(USER, Message(role=Role.ASSISTANT, content="Hi"), USER)))
    assert len(server.requests) == 1
