"""One text of an answer, put together from the pieces that a server sends, and the reasoning at its start."""

_MARKS = "<think>", "</think>"
_TELLING = 3
"""Characters of a first piece that a second piece repeats only in a server that sends the whole text each time."""
_LONG = 8
"""Characters of a whole text that a last piece repeats only in a server that sends the whole text at the end."""


class Text:
    """One text of an answer. Most servers send new pieces; some send the whole text so far each time.

    Which it is shows when a second piece begins with all of the first. That piece is held back until the third one, or
    the end, decides.
    """

    __slots__ = ("_held", "_is_cumulative", "_is_decided", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._held = ""
        self._is_decided = self._is_cumulative = False

    def add(self, piece: str, *, is_last: bool = False) -> str:
        """Add a piece and return the new text in it. `is_last`: the server says that the answer ends here."""
        if self._is_decided and not self._is_cumulative and not is_last:  # nearly all pieces
            self.parts.append(piece)
            return piece
        if not self.parts:
            new = piece
        elif self._held:
            new = self._decided(piece, is_last=is_last)
        elif not self._is_decided and len(self.parts[0]) < len(piece) and piece.startswith(self.parts[0]):
            self._held, new = piece, ""
        else:
            self._is_decided = True
            is_repeated = is_last and self._repeats(piece)
            new = "" if is_repeated else self._rest_of(piece) if self._is_cumulative else piece
        if new:
            self.parts.append(new)
        return new

    def end(self) -> str:
        """Return what was held back, once nothing follows."""
        new = self._held_at_end
        if new:
            self.parts.append(new)
        self._held = ""
        return new

    def extend_to(self, whole: str) -> str:
        """Take the whole text, as a server repeats it at the end, and return what of it is new."""
        so_far = self.whole
        if not whole.startswith(so_far):
            return ""
        self.parts, self._held = [whole], ""
        return whole[len(so_far) :]

    @property
    def whole(self) -> str:
        """The text so far."""
        return "".join(self.parts) + self._held_at_end

    @property
    def _held_at_end(self) -> str:
        first = self.parts[0] if self.parts else ""
        return self._held[len(first) :] if len(first) >= _TELLING else self._held

    def _decided(self, piece: str, *, is_last: bool) -> str:
        held, self._held, first = self._held, "", self.parts[0]
        is_telling = len(piece) > len(held) or len(first) >= _TELLING or is_last
        self._is_decided, self._is_cumulative = True, is_telling and piece.startswith(held)
        return piece[len(first) :] if self._is_cumulative else held + piece

    def _rest_of(self, whole: str) -> str:
        so_far = "".join(self.parts)
        if whole.startswith(so_far):
            return whole[len(so_far) :]
        return "" if whole in so_far else whole

    def _repeats(self, piece: str) -> bool:
        return len(self.parts) > 1 and len(piece) >= _LONG and piece == "".join(self.parts)


class Thinking:
    """Separates reasoning between `<think>` and `</think>` at the start of a text from the answer after it.

    Models such as DeepSeek R1 and QwQ write it there, and servers without a parser for it send it as text.
    """

    def __init__(self) -> None:
        self.is_over = False
        """Whether all that follows is the answer."""
        self._is_inside = self._has_thought = self._is_after = False
        self._held = ""

    def add(self, text: str) -> list[tuple[str, str]]:
        """Add a piece of text and return its kinds and texts: reasoning, content. A part of a mark is held back."""
        if self.is_over:
            return [("content", text)]
        text, self._held = self._held + text, ""
        if self._is_inside:
            return self._inside(text)
        start = text.lstrip()
        if self._is_after:
            self.is_over = bool(start)
            return [("content", start)] if start else []
        if start.startswith(_MARKS[0]):
            self._is_inside = True
            return self._inside(start.removeprefix(_MARKS[0]))
        if _MARKS[0].startswith(start):
            self._held = text
            return []
        self.is_over = True
        return [("content", text)]

    def _inside(self, text: str) -> list[tuple[str, str]]:
        thought, mark, rest = text.partition(_MARKS[1])
        if not mark:
            held = next((size for size in range(len(_MARKS[1]) - 1, 0, -1) if text.endswith(_MARKS[1][:size])), 0)
            thought, self._held = text[: len(text) - held], text[len(text) - held :]
        if not self._has_thought:  # models that are told not to reason leave blank lines between the marks
            thought = thought.lstrip()
            self._has_thought = bool(thought)
        thoughts = [("reasoning", thought)] if thought else []
        if not mark:
            return thoughts
        self._is_inside, self._is_after = False, True
        return [*thoughts, *self.add(rest)]

    def end(self) -> list[tuple[str, str]]:
        """Return what was held back, once nothing follows."""
        held, self._held = self._held, ""
        return [("reasoning" if self._is_inside else "content", held)] if held else []


def without_thinking(text: str) -> tuple[str, str]:
    """Return the reasoning at the start of a text, and the answer after it."""
    if not text.lstrip().startswith(_MARKS[0]):
        return "", text
    thinking = Thinking()
    pieces = [*thinking.add(text), *thinking.end()]
    reasoning, content = (
        "".join(text for kind, text in pieces if kind == wanted) for wanted in ("reasoning", "content")
    )
    return reasoning, content
