"""One text of an answer, put together from the pieces that a server sends, and the reasoning at its start."""

import re

_MARKS = "<think>", "</think>"
_ENDS = re.compile(r"(?:^|\n|[.!?…:)。！？])[ \t]*$")
"""The end of a line or of a sentence. A mark that a sentence is about stands behind a word, or in quotes."""
_FENCES = re.compile(r"^\s*(?:```|~~~)", re.MULTILINE)
_TELLING = 3
"""Characters of a first piece that a second piece repeats only in a server that sends the whole text each time."""
_MANY = 3
"""Pieces without letters that each begin with all of the text before, only in a server that sends the whole text."""
_LONG = 8
"""Characters of a whole text that a last piece repeats only in a server that sends the whole text at the end."""


class Text:
    """One text of an answer. Most servers send new pieces; some send the whole text so far each time.

    Which it is shows when a second piece begins with all of the first. Such pieces are held back until a longer one, or
    the end, decides. Pieces without letters prove nothing: `-`, `--` and `1`, `10` are pieces of tables and numbers.
    """

    __slots__ = ("_held", "_is_cumulative", "_is_decided", "length", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._held: list[str] = []
        self.length = 0
        """Characters in `parts`."""
        self._is_decided = self._is_cumulative = False

    def add(self, piece: str, *, is_last: bool = False) -> str:
        """Add a piece and return the new text in it. `is_last`: the server says that the answer ends here."""
        if self._is_decided and not self._is_cumulative:
            new = "" if len(piece) == self.length and self._repeats(piece, is_last=is_last) else piece
        elif self._is_cumulative:
            new = self._rest_of(piece)
        elif not self.parts:
            new = piece
        else:
            new = self._decided(piece, is_last=is_last)
        if new:
            self.parts.append(new)
            self.length += len(new)
        return new

    def end(self) -> str:
        """Return what was held back, once nothing follows."""
        new, self._held = self._held_at_end, []
        if new:
            self.parts.append(new)
        return new

    def extend_to(self, whole: str) -> str:
        """Take the whole text, as a server repeats it at the end, and return what of it is new."""
        so_far = self.whole
        if not whole.startswith(so_far):
            return ""
        returned = self.length  # without what is held back
        self.parts, self._held, self.length = [whole], [], len(whole)
        return whole[returned:]

    @property
    def last(self) -> str:
        """The piece that was added last."""
        pieces = self._held or self.parts
        return pieces[-1] if pieces else ""

    @property
    def whole(self) -> str:
        """The text so far."""
        return "".join(self.parts) + self._held_at_end

    @property
    def _held_at_end(self) -> str:
        first = self.parts[0] if self.parts else ""
        if self._held and len(self._held[-1]) > len(first) >= _TELLING and _has_letters(first):
            return self._held[-1][len(first) :]
        return "".join(self._held)

    def _decided(self, piece: str, *, is_last: bool) -> str:
        """Return the new text of a piece after the first one, while it is not decided what the server sends."""
        first = self.parts[0]
        longest = self._held[-1] if self._held else first
        is_longer = len(piece) > len(longest)
        # Not for long: a model may repeat a word, and each of them has to be shown.
        is_repeated = piece == longest and len(self._held) < 2 and (len(self._held) > 0 or len(first) >= _TELLING)
        if not piece.startswith(longest) or not (is_longer or is_repeated):
            self._is_decided = True
            return self._released(piece)
        is_grown = len(longest) > len(first) and (is_longer or is_last)
        is_proven = is_grown and (_has_letters(piece) or len(self._held) >= _MANY)
        if is_proven or (is_last and is_repeated and len(piece) >= _LONG):
            self._is_decided = self._is_cumulative = True
            self._held = []
            return piece[len(first) :]
        self._held.append(piece)
        return ""

    def _released(self, piece: str) -> str:
        held, self._held = self._held, []
        return "".join([*held, piece])

    def _rest_of(self, whole: str) -> str:
        so_far = "".join(self.parts)
        if whole.startswith(so_far):
            return whole[len(so_far) :]
        if so_far.startswith(whole) or so_far.strip() == whole:
            return ""
        self._is_cumulative = False
        return whole

    def _repeats(self, piece: str, *, is_last: bool) -> bool:
        """Whether a piece is the whole text again."""
        is_enough = len(self.parts) > 1 and len(piece) >= _LONG
        return is_enough and (is_last or len(self.parts) > 2) and piece == "".join(self.parts)


def _has_letters(text: str) -> bool:
    return any(letter.isalpha() for letter in text)


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


def without_thinking(text: str, *, has_reasoning: bool = False) -> tuple[str, str]:
    """Return the reasoning at the start of a text, and the answer after it.

    The opening mark may be missing, because it is part of the prompt in the chat templates of DeepSeek R1 and Qwen3;
    unless the answer has reasoning of its own, which shows that the server separates it.
    """
    if not text.lstrip().startswith(_MARKS[0]):
        return ("", text) if has_reasoning else _before_lone_mark(text)
    thinking = Thinking()
    pieces = [*thinking.add(text), *thinking.end()]
    reasoning, content = (
        "".join(text for kind, text in pieces if kind == wanted) for wanted in ("reasoning", "content")
    )
    return reasoning, content


def _before_lone_mark(text: str) -> tuple[str, str]:
    """Return what stands before a closing mark, and after it; all of the text after it unless the mark certainly ends
    reasoning: the only mark, at the end of a line or sentence, and not in code.
    """
    before, mark, after = text.partition(_MARKS[1])
    is_lone = mark and _MARKS[0] not in text and _MARKS[1] not in after
    if not is_lone or not _ENDS.search(before) or len(_FENCES.findall(before)) % 2:
        return "", text
    return before.lstrip(), after.lstrip()
