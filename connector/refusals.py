"""Decides why a provider sent an error instead of a completion, and says so: one sentence and one advice per cause.

The error bodies are those that OpenAI and Azure document in their error guides and that their users report.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.account import Account, ApiType, KeyType
from connector.chat_completions import filtered_categories
from connector.configuration import Configuration
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
from connector.sentences import host_of, quoted, redacted
from connector.unsupported import unsupported_in

LONG_ENOUGH = 20
"""Characters of a prompt that identify it in a provider's text; fewer may be any word."""
_NO_QUOTA = {"insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached", "billing_not_active"}
_TRANSIENT = {408, 409, 429, 500, 502, 503, 504}
# OpenAI's refusal of a limit that a reasoning model used up before it answered: the model exists and works.
_THINKING_LIMIT = "output limit was reached"
# OpenAI's wordings for a model that exists but is not a chat model.
_NOT_A_CHAT_MODEL = r"not a chat model|only supported in v1/|not supported in the v1/chat"

# By the reason of an error, or by the kind of an error without a reason: what happened, and what to do.
_SENTENCES = {
    "not_a_chat_model": ("“{model}” is not a chat model.", "{choose_a_chat_model}"),
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
_ASK_ITS_ADMINISTRATOR = "Check the server's log, or ask its administrator."


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
    """Return the error for what a provider sent instead of a completion.

    `body` is the content of its `error` field, or whatever else it sent; `status` is None inside a stream. A text that
    repeats one of the `prompts` is not quoted.
    """
    refusal = _read(status, body, configuration, model, prompts)
    kind = next(kind for kind, applies in _KINDS if applies(refusal))
    reason = _reason_of(refusal, kind)
    sentence, advice = _sentences(reason or kind.kind, refusal, retry_after)
    unsupported = unsupported_in(refusal.status, refusal.code, refusal.words, refusal.param)
    error = kind(
        sentence,
        advice=advice,
        status=refusal.status,
        code=refusal.code or None,
        param=redacted(refusal.param, configuration) or None,
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
    error.is_retryable = status in _TRANSIENT and not isinstance(error, QuotaExceeded | ContentFiltered)
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
    """An error response. All of its texts are redacted, except `param`."""

    configuration: Configuration
    model: str
    status: int | None
    code: str
    param: object
    words: str
    """What the provider says."""
    message: str
    """The same, unless it repeats a prompt."""
    categories: Mapping[str, str]
    """What the content filter found, with its severity."""


def _read(
    status: int | None, body: object, configuration: Configuration, model: str, prompts: Sequence[str]
) -> _Refusal:
    content = body if isinstance(body, Mapping) else {}
    inner = content.get("error")
    content = inner if isinstance(inner, Mapping) else content
    # A provider may repeat what it was sent in any of these fields.
    code = redacted(content.get("code") or content.get("type"), configuration)
    if status is None and re.fullmatch(r"[45]\d\d", code):
        status = int(code)  # where vLLM and OpenRouter put the status of an error in a stream
    text = _text_of(body, content)
    words = redacted(text, configuration)
    categories = {
        redacted(name, configuration): redacted(severity, configuration)
        for name, severity in _categories_in(content).items()
    }
    return _Refusal(
        configuration=configuration,
        model=redacted(model, configuration),
        status=status,
        code=code,
        param=content.get("param"),
        words=words,
        message="" if _repeats_a_prompt(text, prompts) else words,
        categories=categories,
    )


def _text_of(body: object, content: Mapping[str, Any]) -> str:
    """Return the provider's message: in `message`, in FastAPI's `detail`, or the bare body. Empty for a web page."""
    text = content.get("message") or content.get("detail") or content.get("error") or body
    return text if isinstance(text, str) and not text.lstrip().startswith("<") else ""


def _repeats_a_prompt(text: str, prompts: Sequence[str]) -> bool:
    return any(prompt.strip()[:LONG_ENOUGH] in text for prompt in prompts if len(prompt.strip()) >= LONG_ENOUGH)


def _categories_in(content: Mapping[str, Any]) -> dict[str, str]:
    inner = content.get("innererror") or content.get("inner_error")
    inner = inner if isinstance(inner, Mapping) else {}
    return filtered_categories(inner.get("content_filter_result") or inner.get("content_filter_results"))


# -- the cause

# The first class whose condition applies.
_KINDS: tuple[tuple[type[ConnectorError], Callable[[_Refusal], bool]], ...] = (
    (ContentFiltered, lambda it: it.code == "content_filter"),
    (KeyRefused, lambda it: it.status == 401 or it.code == "invalid_api_key"),
    (QuotaExceeded, lambda it: it.code in _NO_QUOTA),
    (RateLimited, lambda it: it.status == 429 or it.code in {"rate_limit_exceeded", "slow_down"}),
    (AccessDenied, lambda it: it.status == 403),
    (NotFoundAtProvider, lambda it: it.status == 404 or it.code in {"model_not_found", "DeploymentNotFound"}),
    (RequestRefused, lambda it: it.status is not None and it.status < 500),
    (ProviderUnavailable, lambda it: True),
)
# Classes that name the cause themselves, whatever the provider says: Azure's rate limit mentions the API version.
_SELF_EXPLANATORY = (ContentFiltered, KeyRefused, QuotaExceeded, RateLimited)


def _reason_of(it: _Refusal, kind: type[ConnectorError]) -> str:
    """Return the cause in one of the words of `ConnectorError.reason`."""
    if kind in _SELF_EXPLANATORY:
        return ""
    if it.status is not None and 300 <= it.status < 400:
        return "redirect"
    if _THINKING_LIMIT in it.message:
        return "thinking_limit"
    if it.code == "OperationNotSupported" or re.search(_NOT_A_CHAT_MODEL, it.message):
        return "not_a_chat_model"
    if it.code == "DeploymentNotFound":
        return "no_deployment"
    if it.code == "model_not_found" or it.param == "model":
        return "no_model"
    if kind is NotFoundAtProvider or it.status == 405:
        return "no_model" if re.search(r"\bmodel\b", it.message, re.IGNORECASE) else "no_address"
    is_about_version = _is_dated(it.configuration) and re.search(r"api.?version", it.message, re.IGNORECASE)
    return "api_version" if is_about_version else ""


# -- the sentence and the advice


def _sentences(key: str, it: _Refusal, retry_after: float | None) -> tuple[str, str]:
    sentence, advice = _SENTENCES[key]
    if key == RequestRefused.kind and not it.message:
        sentence, advice = _SILENT_REFUSAL, _ASK_ITS_ADMINISTRATOR
    found = ", ".join(f"{name.replace('_', ' ')}: {severity}" for name, severity in it.categories.items())
    parts = {
        "host": host_of(it.configuration),
        "model": it.model,
        "status": f" ({it.status})" if it.status else "",
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
