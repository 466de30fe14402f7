"""Bytes of a provider into the SDK's response types: whole answers, and answers that come in pieces.

What servers really send is wider than the reference: chunks without choices (Azure's first, everybody's usage), a
choice without delta, a null index, usage twice or never, an unknown finish reason. All of that is read, none invented.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import httpx2
import jiter
from openai.types.chat import ChatCompletion
from pydantic import ValidationError

DONE = b"[DONE]"


def parse_completion(data: object) -> ChatCompletion:
    """The SDK's response type; leniently, as the SDK itself does it, where a server is sloppy.

    Raises ValueError for what is no chat completion. Whatever passes can be read without looking twice: each choice is
    one, its index, finish reason and text have their types or are None.
    """
    if not isinstance(data, dict) or not isinstance(data.get("choices"), list):
        raise ValueError("an answer has choices")
    if data.get("object") not in (None, "", "chat.completion"):
        raise ValueError("this is another object")
    try:
        return ChatCompletion.model_validate(data)
    except ValidationError:
        if not all(_is_choice(choice) for choice in data["choices"]):
            raise ValueError("a choice is none") from None
    try:
        return ChatCompletion.construct(**data)
    except Exception as error:  # the SDK's lenient way does not promise what it raises
        raise ValueError("the SDK cannot read it") from error


def _is_choice(choice: object) -> bool:
    if not isinstance(choice, dict):
        return False
    message = choice.get("message") or {}
    return (
        isinstance(choice.get("index"), int | None)
        and isinstance(choice.get("finish_reason"), str | None)
        and isinstance(message, dict)
        and isinstance(message.get("content"), str | None)
    )


def events(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The data of each server-sent event. Lines end at LF or CRLF only: JSON may hold the other separators raw."""
    rest, data = b"", list[bytes]()
    for piece in pieces:
        is_first = not rest and not data and piece.startswith(b"data: ")
        if is_first and piece.endswith(b"\n\n") and piece.find(b"\n") == len(piece) - 2 > 6:
            yield piece[6:-2]  # one whole event, as nearly all pieces are
            continue
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif not line and data:
                if event := b"\n".join(data).strip():
                    yield event
                data = []
    # An event without its blank line is not complete and does not count, but for the last word of a hasty server.
    if data == [DONE] or rest.strip() in (b"data: " + DONE, b"data:" + DONE):
        yield DONE


def raw_bytes(response: httpx2.Response) -> Iterator[bytes]:
    """The body as it comes. The library's decoders cost as much as all the rest, so it goes past them if it can."""
    if "content-encoding" in response.headers or not isinstance(response.stream, httpx2.SyncByteStream):
        return response.iter_bytes()
    return iter(response.stream)


Piece = tuple[int, str, str]
"""What is new: the index of the choice, what it is, the text."""
_CONTENT = (("content", "content"),)
_TEXTS = (*_CONTENT, ("reasoning", "reasoning_content"), ("reasoning", "reasoning"), ("refusal", "refusal"))


class _Choice:
    """What came of one choice so far."""

    def __init__(self) -> None:
        self.text: dict[str, list[str]] = {}
        self.tool_calls: dict[int, dict[str, Any]] = {}
        self.finish_reason: str | None = None
        self.logprobs: dict[str, list[Any]] = {}


class Assembly:
    """Puts the chunks of one streamed answer together, each choice by its index."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._last_head: tuple[Any, ...] = ()
        self._choices: dict[int, _Choice] = {}
        self._usage: dict[str, Any] | None = None
        self.error: object = None
        """What the provider sent instead of going on; None while all is well."""

    def add(self, event: bytes) -> list[Piece]:
        """Take one event; what is new in it as (index, kind, text). Raises ValueError when it is no JSON object."""
        chunk = jiter.from_json(event)
        if not isinstance(chunk, dict):
            raise ValueError("an event of a chat completion is an object")
        if chunk.get("error") or ("choices" not in chunk and "message" in chunk):
            # Some servers put the error into an envelope, others send it bare.
            self.error = chunk.get("error") or chunk
            return []
        self._add_head(chunk)
        if type(usage := chunk.get("usage")) is dict:
            self._usage = usage
        new: list[Piece] = []
        for choice in chunk.get("choices") or ():
            self._add_choice(choice, new)
        return new

    def _add_head(self, chunk: dict[str, Any]) -> None:
        head = (chunk.get("id"), chunk.get("model"), chunk.get("system_fingerprint"), chunk.get("service_tier"))
        if head == self._last_head:
            return
        self._last_head = head
        for name in ("id", "created", "model", "system_fingerprint", "service_tier"):
            # Azure's filter chunks come with empty ids.
            if chunk.get(name):
                self._head[name] = chunk[name]

    def _add_choice(self, choice: dict[str, Any], new: list[Piece]) -> None:
        index = choice.get("index") or 0
        kept = self._choices.get(index)
        if kept is None:
            kept = self._choices[_index_of(choice)] = _Choice()
        # An annotation may follow the last chunk with a null finish reason.
        if isinstance(reason := choice.get("finish_reason"), str):
            kept.finish_reason = reason or kept.finish_reason
        if isinstance(logprobs := choice.get("logprobs"), dict):
            for name, tokens in logprobs.items():
                kept.logprobs[name] = (kept.logprobs.get(name) or []) + (tokens or [])
        delta = choice.get("delta")
        if not delta:
            return
        for kind, name in _TEXTS if len(delta) > 1 or "content" not in delta else _CONTENT:
            if isinstance(text := delta.get(name), str) and text:
                kept.text.setdefault(name, []).append(text)
                new.append((index, kind, text))
        for call in delta.get("tool_calls") or ():
            new.append((index, "tool_call", self._add_tool_call(kept.tool_calls, call)))

    @staticmethod
    def _add_tool_call(calls: dict[int, dict[str, Any]], call: dict[str, Any]) -> str:
        kept = calls.setdefault(
            _index_of(call), {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        kept["id"] = call.get("id") or kept["id"]
        function = call.get("function") or {}
        kept["function"]["name"] += function.get("name") or ""
        kept["function"]["arguments"] += function.get("arguments") or ""
        return function.get("arguments") or ""

    @property
    def has_begun(self) -> bool:
        """Whether any choice has come."""
        return bool(self._choices)

    def is_finished(self, *, done: bool) -> bool:
        """Whether every choice that began has told why it ended; with [DONE] behind it, one is enough.

        A gateway was seen that sends a finish reason for the first choice only.
        """
        ended = [bool(choice.finish_reason) for choice in self._choices.values()]
        return any(ended) if done else bool(ended) and all(ended)

    def completion(self) -> ChatCompletion:
        """What came so far, as one answer. A choice that did not end has no finish reason."""
        choices = []
        for index, kept in sorted(self._choices.items()):
            text = {name: "".join(parts) for name, parts in list(kept.text.items())}
            message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, **text}
            if kept.tool_calls:
                message["tool_calls"] = [call for _, call in sorted(kept.tool_calls.items())]
            choices.append(
                {
                    "index": index,
                    "finish_reason": kept.finish_reason,
                    "logprobs": kept.logprobs or None,
                    "message": message,
                }
            )
        head = {"id": "", "created": 0, "model": "", "object": "chat.completion", **self._head}
        try:
            return parse_completion({**head, "choices": choices, "usage": self._usage})
        except ValueError:  # what is not text was taken over unseen; the text is more important
            choices = [{**choice, "logprobs": None} for choice in choices]
            return parse_completion({**head, "choices": choices, "usage": None})


def _index_of(part: dict[str, Any]) -> int:
    """Where a choice or a tool call belongs; some servers send null for the first."""
    index = part.get("index") or 0
    if not isinstance(index, int):
        raise ValueError("an index is a number")
    return index
