"""What a browser tab receives of the answers that are being written, over one connection for all of them.

`GET /answers?of=<key>.<start>&of=...` returns server-sent events, each with a JSON list:

    [n, end, text]                 new text of the n-th answer in the query; `end` is the number of its next piece
    [n, end, text, "reasoning"]    the same for its reasoning
    [n]                            the answer is finished, or its key is unknown

A client that lost the connection sends the last `end` as the new `start`. With `&now`, the response is a plain JSON
list of the same, for clients behind a proxy that buffers streams.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from generation.answers import Answers
from generation.received import Received, Watcher

TOGETHER = 0.03
"""Seconds between two events. A screen is not redrawn more often."""
BREATH = 15.0
"""Seconds of silence after which an empty line is sent, so that no proxy closes the connection as idle."""
MOST = 20
"""The maximum number of answers on one connection; a page shows one or two."""

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

Event = list[int | str]


async def stream(request: Request, answers: Callable[[], Answers]) -> Response:
    """Answer `GET /answers`."""
    followed = [_Followed(n, *_parts(of), answers) for n, of in enumerate(request.query_params.getlist("of")[:MOST])]
    if "now" in request.query_params:
        return JSONResponse([event for each in followed for event in each.news()], headers=HEADERS)
    return StreamingResponse(_events(followed), media_type="text/event-stream", headers=HEADERS)


async def _events(followed: list["_Followed"]) -> AsyncIterator[str]:
    yield "event:here\ndata:\n\n"  # at once, so that the browser knows that nothing buffers the stream
    with Watcher([each.received for each in followed if each.received is not None]) as watcher:
        while True:
            news = [event for each in followed for event in each.news()]
            if news:
                yield "".join(f"data:{json.dumps(event, separators=(',', ':'))}\n\n" for event in news)
            if all(each.is_finished for each in followed):
                return
            if news:
                await asyncio.sleep(TOGETHER)
            elif not await watcher.wait(BREATH):
                yield ":\n\n"


class _Followed:
    """One answer on a connection, and how much of it has been sent."""

    def __init__(self, n: int, key: str, start: int, answers: Callable[[], Answers]) -> None:
        self.received: Received | None = answers().received(key)
        self.is_finished = False
        """Whether the last event has been sent."""
        self._n = n
        self._sent = start

    def news(self) -> Iterator[Event]:
        """The events to send now."""
        if self.is_finished:
            return
        # Checked before the text is read: text that is added between the two is not lost.
        is_last = self.received is None or self.received.is_finished
        if self.received is not None:
            for end, kind, text in self.received.since(self._sent):
                self._sent = end
                yield [self._n, end, text, *(["reasoning"] if kind == "reasoning" else [])]
        if is_last:
            self.is_finished = True
            yield [self._n]


def _parts(of: str) -> tuple[str, int]:
    key, _, start = of.rpartition(".")
    return key, int(start) if start.isascii() and start.isdigit() and len(start) < 9 else 0
