"""Splits the bytes of a response into server-sent events, whatever its content type says."""

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from itertools import chain

import httpx2

DONE = b"[DONE]"
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")


class NamedEvent(bytes):
    """The data of an event that has a name."""

    name: str


def events(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the data of each event. Lines end at LF or CRLF only: JSON may contain other separators."""
    rest, data, name = list[bytes](), list[bytes](), b""
    for piece in pieces:
        is_first = not rest and not data and not name and piece.startswith(b"data: ")
        if is_first and piece.endswith(b"\n\n") and piece.find(b"\n") == len(piece) - 2 > 6 and piece[6] != 32:
            yield piece[6:-2]  # nearly all pieces are one complete event
            continue
        rest.append(piece)
        if b"\n" not in piece:  # a part of a long line; joined once, when its end has come
            continue
        *lines, last = b"".join(rest).split(b"\n")
        rest = [last] if last else []
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif line.startswith(b"event:"):
                name = line[6:].strip()
            elif not line:
                if event := b"\n".join(data).strip():
                    yield _named(event, name) if name else event
                data, name = [], b""
    # An event without its blank line may be incomplete. One that ends like an object is tried nevertheless.
    last = b"".join(rest).removesuffix(b"\r")
    if last.startswith(b"data:"):
        data.append(last[5:])
    event = b"\n".join(data).strip()
    if event.endswith((b"}", DONE)):
        yield _named(event, name) if name else event


def _named(data: bytes, name: bytes) -> NamedEvent:
    event = NamedEvent(data)
    event.name = name.decode(errors="replace")
    return event


def beginning(pieces: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes, enough for `is_event_stream` to decide, and all pieces, without a byte order mark."""
    start, rest = b"", iter(pieces)
    for piece in rest:
        start += piece
        text = start.lstrip()
        is_part_of_mark = BOM_UTF8.startswith(text[:3])
        if not is_part_of_mark and (text[:1] in (b"{", b"[", b"<") or len(text) >= 6):
            break
    start = start.removeprefix(BOM_UTF8)
    return start, chain((start,), rest)  # not a generator, which would handle each piece


def is_event_stream(start: bytes, content_type: str) -> bool:
    """Whether a body that begins so is an event stream. The content type decides where the body is empty or odd."""
    text = start.lstrip()
    if text.startswith((b"{", b"[", b"<")):
        return False
    return text.startswith(_FIELDS) or content_type.lower().startswith("text/event-stream")


def raw_bytes(response: httpx2.Response) -> Iterator[bytes]:
    """Iterate over the body as it arrives, without the library's decoders if possible: they double the cost."""
    if "content-encoding" in response.headers or not isinstance(response.stream, httpx2.SyncByteStream):
        return response.iter_bytes()
    return iter(response.stream)
