"""The ledger: what is booked, who sees it, and that its sums are right."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connector import CallReport, CallStatus, ChatCompletionsResponse, KeyRefused, UsageSource
from db import Call, CallStart, Database, NotFound, Person, PersonRole, SavedConfiguration, UsageGroup, UsageRow
from tests.db.conftest import ON_BOTH

Sql = Callable[..., list[tuple[Any, ...]]]
Report = Callable[..., CallReport]


def usage(prompt: int, completion: int) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


@ON_BOTH
def test_every_known_value_of_a_call_is_stored(
    database: Database, me: Person, start: CallStart, saved: SavedConfiguration, report: Report, clock: Any
) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 2}, "completion_tokens_details": {"reasoning_tokens": 1}}
    id = database.calls.add(me, start, report(usage=usage(5, 3) | details))
    assert (
        [database.calls.get(me, id)]
        == database.calls.recent(me)
        == [
            Call(
                id=id,
                started_at=clock.now,
                person_id=me.id,
                person_name="Local administrator",
                configuration_id=saved.id,
                configuration_name="Mine",
                model_asked="gpt-asked",
                model_answered="gpt-answered",
                page="chat",
                preset=None,
                operation="execute_with_history",
                status=CallStatus.DONE,
                finish_reason="stop",
                attempts=2,
                adaptations=("max_tokens sent as max_completion_tokens: “Use the other.”",),
                prompt_tokens=5,
                completion_tokens=3,
                cached_tokens=2,
                reasoning_tokens=1,
                total_tokens=8,
                usage_source=UsageSource.REPORTED,
                time_to_first_token=0.25,
                duration=1.5,
                cost=None,
                price_source=None,
                error_kind=None,
                error=None,
                request_id=None,
                prompt_characters=None,
                filtered=None,
            )
        ]
    )


def test_unknown_usage_stays_unknown_and_zero_stays_zero(
    database: Database, me: Person, start: CallStart, report: Report, sql: Sql
) -> None:
    for reported in (None, usage(0, 0)):
        database.calls.add(me, start, report(usage=reported))
    zero, unknown = database.calls.recent(me)
    assert (unknown.prompt_tokens, unknown.completion_tokens, unknown.total_tokens) == (None, None, None)
    assert unknown.usage_source is UsageSource.UNKNOWN
    assert (zero.total_tokens, zero.cached_tokens) == (0, None)
    assert sql("SELECT total_tokens FROM calls ORDER BY id") == [(None,), (0,)]


def test_a_failed_call_has_the_kind_of_its_error_and_the_providers_id(
    database: Database, me: Person, start: CallStart, report: Report
) -> None:
    error = KeyRefused("The key was not accepted.", status=401, request_id="req_1")
    database.calls.add(me, start, report(CallStatus.FAILED, error=error))
    call = database.calls.recent(me)[0]
    assert (call.status, call.error_kind, call.request_id) == (CallStatus.FAILED, "key_refused", "req_1")
    assert call.error == "The key was not accepted."
    assert (call.model_answered, call.finish_reason, call.total_tokens) == (None, None, None)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"choices": None, "model": 7, "usage": {}},
        {"choices": [{}], "usage": {"prompt_tokens": "5", "completion_tokens": -1, "total_tokens": 1e300}},
        {"choices": [{"finish_reason": {"why": 1}}], "usage": {"total_tokens": True, "prompt_tokens": 10**30}},
    ],
)
def test_the_usable_values_of_a_malformed_response_are_stored(
    database: Database, me: Person, start: CallStart, report: Report, answer: dict[str, Any]
) -> None:
    sloppy = replace(report(), response=ChatCompletionsResponse.construct(**answer))
    database.calls.add(me, start, sloppy)
    call = database.calls.recent(me)[0]
    assert call.status is CallStatus.DONE
    assert (call.model_answered, call.finish_reason) == (None, None)
    assert (call.prompt_tokens, call.completion_tokens, call.total_tokens) == (None, None, None)


def test_a_call_that_does_not_exist_is_not_found(database: Database, me: Person) -> None:
    with pytest.raises(NotFound):
        database.calls.get(me, 7)


def test_a_call_is_finished_once(database: Database, me: Person, start: CallStart, report: Report) -> None:
    turn = database.lone_answers.begin(me, "translate", {}, start)
    database.turns.finish(me, turn, content="", report=report(usage=usage(5, 3)))
    with pytest.raises(NotFound):
        database.turns.finish(me, turn, content="", report=report(usage=usage(50, 30)))
    assert database.calls.recent(me)[0].total_tokens == 8


def test_a_call_keeps_the_name_of_a_deleted_configuration(
    database: Database, me: Person, start: CallStart, saved: SavedConfiguration, report: Report
) -> None:
    database.calls.add(me, start, report())
    database.configurations.delete(me, saved.id)
    call = database.calls.recent(me)[0]
    assert (call.configuration_id, call.configuration_name) == (None, "Mine")
    with pytest.raises(NotFound, match="configuration"):
        database.calls.add(me, start, report())


def test_the_newest_calls_come_first_whatever_the_clock_said(
    database: Database, me: Person, start: CallStart, report: Report, clock: Any
) -> None:
    ids = []
    for minute in (5, 3, 3, 9):
        began = clock.now.replace(minute=minute)
        ids.append(database.calls.add(me, start, replace(report(), started_at=began)))
    assert [call.id for call in database.calls.recent(me, limit=3)] == [ids[3], ids[2], ids[1]]


@ON_BOTH
def test_the_last_finished_call_of_each_configuration(
    database: Database, me: Person, start: CallStart, saved: SavedConfiguration, report: Report
) -> None:
    assert database.calls.latest_by_configuration(me) == {}
    database.calls.add(me, start, report())
    last = database.calls.add(me, start, report(CallStatus.FAILED, error=KeyRefused("No.")))
    database.lone_answers.begin(me, "translate", {}, start)
    database.calls.add(me, replace(start, operation="probe"), report())
    database.calls.add(me, replace(start, configuration_id=None), report())
    latest = database.calls.latest_by_configuration(me)
    assert {id: call.id for id, call in latest.items()} == {saved.id: last}
    found = database.calls.latest(me, saved.id)
    assert found == latest[saved.id]
    assert database.calls.latest(me, "another") is None


# -- totals


@pytest.fixture
def ledger(database: Database, me: Person, start: CallStart, report: Report) -> list[int]:
    """Calls on two pages at two models: known, unknown, failed, and one under way."""
    ids = []
    reports = [
        report(usage=usage(5, 3)),
        report(usage=usage(50, 30), model="gpt-other"),
        report(),
        report(CallStatus.FAILED, error=KeyRefused("No.")),
        report(usage=usage(500, 300)),
    ]
    for n, each in enumerate(reports):
        began = datetime(2026, 3, 1 + n, 23, 30, tzinfo=UTC)
        page = "chat" if n % 2 else "translate"
        its = replace(start, page=page, configuration_name=page.title())
        ids.append(database.calls.add(me, its, replace(each, started_at=began)))
    database.lone_answers.begin(me, "translate", {}, start)
    return ids


@ON_BOTH
@pytest.mark.parametrize(
    ("by", "column"),
    [
        (UsageGroup.MODEL, "coalesce(model_answered, model_asked)"),
        (UsageGroup.CONFIGURATION, "configuration_name"),
        (UsageGroup.PAGE, "page"),
        (UsageGroup.DAY, "started_at / 1000 / 86400"),
    ],
)
def test_totals_are_the_sums_of_the_rows(
    database: Database, me: Person, ledger: list[int], sql: Sql, by: UsageGroup, column: str
) -> None:
    expected = sql(
        f"SELECT {column}, count(*), count(CASE WHEN status = 'failed' THEN 1 END), sum(prompt_tokens),"
        "sum(completion_tokens), sum(total_tokens), count(CASE WHEN total_tokens IS NULL THEN 1 END)"
        "FROM calls WHERE status <> 'running' GROUP BY 1"
    )
    found = [
        (_group(row.group), row.calls, row.failed, *tokens(row), row.unknown) for row in database.usage.totals(me, by)
    ]
    assert sorted(found) == sorted(expected)
    assert len(found) > 1


def tokens(row: UsageRow) -> tuple[int | None, ...]:
    return row.prompt_tokens, row.completion_tokens, row.total_tokens


def _group(group: str | date) -> str | int:
    return (group - date(1970, 1, 1)).days if isinstance(group, date) else group


@ON_BOTH
def test_the_total_of_unknown_numbers_is_unknown(database: Database, me: Person, ledger: list[int]) -> None:
    rows = {row.group: row for row in database.usage.totals(me, UsageGroup.DAY)}
    unknown = rows[date(2026, 3, 3)]
    assert (unknown.prompt_tokens, unknown.completion_tokens, unknown.total_tokens) == (None, None, None)
    assert (unknown.calls, unknown.unknown, unknown.failed) == (1, 1, 0)


def test_a_day_adds_what_is_known_of_it(database: Database, me: Person, start: CallStart, report: Report) -> None:
    def book(hour: int, reported: dict[str, Any] | None) -> None:
        began = datetime(2026, 3, 1, hour, tzinfo=UTC)
        database.calls.add(me, start, replace(report(usage=reported), started_at=began))

    def total() -> tuple[int, int | None, int]:
        (row,) = database.usage.totals(me, UsageGroup.DAY)
        return row.calls, row.total_tokens, row.unknown

    book(8, None)
    book(9, None)
    assert total() == (2, None, 2)
    book(10, usage(5, 3))
    book(11, usage(50, 30))
    assert total() == (4, 88, 2)


@ON_BOTH
@pytest.mark.parametrize(
    ("zone", "days"),
    [
        (None, {date(2026, 3, 28): 2, date(2026, 3, 29): 3}),
        # 23 hours long: from 23:00 of the 28th to 22:00 of the 29th, UTC.
        ("Europe/Amsterdam", {date(2026, 3, 28): 1, date(2026, 3, 29): 2, date(2026, 3, 30): 2}),
        # 5:45 ahead: 18:15 UTC is midnight.
        ("Asia/Kathmandu", {date(2026, 3, 29): 2, date(2026, 3, 30): 3}),
        ("America/Los_Angeles", {date(2026, 3, 28): 2, date(2026, 3, 29): 3}),
    ],
)
def test_a_day_is_one_of_the_viewers_zone(
    database: Database,
    me: Person,
    start: CallStart,
    report: Report,
    zone: str | None,
    days: dict[date, int],
) -> None:
    for day, hour, minute in [(28, 22, 59), (28, 23, 0), (29, 18, 15), (29, 22, 0), (29, 23, 59)]:
        began = datetime(2026, 3, day, hour, minute, tzinfo=UTC)
        database.calls.add(me, start, replace(report(usage=usage(5, 3)), started_at=began))
    rows = database.usage.totals(me, UsageGroup.DAY, ZoneInfo(zone) if zone else None)
    assert [(row.group, row.calls) for row in rows] == list(days.items())
    assert [row.total_tokens for row in rows] == [8 * calls for calls in days.values()]


def test_a_user_sees_their_own_calls_and_an_administrator_everybodys(
    database: Database, me: Person, start: CallStart, report: Report
) -> None:
    user = database.people.add(me, "Someone", PersonRole.USER)
    for person in (me, user):
        database.calls.add(person, start, report(usage=usage(5, 3)))
    assert {call.person_name for call in database.calls.recent(me)} == {"Local administrator", "Someone"}
    assert {call.person_name for call in database.calls.recent(user)} == {"Someone"}
    assert [row.calls for row in database.usage.totals(me, UsageGroup.PAGE)] == [2]
    assert [row.calls for row in database.usage.totals(user, UsageGroup.PAGE)] == [1]
    assert database.calls.latest_by_configuration(me)[start.configuration_id or ""].person_id == user.id
