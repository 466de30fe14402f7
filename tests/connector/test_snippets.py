"""Code that a request is taken away as sends that very request, whatever is in it, and holds no key. It is run."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connector import (
    ApiType,
    ChatCompletionsRequest,
    ChatCompletionsSession,
    Configuration,
    InvalidRequest,
    KeyType,
    Message,
    Role,
    connector_code,
    curl_command,
    sdk_code,
)
from tests.connector.conftest import account
from tests.provider.server import ProviderServer

ROOT = Path(__file__).parents[2]
FIELDS = ChatCompletionsRequest.model_fields
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
HOSTILE = {
    "quotes": """He said "it's" '''so''' and \"\"\"more\"\"\" `once`.""",
    "newlines": "One\nTwo\r\nThree\rFour\n\n  Five\t\n",
    "emoji": "A 👩🏽‍🚀 in 東京, naïve as ever",
    "shell": "$(touch hacked) `touch hacked` $HOME ${IFS} !! && exit 1; # %s",
    "backslashes": "C:\\new\\table \\\\ \\u0041 \\x41 \\N{BULLET} \\",
    "the end of the document": "first\nJSON\nJSON\n'JSON'\nEOF\n",
    "what is not seen": "a\x00b\x07c\x1b[31md\x7fe\x9bf\u2028g\u202eh\ufeffi\U000e0041j",
    "braces": "{name} {{0}} %(x)s {!r} <script>alert(1)</script>",
    "100 kB": 'Ünï "quoted" $(x)\n' * 5_500,
    "one long line": "word " * 20_000,
    "blank ends": "  two blanks before, three behind   ",
}
EACH_FIELD: dict[str, Any] = {
    "messages": (
        Message(role=Role.DEVELOPER, content="Be brief.", name="boss"),
        Message(
            role=Role.USER,
            content=(
                {"type": "text", "text": "What is it?\nAnd why?"},
                {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
            ),
        ),
        Message(
            role=Role.ASSISTANT,
            content=None,
            tool_calls=(
                {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": "\\"\\n$(x)"}'}},
            ),
        ),
        Message(role=Role.TOOL, content="3", tool_call_id="1"),
        Message(role=Role.ASSISTANT, content=None, refusal="No."),
    ),
    "model": "chat-test",
    "temperature": 0,
    "top_p": 0.25,
    "n": 2,
    "seed": -(2**63),
    "logit_bias": {"50256": -100},
    "max_tokens": 10,
    "max_completion_tokens": 10,
    "stop": ("\n", "END'\""),
    "verbosity": "low",
    "frequency_penalty": -1.5,
    "presence_penalty": 1e-07,
    "reasoning_effort": "none",
    "response_format": {
        "type": "json_schema",
        "json_schema": {
            "name": "colours",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": {"it's": {"type": "string", "description": 'A "colour"\nor two', "default": None}},
                "required": ["it's"],
                "additionalProperties": False,
            },
        },
    },
    "tools": (TOOL,),
    "tool_choice": {"type": "function", "function": {"name": "add"}},
    "parallel_tool_calls": False,
    "logprobs": True,
    "top_logprobs": 0,
    "modalities": ("text", "audio"),
    "audio": {"format": "wav", "voice": "alloy"},
    "moderation": {"model": "omni-moderation-latest"},
    "web_search_options": {},
    "stream_options": {"include_obfuscation": False},
    "service_tier": "flex",
    "store": False,
    "metadata": {"it's": 'a "test"'},
    "prediction": {"type": "content", "content": "One\nTwo"},
    "prompt_cache_key": "key",
    "prompt_cache_options": {"mode": "implicit"},
    "prompt_cache_retention": "24h",
    "safety_identifier": "hash",
    "user": "one",
    "functions": ({"name": "add", "parameters": {"type": "object", "properties": {}}},),
    "function_call": "auto",
    "extra": {"top_k": 4, "it's": [None, True, {"deep": "$(x)"}], "temperature_": 0.1},
}
WAYS: dict[str, Callable[[Configuration, ChatCompletionsRequest], str]] = {
    "connector": connector_code,
    "SDK": sdk_code,
    "curl": curl_command,
}
each_way = pytest.mark.parametrize("way", WAYS)
FORMS = ["OpenAI", "Azure with a key", "Azure v1 with a key"]
# Each field in one of the forms, in turn: the form decides about the address, the header and the model, and no field
# about any of them. All pairs of them are the long form.
FIELD_IN_FORM = [
    pytest.param(form, field, marks=[] if at % len(FORMS) == turn else pytest.mark.soak, id=f"{field}-{form}")
    for at, field in enumerate(EACH_FIELD)
    for turn, form in enumerate(FORMS)
]
KEYS = {"API key": "sk-provider-test-key-7f3a", "token": "entra-provider-test-token-51c8"}


def body_of(configuration: Configuration, request: ChatCompletionsRequest) -> dict[str, Any]:
    return request.body(configuration.model_for(request.model))


def request_of(field: str) -> ChatCompletionsRequest:
    messages = (Message(role=Role.USER, content="What is it?"),)
    return ChatCompletionsRequest(**{"messages": messages, field: EACH_FIELD[field]})


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderServer]:
    """Takes any parameter, since old versions of Azure's API do not know them all."""
    parameters = {*FIELDS, *EACH_FIELD["extra"]} - {"model", "messages"}
    with ProviderServer(key=KEYS["API key"], entra_token=KEYS["token"], also_allowed=parameters) as running:
        yield running


@pytest.fixture
def run(
    provider: ProviderServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[str, str], dict[str, Any]]:
    """Runs a piece of code as its reader would, in an empty folder; what the provider got, its body as JSON."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", provider.key)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", provider.key)
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", provider.entra_token)

    def run(way: str, code: str) -> dict[str, Any]:
        assert not any(key in code for key in KEYS.values())
        before = len(provider.requests)
        if way == "curl":
            done = subprocess.run(["bash"], input=code, capture_output=True, text=True, check=True)
            assert "choices" in json.loads(done.stdout)
        else:
            names: dict[str, Any] = {"__name__": "__main__"}
            exec(compile(code, way, "exec"), names)
            if way == "SDK":
                names["client"].close()
        [received] = provider.requests[before:]
        assert isinstance(received.body, dict)
        return received.body

    return run


def test_there_is_a_case_for_each_field() -> None:
    assert set(EACH_FIELD) == set(FIELDS)


@each_way
@pytest.mark.parametrize(("form", "field"), FIELD_IN_FORM)
def test_every_field_is_in_the_code(
    provider: ProviderServer, run: Callable[[str, str], dict[str, Any]], way: str, form: str, field: str
) -> None:
    configuration, request = account(provider, form), request_of(field)
    body = run(way, WAYS[way](configuration, request))
    assert body == json.loads(json.dumps(body_of(configuration, request)))
    assert [*body] == [*body_of(configuration, request)] or way == "SDK", "in the same order, too"


@each_way
@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_is_in_the_code_unchanged(
    provider: ProviderServer, run: Callable[[str, str], dict[str, Any]], way: str, text: str, tmp_path: Path
) -> None:
    for form, request in (
        ("OpenAI", ChatCompletionsRequest.of_prompts(HOSTILE[text], system_prompt=HOSTILE[text])),
        ("Azure with a key", ChatCompletionsRequest.of_prompts(HOSTILE[text], temperature=0)),
        ("Azure v1 with a key", conversation(HOSTILE[text])),
    ):
        configuration = account(provider, form, display_name="A 'name' \"of\" $(mine)\\")
        body = run(way, WAYS[way](configuration, request))
        assert body == body_of(configuration, request)
    assert list(tmp_path.iterdir()) == [], "nothing in it was run"


def conversation(text: str) -> ChatCompletionsRequest:
    session = ChatCompletionsSession()
    for role in (Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.USER):
        session.add_message(role, text)
    return ChatCompletionsRequest.of_session(session)


@each_way
def test_curly_and_square_brackets_in_an_address_are_not_interpreted(
    provider: ProviderServer, run: Any, way: str
) -> None:
    configuration = account(provider, endpoint=f"{provider.url}/a{{b,c}}[1-3]/v1")
    assert run(way, WAYS[way](configuration, request_of("n"))) == body_of(configuration, request_of("n"))


@each_way
def test_unused_parts_of_an_address_are_omitted(provider: ProviderServer, way: str) -> None:
    configuration = account(provider, endpoint=f"{provider.url}/v1?api-key=sk-secret#sk-secret")
    assert "sk-secret" not in WAYS[way](configuration, request_of("n"))
    azure = account(provider, "Azure with a key", endpoint=f"{provider.url}?api-version=2024-10-21&key=sk-secret")
    code = WAYS[way](azure, request_of("n"))
    assert "sk-secret" not in code
    assert "2024-10-21" in code


def test_an_empty_list_of_parts_is_valid_content(provider: ProviderServer) -> None:
    request = ChatCompletionsRequest(messages=(Message(role=Role.USER, content=()),))
    assert "content=()" in connector_code(account(provider), request)


@pytest.mark.parametrize("body", [{}, {"messages": "abc"}, {"messages": [1]}, {"messages": None}])
def test_json_that_is_not_a_request_is_reported_with_a_sentence(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="Messages must be a list of objects"):
        ChatCompletionsRequest.of_body(body)
    with pytest.raises(InvalidRequest, match="There is no parameter"):
        ChatCompletionsRequest.of_body({"messages": [{"role": "user", "content": "x"}], "extra": {}})


@pytest.mark.slow
def test_the_python_code_runs_as_a_program(provider: ProviderServer) -> None:
    configuration = account(provider)
    for code in (connector_code(configuration, request_of("n")), sdk_code(configuration, request_of("n"))):
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OPENAI_API_KEY": provider.key}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, text=True
        )
        assert (done.stdout, done.stderr) == ("Answer 0 to: What is it?\n", "")


@each_way
@pytest.mark.parametrize("form", ["Azure with a token", "Azure v1 with a token"])
def test_a_token_has_its_own_variable(
    provider: ProviderServer, run: Callable[[str, str], dict[str, Any]], way: str, form: str
) -> None:
    code = WAYS[way](account(provider, form), request_of("n"))
    assert "AZURE_OPENAI_AD_TOKEN" in code
    assert run(way, code) == body_of(account(provider, form), request_of("n"))


def test_the_simplest_operation_is_used() -> None:
    configuration = Configuration(
        display_name="Mine",
        api_type=ApiType.OPENAI,
        endpoint="https://api.openai.com/v1",
        api_key="sk-not-to-be-seen",
        model_default="gpt-6-luna",
    )
    assert connector_code(configuration, ChatCompletionsRequest.of_prompts("Say hello.", model="gpt-6-sol")) == (
        "import os\n"
        "\n"
        "from connector import ApiType, Client, Configuration\n"
        "\n"
        "configuration = Configuration(\n"
        '    display_name="Mine",\n'
        "    api_type=ApiType.OPENAI,\n"
        '    endpoint="https://api.openai.com/v1",\n'
        '    api_key=os.environ["OPENAI_API_KEY"],\n'
        '    model_default="gpt-6-luna",\n'
        ")\n"
        "client = Client(configuration)\n"
        'answer = client.execute_without_history("Say hello.", model="gpt-6-sol")\n'
        "print(answer)\n"
    )
    assert "execute_with_history(session)" in connector_code(configuration, conversation("Hello."))
    assert "call_api(request)" in connector_code(configuration, request_of("temperature"))


@each_way
def test_an_identity_needs_no_key(way: str) -> None:
    for endpoint, version in (
        ("https://mine.openai.azure.com", "2024-10-21"),
        ("https://mine.openai.azure.com/openai/v1", ""),
    ):
        configuration = Configuration(
            display_name="Mine",
            api_type=ApiType.AZURE_OPENAI,
            endpoint=endpoint,
            key_type=KeyType.ENTRA_IDENTITY,
            deployment_name="gpt",
            api_version=version,
        )
        code = WAYS[way](configuration, request_of("n"))
        assert "os.environ" not in code
        if way != "connector":  # it knows by itself what the token has to be for
            assert configuration.entra_scope in code
        if way != "curl":
            compile(code, way, "exec")


def test_curl_gets_the_token_of_an_identity(provider: ProviderServer, tmp_path: Path) -> None:
    az = tmp_path / "az"
    az.write_text(f'#!/bin/sh\n[ "$3" = --scope ] && echo {provider.entra_token}\n')
    az.chmod(0o700)
    configuration = account(provider, "Azure v1 with a token", key_type=KeyType.ENTRA_IDENTITY, api_key="")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    code = curl_command(configuration, request_of("n"))
    done = subprocess.run(["bash"], input=code, capture_output=True, text=True, check=True, env=environment)
    assert "choices" in json.loads(done.stdout)


@pytest.mark.parametrize("field", EACH_FIELD)
def test_a_request_can_be_made_from_its_json(field: str) -> None:
    request = request_of(field)
    for stream in (False, True):
        body = json.loads(json.dumps(request.body("chat-test", stream=stream)))
        again = ChatCompletionsRequest.of_body(body)
        assert again.body("chat-test", stream=stream) == body
