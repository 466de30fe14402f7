"""The models that a provider lists, asked for live, and the day from which each answers no more where that is told."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

import httpx2

from connector.client import signed_in
from connector.configuration import ApiType, Configuration
from connector.endpoint import read_endpoint
from connector.errors import ConnectorError, NotFoundAtProvider, UnreadableAnswer
from connector.failures import explain, explain_status, redacted
from connector.transport import shared_http_client

PATIENCE = httpx2.Timeout(10, connect=5)
"""Seconds; somebody looks on."""
_LONGEST = 10_000_000  # bytes of a list, and
_LATEST = 20  # seconds that it may take in all
_LONGEST_NAME = 200  # characters


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """One model that a provider lists."""

    name: str
    retires_on: date | None = None
    """The day from which it answers no more, in UTC. None: the provider does not tell."""


def models_of(
    configuration: Configuration,
    *,
    http_client: httpx2.Client | None = None,
    token: Callable[[], str] | None = None,
    timeout: httpx2.Timeout = PATIENCE,
) -> list[OfferedModel]:
    """What the provider lists at this moment, by name; on Azure the models that chat, which are no deployments.

    Any other name may work, too. Raises `ConnectorError`: `NotFoundAtProvider` where there is no such list.
    """
    configuration = signed_in(configuration, token)
    failure: ConnectorError
    try:
        status, content_type, content = _get(configuration, http_client or shared_http_client(), timeout)
    except httpx2.HTTPError as error:
        failure = explain(error, configuration, "")
    else:
        if status == 200:
            return _read(content, content_type, configuration)
        failure = _refusal(status, content, configuration)
    raise failure


def _get(configuration: Configuration, http_client: httpx2.Client, timeout: httpx2.Timeout) -> tuple[int, str, bytes]:
    """Status, content type and content. Redirects are not followed: the key would go along."""
    deadline = time.monotonic() + _LATEST
    content = bytearray()
    headers = {"accept": "application/json", **configuration.authorisation}
    with http_client.stream(
        "GET", address_of_models(configuration), headers=headers, timeout=timeout, follow_redirects=False
    ) as response:
        for piece in response.iter_bytes():
            content += piece
            if len(content) > _LONGEST or time.monotonic() > deadline:
                content.clear()  # nobody's list of models
                break
        return response.status_code, response.headers.get("content-type", ""), bytes(content)


def address_of_models(configuration: Configuration) -> str:
    """Where the list is: beside the chat completions, on a dated version of Azure beside all deployments."""
    url, _, query = configuration.url.partition("?")
    if configuration.api_type is ApiType.AZURE_OPENAI and query:
        return f"{read_endpoint(configuration.endpoint).azure_root}/openai/models?{query}"
    return f"{url.removesuffix('/chat/completions')}/models"


def _refusal(status: int, content: bytes, configuration: Configuration) -> ConnectorError:
    if status == 404 or 300 <= status < 400:
        host = urlsplit(configuration.url).hostname
        return NotFoundAtProvider(f"{host} does not list its models ({status}). Any name can be typed.", status=status)
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    return explain_status(status, body.get("error", body) if isinstance(body, dict) else body, configuration, "")


def _read(content: bytes, content_type: str, configuration: Configuration) -> list[OfferedModel]:
    try:
        found = json.loads(content)
        listed = found["data"] if isinstance(found, dict) else found  # some send the list alone
        models = {each.name: each for each in _models(listed, configuration)}
    except (ValueError, LookupError, TypeError, RecursionError):
        models = None
    if models is None:
        what = "a web page" if "html" in content_type else "something that is no list of models"
        host = urlsplit(configuration.url).hostname
        raise UnreadableAnswer(f"{host} sent {what}. Any name of a model can be typed.")
    return [models[name] for name in sorted(models)]


def _models(listed: object, configuration: Configuration) -> Iterator[OfferedModel]:
    if not isinstance(listed, list):
        raise TypeError("no list")
    for each in listed:
        if not isinstance(each, Mapping):
            continue
        name, capabilities = each.get("id"), each.get("capabilities")
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
            continue
        # Azure tells what a model is for; where nobody tells, its name is no reason to leave it out.
        if isinstance(capabilities, Mapping) and capabilities.get("chat_completion", True) is False:
            continue
        yield OfferedModel(redacted(name, configuration), _day(each))


def _day(model: Mapping[str, object]) -> date | None:
    """Azure: `deprecation.inference`, a Unix time (learn.microsoft.com/rest/api/azureopenai/models/list). Mistral:
    `deprecation`, OpenRouter: `expiration_date`, both as ISO 8601.
    """
    told = model.get("deprecation")
    told = told.get("inference") if isinstance(told, Mapping) else told or model.get("expiration_date")
    try:
        if isinstance(told, int | float) and not isinstance(told, bool) and told > 0:
            return datetime.fromtimestamp(told, UTC).date()
        return date.fromisoformat(told[:10]) if isinstance(told, str) else None
    except (ValueError, OverflowError, OSError):
        return None
