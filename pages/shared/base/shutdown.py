"""Ends the process on Ctrl+C or SIGTERM: within five seconds, in order and with exit code 0.

A server tells its application about the shutdown only after all connections are closed. A page that watches an answer
keeps its connection open until the answer is complete, so the answers must be stopped first. A second Ctrl+C makes
uvicorn skip the application, and at its end uvicorn raises the signal again.
"""

import os
import signal
import threading
import time
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from types import FrameType
from typing import Any

from pages.shared.base import runtime

_AT_MOST = 4.5
"""Seconds from the signal to the end of the process, whatever hangs."""
_CONNECTIONS = 3.5
"""Seconds from the signal until the database is closed, even if the server waits for a connection."""
_SIGNALS = ("SIGINT", "SIGTERM", "SIGBREAK")  # SIGBREAK is Ctrl+Break on Windows


class Shutdown:
    """The end of the process. Create it in the lifespan, when the server has installed its signal handlers."""

    def __init__(self) -> None:
        self._has_begun = False
        self._asked: SimpleQueue[None] = SimpleQueue()  # an Event could deadlock in a signal handler
        self._are_connections_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shutdown", daemon=True)
        if threading.current_thread() is not threading.main_thread():
            return  # only the main thread can handle signals
        self._thread.start()
        for name in _SIGNALS:
            if number := getattr(signal, name, None):
                signal.signal(number, partial(self._begin, signal.getsignal(number)))

    def finish(self) -> None:
        """Close the workbench after the server has closed its connections. Ends the process if it was asked to end."""
        if self._has_begun:
            self._are_connections_closed.set()
            self._thread.join()
        runtime.stop()

    def _begin(self, handler_of_server: Any, number: int, frame: FrameType | None) -> None:
        if self._has_begun:  # a second Ctrl+C
            return
        self._has_begun = True
        self._asked.put(None)
        if callable(handler_of_server):
            handler_of_server(number, frame)

    def _run(self) -> None:
        self._asked.get()
        began = time.monotonic()
        end = threading.Timer(_AT_MOST, os._exit, (0,))
        end.daemon = True
        end.start()
        try:
            with suppress(OSError, ValueError):  # standard output is closed, or cannot encode the ellipsis
                print("Stopping …", flush=True)  # noqa: T201
            runtime.stop_answers()
            self._are_connections_closed.wait(began + _CONNECTIONS - time.monotonic())
            runtime.stop()
        finally:
            os._exit(0)
