"""Parses JSON as some providers send it: with half characters, invalid bytes or control characters in its texts."""

import json
from typing import Any

import jiter


def parsed(data: bytes) -> Any:
    """Return the value of this JSON, exact or not. Raises ValueError if it is no JSON."""
    try:
        return jiter.from_json(data)
    except ValueError:
        return whole_characters(parsed_tolerantly(data))


def parsed_tolerantly(data: bytes) -> Any:
    """Return the value of JSON that a strict parser refuses. Raises ValueError if it is no JSON.

    Invalid bytes become U+FFFD. Half characters stay in the texts, because the other half may be in the next event: see
    `whole_characters`.
    """
    try:
        return json.loads(data.decode(errors="replace"), strict=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None


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
