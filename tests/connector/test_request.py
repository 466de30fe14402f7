"""What stands on the wire for what was asked."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from connector import (
    ChatCompletionsRequest,
    ChatCompletionsSession,
    Client,
    InvalidRequest,
    Message,
    Model,
    Role,
    bounds_of,
)
from tests.connector.conftest import FORMS, REQUEST, VERSION, account, each_form
from tests.provider.answers import completion
from tests.provider.server import ProviderServer, Reply

TEXTS = {
    "quotes": 'She said "no", \'maybe\', `never` and """then""".',
    "markup": "<script>alert(1)</script> & <b>{{braces}}</b> \\n \\u0041",
    "lines": "one\ntwo\r\nthree\rfour\ttab\n\n",
    "separators": "a\u2028b\u2029c\u0085d\x0be\x0cf",
    "scripts": "Grüße, Ελληνικά, 日本語, العربية, עברית, हिन्दी",
    "emoji": "👍🏽 👩‍👩‍👧 🇳🇱 \U0010ffff",
    "combining": "e\u0301 is not é",
    "controls": "\x01\x1f\x7f\ufeff\u200b",
    "30,000 words": "\n".join(f"word{number} ü 👍" for number in range(10_000)),
}


# -- where it goes, and with which key


def test_openai_is_called_with_a_bearer_key(server: ProviderServer) -> None:
    Client(account(server)).call_api(REQUEST)
    headers = server.requests[0].headers
    assert server.requests[0].method == "POST"
    assert server.requests[0].path == "/v1/chat/completions"
    assert headers["authorization"] == f"Bearer {server.key}"
    assert "api-key" not in headers
    assert headers["content-type"] == headers["accept"] == "application/json"


@pytest.mark.parametrize("form", ["Azure with a key", "Azure v1 with a key"])
def test_azure_is_called_with_its_key_and_without_authorization(server: ProviderServer, form: str) -> None:
    Client(account(server, form)).call_api(REQUEST)
    headers = server.requests[0].headers
    assert headers["api-key"] == server.key
    assert "authorization" not in headers


@pytest.mark.parametrize("form", ["Azure with a token", "Azure v1 with a token"])
def test_azure_is_called_with_an_entra_token_and_without_api_key(server: ProviderServer, form: str) -> None:
    Client(account(server, form)).call_api(REQUEST)
    headers = server.requests[0].headers
    assert headers["authorization"] == f"Bearer {server.entra_token}"
    assert "api-key" not in headers


@each_form
def test_a_stream_is_requested_at_the_same_address_with_the_same_key(server: ProviderServer, form: str) -> None:
    client = Client(account(server, form))
    client.call_api(REQUEST)
    assert "".join(client.stream(REQUEST)) == "Answer 0 to: What is it?"
    whole, streamed = server.requests
    assert (streamed.path, streamed.query) == (whole.path, whole.query)
    assert streamed.headers | {"content-length": ""} == whole.headers | {"content-length": ""}
    assert streamed.body == whole.body | {"stream": True, "stream_options": {"include_usage": True}}


def test_only_the_dated_azure_form_has_a_version_in_its_address(server: ProviderServer) -> None:
    for form in ("OpenAI", "Azure with a key", "Azure v1 with a key"):
        Client(account(server, form)).call_api(REQUEST)
    assert [each.query for each in server.requests] == [{}, {"api-version": VERSION}, {}]


# -- which model


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("chat-test", "chat-test"),
        (" chat-test ", "chat-test"),
        (None, "gpt-test"),
        ("", "gpt-test"),
        ("  ", "gpt-test"),
        (Model.GPT_4, "gpt-4"),
        ("my/own:model@7", "my/own:model@7"),
    ],
)
def test_the_requested_model_takes_precedence_over_the_default(
    server: ProviderServer, asked: str | None, sent: str
) -> None:
    client = Client(account(server))
    session = ChatCompletionsSession()
    session.add_message(Role.USER, "Hello")
    server.next(*[Reply(200, completion("Hello"))] * 3)
    client.execute_without_history("Hello", model=asked)
    client.execute_with_history(session, model=asked)
    client.call_api(ChatCompletionsRequest.of_prompts("Hello", model=asked))
    assert [each.body["model"] for each in server.requests] == [sent] * 3


def test_without_any_model_nothing_is_sent(server: ProviderServer) -> None:
    client = Client(account(server, model_default=""))
    calls: list[Callable[[], object]] = [
        lambda: client.execute_without_history("Hello"),
        lambda: client.call_api(REQUEST),
        lambda: client.stream(REQUEST),
    ]
    for call in calls:
        with pytest.raises(InvalidRequest, match="Name a model") as caught:
            call()
        assert list(caught.value.problems) == ["model"]
    assert server.requests == []
    server.next(Reply(200, completion("Hello")))
    assert client.execute_without_history("Hello", model="other") == "Hello"


@pytest.mark.parametrize("form", ["Azure with a key", "Azure v1 with a key"])
def test_azure_uses_the_deployment_and_ignores_the_model(server: ProviderServer, form: str) -> None:
    client = Client(account(server, form, model_default="gpt-4-DEFAULT"))
    client.execute_without_history("Hello", model="gpt-4-OTHER")
    client.call_api(ChatCompletionsRequest.of_prompts("Hello", model="gpt-4-OTHER"))
    client.execute_without_history("Hello")
    for received in server.requests:
        assert received.body["model"] == "gpt-test"
        everything = f"{received.path} {received.query} {received.headers} {received.raw!r}"
        assert "OTHER" not in everything
        assert "DEFAULT" not in everything


# -- which messages


@pytest.mark.parametrize(
    ("prompts", "messages"),
    [
        ({"system_prompt": "Be brief.", "user_prompt": "Hello"}, [("system", "Be brief."), ("user", "Hello")]),
        ({"user_prompt": "Hello"}, [("user", "Hello")]),
        ({"user_prompt": "Hello", "system_prompt": ""}, [("user", "Hello")]),
        ({"user_prompt": "Hello", "system_prompt": " \n"}, [("user", "Hello")]),
        ({"system_prompt": "Be brief."}, [("system", "Be brief.")]),
        ({"system_prompt": "Be brief.", "user_prompt": "  "}, [("system", "Be brief.")]),
        ({"user_prompt": "  Hello\n"}, [("user", "  Hello\n")]),
    ],
)
def test_both_prompts_or_either_are_sent(
    server: ProviderServer, prompts: dict[str, str], messages: list[tuple[str, str]]
) -> None:
    for form in FORMS:
        Client(account(server, form)).execute_without_history(**prompts)
        assert server.requests[-1].body == {
            "model": "gpt-test",
            "messages": [{"role": role, "content": content} for role, content in messages],
        }


@pytest.mark.parametrize("prompts", [{}, {"user_prompt": ""}, {"user_prompt": " \n\t", "system_prompt": "\u2003"}])
def test_without_a_prompt_nothing_is_sent(server: ProviderServer, prompts: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest, match="Write a prompt first") as caught:
        Client(account(server)).execute_without_history(**prompts)
    assert list(caught.value.problems) == ["user_prompt"]
    assert server.requests == []


def test_a_call_without_history_does_not_send_the_previous_call(server: ProviderServer) -> None:
    client = Client(account(server))
    client.execute_without_history("The first secret", system_prompt="Guard it.")
    client.execute_without_history("Second")
    assert server.requests[1].body["messages"] == [{"role": "user", "content": "Second"}]


def test_a_conversation_is_sent_in_its_order(server: ProviderServer) -> None:
    session = ChatCompletionsSession()
    said = [(Role.SYSTEM, "Be brief.")]
    said += [(Role.USER if turn % 2 == 0 else Role.ASSISTANT, f"Turn {turn}") for turn in range(50)]
    for role, content in said:
        session.add_message(role, content)
    before = list(session.messages)
    assert Client(account(server)).execute_with_history(session) == "Answer 0 to: Turn 48"
    assert server.requests[0].body == {
        "model": "gpt-test",
        "messages": [{"role": str(role), "content": content} for role, content in said],
    }
    assert session.messages == before


def test_a_conversation_may_repeat_itself_and_end_with_any_role(server: ProviderServer) -> None:
    session = ChatCompletionsSession()
    for role in ("assistant", "user", "user", "system"):
        session.add_message(Role(role), "Same")
    Client(account(server)).execute_with_history(session)
    assert [each["role"] for each in server.requests[0].body["messages"]] == ["assistant", "user", "user", "system"]


@pytest.mark.parametrize("session", [None, ChatCompletionsSession(), []])
def test_an_empty_session_is_refused(server: ProviderServer, session: Any) -> None:
    with pytest.raises(InvalidRequest, match="no messages"):
        Client(account(server)).execute_with_history(session)
    assert server.requests == []


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.TOOL, "tool", "wizard", "", None])
def test_a_session_accepts_only_system_user_and_assistant_messages(role: Any) -> None:
    session = ChatCompletionsSession()
    with pytest.raises(InvalidRequest, match="system, user and assistant"):
        session.add_message(role, "Hello")
    assert session.messages == []


@pytest.mark.parametrize("content", [None, 5, ["part"], "half an emoji \ud83d"])
def test_content_that_is_not_text_is_refused(content: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ChatCompletionsSession().add_message(Role.USER, content)
    assert list(caught.value.problems) == ["content"]


def test_a_request_without_messages_is_refused() -> None:
    for messages in ((), None, "Hello"):
        with pytest.raises(InvalidRequest) as caught:
            ChatCompletionsRequest(messages=messages)  # type: ignore[arg-type]
        assert list(caught.value.problems) == ["messages"]
    with pytest.raises(InvalidRequest, match="Messages is required"):
        ChatCompletionsRequest()  # type: ignore[call-arg]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("form", ["OpenAI", "Azure with a key"])
def test_a_text_arrives_byte_for_byte(server: ProviderServer, form: str, text: str) -> None:
    client = Client(account(server, form))
    answer = client.execute_without_history(text, system_prompt=text)
    received = server.requests[0]
    contents = [each["content"] for each in json.loads(received.raw.decode())["messages"]]
    assert [each.encode() for each in contents] == [text.encode()] * 2
    assert answer == f"Answer 0 to: {text}"


# -- which parameters


def ask(**options: Any) -> ChatCompletionsRequest:
    return ChatCompletionsRequest.of_prompts("Hello", **options)


def test_unset_parameters_are_not_sent(server: ProviderServer) -> None:
    Client(account(server)).call_api(ask())
    assert set(server.requests[0].body) == {"model", "messages"}


def test_all_attributes_of_the_request_arrive_under_their_names(server: ProviderServer) -> None:
    options: dict[str, Any] = {
        "temperature": 0.7,
        "top_p": 0.9,
        "n": 2,
        "seed": 7,
        "max_tokens": 50,
        "max_completion_tokens": 60,
        "frequency_penalty": -0.5,
    }
    client = Client(account(server))
    server.also_allowed = frozenset({"top_k", "repeat_penalty"})
    request = ask(model="chat-test", extra={"top_k": 40, "repeat_penalty": None}, **options)
    client.call_api(request)
    assert server.requests[0].body == request.body("chat-test")
    assert server.requests[0].body == options | {
        "model": "chat-test",
        "messages": [{"role": "user", "content": "Hello"}],
        "top_k": 40,
        "repeat_penalty": None,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0),
        ("temperature", 0.0),
        ("temperature", 2),
        ("top_p", 0.0),
        ("top_p", 1.0),
        ("frequency_penalty", -2.0),
        ("frequency_penalty", 0.0),
        ("frequency_penalty", 2.0),
        ("n", 1),
        ("n", 128),
        ("max_tokens", 1),
        ("max_completion_tokens", 1),
        ("seed", 0),
        ("seed", -1),
    ],
)
def test_a_value_at_its_bound_is_sent_and_so_is_zero(server: ProviderServer, name: str, value: float) -> None:
    server.next(Reply(200, completion("Hello")))
    Client(account(server)).call_api(ask(**{name: value}))
    assert server.requests[0].body[name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.01),
        ("temperature", 2.01),
        ("temperature", "0.5"),
        ("temperature", True),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_p", -0.01),
        ("top_p", 1.01),
        ("top_p", float("nan")),
        ("frequency_penalty", -2.01),
        ("frequency_penalty", 2.01),
        ("frequency_penalty", float("-inf")),
        ("n", 0),
        ("n", -1),
        ("n", 129),
        ("n", 1.5),
        ("n", "2"),
        ("n", True),
        ("max_tokens", 0),
        ("max_tokens", -1),
        ("max_tokens", 1.5),
        ("max_completion_tokens", 0),
        ("seed", 1.5),
        ("seed", 2**63),
        ("model", 4),
        ("model", "half\ud800"),
        ("no_such_parameter", 1),
        ("extra", {"x": float("nan")}),
        ("extra", {"x": ["half\ud800"]}),
        ("extra", {"x": object()}),
        ("extra", {"temperature": 1}),
        ("extra", {"messages": []}),
        ("extra", {"model": "other"}),
        ("extra", {"stream": True}),
    ],
)
def test_a_value_outside_its_bounds_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ask(**{name: value})
    assert list(caught.value.problems) == [name]
    assert str(caught.value).endswith(".")


def test_the_sentence_names_the_field_and_its_range() -> None:
    with pytest.raises(InvalidRequest) as caught:
        ask(temperature=3, n=0)
    assert caught.value.problems == {
        "temperature": "Temperature must be a number from 0 to 2.",
        "n": "Choices (n) must be a whole number from 1 to 128.",
    }


def test_the_bounds_of_a_field_are_available() -> None:
    fields = ChatCompletionsRequest.model_fields
    bounds = {name: bounds_of(field) for name, field in fields.items()}
    assert {name: each for name, each in bounds.items() if each != (None, None)} == {
        "temperature": (0, 2),
        "top_p": (0, 1),
        "n": (1, 128),
        "seed": (-(2.0**63), 2.0**63),
        "max_tokens": (1, None),
        "max_completion_tokens": (1, None),
        "frequency_penalty": (-2, 2),
        "presence_penalty": (-2, 2),
        "top_logprobs": (0, 20),
    }


def test_every_field_has_a_title_and_every_option_a_help_text() -> None:
    for name, field in ChatCompletionsRequest.model_fields.items():
        assert field.title, name
        assert field.description, name


def test_a_request_and_a_message_cannot_be_changed() -> None:
    with pytest.raises(Exception, match="frozen"):
        REQUEST.temperature = 1
    with pytest.raises(Exception, match="frozen"):
        Message(role=Role.USER, content="Hello").content = "Bye"


def test_a_request_accepts_every_role(server: ProviderServer) -> None:
    messages = (Message(role=Role.DEVELOPER, content="Be brief."), Message(role=Role.USER, content="Hello"))
    Client(account(server)).call_api(ChatCompletionsRequest(messages=messages))
    assert [each["role"] for each in server.requests[0].body["messages"]] == ["developer", "user"]


@pytest.mark.parametrize(
    "text",
    [
        'Line one\n\n  Line two\twith a tab\r\nand """ quotes',
        "emoji 🦊, אבג, 漢字, \u2028 and \x7f",
        "<script>alert(1)</script> & {curly} $(shell) `ticks` \\ ${x}",
        "word " * 30_000,
    ],
    ids=["lines", "unicode", "markup", "30,000 words"],
)
def test_a_prompt_arrives_unchanged(server: ProviderServer, client: Client, text: str) -> None:
    client.execute_without_history(text, system_prompt=text)
    assert [each["content"] for each in server.requests[0].body["messages"]] == [text, text]


@pytest.mark.parametrize("model", ["ft:gpt-3.5-turbo:my-org::abc123", "org/some-model:free", "gpt-4o-2026", "模型"])
def test_any_name_of_a_model_is_sent_as_it_is(server: ProviderServer, model: str) -> None:
    server.models = frozenset({model})
    assert Client(account(server)).execute_without_history("Hello", model=f" {model} ") == "Answer 0 to: Hello"
    assert server.requests[0].body["model"] == model
