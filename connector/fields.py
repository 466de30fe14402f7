"""Fields of a message that a stream sends in pieces and that have no meaning here: audio, annotations and others."""

from collections.abc import Mapping
from typing import Any

_SENT_ONCE = {"id", "type", "name", "format"}
"""Texts that a server repeats in each piece."""


class _Growing:
    """A text in pieces. It is joined when it is asked for: audio of megabytes comes in thousands of pieces."""

    __slots__ = ("pieces",)

    def __init__(self, *pieces: str) -> None:
        self.pieces = list(pieces)


def merge(kept: dict[str, Any], new: Mapping[str, Any]) -> None:
    """Merge new fields: texts are joined, objects merged, lists joined or merged by index, other values replaced."""
    for name, value in new.items():
        so_far = kept.get(name)
        if isinstance(so_far, _Growing) and isinstance(value, str):
            so_far.pieces.append(value)
        elif isinstance(so_far, str) and isinstance(value, str) and name not in _SENT_ONCE:
            kept[name] = _Growing(so_far, value)
        elif isinstance(so_far, dict) and isinstance(value, dict):
            merge(so_far, value)
        elif isinstance(so_far, list) and isinstance(value, list):
            _extend(so_far, value)
        elif value is not None or name not in kept:
            kept[name] = value


def _extend(so_far: list[Any], new: list[Any]) -> None:
    """Join two lists. A part of a text that is numbered like the last one, as in OpenRouter's `reasoning_details`,
    continues it.
    """
    for value in new:
        if so_far and _is_continued(so_far[-1], value):
            merge(so_far[-1], value)
        else:
            so_far.append(value)


def _is_continued(last: Any, value: Any) -> bool:
    if not isinstance(last, dict) or not isinstance(value, dict) or not isinstance(value.get("index"), int):
        return False
    return (last.get("index"), last.get("type")) == (value["index"], value.get("type"))


def merged(value: Any) -> Any:
    """Return a copy of merged fields, with each text as one."""
    if isinstance(value, _Growing):
        return "".join(value.pieces)
    if isinstance(value, dict):
        return {name: merged(inner) for name, inner in list(value.items())}  # another thread may add fields
    return [merged(inner) for inner in list(value)] if isinstance(value, list) else value
