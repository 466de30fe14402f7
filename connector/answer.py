"""Parses bytes of a provider into the SDK's response types: complete answers and streamed ones.

Servers deviate from the reference: chunks without choices (Azure's first chunk, the chunk with the usage), a choice
without delta, a null index, usage twice or never, an unknown finish reason. All of these are accepted, and no missing
value is made up.
"""

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from itertools import chain
from typing import Any

import httpx2
import jiter
from openai.types.chat import ChatCompletion
from pydantic import ValidationError

DONE = b"[DONE]"


def parse_completion(data: object) -> ChatCompletion:
    """Return the SDK's response type; if a server deviates from the schema, built leniently as the SDK itself does.

    Raises ValueError if the data is not a chat completion. In the result, the index, finish reason and text of each
    choice have their types or are None.
    """
    if not isinstance(data, dict) or not isinstance(data.get("choices"), list):
        raise ValueError("no list of choices")
    for choice in data["choices"]:
        message = choice.get("message") if isinstance(choice, dict) else None
        if isinstance(message, dict) and isinstance(message.get("content"), list):
            texts = [part.get("text") for part in message["content"] if isinstance(part, dict)]
            message["content"] = "".join(text for text in texts if isinstance(text, str))
    if data.get("object") not in (None, "", "chat.completion"):
        raise ValueError("not a chat completion object")
    try:
        return ChatCompletion.model_validate(data)
    except ValidationError:
        if not all(_is_choice(choice) for choice in data["choices"]):
            raise ValueError("a choice has another form") from None
    try:
        return ChatCompletion.construct(**data)
    except Exception as error:  # `construct` does not document what it raises
        raise ValueError("the SDK cannot parse it") from error


def joined(completions: Sequence[ChatCompletion]) -> ChatCompletion:
    """Return several answers as one: choices renumbered, tokens added up, or unknown if they are for one answer."""
    if len(completions) == 1:
        return completions[0]
    answers: list[dict[str, Any]] = [each.to_dict(mode="json", warnings=False) for each in completions]
    choices = [choice for answer in answers for choice in answer["choices"]]
    numbered = [{**choice, "index": index} for index, choice in enumerate(choices)]
    usages = [answer.get("usage") for answer in answers]
    whole = parse_completion(
        {**answers[0], "choices": numbered, "usage": reduce(_added, usages) if all(usages) else None}
    )
    whole._request_id = getattr(completions[0], "_request_id", None)
    return whole


def _added(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: _added(one.get(name), other.get(name)) for name in {**one, **other}}
    return one + other if type(one) is int and type(other) is int else one or other


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
    """Yield the data of each server-sent event. Lines end at LF or CRLF only: JSON may contain other separators."""
    rest, data = b"", list[bytes]()
    for piece in _without_mark(pieces):
        is_first = not rest and not data and piece.startswith(b"data: ")
        if is_first and piece.endswith(b"\n\n") and piece.find(b"\n") == len(piece) - 2 > 6 and piece[6] != 32:
            yield piece[6:-2]  # nearly all pieces are one complete event
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
    # An event without its blank line is incomplete and ignored, except [DONE], which some servers send without it.
    if data == [DONE] or rest.strip() in (b"data: " + DONE, b"data:" + DONE):
        yield DONE


def _without_mark(pieces: Iterable[bytes]) -> Iterable[bytes]:
    """Remove the byte order mark that some servers send first."""
    start, rest = b"", iter(pieces)
    for piece in rest:
        start += piece
        if len(start) >= len(BOM_UTF8) or not BOM_UTF8.startswith(start):
            break
    return chain((start.removeprefix(BOM_UTF8),), rest)  # not a generator, which would handle each piece


def raw_bytes(response: httpx2.Response) -> Iterator[bytes]:
    """Iterate over the body as it arrives, without the library's decoders if possible: they double the cost."""
    if "content-encoding" in response.headers or not isinstance(response.stream, httpx2.SyncByteStream):
        return response.iter_bytes()
    return iter(response.stream)


Piece = tuple[int, str, str]
"""A new piece of an answer: the index of its choice, its kind, its text."""
_CONTENT = (("content", "content"),)
_TEXTS = (*_CONTENT, ("reasoning", "reasoning_content"), ("reasoning", "reasoning"), ("refusal", "refusal"))


_KNOWN_OF_CHUNK = {
    *("id", "object", "created", "model", "system_fingerprint", "service_tier", "choices", "usage", "obfuscation"),
}
_KNOWN_OF_CHOICE = {"index", "delta", "message", "finish_reason", "logprobs"}
_KNOWN_OF_DELTA = {"role", "tool_calls", *(name for _, name in _TEXTS)}


def _merge(kept: dict[str, Any], new: dict[str, Any]) -> None:
    """Merge a piece: texts and lists are joined, objects merged, other values replaced."""
    for name, value in new.items():
        so_far = kept.get(name)
        if isinstance(so_far, dict) and isinstance(value, dict):
            _merge(so_far, value)
        elif isinstance(so_far, list) and isinstance(value, list):
            kept[name] = [*so_far, *value]
        elif isinstance(so_far, str) and isinstance(value, str) and name not in ("id", "type", "name"):
            kept[name] = so_far + value
        elif value is not None or name not in kept:
            kept[name] = value


class _Choice:
    """The received part of one choice."""

    def __init__(self) -> None:
        self.text: dict[str, list[str]] = {}
        self.tool_calls: dict[int, dict[str, Any]] = {}
        self.finish_reason: str | None = None
        self.logprobs: dict[str, list[Any] | None] = {}
        self.message: dict[str, Any] = {}
        """Other fields of the message: audio, annotations, the old function_call, unknown fields."""
        self.rest: dict[str, Any] = {}
        """Other fields of the choice, for example Azure's content filter results."""


class Assembly:
    """Assembles the chunks of one streamed answer, each choice by its index."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._last_head: tuple[Any, ...] = ()
        self._choices: dict[int, _Choice] = {}
        self._usage: dict[str, Any] | None = None
        self._rest: dict[str, Any] = {}
        self.error: object = None
        """The error that the provider sent in the stream; None without an error."""

    def add(self, event: bytes) -> list[Piece]:
        """Add one event and return its new pieces. Raises ValueError when it is not a JSON object."""
        chunk = jiter.from_json(event)
        if not isinstance(chunk, dict):
            raise ValueError("an event is not a JSON object")
        if chunk.get("error") or ("choices" not in chunk and "message" in chunk):
            # Some servers send the error in a field `error`, others send it bare.
            self.error = chunk.get("error") or chunk
            return []
        self._add_head(chunk)
        if not _KNOWN_OF_CHUNK.issuperset(chunk):
            self._rest |= {name: value for name, value in chunk.items() if name not in _KNOWN_OF_CHUNK}
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
            # Azure's chunks with filter results have empty ids.
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
                so_far = kept.logprobs.get(name)
                if so_far is None:
                    kept.logprobs[name] = list(tokens) if tokens is not None else None
                else:
                    so_far.extend(tokens or ())
        delta = choice.get("delta") or choice.get("message")
        if len(choice) > 4:
            kept.rest |= {name: value for name, value in choice.items() if name not in _KNOWN_OF_CHOICE}
        if not delta:
            return
        if isinstance(delta.get("content"), list):  # parts, as Mistral's reasoning models send them
            texts = [part.get("text") for part in delta["content"] if isinstance(part, dict)]
            delta = {**delta, "content": "".join(text for text in texts if isinstance(text, str))}
        if len(delta) > 1:
            _merge(kept.message, {name: value for name, value in delta.items() if name not in _KNOWN_OF_DELTA})
        for kind, name in _TEXTS if len(delta) > 1 or "content" not in delta else _CONTENT:
            if isinstance(text := delta.get(name), str) and text:
                kept.text.setdefault(name, []).append(text)
                new.append((index, kind, text))
        for call in delta.get("tool_calls") or ():
            new.append((index, "tool_call", self._add_tool_call(kept.tool_calls, call)))

    @staticmethod
    def _add_tool_call(calls: dict[int, dict[str, Any]], call: dict[str, Any]) -> str:
        index, id = _index_of(call), call.get("id")
        if call.get("index") is None and not id and calls:
            index = max(calls)  # no index, no id: more of the last call
        elif id and calls.get(index, {}).get("id") not in (None, "", id):
            known = [at for at, kept in calls.items() if kept["id"] == id]
            index = known[0] if known else max(calls) + 1  # another call with the same index
        is_custom = "custom" in call or call.get("type") == "custom"
        kind, piece_name = ("custom", "input") if is_custom else ("function", "arguments")
        kept = calls.setdefault(index, {"id": "", "type": kind, kind: {"name": "", piece_name: ""}})
        kind, piece_name = (kept["type"], "input" if kept["type"] == "custom" else "arguments")
        kept["id"] = id or kept["id"]
        new = call.get(kind) or {}
        if new.get("name") and new["name"] != kept[kind]["name"]:  # some servers repeat it in each piece
            kept[kind]["name"] += new["name"]
        piece = new.get(piece_name) or ""
        kept[kind][piece_name] += piece
        return piece

    @property
    def has_begun(self) -> bool:
        """Whether any part of a choice was received."""
        return bool(self._choices)

    def is_finished(self, *, done: bool) -> bool:
        """Whether every choice that began has a finish reason; after [DONE], one finish reason is enough.

        Some gateways send a finish reason for the first choice only.
        """
        ended = [bool(choice.finish_reason) for choice in self._choices.values()]
        return any(ended) if done else bool(ended) and all(ended)

    def completion(self) -> ChatCompletion:
        """Return the received part as one answer. A choice that has not ended has no finish reason."""
        try:
            return parse_completion(self._answer(whole=True))
        except ValueError:  # some other field has an invalid value; keep the text
            return parse_completion(self._answer(whole=False))

    def _answer(self, *, whole: bool) -> dict[str, Any]:
        head = {"id": "", "created": 0, "model": "", "object": "chat.completion", **self._head}
        choices = []
        for index, kept in sorted(self._choices.items()):
            text = {name: "".join(parts) for name, parts in list(kept.text.items())}
            message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, **text}
            if kept.tool_calls:
                message["tool_calls"] = [call for _, call in sorted(kept.tool_calls.items())]
            choice = {"index": index, "finish_reason": kept.finish_reason, "logprobs": None, "message": message}
            if whole:
                choice |= {"logprobs": kept.logprobs or None, "message": {**kept.message, **message}}
            choices.append({**kept.rest, **choice} if whole else choice)
        answer = {**head, "choices": choices, "usage": self._usage if whole else None}
        return {**self._rest, **answer} if whole else answer


def _index_of(part: dict[str, Any]) -> int:
    """Return the index of a choice or a tool call; some servers send null for the first."""
    index = part.get("index") or 0
    if not isinstance(index, int):
        raise ValueError("an index is not a number")
    return index
