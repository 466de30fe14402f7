"""What one run of a page has read from the database, so that it reads each value once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import ParamSpec, TypeVar, cast

from db import Database, Person, SavedConfiguration
from pages.shared.base.runtime import database

P = ParamSpec("P")
T = TypeVar("T")


class Run:
    """What one run of a page has read. Each property reads the database at its first use."""

    def __init__(self) -> None:
        self._parts: dict[object, object] = {}

    @cached_property
    def person(self) -> Person:
        return database().people.local()

    @cached_property
    def configurations(self) -> list[SavedConfiguration]:
        return database().configurations.all(self.person)

    def part(self, kind: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the one object of this class and these arguments in this run.

        A room keeps what it reads in a class of its own with cached properties.
        """
        key = (kind, args, tuple(kwargs.items()))
        if key not in self._parts:
            self._parts[key] = kind(*args, **kwargs)
        return cast(T, self._parts[key])


class _Current(threading.local):
    run: Run | None = None


_current = _Current()


@contextmanager
def one_run() -> Iterator[None]:
    """Keep what is read until the end of the block, in this thread. A block inside another one shares its reads."""
    if _current.run is not None:
        yield
        return
    _current.run = Run()
    try:
        yield
    finally:
        _current.run = None


def this_run() -> Run:
    """What the current run of a page has read; outside `one_run` a new `Run`, which has read nothing."""
    return _current.run or Run()


@contextmanager
def changing() -> Iterator[Database]:
    """Give the database for a change. What this run read before is read again afterwards."""
    try:
        yield database()
    finally:
        if _current.run is not None:
            _current.run = Run()


def person() -> Person:
    """Who acts. There is one person, the administrator, until people sign in."""
    return this_run().person


def configurations() -> list[SavedConfiguration]:
    """All configurations, sorted by name."""
    return this_run().configurations
