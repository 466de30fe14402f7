"""Reads what a provider sends instead of an answer: objects in objects, lists, JSON inside texts, plain texts.

| form | seen at |
| --- | --- |
| `{"error": {"message", "type", "param", "code"}}` | OpenAI, Azure |
| `{"object": "error", "message", "type", "param", "code"}` | vLLM, Mistral |
| `{"code", "error": "…"}`, `{"error": "…"}` | xAI, Ollama |
| `[{"error": {"code", "message", "status"}}]` | Gemini |
| `{"detail": [{"type", "loc", "msg", "input"}]}` | FastAPI; Mistral has it in `message`, also as JSON in a text |
| `{"error": {"message": "Provider returned error", "metadata": {"raw"}}}` | OpenRouter |
| `{"title", "status", "detail"}` | NVIDIA: RFC 9457 |
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connector.chat_completions import filtered_categories
from connector.tolerant import parsed

MOST_READ = 20_000
"""Characters of the words that are kept: a body may repeat a prompt of megabytes."""
_DEEPEST = 8
_MAY_BE_JSON = re.compile(r"\s*(?:[{\[\"]|null\s*$)")
_SAYING = (
    "message",
    "detail",
    "error",
    "errors",
    "msg",
    "error_msg",
    "base_resp",
    "status_msg",
    "description",
    "error_description",
    "title",
    "reason",
)


@dataclass(frozen=True)
class ErrorBody:
    """What an error body says. It may contain the key and the prompt."""

    code: str
    """Its `code`, else its `type`."""
    param: str
    words: str
    """What the provider says; empty for a web page."""
    categories: Mapping[str, str]
    """What the content filter found, with its severity."""


def read_error(body: object) -> ErrorBody:
    """Read the content of an `error` field, or whatever else was sent as JSON or text."""
    layers = list(_layers(body))
    inner = [each for layer in layers for each in (layer.get("innererror"), layer.get("inner_error")) if each]
    results = [each.get("content_filter_result") or each.get("content_filter_results") for each in inner if _is(each)]
    return ErrorBody(
        code=_first(layers, "code", "type"),
        param=_first(layers, "param"),
        words=_words(body)[:MOST_READ],
        categories=filtered_categories(results[0] if results else None),
    )


def _is(value: object) -> bool:
    return isinstance(value, Mapping)


def _layers(value: object, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Yield the objects that describe the error, the innermost first."""
    value = _parsed(value)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, Mapping) and "loc" not in value and depth < _DEEPEST:
        for name in ("error", "message", "detail"):
            yield from _layers(value.get(name), depth + 1)
        yield value


def _first(layers: list[Mapping[str, Any]], *names: str) -> str:
    found = (str(layer[name]) for layer in layers for name in names if isinstance(layer.get(name), str | int))
    return next((each for each in found if each), "")


def _words(value: object, depth: int = 0) -> str:
    value = _parsed(value)
    if depth > _DEEPEST or value is None:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_words(each, depth + 1) for each in value)))
    if not isinstance(value, Mapping):
        return "" if str(value).lstrip().startswith("<") else str(value)
    if "loc" in value and "msg" in value:
        return _problem(value["loc"], str(value["msg"]))
    said = next((words for name in _SAYING if (words := _words(value.get(name), depth + 1))), "")
    # A gateway's own words say little; llama.cpp has the size of its context window beside its words.
    metadata = value.get("metadata")
    raw = _words(metadata.get("raw"), depth + 1) if isinstance(metadata, Mapping) else ""
    window = f"n_ctx: {value['n_ctx']}" if isinstance(value.get("n_ctx"), int) else ""
    return " ".join(filter(None, (said, raw, window))) or _dumped(value)


def _dumped(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) if any(value.values()) else ""


def _problem(place: object, message: str) -> str:
    """Return one problem of a validation, without the input: `max_tokens: Extra inputs are not permitted`."""
    steps = [str(step) for step in place if step != "body"] if isinstance(place, list | tuple) else [str(place)]
    return ": ".join(filter(None, (".".join(steps), message)))


def _parsed(value: object) -> object:
    """Return the JSON inside a text, also inside the text of a text, and anything else as it is."""
    for _ in range(_DEEPEST):
        if not isinstance(value, str) or not _MAY_BE_JSON.match(value):
            break
        try:
            value = parsed(value.encode(errors="replace"))
        except ValueError:
            break
    return value
