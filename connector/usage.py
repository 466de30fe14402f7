"""Token counts of an answer, wherever a server states them, without counts that are impossible."""

from collections.abc import Mapping
from typing import Any

from openai.types import CompletionUsage
from openai.types.completion_usage import PromptTokensDetails

_MOST = 2**31 - 1
"""Tokens of one request; more is not possible, and no database column holds it."""
_CACHED = ("prompt_cache_hit_tokens", "cached_tokens")
_OTHER_NAMES = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "prompt_tokens_details": "input_tokens_details",
    "completion_tokens_details": "output_tokens_details",
}
"""The names of the responses API, which some gateways also use here."""
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


def counted(usage: CompletionUsage | None) -> CompletionUsage | None:
    """Return the counts that are charged; None if the provider reported no possible count.

    An impossible count (negative, a fraction, 10^30) is None. A missing one is calculated from the other two. Where the
    total is more than the sum, the answer's tokens are the total minus the prompt's: Gemini counts reasoning in the
    total only. Cached tokens are in `prompt_tokens_details`, also where the provider states them elsewhere.
    """
    prompt, completion, total = (tokens_of(usage, name) for name in _COUNTS)
    if usage is None or prompt is completion is total is None:
        return None
    if usage.prompt_tokens is None and completion is not None and total is not None and total >= completion:
        prompt = total - completion
    if prompt is not None and total is not None and total >= prompt + (completion or 0):
        completion = total - prompt if completion is not None or usage.completion_tokens is None else None
    if prompt is not None and completion is not None:
        total = prompt + completion
    details = _with_cached(usage, prompt)
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    return usage.model_copy(update={**counts, "prompt_tokens_details": details})


def tokens_of(usage: object, *path: str) -> int | None:
    """Return a number of tokens in a usage, for example at `"prompt_tokens_details", "cached_tokens"`.

    None if the provider did not send a possible number.
    """
    for name in path:
        usage = getattr(usage, name, None)
    return usage if type(usage) is int and 0 <= usage <= _MOST else None


def _with_cached(usage: CompletionUsage, prompt: int | None) -> PromptTokensDetails | None:
    """The details of the prompt, with the cached tokens that DeepSeek and Kimi state beside them."""
    details = usage.prompt_tokens_details
    if tokens_of(details, "cached_tokens"):
        return details
    cached = next((found for name in _CACHED if (found := tokens_of(usage, name))), None)
    if cached is None or (prompt is not None and cached > prompt):
        return details
    made = details if isinstance(details, PromptTokensDetails) else PromptTokensDetails()
    return made.model_copy(update={"cached_tokens": cached})


def usage_in(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the field `usage` of a complete answer or of a chunk, wherever it stands; empty if there is none.

    Some servers send it in a choice, Groq sends it in a field of its own.
    """
    choices = answer.get("choices")
    places = [answer, *(choices if isinstance(choices, list) else ()), answer.get("x_groq")]
    found = [place["usage"] for place in places if isinstance(place, dict) and isinstance(place.get("usage"), dict)]
    return {"usage": _with_usual_names(found[0])} if found else {}


def usage_of_event(event: object) -> dict[str, Any]:
    """Return the token counts that an event of a server's own consists of or contains; empty if there are none."""
    if not isinstance(event, dict):
        return {}
    usage = event.get("usage", event)
    is_usage = isinstance(usage, dict) and not {*_COUNTS, *_OTHER_NAMES.values()}.isdisjoint(usage)
    return usage if is_usage else {}


def _with_usual_names(usage: dict[str, Any]) -> dict[str, Any]:
    missing = {name: usage[other] for name, other in _OTHER_NAMES.items() if other in usage and not usage.get(name)}
    return {**usage, **missing}


def fuller(kept: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """Return the usage of two that one stream sent: the later counts, except those that are zero or missing in it.

    Some servers count the prompt at the beginning and the answer at the end.
    """
    new = _with_usual_names(new)
    if kept is None:
        return new
    merged = {**kept, **{name: value for name, value in new.items() if value or name not in kept}}
    if not new.get("total_tokens") and merged != kept:
        merged.pop("total_tokens", None)  # it does not count the new tokens
    return merged
