"""Requests that a model refuses are mended and sent again; what helped is remembered. The refusals are real ones."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector import (
    Adaptation,
    Adaptations,
    CallReport,
    CallStatus,
    ChatCompletionsRequest,
    Client,
    Message,
    ProviderUnavailable,
    RateLimited,
    RequestRefused,
    Role,
    UnreadableAnswer,
)
from tests.connector.conftest import PATIENCE, account
from tests.provider.answers import chunk, completion, error
from tests.provider.server import Chunks, ProviderServer, Reply

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}


def unsupported(parameter: str, hint: str = "") -> Reply:
    words = f"Unsupported parameter: '{parameter}' is not supported with this model.{hint}"
    return Reply(400, error(words, param=parameter, code="unsupported_parameter"))


def unsupported_value(parameter: str, value: object, rest: str = "Only the default (1) value is supported.") -> Reply:
    words = f"Unsupported value: '{parameter}' does not support {value} with this model. {rest}"
    return Reply(400, error(words, param=parameter, code="unsupported_value"))


def unrecognized(*parameters: str) -> Reply:
    plural = "s" if len(parameters) > 1 else ""
    return Reply(400, error(f"Unrecognized request argument{plural} supplied: {', '.join(parameters)}"))


MAX_TOKENS = unsupported("max_tokens", " Use 'max_completion_tokens' instead.")
TOOLS_AND_EFFORT = Reply(
    400,
    error(
        "Function tools with reasoning_effort are not supported for gpt-5.6-terra in /v1/chat/completions. To use "
        "function tools, use /v1/responses or set reasoning_effort to 'none'.",
        param="reasoning_effort",
    ),
)
UNVERIFIED = Reply(
    400,
    error(
        "Your organization must be verified to stream this model. Please go to: "
        "https://platform.openai.com/settings/organization/general and click on Verify Organization.",
        param="stream",
        code="unsupported_value",
    ),
)


def request_with(**options: Any) -> ChatCompletionsRequest:
    return ChatCompletionsRequest.of_prompts("What is it?", system_prompt="Be brief.", **options)


def ask(client: Client, request: ChatCompletionsRequest, streamed: bool) -> object:
    return list(client.stream(request).deltas()) if streamed else client.call_api(request)


@pytest.fixture
def learnt() -> Adaptations:
    return Adaptations()


@pytest.fixture
def mending(server: ProviderServer, reports: list[CallReport], learnt: Adaptations) -> Client:
    return Client(account(server), on_call=reports.append, learnt=learnt, timeout=PATIENCE, max_retries=0)


# What is asked for, what the provider says to it, what of the body is there in the end, and the change in words.
CASES: dict[str, tuple[dict[str, Any], Reply, dict[str, Any], str]] = {
    "max_tokens": (
        {"max_tokens": 9},
        MAX_TOKENS,
        {"max_completion_tokens": 9},
        "max_tokens sent as max_completion_tokens",
    ),
    "an Azure version that does not know its successor": (
        {"max_completion_tokens": 9},
        unrecognized("max_completion_tokens"),
        {"max_tokens": 9},
        "max_completion_tokens sent as max_tokens",
    ),
    "temperature": ({"temperature": 0.2}, unsupported_value("temperature", 0.2), {}, "temperature left out"),
    "top_p": ({"top_p": 0.5}, unsupported("top_p"), {}, "top_p left out"),
    "frequency_penalty": ({"frequency_penalty": 1}, unsupported("frequency_penalty"), {}, "frequency_penalty left out"),
    "presence_penalty": ({"presence_penalty": 1}, unsupported("presence_penalty"), {}, "presence_penalty left out"),
    "logit_bias": ({"logit_bias": {"50256": -100}}, unsupported("logit_bias"), {}, "logit_bias left out"),
    "logprobs, which top_logprobs needs": (
        {"logprobs": True, "top_logprobs": 2},
        unsupported("logprobs"),
        {},
        "logprobs left out",
    ),
    "stop": ({"stop": "END"}, unsupported("stop"), {}, "stop left out"),
    "seed": ({"seed": 7}, unrecognized("seed"), {}, "seed left out"),
    "a reasoning effort": (
        {"reasoning_effort": "high"},
        unsupported_value("reasoning_effort", "'high'", "Supported values are: 'medium'."),
        {"reasoning_effort": "medium"},
        "reasoning_effort high sent as medium",
    ),
    "no reasoning at all": (
        {"reasoning_effort": "none"},
        unsupported_value(
            "reasoning_effort", "'none'", "Supported values are: 'minimal', 'low', 'medium', and 'high'."
        ),
        {"reasoning_effort": "minimal"},
        "reasoning_effort none sent as minimal",
    ),
    "any reasoning effort": (
        {"reasoning_effort": "low"},
        unrecognized("reasoning_effort"),
        {},
        "reasoning_effort left out",
    ),
    "reasoning effort with tools": (
        {"reasoning_effort": "low", "tools": (TOOL,)},
        TOOLS_AND_EFFORT,
        {"reasoning_effort": "none", "tools": [TOOL]},
        "reasoning_effort sent as none beside tools",
    ),
    "tools, where the effort is the provider's default": (
        {"tools": (TOOL,)},
        TOOLS_AND_EFFORT,
        {"reasoning_effort": "none", "tools": [TOOL]},
        "reasoning_effort sent as none beside tools",
    ),
    "a refusal of which a gateway left the words only": (
        {"temperature": 0.2},
        Reply(400, {"error": {"message": "upstream: Unsupported value: 'temperature' does not support 0.2."}}),
        {},
        "temperature left out",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_refused_parameter_is_changed_and_the_change_is_reported(
    server: ProviderServer, mending: Client, reports: list[CallReport], case: str
) -> None:
    asked, refusal, sent, change = CASES[case]
    server.next(refusal)
    mending.call_api(request_with(**asked))
    first, second = (request.body for request in server.requests)
    plain = {"model": "gpt-test", "messages": first["messages"]}
    assert first == plain | {name: list(value) if isinstance(value, tuple) else value for name, value in asked.items()}
    assert second == plain | sent
    [report] = reports
    assert [each.change for each in report.adaptations] == [change]
    assert report.adaptations[0].why == " ".join(refusal.body["error"]["message"].split())
    assert (report.status, report.attempts, report.request) == (CallStatus.DONE, 2, second)


@pytest.mark.parametrize("case", CASES)
def test_a_successful_change_is_applied_to_later_requests(
    server: ProviderServer, mending: Client, learnt: Adaptations, case: str
) -> None:
    asked, refusal, _, _ = CASES[case]
    server.next(refusal)
    for _ in range(2):
        mending.call_api(request_with(**asked))
    assert len(server.requests) == 3
    assert server.requests[2].body == server.requests[1].body == learnt.body(account(server), request_with(**asked))


@pytest.mark.parametrize("case", CASES)
def test_without_adaptations_nothing_is_rewritten(server: ProviderServer, client: Client, case: str) -> None:
    asked, refusal, _, _ = CASES[case]
    server.next(refusal)
    with pytest.raises(RequestRefused):
        client.call_api(request_with(**asked))
    assert len(server.requests) == 1


def test_several_refusals_in_a_row_lead_to_an_accepted_request(
    server: ProviderServer, mending: Client, reports: list[CallReport]
) -> None:
    server.next(MAX_TOKENS, unsupported_value("temperature", 0.2), unrecognized("top_p", "seed"))
    mending.call_api(request_with(max_tokens=9, temperature=0.2, top_p=0.5, seed=7))
    assert set(server.requests[-1].body) == {"model", "messages", "max_completion_tokens"}
    assert [each.parameter for each in reports[0].adaptations] == ["max_tokens", "temperature", "top_p", "seed"]
    assert reports[0].attempts == 4


# -- roles


@pytest.mark.parametrize(
    ("asked", "refusal", "sent"),
    [
        (
            Role.SYSTEM,
            Reply(
                400,
                error(
                    "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
                    param="messages[0].role",
                    code="unsupported_value",
                ),
            ),
            "user",
        ),
        (
            Role.DEVELOPER,
            Reply(
                400,
                error(
                    "Invalid value: 'developer'. Supported values are: 'system', 'assistant', 'user', 'function', and "
                    "'tool'.",
                    param="messages[0].role",
                    code="invalid_value",
                ),
            ),
            "system",
        ),
        (
            Role.DEVELOPER,
            Reply(
                400,
                error("'developer' is not one of ['system', 'assistant', 'user', 'function'] - 'messages.0.role'"),
            ),
            "system",
        ),
    ],
)
def test_an_unsupported_role_is_replaced(
    server: ProviderServer, mending: Client, asked: Role, refusal: Reply, sent: str
) -> None:
    messages = (Message(role=asked, content="Be brief."), Message(role=Role.USER, content="What is it?"))
    server.next(refusal)
    mending.call_api(ChatCompletionsRequest(messages=messages))
    assert [each["role"] for each in server.requests[-1].body["messages"]] == [sent, "user"]
    assert messages[0].role is asked


def test_instructions_are_sent_as_a_user_message_if_no_other_role_is_supported(
    server: ProviderServer, mending: Client
) -> None:
    def only_users(body: dict[str, Any]) -> Reply | None:
        for at, message in enumerate(body["messages"]):
            if message["role"] in ("system", "developer"):
                return unsupported_value(f"messages[{at}].role", f"'{message['role']}'", "")
        return None

    server.objection = only_users
    messages = (Message(role=Role.DEVELOPER, content="Be brief."), Message(role=Role.USER, content="What is it?"))
    for _ in range(2):
        mending.call_api(ChatCompletionsRequest(messages=messages))
    assert [len(server.requests), {each["role"] for each in server.requests[-1].body["messages"]}] == [4, {"user"}]


# -- several choices, and streams


def refuse_n(body: dict[str, Any]) -> Reply | None:
    return unsupported_value("n", body["n"]) if body.get("n", 1) > 1 else None


N_REFUSED = unsupported_value("n", 2)


@pytest.mark.parametrize("streamed", [False, True])
def test_several_choices_are_requested_one_by_one(
    server: ProviderServer, mending: Client, reports: list[CallReport], streamed: bool
) -> None:
    server.objection = refuse_n
    request = request_with(n=3)
    if streamed:
        with mending.stream(request) as stream:
            texts = dict.fromkeys(range(3), "")
            for index, _, text in stream.deltas():
                texts[index] += text
            response = stream.response
        assert set(texts.values()) == {"Answer 0 to: What is it?"}
    else:
        response = mending.call_api(request)
    assert [choice.index for choice in response.choices] == [0, 1, 2]
    assert {choice.message.content for choice in response.choices} == {"Answer 0 to: What is it?"}
    one = 6  # tokens of one such answer at this server
    assert response.usage
    assert response.usage.completion_tokens == 3 * one
    assert response.usage.completion_tokens_details
    [report] = reports
    assert (report.attempts, report.status, report.usage) == (4, CallStatus.DONE, response.usage)
    assert report.request_id == response._request_id is not None
    assert [each.change for each in report.adaptations] == ["n left out, the choices requested one by one"]


@pytest.mark.parametrize("streamed", [False, True])
def test_received_choices_are_reported_when_a_later_choice_fails(
    server: ProviderServer, mending: Client, reports: list[CallReport], streamed: bool
) -> None:
    busy = iter([None, None, Reply(503, error("Busy."))])
    server.objection = lambda body: refuse_n(body) or next(busy)
    with pytest.raises(ProviderUnavailable):
        ask(mending, request_with(n=4), streamed)
    [report] = reports
    assert report.response
    assert len(report.response.choices) == 2
    assert report.status is (CallStatus.INTERRUPTED if streamed else CallStatus.FAILED)


def test_a_stream_of_several_choices_can_be_stopped_between_them(
    server: ProviderServer, mending: Client, reports: list[CallReport]
) -> None:
    server.objection = refuse_n
    with mending.stream(request_with(n=3)) as stream:
        for index, _, _ in stream.deltas():
            if index == 1:
                break
    assert [len(server.requests), reports[0].status] == [3, CallStatus.STOPPED]


def test_tokens_of_several_choices_are_unknown_when_one_reports_none(server: ProviderServer, mending: Client) -> None:
    server.next(N_REFUSED, Reply(200, completion("One.")), Reply(200, completion("Two.", usage=None)))
    assert mending.call_api(request_with(n=2)).usage is None


@pytest.mark.parametrize("refusal", [UNVERIFIED, unsupported_value("stream", "true", "Supported values are: false.")])
def test_a_model_that_does_not_stream_sends_a_complete_answer(
    server: ProviderServer, mending: Client, reports: list[CallReport], refusal: Reply
) -> None:
    server.next(refusal)
    assert list(mending.stream(request_with())) == ["Answer 0 to: What is it?"]
    assert not {"stream", "stream_options"} & set(server.requests[1].body)
    assert [each.change for each in reports[0].adaptations] == ["stream left out, the answer comes whole"]


def test_an_old_version_streams_without_options(server: ProviderServer, mending: Client) -> None:
    server.next(unrecognized("stream_options"))
    assert "".join(mending.stream(request_with())) == "Answer 0 to: What is it?"
    assert server.requests[1].body["stream"] is True
    assert "stream_options" not in server.requests[1].body


def test_a_refused_stream_option_leaves_the_other_options(
    server: ProviderServer, mending: Client, reports: list[CallReport]
) -> None:
    server.next(unsupported("stream_options.include_obfuscation"))
    list(mending.stream(request_with(stream_options={"include_obfuscation": False})))
    assert server.requests[1].body["stream_options"] == {"include_usage": True}
    assert reports[0].usage is not None


def test_a_stop_ends_the_wait_for_a_retry(
    server: ProviderServer, learnt: Adaptations, reports: list[CallReport]
) -> None:
    """The second choice is refused for now, and to be tried again after a minute's part."""
    wait = Reply(503, error("Busy."), headers={"retry-after": "15"})
    server.next(N_REFUSED, Chunks([chunk("One.", finish_reason="stop")]), wait)
    client = Client(account(server), on_call=reports.append, learnt=learnt, timeout=PATIENCE)
    stream = client.stream(request_with(n=2))
    reader = threading.Thread(target=lambda: list(stream.deltas()))
    reader.start()
    while len(server.requests) < 3:
        reader.join(0.01)
    stream.close()
    reader.join(5)
    assert not reader.is_alive()
    assert [len(server.requests), reports[0].status] == [3, CallStatus.STOPPED]


# -- what is learnt, and what is not


EFFORT = "reasoning_effort"


def test_after_one_value_is_refused_other_values_are_still_sent(server: ProviderServer, mending: Client) -> None:
    server.objection = lambda body: (
        (unsupported_value(EFFORT, "'xhigh'", "") if body.get(EFFORT) == "xhigh" else None)
        or (
            unsupported_value("temperature", 1.8, "Only values from 0 to 1 are supported.")
            if body.get("temperature", 0) > 1
            else None
        )
    )
    mending.call_api(request_with(reasoning_effort="xhigh", temperature=1.8))
    mending.call_api(request_with(reasoning_effort="low", temperature=0.2))
    last = server.requests[-1].body
    assert [last[EFFORT], last["temperature"], len(server.requests)] == ["low", 0.2, 4]


def test_an_outdated_change_is_dropped(server: ProviderServer, reports: list[CallReport]) -> None:
    old = Adaptation(EFFORT, "none", "minimal", "old")
    learnt = Adaptations({"gpt-test": [old]})
    client = Client(account(server), learnt=learnt, on_call=reports.append, timeout=PATIENCE, max_retries=0)
    taken = ("none", "low", "medium", "high")
    server.objection = lambda body: (
        None
        if body.get(EFFORT) in taken
        else unsupported_value(
            EFFORT, f"'{body[EFFORT]}'", "Supported values are: 'none', 'low', 'medium', and 'high'."
        )
    )
    for _ in range(2):
        client.call_api(request_with(reasoning_effort="none"))
    assert [request.body[EFFORT] for request in server.requests] == ["minimal", "none", "none"]
    assert [reports[0].outdated, learnt.of("gpt-test")] == [(old,), ()]


def test_a_known_change_that_is_refused_too_does_not_loop(server: ProviderServer) -> None:
    learnt = Adaptations({"gpt-test": [Adaptation("max_completion_tokens", None, "max_tokens", "old")]})
    client = Client(account(server), learnt=learnt, timeout=PATIENCE, max_retries=0)
    server.objection = lambda body: next(
        (unsupported(name) for name in ("max_tokens", "max_completion_tokens") if name in body), None
    )
    with pytest.raises(RequestRefused):
        client.call_api(request_with(max_tokens=9))
    assert len(server.requests) <= 4


@pytest.mark.parametrize("streamed", [False, True])
def test_nothing_is_learnt_from_an_unreadable_answer(
    server: ProviderServer, mending: Client, learnt: Adaptations, reports: list[CallReport], streamed: bool
) -> None:
    server.next(unsupported("top_p"), Reply(200, "<html>Sign in</html>", content_type="text/html"))
    with pytest.raises(UnreadableAnswer):
        ask(mending, request_with(top_p=0.5), streamed)
    assert [learnt.items(), reports[0].learnt] == [{}, ()]


def test_a_change_that_did_not_help_a_later_choice_is_not_learnt(
    server: ProviderServer, mending: Client, learnt: Adaptations, reports: list[CallReport]
) -> None:
    first = Chunks([chunk("One.", finish_reason="stop")])
    server.next(N_REFUSED, first, unsupported("temperature"), Reply(400, error("No way.")))
    with pytest.raises(RequestRefused):
        list(mending.stream(request_with(n=2, temperature=0.2)))
    assert [each.parameter for each in learnt.of("gpt-test")] == ["n"]
    assert [each.parameter for each in reports[0].learnt] == ["n"]
    assert reports[0].status is CallStatus.INTERRUPTED
    assert reports[0].response
    assert reports[0].response.choices[0].message.content == "One."


def test_a_refusal_that_repeats_the_prompt_still_leads_to_a_change(
    server: ProviderServer, mending: Client, reports: list[CallReport]
) -> None:
    """The repeated words are not shown; they are understood all the same."""
    server.next(unsupported_value(EFFORT, "'high'", "Supported values are: 'medium'."))
    prompt = "Unsupported value: 'reasoning_effort' - what is that?"
    mending.call_api(ChatCompletionsRequest.of_prompts(prompt, reasoning_effort="high"))
    why = "[prompt]' does not support 'high' with this model. Supported values are: 'medium'."
    assert reports[0].adaptations == (Adaptation(EFFORT, "high", "medium", why),)


def test_a_prompt_in_parts_is_not_repeated_either(
    server: ProviderServer, mending: Client, reports: list[CallReport]
) -> None:
    secret = "My patient Jane Doe has a rare disease"
    server.next(
        Reply(
            400,
            error(f"Unsupported parameter: 'top_p'. Request: {secret}", code="unsupported_parameter", param="top_p"),
        )
    )
    message = Message(role=Role.USER, content=({"type": "text", "text": secret},))
    mending.call_api(ChatCompletionsRequest(messages=(message,), top_p=0.5))
    assert "Jane" not in repr(reports[0].adaptations)


def test_a_supported_effort_beside_tools_is_used(server: ProviderServer, mending: Client) -> None:
    words = "'minimal' is not supported when tools are used with reasoning_effort. Supported values are: 'low', 'high'."
    server.next(Reply(400, error(words, param=EFFORT, code="unsupported_value")))
    mending.call_api(request_with(tools=(TOOL,), reasoning_effort="minimal"))
    mending.call_api(request_with(tools=(TOOL,), reasoning_effort="high"))
    assert [request.body[EFFORT] for request in server.requests] == ["minimal", "low", "high"]


def test_a_role_that_was_refused_is_not_tried_again(server: ProviderServer, mending: Client) -> None:
    server.objection = lambda body: next(
        (
            unsupported_value(f"messages[{at}].role", f"'{message['role']}'", "")
            for at, message in enumerate(body["messages"])
            if message["role"] != "user"
        ),
        None,
    )
    roles = (Role.SYSTEM, Role.DEVELOPER, Role.USER)
    mending.call_api(ChatCompletionsRequest(messages=tuple(Message(role=role, content="Hm.") for role in roles)))
    assert {message["role"] for message in server.requests[-1].body["messages"]} == {"user"}


def test_other_refusals_that_mention_a_role_change_no_role(server: ProviderServer, mending: Client) -> None:
    server.next(Reply(400, error("messages[0].role: conversation roles must alternate user/assistant")))
    with pytest.raises(RequestRefused):
        mending.call_api(request_with())


def test_fields_with_unexpected_types_are_accepted_without_a_warning(server: ProviderServer, mending: Client) -> None:
    server.next(N_REFUSED, *(Reply(200, completion(text) | {"id": 7}) for text in ("One.", "Two.")))
    response = mending.call_api(request_with(n=2))
    assert [choice.message.content for choice in response.choices] == ["One.", "Two."]


@pytest.mark.parametrize("streamed", [False, True])
def test_the_tokens_of_received_choices_are_known_when_a_later_choice_fails(
    server: ProviderServer, mending: Client, reports: list[CallReport], streamed: bool
) -> None:
    busy = iter([None, None, Reply(503, error("Busy."))])
    server.objection = lambda body: refuse_n(body) or next(busy)
    with pytest.raises(ProviderUnavailable):
        ask(mending, request_with(n=3), streamed)
    assert reports[0].usage
    assert reports[0].usage.completion_tokens == 12
    assert len(reports[0].parts) == 2


# -- what stays refused


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ({"tools": (TOOL,)}, unsupported("tools")),
        ({"response_format": {"type": "json_object"}}, unsupported("response_format")),
        ({"response_format": {"type": "json_object"}}, unsupported("response_format.type")),
        ({"metadata": {"team": "blue"}}, unsupported("metadata.team")),
        ({"service_tier": "flex"}, unsupported_value("service_tier", "'flex'", "Supported values are: 'default'.")),
        ({"store": True}, unrecognized("store")),
        ({"temperature": 0.2}, unsupported("top_p")),
        ({"temperature": 0.2, "store": True}, unrecognized("temperature", "store")),
        ({"temperature": 0.2}, Reply(400, error("Something else is wrong with temperature.", param="temperature"))),
        ({"temperature": 0.2}, Reply(422, unsupported("temperature").body)),
        ({}, unsupported("messages")),
        ({}, unsupported_value("messages[7].role", "'system'", "")),
        ({}, unsupported("model")),
        ({}, Reply(400, "no JSON at all")),
        ({}, Reply(400, {"error": {"message": ["Unsupported parameter: 'temperature'"], "param": 7, "code": []}})),
    ],
)
def test_an_unknown_refusal_stays_an_error(
    server: ProviderServer, mending: Client, learnt: Adaptations, asked: dict[str, Any], refusal: Reply
) -> None:
    server.next(refusal)
    with pytest.raises(RequestRefused):
        mending.call_api(request_with(**asked))
    assert [len(server.requests), learnt.items()] == [1, {}]


def test_a_parameter_is_rewritten_once(server: ProviderServer, mending: Client, reports: list[CallReport]) -> None:
    server.objection = lambda body: unsupported("max_tokens" if "max_tokens" in body else "max_completion_tokens")
    with pytest.raises(RequestRefused) as raised:
        mending.call_api(request_with(max_tokens=9))
    assert raised.value.param == "max_completion_tokens"
    assert [len(server.requests), reports[0].status, reports[0].learnt] == [2, CallStatus.FAILED, ()]


def test_nothing_is_learnt_before_the_provider_accepts_the_request(
    server: ProviderServer, mending: Client, learnt: Adaptations
) -> None:
    server.next(MAX_TOKENS, Reply(429, error("Slow down.")))
    with pytest.raises(RateLimited):
        mending.call_api(request_with(max_tokens=9))
    assert learnt.items() == {}


def test_changes_to_a_request_do_not_use_up_retries(server: ProviderServer, learnt: Adaptations) -> None:
    soon = {"retry-after-ms": "1"}
    server.next(Reply(503, headers=soon), MAX_TOKENS, unsupported("top_p"), Reply(503, headers=soon))
    client = Client(account(server), learnt=learnt, timeout=PATIENCE, max_retries=2)
    client.call_api(request_with(max_tokens=9, top_p=0.5))
    assert len(server.requests) == 5


PARAMETERS: dict[str, Any] = {
    "temperature": 0.2,
    "top_p": 0.5,
    "n": 2,
    "seed": 7,
    "stop": ("END",),
    "max_tokens": 9,
    "max_completion_tokens": 9,
    "frequency_penalty": 1.0,
    "presence_penalty": 1.0,
    "logprobs": True,
    "top_logprobs": 2,
    "logit_bias": {"50256": -100},
    "reasoning_effort": "low",
    "parallel_tool_calls": True,
    "tools": (TOOL,),
    "response_format": {"type": "json_object"},
    "service_tier": "flex",
    "user": "one",
}
WORDINGS: list[Callable[[str, Any], Reply]] = [
    lambda name, value: unsupported(name),
    lambda name, value: unsupported_value(name, value),
    lambda name, value: unsupported_value(name, value, "Supported values are: 'medium', 'none'."),
    lambda name, value: unrecognized(name),
]


@given(
    asked=st.sets(st.sampled_from(sorted(PARAMETERS))),
    refused=st.sets(st.sampled_from(sorted([*PARAMETERS, "system", "developer", "stream", "stream_options"]))),
    wording=st.sampled_from(WORDINGS),
    streamed=st.booleans(),
)
def test_any_set_of_refusals_ends_in_a_sent_request_or_an_error(
    quiet_server: ProviderServer,
    asked: set[str],
    refused: set[str],
    wording: Callable[[str, Any], Reply],
    streamed: bool,
) -> None:
    def objection(body: dict[str, Any]) -> Reply | None:
        for at, message in enumerate(body["messages"]):
            if message["role"] in refused:
                return unsupported_value(f"messages[{at}].role", f"'{message['role']}'", "")
        for name in body:
            if name in refused and body[name] not in ("none", "medium"):
                return wording(name, body[name])
        return None

    quiet_server.objection = objection
    learnt = Adaptations()
    client = Client(account(quiet_server), learnt=learnt, timeout=PATIENCE, max_retries=0)
    request = request_with(**{name: PARAMETERS[name] for name in asked})
    counts = []
    for _ in range(2):
        before = len(quiet_server.requests)
        try:
            text = "".join(client.stream(request)) if streamed else client.call_api(request).choices[0].message.content
        except RequestRefused:
            assert learnt.items() == {}, "nothing is learnt from what did not help"
        else:
            assert text
            last = quiet_server.requests[-1].body
            assert objection(last) is None
            meant = {"tools", "response_format", "service_tier"} & asked
            assert meant <= set(last), "what changes the meaning is still there"
        counts.append(len(quiet_server.requests) - before)
    assert counts[0] <= len(PARAMETERS) + 6
    if learnt.items():
        choices = 2 if "n" in asked and "n" in refused else 1
        assert counts[1] == choices, "what was learnt is right at the first try"


@pytest.fixture(scope="module")
def quiet_server() -> Any:
    with ProviderServer(also_allowed={"functions"}) as running:
        running._http.socket.listen(128)
        yield running


# -- what is kept


def test_changes_are_learnt_for_each_model_separately(
    server: ProviderServer, mending: Client, learnt: Adaptations
) -> None:
    server.next(MAX_TOKENS)
    mending.call_api(request_with(max_tokens=9))
    mending.call_api(request_with(max_tokens=9, model="chat-test"))
    assert "max_tokens" in server.requests[-1].body
    assert list(learnt.items()) == ["gpt-test"]


def test_stored_changes_can_be_passed_to_a_new_client(
    server: ProviderServer, mending: Client, learnt: Adaptations
) -> None:
    server.next(MAX_TOKENS)
    mending.call_api(request_with(max_tokens=9))
    again = Client(account(server), learnt=Adaptations(learnt.items()), timeout=PATIENCE)
    again.call_api(request_with(max_tokens=9))
    assert "max_completion_tokens" in server.requests[-1].body
    assert len(server.requests) == 3


def test_changes_are_learnt_again_after_a_deployment_gets_another_model(
    server: ProviderServer, mending: Client, learnt: Adaptations, reports: list[CallReport]
) -> None:
    server.next(MAX_TOKENS)
    mending.call_api(request_with(max_tokens=9))
    server.next(unrecognized("max_completion_tokens"))
    mending.call_api(request_with(max_tokens=9))
    assert "max_tokens" in server.requests[-1].body
    assert learnt.of("gpt-test") == ()
    assert [reports[1].learnt, reports[1].outdated] == [(), reports[0].learnt]
    mending.call_api(request_with(max_tokens=9))
    assert len(server.requests) == 5


def test_forgotten_changes_are_not_applied(server: ProviderServer, mending: Client, learnt: Adaptations) -> None:
    server.next(MAX_TOKENS)
    mending.call_api(request_with(max_tokens=9))
    learnt.forget()
    mending.call_api(request_with(max_tokens=9))
    assert "max_tokens" in server.requests[-1].body


def test_many_threads_can_learn_at_the_same_time(server: ProviderServer, mending: Client, learnt: Adaptations) -> None:
    server.objection = lambda body: (
        MAX_TOKENS if "max_tokens" in body else unsupported("top_p") if "top_p" in body else None
    )
    threads = [
        threading.Thread(target=lambda: mending.call_api(request_with(max_tokens=9, top_p=0.5))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.parameter for each in learnt.of("gpt-test")) == ["max_tokens", "top_p"]


def test_a_key_that_a_refusal_repeats_is_not_in_the_adaptation(
    server: ProviderServer, mending: Client, reports: list[CallReport]
) -> None:
    words = f"Unsupported parameter: 'top_p' is not supported with this model. Key: {server.key}"
    server.next(Reply(400, error(words, param="top_p", code="unsupported_parameter")))
    mending.call_api(request_with(top_p=0.5))
    assert server.key not in str(reports[0].adaptations)
    assert "[key]" in str(reports[0].adaptations[0])


def test_an_adaptation_reads_as_a_sentence() -> None:
    assert str(Adaptation("top_p", why="It is not supported.")) == "top_p left out: “It is not supported.”"
    assert str(Adaptation("role", "developer", "system")) == "role developer sent as system"


def test_a_stream_of_a_changed_request_can_be_stopped(
    server: ProviderServer, mending: Client, reports: list[CallReport], learnt: Adaptations
) -> None:
    gate = threading.Event()
    server.next(unsupported("top_p"), Chunks([{"choices": [{"index": 0, "delta": {"content": "On"}}]}, gate]))
    with mending.stream(request_with(top_p=0.5)) as stream:
        next(iter(stream))
    assert [reports[0].status, len(learnt.of("gpt-test"))] == [CallStatus.STOPPED, 1]
