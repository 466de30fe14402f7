"""Lists a provider's current models, with their retirement dates if the provider states them."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime

import httpx2

from connector.account import ApiType
from connector.configuration import Configuration
from connector.endpoint import read_endpoint
from connector.errors import ConnectorError, NotFoundAtProvider, UnreadableAnswer
from connector.failures import explain, retry_after_of
from connector.identity import signed_in
from connector.refusals import explain_status
from connector.sentences import host_of, redacted
from connector.transport import must_be, shared_http_client

PATIENCE = httpx2.Timeout(10, connect=5)
"""Timeouts in seconds; a person waits for the list."""
_LONGEST = 10_000_000  # bytes of a list
_LATEST = 20  # seconds that receiving it may take
_LONGEST_NAME = 200  # characters
_NO_SUCH_LIST = {404, 405, 501}
_TYPE_A_NAME = "You can enter any model name."


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """One model that a provider lists."""

    name: str
    retires_on: date | None = None
    """The retirement date in UTC. None: the provider does not state it."""


def models_of(
    configuration: Configuration,
    *,
    http_client: httpx2.Client | None = None,
    token: Callable[[], str] | None = None,
    timeout: httpx2.Timeout = PATIENCE,
) -> list[OfferedModel]:
    """Return the models that the provider lists now, sorted by name; on Azure its chat models, not the deployments.

    Other names may work as well. Raises `ConnectorError`: `NotFoundAtProvider` if the provider has no list,
    `UnreadableAnswer` if the response is not a list, else the errors of a call.
    """
    must_be(httpx2.Client, http_client)
    configuration = signed_in(configuration, token)
    try:
        response, content = _get(configuration, http_client or shared_http_client(), timeout)
    except Exception as error:  # an invalid host name raises errors of many types
        failure = explain(error, configuration, "")
    else:
        if response.is_success:
            return _read(content, response, configuration)
        failure = _refusal(content, response, configuration)
    raise failure


def _get(
    configuration: Configuration, http_client: httpx2.Client, timeout: httpx2.Timeout
) -> tuple[httpx2.Response, bytes]:
    """Return the response and its content. Redirects are not followed, because they would also send the key."""
    deadline = time.monotonic() + _LATEST
    content = bytearray()
    headers = {"accept": "application/json", **configuration.authorisation}
    with http_client.stream(
        "GET", _address(configuration), headers=headers, timeout=timeout, follow_redirects=False
    ) as response:
        with suppress(httpx2.DecodingError):
            for piece in response.iter_bytes():
                content += piece
                if len(content) > _LONGEST or time.monotonic() > deadline:
                    break  # too large or too slow for a list of models
        return response, bytes(content)


def _address(configuration: Configuration) -> str:
    """Return the address of the list: beside the chat completions, or for a dated Azure version beside deployments."""
    url, _, query = configuration.url.partition("?")
    if configuration.api_type is ApiType.AZURE_OPENAI and query:
        return f"{read_endpoint(configuration.endpoint).azure_root}/openai/models?{query}"
    return f"{url.removesuffix('/chat/completions')}/models"


def _refusal(content: bytes, response: httpx2.Response, configuration: Configuration) -> ConnectorError:
    status = response.status_code
    if status in _NO_SUCH_LIST:
        sentence = f"{host_of(configuration)} does not list its models ({status})."
        return NotFoundAtProvider(sentence, advice=_TYPE_A_NAME, status=status)
    body = _json(content)
    return explain_status(
        status,
        body.get("error", body) if isinstance(body, dict) else body,
        configuration,
        "",
        request_id=response.headers.get("x-request-id") or response.headers.get("apim-request-id"),
        retry_after=retry_after_of(response.headers),
    )


def _read(content: bytes, response: httpx2.Response, configuration: Configuration) -> list[OfferedModel]:
    found = _json(content)
    listed = found.get("data") if isinstance(found, dict) else found  # some servers send the bare list
    if isinstance(listed, list):
        models = {each.name: each for each in _models(listed, configuration)}
        return [models[name] for name in sorted(models)]
    is_page = "html" in response.headers.get("content-type", "")
    content_found = "a web page" if is_page else "something that is not a list of models"
    unreadable = UnreadableAnswer(f"{host_of(configuration)} returned {content_found}.", advice=_TYPE_A_NAME)
    unreadable.reason = "web_page" if is_page else ""
    raise unreadable


def _json(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _models(listed: list[object], configuration: Configuration) -> Iterator[OfferedModel]:
    for each in listed:
        if not isinstance(each, Mapping) or not _chats(each.get("capabilities")):
            continue
        name = each.get("id")
        # A name that cannot be printed cannot be shown or typed.
        if isinstance(name, str) and len(name) <= _LONGEST_NAME and name.isprintable() and name.strip():
            yield OfferedModel(redacted(name, configuration), _day(each))


def _chats(capabilities: object) -> bool:
    """Whether a model chats: `chat_completion` on Azure, `completion_chat` at Mistral; True if it is not stated."""
    if not isinstance(capabilities, Mapping):
        return True
    stated = [capabilities[name] for name in ("chat_completion", "completion_chat") if name in capabilities]
    return not stated or True in stated


def _day(model: Mapping[str, object]) -> date | None:
    """Return the retirement date, None if it is not stated.

    | provider   | field                   | format    |
    | Azure      | `deprecation.inference` | Unix time | learn.microsoft.com/rest/api/azureopenai/models/list
    | Mistral    | `deprecation`           | ISO 8601  |
    | OpenRouter | `expiration_date`       | ISO 8601  |
    """
    stated = model.get("deprecation")
    stated = stated.get("inference") if isinstance(stated, Mapping) else stated or model.get("expiration_date")
    try:
        if isinstance(stated, int | float) and not isinstance(stated, bool) and stated > 0:
            return datetime.fromtimestamp(stated, UTC).date()
        if not isinstance(stated, str):
            return None
        moment = datetime.fromisoformat(stated)
        return (moment.astimezone(UTC) if moment.tzinfo else moment).date()
    except (ValueError, OverflowError, OSError):
        return None
