"""Every operation against servers that others wrote: the real built-in model, and a chaos server with a verdict."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from llmock.pytest_plugin import LLMock
from pydantic import SecretStr

from connector import (
    AnswerInterrupted,
    ApiType,
    CallReport,
    CallStatus,
    ChatCompletionsRequest,
    ChatCompletionsSession,
    Client,
    Configuration,
    ConnectorError,
    KeyRefused,
    NoAnswerInTime,
    NotFoundAtProvider,
    QuotaExceeded,
    RateLimited,
    RequestRefused,
    Role,
    UsageSource,
)
from tests.provider.real_model import RealModel

REPEATABLE: dict[str, Any] = {"temperature": 0, "seed": 1, "max_tokens": 12}


@pytest.fixture(scope="module")
def model() -> Iterator[RealModel]:
    with RealModel() as running:
        yield running


def at(endpoint: str, key: str, model: str, reports: list[CallReport], read: float = 30) -> Client:
    configuration = Configuration(
        display_name="Independent",
        api_type=ApiType.OPENAI,
        endpoint=endpoint,
        api_key=SecretStr(key),
        model_default=model,
    )
    return Client(configuration, on_call=reports.append, timeout=httpx2.Timeout(10, read=read))


@pytest.fixture(params=[pytest.param("the real model", marks=pytest.mark.slow), "llmock"])
def independent(request: pytest.FixtureRequest, reports: list[CallReport]) -> Client:
    if request.param == "llmock":
        chaos: LLMock = request.getfixturevalue("llmock")
        return at(chaos.base_url(), "sk-llmock", "gpt-6-luna", reports)
    real: RealModel = request.getfixturevalue("model")
    return at(real.base_url, real.api_key, real.name, reports)


def test_without_history(independent: Client, reports: list[CallReport]) -> None:
    assert independent.execute_without_history("Name a colour.", system_prompt="Answer with one word.").strip()
    assert reports[0].usage_source is UsageSource.REPORTED


def test_with_history(independent: Client, reports: list[CallReport]) -> None:
    session = ChatCompletionsSession()
    session.add_message(Role.USER, "My name is Ann.")
    session.add_message(Role.ASSISTANT, "Hello Ann.")
    session.add_message(Role.USER, "What is my name?")
    assert independent.execute_with_history(session).strip()
    assert len(session.messages) == 3
    assert [message["role"] for message in reports[0].request["messages"]] == ["user", "assistant", "user"]


def test_the_advanced_operation(independent: Client) -> None:
    response = independent.call_api(ChatCompletionsRequest.of_prompts("Name a colour.", n=2, **REPEATABLE))
    assert sorted(choice.index for choice in response.choices) == [0, 1]
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.prompt_tokens + response.usage.completion_tokens


def test_a_stream_gives_the_text_of_the_whole_answer(independent: Client, reports: list[CallReport]) -> None:
    request = ChatCompletionsRequest.of_prompts("Name a colour.", **REPEATABLE)
    with independent.stream(request) as stream:
        text = "".join(stream)
    assert text == stream.response.choices[0].message.content
    assert stream.response.choices[0].finish_reason in ("stop", "length")
    assert reports[0].status is CallStatus.DONE
    assert reports[0].usage_source is UsageSource.REPORTED
    whole = independent.call_api(request)
    assert whole.choices[0].message.content == text


@pytest.mark.slow
def test_the_real_model_refuses_a_wrong_key(model: RealModel, reports: list[CallReport]) -> None:
    with pytest.raises(KeyRefused):
        at(model.base_url, "sk-wrong-0123456789", model.name, reports).execute_without_history("Hello")


@pytest.mark.slow
def test_the_real_model_keeps_to_a_schema(model: RealModel, reports: list[CallReport]) -> None:
    schema = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}
    response_format: Any = {"type": "json_schema", "json_schema": {"name": "colour", "schema": schema}}
    client = at(model.base_url, model.api_key, model.name, reports)
    request = ChatCompletionsRequest.of_prompts("Name a colour.", response_format=response_format, max_tokens=40)
    text = client.call_api(request).choices[0].message.content
    assert json.loads(text or "")["colour"] in ("red", "blue")


# -- chaos, and the verdict of the server itself


@pytest.fixture
def chaotic(llmock: LLMock, reports: list[CallReport]) -> Client:
    return at(llmock.base_url(), "sk-llmock", "gpt-6-luna", reports)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_transient_failures_are_retried(llmock: LLMock, chaotic: Client, status: int, streamed: bool) -> None:
    llmock.fail(status, times=2, retry_after=0.05)
    text = (
        "".join(chaotic.stream(ChatCompletionsRequest.of_prompts("Hello")))
        if streamed
        else chaotic.execute_without_history("Hello")
    )
    assert text
    assert len(llmock.requests) == 3
    llmock.assert_resilient()


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "invalid_api_key", KeyRefused),
        (429, "insufficient_quota", QuotaExceeded),
        (400, "context_length_exceeded", RequestRefused),
        (404, "model_not_found", NotFoundAtProvider),
    ],
)
def test_permanent_failures_are_not_retried(
    llmock: LLMock, chaotic: Client, status: int, code: str, kind: type[ConnectorError]
) -> None:
    llmock.fail(status, code=code, times=5)
    with pytest.raises(kind):
        chaotic.execute_without_history("Hello")
    assert len(llmock.requests) == 1
    llmock.assert_resilient()


def test_a_long_retry_after_is_reported(llmock: LLMock, chaotic: Client) -> None:
    llmock.rate_limit(retry_after=60)
    with pytest.raises(RateLimited, match="Try again in 60 seconds"):
        chaotic.execute_without_history("Hello")
    llmock.assert_resilient()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("disconnect", AnswerInterrupted), ("truncate", AnswerInterrupted)],
)
def test_a_broken_stream_is_reported_and_its_partial_text_is_kept(
    llmock: LLMock, chaotic: Client, reports: list[CallReport], fault: str, kind: type[ConnectorError]
) -> None:
    getattr(llmock, fault)(after_chunks=3)
    stream = chaotic.stream(ChatCompletionsRequest.of_prompts("Hello"))
    came: list[str] = []
    with pytest.raises(kind), stream:
        came.extend(stream)
    assert stream.response.choices[0].message.content == "".join(came)
    assert reports[0].status is CallStatus.INTERRUPTED
    # The server's verdict would want it tried again; it may have been charged, so that is left to the person.
    assert len(llmock.requests) == 1


def test_a_corrupt_event_costs_that_event_only(llmock: LLMock, chaotic: Client, reports: list[CallReport]) -> None:
    llmock.corrupt(after_chunks=3)
    with chaotic.stream(ChatCompletionsRequest.of_prompts("Hello")) as stream:
        came = "".join(stream)
    assert stream.response.choices[0].message.content == came != ""
    assert (reports[0].status, reports[0].skipped_events) == (CallStatus.DONE, 1)


def test_a_silent_stream_ends_after_the_timeout(llmock: LLMock, reports: list[CallReport]) -> None:
    llmock.stall(after_chunks=2, seconds=30)
    client = at(llmock.base_url(), "sk-llmock", "gpt-6-luna", reports, read=0.3)
    with pytest.raises(NoAnswerInTime):
        list(client.stream(ChatCompletionsRequest.of_prompts("Hello")))


def test_a_tool_call_is_streamed(llmock: LLMock, chaotic: Client) -> None:
    llmock.call_tool("close", {"id": 7})
    with chaotic.stream(ChatCompletionsRequest.of_prompts("Close 7")) as stream:
        kinds = {kind for _, kind, _ in stream.deltas()}
    assert "tool_call" in kinds
    [call] = stream.response.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("close", {"id": 7})
    assert stream.response.choices[0].finish_reason == "tool_calls"
