"""Many tabs without a browser: asyncio clients that follow one answer each and note how late its last word came."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlencode

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

MARK = re.compile(rb"mark-\w+-(\d+)-")
PATIENCE = 300.0
"""Seconds until whoever has not got all of an answer gives up."""
Follow = Callable[[int, str], Awaitable[float]]
"""Given a port and the text of a question, asks it and gives the lag of the last word in milliseconds."""


def together(follow: Follow, port: int, questions: list[str], at_once: int | None = None) -> list[float]:
    """The lags of all of them; all begin at once, or no more than `at_once` are under way.

    Raises TimeoutError where one takes too long.
    """

    async def all_of_them() -> list[float]:
        free = asyncio.Semaphore(at_once or len(questions))

        async def one(question: str) -> float:
            async with free, asyncio.timeout(PATIENCE):
                return await follow(port, question)

        return await asyncio.gather(*map(one, questions))

    return asyncio.run(all_of_them())


async def of_app(port: int, question: str) -> float:
    """Our app: has the turn begun by the benchmark's route, and reads /answers to its end."""
    key, _ = await _get(port, f"/begin?{urlencode({'ask': question})}")
    answer, received = await _get(port, f"/answers?{urlencode({'of': f'{json.loads(key)}.0'})}")
    return _lag(received, answer)


async def of_plain(port: int, question: str) -> float:
    """The plain page: a session of its own, whose script streams the answer at once."""
    lag = None
    async for frame, received in _session(port, query_string=urlencode({"ask": question})):
        if lag is None and b"mark-" in frame:
            lag = _lag(received, frame)
    assert lag is not None, "the page has ended without the last word"
    return lag


async def visit(port: int, page: str) -> None:
    """Have a page's script run once."""
    async for _ in _session(port, page_name=page):
        pass


async def _get(port: int, path: str) -> tuple[bytes, int]:
    """A body, and when the last word of an answer came in it, in nanoseconds since 1970."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        data, received = bytearray(), 0
        while new := await reader.read(65536):
            now = time.time_ns()
            data += new
            if not received and b"mark-" in data[-len(new) - 5 :]:
                received = now
    finally:
        writer.close()
    return _joined(bytes(data)) if b"chunked" in head else bytes(data), received


def _joined(chunks: bytes) -> bytes:
    """A body without its framing."""
    body, at = b"", 0
    while (end := chunks.find(b"\r\n", at)) >= 0 and (length := int(chunks[at:end], 16)):
        body += chunks[end + 2 : end + 2 + length]
        at = end + 4 + length
    return body


async def _session(port: int, **rerun: str) -> AsyncIterator[tuple[bytes, int]]:
    """The frames of one run of a page's script in a new session, each with when it came."""
    address = f"ws://localhost:{port}/_stcore/stream"
    async with websockets.connect(
        address,
        origin=f"http://localhost:{port}",  # type: ignore[arg-type]  # a str it is
        subprotocols=["streamlit"],  # type: ignore[list-item]
        compression=None,
        max_size=None,
        ping_interval=None,
        proxy=None,
        open_timeout=60,
    ) as socket:
        message = BackMsg()
        message.rerun_script.SetInParent()
        for name, value in rerun.items():
            setattr(message.rerun_script, name, value)
        await socket.send(message.SerializeToString())
        async for frame in socket:
            assert isinstance(frame, bytes)
            yield frame, time.time_ns()
            if len(frame) < 200 and ForwardMsg.FromString(frame).WhichOneof("type") == "script_finished":
                return


def _lag(received: int, text: bytes) -> float:
    mark = MARK.search(text)
    assert mark is not None, text[-500:]
    return (received - int(mark[1])) / 1e6
