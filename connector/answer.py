"""Parses a complete answer into the SDK's response type, and joins the answers to several requests."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

from openai.types.chat import ChatCompletion
from pydantic import ValidationError

from connector.message import REASONING_FIELDS
from connector.parts import text_and_thinking
from connector.texts import without_thinking
from connector.tool_calls import as_sent, with_ids
from connector.usage import usage_in


def parse_completion(data: object) -> ChatCompletion:
    """Return the SDK's response type; if a server deviates from the schema, built leniently as the SDK itself does.

    Raises ValueError if the data is not a chat completion. In the result, the index, finish reason and text of each
    choice have their types or are None.
    """
    if not isinstance(data, dict) or not isinstance(data.get("choices"), list):
        raise ValueError("no list of choices")
    return completion_of({**data, "choices": [_normal(choice) for choice in data["choices"]], **usage_in(data)})


def completion_of(data: dict[str, Any]) -> ChatCompletion:
    """Return the SDK's response type for an answer whose choices have the form that OpenAI sends. Raises ValueError."""
    if data.get("object") not in (None, "", "chat.completion"):
        raise ValueError("not a chat completion object")
    try:
        return ChatCompletion.model_validate(data)
    except ValidationError:
        if not all(_is_choice(choice) for choice in data["choices"]):
            raise ValueError("a choice has another form") from None
    try:
        return ChatCompletion.construct(**data)
    except Exception as error:  # `construct` does not document what it raises
        raise ValueError("the SDK cannot parse it") from error


def joined(completions: Sequence[ChatCompletion]) -> ChatCompletion:
    """Return several answers as one: choices renumbered, tokens added up, or unknown if they are for one answer."""
    if len(completions) == 1:
        return completions[0]
    answers: list[dict[str, Any]] = [each.to_dict(mode="json", warnings=False) for each in completions]
    choices = [choice for answer in answers for choice in answer["choices"]]
    numbered = [{**choice, "index": index} for index, choice in enumerate(choices)]
    usages = [answer.get("usage") for answer in answers]
    whole = parse_completion(
        {**answers[0], "choices": numbered, "usage": reduce(_added, usages) if all(usages) else None}
    )
    whole._request_id = getattr(completions[0], "_request_id", None)
    return whole


def has_choice(completion: ChatCompletion) -> bool:
    """Whether an answer has a choice with index 0, however empty. Legacy completions have a text instead."""
    return any(
        not choice.index and (getattr(choice, "message", None) is not None or not hasattr(choice, "text"))
        for choice in completion.choices
    )


def _normal(choice: Any) -> Any:
    """Return a choice with its content as one text, its reasoning apart, and its tool calls as OpenAI sends them."""
    message = choice.get("message", choice.get("delta")) if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return choice
    if isinstance(message.get("content"), list | dict):
        message = {**message, **text_and_thinking(message["content"])}
    if isinstance(message.get("content"), str):
        has_reasoning = any(message.get(name) for name in REASONING_FIELDS)
        thought, content = without_thinking(message["content"], has_reasoning=has_reasoning)
        message = {**message, "content": content}
        if thought:
            so_far = message.get("reasoning_content")
            message["reasoning_content"] = so_far + thought if isinstance(so_far, str) else thought
    calls = message.get("tool_calls")
    calls = [calls] if isinstance(calls, dict) else calls
    if isinstance(calls, list) and all(isinstance(call, dict) for call in calls):
        message = {**message, "tool_calls": with_ids([as_sent(call) for call in calls])}
    return {**choice, "message": message}


def _added(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: _added(one.get(name), other.get(name)) for name in {**one, **other}}
    return one + other if type(one) is int and type(other) is int else one or other


def _is_choice(choice: object) -> bool:
    if not isinstance(choice, dict):
        return False
    message = choice.get("message") or {}
    return (
        isinstance(choice.get("index"), int | None)
        and isinstance(choice.get("finish_reason"), str | None)
        and isinstance(message, dict)
        and isinstance(message.get("content"), str | None)
    )
