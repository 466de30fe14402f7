"""Refusals in the words of many providers: what mends them, what their sentences say, and that nothing is lost."""

import json
from typing import Any

import pytest

from connector import (
    AccessDenied,
    Adaptations,
    CallReport,
    CallStatus,
    ChatCompletionsRequest,
    Client,
    ConnectorError,
    KeyRefused,
    Message,
    NotFoundAtProvider,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RequestRefused,
    Role,
    TokenLimit,
    token_limit_in,
)
from tests.connector.conftest import PATIENCE, REQUEST, account
from tests.provider.answers import error
from tests.provider.server import AnyReply, ProviderServer, Reply

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
ANSWER = "Answer 0 to: What is it?"


@pytest.fixture
def learnt() -> Adaptations:
    return Adaptations()


@pytest.fixture
def mending(server: ProviderServer, reports: list[CallReport], learnt: Adaptations) -> Client:
    return Client(account(server), on_call=reports.append, learnt=learnt, timeout=PATIENCE, max_retries=0)


def request_with(**options: Any) -> ChatCompletionsRequest:
    return ChatCompletionsRequest.of_prompts("What is it?", system_prompt="Be brief.", **options)


def extra(*place: Any, value: Any = None) -> dict[str, Any]:
    return {"type": "extra_forbidden", "loc": ["body", *place], "msg": "Extra inputs are not permitted", "input": value}


def refused(client: Client, server: ProviderServer, *replies: AnyReply, **options: Any) -> Any:
    server.next(*replies)
    with pytest.raises(ConnectorError) as caught:
        client.call_api(request_with(**options))
    return caught.value


# -- wordings of parameters

GEMINI = 'Invalid JSON payload received. Unknown name "{}": Cannot find field.'
NIM = "body -> {}\n  Extra inputs are not permitted (type=extra_forbidden)"
VLLM = "[{{'type': 'extra_forbidden', 'loc': ('body', '{}'), 'msg': 'Extra inputs are not permitted', 'input': 0.2}}]"
# The parameters that are refused, and what the provider says.
WORDINGS: dict[str, tuple[dict[str, Any], Reply]] = {
    "Azure, unknown": (
        {"reasoning_effort": "low"},
        Reply(400, error("Unknown parameter: 'reasoning_effort'.", param="reasoning_effort", code="unknown_parameter")),
    ),
    "Azure, unknown, in words only": ({"verbosity": "low"}, Reply(400, {"message": "Unknown parameter: 'verbosity'."})),
    "unknown, by the code only": ({"seed": 7}, Reply(400, error("No.", param="seed", code="unknown_parameter"))),
    "OpenAI's search models": (
        {"temperature": 0.2, "top_p": 0.5},
        Reply(400, error("Model incompatible request arguments supplied: temperature, top_p")),
    ),
    "OpenAI's search models, as they say it": (
        {"temperature": 0.2, "top_p": 0.5},
        Reply(400, error("Model incompatible request argument(s) supplied: temperature, top_p")),
    ),
    "in backquotes": ({"seed": 7}, Reply(400, error("`seed` is not supported with this model"))),
    "a validator of schemas": (
        {"seed": 7},
        Reply(422, {"detail": "Additional properties are not allowed ('seed' was unexpected)"}),
    ),
    "half a character": (
        {"seed": 7},
        Reply(400, r"""{"error": {"message": "Unknown parameter: 'seed'. \ud83d"}}"""),
    ),
    "OpenAI's search models, one": ({"n": 1}, Reply(400, error("Model incompatible request argument supplied: n"))),
    "Groq": ({"logprobs": True}, Reply(400, error("property 'logprobs' is unsupported, did you mean 'stop'?"))),
    "Gemini": (
        {"frequency_penalty": 0.5},
        Reply(400, [{"error": {"code": 400, "message": GEMINI.format("frequency_penalty"), "status": "INVALID"}}]),
    ),
    "Gemini, several": (
        {"seed": 7, "presence_penalty": 0.5},
        Reply(400, [{"error": {"code": 400, "message": "\n".join(map(GEMINI.format, ("seed", "presence_penalty")))}}]),
    ),
    "xAI": (
        {"presence_penalty": 0.5},
        Reply(400, {"code": "Client error", "error": "Argument not supported on this model: presencePenalty"}),
    ),
    "xAI, newer": (
        {"reasoning_effort": "low"},
        Reply(400, {"code": "C", "error": "Model grok-4 does not support parameter reasoningEffort."}),
    ),
    "LiteLLM": (
        {"parallel_tool_calls": True, "temperature": 0.2},
        Reply(
            400,
            error(
                "litellm.UnsupportedParamsError: gemini does not support parameters: {'parallel_tool_calls': True, "
                "'temperature': 0.2}, for model=gemini-2.0-flash."
            ),
        ),
    ),
    "LiteLLM, a list": (
        {"seed": 7, "user": "me"},
        Reply(400, error("UnsupportedParamsError: x does not support parameters: ['seed', 'user'], for model=y.")),
    ),
    "NVIDIA": (
        {"prompt_cache_key": "a", "seed": 7},
        Reply(400, {"message": "Validation: Unsupported parameter(s): `prompt_cache_key`, `seed`", "code": 400}),
    ),
    "NVIDIA, older": (
        {"frequency_penalty": 0.5, "n": 1},
        Reply(422, {"title": "Unprocessable Entity", "detail": "\n".join(map(NIM.format, ("frequency_penalty", "n")))}),
    ),
    "Databricks": ({"seed": 7}, Reply(400, {"error_code": "X", "message": 'Bad request: json: unknown field "seed"'})),
    "Bedrock": (
        {"logit_bias": {"1": 2}},
        Reply(400, {"message": "Malformed input request: #: extraneous key [logit_bias] is not permitted, please"}),
    ),
    "a gateway": ({"top_logprobs": 2, "logprobs": True}, Reply(400, '"logprobs" is not allowed')),
    "Anthropic": ({"temperature": 0.2}, Reply(400, error("`temperature` is deprecated for this model."))),
    "Kimi": ({"temperature": 0.2}, Reply(400, error("invalid temperature: only 1 is allowed for this model"))),
    "Fireworks": ({"seed": 7}, Reply(400, error("Extra inputs are not permitted, field: 'seed', value: 7"))),
    "vLLM": ({"top_p": 0.5}, Reply(400, {"object": "error", "message": VLLM.format("top_p"), "code": 400})),
    "Mistral": (
        {"seed": 7},
        Reply(
            422, {"object": "error", "message": {"detail": [extra("seed", value=7)]}, "type": "invalid", "code": None}
        ),
    ),
    "Mistral, older": (
        {"logprobs": True, "user": "me"},
        Reply(422, {"message": json.dumps({"detail": [extra("user"), extra("logprobs")]}), "code": "1000"}),
    ),
    "FastAPI": ({"seed": 7, "top_p": 1}, Reply(422, {"detail": [extra("seed"), extra("top_p", value="x" * 50_000)]})),
    "FastAPI, as a list": ({"seed": 7}, Reply(422, [extra("seed")])),
    "FastAPI, as a text": ({"seed": 7}, Reply(422, json.dumps([extra("seed")]), content_type="text/plain")),
    "a gateway with JSON in its message": (
        {"top_p": 0.5},
        Reply(400, error(json.dumps(error("Unsupported parameter: 'top_p'", code="unsupported_parameter")))),
    ),
    "Cohere": ({"seed": 7}, Reply(422, {"message": "invalid request: unknown field: seed"})),
    "serde": ({"seed": 7}, Reply(400, error("unknown field `seed`, expected one of `messages`, `model`, `user`"))),
    "LiteLLM, one value": (
        {"temperature": 0.2},
        Reply(400, error("gpt-5 models don't support temperature=0.2. Only temperature=1 is supported.")),
    ),
    "another gateway": ({"top_p": 0.5}, Reply(400, error("This model does not support the 'top_p' parameter"))),
    "Text Generation Inference": (
        {"seed": 7},
        Reply(422, {"error": "Input validation error: `seed` not supported", "error_type": "validation"}),
    ),
    "SambaNova": ({"logprobs": True}, Reply(400, {"error": {"message": "logprobs is not supported"}})),
    "Perplexity": ({"stop": "x"}, Reply(400, error("Stop is not supported"))),
    "watsonx": (
        {"seed": 7},
        Reply(400, {"errors": [{"message": "Json document validation error: seed is not a valid parameter"}]}),
    ),
    "Ollama": ({"reasoning_effort": "low"}, Reply(400, error('"llama3" does not support thinking'))),
    "Bedrock's stop": ({"stop": "x"}, Reply(400, error("This model doesn't support the stopSequences field."))),
    "pydantic": (
        {"parallel_tool_calls": True},
        Reply(
            400, error("1 validation error for Request\nparallel_tool_calls\n  Extra inputs are not permitted [type]")
        ),
    ),
    "zod": ({"seed": 7}, Reply(400, {"error": "Unrecognized key(s) in object: 'seed'"})),
    "OpenRouter": (
        {"seed": 7},
        Reply(
            400,
            {
                "error": {
                    "message": "Provider returned error",
                    "metadata": {"raw": json.dumps({"detail": [extra("seed")]})},
                }
            },
        ),
    ),
}


@pytest.mark.parametrize("case", WORDINGS)
def test_a_parameter_that_is_refused_in_these_words_is_left_out(
    server: ProviderServer, mending: Client, reports: list[CallReport], case: str
) -> None:
    asked, refusal = WORDINGS[case]
    server.next(refusal)
    assert mending.call_api(request_with(**asked)).choices[0].message.content == ANSWER
    assert set(server.requests[-1].body) == {"model", "messages"}
    assert {each.parameter for each in reports[0].adaptations} == set(asked) - {"top_logprobs"}
    assert all(each.why for each in reports[0].adaptations)


@pytest.mark.parametrize(
    ("asked", "refusal", "sent"),
    [
        ({"max_completion_tokens": 9}, Reply(422, {"detail": [extra("max_completion_tokens")]}), {"max_tokens": 9}),
        (
            {"reasoning_effort": "minimal"},
            Reply(400, error("reasoning_effort: unknown variant `minimal`, expected one of `low`, `medium`, `high`")),
            {"reasoning_effort": "low"},
        ),
        (
            {"reasoning_effort": "high"},
            Reply(400, error("`reasoning_effort` must be one of `low` or `medium`")),
            {"reasoning_effort": "medium"},
        ),
        (
            {"reasoning_effort": "minimal"},
            Reply(
                422,
                {"detail": [{"loc": ["body", "reasoning_effort"], "msg": "Input should be 'low', 'medium' or 'high'"}]},
            ),
            {"reasoning_effort": "low"},
        ),
    ],
)
def test_a_parameter_that_is_refused_in_other_words_is_changed(
    server: ProviderServer, mending: Client, asked: dict[str, Any], refusal: Reply, sent: dict[str, Any]
) -> None:
    server.next(refusal)
    mending.call_api(request_with(**asked))
    body = server.requests[-1].body
    assert {name: body[name] for name in body if name not in ("model", "messages")} == sent


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ({}, Reply(422, {"detail": [extra("messages", 1, "assistant", "reasoning_content")]})),
        ({"seed": 7}, Reply(422, {"detail": [extra("seed"), extra("messages", 0, "name")]})),
        ({"tools": (TOOL,)}, Reply(422, {"detail": [extra("tools", 0, "function", "strict")]})),
        ({"tools": (TOOL,)}, Reply(400, [{"error": {"message": GEMINI.format("tools")}}])),
        ({"metadata": {"team": "blue"}}, Reply(422, {"detail": [extra("metadata", "team")]})),
        ({"seed": 7}, Reply(422, {"detail": [{"loc": ["body", "messages"], "msg": "Field required"}]})),
        ({"temperature": 0.2}, Reply(400, "This is not allowed.")),
        ({"seed": 7}, Reply(500, error("Unknown parameter: 'seed'."))),
        ({"seed": 7}, Reply(403, error("property 'seed' is unsupported"))),
    ],
)
def test_what_cannot_be_left_out_stays_refused_in_the_providers_words(
    server: ProviderServer, mending: Client, learnt: Adaptations, asked: dict[str, Any], refusal: Reply
) -> None:
    failed = refused(mending, server, refusal, **asked)
    assert failed.provider_message
    assert [len(server.requests), learnt.items()] == [1, {}]


# -- fields of messages

PYDANTIC = (
    "[{{'type': 'extra_forbidden', 'loc': ('body', 'messages', 1, {}), 'msg': 'Extra inputs are not permitted'}}]"
)
# The field of the assistant's message that is refused, and what the provider says.
FIELDS: dict[str, tuple[str, Reply]] = {
    "OpenAI": ("foo", Reply(400, error("Unknown parameter: 'messages[1].foo'.", code="unknown_parameter"))),
    "OpenAI, by the code": ("foo", Reply(400, error("No.", param="messages[1].foo", code="unknown_parameter"))),
    "a validator": ("foo", Reply(400, error("Additional properties are not allowed ('foo' was unexpected)"))),
    "Mistral": ("foo", Reply(422, {"detail": [extra("messages", 1, "assistant", "foo")]})),
    "Mistral, in a call": (
        "extra_content",
        Reply(422, {"detail": [extra("messages", 1, "assistant", "tool_calls", 0, "extra_content")]}),
    ),
    "Groq": ("foo", Reply(400, error("'messages.1' : property 'foo' is unsupported"))),
    "Groq, with its place": ("foo", Reply(400, error("property 'messages.1.foo' is unsupported"))),
    "Cerebras": (
        "foo",
        Reply(400, {"message": "messages.1.assistant.foo: property 'messages.1.assistant.foo' is unsupported"}),
    ),
    "Fireworks": ("foo", Reply(400, error("Extra inputs are not permitted, field: 'messages[1].foo'"))),
    "Anthropic": ("foo", Reply(400, error("messages.1.foo: Extra inputs are not permitted"))),
    "vLLM": ("foo", Reply(400, {"object": "error", "message": PYDANTIC.format("'assistant', 'foo'")})),
    "NVIDIA": ("foo", Reply(422, error(NIM.format("messages -> 1 -> assistant -> foo")))),
    "Gemini": (
        "extra_content",
        Reply(
            400,
            [
                {
                    "error": {
                        "message": 'Invalid JSON payload received. Unknown name "extra_content" at '
                        "'messages[1].tool_calls[0]': Cannot find field."
                    }
                }
            ],
        ),
    ),
}
CALL: Any = {
    "id": "c1",
    "type": "function",
    "function": {"name": "add", "arguments": "{}"},
    "extra_content": {"at": "b"},
}
GONE_ON = ChatCompletionsRequest(
    messages=(
        Message(role=Role.USER, content="Add."),
        Message(role=Role.ASSISTANT, tool_calls=(CALL,), extra={"foo": {"bar": 1}}),
        Message(role=Role.TOOL, content="3", tool_call_id="c1"),
    )
)


@pytest.mark.parametrize("case", FIELDS)
def test_a_field_of_a_message_that_is_refused_is_left_out_and_this_is_remembered(
    server: ProviderServer, mending: Client, reports: list[CallReport], case: str
) -> None:
    field, refusal = FIELDS[case]
    server.also_allowed = {"foo", "extra_content"}
    server.next(refusal)
    for _ in range(2):
        mending.call_api(GONE_ON)
    first, second, third = (request.body["messages"][1] for request in server.requests)
    assert field in {*first, *first["tool_calls"][0]}
    assert second == third
    assert {*second, *second["tool_calls"][0]} == {*first, *first["tool_calls"][0]} - {field}
    assert [each.change for each in reports[0].learnt] == [f"{field} left out of messages"]
    assert [each.change for each in reports[1].adaptations] == [f"{field} left out of messages"]


@pytest.mark.parametrize("field", ["content", "tool_calls", "role", "tool_calls[0].function.arguments", "other"])
def test_what_a_message_cannot_do_without_is_not_left_out(server: ProviderServer, mending: Client, field: str) -> None:
    words = f"Unknown parameter: 'messages[1].{field}'."
    server.also_allowed = {"foo", "extra_content"}
    server.next(Reply(400, error(words, param=f"messages[1].{field}", code="unknown_parameter")))
    with pytest.raises(RequestRefused, match="Unknown parameter"):
        mending.call_api(GONE_ON)
    assert len(server.requests) == 1


# -- parameters that exclude each other

BOTH = {"temperature": 0.2, "top_p": 0.5}
LENGTHS = {"max_tokens": 8, "max_completion_tokens": 9}
PENALTIES = {"presence_penalty": 1, "frequency_penalty": 1}
# What is sent, what the provider says, and what is left out.
EXCLUSIVE: dict[str, tuple[dict[str, Any], str, str]] = {
    "Anthropic": (BOTH, "`temperature` and `top_p` cannot both be specified for this model. Use only one.", "top_p"),
    "Bedrock": (BOTH, 'BedrockException - {"message":"`top_p` and `temperature` cannot both be specified"}', "top_p"),
    "without quotes": (BOTH, "temperature and top_p cannot both be set.", "top_p"),
    "mutually": (BOTH, "'temperature' and 'top_p' are mutually exclusive", "top_p"),
    "either": (BOTH, "Specify either temperature or top_p, but not both.", "top_p"),
    "OpenAI": (
        LENGTHS,
        "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
        "max_tokens",
    ),
    "Volcengine": (
        LENGTHS,
        "The parameter is not valid: max_tokens and max_completion_tokens cannot be set at the same time.",
        "max_tokens",
    ),
    "Perplexity": (PENALTIES, "Cannot set both presence_penalty and frequency_penalty.", "presence_penalty"),
    "Cohere": (PENALTIES, "cannot specify both frequency_penalty and presence_penalty.", "presence_penalty"),
    "OpenRouter": (
        {"reasoning_effort": "low", "extra": {"reasoning": {"enabled": True}}},
        'Only one of "reasoning" and "reasoning_effort" may be provided',
        "reasoning_effort",
    ),
}


@pytest.mark.parametrize("case", EXCLUSIVE)
def test_one_of_two_parameters_that_exclude_each_other_is_left_out(
    server: ProviderServer, mending: Client, reports: list[CallReport], case: str
) -> None:
    asked, words, left_out = EXCLUSIVE[case]
    server.also_allowed = {"reasoning"}
    server.next(Reply(400, error(words)))
    mending.call_api(request_with(**asked))
    mending.call_api(request_with(**asked))
    refused_body, accepted, later = (request.body for request in server.requests)
    assert accepted == later == {name: refused_body[name] for name in refused_body if name != left_out}
    assert [each.parameter for each in reports[0].learnt] == [left_out]


def test_a_parameter_that_another_one_excludes_is_sent_alone(server: ProviderServer, mending: Client) -> None:
    server.next(Reply(400, error("`temperature` and `top_p` cannot both be specified for this model.")))
    mending.call_api(request_with(**BOTH))
    mending.call_api(request_with(top_p=0.5))
    assert server.requests[-1].body["top_p"] == 0.5


def test_parameters_that_exclude_each_other_are_kept_where_both_change_the_meaning(
    server: ProviderServer, mending: Client
) -> None:
    words = "`tools` and `response_format` cannot both be specified."
    asked = {"tools": (TOOL,), "response_format": {"type": "json_object"}}
    assert words in refused(mending, server, Reply(400, error(words)), **asked).sentence
    assert len(server.requests) == 1


# -- roles


@pytest.mark.parametrize(
    "refusal",
    [
        Reply(400, {"object": "error", "message": "System role not supported", "type": "BadRequestError", "code": 400}),
        Reply(500, {"status": 500, "title": "Internal Server Error", "detail": "System role not supported"}),
        Reply(400, {"error": "Only user and assistant roles are supported!"}),
        Reply(400, [{"error": {"code": 400, "message": "Developer instruction is not enabled for models/gemma-3"}}]),
    ],
)
@pytest.mark.parametrize("role", [Role.SYSTEM, Role.DEVELOPER])
def test_instructions_become_part_of_the_question_for_a_model_that_knows_none(
    server: ProviderServer, mending: Client, learnt: Adaptations, refusal: Reply, role: Role
) -> None:
    """Its chat template wants user and assistant to take turns, so that they cannot be a message of the user."""
    server.objection = lambda body: (
        None if [each["role"] for each in body["messages"]] == ["user", "assistant", "user"] else refusal
    )
    said = [(role, "Be brief."), (Role.USER, "One?"), (Role.ASSISTANT, "1."), (role, "And kind."), (Role.USER, "Two?")]
    request = ChatCompletionsRequest(messages=tuple(Message(role=who, content=text) for who, text in said))
    for _ in range(2):
        mending.call_api(request)
    sent = [each["content"] for each in server.requests[-1].body["messages"]]
    assert sent == ["Be brief.\n\nOne?", "1.", "And kind.\n\nTwo?"]
    assert len(server.requests) == 3, "the second call is right at the first try"
    assert [each.change for each in learnt.of("gpt-test")] == [f"role {role} sent as part of the user's text"]


def test_instructions_become_part_of_a_question_with_pictures(server: ProviderServer, mending: Client) -> None:
    server.next(Reply(400, error("System role not supported")))
    picture: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages = (Message(role=Role.SYSTEM, content="Be brief."), Message(role=Role.USER, content=(picture,)))
    mending.call_api(ChatCompletionsRequest(messages=messages))
    [sent] = server.requests[-1].body["messages"]
    assert sent == {"role": "user", "content": [{"type": "text", "text": "Be brief."}, picture]}


def test_instructions_alone_become_a_question(server: ProviderServer, mending: Client) -> None:
    server.next(Reply(400, error("System role not supported")))
    mending.call_api(ChatCompletionsRequest(messages=(Message(role=Role.SYSTEM, content="Be brief."),)))
    assert server.requests[-1].body["messages"] == [{"role": "user", "content": "Be brief."}]


@pytest.mark.parametrize(
    "refusal",
    [
        Reply(
            400,
            error(
                "Failed to deserialize the JSON body into the target type: messages[0].role: unknown variant "
                "`developer`, expected one of `system`, `user`, `assistant`, `tool` at line 1 column 30"
            ),
        ),
        Reply(
            422,
            {
                "detail": [
                    {
                        "type": "literal_error",
                        "loc": ["body", "messages", 0, "role"],
                        "msg": "Input should be 'system', 'user', 'assistant' or 'tool'",
                        "input": "developer",
                    }
                ]
            },
        ),
        Reply(
            422,
            {
                "detail": [
                    {
                        "type": "union_tag_invalid",
                        "loc": ["body", "messages", 0],
                        "msg": "Input tag 'developer' found using 'role' does not match any of the expected tags: "
                        "'system', 'user', 'assistant', 'tool'",
                    }
                ]
            },
        ),
    ],
)
def test_a_role_that_is_refused_in_these_words_is_replaced(
    server: ProviderServer, mending: Client, refusal: Reply
) -> None:
    server.next(refusal)
    messages = (Message(role=Role.DEVELOPER, content="Be brief."), Message(role=Role.USER, content="What is it?"))
    mending.call_api(ChatCompletionsRequest(messages=messages))
    assert [each["role"] for each in server.requests[-1].body["messages"]] == ["system", "user"]


# -- the words of a provider


@pytest.mark.parametrize(
    "words",
    [
        "No endpoints found that support tool use. To learn more about provider routing, visit: the documentation.",
        "No endpoints found matching your data policy (Free model publication). Configure: settings/privacy",
        "No endpoints found that support image input",
        "No endpoints found for meta-llama/llama-9:free.",
        "No allowed providers are available for the selected model.",
    ],
)
def test_a_gateway_that_knows_nobody_for_a_request_has_the_right_address(
    server: ProviderServer, client: Client, words: str
) -> None:
    failed = refused(client, server, Reply(404, {"error": {"message": words, "code": 404}}))
    assert isinstance(failed, NotFoundAtProvider)
    assert failed.reason == "no_route"
    assert words in failed.sentence
    assert "“gpt-test”" in failed.sentence
    assert "Choose another model" in failed.advice
    assert "endpoint" not in failed.advice


@pytest.mark.parametrize(
    "body",
    [
        {"message": "Bad Request", "errors": [{"message": "The lion sleeps"}]},
        {"message": "Bad Request", "errors": {"prompt": ["The lion sleeps"]}},
        {"error": "Bad Request", "detail": "The lion sleeps"},
        {"error": "Bad Request", "details": [{"issue": "The lion sleeps"}]},
        {"title": "Bad Request", "errors": {"messages": ["The lion sleeps"]}},
        {"title": "One or more validation errors occurred.", "status": 400, "errors": {"Top": ["The lion sleeps"]}},
        {"error": {"message": "Validation failed", "issues": [{"path": ["top"], "message": "The lion sleeps"}]}},
        {"error": {"message": "Bad request.", "reason": "The lion sleeps"}},
        {"error": {"message": "Invalid request", "details": "The lion sleeps"}},
        {
            "error": {
                "code": 400,
                "message": "Request contains an invalid argument.",
                "status": "INVALID_ARGUMENT",
                "details": [{"fieldViolations": [{"field": "top", "description": "The lion sleeps"}]}],
            }
        },
        {"statusCode": 400, "message": "Bad Request", "error": {"message": "The lion sleeps"}},
        {"message": "Validation error", "violations": [{"field": "top", "message": "The lion sleeps"}]},
    ],
)
def test_what_stands_behind_a_phrase_is_in_the_sentence(server: ProviderServer, client: Client, body: Any) -> None:
    assert "The lion sleeps" in refused(client, server, Reply(400, body)).sentence


def test_a_phrase_behind_the_words_is_not_repeated(server: ProviderServer, client: Client) -> None:
    for body in (
        {"statusCode": 400, "message": "Lions sleep", "error": "Bad Request"},
        {"message": "Lions sleep", "error": {"message": "Lions sleep"}, "title": "Bad Request"},
    ):
        assert refused(client, server, Reply(400, body)).provider_message == "Lions sleep"


def test_a_problem_is_told_with_its_place(server: ProviderServer, client: Client) -> None:
    for problem in ({"field": "top_p"}, {"path": ["top_p"]}, {"instancePath": "/top_p"}):
        body = {"message": "Bad Request", "errors": [{**problem, "message": "must be a number"}]}
        failed = refused(client, server, Reply(400, body))
        assert failed.provider_message == "Bad Request: top_p: must be a number"


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": {"text": "The lion sleeps", "hint": 7}}},
        {"error": {"message": ["The lion", "sleeps"]}},
        {"error": {"message": json.dumps({"error": {"message": "The lion sleeps"}})}},
        {"error": json.dumps({"detail": "The lion sleeps"})},
        {"error": ["The lion sleeps"]},
        {"detail": [{"loc": ["body", "x"], "msg": "The lion sleeps", "type": "value_error", "input": {"a": 1}}]},
        {"detail": {"error": {"reason": "The lion sleeps"}}},
        {"errors": [{"code": 7, "message": "The lion sleeps"}]},
        {"fault": {"faultstring": "The lion sleeps", "detail": {"errorcode": "x"}}},
        {"Message": "The lion sleeps"},
        {"error_description": "The lion sleeps"},
        {"title": "The lion sleeps", "status": 400},
        {"error": {"message": "Provider returned error", "metadata": {"raw": "The lion sleeps", "provider_name": "X"}}},
        {"error": True, "message": "The lion sleeps"},
        [{"error": {"message": "The lion sleeps"}}],
        ["The lion sleeps"],
        '["The lion sleeps"]',
        "The lion sleeps",
        '"The lion sleeps"',
        "{The lion sleeps",
        "<400> The lion sleeps",
    ],
)
def test_a_sentence_carries_the_providers_words_in_whatever_form(
    server: ProviderServer, client: Client, body: object
) -> None:
    for status, kind in ((400, RequestRefused), (404, NotFoundAtProvider), (503, ProviderUnavailable)):
        failed = refused(client, server, Reply(status, body))
        assert type(failed) is kind
        said = failed.provider_message.replace("; ", " ")
        assert "The lion sleeps" in said
        assert failed.provider_message in failed.sentence


def test_a_problem_of_a_validation_names_its_place_and_not_its_input(server: ProviderServer, client: Client) -> None:
    problem = {
        "type": "less_than_equal",
        "loc": ["body", "n"],
        "msg": "Input should be less than 2",
        "input": {"a": "b"},
    }
    failed = refused(client, server, Reply(422, {"detail": [problem, extra("seed")]}))
    assert failed.provider_message == "n: Input should be less than 2; seed: Extra inputs are not permitted"


@pytest.mark.parametrize("body", ["<html><body>Sorry</body></html>", b"", {}, [], {"error": None}, "null", None])
def test_a_body_without_words_says_nothing(server: ProviderServer, client: Client, body: object) -> None:
    failed = refused(client, server, Reply(400, body))
    assert failed.sentence.endswith("refused the request (400). It does not say why.")


def test_the_code_of_a_wrapped_error_is_that_of_the_provider(server: ProviderServer, client: Client) -> None:
    inner = error("No such model", code="model_not_found", param="model")
    failed = refused(client, server, Reply(400, {"error": {"message": json.dumps(inner), "type": "x", "code": 400}}))
    assert (failed.code, failed.param, failed.reason) == ("model_not_found", "model", "no_model")


# -- limits, keys and rights


@pytest.mark.parametrize("status", [400, 413, 429])
@pytest.mark.parametrize(
    "words",
    [
        "Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Requested 61337.",
        "Request too large for model `llama-3.3` in organization `o` on tokens per minute (TPM): Limit 6000, Requested "
        "7591, please reduce your message size and try again.",
    ],
)
def test_a_request_that_is_too_large_for_a_minute_is_sent_once(
    server: ProviderServer, reports: list[CallReport], status: int, words: str
) -> None:
    server.next(Reply(status, error(words, type="tokens", code="rate_limit_exceeded"), headers={"retry-after": "1"}))
    client = Client(account(server), on_call=reports.append, timeout=PATIENCE, max_retries=2)
    failed = refused(client, server)
    assert (len(server.requests), reports[0].attempts) == (1, 1)
    assert (type(failed), failed.reason, failed.is_retryable) == (RequestRefused, "too_large", False)
    assert words in failed.sentence
    assert failed.advice.startswith("Shorten the prompt")


def test_a_rate_limit_is_still_retried(server: ProviderServer) -> None:
    words = "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29000, Requested 1200."
    busy = Reply(429, error(words, type="tokens", code="rate_limit_exceeded"), headers={"retry-after-ms": "1"})
    server.next(busy)
    Client(account(server), timeout=PATIENCE, max_retries=1).call_api(REQUEST)
    assert len(server.requests) == 2


@pytest.mark.parametrize("form", ["OpenAI", "Azure with a key", "Azure with a token"])
@pytest.mark.parametrize(
    "words",
    [
        "You have insufficient permissions for this operation. Missing scopes: model.request. Check that you have the "
        "correct role in your organization.",
        "The principal `1a-2b` lacks the required data action `Microsoft.CognitiveServices/accounts/x`",
        "Principal does not have access to API/Operation.",
        "The `models` permission is required to access this endpoint",
        "You must be a member of an organization to use the API",
        "You do not have an active subscription.",
        "Your subscription has expired.",
        "Missing role: Inference User",
    ],
)
def test_a_missing_scope_role_or_subscription_is_no_wrong_key(server: ProviderServer, form: str, words: str) -> None:
    client = Client(account(server, form), timeout=PATIENCE, max_retries=0)
    failed = refused(client, server, Reply(401, error(words)))
    assert isinstance(failed, AccessDenied)
    assert (failed.status, failed.reason) == (401, "no_rights")
    assert words in failed.sentence
    assert failed.advice == "Give the key or its owner the scope, role or subscription that is missing."


@pytest.mark.parametrize(
    "words",
    [
        "Incorrect API key provided: xa***.",
        "API key not valid. Please pass a valid API key.",
        "Invalid API-key provided.",
    ],
)
def test_a_wrong_key_is_recognised_with_another_status(server: ProviderServer, client: Client, words: str) -> None:
    for status in (400, 403):
        failed = refused(client, server, Reply(status, [{"error": {"code": status, "message": words}}]))
        assert isinstance(failed, KeyRefused)
        assert "Copy the complete key again" in failed.advice


def test_a_prompt_that_is_repeated_does_not_decide_what_an_error_is(server: ProviderServer, client: Client) -> None:
    prompt = "Explain the errors “invalid API key” and “Request too large for gpt-4o on tokens per min”, please."
    server.next(Reply(400, error(f"Cannot read the input: {prompt}", code="bad_input")))
    with pytest.raises(RequestRefused, match="Cannot read the input") as caught:
        client.execute_without_history(prompt)
    assert caught.value.reason == ""


# What the person asked about, and what the provider then refuses, in the same words.
ASKED_ABOUT = {
    "money": ("What does “Insufficient Balance” mean?", 400, "Error: Insufficient Balance", QuotaExceeded, ""),
    "a key": ("Incorrect API key provided?", 400, "Incorrect API key provided: [masked].", KeyRefused, ""),
    "a size": ("Request too large for me", 429, "Request too large for gpt-4o on TPM", RequestRefused, "too_large"),
    "a model": ("The model", 404, "The model `x` does not exist", NotFoundAtProvider, "no_model"),
    "an API": (
        "Why is this model only supported in v1/responses?",
        404,
        "This model is only supported in v1/responses and not in v1/chat/completions.",
        NotFoundAtProvider,
        "other_api",
    ),
    "a right": (
        "I have insufficient permissions",
        401,
        "You have insufficient permissions.",
        AccessDenied,
        "no_rights",
    ),
}


@pytest.mark.parametrize("case", ASKED_ABOUT)
def test_a_cause_is_understood_although_the_prompt_contains_its_words(
    server: ProviderServer, client: Client, case: str
) -> None:
    prompt, status, words, kind, reason = ASKED_ABOUT[case]
    server.next(Reply(status, error(words)))
    with pytest.raises(kind) as caught:
        client.execute_without_history(prompt)
    assert type(caught.value) is kind
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("prompt", "words", "limit"),
    [
        (
            "What is a maximum context length?",
            "This model's maximum context length is 8,192 tokens.",
            TokenLimit(8192, is_for_the_prompt=False),
        ),
        (
            "Explain: input tokens exceed the configured limit of",
            "Input tokens exceed the configured limit of 272000 tokens.",
            TokenLimit(272_000, is_for_the_prompt=True),
        ),
        ("Hm", "No. " * 90 + "The maximum prompt length is 131072", TokenLimit(131_072, is_for_the_prompt=True)),
        ("Hm", "No. " * 90 + "n_ctx: 4096", TokenLimit(4096, is_for_the_prompt=False)),
    ],
)
def test_a_limit_is_stated_although_its_words_are_masked_or_cut_off(
    server: ProviderServer, client: Client, prompt: str, words: str, limit: TokenLimit
) -> None:
    server.next(Reply(400, error(words)))
    with pytest.raises(RequestRefused) as caught:
        client.execute_without_history(prompt)
    assert token_limit_in(str(caught.value)) == limit


def test_a_limit_that_stands_in_a_repeated_prompt_is_none(server: ProviderServer, client: Client) -> None:
    prompt = "My book says that the context window is 12 tokens, is that true?"
    server.next(Reply(400, error(f"Bad input: {prompt}")))
    with pytest.raises(RequestRefused) as caught:
        client.execute_without_history(prompt)
    assert token_limit_in(str(caught.value)) is None


def test_a_key_that_a_gateway_did_not_find_is_not_to_be_copied_again(server: ProviderServer, client: Client) -> None:
    words = "Access denied due to missing subscription key. Make sure to include subscription key when making requests."
    failed = refused(client, server, Reply(401, {"statusCode": 401, "message": words}))
    assert isinstance(failed, KeyRefused)
    assert failed.advice == "It reads the key from another header, for example Ocp-Apim-Subscription-Key."


def test_a_bare_429_does_not_claim_that_the_key_is_right(server: ProviderServer, client: Client) -> None:
    for body in ("Too many requests", "<html>429</html>", {"detail": "Slow down"}):
        failed = refused(client, server, Reply(429, body, headers={"retry-after": "9"}))
        assert isinstance(failed, RateLimited)
        assert "accepts no more requests for now (429)" in failed.sentence
        assert failed.advice.startswith("Try again in 9 seconds.")


LIMITS: dict[str, tuple[Any, int, bool]] = {
    "OpenAI": (error("This model's maximum context length is 8192 tokens. However, you sent 9001."), 8192, False),
    "OpenAI, the prompt": (
        error(
            "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 289650 tokens. "
            "Please reduce the length of the messages.",
            code="context_length_exceeded",
            param="messages",
        ),
        272_000,
        True,
    ),
    "LM Studio": (
        {
            "error": "Trying to keep the first 111490 tokens when context the overflows. However, the model is loaded "
            "with context length of only 32768 tokens, which is not enough."
        },
        32_768,
        False,
    ),
    "Mistral": (
        {
            "message": "Prompt contains 40961 tokens and 0 draft tokens, too large for model with 32768 maximum "
            "context length"
        },
        32_768,
        False,
    ),
    "vLLM": (
        error("This model's maximum context length is 16,384 tokens. However, you requested 122946 tokens."),
        16_384,
        False,
    ),
    "vLLM, in brackets": (
        error("The prompt (total length 25938) is too long to fit into the model (context length 4096)."),
        4096,
        False,
    ),
    "vLLM, its engine": (error("The prompt (length 44) is longer than the maximum model length of 16."), 16, False),
    "llama.cpp": (error("request (5345 tokens) exceeds the available context size (4096 tokens), try"), 4096, False),
    "llama.cpp, beside its words": (
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size. try increasing the context size",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 14429,
                "n_ctx": 8192,
            }
        },
        8192,
        False,
    ),
    "llama-cpp-python": (error("Requested tokens (516) exceed context window of 512"), 512, False),
    "xAI": ({"error": "This model's maximum prompt length is 131072 but the request contains 136973."}, 131_072, True),
    "Gemini": (
        [{"error": {"message": "The input token count (120) exceeds the maximum number of tokens allowed (100)."}}],
        100,
        True,
    ),
    "Anthropic": (error("prompt is too long: 204000 tokens > 200000 maximum"), 200_000, True),
    "OpenRouter": (
        error("This endpoint's maximum context length is 131072 tokens. However, you requested about 141607 tokens."),
        131_072,
        False,
    ),
}


@pytest.mark.parametrize("case", LIMITS)
def test_the_limit_on_tokens_is_read_from_an_error(server: ProviderServer, client: Client, case: str) -> None:
    body, tokens, is_for_the_prompt = LIMITS[case]
    failed = refused(client, server, Reply(400, body))
    assert token_limit_in(str(failed)) == TokenLimit(tokens, is_for_the_prompt)


@pytest.mark.parametrize(
    ("words", "tokens"),
    [
        ("Your request exceeded model token limit: 8192", 8192),
        ("maximum context length: 131071", 131071),
        ("The prompt exceeds the context window limit (4096)", 4096),
        ("Current length is 9000 while limit is 8192", 8192),
        ("The input exceeds the maximum allowed length of 4096 tokens", 4096),
        ("Range of input length should be [1, 30720]", 30720),
    ],
)
def test_more_wordings_of_a_limit_are_read(words: str, tokens: int) -> None:
    limit = token_limit_in(words)
    assert limit is not None
    assert limit.tokens == tokens


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (402, error("Payment required.")),
        (400, error("Insufficient Balance")),
        (403, error("Your account balance is insufficient.")),
        (429, error("No.", code="exceeded_current_quota_error")),
        (403, error("No.", code="insufficient_user_quota")),
    ],
)
def test_an_account_without_credit_is_reported_and_not_retried(server: ProviderServer, status: int, body: Any) -> None:
    client = Client(account(server), timeout=PATIENCE)
    assert isinstance(refused(client, server, Reply(status, body)), QuotaExceeded)
    assert len(server.requests) == 1


@pytest.mark.parametrize("words", ["The context is too long.", "A context window of 128k tokens", "Limit 30000 tokens"])
def test_an_error_without_a_limit_on_tokens_has_none(server: ProviderServer, client: Client, words: str) -> None:
    assert token_limit_in(str(refused(client, server, Reply(400, error(words))))) is None


# -- what only another API offers

ONLY_RESPONSES = "This model is only supported in v1/responses and not in v1/chat/completions."
TOOLS_ELSEWHERE = (
    "Function tools with reasoning_effort are not supported for gpt-5.4 in /v1/chat/completions. Please use "
    "/v1/responses instead."
)


@pytest.mark.parametrize("status", [400, 404])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_model_that_only_another_api_offers_is_asked_once(
    server: ProviderServer,
    mending: Client,
    learnt: Adaptations,
    reports: list[CallReport],
    status: int,
    streamed: bool,
) -> None:
    server.next(Reply(status, error(ONLY_RESPONSES, param="model")))
    failures = []
    for _ in range(2):
        with pytest.raises(ConnectorError) as caught:
            list(mending.stream(REQUEST)) if streamed else mending.call_api(REQUEST)
        failures.append(caught.value)
    assert len(server.requests) == 1
    first, second = failures
    assert first.sentence.startswith(
        f"“gpt-test” is offered in another API only, v1/responses ({status}). It says: “This"
    )
    assert second.sentence.startswith(
        "“gpt-test” is offered in another API only, v1/responses. It says: “This model is"
    )
    assert "Forget the limits of the model to send it." in second.advice
    assert [first.reason, second.reason] == ["other_api"] * 2
    assert [each.attempts for each in reports] == [1, 0]
    assert [each.status for each in reports] == [CallStatus.FAILED] * 2
    assert [each.adaptations for each in reports] == [(), ()]
    assert [len(each.learnt) for each in reports] == [1, 0]
    assert [each.change for each in learnt.of("gpt-test")] == ["all requests refused: the model needs v1/responses"]


def test_tools_with_reasoning_that_only_another_api_offers_are_asked_for_once(
    server: ProviderServer, mending: Client, learnt: Adaptations, reports: list[CallReport]
) -> None:
    server.next(Reply(400, error(TOOLS_ELSEWHERE, param="reasoning_effort")))
    for _ in range(2):
        failed = refused(mending, server, tools=(TOOL,), reasoning_effort="low")
        assert failed.sentence.startswith("“gpt-test” takes tools together with reasoning in another API only, v1/resp")
        assert failed.advice.startswith("Set the reasoning effort to none, do without the tools, or choose another mod")
        assert failed.reason == "tools_in_other_api"
    assert len(server.requests) == 1
    mending.call_api(request_with(reasoning_effort="low"))
    mending.call_api(request_with(tools=(TOOL,), reasoning_effort="none"))
    assert [each.attempts for each in reports] == [1, 0, 1, 1]
    assert len(learnt.of("gpt-test")) == 1, "without tools, and without reasoning, it is still what it was"


def test_tools_that_are_refused_with_and_without_reasoning_need_another_api(
    server: ProviderServer, mending: Client, learnt: Adaptations
) -> None:
    none = "To use function tools, use /v1/responses or set reasoning_effort to 'none'."
    no_none = (
        "Unsupported value: 'reasoning_effort' does not support 'none' with this model. Supported values are: 'low'."
    )
    server.next(
        Reply(400, error(f"Function tools with reasoning_effort are not supported for x. {none}")),
        Reply(400, error(no_none, param="reasoning_effort", code="unsupported_value")),
    )
    for _ in range(2):
        failed = refused(mending, server, tools=(TOOL,))
        assert failed.reason == "tools_in_other_api"
    assert len(server.requests) == 2


def test_what_another_api_offers_is_remembered_for_each_model(server: ProviderServer, mending: Client) -> None:
    server.next(Reply(404, error(ONLY_RESPONSES)))
    refused(mending, server)
    mending.call_api(request_with(model="chat-test"))
    assert len(server.requests) == 2


def test_a_remembered_refusal_survives_in_stored_adaptations_until_it_is_forgotten(
    server: ProviderServer, mending: Client, learnt: Adaptations
) -> None:
    refused(mending, server, Reply(404, error(ONLY_RESPONSES)))
    stored = Adaptations(learnt.items())
    again = Client(account(server), learnt=stored, timeout=PATIENCE)
    assert refused(again, server).reason == "other_api"
    assert len(server.requests) == 1
    stored.forget()
    again.call_api(REQUEST)
    assert len(server.requests) == 2


def test_without_adaptations_nothing_is_remembered(server: ProviderServer, client: Client) -> None:
    assert refused(client, server, Reply(404, error(ONLY_RESPONSES))).reason == "other_api"
    client.call_api(REQUEST)


def test_a_prompt_that_is_repeated_is_not_remembered_as_a_refusal(
    server: ProviderServer, mending: Client, learnt: Adaptations
) -> None:
    server.next(Reply(400, error(f"Cannot read the input: {ONLY_RESPONSES}")))
    with pytest.raises(RequestRefused):
        mending.execute_without_history(f"What does this mean? {ONLY_RESPONSES}")
    assert learnt.items() == {}


def test_the_remembered_words_contain_no_prompt(server: ProviderServer, mending: Client, learnt: Adaptations) -> None:
    said = f"{ONLY_RESPONSES} You asked: what is it?"
    failed = refused(mending, server, Reply(404, error(said)))
    assert failed.provider_message.endswith("You asked: [prompt]?")
    assert "what is it" not in repr(learnt.items())
