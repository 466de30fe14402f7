"""Puts the tool calls of a streamed answer together, however a server numbers and names them.

OpenAI numbers the calls of an answer and sends the id and the name of each once. Other servers number all of them 0 or
none, leave ids out, repeat the name in each piece, or send the arguments as an object.
"""

import json
from collections.abc import Sequence
from itertools import count
from typing import Any

from connector.texts import Text

_KNOWN = {"index", "id", "type", "function", "custom"}


class ToolCalls:
    """The tool calls of one choice."""

    def __init__(self) -> None:
        self._calls: list[_ToolCall] = []
        self._current: dict[int, _ToolCall] = {}
        """The call that was continued last under each index."""

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, pieces: Sequence[dict[str, Any]], *, is_last: bool = False) -> list[str]:
        """Add the pieces of one delta and return the new text of their arguments. Raises ValueError for an index that
        is no number.
        """
        new, touched = list[str](), list[_ToolCall]()
        for piece in pieces:
            call = self._call_of(piece, touched)
            touched.append(call)
            new.append(call.add(piece, is_last=is_last))
        return new

    def _call_of(self, piece: dict[str, Any], touched: list["_ToolCall"]) -> "_ToolCall":
        id, is_numbered = _id_of(piece), piece.get("index") is not None
        index = index_of(piece)
        current = self._current.get(index) if is_numbered else self._calls[-1] if self._calls else None
        if current is None:
            return self._begin(index, piece)
        if id and current.id and id != current.id and (_name_of(piece) or not is_numbered):
            known = [call for call in self._calls if call.id == id]
            return known[0] if known else self._begin(index, piece)
        if current.is_ended_by(piece, is_second=not id and current in touched):
            return self._begin(index, piece, name=current.name)
        return current

    def _begin(self, index: int, piece: dict[str, Any], name: str = "") -> "_ToolCall":
        """Begin another call; `name` is its function where the piece names none."""
        call = _ToolCall(index, is_custom="custom" in piece or piece.get("type") == "custom")
        call.name = "" if _name_of(piece) else name
        self._calls.append(call)
        self._current[index] = call
        return call

    def extend_to(self, calls: Sequence[dict[str, Any]]) -> list[str]:
        """Take all calls of the answer, as a server repeats them at the end, and return what of them is new."""
        new, left = list[str](), list(self._calls)
        for each in [calls] if isinstance(calls, dict) else calls:
            if known := next((call for call in left if call.is_part_of(each)), None):
                left.remove(known)
                new.append(known.extend_to(each))
            else:
                new.append(self._begin(max(index_of(each), len(self._calls)), each).add(each, is_last=False))
        return new

    def end(self) -> list[str]:
        """Return the text of the arguments that was held back, once nothing follows."""
        return [text for call in self._calls if (text := call.end())]

    def whole(self) -> list[dict[str, Any]]:
        """Return the calls, sorted by index."""
        calls = [call.whole() for call in sorted(self._calls, key=lambda call: call.index)]
        return with_ids(calls)


class _ToolCall:
    def __init__(self, index: int, *, is_custom: bool) -> None:
        self.index = index
        self.id = ""
        self.name = ""
        self.arguments = Text()
        self._kind, self._arguments = ("custom", "input") if is_custom else ("function", "arguments")
        self._is_empty = False
        """Whether the arguments are `{}`, unless others follow."""
        self._rest: dict[str, Any] = {}
        self._rest_of_function: dict[str, Any] = {}

    def is_ended_by(self, piece: dict[str, Any], *, is_second: bool) -> bool:
        """Whether a piece under the same index and without another id begins another call. `is_second`: the same delta
        holds another piece of this call.
        """
        function = piece.get(self._kind) or {}
        name, arguments = function.get("name"), function.get(self._arguments)
        if not name and type(arguments) is str and arguments[:1] != "{":  # nearly all pieces
            return False
        arguments = _text_of(arguments)
        is_same_id = bool(self.id) and self.id == _id_of(piece)
        is_other_name = bool(name) and name != self.name
        if is_second and name:
            return True
        if self.arguments.last:
            return is_other_name or self._is_followed_by(arguments)
        if self._is_empty:  # `{}` may be a placeholder, but not twice
            return is_other_name or (bool(name) and arguments == "{}" and not is_same_id)
        # The next part of the name, unless the piece looks like the first of a call.
        return is_other_name and not is_same_id and not {"id", "type"}.isdisjoint(piece)

    def _is_followed_by(self, arguments: str) -> bool:
        """Whether these are the arguments of another call, because those of this call are complete."""
        is_first = arguments.startswith("{") and self.arguments.last.endswith("}") and _is_json(self.arguments.whole)
        return is_first and not _is_same_json(arguments, self.arguments.whole)

    def is_part_of(self, call: dict[str, Any]) -> bool:
        """Whether this is the received part of a whole call. Some servers make other ids for the whole answer."""
        if self.id and self.id == _id_of(call):
            return True
        function = call.get(self._kind) or {}
        arguments, so_far = _text_of(function.get(self._arguments)), self.arguments.whole
        return function.get("name") == self.name and (arguments.startswith(so_far) or _is_same_json(arguments, so_far))

    def extend_to(self, call: dict[str, Any]) -> str:
        """Take the whole call and return the new text of its arguments."""
        return self.arguments.extend_to(_text_of((call.get(self._kind) or {}).get(self._arguments)))

    def add(self, piece: dict[str, Any], *, is_last: bool) -> str:
        """Add a piece and return the new text of the arguments."""
        function = piece.get(self._kind) or {}
        self.id = _id_of(piece) or self.id
        if name := function.get("name"):  # some servers repeat it in each piece, or what they have of it so far
            self.name = name if name.startswith(self.name) else self.name + name
        self._rest |= {name: value for name, value in piece.items() if name not in _KNOWN}
        if len(function) > 2 or (function and not {"name", self._arguments}.issuperset(function)):
            rest = {name: value for name, value in function.items() if name not in ("name", self._arguments)}
            self._rest_of_function |= rest
        arguments = _text_of(function.get(self._arguments))
        if arguments == "{}" and not self.arguments.parts:
            self._is_empty = True  # a placeholder, if others follow
            return ""
        if arguments.startswith(("{", "[")) and self._has(arguments):
            return ""
        return self.arguments.add(arguments, is_last=is_last) if arguments else ""

    def _has(self, arguments: str) -> bool:
        """Whether these are all of the arguments again. Not compared to a much longer text, which costs time."""
        return 2 * len(arguments) >= self.arguments.length and _is_same_json(arguments, self.arguments.whole)

    def end(self) -> str:
        """Return the text of the arguments that was held back, once nothing follows."""
        return self.arguments.end() or ("{}" if self._is_empty and not self.arguments.parts else "")

    def whole(self) -> dict[str, Any]:
        arguments = self.arguments.whole or ("{}" if self._is_empty else "")
        function = {"name": self.name, self._arguments: arguments, **self._rest_of_function}
        return {"id": self.id, "type": self._kind, self._kind: function, **self._rest}


def as_sent(call: dict[str, Any]) -> dict[str, Any]:
    """Return a call of a complete answer as OpenAI sends it: with a type, without an index, its arguments a text."""
    function = call.get("function")
    call = {name: value for name, value in call.items() if name != "index"}
    if not isinstance(function, dict):
        return call
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else _text_of(arguments) or "{}"
    return {**call, "type": call.get("type") or "function", "function": {**function, "arguments": text}}


def with_ids(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the calls, each with an id of its own: without one, a call could not be answered. Made-up ids are
    `call_1`, ...
    """
    sent = [_id_of(call) for call in calls]
    free = (id for number in count(1) if (id := f"call_{number}") not in sent)
    ids = [id if id and id not in sent[:at] else next(free) for at, id in enumerate(sent)]
    return [{**call, "id": id} for call, id in zip(calls, ids, strict=True)]


def index_of(part: dict[str, Any]) -> int:
    """Return the index of a choice or a tool call; some servers send null for the first, or digits as a text."""
    index = part.get("index") or 0
    if isinstance(index, str | float) and str(index).removesuffix(".0").isdecimal():
        index = int(str(index).removesuffix(".0"))
    if not isinstance(index, int):
        raise ValueError("an index is not a number")
    return index


def _name_of(piece: dict[str, Any]) -> object:
    function = piece.get("function") or piece.get("custom")
    return function.get("name") if isinstance(function, dict) else None


def _id_of(call: dict[str, Any]) -> str:
    id = call.get("id")
    return str(id) if isinstance(id, str | int) else ""


def _text_of(arguments: Any) -> str:
    if isinstance(arguments, str):
        return arguments
    return json.dumps(arguments, ensure_ascii=False) if isinstance(arguments, dict | list) else ""


def _is_same_json(one: str, other: str) -> bool:
    """Whether both are JSON of the same value, however it is spelled."""
    return _is_json(one) and _is_json(other) and bool(json.loads(one) == json.loads(other))


def _is_json(text: str) -> bool:
    if not text.endswith(("}", "]")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
