"""What takes longest begins first, beside the other tests; and what takes too long runs only when it is asked for."""

import pytest

from tests import compiled

compiled.share()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the long forms, marked soak, and nothing else")


# Files whose tests wait for processes; they go first, so that none of them is left alone at the end.
LONGEST = ("tests/generation/test_kill", "tests/db/test_kill", "tests/test_readme", "tests/test_app")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long forms or the others, never both; what takes longest first."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
    wanted = bool(config.option.soak)
    is_long = {item: item.get_closest_marker("soak") is not None for item in items}
    config.hook.pytest_deselected(items=[item for item in items if is_long[item] is not wanted])
    items[:] = [item for item in items if is_long[item] is wanted]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Give each module that has a function `begin` the chance to start what it will wait for."""
    if session.config.option.collectonly:
        return
    modules = {item.module.__name__: item.module for item in session.items if isinstance(item, pytest.Function)}
    for module in modules.values():
        if begin := getattr(module, "begin", None):
            begin()
