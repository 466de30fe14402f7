"""What an examination finds: its steps, how each went, and the words for what is told in the same way everywhere."""

from dataclasses import dataclass
from enum import StrEnum

from connector.errors import (
    AccessDenied,
    ConnectionFailed,
    ConnectorError,
    NoAnswerInTime,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
)


class Step(StrEnum):
    """What is looked at, in this order."""

    ADDRESS = "Address"
    NAME = "Host name"
    CONNECTION = "Connection"
    CERTIFICATE = "Certificate"
    API = "API, no redirect, no web page"
    KEY = "Key"
    MODEL = "Deployment or model"
    VERSION = "API version"
    ANSWER = "Answer"
    STREAMING = "Streaming with usage"
    JSON_SCHEMA = "JSON of a schema"
    TOOLS = "Tools"


class State(StrEnum):
    """How it went. After a failure nothing more is looked at."""

    PASSED = "passed"
    LIMITED = "limited"
    """It works, but something does not, or should be otherwise."""
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """One step: how it went, what was seen, and what to change; no key is in it."""

    step: Step
    state: State
    sentence: str
    advice: str = ""
    """Empty where there is nothing to change."""


def a_pass(step: Step, sentence: str) -> Finding:
    return Finding(step, State.PASSED, sentence)


def a_failure(step: Step, sentence: str, advice: str) -> Finding:
    return Finding(step, State.FAILED, sentence, advice)


BEHIND_A_PROXY = "If this machine reaches the internet through a proxy only, set OUTGOING_PROXY."
# By the reason of a `ConnectionFailed`.
OBSTACLES: dict[str, tuple[Step, str, str]] = {
    "name": (Step.NAME, "The host {host} was not found.", f"Look for a typing mistake in it. {BEHIND_A_PROXY}"),
    "refused": (
        Step.CONNECTION,
        "Nothing answers at {host}.",
        "Check the port in the address and whether the server is running; and OUTGOING_PROXY, if it is set.",
    ),
    "timeout": (
        Step.CONNECTION,
        "{host} could not be reached.",
        f"Check the network and its firewalls. {BEHIND_A_PROXY}",
    ),
    "certificate": (
        Step.CERTIFICATE,
        "The certificate of {host} is not trusted on this machine{why}.",
        "If the address is right: a company's proxy, or a server of one's own, needs its certificate in "
        "OUTGOING_CA_FILE.",
    ),
    "expired": (
        Step.CERTIFICATE,
        "The certificate of {host} is not valid any more.",
        "Whoever runs the server has to renew it. Is the clock of this machine right?",
    ),
    "other_name": (
        Step.CERTIFICATE,
        "The certificate is one for another name than {host}.",
        "Enter the address by the name that the certificate was made for.",
    ),
    "no_tls": (
        Step.CERTIFICATE,
        "{host} does not speak https at this port.",
        "Enter the address with http://, or another port.",
    ),
}
# As OpenSSL numbers what is wrong with a certificate: expired, and for another name or address.
WRONG_WITH_CERTIFICATE = {10: "expired", 62: "other_name", 64: "other_name"}
# Nothing is known of key and model after these.
NO_WORD = (NoAnswerInTime, ConnectionFailed, ProviderUnavailable)
# What is told in the same words everywhere; `{seconds}` is how long an answer was waited for.
DIAGNOSES: dict[type[ConnectorError], tuple[Step, str, str]] = {
    AccessDenied: (
        Step.KEY,
        "{host} denies access (403).",
        "It is rarely the key itself: look at its permissions or roles, at the network rules, and at the region.",
    ),
    QuotaExceeded: (
        Step.ANSWER,
        "Key and model are right, but the account has no credit or quota left.",
        "Check its billing and its limits; waiting does not help.",
    ),
    RateLimited: (
        Step.ANSWER,
        "Key and model are right, but the account gets too many requests just now (429).",
        "Test again in a minute. If it stays, raise the limit of the deployment or the account.",
    ),
    NoAnswerInTime: (
        Step.ANSWER,
        "{host} took the question and did not answer within {seconds} s.",
        "Test again; if it stays, the server is overloaded, or its model is still being loaded.",
    ),
    ConnectionFailed: (
        Step.ANSWER,
        "{host} hung up on the question.",
        "Look into the server's own log: the way there is fine.",
    ),
    ProviderUnavailable: (
        Step.ANSWER,
        "{host} has a problem of its own{status}.",
        "Test again later; if the server is yours, look into its log.",
    ),
}
