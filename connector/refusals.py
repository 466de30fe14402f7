"""Makes the errors for what a provider sends instead of a completion: one sentence and one advice per cause."""

import math

from connector.account import Account, ApiType, KeyType
from connector.adaptation import Adaptation
from connector.configuration import Configuration
from connector.error_body import read_error
from connector.errors import (
    AccessDenied,
    ConnectorError,
    ContentFiltered,
    KeyRefused,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RequestRefused,
    UnreadableAnswer,
)
from connector.masking import NOTHING, Sent
from connector.refusal import Refusal, is_dated, refusal_of
from connector.sentences import host_of, quoted, redacted
from connector.token_limit import token_limit_in

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
    "no_route": (
        "{host} knows nobody who offers “{model}” with all that this request needs{status}.",
        "Choose another model, leave out what it names, such as tools, or allow more providers in the settings of your "
        "account there (routing, data policy).",
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
    refusal = refusal_of(status, body, configuration, model, prompts)
    unsupported, reason = refusal.unsupported, refusal.reason
    api = unsupported.supported[0] if reason.endswith("other_api") else ""
    sentence, advice = _sentences(reason or refusal.kind.kind, refusal, retry_after, api)
    error = refusal.kind(
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
    refusal = Refusal(configuration, redacted(model, configuration), None, read_error(known.why), NOTHING)
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


# -- the sentence and the advice


def _sentences(key: str, it: Refusal, retry_after: float | None, api: str = "") -> tuple[str, str]:
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
    return sentence.format(**parts) + quote + _limit(it), advice.format(**parts)


def _limit(it: Refusal) -> str:
    """A sentence with the limit on tokens, where what is shown of the provider's words does not state it."""
    if it.token_limit is None or it.token_limit == token_limit_in(it.message):
        return ""
    what = "The limit of the prompt is" if it.token_limit.is_for_the_prompt else "The context window is"
    return f" {what} {it.token_limit.tokens} tokens."


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


def _check_the_address(it: Refusal) -> str:
    if is_dated(it.configuration):
        return (
            "Enter an API version that exists, for example 2024-10-21, or v1. "
            "Also check the deployment name, and that the address ends in .azure.com."
        )
    url = redacted(it.configuration.url, it.configuration)
    what = "deployment" if it.configuration.api_type is ApiType.AZURE_OPENAI else "model"
    name = f", and the {what} “{it.model}”" if it.model else ""
    return f"Calls go to {url}. Check the endpoint, which ends in /v1 for most servers{name}."


def _in(seconds: float) -> str:
    whole = math.ceil(seconds)
    if whole > 90:
        return f"in {math.ceil(seconds / 60)} minutes"
    return "in 1 second" if whole == 1 else f"in {whole} seconds"
