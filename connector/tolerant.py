"""Parses JSON as some providers send it: with half characters, invalid bytes or control characters in its texts."""

import json
import re
from typing import Any

import jiter

_DECODER = json.JSONDecoder(strict=False)
_SPACE = re.compile(r"\s*")


def parsed(data: bytes) -> Any:
    """Return the value of this JSON, exact or not. Raises ValueError if it is no JSON."""
    try:
        return jiter.from_json(data)
    except ValueError:
        pass
    value, *more = values_in(data)
    if more:
        raise ValueError("several values")
    return whole_characters(value)


def values_in(data: bytes) -> list[Any]:
    """Return the values of JSON that a strict parser refuses: one, or several without anything between them. Raises
    ValueError if it is no JSON.

    Invalid bytes become U+FFFD. Half characters stay in the texts, because the other half may be in the next event: see
    `whole_characters`.
    """
    text, at, values = data.decode(errors="replace").strip(), 0, []
    try:
        while at < len(text):
            value, end = _DECODER.raw_decode(text, at)
            values.append(value)
            space = _SPACE.match(text, end)
            at = space.end() if space else end
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not values:
        raise ValueError("empty")
    return values


def whole_characters(value: Any) -> Any:
    """Return the value with the halves of characters joined in all of its texts; a lone half becomes U+FFFD.

    JavaScript counts characters in UTF-16. A gateway that cuts its texts there sends the halves of an emoji apart, each
    as an escape that is no character: `"\\ud83d"`, `"\\ude00"`.
    """
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [whole_characters(each) for each in value]
    if isinstance(value, dict):
        return {whole_characters(name): whole_characters(each) for name, each in value.items()}
    return value


def without_last_half(text: str) -> tuple[str, str]:
    """Return the text up to a first half of a character at its end, and that half; both may be empty."""
    is_half = "\ud800" <= text[-1:] <= "\udbff"
    return (text[:-1], text[-1]) if is_half else (text, "")
