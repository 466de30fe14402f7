"""Processes beside the test's own, forked from one that has imported `db` already: each is there at once."""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.db.conftest"])

Work = Callable[..., None]
"""Gets the connection to the test first, then its arguments; a function of a test module."""


@dataclass
class Beside:
    """One of them, and the line to it."""

    process: ForkServerProcess
    line: Connection

    def said(self) -> list[Any]:
        """What it said that was not heard yet, up to its end, which is waited for."""
        heard = []
        while True:
            try:
                heard.append(self.line.recv())
            except EOFError:
                return heard

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.join()

    def ended_well(self) -> bool:
        self.process.join()
        return self.process.exitcode == 0


@contextmanager
def beside(work: Work, *arguments: object) -> Iterator[Beside]:
    """Runs `work(line, *arguments)` in a process of its own."""
    line, other_end = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=work, args=(other_end, *arguments))
    process.start()
    other_end.close()
    try:
        yield Beside(process, line)
    finally:
        process.kill()
        process.join()
        line.close()


def all_at_once(work: Work, *arguments: object, number: int = 4) -> list[list[Any]]:
    """What that many processes say that begin together. `work` says that it is ready, then waits to hear something."""
    with ExitStack() as stack:
        found = [stack.enter_context(beside(work, *arguments)) for _ in range(number)]
        for each in found:
            each.line.recv()
        for each in found:
            each.line.send("go")
        said = [each.said() for each in found]
        assert all(each.ended_well() for each in found)
    return said
