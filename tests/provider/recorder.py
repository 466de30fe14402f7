"""A recorder on the wire: forwards every request to a server on this machine, and keeps what went each way.

For the servers that do not record themselves, such as the real model.
"""

import http.client
import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Exchange:
    """One request and its answer, as they crossed. Header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: Any
    status: int
    answer: bytes

    @property
    def usage(self) -> dict[str, int] | None:
        """The tokens that the server reported in this answer, whole or streamed; None where it did not."""
        try:
            objects = [json.loads(self.answer)]
        except ValueError:
            events = [line.removeprefix(b"data: ") for line in self.answer.split(b"\n") if line.startswith(b"data: {")]
            objects = [json.loads(event) for event in events]
        return next((found["usage"] for found in reversed(objects) if found.get("usage")), None)


class Recorder:
    """Listens on a free port of 127.0.0.1 inside a ``with`` block and forwards to `port`."""

    def __init__(self, port: int) -> None:
        self.exchanges: list[Exchange] = []
        self._http = _Server(port, self.exchanges)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="recorder")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, upstream: int, exchanges: list[Exchange]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.exchanges = exchanges


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream)
        own = {name: value for name, value in headers.items() if name not in {"host", "connection", "accept-encoding"}}
        upstream.request("POST", self.path, raw, own)
        response = upstream.getresponse()
        self.send_response(response.status)
        self.send_header("content-type", response.headers.get("content-type", ""))
        self.end_headers()  # HTTP/1.0: the answer ends where the connection does
        pieces = []
        while piece := response.read1():
            pieces.append(piece)
            self.wfile.write(piece)
            self.wfile.flush()
        answer = b"".join(pieces)
        self.server.exchanges.append(Exchange(self.path, headers, json.loads(raw), response.status, answer))
        upstream.close()
