"""The server: `streamlit run app.py`, or any ASGI server with `app:app`.

However it was started, it serves only the machine it runs on.
"""

import gc
import ipaddress
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config

import generation
from pages.shared import base
from settings import InvalidSetting, Settings

# The hash is that of the only inline script in Streamlit's index.html; a test computes it again. A model's answer may
# contain images and links: img-src and connect-src prevent them from sending data to other hosts.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'wasm-unsafe-eval' blob: 'sha256-THxz9J9+wf7rhwR2YkXJoSZ13UCmYyC+3lNDv2+8ugA='",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data:",  # a photo from the camera is a data: URL, which leads to no host
        "frame-src 'none'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "worker-src 'self' blob:",
        "media-src 'self' blob:",
    )
)
RESPONSE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
LOCAL_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?", re.IGNORECASE)
REFUSED = "This workbench serves only the machine it runs on. Open http://localhost with its port on that machine."


class OnlyThisMachine:
    """ASGI middleware: refuses requests from other machines, and adds the response headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif is_from_this_machine(scope):
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "not local"})
        else:
            await PlainTextResponse(REFUSED, status_code=403)(scope, receive, _with_headers(send))


def is_from_this_machine(scope: Scope) -> bool:
    """Whether a request has a local peer and Host, was not forwarded, and comes from no page of another origin."""
    headers = Headers(scope=scope)
    peer, hosts = scope.get("client"), headers.getlist("host")
    if not peer or not _is_loopback(peer[0]) or len(hosts) != 1:
        return False
    if not LOCAL_HOST.fullmatch(hosts[0]):
        return False
    if any(name == "forwarded" or name.startswith("x-forwarded") or name == "x-real-ip" for name in headers):
        return False
    origins = headers.getlist("origin")
    if not origins:
        return bool(scope["type"] == "http")  # a browser sends one with every websocket
    return origins == [f"{'https' if scope['scheme'] in ('https', 'wss') else 'http'}://{hosts[0]}"]


def _is_loopback(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(RESPONSE_HEADERS)
        await send(message)

    return send_with_headers


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """Open the database before the first request. If that fails, print why in one sentence and exit."""
    shutdown = base.Shutdown()
    try:
        base.start(Settings.from_environment(os.environ))
    except (InvalidSetting, base.StorageError) as error:
        print(f"The workbench did not start. {error}", file=sys.stderr, flush=True)  # noqa: T201
        # An exception would print three nested tracebacks. Nothing is running yet that needs to be closed.
        os._exit(1)
    # What has been imported lives as long as the process, so garbage collection can skip it.
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        shutdown.finish()


async def to_its_page(request: Request) -> RedirectResponse:
    """Redirect `/showcase/chat` to `/chat`, because Streamlit would show a blank page."""
    page = request.path_params["page"]
    return RedirectResponse(request.url.replace(path=f"/{page}"))


async def stream(request: Request) -> Response:
    """Send the answers that are being written to a browser tab."""
    return await generation.stream(request, base.answers)


# Streamlit reads the folder .streamlit beside the script it started. Under another server it would look beside the
# frame instead, and usage statistics, error details and other defaults would be on again.
config._main_script_path = config._main_script_path or __file__

app = st.App(
    Path(__file__).parent / "pages" / "frame.py",
    routes=[
        Route("/answers", stream),
        *(Route(f"/{folder}/{{page}}", to_its_page) for folder in ("showcase", "workbench", "manage")),
    ],
    middleware=[Middleware(OnlyThisMachine)],
    lifespan=lifespan,
    on_script_error=base.log_failure,
)
