"""A process that belongs to the demo: started with it, ready when it answers over HTTP, stopped with it."""

import http.client
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

PROJECT = Path(__file__).parent.parent
POLL_SECONDS = 0.1
STOP_SECONDS = 4.8  # the app takes 4.5 at most, and the demo five with the model


class DemoFailed(Exception):
    """The demo can not go on. `str()` is a sentence for the person who started it."""


class Child:
    """A child process that answers on `localhost:port` and runs inside a ``with`` block.

    Its standard input is a pipe that only the parent holds, so that a child that reads it notices when the parent is
    gone, however the parent ended and on every operating system.
    """

    def __init__(self, name: str, command: Sequence[str], *, port: int, health: str) -> None:
        self.name = name
        self.port = port
        self._command = command
        self._health = health

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - made of this interpreter and this project's own words
            self._command,
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # greetings and addresses; what goes wrong comes by the other way
            # Out of reach of the terminal's Ctrl+C, which would meet them in the middle of an import; the one is for
            # POSIX, the other for Windows, each ignored elsewhere.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def wait_until_it_answers(self, seconds: float, stop: threading.Event | None = None) -> None:
        """Returns once it answers, or early when `stop` is set. Raises `DemoFailed` when it ends or takes too long."""
        stop = stop or threading.Event()
        deadline = time.monotonic() + seconds
        while not stop.is_set() and not answers(self.port, self._health):
            if self.exit_code is not None:
                raise DemoFailed(f"{self.name} ended while starting (exit code {self.exit_code}); see the lines above.")
            if time.monotonic() > deadline:
                raise DemoFailed(f"{self.name} did not answer on port {self.port} within {seconds:.0f} seconds.")
            stop.wait(POLL_SECONDS)


def answers(port: int, path: str) -> bool:
    """Whether a GET of `path` on this machine is answered with 200. Never goes through a proxy.

    Asks the address and not `localhost`: a minimal system may have no /etc/hosts.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
