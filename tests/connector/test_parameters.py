"""Every parameter of the SDK is a field: none is missing, each arrives, each refuses what the reference refuses."""

import inspect
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pytest
from openai.resources.chat.completions import Completions
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from pydantic import BaseModel, Field
from pydantic.dataclasses import dataclass

from connector import ChatCompletionsRequest, Client, InvalidRequest, Message, Role
from tests.connector.conftest import account, each_form
from tests.provider.answers import completion
from tests.provider.server import ProviderServer, Reply

NOT_OF_THE_BODY = {"self", "stream", "extra_headers", "extra_query", "extra_body", "timeout"}
TOOL = {"type": "function", "function": {"name": "close", "description": "Close it.", "parameters": {"type": "object"}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}, "strict": True}}
VALUES: dict[str, Any] = {
    "audio": {"format": "mp3", "voice": "alloy"},
    "frequency_penalty": 0.0,
    "function_call": "none",
    "functions": ({"name": "old", "parameters": {"type": "object"}},),
    "logit_bias": {"50256": -100},
    "logprobs": False,
    "max_completion_tokens": 1,
    "max_tokens": 1,
    "metadata": {"team": "blue"},
    "modalities": ("text", "audio"),
    "moderation": {"model": "omni-moderation-latest"},
    "n": 2,
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "Much the same."},
    "presence_penalty": -2.0,
    "prompt_cache_key": "team-blue",
    "prompt_cache_options": {"mode": "explicit"},
    "prompt_cache_retention": "24h",
    "reasoning_effort": "none",
    "response_format": SCHEMA,
    "safety_identifier": "5f2b",
    "seed": 0,
    "service_tier": "flex",
    "stop": (".", "!"),
    "store": False,
    "temperature": 0.0,
    "tool_choice": {"type": "function", "function": {"name": "close"}},
    "tools": (TOOL,),
    "top_logprobs": 0,
    "top_p": 0.0,
    "user": "somebody",
    "verbosity": "low",
    "web_search_options": {"search_context_size": "low"},
}
# What the published description of OpenAI, a few months older than the SDK, does not have yet.
NEWER = {"moderation", "prompt_cache_options"}


def sdk_parameters() -> set[str]:
    return set(inspect.signature(Completions.create).parameters) - NOT_OF_THE_BODY


def request(**options: Any) -> ChatCompletionsRequest:
    return ChatCompletionsRequest.of_prompts("Hello", **options)


def as_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def test_every_parameter_of_the_installed_sdk_is_a_field_and_no_other() -> None:
    assert set(ChatCompletionsRequest.model_fields) - {"extra"} == sdk_parameters()


def test_every_choice_that_the_sdk_names_is_offered_and_no_other() -> None:
    ours = {name: choices(field.annotation) for name, field in ChatCompletionsRequest.model_fields.items()}
    hints = get_type_hints(CompletionCreateParamsBase)
    sdk = {name: choices(hints[name]) for name in sdk_parameters()}
    objects = {"function_call", "tool_choice"}  # a word or an object, and checked by the provider
    for name in sdk_parameters() - objects - {"model", "messages"}:
        assert ours[name] == sdk[name], name


def choices(annotation: Any) -> set[Any]:
    """The words of all Literals in a type, those inside objects left out."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return {choice for each in get_args(annotation) for choice in choices(each)}


def test_the_list_of_this_test_is_complete() -> None:
    assert set(VALUES) == sdk_parameters() - {"messages", "model", "stream_options"}


@pytest.mark.parametrize("name", VALUES)
def test_each_parameter_is_sent_unchanged_and_without_others(server: ProviderServer, name: str) -> None:
    server.also_allowed = frozenset(NEWER)
    Client(account(server)).call_api(request(**{name: VALUES[name]}))
    body = server.requests[0].body
    assert set(body) == {"model", "messages", name}
    assert body[name] == as_json(VALUES[name])


def test_all_parameters_can_be_sent_together(server: ProviderServer) -> None:
    server.also_allowed = frozenset(NEWER)
    Client(account(server)).call_api(request(**VALUES))
    expected = {name: as_json(value) for name, value in VALUES.items()}
    assert {name: server.requests[0].body[name] for name in VALUES} == expected


@each_form
def test_a_stream_asks_for_its_usage_and_keeps_other_options(server: ProviderServer, form: str) -> None:
    client = Client(account(server, form))
    list(client.stream(request()))
    list(client.stream(request(stream_options={"include_usage": False})))
    client.call_api(request(stream_options={"include_usage": True}))
    sent = [received.body.get("stream_options") for received in server.requests]
    assert sent == [{"include_usage": True}, {"include_usage": False}, None]
    assert "stream" not in server.requests[2].body


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("presence_penalty", 2.01, "Presence penalty must be a number from -2 to 2."),
        ("top_logprobs", 21, "Top logprobs must be a whole number from 0 to 20."),
        ("top_logprobs", 1.5, "Top logprobs must be a whole number from 0 to 20."),
        ("logprobs", "yes", "Logprobs must be true or false."),
        ("store", 1, "Store must be true or false."),
        ("verbosity", 1, "Verbosity must be a text such as low, medium or high."),
        ("prompt_cache_retention", True, "Prompt cache retention must be a text such as in_memory or 24h."),
        ("stop", ("a", "b", "c", "d", "e"), "Stop: at most 4 entries."),
        ("stop", "", "Stop: enter a text."),
        ("stop", (), "Stop: enter at least one."),
        ("stop", [], "Stop: enter at least one."),
        ("stop", ["a", 7], "Stop: item 2 must be a text."),
        ("stop", 7, "Stop must be a text or a list."),
        ("logit_bias", {"1": 101}, "Logit bias: “1” should be less than or equal to 100."),
        ("logit_bias", {50256: -100}, "Logit bias: each name must be a text."),
        ("logit_bias", {"1": 0.5}, "Logit bias: “1” must be a whole number."),
        ("logit_bias", [1], "Logit bias must be an object with names and values."),
        ("metadata", {f"name {number}": "x" for number in range(17)}, "Metadata: at most 16 entries."),
        ("metadata", {"x" * 65: "y"}, "Metadata: each name should have at most 64 characters."),
        ("metadata", {"x": "y" * 513}, "Metadata: “x” should have at most 512 characters."),
        ("metadata", {"x": 7}, "Metadata: “x” must be a text."),
        ("safety_identifier", "x" * 129, "Safety identifier: at most 128 characters."),
        ("tools", ("close",), "Tools: item 1 must be an object with names and values."),
        ("tools", [print], "Tools: item 1 must be an object with names and values."),
        ("tools", print, "Tools must be a list."),
        ("tool_choice", 7, "Tool choice must be a text or an object with names and values."),
        ("modalities", ("text", 7), "Modalities: item 2 must be a text."),
        ("messages", (), "Messages: enter at least one."),
        ("response_format", "json", "Response format must be an object with names and values."),
        ("response_format", {"type": float("nan")}, None),
        ("stream", True, "There is no field “stream”."),
    ],
)
def test_values_outside_the_reference_are_refused(name: str, value: Any, sentence: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ChatCompletionsRequest(**{"messages": (Message(role=Role.USER, content="Hello"),), name: value})
    assert list(caught.value.problems) == [name]
    assert str(caught.value).endswith(".")
    if sentence:
        assert str(caught.value) == sentence


# -- structure


class Ticket(BaseModel):
    """Open a ticket."""

    title: str = Field(description="In one line")
    priority: int | None = None


def test_a_pydantic_class_is_sent_as_a_response_format(server: ProviderServer) -> None:
    Client(account(server)).call_api(request(response_format=Ticket))
    sent = server.requests[0].body["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["name"] == "Ticket"
    assert sent["json_schema"]["strict"] is True
    schema = sent["json_schema"]["schema"]
    assert schema["required"] == ["title", "priority"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["title"] == {"description": "In one line", "title": "Title", "type": "string"}


@dataclass
class Answer:
    """A pydantic dataclass, as some programs have them instead of classes."""

    title: Annotated[str, Field(description="In one line")]
    urgent: bool


def test_a_pydantic_dataclass_is_sent_as_a_response_format_and_as_a_tool(server: ProviderServer) -> None:
    Client(account(server)).call_api(request(response_format=Answer, tools=(Answer,)))
    sent = server.requests[0].body
    schema = sent["response_format"]["json_schema"]
    assert (schema["name"], schema["strict"]) == ("Answer", True)
    assert schema["schema"]["required"] == ["title", "urgent"]
    assert schema["schema"]["additionalProperties"] is False
    assert schema["schema"]["properties"]["title"]["description"] == "In one line"
    assert sent["tools"][0]["function"]["parameters"] == schema["schema"]


def test_a_pydantic_class_is_sent_as_a_tool(server: ProviderServer) -> None:
    Client(account(server)).call_api(request(tools=(Ticket,)))
    [sent] = server.requests[0].body["tools"]
    assert sent["type"] == "function"
    assert sent["function"]["name"] == "Ticket"
    assert sent["function"]["description"] == "Open a ticket."
    assert set(sent["function"]["parameters"]["properties"]) == {"title", "priority"}


@pytest.mark.parametrize("response_format", [{"type": "text"}, {"type": "json_object"}, SCHEMA])
@each_form
def test_each_response_format_is_sent_in_each_form(
    server: ProviderServer, form: str, response_format: dict[str, Any]
) -> None:
    Client(account(server, form)).call_api(request(response_format=response_format))
    assert server.requests[0].body["response_format"] == response_format


# -- messages


@each_form
def test_pictures_are_parts_of_a_message(server: ProviderServer, form: str) -> None:
    parts: Any = (
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}},
    )
    message = Message(role=Role.USER, content=parts)
    assert message.text == "What is it?"
    Client(account(server, form)).call_api(ChatCompletionsRequest(messages=(message,)))
    assert server.requests[0].body["messages"] == [{"role": "user", "content": list(parts)}]


@each_form
def test_a_tool_call_is_received_and_sent_back(server: ProviderServer, form: str) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "close", "arguments": '{"id": 7}'}}
    answer = {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None}
    choice = {"index": 0, "message": answer, "finish_reason": "tool_calls", "logprobs": None}
    server.next(Reply(200, completion(choices=[choice])))
    client = Client(account(server, form))
    tools: Any = (TOOL,)
    response = client.call_api(request(tools=tools))
    asked = Message.of_answer(response.choices[0].message)
    result = Message(role=Role.TOOL, content="Closed.", tool_call_id="call_1")
    user = Message(role=Role.USER, content="Close ticket 7")
    client.call_api(ChatCompletionsRequest(messages=(user, asked, result), tools=tools))
    assert server.requests[1].body["messages"] == [
        {"role": "user", "content": "Close ticket 7"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "Closed.", "tool_call_id": "call_1"},
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("verbosity", "chatty"),
        ("reasoning_effort", "ultra"),
        ("service_tier", "ludicrous"),
        ("prompt_cache_retention", "72h"),
        ("modalities", ("text", "video")),
    ],
)
def test_a_value_that_is_newer_than_this_package_is_sent(name: str, value: Any) -> None:
    body = request(**{name: value}).body("gpt-test")
    assert body[name] == (list(value) if isinstance(value, tuple) else value)
    assert ChatCompletionsRequest.of_body(body) == request(model="gpt-test", **{name: value})


def test_developer_and_names_are_sent(server: ProviderServer) -> None:
    messages = (
        Message(role=Role.DEVELOPER, content="Be brief."),
        Message(role=Role.USER, content="Hello", name="ann"),
        Message(role=Role.ASSISTANT, content=None, refusal="No."),
        Message(role=Role.USER, content="Why?", name="bob"),
    )
    Client(account(server)).call_api(ChatCompletionsRequest(messages=messages))
    assert server.requests[0].body["messages"] == [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hello", "name": "ann"},
        {"role": "assistant", "refusal": "No."},
        {"role": "user", "content": "Why?", "name": "bob"},
    ]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"role": "user"}, "content"),
        ({"role": "user", "content": ({"text": "no type"},)}, "content"),
        ({"role": "user", "content": "half \ud83d"}, "content"),
        ({"role": "user", "content": ({"type": "text", "text": "half \ud83d"},)}, "content"),
        ({"role": "assistant"}, "content"),
        ({"role": "tool", "content": "x"}, "tool_call_id"),
        ({"role": "user", "content": "x", "tool_call_id": "call_1"}, "tool_call_id"),
        ({"role": "user", "content": "x", "tool_calls": ({"id": "call_1"},)}, "tool_calls"),
        ({"role": "nobody", "content": "x"}, "role"),
    ],
)
def test_a_message_that_no_provider_accepts_is_refused(fields: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Message(**fields)
    assert list(caught.value.problems) == [name]
