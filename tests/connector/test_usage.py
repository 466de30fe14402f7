"""Token counts: possible or not, complete or not, wherever a provider states them; and what a call cost by them."""

from decimal import Decimal
from typing import Any

import pytest

from connector import CallReport, Client, Price, UsageSource, cost_of, tokens_of
from tests.connector.conftest import REQUEST
from tests.provider.answers import chunk, completion
from tests.provider.server import Chunks, ProviderServer, Reply

OWN = Price(input=100_000, output=100_000, cached_input=10_000)
"""Ten cents for each token, one cent for a cached one."""


def reported(server: ProviderServer, client: Client, reports: list[CallReport], usage: Any) -> CallReport:
    """The report of a call whose answer has this usage; the same streamed."""
    server.next(Reply(200, completion("Hello", usage=usage)))
    server.next(Chunks([chunk("Hello", finish_reason="stop"), chunk(choices=[], usage=usage)]))
    client.call_api(REQUEST)
    with client.stream(REQUEST) as stream:
        list(stream)
    whole, streamed = reports[-2:]
    assert counts(whole) == counts(streamed)
    assert whole.usage_source is streamed.usage_source
    return streamed


def counts(report: CallReport) -> tuple[int | None, ...] | None:
    usage = report.usage
    return (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) if usage else None


def usage(*values: object, **more: Any) -> dict[str, Any]:
    named = dict(zip(("prompt_tokens", "completion_tokens", "total_tokens"), values, strict=True))
    return {name: value for name, value in named.items() if value != "absent"} | more


def test_counts_may_have_the_names_of_the_responses_api(
    server: ProviderServer, client: Client, reports: list[CallReport]
) -> None:
    named = {
        "input_tokens": 7,
        "output_tokens": 3,
        "total_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens_details": {"reasoning_tokens": 2},
    }
    for sent in (named, {**named, "prompt_tokens": 0, "completion_tokens": 0}, {**named, "total_tokens": None}):
        report = reported(server, client, reports, sent)
        assert counts(report) == (7, 3, 10)
        assert tokens_of(report.usage, "prompt_tokens_details", "cached_tokens") == 4
        assert tokens_of(report.usage, "completion_tokens_details", "reasoning_tokens") == 2


@pytest.mark.parametrize(
    ("sent", "counted"),
    [
        (usage(7, 3, 10), (7, 3, 10)),
        (usage(7, 3, 90), (7, 83, 90)),  # Gemini: the total also counts the reasoning
        (usage(7, 0, 0), (7, 0, 7)),
        (usage(7, 3, 9), (7, 3, 10)),
        (usage(7, "absent", 40), (7, 33, 40)),
        (usage("absent", 3, 10), (7, 3, 10)),
        (usage(7, 3, "absent"), (7, 3, 10)),
        (usage(7, "absent", "absent"), (7, None, None)),
        (usage(-7, 3, 10), (None, 3, 10)),
        (usage(7, -1, 10), (7, None, 10)),
        (usage(7, 3, 10**30), (7, 3, 10)),
        (usage(7.5, 3, 10), (None, 3, 10)),
        (usage(7, 10**30, -4), (7, None, None)),
    ],
    ids=str,
)
def test_each_count_is_judged_for_itself(
    server: ProviderServer, client: Client, reports: list[CallReport], sent: Any, counted: Any
) -> None:
    report = reported(server, client, reports, sent)
    assert counts(report) == counted
    assert report.usage_source is UsageSource.REPORTED


@pytest.mark.parametrize("sent", [usage(-1, 7.5, 10**30), usage("many", [], None), usage(True, None, "absent"), {}, 5])
def test_a_usage_without_a_possible_count_is_unknown(
    server: ProviderServer, client: Client, reports: list[CallReport], sent: Any
) -> None:
    report = reported(server, client, reports, sent)
    assert (counts(report), report.usage_source, cost_of(report, OWN)) == (None, UsageSource.UNKNOWN, None)


@pytest.mark.parametrize(
    "told",
    [
        {"prompt_tokens_details": {"cached_tokens": 4}},
        {"prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6},
        {"cached_tokens": 4},
        {"cached_tokens": 4, "prompt_tokens_details": {"cached_tokens": 0}},
        {"cached_tokens": 4, "prompt_tokens_details": None},
    ],
)
def test_cached_tokens_are_found_wherever_they_are_stated(
    server: ProviderServer, client: Client, reports: list[CallReport], told: dict[str, Any]
) -> None:
    report = reported(server, client, reports, usage(10, 1, 11, **told))
    cost = cost_of(report, OWN)
    assert cost is not None
    assert cost.amount == Decimal("0.74")


@pytest.mark.parametrize("told", [{"cached_tokens": 40}, {"cached_tokens": -4}, {"cached_tokens": "4"}])
def test_impossible_cached_tokens_are_ignored(
    server: ProviderServer, client: Client, reports: list[CallReport], told: dict[str, Any]
) -> None:
    cost = cost_of(reported(server, client, reports, usage(10, 1, 11, **told)), OWN)
    assert cost is not None
    assert cost.amount == Decimal("1.1")


@pytest.mark.parametrize(("told", "amount"), [(0.00075, "0.00075"), (0, "0"), ({"total_cost": 0.006}, "0.006")])
def test_a_cost_that_the_provider_reports_is_the_cost(
    server: ProviderServer, client: Client, reports: list[CallReport], told: Any, amount: str
) -> None:
    report = reported(server, client, reports, usage(10, 1, 11, cost=told))
    for cost in (cost_of(report), cost_of(report, OWN)):
        assert cost is not None
        assert (cost.amount, cost.source) == (Decimal(amount), "reported by the provider")


def test_with_a_key_of_one_s_own_at_the_model_s_provider_the_cost_there_is_added(
    server: ProviderServer, client: Client, reports: list[CallReport]
) -> None:
    told: dict[str, Any] = {"cost": 0.001, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.0123}}
    cost = cost_of(reported(server, client, reports, usage(10, 1, 11, **told)))
    assert cost is not None
    assert cost.amount == Decimal("0.0133")


@pytest.mark.parametrize("told", [-1, "0.1", True, None, 10**9, {"total_cost": "x"}, []])
def test_an_impossible_cost_is_not_the_cost(
    server: ProviderServer, client: Client, reports: list[CallReport], told: Any
) -> None:
    report = reported(server, client, reports, usage(10, 1, 11, cost=told))
    assert cost_of(report) is None
    cost = cost_of(report, OWN)
    assert cost is not None
    assert cost.source == "own price"


def test_the_tokens_of_thinking_beside_the_answer_are_charged(
    server: ProviderServer, client: Client, reports: list[CallReport]
) -> None:
    cost = cost_of(reported(server, client, reports, usage(10, 2, 40)), OWN)
    assert cost is not None
    assert cost.amount == 4
