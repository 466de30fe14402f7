"""The HTTP client of every `Client`: pooled, kept alive, and independent of the environment.

Creating one takes 20 ms because it loads certificates. It may be shared between threads.
"""

import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from socket import IPPROTO_TCP, SHUT_RDWR, SO_KEEPALIVE, SOL_SOCKET
from typing import Any, ClassVar

import httpx2

KEEPALIVE = 120.0
"""Seconds that an idle connection is kept: a person types longer than the library's default of 5."""
LIMITS = httpx2.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=KEEPALIVE)
TIMEOUT = httpx2.Timeout(connect=10, read=300, write=60, pool=10)
"""Seconds to connect, to wait for each piece of an answer, to send a piece, and to wait for a free connection. A
reasoning model may think for minutes."""
SILENCE = 60
"""Seconds without traffic until the system asks the other end whether it is still there (TCP keep-alive). The default
is two hours, and networks forget a silent connection after a few minutes, in which a reasoning model may still think.
"""
_PROBES = {"TCP_KEEPIDLE": SILENCE, "TCP_KEEPALIVE": SILENCE, "TCP_KEEPINTVL": SILENCE // 4}
"""By the names that the systems have for them; `TCP_KEEPALIVE` is macOS's."""
SOCKET_OPTIONS = [
    (SOL_SOCKET, SO_KEEPALIVE, 1),
    *((IPPROTO_TCP, getattr(socket, name), seconds) for name, seconds in _PROBES.items() if hasattr(socket, name)),
]
DRAIN = 0.25
"""Seconds to wait for the end of a finished answer, so that its connection can be used again."""


def pooled_http_client(*, proxy: str | None = None, ca_file: str | None = None) -> httpx2.Client:
    """An HTTP client for `Client(http_client=...)`; make one and keep it.

    `proxy` is the address of a company's proxy, `ca_file` a file with the certificates to trust (PEM) instead of the
    system's. The client follows no redirects, because they would also send the prompt, and keeps no cookies, because
    one person's cookies would be sent with another person's call. Raises OSError when `ca_file` cannot be read,
    ValueError for an unusable `proxy`.
    """
    if proxy and not re.match(r"https?://[^\s/]+", proxy):
        raise ValueError("A proxy is an address that starts with http://.")
    transport = _KeptAlive(
        verify=_trusting(ca_file) if ca_file else True,
        proxy=httpx2.Proxy(proxy) if proxy else None,
        trust_env=False,
        limits=LIMITS,
    )
    return PooledClient(
        transport=transport,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        trust_env=False,
    )


def _trusting(ca_file: str) -> ssl.SSLContext:
    # Not create_default_context, which writes the secrets of each connection to the file in SSLKEYLOGFILE.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=ca_file)
    return context


class _KeptAlive(httpx2.HTTPTransport):
    """Keeps connections alive, and sends a request again, as browsers do, if the server had closed a kept one.

    llama.cpp closes the connection after each stream without announcing it, so every second call would fail. Only one
    retry: a server that accepts a request and then closes the connection must not get it from each kept connection.
    """

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        is_fresh = False

        def trace(event: str, about: Mapping[str, Any]) -> None:
            nonlocal is_fresh
            is_fresh = is_fresh or event == "connection.connect_tcp.started"
            if event == "connection.connect_tcp.complete":  # the transport's `socket_options` are lost behind a proxy
                for option in SOCKET_OPTIONS:
                    about["return_value"].get_extra_info("socket").setsockopt(*option)

        request.extensions["trace"] = trace
        try:
            return super().handle_request(request)
        except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
            if is_fresh:  # the server accepted the request and failed
                raise
        return super().handle_request(request)


class PooledClient(httpx2.Client):
    """An HTTP client that keeps the SDK's clients that use it, one per account, as long as it exists."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.kept: dict[Any, Any] = {}
        """Filled by `sdk.keyless_client`."""


def pooled_async_http_client() -> httpx2.AsyncClient:
    """Make an asynchronous HTTP client for `async_sdk`."""
    return httpx2.AsyncClient(
        transport=httpx2.AsyncHTTPTransport(trust_env=False, limits=LIMITS, socket_options=SOCKET_OPTIONS),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        trust_env=False,
    )


def must_be(kind: type[httpx2.Client | httpx2.AsyncClient], http_client: object) -> None:
    """Raise TypeError for an HTTP client of another library, which would fail only after the call was paid for."""
    if http_client is not None and not isinstance(http_client, kind):
        found = f"{type(http_client).__module__.partition('.')[0]}.{type(http_client).__name__}"
        raise TypeError(f"http_client must be an httpx2.{kind.__name__}, not {found}.")


_making = threading.Lock()
"""Without it, several first callers would each create a client, in spite of the cache."""


def shared_http_client() -> httpx2.Client:
    """Return the HTTP client that is used unless another one is passed."""
    with _making:
        return _shared()


@lru_cache(maxsize=1)
def _shared() -> httpx2.Client:
    return pooled_http_client()


def _discard_inherited_connections() -> None:
    """For a forked process: its parent owns the connections, and would miss an answer that is read here."""
    global _making
    _making = threading.Lock()  # another thread of the parent may hold it
    _shared.cache_clear()
    _DrainLimit.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_discard_inherited_connections)


def drain(response: httpx2.Response, rest: Iterator[bytes]) -> None:
    """Read a streamed answer to its end, because a connection that is closed earlier cannot be used again.

    The end nearly always arrives with the last event. After `DRAIN` seconds, the connection is closed instead.
    """
    with _DrainLimit.of(response), suppress(httpx2.HTTPError):
        for _ in rest:
            pass


class _DrainLimit:
    """Closes the connections of answers that do not end. One thread for all: a timer costs as much as 30 events."""

    _draining: ClassVar[dict[int, tuple[float, httpx2.Response]]] = {}
    _added = threading.Event()
    _starting = threading.Lock()
    _thread: ClassVar[threading.Thread | None] = None

    @classmethod
    @contextmanager
    def of(cls, response: httpx2.Response) -> Iterator[None]:
        cls._draining[id(response)] = (time.monotonic() + DRAIN, response)
        with cls._starting:
            if cls._thread is None or not cls._thread.is_alive():  # a forked process has none
                cls._thread = threading.Thread(target=cls._run, name="connector drain", daemon=True)
                cls._thread.start()
        cls._added.set()
        try:
            yield
        finally:
            cls._draining.pop(id(response), None)

    @classmethod
    def reset(cls) -> None:
        cls._draining.clear()
        cls._added, cls._starting, cls._thread = threading.Event(), threading.Lock(), None

    @classmethod
    def _run(cls) -> None:
        while cls._added.wait():
            cls._added.clear()
            while cls._draining:
                time.sleep(DRAIN / 2)
                for key, (deadline, response) in list(cls._draining.items()):
                    if time.monotonic() > deadline:
                        cls._draining.pop(key, None)
                        hang_up(response)


def hang_up(response: httpx2.Response) -> None:
    """Shut the connection down. Closing it alone would not wake a reading thread, and the provider would go on."""
    stream = response.extensions.get("network_stream")
    if not response.is_closed and stream is not None and response.http_version.startswith("HTTP/1"):
        with suppress(OSError):  # the provider has closed it already
            stream.get_extra_info("socket").shutdown(SHUT_RDWR)
