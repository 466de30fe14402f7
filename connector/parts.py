"""Content that a server sends as a list of parts."""

from collections.abc import Sequence
from typing import Any


def text_and_thinking(parts: Sequence[Any] | dict[str, Any]) -> dict[str, str]:
    """Return the fields of a message for its content in parts: `content`, and `reasoning_content` if it has any.

    Mistral's reasoning models send parts like `{"type": "thinking", "thinking": [{"type": "text", "text": ...}]}`.
    """
    parts = [parts] if isinstance(parts, dict) else parts
    known = [{"text": part} if isinstance(part, str) else part for part in parts if isinstance(part, dict | str)]
    thinking = "".join(_text_of(part.get("thinking")) for part in known)
    fields = {"content": "".join(_text_of(part.get("text")) for part in known)}
    return {**fields, "reasoning_content": thinking} if thinking else fields


def _text_of(value: Any) -> str:
    if isinstance(value, list):
        return "".join(_text_of(part.get("text")) for part in value if isinstance(part, dict))
    return value if isinstance(value, str) else ""
