"""What a call cost, from its tokens: by a configuration's own prices, else by the list prices of `genai-prices`.

What is not known has no price, and never 0: a server that is on no list, a model that is not on its list, a call whose
tokens nobody told. The list is https://github.com/pydantic/genai-prices; it comes with the package, is as old as the
package, and asks no server.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from connector.chat_completions import ChatCompletionsResponse
from connector.errors import InvalidConfiguration
from connector.report import CallReport
from connector.value import Value

_Dollars = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]
_MILLION = 1_000_000


class Price(Value):
    """One's own prices, as a contract says; in US dollars per million tokens. Raises `InvalidConfiguration`."""

    invalid: ClassVar = InvalidConfiguration

    input: _Dollars = Field(title="Input", description="US dollars for a million tokens of the prompt.")
    output: _Dollars = Field(title="Output", description="US dollars for a million tokens of the answer.")
    cached_input: _Dollars | None = Field(
        default=None,
        title="Cached input",
        description="US dollars for a million tokens of the prompt that were cached. Empty: as any others.",
    )
    per_request: _Dollars = Field(
        default=0, title="Per request", description="US dollars for each request, beside its tokens."
    )
    since: date | None = Field(default=None, title="Since")
    """The day they were entered."""

    def of(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> Decimal:
        """US dollars for one request of so many tokens; the cached ones are part of the prompt's."""
        cached = min(cached_tokens, prompt_tokens)
        cached_input = self.input if self.cached_input is None else self.cached_input
        parts = (
            (prompt_tokens - cached, self.input),
            (cached, cached_input),
            (completion_tokens, self.output),
            (_MILLION, self.per_request),
        )
        # Through their texts: 0.1 is meant, not the binary number next to it.
        return sum((tokens * Decimal(str(price)) for tokens, price in parts), Decimal()) / _MILLION


@dataclass(frozen=True)
class Cost:
    """What a call cost, and by which price."""

    amount: Decimal
    """US dollars."""
    source: str
    """Whose price: `own price`, or the list with its version and the model on it."""
    day: date | None
    """The day whose list price it is; of an own price, the one it was entered."""

    def __str__(self) -> str:
        return f"{self.source}, {self.day}" if self.day else self.source


def cost_of(report: CallReport, own: Price | None = None) -> Cost | None:
    """What this call cost; `own` prices win. None where there is no price, or the tokens are unknown."""
    # Choices that were asked for one by one are as many requests, each with a price of its own.
    answers = report.parts or ((report.response,) if report.response else ())
    costs = [_cost_of_one(report, answer, own) for answer in answers]
    known = [cost for cost in costs if cost is not None]
    if not known or len(known) < len(costs):
        return None
    return Cost(sum((cost.amount for cost in known), Decimal()), known[0].source, known[0].day)


def tokens_of(usage: object, *path: str) -> int | None:
    """A number of tokens in the SDK's `Usage`, `"prompt_tokens_details", "cached_tokens"` say.

    None where the provider left it out, or sent something that is none.
    """
    for name in path:
        usage = getattr(usage, name, None)
    return usage if type(usage) is int and 0 <= usage < 2**31 else None


def _cost_of_one(report: CallReport, answer: ChatCompletionsResponse, own: Price | None) -> Cost | None:
    usage = answer.usage
    prompt, completion = tokens_of(usage, "prompt_tokens"), tokens_of(usage, "completion_tokens")
    if prompt is None or completion is None:
        return None
    if own is None:
        return _list_price(report, answer, prompt, completion)
    cached = tokens_of(usage, "prompt_tokens_details", "cached_tokens") or 0
    return Cost(own.of(prompt, completion, cached), "own price", own.since)


def cost_of_prompt(url: str, model: str, tokens: int, own: Price | None = None) -> Cost | None:
    """What a prompt of so many tokens will cost at this address, without the answer; None where there is no price."""
    if own is not None:
        return Cost(own.of(tokens, 0), "own price", own.since)
    return _listed(url, model, {"input_tokens": tokens}, datetime.now(UTC), None)


def context_window(url: str, model: str) -> int | None:
    """How many tokens this model takes in, by the list; None where it does not say."""
    from genai_prices.data_snapshot import get_snapshot

    try:
        provider = get_snapshot().find_provider(None, None, url)
    except LookupError:
        return None
    found = provider.find_model(model) if _is_at(url, provider.api_pattern) else None
    return found.context_window if found else None


def _list_price(
    report: CallReport, answer: ChatCompletionsResponse, prompt_tokens: int, completion_tokens: int
) -> Cost | None:
    # The model that answered: on Azure the one that was asked is the name of a deployment, which may be any.
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
    counts = {name: tokens_of(answer.usage, *path) for name, path in details.items()}
    counts |= {"input_tokens": prompt_tokens, "output_tokens": completion_tokens}
    known = {name: count for name, count in counts.items() if count}
    return _listed(report.url, model, known, report.started_at, tier if isinstance(tier, str) else None)


def _listed(url: str, model: str, counts: dict[str, int], at: datetime, tier: str | None) -> Cost | None:
    from genai_prices import Usage, calc_price  # 0.1 s, and not everybody asks
    from genai_prices.data_snapshot import get_snapshot

    try:
        provider = get_snapshot().find_provider(None, None, url)
        if not _is_at(url, provider.api_pattern):
            return None
        found = calc_price(
            Usage(**counts),
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
    """Whether the list's pattern covers the whole host: api.openai.com.example.org is another one."""
    match, parts = re.match(pattern, url), urlsplit(url)
    return match is not None and match.end() >= url.index(parts.netloc) + len(parts.hostname or "")
