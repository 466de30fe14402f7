"""What is measured of a contender, inside the process in which it is alone.

    .venv-litellm/bin/python -m benchmarks.contenders.litellm http://127.0.0.1:8000/v1 2

takes lines of JSON on stdin, `["one_by_one", 100]`, and answers each with its figures, `[0.0041, 0.0038]`, so that it
takes turns with the others. Some of the environments have no package of ours: only the standard library is used here.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Protocol

KEY = "sk-bench-0123456789"
MODEL = "gpt-bench"
THREADS = ThreadPoolExecutor(32)
Figures = tuple[float, ...]
Messages = list[dict[str, str]]
Pieces = Generator[str, None, None]


class Contender(Protocol):
    """One way to an answer: whole, or in pieces of text."""

    def call(self) -> str | None: ...

    def stream(self) -> Pieces: ...


class WithClient(Contender, Protocol):
    """One that has its users make a client for each configuration."""

    def construct(self) -> object: ...


def one_by_one(contender: Contender, times: int) -> Figures:
    """Seconds of wall clock and of CPU for one call."""
    return _timed(lambda: [contender.call() for _ in range(times)], times)


def in_threads(contender: Contender, times: int) -> Figures:
    """The same with 32 calls at a time."""
    return _timed(lambda: list(THREADS.map(lambda _: contender.call(), range(times))), times)


def streams(contender: Contender, times: int) -> Figures:
    """Seconds of wall clock and of CPU for one stream, read to its end."""
    return _timed(lambda: [_read(contender) for _ in range(times)], times)


def streams_in_threads(contender: Contender, times: int) -> Figures:
    """The same with 32 streams at a time."""
    return _timed(lambda: list(THREADS.map(lambda _: _read(contender), range(times))), times)


def first_token(contender: Contender, times: int) -> Figures:
    """Seconds to the first token of a conversation's next turn: the one before has just been read to its end."""
    taken = 0.0
    for _ in range(times):
        _read(contender)
        start = time.perf_counter()
        stream = contender.stream()
        next(stream)
        taken += time.perf_counter() - start
        stream.close()
    return (taken / times,)


def construction(contender: WithClient, times: int) -> Figures:
    """Seconds of wall clock and of CPU for a new client."""
    return _timed(lambda: [contender.construct() for _ in range(times)], times)


def chunks(contender: Contender, _: int) -> Figures:
    """How many pieces of text a stream has."""
    return (_read(contender),)


def memory(contender: Contender, times: int) -> Figures:
    """MB of this process after so many calls more."""
    for _ in range(times):
        contender.call()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return (pages * resource.getpagesize() / 2**20,)


def _timed(work: Callable[[], object], times: int) -> Figures:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - wall) / times, (time.process_time() - cpu) / times


def _read(contender: Contender) -> int:
    return sum(1 for _ in contender.stream())


def messages(count: int) -> Messages:
    roles = ["system", *["user", "assistant"] * count]
    return [{"role": roles[number], "content": f"Message {number}: what is it? " * 4} for number in range(count)]


MEASURES: dict[str, Callable[[Any, int], Figures]] = {
    each.__name__: each
    for each in (one_by_one, in_threads, streams, streams_in_threads, first_token, construction, chunks, memory)
}


def answer(kind: Callable[..., Contender]) -> None:
    """Make the contender with this process's arguments and measure what is asked for on stdin, until that ends."""
    base_url, count, *more = sys.argv[1:]
    contender = kind(base_url, messages(int(count)), *more)
    answers = sys.stdout
    with redirect_stdout(sys.stderr):  # a library may print
        for line in sys.stdin:
            measure, times = json.loads(line)
            print(json.dumps(MEASURES[measure](contender, times)), file=answers, flush=True)
