"""What takes longest begins first, beside the other tests."""

import pytest


def pytest_collection_finish(session: pytest.Session) -> None:
    """Give each module that has a function `begin` the chance to start what it will wait for."""
    if session.config.option.collectonly:
        return
    modules = {item.module.__name__: item.module for item in session.items if isinstance(item, pytest.Function)}
    for module in modules.values():
        if begin := getattr(module, "begin", None):
            begin()
