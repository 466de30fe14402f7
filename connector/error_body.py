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
| `{"message": "Bad Request", "errors": [{"field", "message"}]}` | gateways, validators |
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from connector.chat_completions import filtered_categories
from connector.tolerant import parsed

MOST_READ = 20_000
"""Characters of the words that are kept: a body may repeat a prompt of megabytes."""
_DEEPEST = 8
_MAY_BE_JSON = re.compile(r"\s*(?:[{\[\"]|null\s*$)")
_SAYING = (
    "message",
    "messages",
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
_WEB_PAGE = re.compile(r"\s*<[!?a-z]", re.IGNORECASE)
_STATUS = ("code", "status", "status_code", "statusCode", "http_status", "http_code")
_IN_DETAIL = ("detail", "details", "error", "errors", "issues", "violations", "fieldViolations", "cause", *_SAYING)
"""Where more is said behind a phrase that says nothing, such as "Bad Request"."""
_PHRASES = {status.phrase.lower() for status in HTTPStatus}
_PHRASES_OF_VALIDATORS = ("one or more validation errors", "request contains an invalid")
"""Of ASP.NET and Google. Any text of up to three words is such a phrase, too."""


@dataclass(frozen=True)
class ErrorBody:
    """What an error body says. It may contain the key and the prompt."""

    code: str
    """Its `code`, else its `type`."""
    param: str
    status: int | None
    """The HTTP status that it names; inside a stream there is no other."""
    words: str
    """What the provider says; empty for a web page."""
    categories: Mapping[str, str]
    """What the content filter found, with its severity."""


def read_error(body: object) -> ErrorBody:
    """Read the content of an `error` field, or whatever else was sent as JSON or text."""
    layers = list(_layers(body))
    inner = [each for layer in layers for each in (layer.get("innererror"), layer.get("inner_error")) if each]
    results = [each.get("content_filter_result") or each.get("content_filter_results") for each in inner if _is(each)]
    code = _first(layers, "code", "type")
    statuses = [code, *(_first([layer], name) for layer in layers for name in _STATUS)]
    return ErrorBody(
        code=code,
        param=_first(layers, "param"),
        status=next((int(each) for each in statuses if re.fullmatch(r"[45]\d\d", each)), None),
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
        return "" if _WEB_PAGE.match(str(value)) else str(value)
    if "loc" in value and "msg" in value:
        return _problem(value["loc"], str(value["msg"]))
    said = next((words for name in _SAYING if (words := _words(value.get(name), depth + 1))), "")
    if len(said.split(None, 3)) <= 3 or said.lower().startswith(_PHRASES_OF_VALIDATORS):
        said = _in_detail(value, said, depth)
    said = _problem(_place_in(value), said) if said else ""
    # A gateway's own words say little; llama.cpp has the size of its context window beside its words.
    metadata = value.get("metadata")
    raw = _words(metadata.get("raw"), depth + 1) if isinstance(metadata, Mapping) else ""
    window = f"n_ctx: {value['n_ctx']}" if isinstance(value.get("n_ctx"), int) else ""
    return " ".join(filter(None, (said, raw, window))) or _dumped(value)


def _in_detail(value: Mapping[str, Any], phrase: str, depth: int) -> str:
    """Return a phrase with what the other fields say in detail."""
    said = [phrase]
    for name in _IN_DETAIL:
        words = _words(value.get(name), depth + 1)
        if words and words.lower() not in _PHRASES and not any(words in each for each in said):
            said.append(words)
    return ": ".join(filter(None, said))


def _place_in(value: Mapping[str, Any]) -> object:
    """Return which part of the request an object is about."""
    path = value.get("path")
    if isinstance(path, list):
        return path
    place = value.get("field") or value.get("instancePath")
    return place.strip("/") if isinstance(place, str) else ""


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
