"""Turns what the SDK, the network and a provider say into a `ConnectorError` with a sentence for the user.

The bodies are those that OpenAI and Azure document in their error guides and that their users report; where a provider
words it in its own way, its message is shown, redacted, behind ours.
"""

import math
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx2
import openai

from connector.account import Account, ApiType
from connector.chat_completions import filtered_categories
from connector.configuration import Configuration
from connector.errors import (
    AccessDenied,
    ConnectionFailed,
    ConnectorError,
    ContentFiltered,
    KeyRefused,
    NoAnswerInTime,
    NotFoundAtProvider,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RequestRefused,
    UnreadableAnswer,
)

_NO_QUOTA = {"insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached", "billing_not_active"}
LONG_ENOUGH = 20
"""Characters of a prompt that are taken for it; fewer may be any word."""
_A_MONTH = 30 * 86_400.0
_UNSUPPORTED_CODES = {"unsupported_parameter", "unsupported_value", "invalid_value"}
_PASSING = {408, 409, 429, 500, 502, 503, 504}
# OpenAI's refusal of a limit that a reasoning model used up before it answered: the model exists and works.
_THINKING_LIMIT = "output limit was reached"
# OpenAI's wordings for a model that exists but is not a chat model.
_NOT_A_CHAT_MODEL = r"not a chat model|only supported in v1/|not supported in the v1/chat"
_LOOKS_LIKE_A_KEY = re.compile(r"\b(sk-|Bearer\s+|eyJ)[\w.*+/=-]{6,}")


def explain(
    failure: Exception, configuration: Configuration, model: str, prompts: Sequence[str] = ()
) -> ConnectorError:
    """The error to raise for whatever a call failed with. Holds nothing of `failure` but redacted words.

    `prompts` are the texts that were sent: words of a provider that repeat one are not quoted.
    """
    if isinstance(failure, ConnectorError):
        return failure
    if isinstance(failure, openai.APIStatusError):
        return explain_status(
            failure.status_code,
            failure.body,
            configuration,
            model,
            request_id=failure.request_id or failure.response.headers.get("apim-request-id"),
            retry_after=retry_after_of(failure.response.headers),
            prompts=prompts,
        )
    host = host_of(configuration)
    causes = _chain(failure)
    if any(isinstance(cause, httpx2.PoolTimeout) for cause in causes):
        return NoAnswerInTime(
            "Too many answers are being waited for or were left unread: no connection became free in time. Try again."
        )
    if any(isinstance(cause, httpx2.DecodingError) for cause in causes):
        return unreadable("", configuration)
    if any(isinstance(cause, openai.APITimeoutError | httpx2.TimeoutException) for cause in causes):
        if any(isinstance(cause, httpx2.ConnectTimeout) for cause in causes):
            failed = ConnectionFailed(f"{host} could not be reached in time. Check the endpoint and the network.")
            failed.reason, failed.is_retryable = "timeout", True
            return failed
        return NoAnswerInTime(f"{host} did not go on answering in time. Try again, or ask for a shorter answer.")
    reason, sentence = _why_not_reached(causes, host)
    failed = ConnectionFailed(sentence)
    failed.reason, failed.is_retryable = reason, _is_passing(causes)
    return failed


def _is_passing(causes: list[BaseException]) -> bool:
    """Not connected, and not for a reason that stays: a certificate that is not trusted, a name that does not exist."""
    stays = any(
        isinstance(cause, ssl.SSLError) or (isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN)
        for cause in causes
    )
    return not stays and any(isinstance(cause, httpx2.ConnectError) for cause in causes)


def _why_not_reached(causes: list[BaseException], host: str) -> tuple[str, str]:
    """The reason in one word, and the sentence."""
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "certificate", (
                f"The certificate of {host} is not trusted. Check the address; behind a company proxy, its "
                "certificate has to be known to this machine."
            )
        if isinstance(cause, ssl.SSLError):
            return "no_tls", (
                f"{host} does not speak https at this port. Check whether the endpoint starts with http://."
            )
        if isinstance(cause, socket.gaierror):
            return "name", f"The host {host} was not found. Check the endpoint for a typing mistake, and the network."
        if isinstance(cause, ConnectionRefusedError):
            return "refused", (
                f"Nothing answers at {host}. Check the port in the endpoint, and whether the server is running."
            )
    if any(isinstance(cause, httpx2.RemoteProtocolError | httpx2.ReadError | httpx2.WriteError) for cause in causes):
        return "lost", f"The connection to {host} was lost before the answer was complete. Try again."
    return "other", f"{host} could not be reached. Check the endpoint and the network."


def explain_status(
    status: int | None,
    body: object,
    configuration: Configuration,
    model: str,
    *,
    request_id: str | None = None,
    retry_after: float | None = None,
    prompts: Sequence[str] = (),
) -> ConnectorError:
    """The error for what a provider answered instead of a completion.

    `body` is the content of its `error` field, or whatever else it sent; `status` is None inside a stream.
    """
    error = _error_for(status, body, configuration, model, request_id, retry_after, prompts)
    error.reason = _reason_of(error)
    error.retry_after = retry_after
    error.is_retryable = status in _PASSING and not isinstance(error, QuotaExceeded | ContentFiltered)
    return error


def _error_for(
    status: int | None,
    body: object,
    configuration: Configuration,
    model: str,
    request_id: str | None,
    retry_after: float | None,
    prompts: Sequence[str],
) -> ConnectorError:
    said = body if isinstance(body, Mapping) else {}
    inner = said.get("error")
    said = inner if isinstance(inner, Mapping) else said
    # A provider may repeat what it was sent in any of its words.
    code = redacted(said.get("code") or said.get("type"), configuration)
    if status is None and re.fullmatch(r"[45]\d\d", code):
        status = int(code)  # vLLM and OpenRouter say it there when the stream has begun
    words = _words(body, said)
    repeats = any(prompt.strip()[:LONG_ENOUGH] in words for prompt in prompts if len(prompt.strip()) >= LONG_ENOUGH)
    message = "" if repeats else redacted(words, configuration)
    refused, supported = _what_is_refused(status, code, redacted(words, configuration), said.get("param"))
    facts: dict[str, Any] = {
        "status": status,
        "code": code or None,
        "param": redacted(said.get("param"), configuration) or None,
        "request_id": redacted(request_id, configuration) or None,
        "provider_message": message,
        "refused": refused,
        "supported": supported,
    }
    model = redacted(model, configuration)
    host = host_of(configuration)
    is_azure = configuration.api_type is ApiType.AZURE_OPENAI

    if code == "content_filter":
        categories = {
            redacted(name, configuration): redacted(severity, configuration)
            for name, severity in _filtered_categories(said).items()
        }
        found = ", ".join(f"{name.replace('_', ' ')}: {severity}" for name, severity in categories.items())
        filtered = ContentFiltered(
            f"The content filter blocked this prompt{f' ({found})' if found else ''}. Rephrase it.", **facts
        )
        filtered.categories = categories
        return filtered
    if status == 401 or code == "invalid_api_key":
        owner = "this resource and has not expired" if is_azure else "this provider"
        return KeyRefused(
            f"{host} did not accept the key{_number(status)}. Check that it was copied completely and belongs to "
            f"{owner}.",
            **facts,
        )
    if code in _NO_QUOTA:
        return QuotaExceeded(
            f"The account at {host} has no credit or quota left{_number(status)}. Waiting does not help: check its "
            "billing and limits.",
            **facts,
        )
    if status == 429 or code in {"rate_limit_exceeded", "slow_down"}:
        wait = _in(retry_after) if retry_after else "in a moment"
        return RateLimited(
            f"{host} gets too many requests from this account{_number(status)}. Try again {wait}.", **facts
        )
    if status == 403:
        return AccessDenied(
            f"{host} knows the key but denies access (403): its region, network rules or permissions do not allow "
            f"this.{_quoted(message)}",
            **facts,
        )
    if status == 404 or code in {"model_not_found", "DeploymentNotFound"}:
        return NotFoundAtProvider(_what_was_not_found(code, model, host, is_azure=is_azure) + _quoted(message), **facts)
    if status is not None and 300 <= status < 400:
        return RequestRefused(
            f"{host} sends the request on to another address ({status}), which is not followed. Check the endpoint.",
            **facts,
        )
    if status is not None and status < 500:
        return RequestRefused(
            f"{host} refused the request ({status}).{_quoted(message) or ' It does not say why.'}", **facts
        )
    return ProviderUnavailable(
        f"{host} has a problem of its own{_number(status)}. Try again later.{_quoted(message)}", **facts
    )


def _reason_of(error: ConnectorError) -> str:
    """Return the cause in one of the words of `ConnectorError.reason`."""
    message = error.provider_message
    if _THINKING_LIMIT in message:
        return "thinking_limit"
    if error.code == "OperationNotSupported" or re.search(_NOT_A_CHAT_MODEL, message):
        return "not_a_chat_model"
    if isinstance(error, NotFoundAtProvider) or error.status == 405 or error.param == "model":
        if error.code == "DeploymentNotFound":
            return "no_deployment"
        is_about_model = error.code == "model_not_found" or error.param == "model"
        is_about_model = is_about_model or bool(re.search(r"\bmodel\b", message, re.IGNORECASE))
        return "no_model" if is_about_model else "no_address"
    return "api_version" if re.search(r"api.?version", message, re.IGNORECASE) else ""


def unreadable(content_type: str, configuration: Configuration, *, request_id: str | None = None) -> UnreadableAnswer:
    """The error for an answer with status 200 that is not a chat completion."""
    host = host_of(configuration)
    if "html" in content_type:
        page = UnreadableAnswer(
            f"{host} sent a web page instead of an answer. Check the endpoint; a sign-in page or a proxy may stand in "
            "front of it.",
            request_id=request_id,
        )
        page.is_web_page = True
        return page
    return UnreadableAnswer(
        f"{host} sent something that is not a chat completion. Check the endpoint.", request_id=request_id
    )


def _what_was_not_found(code: str, model: str, host: str, *, is_azure: bool) -> str:
    if is_azure and code == "DeploymentNotFound":
        return (
            f"There is no deployment “{model}” at {host} (404). Enter the deployment name, not the model name; a new "
            "deployment needs about five minutes."
        )
    if is_azure:
        return f"{host} does not have this address (404). Check the endpoint, the deployment name and the API version."
    if code == "model_not_found":
        return (
            f"The model “{model}” does not exist at {host}, or the key has no access to it (404). Choose another one."
        )
    return f"{host} does not have this address (404). Check the endpoint and the model “{model}”."


EFFORT_BESIDE_TOOLS = "reasoning_effort beside tools"
# The words are searched rather than the code: gateways often leave nothing but them.
_UNRECOGNIZED = r"Unrecognized request arguments? supplied: ([\w., ]+)"
_UNSUPPORTED = r"Unsupported (?:value|parameter): '([\w.\[\]]{1,60})'"
_ROLE = r"messages[.\[]{1,2}\d{1,6}\]?\.role"
_SUPPORTED = r"Supported values are: (.{1,200}?)(?:\.|$)"


def _what_is_refused(
    status: int | None, code: str, words: str, param: object
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The parameters that a 400 refuses, and the values that are taken instead; names only, none of the prompt.

    The wordings are OpenAI's and Azure's, as their users quote them: openai/openai-python#1724,
    pipecat-ai/pipecat#4043, lobehub/lobehub#9385, janhq/jan#4392.
    """
    if status != 400:
        return (), ()
    found = re.search(_SUPPORTED, words)
    supported = tuple(re.findall(r"'([\w.-]{1,30})'", found[1])) if found else ()
    param = param if isinstance(param, str) else ""
    role = re.search(_ROLE, param) or re.search(_ROLE, words)
    if role and (code in _UNSUPPORTED_CODES or "'system'" in words or "'developer'" in words):
        return (role[0],), supported
    if "tools" in words and "reasoning_effort" in (param, *re.findall(r"\w+", words)):
        if not supported or "none" in supported:
            return (EFFORT_BESIDE_TOOLS,), supported
        return ("reasoning_effort",), supported
    if found := re.search(_UNRECOGNIZED, words):
        return tuple(name.strip(" .") for name in found[1].split(",")), ()
    if found := re.search(_UNSUPPORTED, words):
        return (found[1],), supported
    return ((param,) if param and code in _UNSUPPORTED_CODES else ()), supported


def _words(body: object, said: Mapping[str, Any]) -> str:
    """What the provider says in words: as `message`, as FastAPI's `detail`, or bare. A web page is no words."""
    words = said.get("message") or said.get("detail") or said.get("error") or body
    return words if isinstance(words, str) and not words.lstrip().startswith("<") else ""


def _filtered_categories(said: Mapping[str, Any]) -> dict[str, str]:
    inner = said.get("innererror") or said.get("inner_error")
    inner = inner if isinstance(inner, Mapping) else {}
    return filtered_categories(inner.get("content_filter_result") or inner.get("content_filter_results"))


def redacted(words: object, configuration: Configuration) -> str:
    """A provider's words in one line of 300 characters at most, without what is or looks like a key."""
    message = str(words or "")
    key = configuration.api_key.get_secret_value()
    if len(key) >= 8:
        message = message.replace(key, "[key]")
    elif key:  # "x" or "token" on a local server: as a word, so that max_tokens stays what it is
        message = re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", "[key]", message)
    message = _LOOKS_LIKE_A_KEY.sub("[key]", message)
    message = " ".join(message.split())
    return message if len(message) <= 300 else message[:299] + "…"


def _in(seconds: float) -> str:
    whole = math.ceil(seconds)
    if whole > 90:
        return f"in {math.ceil(seconds / 60)} minutes"
    return "in 1 second" if whole == 1 else f"in {whole} seconds"


def _quoted(message: str) -> str:
    return f" It says: “{message}”" if message else ""


def _number(status: int | None) -> str:
    return f" ({status})" if status else ""


def host_of(account: Account) -> str:
    """How a provider is called in a sentence: its host, with the port where that is not the usual one."""
    scheme, _, authority = account.origin.partition("://")
    return authority.removesuffix(":443" if scheme == "https" else ":80")


def _chain(failure: BaseException) -> list[BaseException]:
    causes = [failure]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    return causes


def retry_after_of(headers: httpx2.Headers) -> float | None:
    """What Retry-After asks for: milliseconds, seconds or a date. None where it says nothing that lies ahead."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "")
        try:
            seconds = float(text) * unit
        except ValueError:
            seconds = _seconds_until(text)
        if 0 < seconds < _A_MONTH:
            return seconds
    return None


def _seconds_until(date: str) -> float:
    from email.utils import parsedate_to_datetime  # rarely needed, and not quick to import

    try:
        return (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):  # no date, or one without a zone
        return 0
