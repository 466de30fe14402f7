"""What a call cost: by one's own prices, else by the list; what is not known has no price, and never 0."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from connector import (
    Adaptations,
    CallReport,
    CallStatus,
    ChatCompletionsRequest,
    ChatCompletionsResponse,
    Client,
    InvalidConfiguration,
    Price,
    context_window,
    cost_of,
    cost_of_prompt,
)
from tests.connector.conftest import PATIENCE, REQUEST, account
from tests.provider.answers import completion, error
from tests.provider.server import ProviderServer, Reply

OPENAI = "https://api.openai.com/v1/chat/completions"
AZURE = "https://mine.openai.azure.com/openai/deployments/any/chat/completions?api-version=2024-10-21"
USAGE = {"prompt_tokens": 1_000_000, "completion_tokens": 100_000, "total_tokens": 1_100_000}


def report_of(
    model: str = "gpt-4o", url: str = OPENAI, usage: dict[str, Any] | None = USAGE, **more: Any
) -> CallReport:
    answer = completion("Yes.", model=model, usage=usage, **more)
    return CallReport(
        request={"model": "any"},
        status=CallStatus.DONE,
        started_at=datetime(2026, 11, 24, tzinfo=UTC),
        duration=1,
        response=ChatCompletionsResponse.model_validate(answer),
        url=url,
    )


def detailed(**details: int) -> dict[str, Any]:
    return USAGE | {
        "prompt_tokens_details": {name: n for name, n in details.items() if name != "reasoning_tokens"},
        "completion_tokens_details": {name: n for name, n in details.items() if name == "reasoning_tokens"},
    }


@pytest.mark.parametrize(("url", "provider"), [(OPENAI, "OpenAI"), (AZURE, "Microsoft Azure")])
def test_a_list_price_names_its_source_and_its_day(url: str, provider: str) -> None:
    cost = cost_of(report_of("gpt-4o-2024-08-06", url))
    assert cost
    assert cost.amount == Decimal("2.5") + Decimal("1.0"), "2.50 and 10 dollars for a million, openai.com/api/pricing"
    assert cost.source.startswith("genai-prices ")
    assert cost.source.endswith(f": gpt-4o at {provider}")
    assert str(cost) == f"{cost.source}, 2026-11-24"


def test_cached_tokens_have_their_own_price() -> None:
    cost = cost_of(report_of(usage=detailed(cached_tokens=400_000)))
    assert cost
    assert cost.amount == Decimal("0.6") * Decimal("2.5") + Decimal("0.4") * Decimal("1.25") + 1


def test_reasoning_tokens_are_part_of_the_completion_tokens() -> None:
    with_, without = cost_of(report_of(usage=detailed(reasoning_tokens=90_000))), cost_of(report_of())
    assert with_
    assert with_ == without


def test_the_service_tier_of_the_answer_decides_the_price() -> None:
    flex, standard = cost_of(report_of("gpt-6-luna", service_tier="flex")), cost_of(report_of("gpt-6-luna"))
    assert flex
    assert standard
    assert flex.amount * 2 == standard.amount


@pytest.mark.parametrize(
    "report",
    [
        report_of("my-own-model"),
        report_of(url="http://127.0.0.1:18080/v1/chat/completions"),
        report_of(url="https://llm.example.com/v1/chat/completions"),
        report_of(url=""),
        report_of(url="https://api.openai.com.evil.example/v1/chat/completions"),
        report_of(url="https://api.openai.computer/v1/chat/completions"),
        report_of(url="https://mine.openai.azure.com.evil.example/openai/v1/chat/completions"),
        report_of(usage=USAGE | {"prompt_tokens": 10**20}),
        report_of(""),
        report_of(usage=None),
        report_of(usage=USAGE | {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 400}}),
    ],
    ids=[
        "model",
        "this machine",
        "server",
        "nowhere",
        "like OpenAI",
        "like it, too",
        "like Azure",
        "absurd",
        "no model",
        "no usage",
        "contradicting",
    ],
)
def test_a_call_with_an_unknown_model_host_or_usage_has_no_price(report: CallReport) -> None:
    assert cost_of(report) is None


def test_an_incomplete_usage_has_no_price() -> None:
    report = report_of()
    assert report.response
    for name in ("completion_tokens", "total_tokens"):
        setattr(report.response.usage, name, None)  # sloppy servers
    assert [cost_of(report), cost_of(report, Price(input=1, output=1))] == [None, None]


def test_own_prices_take_precedence() -> None:
    own = Price(input=1, output=2, cached_input=0.1, per_request=0.01, since=date(2026, 1, 2))
    cost = cost_of(report_of(usage=detailed(cached_tokens=500_000)), own)
    assert cost
    assert cost.amount == Decimal("0.5") + Decimal("0.05") + Decimal("0.2") + Decimal("0.01")
    assert str(cost) == "own price, 2026-01-02"


def test_own_prices_of_0_cost_0() -> None:
    cost = cost_of(report_of(), Price(input=0, output=0))
    assert cost
    assert cost.amount == 0, "a server of one's own may cost nothing: that is known"


def test_cached_tokens_without_a_price_cost_as_much_as_others() -> None:
    cost = cost_of(report_of(usage=detailed(cached_tokens=500_000)), Price(input=1, output=0))
    assert cost
    assert cost.amount == 1


@pytest.mark.parametrize("wrong", [{"input": -1}, {"output": float("nan")}, {"per_request": 1e9}, {"input": "x"}])
def test_a_price_is_a_number_of_dollars(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfiguration, match="must be a number from 0 to 100000"):
        Price(**{"input": 1, "output": 1} | wrong)


def test_choices_that_were_requested_one_by_one_cost_several_requests(server: ProviderServer) -> None:
    reports: list[CallReport] = []
    refusal = error("Unsupported value: 'n' does not support 3.", param="n", code="unsupported_value")
    server.next(Reply(400, refusal))
    client = Client(account(server), learnt=Adaptations(), on_call=reports.append, timeout=PATIENCE)
    client.call_api(ChatCompletionsRequest(messages=REQUEST.messages, n=3))
    cost = cost_of(reports[0], Price(input=0, output=0, per_request=0.5))
    assert cost
    assert cost.amount == Decimal("1.5")


def test_choices_that_were_requested_one_by_one_are_priced_one_by_one() -> None:
    """Three of 100,000 tokens are not one of 300,000, which costs more each."""
    usage = USAGE | {"prompt_tokens": 100_000, "completion_tokens": 0}
    one = report_of("gpt-6-luna", usage=usage)
    assert one.response
    three = replace(one, parts=(one.response,) * 3, response=one.response)
    single, all_ = cost_of(one), cost_of(three)
    assert single
    assert all_
    assert all_.amount == 3 * single.amount
    unknown = report_of("gpt-6-luna", usage=None).response
    assert unknown
    assert cost_of(replace(three, parts=(one.response, unknown))) is None


def test_the_report_of_a_real_call_contains_everything_for_a_price(server: ProviderServer) -> None:
    reports: list[CallReport] = []
    client = Client(account(server), on_call=reports.append, timeout=PATIENCE)
    client.call_api(REQUEST)
    list(client.stream(REQUEST))
    assert [report.url for report in reports] == [f"{server.openai_endpoint}/chat/completions"] * 2
    costs = [cost_of(report, Price(input=1, output=1)) for report in reports]
    assert costs[0]
    assert costs[0] == costs[1]


# -- before it is sent


def test_a_prompt_has_the_price_of_its_tokens_and_nothing_else() -> None:
    cost = cost_of_prompt(OPENAI, "gpt-4o", 1_000_000)
    assert cost is not None
    assert (cost.amount, "gpt-4o at OpenAI" in cost.source) == (Decimal("2.5"), True)
    own = cost_of_prompt(OPENAI, "gpt-4o", 1_000, Price(input=10, output=20, per_request=0.5))
    assert own is not None
    assert (own.amount, own.source) == (Decimal("0.51"), "own price")


@pytest.mark.parametrize(
    ("url", "model"), [(OPENAI, "no-such-model"), ("http://127.0.0.1:8080/v1/chat/completions", "gpt-4o"), (OPENAI, "")]
)
def test_an_unlisted_model_has_no_price_and_no_context_window(url: str, model: str) -> None:
    assert cost_of_prompt(url, model, 1_000) is None
    assert context_window(url, model) is None


def test_the_list_contains_the_context_window_of_a_model() -> None:
    assert context_window(OPENAI, "gpt-4o") == 128_000
    assert context_window(OPENAI.replace("api.openai.com", "api.openai.com.example.org"), "gpt-4o") is None
