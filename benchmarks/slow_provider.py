"""A provider that writes as models do: 40 tokens a second in each answer, of which the last one tells when it was sent.

`python -m benchmarks.slow_provider` prints its port. It is a process of its own and does as little as it can.

An answer has 280 tokens, or as many as `tokens-1000` in the question or in the model's name says. It begins at once,
with `first-<tag>-`, and ends with `mark-<tag>-<nanoseconds since 1970>-`, where the question had a `#<tag>`; with
`together-50` in the question, once so many of these are asked. `GET /closed` lists the answers whose reader hung up
before the end: tag, time in nanoseconds, tokens sent by then.
"""

import asyncio
import json
import os
import re
import sys
import time
from typing import Any

TOKENS = 280
PER_SECOND = 40
HEAD = {"id": "chatcmpl-slow", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "slow"}
WORDS = ("The", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "and", "reads", "documentation", "twice")
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
Closed = dict[str, str | int]


def chunk(choices: list[dict[str, Any]], usage: object = None) -> bytes:
    """One event of a stream, as HTTP carries it."""
    return framed(f"data: {json.dumps({**HEAD, 'choices': choices, 'usage': usage})}\n\n")


def framed(text: str) -> bytes:
    return f"{len(text):x}\r\n{text}\r\n".encode()


def token(text: str) -> bytes:
    """The event with this token."""
    return chunk([{"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}])


# A paragraph ends with each seventieth token.
TEXT = [token(f" {WORDS[number % len(WORDS)]}" if (number + 1) % 70 else ".\n\n") for number in range(70 * len(WORDS))]
FINISH = chunk([{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}])


class Answer:
    """One that is being written, token by token."""

    def __init__(self, transport: asyncio.Transport, body: dict[str, Any], waiting: list["Answer"]) -> None:
        question = str(body["messages"][-1]["content"])
        tag = re.search(r"#(\w+)", question)
        length = re.search(r"tokens-(\d+)", question) or re.search(r"tokens-(\d+)", str(body["model"]))
        self.tag = tag[1] if tag else "none"
        self.sent = 0
        self.is_over = False
        self._length = int(length[1]) if length else TOKENS
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        transport.write(STREAM)
        together = re.search(r"together-(\d+)", question)
        if not together:
            self.start(0)
            return
        waiting.append(self)
        if len(waiting) == int(together[1]):
            for number, each in enumerate(waiting):  # evenly through the time of a token, as chance would have it
                each.start(number / len(waiting) / PER_SECOND)
            waiting.clear()

    def start(self, later: float) -> None:
        self._start = self._loop.time() + later
        self._loop.call_at(self._start, self._go_on)

    def _go_on(self) -> None:
        if self.is_over:
            return
        self.sent += 1
        if self.sent >= self._length:
            usage = {"prompt_tokens": 20, "completion_tokens": self.sent, "total_tokens": self.sent + 20}
            end = FINISH + chunk([], usage) + framed("data: [DONE]\n\n") + END
            self.is_over = True
            self._transport.write(token(f" mark-{self.tag}-{time.time_ns()}-") + end)
            return
        self._transport.write(token(f"first-{self.tag}-") if self.sent == 1 else TEXT[self.sent % len(TEXT)])
        self._loop.call_at(self._start + self.sent / PER_SECOND, self._go_on)


class Answering(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as far as the clients here need it."""

    def __init__(self, waiting: list[Answer], closed: list[Closed]) -> None:
        self._waiting = waiting
        self._closed = closed
        self._data = b""
        self._answer: Answer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", self._data[:end])
            there = end + 4 + int(length[1] if length else 0)
            if len(self._data) < there:
                return
            head, body, self._data = self._data[:end], self._data[end + 4 : there], self._data[there:]
            if head.startswith(b"POST "):
                self._answer = Answer(self._transport, json.loads(body), self._waiting)
            else:
                told = json.dumps(self._closed).encode()
                self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(told), told))

    def eof_received(self) -> None:
        self._hung_up()

    def connection_lost(self, _: Exception | None) -> None:
        self._hung_up()

    def _hung_up(self) -> None:
        if self._answer is not None and not self._answer.is_over:
            self._answer.is_over = True
            self._closed.append({"tag": self._answer.tag, "at": time.time_ns(), "sent": self._answer.sent})


async def serve() -> None:
    waiting: list[Answer] = []
    closed: list[Closed] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(waiting, closed), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)  # until whoever started it ends
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(serve())
