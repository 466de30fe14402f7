"""Which tests run, in which order, and which of them share a process."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import is_hypothesis_test, settings
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # it has no types

from tests import compiled

compiled.share()

# The same examples in each run and on each machine, however slow it is; the long form looks for new ones.
settings.register_profile("short", derandomize=True, deadline=None, max_examples=25)
settings.register_profile("soak", deadline=None, max_examples=3_000)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the long forms, marked soak, and nothing else")


# Where Linux has a file system in memory: a test commits many times, and waits for a disk each time.
MEMORY = Path("/dev/shm")
ENOUGH_MEMORY = 4 * 2**30
"""Bytes; what the failed tests leave behind stays there until later runs."""


def pytest_configure(config: pytest.Config) -> None:
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ENOUGH_MEMORY:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))  # where `tmp_path` is
    settings.load_profile("soak" if config.option.soak else "short")


BROWSER = "tests/e2e/"
# These files take longest or wait for processes. They run first, so that none runs alone at the end.
LONGEST = (BROWSER, *(f"tests/{each}" for each in ("test_readme", "generation/", "db/test_kill", "test_app", "pages/")))


class OneBrowser(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """With `-n`, each process gets one file at a time, in this order; one process gets all browser tests.

    A browser and the app that it talks to take more than a core now and then. Two at a time would wait for each other.
    """

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER if nodeid.startswith(BROWSER) else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneBrowser:
    config.option.loadscopereorder = False
    return OneBrowser(config, log)


@pytest.hookimpl(tryfirst=True)  # before pytest applies `-m`
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Select the long forms or the other tests, and sort the longest first. Hypothesis tests belong to both."""
    for item in items:
        is_served = "served" in getattr(item, "fixturenames", ())  # by the server, started
        if _needs_postgresql(item) or is_served or _is_random(item):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
    soak = bool(config.option.soak)
    is_wanted = {item: _is_long(item) is soak or _is_random(item) for item in items}
    config.hook.pytest_deselected(items=[item for item in items if not is_wanted[item]])
    items[:] = [item for item in items if is_wanted[item]]


def _needs_postgresql(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    is_parameter = callspec is not None and callspec.params.get("kind") == "postgresql"
    return is_parameter or "postgresql" in getattr(item, "fixturenames", ())


def _is_random(item: pytest.Item) -> bool:
    return bool(is_hypothesis_test(getattr(item, "obj", None)))


def _is_long(item: pytest.Item) -> bool:
    return item.get_closest_marker("soak") is not None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Give each module that has a function `begin` the chance to start what its slow tests will wait for."""
    if session.config.option.collectonly:
        return
    slow = [item for item in session.items if isinstance(item, pytest.Function) and item.get_closest_marker("slow")]
    modules = {item.module.__name__: item.module for item in slow}
    for module in modules.values():
        if begin := getattr(module, "begin", None):
            begin()
