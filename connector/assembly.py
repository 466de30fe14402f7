"""Assembles the chunks of a streamed answer.

Servers deviate from the reference: chunks without choices (Azure's first chunk, the chunk with the usage), a choice
without delta, a null index, usage twice or never, an unknown finish reason, the whole answer repeated at the end,
events of their own between the chunks. All of these are accepted, no text is lost or doubled, and no missing value is
made up.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jiter
from openai.types.chat import ChatCompletion

from connector.answer import completion_of
from connector.events import DONE
from connector.fields import merge, merged
from connector.parts import text_and_thinking
from connector.texts import Text, Thinking, without_thinking
from connector.tolerant import values_in, whole_characters, without_last_half
from connector.tool_calls import ToolCalls, index_of
from connector.usage import fuller, usage_in, usage_of_event

Piece = tuple[int, str, str]
"""A new piece of an answer: the index of its choice, its kind, its text."""
_REASONING = ("reasoning_content", "reasoning")
_TEXTS = (("content", "content"), *(("reasoning", name) for name in _REASONING), ("refusal", "refusal"))
_DONE_IN_QUOTES = DONE.decode()
_KNOWN_OF_CHUNK = {
    *("id", "object", "created", "model", "system_fingerprint", "service_tier", "choices", "usage", "obfuscation"),
}
_KNOWN_OF_CHOICE = {"index", "delta", "message", "finish_reason", "logprobs", "usage"}
_KNOWN_OF_DELTA = {"role", "tool_calls", *(name for _, name in _TEXTS)}


def error_in(data: Mapping[str, Any]) -> object:
    """Return what an answer without choices may say about an error; None if it says nothing.

    Some servers send the error in a field `error`, others send it bare, FastAPI sends `detail`.
    """
    error = data.get("error")
    is_bare = any(data.get(name) for name in ("message", "detail", "errors", "error_msg", "msg"))
    if (is_bare or _has_failed(data)) and isinstance(error, str | bool | None):  # the words stand beside `error`
        return data
    return error or None


def _has_failed(data: Mapping[str, Any]) -> bool:
    """Whether MiniMax's own status, which it also sends with answers, is not 0."""
    base = data.get("base_resp")
    return isinstance(base, Mapping) and bool(base.get("status_code"))


class Assembly:
    """The chunks of one streamed answer, each choice by its index."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._last_head: tuple[Any, ...] = ()
        self._choices: dict[int, _Choice] = {}
        self._usage: dict[str, Any] | None = None
        self._rest: dict[str, Any] = {}
        self._halves: dict[tuple[int, str], str] | None = None
        """The half characters at the end of what was sent of each choice and kind; None before the first."""
        self.is_done = False
        """Whether [DONE] was received."""
        self.skipped = 0
        """The number of events that could not be read."""
        self.error: object = None
        """The error that the provider sent in the stream; None without an error."""
        self.remark: object = None
        """A message that is no chunk: an error if nothing follows it."""

    def add(self, event: bytes) -> list[Piece]:
        """Add one event and return its new pieces. An event that cannot be read is skipped and counted."""
        try:
            chunk = jiter.from_json(event)
        except ValueError:
            return self._add_inexact(event)
        return self.add_chunk(chunk, "" if type(event) is bytes else getattr(event, "name", ""))

    def _add_inexact(self, event: bytes) -> list[Piece]:
        """Add an event that is not exactly one JSON value."""
        name = getattr(event, "name", "")
        event = event.removeprefix(b"data:").strip()  # some gateways wrap what is wrapped already
        if event.startswith(DONE):
            self.is_done = True
            return []
        lines = event.split(b"\n")
        if len(lines) > 1 and all(line.startswith((b"{", DONE)) for line in lines):
            return [piece for line in lines for piece in self.add(line)]  # events without blank lines between them
        try:
            chunks = values_in(event)
        except ValueError:
            chunks = [{"message": event.decode(errors="replace")} if name == "error" else None]
        if self._halves is None:
            self._halves = {}
        return [piece for chunk in chunks for piece in self.add_chunk(chunk, name)]

    def add_chunk(self, chunk: Any, name: str = "") -> list[Piece]:
        """Add the value of one event, `name` is the event's name; return its new pieces."""
        new: list[Piece] = []
        is_own = name not in ("", "message", "error") and not (isinstance(chunk, dict) and "choices" in chunk)
        if is_own:  # an event of the server's own
            if counts := usage_of_event(chunk):
                self._usage = fuller(self._usage, counts)
            return new
        if not isinstance(chunk, dict):
            self.is_done = self.is_done or chunk == _DONE_IN_QUOTES
            self.skipped += not self.is_done
            return new
        choices = chunk.get("choices")
        choices = [choices] if type(choices) is dict else choices
        if not choices or "error" in chunk or name == "error":
            self._note(chunk, name)
        self._add_head(chunk)
        if type(usage := chunk.get("usage")) is dict:
            self._usage = fuller(self._usage, usage)
        for choice in choices if isinstance(choices, list) else ():
            try:
                self._add_choice(choice, new)
            except (ValueError, TypeError, AttributeError):  # a value of another type; the other choices are read
                self.skipped += 1
        if new:
            self.remark = None
        return new if self._halves is None else self._without_halves(new, self._halves)

    def _note(self, chunk: dict[str, Any], name: str) -> None:
        """Keep what a chunk without choices says about an error."""
        said = whole_characters(error_in(chunk))
        if chunk.get("error") or name == "error" or "error" in (chunk.get("object"), chunk.get("type")):
            self.error = said or chunk
        elif said is not None and ("choices" not in chunk or _has_failed(chunk)):
            self.remark = said

    def _add_head(self, chunk: dict[str, Any]) -> None:
        head = (chunk.get("id"), chunk.get("model"), chunk.get("system_fingerprint"), chunk.get("service_tier"))
        if not _KNOWN_OF_CHUNK.issuperset(chunk):
            self._rest |= {name: value for name, value in chunk.items() if name not in _KNOWN_OF_CHUNK}
            if "x_groq" in chunk and (found := usage_in({"x_groq": chunk["x_groq"]})):
                self._usage = fuller(self._usage, found["usage"])
        if head == self._last_head:
            return
        self._last_head = head
        for name in ("id", "created", "model", "system_fingerprint", "service_tier"):
            # Azure's chunks with filter results have empty ids.
            if chunk.get(name):
                self._head[name] = chunk[name]

    def _add_choice(self, choice: dict[str, Any], new: list[Piece]) -> None:
        index = choice.get("index") or 0
        if type(index) is not int:
            index = index_of(choice)
        if "text" in choice and "delta" not in choice and "message" not in choice:
            return  # a choice of the legacy completions
        if type(usage := choice.get("usage")) is dict:
            self._usage = fuller(self._usage, usage)
        kept = self._choices.get(index) or _Choice(index)
        if error := choice.get("error"):  # OpenRouter: the text of the choice came before it
            self.error = whole_characters(error)
        try:
            kept.add(choice, new)
        except (ValueError, TypeError, AttributeError):
            if kept.has_text:
                self._choices[index] = kept
            raise
        self._choices[index] = kept

    def _without_halves(self, new: list[Piece], halves: dict[tuple[int, str], str]) -> list[Piece]:
        """Join the halves of characters in these pieces, and hold a first half back until the second comes."""
        whole: list[Piece] = []
        for index, kind, text in new:
            text, half = without_last_half(halves.pop((index, kind), "") + text)
            if half:
                halves[index, kind] = half
            if text:
                whole.append((index, kind, whole_characters(text)))
        return whole

    def end(self) -> list[Piece]:
        """Return the pieces that were held back, once nothing follows."""
        new = [piece for choice in self._choices.values() for piece in choice.end()]
        if self._halves is None:
            return new
        halves, self._halves = self._halves, {}
        new = self._without_halves(new, halves)
        return [*new, *((index, kind, whole_characters(half)) for (index, kind), half in halves.items())]

    @property
    def has_begun(self) -> bool:
        """Whether any part of a choice was received."""
        return bool(self._choices)

    @property
    def has_first_choice(self) -> bool:
        """Whether any part of the choice with index 0 was received."""
        return 0 in self._choices

    @property
    def has_text(self) -> bool:
        """Whether any text or tool call was received."""
        return any(choice.has_text for choice in self._choices.values())

    @property
    def is_finished(self) -> bool:
        """Whether every choice that began has a finish reason; after [DONE], one finish reason or any text is enough.

        Some gateways send a finish reason for the first choice only, some servers send none.
        """
        choices = self._choices.values()
        if self.is_done:
            return (self.has_text and self.remark is None) or any(choice.finish_reason for choice in choices)
        return bool(choices) and all(choice.finish_reason for choice in choices)

    def completion(self) -> ChatCompletion:
        """Return the received part as one answer. A choice that has not ended has no finish reason."""
        try:
            return completion_of(self._answer(whole=True))
        except ValueError:  # some other field has an invalid value; keep the text
            return completion_of(self._answer(whole=False))

    def _answer(self, *, whole: bool) -> dict[str, Any]:
        head = {"id": "", "created": 0, "model": "", "object": "chat.completion", **self._head}
        choices = [kept.whole(with_rest=whole) for _, kept in sorted(self._choices.items())]
        answer = {**head, "choices": choices, "usage": self._usage if whole else None}
        answer = {**self._rest, **answer} if whole else answer
        return answer if self._halves is None else whole_characters(answer)


class _Choice:
    """The received part of one choice."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.text: dict[str, Text] = {}
        self.tool_calls = ToolCalls()
        self.finish_reason: str | None = None
        self._thinking = Thinking()
        self._shown_reasoning = ""
        """The field whose reasoning is returned as pieces, where a server fills two."""
        self._has_delta = False
        self._logprobs: dict[str, list[Any] | None] = {}
        self._message: dict[str, Any] = {}
        """Other fields of the message: audio, annotations, the old function_call, unknown fields."""
        self._rest: dict[str, Any] = {}
        """Other fields of the choice, for example Azure's content filter results."""

    @property
    def has_text(self) -> bool:
        return bool(self.text or self.tool_calls)

    def add(self, choice: dict[str, Any], new: list[Piece]) -> None:
        """Add the choice of one chunk and append its new pieces to `new`."""
        # An annotation may follow the last chunk with a null finish reason.
        is_last = isinstance(reason := choice.get("finish_reason"), str) and reason != ""
        if is_last:
            self.finish_reason = reason
        if len(choice) > 4:
            self._rest |= {name: value for name, value in choice.items() if name not in _KNOWN_OF_CHOICE}
        if delta := choice.get("delta"):
            self._add_delta(delta, new, is_last=is_last)
            self._has_delta = self._has_delta or self.has_text
        if message := choice.get("message"):
            self._add_message(message, new)
        if choice.get("logprobs"):
            self._add_logprobs(choice["logprobs"])

    def _add_delta(self, delta: dict[str, Any], new: list[Piece], *, is_last: bool) -> None:
        content = delta.get("content")
        if len(delta) == 1 and type(content) is str:  # nearly all pieces
            if content:
                self._add_text("content", "content", content, delta, new, is_last=is_last)
            return
        if isinstance(content, list | dict):
            delta = {**delta, **text_and_thinking(content)}
        for kind, name in _TEXTS:
            if isinstance(text := delta.get(name), str) and text:
                self._add_text(kind, name, text, delta, new, is_last=is_last)
        merge(self._message, {name: value for name, value in delta.items() if name not in _KNOWN_OF_DELTA})
        if calls := delta.get("tool_calls"):
            texts = self.tool_calls.add([calls] if isinstance(calls, dict) else calls, is_last=is_last)
            new.extend((self.index, "tool_call", text) for text in texts)

    def _add_text(
        self, kind: str, name: str, text: str, delta: dict[str, Any], new: list[Piece], *, is_last: bool
    ) -> None:
        written = self.text.get(name)
        if written is None:
            written = self.text[name] = Text()
        fresh = written.add(text, is_last=is_last)
        if fresh and (kind != "reasoning" or self._is_shown(name, delta)):
            self._tell(kind, fresh, new)

    def _is_shown(self, name: str, delta: dict[str, Any]) -> bool:
        """Whether reasoning in this field is returned: some servers send each piece in two fields."""
        self._shown_reasoning = self._shown_reasoning or name
        if name == self._shown_reasoning:
            return True
        if delta.get(self._shown_reasoning):
            return False
        return not self.text[self._shown_reasoning].whole.startswith(self.text[name].whole)

    def _tell(self, kind: str, text: str, new: list[Piece]) -> None:
        if kind != "content" or self._thinking.is_over:
            new.append((self.index, kind, text))
        else:
            new.extend((self.index, *piece) for piece in self._thinking.add(text))

    def _add_message(self, message: dict[str, Any], new: list[Piece]) -> None:
        """Add a message that a server sends instead of a delta, or that repeats the whole answer at the end."""
        if not self._has_delta:
            self._add_delta(message, new, is_last=False)
            return
        if isinstance(message.get("content"), list | dict):
            message = {**message, **text_and_thinking(message["content"])}
        for kind, name in _TEXTS:
            if isinstance(text := message.get(name), str) and not self._is_known_reasoning(kind, text):
                fresh = self.text.setdefault(name, Text()).extend_to(text)
                if fresh:
                    self._tell(kind, fresh, new)
        if calls := message.get("tool_calls"):
            new.extend((self.index, "tool_call", text) for text in self.tool_calls.extend_to(calls))
        rest = {name: value for name, value in message.items() if name not in _KNOWN_OF_DELTA}
        self._message = {**rest, **self._message}

    def _is_known_reasoning(self, kind: str, text: str) -> bool:
        known = [self.text[name].whole for name in _REASONING if name in self.text]
        if "content" in self.text:
            known.append(without_thinking(self.text["content"].whole)[0])
        return kind == "reasoning" and text.strip() in (each.strip() for each in known)

    def _add_logprobs(self, logprobs: dict[str, Any]) -> None:
        for name, tokens in logprobs.items():
            so_far = self._logprobs.get(name)
            if so_far is None:
                self._logprobs[name] = list(tokens) if tokens is not None else None
            else:
                so_far.extend(tokens or ())

    def end(self) -> Iterator[Piece]:
        """Yield the pieces that were held back."""
        new: list[Piece] = []
        for kind, name in _TEXTS:
            if name in self.text and (text := self.text[name].end()):
                self._tell(kind, text, new)
        new.extend((self.index, *piece) for piece in self._thinking.end())
        new.extend((self.index, "tool_call", text) for text in self.tool_calls.end())
        yield from new

    def whole(self, *, with_rest: bool) -> dict[str, Any]:
        """Return the choice of a complete answer; without the rest, only what every answer has."""
        text = {name: written.whole for name, written in list(self.text.items())}
        has_reasoning = any(name in text for name in _REASONING)
        thought, content = without_thinking(text.get("content", ""), has_reasoning=has_reasoning)
        if "content" in text:
            text["content"] = content
        if thought:
            text["reasoning_content"] = text.get("reasoning_content", "") + thought
        message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, **text}
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls.whole()
        choice = {"index": self.index, "finish_reason": self.finish_reason, "logprobs": None, "message": message}
        if not with_rest:
            return choice
        return {
            **self._rest,
            **choice,
            "logprobs": self._logprobs or None,
            "message": {**merged(self._message), **message},
        }
