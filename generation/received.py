"""The received part of one answer: one thread adds text, any number of connections wait for more."""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from itertools import groupby

Piece = tuple[str, str]
"""Kind and text; the kinds are those of `AnswerStream.deltas`."""


class Received:
    """Everything that has been received of an answer, in order. `key` cannot be guessed; whoever has it may read."""

    def __init__(self) -> None:
        self.key = secrets.token_urlsafe(18)
        self.is_finished = False
        self._pieces: list[Piece] = []
        self._watchers: set[Watcher] = set()

    def add(self, kind: str, text: str) -> None:
        """Add a piece of text and wake the watchers."""
        self._pieces.append((kind, text))
        self._wake()

    def finish(self) -> None:
        """Mark the answer as finished and wake the watchers. Call it after the result has been stored."""
        self.is_finished = True
        self._wake()

    def text(self, *kinds: str) -> str:
        """The whole text of these kinds."""
        return "".join(text for kind, text in self._pieces if kind in kinds)

    def since(self, start: int, end: int | None = None) -> Iterator[tuple[int, str, str]]:
        """The pieces from number `start` on, up to number `end` if given, as (number of the next piece, kind, text).

        Adjacent pieces of one kind are joined.
        """
        for kind, group in groupby(self._pieces[start:end], key=lambda piece: piece[0]):
            texts = [text for _, text in group]
            start += len(texts)
            yield start, kind, "".join(texts)

    def _wake(self) -> None:
        for watcher in tuple(self._watchers):
            watcher.wake()


class Watcher:
    """Waits on the event loop for text that other threads add."""

    def __init__(self, watched: Sequence[Received]) -> None:
        self._watched = watched
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._is_woken = False

    def __enter__(self) -> "Watcher":
        for each in self._watched:
            each._watchers.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._watched:
            each._watchers.discard(self)

    def wake(self) -> None:
        """Wake the watcher. Call it from any thread; a watcher that is already being woken costs nothing."""
        if not self._is_woken:
            self._is_woken = True
            try:
                self._loop.call_soon_threadsafe(self._news.set)
            except RuntimeError:  # the server is stopping: its loop is closed
                return

    async def wait(self, seconds: float) -> bool:
        """Wait until there is more text, for `seconds` at most. Returns whether there is."""
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            return False
        # In this order, text that is added from here on wakes the watcher again.
        self._news.clear()
        self._is_woken = False
        return True
