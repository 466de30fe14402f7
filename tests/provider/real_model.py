"""The real built-in model, for tests of the connector and the pages."""

import random
import secrets
import socket
import tempfile
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Self

from demo import model
from demo.child import Child

# Below those that the system hands out by itself, where a port could be gone before it is used; in an order of one's
# own, so that test processes beside each other do not meet. A browser refuses 10080.
_PORTS = cycle(random.sample(range(11_000, 32_000), 21_000))


class RealModel:
    """Runs the built-in model on a free port of 127.0.0.1 inside a ``with`` block."""

    def __init__(self, api_key: str | None = None) -> None:
        self.api_key = api_key or f"sk-real-{secrets.token_hex(8)}"
        self.port = free_port()

    @property
    def base_url(self) -> str:
        return model.endpoint(self.port)

    @property
    def name(self) -> str:
        return model.NAME

    def __enter__(self) -> Self:
        with tempfile.TemporaryDirectory() as folder:
            key_file = Path(folder) / "key"
            key_file.write_text(self.api_key, encoding="utf-8")
            self._child: Child = model.child(self.port, key_file).__enter__()
            try:
                self._child.wait_until_it_answers(model.START_SECONDS)
            except BaseException:
                self._child.__exit__()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self._child.__exit__()


def free_port() -> int:
    """A free port that the system does not soon give to this process again."""
    for port in _PORTS:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("no free port")
