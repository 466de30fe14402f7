"""The second part of an examination: four real calls with a limit of a few tokens."""

import json
import time
from typing import Any

from connector.chat_completions import ChatCompletionsRequest, ChatCompletionsResponse, text_of
from connector.diagnosis import NO_RESPONSE, diagnosis
from connector.errors import ConnectorError, QuotaExceeded, RateLimited
from connector.examination import Checked, Subject
from connector.finding import Finding, State, Step, a_pass
from connector.report import CallReport
from connector.sentences import quoted, redacted

LIMIT = 16
"""Tokens of an answer whose text does not matter."""
JSON_LIMIT = 200
ROOM = 1000
"""Additional tokens for a reasoning model."""
_SCHEMA = {
    "name": "answer",
    "strict": True,
    "schema": {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,
    },
}
_TOOL: Any = {
    "type": "function",
    "function": {
        "name": "report_health",
        "description": "Report that all is well.",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    },
}


def _request(subject: Subject, prompt: str, limit: int = LIMIT, **options: Any) -> ChatCompletionsRequest:
    limit += subject.room
    return ChatCompletionsRequest.of_prompts(prompt, model=subject.model, max_completion_tokens=limit, **options)


def check_answer(subject: Subject) -> Checked:
    """Make a call; its result also shows whether API, key, model and version are right."""
    start = time.monotonic()
    failed, answered, thinks = None, "", False
    unproven: set[Step] = set()
    try:
        response = subject.client.call_api(_request(subject, "Answer with the single word OK."))
        answered = redacted(response.model, subject.configuration)
        thinks = _is_cut_while_thinking(response)
    except ConnectorError as error:
        thinks = error.reason == "thinking_limit"
        if not thinks:
            failed = diagnosis(subject, error)
            unproven = _unproven(subject, error, failed)
    sentence = f"The answer came within {time.monotonic() - start:.1f} s."
    if thinks:
        sentence = "This is a reasoning model: it thinks before it answers."
        subject.room = ROOM
    named = f"“{subject.asked}” is there" + (f"; {answered} answers." if answered not in ("", subject.asked) else ".")
    seen = {
        Step.API: a_pass(Step.API, f"{subject.host} answers as an API."),
        Step.KEY: a_pass(Step.KEY, f"{subject.host} accepted the key, or requires none."),
        Step.MODEL: a_pass(Step.MODEL, named),
        Step.VERSION: a_pass(Step.VERSION, "The API version is valid."),
        Step.ANSWER: a_pass(Step.ANSWER, sentence + _changes(subject)),
    }
    return failed, {step: finding for step, finding in seen.items() if step not in unproven}


def _unproven(subject: Subject, error: ConnectorError, failed: Finding) -> set[Step]:
    """The steps before the failed one that the error does not show to be right."""
    is_sent = bool(subject.reports and subject.reports[-1].attempts)
    if not is_sent or isinstance(error, NO_RESPONSE):
        return {Step.API, Step.KEY, Step.MODEL, Step.VERSION}
    if not error.code:  # a proxy or a check of the form may refuse a request before anybody looks at its key
        return {Step.KEY, Step.MODEL, Step.VERSION}
    return {Step.KEY, Step.MODEL} if failed.step is Step.VERSION else set()


def _changes(subject: Subject) -> str:
    """A sentence with the changes that the last request needed, or nothing."""
    changes = [each.change for each in subject.reports[-1].adaptations] if subject.reports else []
    return f" Changes to the request: {'; '.join(changes)}." if changes else ""


def check_streaming(subject: Subject) -> Finding:
    """Check that answers are streamed and report their token usage."""
    try:
        with subject.client.stream(_request(subject, "Answer with the single word OK.")) as stream:
            for _ in stream.deltas():
                pass
    except ConnectorError as error:
        return _limitation(
            subject, Step.STREAMING, "Streaming does not work.", error, "Answers will fail on most pages."
        )
    report = subject.reports[-1]
    changed = {each.parameter for each in report.adaptations}
    old_version = "The API version does not support this parameter: enter 2024-10-21 or newer, or v1."
    unknown = "Usage and cost of streamed answers stay unknown."
    if "stream" in changed or (report.response and report.time_to_first_token is None and _has_text(subject, report)):
        return Finding(
            Step.STREAMING,
            State.LIMITED,
            f"Answers are not streamed; they arrive complete.{_reason_for(subject, 'stream')}",
            "The first word takes longer; everything else works.",
        )
    if "stream_options" in changed:
        return Finding(
            Step.STREAMING,
            State.LIMITED,
            f"Streaming works without token usage.{_reason_for(subject, 'stream_options')}",
            old_version if subject.is_dated else unknown,
        )
    if report.usage is None:
        return Finding(
            Step.STREAMING,
            State.LIMITED,
            "Streaming works but reports no token usage.",
            f"{unknown} A newer version of the server may report them.",
        )
    return a_pass(Step.STREAMING, "Answers are streamed and report their token usage.")


def _has_text(subject: Subject, report: CallReport) -> bool:
    return bool(report.response and any(choice.message.content for choice in report.response.choices))


def _reason_for(subject: Subject, parameter: str) -> str:
    why = [each.why for each in subject.reports[-1].adaptations if each.parameter == parameter]
    return quoted(why[0]) if why else ""


def check_schema(subject: Subject) -> Finding:
    """Check that answers follow a JSON schema."""
    response_format = {"type": "json_schema", "json_schema": _SCHEMA}
    request = _request(subject, "Answer in JSON whether all is well.", JSON_LIMIT, response_format=response_format)
    text = ""
    try:
        response = subject.client.call_api(request)
        text = text_of(response)
        if _is_cut_while_thinking(response):
            return _undecided(subject, Step.JSON_SCHEMA)
    except ConnectorError as error:
        if error.reason != "no_choice":
            return _schema_refused(subject, error)
    if not _is_json_of_the_schema(text):
        return Finding(
            Step.JSON_SCHEMA,
            State.LIMITED,
            "The schema was accepted, but the answer does not follow it.",
            "Pages that need JSON will sometimes fail.",
        )
    return a_pass(Step.JSON_SCHEMA, f"Answers follow the schema.{_changes(subject)}")


def _schema_refused(subject: Subject, error: ConnectorError) -> Finding:
    advice = "Pages that need JSON will not work with this configuration."
    if subject.is_dated:
        advice += " JSON schemas need API version 2024-08-01-preview or newer, and a model from gpt-4o on."
    return _limitation(subject, Step.JSON_SCHEMA, "Structured output was refused.", error, advice)


def check_tools(subject: Subject) -> Finding:
    """Check that the model calls a tool."""
    request = _request(subject, "Call the function report_health now.", JSON_LIMIT, tools=(_TOOL,))
    try:
        response = subject.client.call_api(request)
    except ConnectorError as error:
        return _limitation(
            subject,
            Step.TOOLS,
            "Tools were refused.",
            error,
            "Pages that need tools will not work with this configuration.",
        )
    if not any(choice.message and choice.message.tool_calls for choice in response.choices):
        if _is_cut_while_thinking(response):
            return _undecided(subject, Step.TOOLS)
        return Finding(
            Step.TOOLS,
            State.LIMITED,
            "Tools were accepted, but the model did not call the requested one.",
            "Pages that need tools may not work with this configuration; larger models do better.",
        )
    return a_pass(Step.TOOLS, f"The model calls tools.{_changes(subject)}")


def _limitation(subject: Subject, step: Step, sentence: str, error: ConnectorError, advice: str) -> Finding:
    if error.reason == "thinking_limit":
        return _undecided(subject, step)
    if isinstance(error, (*NO_RESPONSE, RateLimited, QuotaExceeded)):
        return Finding(step, State.LIMITED, f"Could not test this. {error.sentence}", "Test again later.")
    why = quoted(error.provider_message) or f" {error.sentence}"
    return Finding(step, State.LIMITED, sentence + why, advice)


def _undecided(subject: Subject, step: Step) -> Finding:
    sentence = "Could not test this: the model reasoned for longer than a test allows."
    return Finding(step, State.LIMITED, sentence, "Try it on a page.")


def _is_cut_while_thinking(response: ChatCompletionsResponse) -> bool:
    """Whether the token limit ended the answer before its first word."""
    return any(choice.finish_reason == "length" for choice in response.choices) and not text_of(response)


def _is_json_of_the_schema(text: str) -> bool:
    try:
        answer = json.loads(text)
    except ValueError:
        return False
    return isinstance(answer, dict) and isinstance(answer.get("ok"), bool)
