"""The HTTP client under every `Client`: pooled, kept alive, and taking nothing from the environment.

Making one costs 20 ms for its certificates, using one costs nothing; it may be shared between threads.
"""

import os
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from socket import SHUT_RDWR
from typing import Any, ClassVar

import httpx2

KEEPALIVE = 120.0
"""Seconds that an idle connection is kept: a person thinks longer than the library's default of 5."""
LIMITS = httpx2.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=KEEPALIVE)
TIMEOUT = httpx2.Timeout(connect=10, read=300, write=60, pool=10)
"""Seconds to connect, to the first and between two pieces of an answer, to send a piece, and to wait for a free
connection. A reasoning model may think for minutes."""
DRAIN = 0.25
"""Seconds that a finished answer may take to end, so that its connection can be used again."""


def pooled_http_client(*, proxy: str | None = None, ca_file: str | None = None) -> httpx2.Client:
    """An HTTP client for `Client(http_client=...)`; make one and keep it.

    `proxy` is the address of a company's proxy, `ca_file` a file with the certificates to trust (PEM) instead of the
    system's. It follows no redirects, since the prompt would go along, and keeps no cookies: one person's would go
    along with the next person's call. Raises OSError when `ca_file` cannot be read, ValueError for an unusable `proxy`.
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
    # Not create_default_context: it writes the session's secrets where SSLKEYLOGFILE says.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=ca_file)
    return context


class _KeptAlive(httpx2.HTTPTransport):
    """Sends once more what met a kept connection that the server had closed meanwhile, as browsers do.

    llama.cpp closes after each stream without a word: without this every second call behind one failed. Once only: a
    server that takes a request and then hangs up shall not get it from each kept connection.
    """

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        is_fresh = False

        def trace(event: str, _: object) -> None:
            nonlocal is_fresh
            is_fresh = is_fresh or event == "connection.connect_tcp.started"

        request.extensions["trace"] = trace
        try:
            return super().handle_request(request)
        except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
            if is_fresh:  # the server took it and failed
                raise
        return super().handle_request(request)


class PooledClient(httpx2.Client):
    """An HTTP client that keeps the SDK's clients over it, one per account, for as long as it lives itself."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.kept: dict[Any, Any] = {}
        """Filled by `sdk.keyless_client`."""


def pooled_async_http_client() -> httpx2.AsyncClient:
    """Make an asynchronous HTTP client for `async_sdk`."""
    return httpx2.AsyncClient(
        transport=httpx2.AsyncHTTPTransport(trust_env=False, limits=LIMITS),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        trust_env=False,
    )


_making = threading.Lock()
"""A cache alone lets each of the first callers make one."""


def shared_http_client() -> httpx2.Client:
    """The one that is used unless another one is given."""
    with _making:
        return _shared()


@lru_cache(maxsize=1)
def _shared() -> httpx2.Client:
    return pooled_http_client()


def _forget_the_parents() -> None:
    """In a forked process: connections are the parent's, and an answer read here would be missed there."""
    global _making
    _making = threading.Lock()  # another thread of the parent may hold it
    _shared.cache_clear()
    _Watch.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_the_parents)


def drain(response: httpx2.Response, rest: Iterator[bytes]) -> None:
    """Read a streamed answer to its end: a connection that is closed before cannot be used again.

    The end nearly always came with the last event. Where it does not come within `DRAIN` seconds, it is not waited for.
    """
    with _Watch.over(response), suppress(httpx2.HTTPError):
        for _ in rest:
            pass


class _Watch:
    """Hangs up on answers that do not end. One thread for all of them: a timer each costs as much as thirty events."""

    _late: ClassVar[dict[int, tuple[float, httpx2.Response]]] = {}
    _news = threading.Event()
    _starting = threading.Lock()
    _thread: ClassVar[threading.Thread | None] = None

    @classmethod
    @contextmanager
    def over(cls, response: httpx2.Response) -> Iterator[None]:
        cls._late[id(response)] = (time.monotonic() + DRAIN, response)
        with cls._starting:
            if cls._thread is None or not cls._thread.is_alive():  # a forked process has none
                cls._thread = threading.Thread(target=cls._watch, name="connector drain", daemon=True)
                cls._thread.start()
        cls._news.set()
        try:
            yield
        finally:
            cls._late.pop(id(response), None)

    @classmethod
    def forget(cls) -> None:
        cls._late.clear()
        cls._news, cls._starting, cls._thread = threading.Event(), threading.Lock(), None

    @classmethod
    def _watch(cls) -> None:
        while cls._news.wait():
            cls._news.clear()
            while cls._late:
                time.sleep(DRAIN / 2)
                for key, (deadline, response) in list(cls._late.items()):
                    if time.monotonic() > deadline:
                        cls._late.pop(key, None)
                        hang_up(response)


def hang_up(response: httpx2.Response) -> None:
    """Shut the connection down: closing alone does not wake a thread that reads, and the provider writes on."""
    stream = response.extensions.get("network_stream")
    if not response.is_closed and stream is not None and response.http_version.startswith("HTTP/1"):
        with suppress(OSError):  # the provider was faster
            stream.get_extra_info("socket").shutdown(SHUT_RDWR)
