"""Decides why a provider sent an error instead of a completion, and says so: one sentence and one advice per cause.

The error bodies are those that OpenAI and Azure document in their error guides and that their users report.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from connector.account import Account, ApiType, KeyType
from connector.adaptation import Adaptation
from connector.configuration import Configuration
from connector.error_body import ErrorBody, read_error
from connector.errors import (
    AccessDenied,
    ConnectorError,
    ContentFiltered,
    KeyRefused,
    NotFoundAtProvider,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RequestRefused,
    UnreadableAnswer,
)
from connector.masking import NOTHING, Sent, masked
from connector.sentences import host_of, in_one_line, quoted, redacted
from connector.unsupported import THIS_API, TOOLS_IN_THIS_API, Unsupported, unsupported_in
from connector.wordings import (
    NO_KEY_SEEN,
    NO_RIGHTS,
    NOT_A_CHAT_MODEL,
    TOKEN_LIMIT_USED_UP,
    TOO_LARGE,
    WRONG_KEY,
    Wording,
    says,
)

_NO_QUOTA = {"insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached", "billing_not_active"}
_TRANSIENT = {408, 409, 429, 500, 502, 503, 504}

# By the reason of an error, or by the kind of an error without a reason: what happened, and what to do.
_SENTENCES = {
    "not_a_chat_model": ("“{model}” is not a chat model.", "{choose_a_chat_model}"),
    "other_api": ("“{model}” is offered in another API only{api}{status}.", "{choose_a_chat_model}"),
    "tools_in_other_api": (
        "“{model}” takes tools together with reasoning in another API only{api}{status}.",
        "Set the reasoning effort to none, do without the tools, or choose another model.",
    ),
    "no_deployment": (
        "There is no deployment “{model}” at {host}{status}.",
        "Enter the deployment name, which is not the model name. A new deployment needs about five minutes.",
    ),
    "no_model": (
        "There is no model “{model}” at {host}, or the key has no access to it{status}.",
        "Choose another model.",
    ),
    "no_address": ("{host} does not have this address{status}.", "{check_the_address}"),
    "api_version": ("{host} refused the API version{status}.", "Enter v1, or 2025-04-01-preview."),
    "redirect": (
        "{host} redirects calls to another address{status}.",
        "The redirect is not followed, because it would also send the key. Enter the address that it leads to.",
    ),
    "thinking_limit": (
        "The model used up its token limit before it answered.",
        "Raise the limit: the tokens that a model reasons with count towards it.",
    ),
    "too_large": (
        "This request alone is larger than what {host} allows in a minute{status}.",
        "Shorten the prompt or lower the token limit of the answer; waiting does not help.",
    ),
    "no_rights": (
        "{host} accepts the key, but not for this request{status}.",
        "Give the key or its owner the scope, role or subscription that is missing.",
    ),
    "no_key_seen": (
        "{host} did not find the key{status}.",
        "It reads the key from another header, for example Ocp-Apim-Subscription-Key.",
    ),
    "too_many_requests": (
        "{host} accepts no more requests for now{status}.",
        "Try again {wait}. If it happens again, ask for a higher limit.",
    ),
    "web_page": (
        "{host} returned a web page instead of an API response.",
        "Check the endpoint. If it is right, a sign-in page or a proxy may intercept the requests.",
    ),
    "no_choice": (
        "{host} sent an answer without a choice.",
        "Try again. If it happens again, check whether the server offers chat completions.",
    ),
    ContentFiltered.kind: ("The content filter blocked this prompt{found}.", "Rephrase it."),
    KeyRefused.kind: ("{host} did not accept the key{status}.", "{check_the_key}"),
    QuotaExceeded.kind: (
        "Key and model are right, but the account at {host} has no credit or quota left{status}.",
        "Check its billing and its limits; waiting does not help.",
    ),
    RateLimited.kind: (
        "Key and model are right, but the account at {host} has reached its rate limit{status}.",
        "Try again {wait}. If it happens again, raise the limit of the deployment or the account.",
    ),
    AccessDenied.kind: (
        "{host} denies access{status}.",
        "The cause is rarely the key itself: check its permissions or roles, the network rules and the region.",
    ),
    RequestRefused.kind: ("{host} refused the request{status}.", "Correct the part of the request that it names."),
    ProviderUnavailable.kind: (
        "{host} reports a server error{status}.",
        "Try again later; if the server is yours, check its log.",
    ),
    UnreadableAnswer.kind: (
        "{host} returned something that is not a chat completion.",
        "Check the path in the endpoint.",
    ),
}
_SILENT_REFUSAL = "{host} refused the request{status}. It does not say why."
_ASK_AGAIN = "It was not sent again: the provider has refused it before. Forget the limits of the model to send it."
_ASK_ITS_ADMINISTRATOR = "Check the server's log, or ask its administrator."


def explain_status(
    status: int | None,
    body: object,
    configuration: Configuration,
    model: str,
    *,
    request_id: str | None = None,
    retry_after: float | None = None,
    prompts: Sent = NOTHING,
) -> ConnectorError:
    """Return the error for what a provider sent instead of a completion.

    `body` is the content of its `error` field, or whatever else it sent; `status` is None inside a stream. It is read
    as it is; what is shown of it contains neither the key nor `prompts`, the texts of the request.
    """
    refusal = _read(status, body, configuration, model, prompts)
    kind = next(kind for kind, applies in _KINDS if applies(refusal))
    reason = _reason_of(refusal, kind)
    unsupported = refusal.unsupported
    api = unsupported.supported[0] if reason.endswith("other_api") else ""
    sentence, advice = _sentences(reason or kind.kind, refusal, retry_after, api)
    error = kind(
        sentence,
        advice=advice,
        status=refusal.status,
        code=refusal.shown(refusal.body.code) or None,
        param=refusal.shown(refusal.body.param) or None,
        request_id=redacted(request_id, configuration) or None,
        provider_message=refusal.message,
        refused=unsupported.refused,
        supported=unsupported.supported,
        only_default=unsupported.only_default,
    )
    if isinstance(error, ContentFiltered):
        error.categories = refusal.categories
    error.reason = reason
    error.retry_after = retry_after
    error.is_retryable = (
        status in _TRANSIENT and not isinstance(error, QuotaExceeded | ContentFiltered) and reason != "too_large"
    )
    return error


def needs_other_api(known: Adaptation, configuration: Configuration, model: str) -> RequestRefused:
    """Return the error for a request that is not sent, because an earlier refusal said that it needs another API."""
    reason = "other_api" if known.value is None else "tools_in_other_api"
    refusal = _Refusal(configuration, redacted(model, configuration), None, read_error(known.why), NOTHING)
    sentence, advice = _sentences(reason, refusal, None, api=known.instead or "")
    error = RequestRefused(sentence, advice=f"{advice} {_ASK_AGAIN}", provider_message=known.why)
    error.reason = reason
    return error


def unreadable(
    content_type: str, configuration: Configuration, *, request_id: str | None = None, reason: str = ""
) -> UnreadableAnswer:
    """Return the error for a response with status 200 that is not a chat completion. `reason`: `no_choice` or none."""
    reason = reason or ("web_page" if "html" in content_type else "")
    sentence, advice = _SENTENCES[reason or UnreadableAnswer.kind]
    error = UnreadableAnswer(sentence.format(host=host_of(configuration)), advice=advice, request_id=request_id)
    error.reason = reason
    return error


# -- what the provider sent


@dataclass(frozen=True)
class _Refusal:
    """An error response."""

    configuration: Configuration
    model: str
    """Without the key."""
    status: int | None
    body: ErrorBody
    """As it was sent: it decides how the request can be mended, and is not shown."""
    sent: Sent

    def shown(self, words: str) -> str:
        return redacted(words, self.configuration, self.sent)

    @cached_property
    def words(self) -> str:
        """What the provider says of its own: a repeated prompt says nothing about the cause."""
        return masked(self.body.words, self.configuration.api_key.get_secret_value(), self.sent)

    @property
    def message(self) -> str:
        """What the provider says, as it is shown."""
        return in_one_line(self.words)

    @cached_property
    def categories(self) -> dict[str, str]:
        """What the content filter found, with its severity, as it is shown."""
        return {self.shown(name): self.shown(severity) for name, severity in self.body.categories.items()}

    @cached_property
    def unsupported(self) -> Unsupported:
        return unsupported_in(self.status, self.body, self.sent.names)

    def mentions(self, pattern: str) -> bool:
        return bool(re.search(pattern, self.words, re.IGNORECASE))

    def says(self, wordings: tuple[Wording, ...]) -> bool:
        return says(wordings, self.words, self.status)


def _read(status: int | None, body: object, configuration: Configuration, model: str, sent: Sent) -> _Refusal:
    read = read_error(body)
    if status is None and re.fullmatch(r"[45]\d\d", read.code):
        status = int(read.code)  # where vLLM and OpenRouter put the status of an error in a stream
    return _Refusal(configuration, redacted(model, configuration), status, read, sent)


# -- the cause

# The first class whose condition applies.
_KINDS: tuple[tuple[type[ConnectorError], Callable[[_Refusal], bool]], ...] = (
    (ContentFiltered, lambda it: it.body.code == "content_filter"),
    (AccessDenied, lambda it: it.status == 401 and it.says(NO_RIGHTS)),
    (KeyRefused, lambda it: it.status == 401 or it.body.code == "invalid_api_key" or it.says(WRONG_KEY)),
    (QuotaExceeded, lambda it: it.body.code in _NO_QUOTA),
    (RequestRefused, lambda it: it.says(TOO_LARGE)),
    (RateLimited, lambda it: it.status == 429 or it.body.code in {"rate_limit_exceeded", "slow_down"}),
    (AccessDenied, lambda it: it.status == 403),
    (NotFoundAtProvider, lambda it: it.status == 404 or it.body.code in {"model_not_found", "DeploymentNotFound"}),
    (RequestRefused, lambda it: it.status is not None and it.status < 500),
    (ProviderUnavailable, lambda it: True),
)


def _reason_of(it: _Refusal, kind: type[ConnectorError]) -> str:
    """Return the cause in one of the words of `ConnectorError.reason`."""
    if kind in _SELF_EXPLANATORY:  # whatever the provider says: Azure's rate limit mentions the API version
        return _SELF_EXPLANATORY[kind](it)
    return next((reason for reason, applies in _REASONS if applies(it, kind)), "")


# By classes that name the cause themselves: a closer look at it.
_SELF_EXPLANATORY: dict[type[ConnectorError], Callable[[_Refusal], str]] = {
    ContentFiltered: lambda it: "",
    KeyRefused: lambda it: "no_key_seen" if it.says(NO_KEY_SEEN) else "",
    QuotaExceeded: lambda it: "",
    RateLimited: lambda it: "" if it.body.code else "too_many_requests",
}
# The first reason whose condition applies.
_REASONS: tuple[tuple[str, Callable[[_Refusal, type[ConnectorError]], bool]], ...] = (
    ("redirect", lambda it, kind: it.status is not None and 300 <= it.status < 400),
    ("too_large", lambda it, kind: it.says(TOO_LARGE)),
    ("no_rights", lambda it, kind: it.status == 401),
    ("thinking_limit", lambda it, kind: it.says(TOKEN_LIMIT_USED_UP)),
    ("other_api", lambda it, kind: THIS_API in it.unsupported.refused),
    ("tools_in_other_api", lambda it, kind: TOOLS_IN_THIS_API in it.unsupported.refused),
    ("not_a_chat_model", lambda it, kind: it.body.code == "OperationNotSupported" or it.says(NOT_A_CHAT_MODEL)),
    ("no_deployment", lambda it, kind: it.body.code == "DeploymentNotFound"),
    ("no_model", lambda it, kind: it.body.code == "model_not_found" or it.body.param == "model"),
    ("no_model", lambda it, kind: _is_nowhere(it, kind) and it.mentions(r"\bmodel\b")),
    ("no_address", lambda it, kind: _is_nowhere(it, kind)),
    ("api_version", lambda it, kind: _is_dated(it.configuration) and it.mentions(r"api.?version")),
)


def _is_nowhere(it: _Refusal, kind: type[ConnectorError]) -> bool:
    return kind is NotFoundAtProvider or it.status == 405


# -- the sentence and the advice


def _sentences(key: str, it: _Refusal, retry_after: float | None, api: str = "") -> tuple[str, str]:
    sentence, advice = _SENTENCES[key]
    if key == RequestRefused.kind and not it.message:
        sentence, advice = _SILENT_REFUSAL, _ASK_ITS_ADMINISTRATOR
    found = ", ".join(f"{name.replace('_', ' ')}: {severity}" for name, severity in it.categories.items())
    parts = {
        "host": host_of(it.configuration),
        "model": it.model,
        "status": f" ({it.status})" if it.status else "",
        "api": f", {api}" if api else "",
        "found": f" ({found})" if found else "",
        "wait": _in(retry_after) if retry_after else "in a minute",
        "check_the_key": check_the_key(it.configuration),
        "check_the_address": _check_the_address(it),
        "choose_a_chat_model": "Enter the deployment of a chat model."
        if it.configuration.api_type is ApiType.AZURE_OPENAI
        else "Choose a chat model.",
    }
    # The filter's own sentence only says that a prompt was blocked.
    quote = "" if key == ContentFiltered.kind else quoted(it.message)
    return sentence.format(**parts) + quote, advice.format(**parts)


def check_the_key(account: Account) -> str:
    """Return what to do about a key or token that was not accepted, or that is missing."""
    if account.key_type is not KeyType.API_KEY:
        return (
            f"A token lives for about an hour and has to be for {account.entra_scope}; its owner needs the role "
            "Cognitive Services OpenAI User."
        )
    if account.api_type is ApiType.AZURE_OPENAI:
        return "Copy the key again from Keys and Endpoint of this resource; each resource has its own keys."
    return "Copy the complete key again from the provider of this address."


def _check_the_address(it: _Refusal) -> str:
    if _is_dated(it.configuration):
        return (
            "Enter an API version that exists, for example 2024-10-21, or v1. "
            "Also check the deployment name, and that the address ends in .azure.com."
        )
    url = redacted(it.configuration.url, it.configuration)
    what = "deployment" if it.configuration.api_type is ApiType.AZURE_OPENAI else "model"
    name = f", and the {what} “{it.model}”" if it.model else ""
    return f"Calls go to {url}. Check the endpoint, which ends in /v1 for most servers{name}."


def _is_dated(account: Account) -> bool:
    return bool(account.sdk_arguments.api_version)


def _in(seconds: float) -> str:
    whole = math.ceil(seconds)
    if whole > 90:
        return f"in {math.ceil(seconds / 60)} minutes"
    return "in 1 second" if whole == 1 else f"in {whole} seconds"
