"""The cost of a call: what the provider reports, else its tokens by a configuration's own prices, else by the list of
`genai-prices`.

An unknown cost is None, never 0: the server or the model is not on the list, or the call reported no tokens. The list,
https://github.com/pydantic/genai-prices, is part of the installed package: it is as old as the package, and no server
is called.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from connector.chat_completions import ChatCompletionsResponse, Usage
from connector.errors import InvalidConfiguration
from connector.report import CallReport
from connector.usage import counted, tokens_of
from connector.value import Value

_Dollars = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]
_MILLION = 1_000_000
_MOST_DOLLARS = 100_000
"""For one call; a provider that reports more counts in another unit."""


class Price(Value):
    """Own prices, for example from a contract, in US dollars per million tokens. Raises `InvalidConfiguration`."""

    invalid: ClassVar = InvalidConfiguration

    input: _Dollars = Field(title="Input", description="US dollars for a million tokens of the prompt.")
    output: _Dollars = Field(title="Output", description="US dollars for a million tokens of the answer.")
    cached_input: _Dollars | None = Field(
        default=None,
        title="Cached input",
        description="US dollars for a million tokens of the prompt that were cached. Empty: the price of other tokens.",
    )
    per_request: _Dollars = Field(
        default=0, title="Per request", description="US dollars for each request, in addition to its tokens."
    )
    since: date | None = Field(default=None, title="Since")
    """The day on which they were entered."""

    def of(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> Decimal:
        """Return the US dollars for one request; `cached_tokens` are part of `prompt_tokens`."""
        cached = min(cached_tokens, prompt_tokens)
        cached_input = self.input if self.cached_input is None else self.cached_input
        parts = (
            (prompt_tokens - cached, self.input),
            (cached, cached_input),
            (completion_tokens, self.output),
            (_MILLION, self.per_request),
        )
        # Converted through text, so that 0.1 is exactly 0.1.
        return sum((tokens * Decimal(str(price)) for tokens, price in parts), Decimal()) / _MILLION


@dataclass(frozen=True)
class Cost:
    """The cost of a call, and the price that it is based on."""

    amount: Decimal
    """US dollars."""
    source: str
    """`reported by the provider`, `own price`, or the list with its version and the model on it."""
    day: date | None
    """The day of the list price; for an own price, the day on which it was entered."""

    def __str__(self) -> str:
        return f"{self.source}, {self.day}" if self.day else self.source


def cost_of(report: CallReport, own: Price | None = None) -> Cost | None:
    """Return the cost of this call: as the provider reported it, else by `own` prices if given, else by the list.

    None if there is no price or the tokens are unknown.
    """
    # Choices that were requested one by one are separate requests, each with its own cost.
    answers = report.parts or ((report.response,) if report.response else ())
    costs = [_cost_of_one(report, answer, own) for answer in answers]
    known = [cost for cost in costs if cost is not None]
    if not known or len(known) < len(costs):
        return None
    return Cost(sum((cost.amount for cost in known), Decimal()), known[0].source, known[0].day)


def _cost_of_one(report: CallReport, answer: ChatCompletionsResponse, own: Price | None) -> Cost | None:
    usage = counted(answer.usage)
    if (reported := _reported_cost(answer.usage)) is not None:
        return Cost(reported, "reported by the provider", report.started_at.date())
    prompt, completion = tokens_of(usage, "prompt_tokens"), tokens_of(usage, "completion_tokens")
    if usage is None or prompt is None or completion is None:
        return None
    if own is None:
        return _list_price(report, answer, usage, prompt, completion)
    cached = tokens_of(usage, "prompt_tokens_details", "cached_tokens") or 0
    return Cost(own.of(prompt, completion, cached), "own price", own.since)


def _reported_cost(usage: Usage | None) -> Decimal | None:
    """The US dollars that the provider states in its usage, as OpenRouter does; Perplexity states a `total_cost`."""
    cost = getattr(usage, "cost", None)
    cost = cost.get("total_cost") if isinstance(cost, Mapping) else cost
    if not _is_amount(cost):
        return None
    details = getattr(usage, "cost_details", None)
    upstream = details.get("upstream_inference_cost") if isinstance(details, Mapping) else None
    is_own_key = getattr(usage, "is_byok", None) is True  # OpenRouter, with a key of one's own at the model's provider
    return Decimal(str(cost)) + (Decimal(str(upstream)) if is_own_key and _is_amount(upstream) else 0)


def _is_amount(cost: object) -> bool:
    return isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost <= _MOST_DOLLARS


def cost_of_prompt(url: str, model: str, tokens: int, own: Price | None = None) -> Cost | None:
    """Return the cost of a prompt with so many tokens at this address, without the answer; None without a price."""
    if own is not None:
        return Cost(own.of(tokens, 0), "own price", own.since)
    return _listed(url, model, {"input_tokens": tokens}, datetime.now(UTC), None)


def context_window(url: str, model: str) -> int | None:
    """Return the model's context window in tokens, by the list; None if it is not listed."""
    from genai_prices.data_snapshot import get_snapshot

    try:
        provider = get_snapshot().find_provider(None, None, url)
    except LookupError:
        return None
    found = provider.find_model(model) if _is_at(url, provider.api_pattern) else None
    return found.context_window if found else None


def _list_price(
    report: CallReport, answer: ChatCompletionsResponse, usage: Usage, prompt_tokens: int, completion_tokens: int
) -> Cost | None:
    # The model that answered: on Azure, the requested one is a deployment, which can have any name.
    model, tier = getattr(answer, "model", None), getattr(answer, "service_tier", None)
    if not isinstance(model, str) or not model:
        return None
    details = {
        "cache_read_tokens": ("prompt_tokens_details", "cached_tokens"),
        "cache_write_tokens": ("prompt_tokens_details", "cache_write_tokens"),
        "input_audio_tokens": ("prompt_tokens_details", "audio_tokens"),
        "output_audio_tokens": ("completion_tokens_details", "audio_tokens"),
        "output_reasoning_tokens": ("completion_tokens_details", "reasoning_tokens"),
    }
    counts = {name: tokens_of(usage, *path) for name, path in details.items()}
    counts |= {"input_tokens": prompt_tokens, "output_tokens": completion_tokens}
    known = {name: count for name, count in counts.items() if count}
    return _listed(report.url, model, known, report.started_at, tier if isinstance(tier, str) else None)


def _listed(url: str, model: str, counts: dict[str, int], at: datetime, tier: str | None) -> Cost | None:
    import genai_prices  # takes 0.1 s, and not every program needs it
    from genai_prices.data_snapshot import get_snapshot

    try:
        provider = get_snapshot().find_provider(None, None, url)
        if not _is_at(url, provider.api_pattern):
            return None
        found = genai_prices.calc_price(
            genai_prices.Usage(**counts),
            model,
            provider_id=provider.id,
            genai_request_timestamp=at,
            price_context={"service_tier": tier} if tier else None,
        )
    except (LookupError, ValueError):  # not on the list; or counts that contradict each other
        return None
    source = f"genai-prices {version('genai-prices')}: {found.model.id} at {found.provider.name}"
    return Cost(found.total_price, source, at.date())


def _is_at(url: str, pattern: str) -> bool:
    """Whether the list's pattern covers the complete host: api.openai.com.example.org is another host."""
    match, parts = re.match(pattern, url), urlsplit(url)
    return match is not None and match.end() >= url.index(parts.netloc) + len(parts.hostname or "")
