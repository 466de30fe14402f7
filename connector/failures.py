"""Maps what the SDK and the network raise to a `ConnectorError`; `refusals` reads what a provider sends."""

import socket
import ssl
from datetime import UTC, datetime

import httpx2
import openai

from connector.configuration import Configuration
from connector.errors import ConnectionFailed, ConnectorError, NoAnswerInTime
from connector.masking import NOTHING, Sent
from connector.refusals import explain_status, unreadable
from connector.sentences import host_of

_A_MONTH = 30 * 86_400.0
# OpenSSL's numbers for certificate errors: expired, issued for another name, issued for another address.
_CERTIFICATE_ERRORS = {10: "expired", 62: "other_name", 64: "other_name"}
_LOST = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)
# By the reason of a `ConnectionFailed`: what happened, and what to do.
_SENTENCES = {
    "name": ("The host {host} was not found.", "Check the endpoint for typing errors, and the network."),
    "refused": ("Nothing answers at {host}.", "Check the port in the endpoint, and whether the server is running."),
    "certificate": (
        "The certificate of {host} is not trusted on this machine{why}.",
        "If the endpoint is right, make this machine trust the certificate of your proxy or server.",
    ),
    "expired": (
        "The certificate of {host} has expired.",
        "The server's administrator has to renew it. Also check the clock of this machine.",
    ),
    "other_name": (
        "The certificate does not match the host name {host}.",
        "Enter the endpoint with the host name that the certificate was issued for.",
    ),
    "no_tls": (
        "{host} does not speak https at this port.",
        "Enter the endpoint with http://, or another port.",
    ),
    "timeout": ("{host} could not be reached in time.", "Check the endpoint, the network and its firewalls."),
    "lost": (
        "The connection to {host} was lost before the answer was complete.",
        "Try again. If it happens again, check the server's own log.",
    ),
    "other": ("{host} could not be reached.", "Check the endpoint, the network and its firewalls."),
}


def explain(failure: Exception, configuration: Configuration, model: str, prompts: Sent = NOTHING) -> ConnectorError:
    """Return the error to raise for whatever a call failed with. Only redacted text of `failure` is in it.

    `prompts` are the texts of the request, which are not shown.
    """
    if isinstance(failure, ConnectorError):
        return failure
    if isinstance(failure, openai.APIStatusError):
        return explain_status(
            failure.status_code,
            _body_of(failure),
            configuration,
            model,
            request_id=failure.request_id or failure.response.headers.get("apim-request-id"),
            retry_after=retry_after_of(failure.response.headers),
            prompts=prompts,
        )
    causes = _chain(failure)
    if any(isinstance(cause, httpx2.DecodingError) for cause in causes):
        return unreadable("", configuration)
    return _no_answer_in_time(causes, configuration) or _connection_failed(causes, configuration)


def _body_of(failure: openai.APIStatusError) -> object:
    """Return the whole body: the SDK's own is only what is in its `error` field, if there is one."""
    try:
        return failure.response.text
    except httpx2.ResponseNotRead:
        return failure.body


def _no_answer_in_time(causes: list[BaseException], configuration: Configuration) -> NoAnswerInTime | None:
    if any(isinstance(cause, httpx2.PoolTimeout) for cause in causes):
        return NoAnswerInTime(
            "No connection became free in time: too many answers are being waited for or were left unread.",
            advice="Try again.",
        )
    is_timeout = any(isinstance(cause, openai.APITimeoutError | httpx2.TimeoutException) for cause in causes)
    if not is_timeout or any(isinstance(cause, httpx2.ConnectTimeout) for cause in causes):
        return None
    seconds = next((found for cause in causes if (found := _read_timeout(cause))), None)
    limit = f"for {seconds:g} s" if seconds else "for too long"
    return NoAnswerInTime(
        f"{host_of(configuration)} accepted the request but then sent nothing {limit}.",
        advice="Try again, or ask for a shorter answer. If it happens again, the server is overloaded or its model is "
        "still loading.",
    )


def _read_timeout(cause: BaseException) -> float | None:
    """Return the seconds after which reading was given up; None for other causes and where they are not known."""
    if not isinstance(cause, httpx2.ReadTimeout):
        return None
    try:
        seconds = cause.request.extensions["timeout"]["read"]
    except (RuntimeError, KeyError):  # raised outside of the HTTP client, which knows the request
        return None
    return float(seconds) if seconds else None


def _connection_failed(causes: list[BaseException], configuration: Configuration) -> ConnectionFailed:
    reason, why = _why_not_reached(causes)
    sentence, advice = _SENTENCES[reason]
    failed = ConnectionFailed(sentence.format(host=host_of(configuration), why=why), advice=advice)
    failed.reason = reason
    failed.is_retryable = reason == "timeout" or _is_transient(causes)
    return failed


def _is_transient(causes: list[BaseException]) -> bool:
    """Whether the connection could not be made for a reason that may pass: not for an untrusted certificate or a name
    that does not exist.
    """
    is_lasting = any(
        isinstance(cause, ssl.SSLError) or (isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN)
        for cause in causes
    )
    return not is_lasting and any(isinstance(cause, httpx2.ConnectError) for cause in causes)


def _why_not_reached(causes: list[BaseException]) -> tuple[str, str]:
    """Return the reason in one word, and OpenSSL's explanation of a certificate error."""
    if any(isinstance(cause, httpx2.ConnectTimeout) for cause in causes):
        return "timeout", ""
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _CERTIFICATE_ERRORS.get(cause.verify_code, "certificate"), f": {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "no_tls", ""
        if isinstance(cause, socket.gaierror):
            return "name", ""
        if isinstance(cause, ConnectionRefusedError):
            return "refused", ""
    return "lost" if any(isinstance(cause, _LOST) for cause in causes) else "other", ""


def _chain(failure: BaseException) -> list[BaseException]:
    causes = [failure]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    return causes


def retry_after_of(headers: httpx2.Headers) -> float | None:
    """Return the seconds that Retry-After states in milliseconds, seconds or as a date; None without a future time."""
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
    from email.utils import parsedate_to_datetime  # rarely needed, and slow to import

    try:
        return (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):  # no date, or one without a zone
        return 0
