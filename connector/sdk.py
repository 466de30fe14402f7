"""The official SDK's clients for an account, isolated from the environment.

Chat completions take the SDK's fast way: `post` with `cast_to=httpx2.Response`, over one client per account and pool.
`Client.sdk` and `async_sdk` are the same classes with the key, for everything else that the SDK can do.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, Omit, OpenAI, Stream
from openai._types import Headers
from openai.lib.azure import API_KEY_SENTINEL

from connector.account import KeyType, SdkArguments
from connector.configuration import Configuration
from connector.errors import InvalidConfiguration
from connector.identity import signed_in
from connector.transport import TIMEOUT, PooledClient, must_be, pooled_async_http_client

MOST_KEPT = 64
"""SDK clients per pool; an account more, and they are made anew. Making one takes 0.05 ms."""
_PER_CALL = "given with each call"  # the SDK asks for a key when a client is made; `post` replaces it
_NO_KEY: dict[str, str | Omit] = {"authorization": Omit(), "api-key": Omit()}


def _isolate(client: OpenAI | AsyncOpenAI, arguments: dict[str, Any]) -> None:
    """Undo what the SDK read from OPENAI_CUSTOM_HEADERS, OPENAI_ORG_ID and similar variables, and let the key be in any
    header: the SDK insists on its usual one.

    In the constructor, since the SDK's `with_options` makes another client of the same class.
    """
    client._custom_headers = dict(arguments.get("default_headers") or {})
    client.organization = arguments.get("organization")
    client.project = arguments.get("project")
    client.admin_api_key = arguments.get("admin_api_key")
    client.webhook_secret = arguments.get("webhook_secret")
    client._validate_headers = _accept_any  # type: ignore[method-assign]


def _accept_any(headers: Headers, custom_headers: Headers) -> None:
    pass


class IsolatedOpenAI(OpenAI):
    """`openai.OpenAI` that takes nothing from the environment."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        _isolate(self, arguments)


class IsolatedAzureOpenAI(AzureOpenAI):
    """`openai.AzureOpenAI` that takes nothing from the environment."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        _isolate(self, arguments)


class IsolatedAsyncOpenAI(AsyncOpenAI):
    """`openai.AsyncOpenAI` that takes nothing from the environment."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        _isolate(self, arguments)


class IsolatedAsyncAzureOpenAI(AsyncAzureOpenAI):
    """`openai.AsyncAzureOpenAI` that takes nothing from the environment."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        _isolate(self, arguments)


# -- for chat completions


def keyless_client(target: SdkArguments, http_client: httpx2.Client) -> OpenAI:
    """A client for `post`: it holds no key and never retries, so all keys of an account share it. A `PooledClient`
    keeps it.
    """
    kept: dict[SdkArguments, OpenAI] = http_client.kept if isinstance(http_client, PooledClient) else {}
    client = kept.get(target)
    if client is None:
        make = IsolatedAzureOpenAI if target.is_azure else IsolatedOpenAI
        client = make(**target.arguments, api_key=_PER_CALL, http_client=http_client, max_retries=0)
        if len(kept) >= MOST_KEPT:
            kept.clear()
        kept[target] = client
    return client


def post(
    client: OpenAI, body: dict[str, Any], authorisation: dict[str, str], timeout: httpx2.Timeout, *, stream: bool
) -> httpx2.Response:
    """Send a chat completions request and return the response as it came. Raises what the SDK and httpx2 raise."""
    response = client.post(
        "/chat/completions",
        cast_to=httpx2.Response,
        body=body,
        options={"headers": _NO_KEY | authorisation, "timeout": timeout, "follow_redirects": False},
        stream=stream,
        stream_cls=Stream[object],
    )
    # httpx2.Response is what cast_to asks for, streamed or not; the signature cannot say so.
    assert isinstance(response, httpx2.Response)  # noqa: S101
    return response


# -- for everything else


def sync_sdk(
    configuration: Configuration,
    http_client: httpx2.Client,
    *,
    token: Callable[[], str] | None,
    timeout: httpx2.Timeout,
    max_retries: int,
) -> OpenAI:
    """Make the SDK's client with the key in it, or with a token provider where tokens are used."""
    target = configuration.sdk_arguments
    make = IsolatedAzureOpenAI if target.is_azure else IsolatedOpenAI
    fresh = _fresh_key(configuration, token)
    return make(
        **target.arguments,
        **_credential(configuration, fresh or configuration.api_key.get_secret_value()),
        default_headers=_headers(configuration),
        http_client=http_client,
        timeout=timeout,
        max_retries=max_retries,
    )


def async_sdk(
    configuration: Configuration,
    *,
    http_client: httpx2.AsyncClient | None = None,
    token: Callable[[], str] | None = None,
    timeout: httpx2.Timeout = TIMEOUT,
    max_retries: int = 2,
) -> AsyncOpenAI:
    """Make the official asynchronous client for this configuration: `AsyncOpenAI`, or `AsyncAzureOpenAI` for Azure
    with a dated API version.

    It takes nothing from the environment and, unless `http_client` does, follows no redirects and keeps no cookies. It
    belongs to the event loop that uses it first; close it with `await client.close()`, or use it in `async with`. Its
    errors are the SDK's own. `token`, `timeout` and `max_retries` are as for `Client`; `token` is called in a thread,
    and raises `InvalidConfiguration` together with a `key_header`. Raises TypeError unless
    `http_client` is an `httpx2.AsyncClient`.
    """
    must_be(httpx2.AsyncClient, http_client)
    target = configuration.sdk_arguments
    make = IsolatedAsyncAzureOpenAI if target.is_azure else IsolatedAsyncOpenAI
    fresh = _fresh_key(configuration, token)

    async def fresh_in_a_thread() -> str:
        return await asyncio.to_thread(fresh) if fresh else ""

    return make(
        **target.arguments,
        **_credential(configuration, fresh_in_a_thread if fresh else configuration.api_key.get_secret_value()),
        default_headers=_headers(configuration),
        http_client=http_client or pooled_async_http_client(),
        timeout=timeout,
        max_retries=max_retries,
    )


def _fresh_key(configuration: Configuration, token: Callable[[], str] | None) -> Callable[[], str] | None:
    """A function that gets the key or token for each request; None where the configuration's own key is used."""
    if token is None and configuration.key_type is not KeyType.ENTRA_IDENTITY:
        return None
    if configuration.key_header:
        raise InvalidConfiguration(
            {"key_header": "The official client sends fresh keys in its usual header only."},
            advice="Use it without a token function, or without a header of your own for the key.",
        )
    return lambda: signed_in(configuration, token).api_key.get_secret_value()


def _credential(configuration: Configuration, secret: str | Callable[[], str | Awaitable[str]]) -> dict[str, Any]:
    """The argument that carries the key or token; the OpenAI clients take tokens as keys."""
    if configuration.key_header:  # the SDK's own sign that there is no key: `AzureOpenAI` would send any other text
        return {"api_key": API_KEY_SENTINEL}
    if not configuration.sdk_arguments.is_azure or configuration.key_type is KeyType.API_KEY:
        return {"api_key": secret}
    return {"azure_ad_token" if isinstance(secret, str) else "azure_ad_token_provider": secret}


def _headers(configuration: Configuration) -> dict[str, str | Omit]:
    """The headers that the SDK does not set by itself. With `key_header`, the key is one of them."""
    if configuration.key_header:
        return _NO_KEY | configuration.authorisation
    return {name: value.get_secret_value() for name, value in configuration.headers.items()}
