"""Deterministic response bodies in the providers' formats, and the errors that the providers really send."""

import re
from collections.abc import Iterator
from typing import Any

from tests.provider.validation import Form

RETIRES = 1803859200  # 2027-03-01 00:00 UTC
CREATED = 1_700_000_000
MODEL_VERSION = "-2026-01-01"  # appended to the model asked for: the model that answers is never quite the one asked
UNFILTERED = {"hate": {"filtered": False, "severity": "safe"}}


def completion(*contents: str, model: str = "gpt-test", **changes: Any) -> dict[str, Any]:
    """A whole answer with one choice per text; `changes` replace or add top-level keys."""
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": content, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
        for index, content in enumerate(contents)
    ]
    return _envelope("chat.completion", model) | {"choices": choices, "usage": usage(0, *contents)} | changes


def chunk(
    content: str | None = None,
    *,
    index: int = 0,
    role: str | None = None,
    finish_reason: str | None = None,
    model: str = "gpt-test",
    **changes: Any,
) -> dict[str, Any]:
    """One chunk of a stream, with one choice; `changes` replace or add top-level keys, such as `choices` or `usage`."""
    delta = {name: value for name, value in (("role", role), ("content", content)) if value is not None}
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _envelope("chat.completion.chunk", model) | {"choices": [choice]} | changes


def usage(prompt_tokens: int, *contents: str) -> dict[str, Any]:
    """Each word counts as a token, so that a test can count tokens."""
    completion_tokens = sum(len(content.split()) for content in contents)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def error(
    message: str, *, type: str | None = "invalid_request_error", code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    """An error body as OpenAI sends it."""
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def azure_error(message: str, code: str) -> dict[str, Any]:
    """An error body as Azure's gateway sends it."""
    return {"error": {"code": code, "message": message}}


def answer(form: Form, model: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request that asked for no stream."""
    contents = _contents(body)
    whole = completion(*contents, model=model + MODEL_VERSION, usage=usage(_prompt_tokens(body), *contents))
    if form is not Form.OPENAI:
        whole["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": UNFILTERED}]
        for choice in whole["choices"]:
            choice["content_filter_results"] = UNFILTERED
    return whole


def answer_in_chunks(form: Form, model: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same answer as a stream. The choices of n > 1 take turns, as they do at the providers."""
    model += MODEL_VERSION
    contents = _contents(body)
    asked_for_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    rest: dict[str, Any] = {"model": model} | ({"usage": None} if asked_for_usage else {})
    if form is not Form.OPENAI:
        filtered = [{"prompt_index": 0, "content_filter_results": UNFILTERED}]
        yield chunk(**rest, choices=[], prompt_filter_results=filtered)
    for index in range(len(contents)):
        yield chunk("", index=index, role="assistant", **rest)
    pieces = [re.findall(r"\s*\S+", content) for content in contents]
    for turn in range(max(map(len, pieces))):
        for index, words in enumerate(pieces):
            if turn < len(words):
                yield chunk(words[turn], index=index, **rest)
    for index in range(len(contents)):
        yield chunk(index=index, finish_reason="stop", **rest)
    if asked_for_usage:
        yield chunk(model=model, choices=[], usage=usage(_prompt_tokens(body), *contents))


def wrong_key(form: Form, bearer: str | None) -> dict[str, Any]:
    """The body of a 401; `bearer` is what came in the `Authorization` header."""
    if form is Form.OPENAI and bearer:
        # OpenAI repeats what it was sent with the middle starred out: a part of the key comes back.
        return error(
            f"Incorrect API key provided: {bearer[:8]}{'*' * 12}{bearer[-4:]}. "
            "You can find your API key at https://platform.openai.com/account/api-keys.",
            code="invalid_api_key",
        )
    if form is Form.OPENAI:
        return error("You didn't provide an API key. You need to provide your API key in an Authorization header.")
    if bearer:
        return azure_error(
            "Unauthorized. Access token is missing, invalid, audience is incorrect "
            "(https://cognitiveservices.azure.com), or have expired.",
            "401",
        )
    return azure_error(
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
        "active subscription and use a correct regional API endpoint for your resource.",
        "401",
    )


def unknown_model(form: Form, model: str) -> dict[str, Any]:
    if form is Form.OPENAI:
        return error(f"The model `{model}` does not exist or you do not have access to it.", code="model_not_found")
    return azure_error(
        "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, "
        "please wait a moment and try again.",
        "DeploymentNotFound",
    )


def unknown_path(method: str, path: str) -> dict[str, Any]:
    if "/openai/" in path:
        return azure_error("Resource not found", "404")
    return error(f"Invalid URL ({method} {path})")


def models(names: list[str]) -> dict[str, Any]:
    data = [{"id": name, "object": "model", "created": CREATED, "owned_by": "tests"} for name in names]
    return {"object": "list", "data": data}


def azure_models(names: list[str]) -> dict[str, Any]:
    """The list that Azure returns: models (not deployments), their capabilities and their retirement dates."""
    chats = {"fine_tune": False, "inference": True, "completion": False, "chat_completion": True, "embeddings": False}
    lifecycle = {"object": "model", "lifecycle_status": "generally-available", "deprecation": {"inference": RETIRES}}
    data = [{"id": f"{name}-2026-01-01", "capabilities": chats, **lifecycle} for name in names]
    embeds = {"id": "embed-test", "capabilities": {**chats, "chat_completion": False, "embeddings": True}, **lifecycle}
    return {"object": "list", "data": [*data, embeds]}


def _envelope(kind: str, model: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-test",
        "object": kind,
        "created": CREATED,
        "model": model,
        "system_fingerprint": "fp_test",
    }


def _contents(body: dict[str, Any]) -> list[str]:
    asked = [message for message in body["messages"] if message["role"] == "user"]
    text = _text(asked[-1]) if asked else ""
    return [f"Answer {index} to: {text}" for index in range(body.get("n") or 1)]


def _prompt_tokens(body: dict[str, Any]) -> int:
    return sum(len(_text(message).split()) for message in body["messages"])


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
