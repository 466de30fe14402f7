"""What a browser tab hears of the answers that are being written: one connection for all that it shows.

`GET /answers?of=<key>.<start>&of=...` gives server-sent events, each a JSON list: `[n, end, text]` is what is new of
the n-th answer of the address up to its piece `end`, with a fourth element where it is no content but `reasoning`;
`[n]` says that it has ended, or that nobody knows it. Whoever is cut off comes back with the `end` that it has seen.
With `&now` it is a plain JSON list of the same, for where something between here and the browser holds streams back.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from generation.answers import Answers
from generation.words import Watcher, Words

TOGETHER = 0.03
"""Seconds in which what comes is sent as one: more often than a screen is drawn is of no use."""
BREATH = 15.0
"""Seconds after which an empty line is sent, so that nothing in between takes the connection for dead."""
MOST = 20
"""Answers on one connection; a page shows one or two."""

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

Event = list[int | str]


async def stream(request: Request, answers: Callable[[], Answers]) -> Response:
    """The endpoint."""
    followed = [_Followed(n, *_parts(of), answers) for n, of in enumerate(request.query_params.getlist("of")[:MOST])]
    if "now" in request.query_params:
        return JSONResponse([event for each in followed for event in each.news()], headers=HEADERS)
    return StreamingResponse(_events(followed), media_type="text/event-stream", headers=HEADERS)


async def _events(followed: list["_Followed"]) -> AsyncIterator[str]:
    yield "event:here\ndata:\n\n"  # at once, so that the browser knows that streams come through
    with Watcher([each.words for each in followed if each.words is not None]) as watcher:
        while True:
            news = [event for each in followed for event in each.news()]
            if news:
                yield "".join(f"data:{json.dumps(event, separators=(',', ':'))}\n\n" for event in news)
            if all(each.is_done for each in followed):
                return
            if news:
                await asyncio.sleep(TOGETHER)
            elif not await watcher.wait(BREATH):
                yield ":\n\n"


class _Followed:
    """One of the answers of a connection, and how much of it was sent."""

    def __init__(self, n: int, key: str, start: int, answers: Callable[[], Answers]) -> None:
        self.words: Words | None = answers().words(key)
        self.is_done = False
        self._n = n
        self._sent = start

    def news(self) -> Iterator[Event]:
        """What is to be sent now."""
        if self.is_done:
            return
        # Before the words are looked at: what comes between the two is not lost.
        has_ended = self.words is None or self.words.is_ended
        if self.words is not None:
            for end, kind, text in self.words.since(self._sent):
                self._sent = end
                yield [self._n, end, text, *(["reasoning"] if kind == "reasoning" else [])]
        if has_ended:
            self.is_done = True
            yield [self._n]


def _parts(of: str) -> tuple[str, int]:
    key, _, start = of.rpartition(".")
    return key, int(start) if start.isascii() and start.isdigit() and len(start) < 9 else 0
