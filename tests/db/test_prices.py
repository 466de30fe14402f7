"""What a call cost is booked with it, with whose price it was, and adds up."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from connector import CallReport, CallStatus, ConnectorError, Price
from db import CallStart, Database, Person, SavedConfiguration, UsageGroup
from tests.db.conftest import ON_BOTH, Clock

Sql = Callable[..., list[tuple[Any, ...]]]
Report = Callable[..., CallReport]
OPENAI = "https://api.openai.com/v1/chat/completions"
USAGE = {"prompt_tokens": 1_000_000, "completion_tokens": 100_000, "total_tokens": 1_100_000}


@pytest.fixture
def listed(report: Report) -> CallReport:
    """A call that has a list price, 3.50 dollars."""
    return replace(report(usage=USAGE, model="gpt-4o"), url=OPENAI)


def booked(database: Database, who: Person, start: CallStart, report: CallReport) -> tuple[float | None, str | None]:
    found = database.calls.get(who, database.calls.add(who, start, report))
    return found.cost, found.price_source


def test_the_list_price_is_booked_with_its_source_and_day(
    database: Database, me: Person, start: CallStart, listed: CallReport
) -> None:
    cost, source = booked(database, me, start, listed)
    assert cost == 3.5
    assert source is not None
    assert source.startswith("genai-prices ")
    assert source.endswith(": gpt-4o at OpenAI, 2026-03-01")


def test_the_configuration_s_own_price_wins(
    database: Database, me: Person, start: CallStart, listed: CallReport, saved: SavedConfiguration, clock: Clock
) -> None:
    changed = database.configurations.change(me, saved.id, {"price": Price(input=1, output=10)})
    assert changed.price == Price(input=1, output=10, since=clock.now.date())
    assert database.configurations.get(me, saved.id) == changed
    assert booked(database, me, start, listed) == (2.0, "own price, 2026-03-01")
    database.configurations.change(me, saved.id, {"display_name": "Another name"})
    assert booked(database, me, start, listed)[0] == 2.0
    database.configurations.change(me, saved.id, {"price": None})
    assert booked(database, me, start, listed)[0] == 3.5


def test_a_price_of_today_changes_no_cost_of_yesterday(
    database: Database, me: Person, start: CallStart, listed: CallReport, saved: SavedConfiguration
) -> None:
    booked(database, me, start, listed)
    database.configurations.change(me, saved.id, {"price": Price(input=0, output=0)})
    assert [call.cost for call in database.calls.recent(me)] == [3.5]


def test_an_unknown_price_is_not_zero(database: Database, me: Person, start: CallStart, report: Report) -> None:
    failed = report(status=CallStatus.FAILED, error=ConnectorError("No."))
    for unpriced in (report(usage=USAGE), report(usage=None), failed):
        assert booked(database, me, start, unpriced) == (None, None)
    [row] = database.usage.totals(me, UsageGroup.CONFIGURATION)
    assert (row.cost, row.unpriced) == (None, 1), "of the two others nobody knows the tokens"


def test_a_missing_total_does_not_remove_the_price(
    database: Database, me: Person, start: CallStart, listed: CallReport
) -> None:
    assert listed.response
    assert listed.response.usage
    listed.response.usage.total_tokens = None  # type: ignore[assignment]  # as sloppy servers leave it
    assert booked(database, me, start, listed)[0] == 3.5
    [row] = database.usage.totals(me, UsageGroup.MODEL)
    assert (row.unknown, row.cost, row.unpriced) == (0, 3.5, 0)
    assert row.total_tokens == (row.prompt_tokens or 0) + (row.completion_tokens or 0)


@ON_BOTH
@pytest.mark.parametrize("by", UsageGroup)
def test_the_costs_of_a_group_add_up(
    database: Database, me: Person, start: CallStart, listed: CallReport, report: Report, by: UsageGroup
) -> None:
    for each in (listed, listed, report(usage=USAGE, model="gpt-4o")):
        booked(database, me, start, each)
    [row] = database.usage.totals(me, by)
    assert (row.calls, row.cost, row.unpriced) == (3, 7.0, 1)


@pytest.mark.parametrize("damage", ["garbage", "{}", '{"input": 1, "output": 1, "from_a_newer_version": 1}', "[]"])
def test_an_unreadable_price_affects_nothing_else(
    database: Database, me: Person, start: CallStart, listed: CallReport, sql: Sql, damage: str
) -> None:
    sql("UPDATE configurations SET price = ?", damage)
    assert [each.price for each in database.configurations.all(me)] == [None]
    assert booked(database, me, start, listed)[0] == 3.5


def test_a_turn_of_a_chat_has_its_cost(database: Database, me: Person, start: CallStart, listed: CallReport) -> None:
    chat = database.chat_sessions.create(me, title="Chat", configuration_id=start.configuration_id)
    turn = database.turns.begin(me, chat.id, "What is it?", start)
    database.turns.finish(me, turn, content="Hello.", report=listed)
    assert database.calls.get(me, turn.call_id).cost == 3.5


def test_a_finished_call_is_stored_in_one_step(
    database: Database, me: Person, start: CallStart, listed: CallReport
) -> None:
    call = database.calls.get(me, database.calls.add(me, replace(start, operation="test"), listed))
    assert (call.status, call.operation, call.cost, call.started_at) == (
        CallStatus.DONE,
        "test",
        3.5,
        listed.started_at,
    )
