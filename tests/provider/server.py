"""A real HTTP server that speaks chat completions as OpenAI and Azure do, with faults on demand.

    with ProviderServer() as server:
        client_of(server.openai_endpoint, server.key)  # or azure_endpoint, azure_v1_endpoint
        server.next(Reply(429, error("Slow down."), headers={"retry-after": "1"}))   # what the next request gets
        server.next(Chunks([chunk("Hel"), gate := threading.Event(), chunk("lo")]))  # the second waits for gate.set()
        ...
        assert server.requests[0].body == {...} and not server.violations

Requests without a scripted reply get a deterministic answer: see `answers`. Every request body is held against the
provider's published description; one that does not match is answered with 400 and noted in `violations`.
"""

import json
import re
import select
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.provider import answers
from tests.provider.validation import Form, violation

ROUTES = {
    Form.AZURE: re.compile(r".*/openai/deployments/(?P<deployment>[^/]+)/chat/completions"),
    Form.AZURE_V1: re.compile(r".*/openai/v1/chat/completions"),
    Form.OPENAI: re.compile(r".*/v1/chat/completions"),
}
MODELS = re.compile(r".*/v1/models|/openai/models")
WATCH_SECONDS = 0.02  # how often a waiting answer looks whether the client has gone


@dataclass(frozen=True)
class Received:
    """One request as it arrived. Header names are in lower case; `body` is None unless it is JSON.

    Requests with the same `client_port` came over the same connection.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    raw: bytes
    client_port: int


@dataclass(frozen=True)
class Reply:
    """One whole answer. A `str` or `bytes` body is sent as it is, anything else as JSON (None is ``null``)."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


@dataclass(frozen=True)
class Chunks:
    """A streamed answer: dicts are sent as events, `str` and `bytes` as they are, an Event holds the stream until set.

    `then` is how it ends: in order (with ``[DONE]`` if `done`), or cut off by closing or resetting the connection.
    """

    chunks: Sequence[dict[str, Any] | str | bytes | threading.Event]
    done: bool = True
    then: Literal["end", "close", "reset"] = "end"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hang:
    """Accepts the request and never answers, until the client goes or the server stops."""


@dataclass(frozen=True)
class Drop:
    """Closes (or resets) the connection instead of answering."""

    reset: bool = False


AnyReply = Reply | Chunks | Hang | Drop


class ProviderServer:
    """The server on a free port of 127.0.0.1, running inside a ``with`` block."""

    def __init__(
        self,
        *,
        key: str = "sk-provider-test-key-7f3a",
        entra_token: str = "entra-provider-test-token-51c8",
        models: Iterable[str] = ("gpt-test", "chat-test"),
        also_allowed: Iterable[str] = (),
    ) -> None:
        """`models` are also the names of the deployments; `also_allowed` are parameters beyond the published ones."""
        self.key = key
        self.entra_token = entra_token
        self.models = frozenset(models)
        self.also_allowed: Iterable[str] = frozenset(also_allowed)
        self.requests: list[Received] = []
        self.violations: list[str] = []
        self.objection: Callable[[dict[str, Any]], AnyReply | None] = lambda body: None
        """The error for a request that a model refuses; None for a request that it accepts."""
        self.disconnected = threading.Event()
        """Set when a client went away before its answer was complete."""
        self.stopping = threading.Event()
        self.scripted: deque[AnyReply] = deque()
        self._http = _Server(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="provider server")

    def next(self, *replies: AnyReply) -> None:
        """Script what the next requests get, one each, whatever their path and key."""
        self.scripted.extend(replies)

    @property
    def port(self) -> int:
        return self._http.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_endpoint(self) -> str:
        return f"{self.url}/v1"

    @property
    def azure_endpoint(self) -> str:
        return self.url

    @property
    def azure_v1_endpoint(self) -> str:
        return f"{self.url}/openai/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.hang_up()
        self._http.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close waits for them, so that no answer outlives its test

    def __init__(self, provider: ProviderServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.provider = provider
        self.connections: set[socket.socket] = set()

    def hang_up(self) -> None:
        """End the kept-alive connections, whose threads wait for a next request."""
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # the client was faster
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that goes away is no error worth a traceback
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.respond()

    def do_POST(self) -> None:
        self.respond()

    def respond(self) -> None:
        provider = self.server.provider
        received = self.receive()
        provider.requests.append(received)
        form, deployment = route(received.path)
        try:
            self.send(self.refusal(form, received) or self.scripted() or self.answer(form, deployment, received))
        except OSError:
            self.close_connection = True
            if not provider.stopping.is_set():
                provider.disconnected.set()

    def receive(self) -> Received:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        address = urlsplit(self.path)
        query = dict(parse_qsl(address.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Received(self.command, address.path, query, headers, body, raw, self.client_address[1])

    def refusal(self, form: Form | None, received: Received) -> Reply | None:
        """400 for a body that the provider's description does not allow, also where a reply is scripted."""
        provider = self.server.provider
        if form is None or received.method != "POST" or received.body is None:
            return None
        wrong = violation(form, received.body, provider.also_allowed)
        if wrong is None:
            return None
        provider.violations.append(f"{received.path} {wrong}")
        return Reply(400, answers.error(wrong))

    def scripted(self) -> AnyReply | None:
        try:
            return self.server.provider.scripted.popleft()
        except IndexError:
            return None

    def answer(self, form: Form | None, deployment: str, received: Received) -> AnyReply:
        provider = self.server.provider
        not_found = Reply(404, answers.unknown_path(received.method, received.path))
        lists_models = received.method == "GET" and MODELS.fullmatch(received.path)
        if form is None and lists_models:
            form = Form.AZURE_V1 if "/openai/v1/" in received.path else Form.OPENAI
            form = Form.AZURE if received.path == "/openai/models" else form
        elif form is None or received.method != "POST":
            return not_found
        if form is Form.AZURE and not received.query.get("api-version"):
            return not_found
        if not self.is_let_in(form, received.headers):
            return Reply(401, answers.wrong_key(form, bearer_in(received.headers)))
        if lists_models:
            listed = answers.models if form is Form.OPENAI else answers.azure_models
            return Reply(200, listed(sorted(provider.models)))
        if received.body is None:
            return Reply(400, answers.error("We could not parse the JSON body of your request."))
        if objection := provider.objection(received.body):
            return objection
        model = deployment or received.body["model"]
        if model not in provider.models:
            return Reply(404, answers.unknown_model(form, model))
        if received.body.get("stream"):
            return Chunks(list(answers.answer_in_chunks(form, model, received.body)))
        return Reply(200, answers.answer(form, model, received.body))

    def is_let_in(self, form: Form, headers: Mapping[str, str]) -> bool:
        """A key goes into `api-key` at Azure, into `Authorization` at OpenAI, and into either at Azure v1."""
        provider = self.server.provider
        bearer = bearer_in(headers)
        if form is not Form.OPENAI and (headers.get("api-key") == provider.key or bearer == provider.entra_token):
            return True
        return form is not Form.AZURE and bearer == provider.key

    def send(self, reply: AnyReply) -> None:
        match reply:
            case Reply():
                self.send_whole(reply)
            case Chunks():
                self.send_chunks(reply)
            case Hang():
                self.wait_for(threading.Event())
            case Drop(reset):
                self.cut(reset)

    def send_whole(self, reply: Reply) -> None:
        body = reply.body
        data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_head(reply.status, {"content-type": reply.content_type, "content-length": str(len(data))}, reply)
        self.wfile.write(data)

    def send_chunks(self, reply: Chunks) -> None:
        self.send_head(200, {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked"}, reply)
        for item in reply.chunks:
            if isinstance(item, threading.Event):
                self.wait_for(item)
            else:
                self.send_piece(item)
        if reply.then != "end":
            self.cut(reset=reply.then == "reset")
            return
        if reply.done:
            self.send_piece("data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def send_piece(self, item: dict[str, Any] | str | bytes) -> None:
        text = f"data: {json.dumps(item)}\n\n" if isinstance(item, dict) else item
        data = text.encode() if isinstance(text, str) else text
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def send_head(self, status: int, headers: dict[str, str], reply: Reply | Chunks) -> None:
        self.send_response(status)
        request_id = f"req-test-{len(self.server.provider.requests):04}"
        own = {name.lower(): value for name, value in reply.headers.items()}
        for name, value in ({"x-request-id": request_id} | headers | own).items():
            self.send_header(name, value)
        self.end_headers()

    def wait_for(self, gate: threading.Event) -> None:
        """Wait for the test to open the gate. Raises ConnectionError when the client goes or the server stops first."""
        while not gate.wait(WATCH_SECONDS):
            if self.server.provider.stopping.is_set():
                raise ConnectionAbortedError
            if select.select([self.connection], [], [], 0)[0] and not self.connection.recv(1, socket.MSG_PEEK):
                raise ConnectionResetError

    def cut(self, reset: bool) -> None:
        self.close_connection = True
        if reset:
            # Lingering for zero seconds makes the system send RST instead of FIN. Closed here and now: the way out of a
            # handler says FIN first. The file on the socket would keep it open.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.connection.close()


def route(path: str) -> tuple[Form | None, str]:
    """The form that a path belongs to, and the deployment it names."""
    for form, pattern in ROUTES.items():
        if found := pattern.fullmatch(path):
            return form, unquote(found.groupdict().get("deployment", ""))
    return None, ""


def bearer_in(headers: Mapping[str, str]) -> str | None:
    """The token of an `Authorization: Bearer` header."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token if scheme == "Bearer" else None
