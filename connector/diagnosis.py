"""Maps the error of a call to the step that failed, and adds what only an examination can find out."""

import re
from urllib.parse import urlsplit

import httpx2

from connector.errors import (
    AccessDenied,
    ConnectionFailed,
    ConnectorError,
    InvalidConfiguration,
    InvalidRequest,
    KeyRefused,
    NoAnswerInTime,
    ProviderUnavailable,
    UnreadableAnswer,
)
from connector.examination import Subject
from connector.finding import Finding, Step, a_failure
from connector.models import models_of
from connector.sentences import redacted

_SIGN_IN = r"(?<![a-z])(log[-_]?in|sign[-_]?in|o?auth2?|authorize|sso|saml2?)(?![a-z])"
# These errors show nothing about key and model.
NO_RESPONSE = (NoAnswerInTime, ConnectionFailed, ProviderUnavailable)
_STEP_OF_REASON = {
    "not_a_chat_model": Step.MODEL,
    "other_api": Step.MODEL,
    "no_deployment": Step.MODEL,
    "no_model": Step.MODEL,
    "no_route": Step.MODEL,
    "no_address": Step.API,
    "api_version": Step.VERSION,
}
_STEP_OF_CLASS = {
    UnreadableAnswer: Step.API,
    InvalidConfiguration: Step.KEY,
    KeyRefused: Step.KEY,
    AccessDenied: Step.KEY,
}


def diagnosis(subject: Subject, error: ConnectorError) -> Finding:
    """Return the step that an error belongs to, with the error's sentence and advice."""
    if isinstance(error, InvalidRequest):  # the doctor's own requests lack nothing but a model
        return a_failure(Step.MODEL, "No model is set.", f"Enter a default model.{_offered(subject, '')}")
    if error.reason == "redirect":
        return _redirected(subject, error)
    step = _STEP_OF_REASON.get(error.reason) or _STEP_OF_CLASS.get(type(error), Step.ANSWER)
    if error.reason == "no_address" and subject.is_dated:  # a dated API answers so to a version that it does not have
        step = Step.VERSION
    advice = error.advice
    if error.reason in ("no_model", "not_a_chat_model", "other_api"):
        advice += _offered(subject, subject.asked if error.reason == "no_model" else "")
    return a_failure(step, error.sentence, advice)


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


def _redirected(subject: Subject, error: ConnectorError) -> Finding:
    """Find out where calls are redirected to, with a request without key and prompt."""
    try:
        answer = subject.http_client.post(subject.configuration.url, **subject.brief_options())
        location = answer.headers["location"]
        target, here = urlsplit(redacted(location, subject.configuration)), urlsplit(subject.origin)
    except (httpx2.HTTPError, LookupError, ValueError):
        target = here = urlsplit("")
    is_elsewhere = bool(target.hostname) and target.hostname != here.hostname
    sentence, advice = error.sentence, error.advice
    if is_elsewhere:
        sentence = f"{subject.host} redirects calls to {target.hostname} ({error.status})."
    if re.search(_SIGN_IN, target.geturl().lower()):
        advice = "The API is behind a sign-in page. Ask for an address that accepts the key alone."
    if not is_elsewhere and (here.scheme, target.scheme) == ("http", "https"):
        advice = "Enter the address with https://."
    return a_failure(Step.API, sentence, advice)
