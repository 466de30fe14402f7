"""What a call cost, from its tokens: by a configuration's own prices, else by the list prices of `genai-prices`.

What is not known has no price, and never 0: a server that is on no list, a model that is not on its list, a call whose
tokens nobody told. The list is https://github.com/pydantic/genai-prices; it comes with the package, is as old as the
package, and asks no server.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib.metadata import version
from typing import Annotated, Any, ClassVar

from pydantic import Field

from connector.client import CallReport
from connector.errors import InvalidConfiguration
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

    def of(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0, requests: int = 1) -> Decimal:
        """US dollars for so many tokens; the cached ones are part of the prompt's."""
        cached = min(cached_tokens, prompt_tokens)
        cached_input = self.input if self.cached_input is None else self.cached_input
        parts = (
            (prompt_tokens - cached, self.input),
            (cached, cached_input),
            (completion_tokens, self.output),
            (requests * _MILLION, self.per_request),
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
    usage = report.usage
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    if prompt is None or completion is None or report.response is None:
        return None
    if own is None:
        return _list_price(report, prompt, completion)
    # Choices that were asked for one by one are as many requests.
    one_by_one = any(each.parameter == "n" for each in report.adaptations)
    requests = len(report.response.choices) if one_by_one else 1
    cached = _count(usage, "prompt_tokens_details", "cached_tokens") or 0
    return Cost(own.of(prompt, completion, cached, requests), "own price", own.since)


def _list_price(report: CallReport, prompt_tokens: int, completion_tokens: int) -> Cost | None:
    from genai_prices import Usage, calc_price  # 0.1 s, and not everybody asks

    # The model that answered: on Azure the one that was asked is the name of a deployment, which may be any.
    model, tier = getattr(report.response, "model", None), getattr(report.response, "service_tier", None)
    usage = report.usage
    counts = {
        "input_tokens": prompt_tokens,
        "output_tokens": completion_tokens,
        "cache_read_tokens": _count(usage, "prompt_tokens_details", "cached_tokens"),
        "cache_write_tokens": _count(usage, "prompt_tokens_details", "cache_write_tokens"),
        "input_audio_tokens": _count(usage, "prompt_tokens_details", "audio_tokens"),
        "output_audio_tokens": _count(usage, "completion_tokens_details", "audio_tokens"),
        "output_reasoning_tokens": _count(usage, "completion_tokens_details", "reasoning_tokens"),
    }
    if not isinstance(model, str) or not model:
        return None
    try:
        found = calc_price(
            Usage(**{name: count for name, count in counts.items() if count}),
            model,
            provider_api_url=report.url,
            genai_request_timestamp=report.started_at,
            price_context={"service_tier": tier} if isinstance(tier, str) else None,
        )
    except (LookupError, ValueError):  # not on the list; or counts that contradict each other
        return None
    source = f"genai-prices {version('genai-prices')}: {found.model.id} at {found.provider.name}"
    return Cost(found.total_price, source, report.started_at.date())


def _count(usage: Any, *path: str) -> int | None:
    """A number of tokens; None where it is not told, or is none."""
    for name in path:
        usage = getattr(usage, name, None)
    return usage if type(usage) is int and usage >= 0 else None
