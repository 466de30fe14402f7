"""What becomes of a whole answer."""

from typing import Any

import pytest

from connector import (
    CallReport,
    CallStatus,
    ChatCompletionsRequest,
    ChatCompletionsResponse,
    ChatCompletionsSession,
    Client,
    Message,
    Role,
    UnreadableAnswer,
    UsageSource,
    filtered_of,
    text_of,
)
from tests.connector.conftest import REQUEST, account, each_form
from tests.provider.answers import chunk, completion, usage
from tests.provider.server import Chunks, ProviderServer, Reply

GOLDEN: dict[str, Any] = {
    "id": "chatcmpl-9Xk2",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "gpt-4-0613",
    "system_fingerprint": "fp_44709d6fcb",
    "service_tier": "default",
    "field_of_tomorrow": {"deep": [1, 2]},
    "choices": [
        {
            "index": 1,
            "message": {"role": "assistant", "content": None, "refusal": "No.", "mood": "stern"},
            "logprobs": None,
            "finish_reason": "content_filter",
        },
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Grüße 👍", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
            "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}},
        },
    ],
    "usage": {
        "prompt_tokens": 13,
        "completion_tokens": 7,
        "total_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 3},
        "tokens_of_tomorrow": 9,
    },
}


def choice(**changes: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "Hello", "refusal": None}
    return {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"} | changes


def test_every_attribute_of_a_response_is_there(server: ProviderServer, client: Client) -> None:
    server.next(Reply(200, GOLDEN, headers={"x-request-id": "req-9"}))
    response = client.call_api(REQUEST)
    assert response.id == "chatcmpl-9Xk2"
    assert response.object == "chat.completion"
    assert response.created == 1_700_000_000
    assert response.model == "gpt-4-0613"
    assert response.system_fingerprint == "fp_44709d6fcb"
    assert [each.index for each in response.choices] == [1, 0]
    assert [each.finish_reason for each in response.choices] == ["content_filter", "stop"]
    first = response.choices[1].message
    assert (first.role, first.content, first.refusal) == ("assistant", "Grüße 👍", None)
    assert (response.choices[0].message.content, response.choices[0].message.refusal) == (None, "No.")
    assert response.usage is not None
    assert (response.usage.prompt_tokens, response.usage.completion_tokens, response.usage.total_tokens) == (13, 7, 20)
    assert response.usage.prompt_tokens_details is not None
    assert response.usage.prompt_tokens_details.cached_tokens == 5
    assert response.usage.completion_tokens_details is not None
    assert response.usage.completion_tokens_details.reasoning_tokens == 3
    assert response._request_id == "req-9"
    assert text_of(response) == "Grüße 👍"


def test_a_refusal_is_sent_back_with_the_next_request(server: ProviderServer, client: Client) -> None:
    server.next(Reply(200, completion("x", choices=[choice(message={"role": "assistant", "refusal": "No."})])))
    refused = Message.of_answer(client.call_api(REQUEST).choices[0].message)
    user = Message(role=Role.USER, content="Why?")
    client.call_api(ChatCompletionsRequest(messages=(refused, user)))
    assert server.requests[1].body["messages"] == [
        {"role": "assistant", "refusal": "No."},
        {"role": "user", "content": "Why?"},
    ]


def test_unknown_fields_are_kept(server: ProviderServer, client: Client) -> None:
    server.next(Reply(200, GOLDEN))
    dumped = client.call_api(REQUEST).model_dump(exclude_unset=True)
    assert dumped == GOLDEN


def test_the_simple_operations_return_the_choice_with_index_0(server: ProviderServer, client: Client) -> None:
    session = ChatCompletionsSession()
    session.add_message(Role.USER, "Hello")
    server.next(Reply(200, GOLDEN), Reply(200, GOLDEN))
    assert client.execute_without_history("Hello") == "Grüße 👍"
    assert client.execute_with_history(session) == "Grüße 👍"


@each_form
def test_all_choices_are_returned(server: ProviderServer, form: str) -> None:
    request = type(REQUEST).of_prompts("Hi", n=3)
    response = Client(account(server, form)).call_api(request)
    assert [(each.index, each.message.content) for each in response.choices] == [
        (number, f"Answer {number} to: Hi") for number in range(3)
    ]


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "tool_calls", "function_call", "weird_new"])
def test_known_and_unknown_finish_reasons_are_kept(server: ProviderServer, client: Client, reason: str) -> None:
    server.next(Reply(200, completion("x", choices=[choice(finish_reason=reason)])))
    assert [each.finish_reason for each in client.call_api(REQUEST).choices] == [reason]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None},
        {"role": "assistant"},
        {"role": "assistant", "content": "", "refusal": "I will not."},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {},
        None,
    ],
)
def test_an_answer_without_text_is_an_empty_text(server: ProviderServer, client: Client, message: object) -> None:
    server.next(Reply(200, completion("x", choices=[choice(message=message, finish_reason="tool_calls")])))
    assert client.execute_without_history("Hello") == ""


def test_tool_calls_of_a_complete_answer_are_returned(server: ProviderServer, client: Client) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln"}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    server.next(Reply(200, completion("x", choices=[choice(message=message, finish_reason="tool_calls")])))
    calls = client.call_api(REQUEST).choices[0].message.tool_calls
    assert calls is not None
    assert [each.model_dump(exclude_unset=True) for each in calls] == [call]


@pytest.mark.parametrize("usage", [None, {}, "many", {"prompt_tokens": None}, {"prompt_tokens": "x", "n": 1}, "absent"])
def test_missing_usage_is_unknown_and_not_zero(
    server: ProviderServer, client: Client, reports: list[CallReport], usage: object
) -> None:
    body = completion("Hello", usage=usage)
    if usage == "absent":
        del body["usage"]
    server.next(Reply(200, body))
    assert text_of(client.call_api(REQUEST)) == "Hello"
    assert reports[0].usage is None
    assert reports[0].usage_source is UsageSource.UNKNOWN
    assert reports[0].status is CallStatus.DONE


@pytest.mark.parametrize(
    "sloppy",
    [
        {"object": None},
        {"object": ""},
        {"created": "1700000000"},
        {"created": None},
        {"id": None},
        {"model": None},
        {"system_fingerprint": None},
        {"service_tier": "on_demand"},
        {"choices": [choice(index=None)]},
        {"choices": [choice(finish_reason=None)]},
        {"choices": [{"message": {"content": "Hello"}}]},
        {"choices": [choice(logprobs={"content": [{"token": "H"}]})]},
        {"usage": {"prompt_tokens": 3, "completion_tokens": 4}},
    ],
)
def test_an_answer_that_deviates_from_the_schema_is_accepted(
    server: ProviderServer, client: Client, sloppy: dict[str, Any]
) -> None:
    server.next(*[Reply(200, completion("Hello", **sloppy))] * 2)
    assert client.execute_without_history("Hi") == "Hello"
    assert "".join(client.stream(REQUEST)) == "Hello"


def test_an_answer_with_nothing_but_choices_is_an_answer(server: ProviderServer, client: Client) -> None:
    server.next(Reply(200, {"choices": [{"message": {"content": "Hello"}}]}))
    assert client.execute_without_history("Hi") == "Hello"


@pytest.mark.parametrize(
    "body",
    [
        completion("x", object="text_completion"),
        completion("x", object="list"),
        completion("x", choices=None),
        completion("x", choices={"0": choice()}),
        completion("x", choices=[None]),
        completion("x", choices=["Hello"]),
        completion("x", choices=[choice(message="Hello")]),
        completion("x", choices=[choice(message={"content": 5})]),
        completion("x", choices=[choice(index="first")]),
        completion("x", choices=[choice(finish_reason={"type": "stop"})]),
        completion("x", _fields_set=5, usage={}),
    ],
)
def test_other_responses_are_not_accepted_as_chat_completions(
    server: ProviderServer, client: Client, reports: list[CallReport], body: object
) -> None:
    server.next(Reply(200, body), Reply(200, body))
    with pytest.raises(UnreadableAnswer, match="not a chat completion"):
        client.execute_without_history("Hi")
    with pytest.raises(UnreadableAnswer, match="not a chat completion"):
        client.stream(REQUEST)
    assert [each.status for each in reports] == [CallStatus.FAILED] * 2


@pytest.mark.parametrize(
    "choices", [[], [choice(index=1)], [{"index": 0, "text": "Hello", "finish_reason": "stop"}]], ids=str
)
def test_an_answer_without_a_first_choice_is_an_error_and_its_tokens_are_reported(
    server: ProviderServer, client: Client, reports: list[CallReport], choices: list[Any]
) -> None:
    body = completion("x", choices=choices, usage=usage(3, "one"))
    server.next(Reply(200, body), Reply(200, body))
    with pytest.raises(UnreadableAnswer, match="sent an answer without a choice"):
        client.call_api(REQUEST)
    with (
        pytest.raises(UnreadableAnswer, match="sent an answer without a choice") as caught,
        client.stream(REQUEST) as s,
    ):
        list(s)
    assert caught.value.reason == "no_choice"
    assert [each.status for each in reports] == [CallStatus.FAILED] * 2
    assert [each.usage.total_tokens if each.usage else None for each in reports] == [4, 4]


@pytest.mark.parametrize("choices", [[], [choice(index=1)], [{"index": 0, "text": "Hello", "finish_reason": "stop"}]])
def test_a_stream_without_a_first_choice_is_an_error(
    server: ProviderServer, client: Client, reports: list[CallReport], choices: list[Any]
) -> None:
    changed = [{("delta" if name == "message" else name): value for name, value in each.items()} for each in choices]
    server.next(Chunks([chunk(choices=changed), chunk(choices=[], usage=usage(3, "one"))]))
    with pytest.raises(UnreadableAnswer, match="sent an answer without a choice"):
        list(client.stream(REQUEST))
    assert reports[0].usage is not None
    assert reports[0].usage.total_tokens == 4


def test_filtered_content_is_reported_by_category() -> None:
    stopped = {
        "hate": {"filtered": False, "severity": "safe"},
        "self_harm": {"filtered": True, "severity": "medium"},
        "jailbreak": {"filtered": True, "detected": True},
        "odd": "yes",
    }
    answer = completion("One", "Two")
    answer["choices"][0]["content_filter_results"] = stopped
    answer["choices"][1]["content_filter_results"] = {"violence": {"filtered": True, "severity": "high"}}
    response = ChatCompletionsResponse.model_validate(answer)
    assert filtered_of(response) == {"self_harm": "medium", "jailbreak": "detected"}
    assert filtered_of(ChatCompletionsResponse.model_validate(completion("One"))) == {}
