"""Maps the error of a call to the step that failed, with advice."""

import re
from urllib.parse import urlsplit

import httpx2

from connector.account import KeyType
from connector.errors import (
    AccessDenied,
    ConnectionFailed,
    ConnectorError,
    InvalidConfiguration,
    InvalidRequest,
    KeyRefused,
    NoAnswerInTime,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    UnreadableAnswer,
)
from connector.examination import Subject
from connector.failures import redacted
from connector.finding import Finding, Step, a_failure
from connector.models import models_of

_SIGN_IN = r"(?<![a-z])(log[-_]?in|sign[-_]?in|o?auth2?|authorize|sso|saml2?)(?![a-z])"
# These errors show nothing about key and model.
NO_RESPONSE = (NoAnswerInTime, ConnectionFailed, ProviderUnavailable)
# Errors that need no further look; `{seconds}` is the read timeout.
DIAGNOSES: dict[type[ConnectorError], tuple[Step, str, str]] = {
    AccessDenied: (
        Step.KEY,
        "{host} denies access (403).",
        "The cause is rarely the key itself: check its permissions or roles, the network rules and the region.",
    ),
    QuotaExceeded: (
        Step.ANSWER,
        "Key and model are right, but the account has no credit or quota left.",
        "Check its billing and its limits; waiting does not help.",
    ),
    RateLimited: (
        Step.ANSWER,
        "Key and model are right, but the account has reached its rate limit (429).",
        "Test again in a minute. If it happens again, raise the limit of the deployment or the account.",
    ),
    NoAnswerInTime: (
        Step.ANSWER,
        "{host} accepted the request but did not answer within {seconds} s.",
        "Test again. If it happens again, the server is overloaded or its model is still loading.",
    ),
    ConnectionFailed: (
        Step.ANSWER,
        "{host} closed the connection without answering.",
        "Check the server's own log; the connection to it works.",
    ),
    ProviderUnavailable: (
        Step.ANSWER,
        "{host} has a problem of its own{status}.",
        "Test again later; if the server is yours, check its log.",
    ),
}


def diagnosis(subject: Subject, error: ConnectorError) -> Finding:
    """Return the step that an error belongs to, and what to change."""
    said = error.provider_message
    quoted = f" It says: “{said}”" if said else ""
    if isinstance(error, InvalidRequest):
        return a_failure(Step.MODEL, "No model is set.", f"Enter a default model.{_offered(subject, '')}")
    if error.status is not None and 300 <= error.status < 400:
        return _redirected(subject, error.status)
    if isinstance(error, UnreadableAnswer):
        return _no_api(subject, is_page=error.is_web_page)
    status = f" ({error.status})" if error.status else ""
    if isinstance(error, InvalidConfiguration) or (isinstance(error, KeyRefused) and not subject.reports[-1].attempts):
        return a_failure(Step.KEY, str(error), _about_the_key(subject))  # no token, so nothing was sent
    if isinstance(error, KeyRefused):
        return a_failure(Step.KEY, f"{subject.host} did not accept the key{status}.{quoted}", _about_the_key(subject))
    if error.reason == "not_a_chat_model":
        advice = "Enter the deployment of a chat model." if subject.is_azure else "Choose a chat model."
        return a_failure(Step.MODEL, f"“{subject.asked}” is not a chat model.{quoted}", advice + _offered(subject, ""))
    if error.reason in ("no_deployment", "no_model", "no_address"):
        return _not_found(subject, error, quoted)
    if subject.is_dated and error.reason == "api_version":
        return a_failure(Step.VERSION, f"The API version was refused.{quoted}", "Enter v1, or 2025-04-01-preview.")
    for kind, (step, sentence, advice) in DIAGNOSES.items():
        if isinstance(error, kind):
            words = {"host": subject.host, "seconds": f"{subject.timeout.read or 0:g}", "status": status}
            return a_failure(step, sentence.format(**words) + quoted, advice)
    advice = (
        "Correct the part of the request that it names."
        if said
        else "Check the server's log, or ask its administrator."
    )
    return a_failure(Step.ANSWER, f"The request was refused.{quoted or f' {error}'}", advice)


def _no_api(subject: Subject, *, is_page: bool) -> Finding:
    if is_page:
        return a_failure(
            Step.API,
            f"{subject.host} returned a web page instead of an API response.",
            "Check the address. If it is right, a sign-in page or a proxy may intercept the requests.",
        )
    sentence = f"{subject.host} returned something that is not a chat completion."
    return a_failure(Step.API, sentence, "Check the path in the address.")


def _about_the_key(subject: Subject) -> str:
    key_type = subject.configuration.key_type
    if key_type is KeyType.API_KEY and subject.is_azure:
        return "Copy the key again from Keys and Endpoint of this resource; each resource has its own keys."
    if key_type is KeyType.API_KEY:
        return "Copy the complete key again from the provider of this address."
    scope = subject.configuration.entra_scope
    return (
        f"A token lives for about an hour and has to be for {scope}; its owner needs the role "
        "Cognitive Services OpenAI User."
    )


def _not_found(subject: Subject, error: ConnectorError, quoted: str) -> Finding:
    if error.reason == "no_deployment":
        return a_failure(
            Step.MODEL,
            f"There is no deployment “{subject.asked}” at {subject.host}.",
            "Enter the deployment name, which is not the model name. A new deployment needs about five minutes.",
        )
    if error.reason == "no_model":
        return a_failure(
            Step.MODEL,
            f"There is no model “{subject.asked}” at {subject.host}, or the key has no access to it."
            + (quoted if error.code != "model_not_found" else ""),
            f"Choose another model.{_offered(subject, subject.asked)}",
        )
    sentence = f"{subject.host} does not have this address ({error.status or 404}).{quoted}"
    if subject.is_dated:
        advice = (
            "Enter an API version that exists, for example 2024-10-21, or v1. "
            "Also check that the address ends in .azure.com."
        )
        return a_failure(Step.VERSION, sentence, advice)
    url = subject.configuration.url
    return a_failure(
        Step.API, sentence, f"Calls go to {url}. Check the path; the addresses of most servers end in /v1."
    )


def _offered(subject: Subject, asked: str) -> str:
    """A sentence with the models of the server that are nearest to the requested one; empty where it lists none."""
    from difflib import get_close_matches  # rarely needed

    if subject.is_azure:  # Azure lists models, which are not deployments; it lists deployments to administrators only
        return ""
    try:
        models = models_of(subject.configuration, http_client=subject.http_client, timeout=subject.brief)
    except ConnectorError:
        return ""
    names = [each.name for each in models]
    near = get_close_matches(asked, names, n=5) or names[:5]
    return f" This server has {', '.join(near)}{', and others' if len(names) > len(near) else ''}." if near else ""


def _redirected(subject: Subject, status: int) -> Finding:
    """Find out where calls are redirected to, with a request without key and prompt."""
    try:
        answer = subject.http_client.post(subject.configuration.url, **subject.brief_options())
        location = answer.headers["location"]
        target, here = urlsplit(redacted(location, subject.configuration)), urlsplit(subject.origin)
    except (httpx2.HTTPError, LookupError, ValueError):
        target = here = urlsplit("")
    is_elsewhere = bool(target.hostname) and target.hostname != here.hostname
    sentence = f"{subject.host} redirects calls to {target.hostname if is_elsewhere else 'another address'} ({status})."
    if not is_elsewhere and (here.scheme, target.scheme) == ("http", "https"):
        return a_failure(Step.API, sentence, "Enter the address with https://.")
    if re.search(_SIGN_IN, target.geturl().lower()):
        advice = "The API is behind a sign-in page. Ask for an address that accepts the key alone."
        return a_failure(Step.API, sentence, advice)
    advice = "The redirect is not followed, because it would also send the key. Enter the address that it leads to."
    return a_failure(Step.API, sentence, advice)
