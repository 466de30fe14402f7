"""The words of one answer as they come: one thread adds, any number of connections wait for more."""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from itertools import groupby

Piece = tuple[str, str]
"""Kind and text; the kinds are those of `AnswerStream.deltas`."""


class Words:
    """All that has come of an answer, in order. `key` is for whoever may read it, and cannot be guessed."""

    def __init__(self) -> None:
        self.key = secrets.token_urlsafe(18)
        self.is_ended = False
        self._pieces: list[Piece] = []
        self._watchers: set[Watcher] = set()

    def add(self, kind: str, text: str) -> None:
        """More has come."""
        self._pieces.append((kind, text))
        self._call()

    def end(self) -> None:
        """Nothing more will come; how it ended is in the database by now."""
        self.is_ended = True
        self._call()

    def text(self, *kinds: str) -> str:
        """What came of these kinds."""
        return "".join(text for kind, text in self._pieces if kind in kinds)

    def since(self, start: int, end: int | None = None) -> Iterator[tuple[int, str, str]]:
        """What came behind the first `start` pieces, neighbours of one kind as one: up to which piece, kind, text.

        With `end`, no more than the first so many pieces.
        """
        for kind, group in groupby(self._pieces[start:end], key=lambda piece: piece[0]):
            texts = [text for _, text in group]
            start += len(texts)
            yield start, kind, "".join(texts)

    def _call(self) -> None:
        for watcher in tuple(self._watchers):
            watcher.call()


class Watcher:
    """Waits on the event loop for words that other threads add."""

    def __init__(self, words: Sequence[Words]) -> None:
        self._words = words
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._is_called = False

    def __enter__(self) -> "Watcher":
        for each in self._words:
            each._watchers.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._words:
            each._watchers.discard(self)

    def call(self) -> None:
        """There is something new. From any thread; while a call is on its way another one costs nothing."""
        if not self._is_called:
            self._is_called = True
            try:
                self._loop.call_soon_threadsafe(self._news.set)
            except RuntimeError:  # the server is stopping: its loop is closed
                return

    async def wait(self, seconds: float) -> bool:
        """Until there is something new, `seconds` at most; whether there is."""
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            return False
        # In this order: what is added from here on calls again.
        self._news.clear()
        self._is_called = False
        return True
