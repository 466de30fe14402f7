"""The other end of the benchmarks: answers every POST at once, whole or streamed, in a process of its own.

`python -m benchmarks.server [--tls CERTIFICATE] [--delay SECONDS]` prints its port. It does as little as it can, so
that what is measured is the client. `--delay` holds every packet back that long, each way, as a long line does.
"""

import argparse
import asyncio
import json
import os
import ssl
import sys
from contextlib import suppress
from typing import Any

TOKENS = 500
TEXT = "A word. " * (TOKENS + 62)  # 4,500 characters
USAGE = {"prompt_tokens": 20, "completion_tokens": TOKENS, "total_tokens": TOKENS + 20}
HEAD = {"id": "chatcmpl-bench", "created": 1_700_000_000, "model": "gpt-bench", "system_fingerprint": "fp_bench"}


def _whole() -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = json.dumps({**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _streamed() -> bytes:
    def event(choices: list[dict[str, Any]], usage: object = None) -> str:
        return (
            f"data: {json.dumps({**HEAD, 'object': 'chat.completion.chunk', 'choices': choices, 'usage': usage})}\n\n"
        )

    def choice(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
        return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}

    events = [event([choice({"role": "assistant", "content": ""})])]
    # Two words: LiteLLM gives up on a model that says the same one a hundred times.
    events += [event([choice({"content": (" word", " more")[number % 2]})]) for number in range(TOKENS)]
    events += [event([choice({}, "stop")]), event([], USAGE), "data: [DONE]\n\n"]
    chunks = [f"{len(text):x}\r\n{text}\r\n" for text in events]
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
    return (head + "".join(chunks) + "0\r\n\r\n").encode()


WHOLE, STREAMED = _whole(), _streamed()


class Answering(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as far as the clients here need it."""

    def __init__(self) -> None:
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0]) if b"content-length:" in head else 0
            if len(self._data) < end + 4 + length:
                return
            body, self._data = self._data[end + 4 : end + 4 + length], self._data[end + 4 + length :]
            self._transport.write(STREAMED if b'"stream":true' in body.replace(b" ", b"") else WHOLE)


async def serve(certificate: str | None, delay: float) -> None:
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, "127.0.0.1", 0, ssl=context, backlog=256)
    port = server.sockets[0].getsockname()[1]
    entrance = port
    if delay:
        line = await asyncio.start_server(lambda reader, writer: long_line(reader, writer, port, delay), "127.0.0.1", 0)
        entrance = line.sockets[0].getsockname()[1]
    print(entrance, flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)  # until whoever started it ends
    os._exit(0)


async def long_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, delay: float) -> None:
    """Forwards each packet `delay` seconds later, both ways. A new connection costs a round trip before that."""
    await asyncio.sleep(2 * delay)
    there, back = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(forward(reader, back, delay), forward(there, writer, delay), return_exceptions=True)


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            loop.call_later(delay, writer.write, data)
    loop.call_later(delay, writer.close)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls")
    parser.add_argument("--delay", type=float, default=0)
    options = parser.parse_args()
    asyncio.run(serve(options.tls, options.delay))
