"""What was learnt about a configuration's models is kept with the calls that it helped."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from connector import Adaptation, CallReport, CallStatus, ConnectorError
from db import CallStart, Database, LearntAdaptation, Person, SavedConfiguration
from tests.db.conftest import ON_BOTH, Clock

URL = "https://api.openai.com/v1/chat/completions"
Report = Callable[..., CallReport]
Sql = Callable[..., list[tuple[Any, ...]]]
RENAMED = Adaptation("max_tokens", None, "max_completion_tokens", "Use the other.")
REPLACED = Adaptation("reasoning_effort", "high", "medium", "Supported values are: 'medium'.")
LEFT_OUT = Adaptation("top_p", None, None, "It is not supported.")


def book(database: Database, who: Person, start: CallStart, report: CallReport, *adaptations: Adaptation) -> None:
    database.calls.add(who, start, replace(report, adaptations=adaptations, learnt=adaptations, url=URL))


def test_an_adaptation_that_made_a_call_succeed_is_known_to_the_next_call(
    database: Database, me: Person, start: CallStart, report: Report, clock: Clock
) -> None:
    book(database, me, start, report(), RENAMED, REPLACED)
    kept = database.adaptations.all(me, str(start.configuration_id))
    assert kept == [LearntAdaptation("gpt-asked", each, clock.now) for each in (RENAMED, REPLACED)]
    assert database.adaptations.of(me, str(start.configuration_id)).of("gpt-asked") == (RENAMED, REPLACED)


def test_a_known_adaptation_keeps_the_time_it_was_learnt(
    database: Database, me: Person, start: CallStart, report: Report, clock: Clock
) -> None:
    book(database, me, start, report(), RENAMED)
    first, clock.now = clock.now, clock.now + timedelta(days=1)
    book(database, me, start, report(), RENAMED, LEFT_OUT)
    book(database, me, replace(start, model_asked="other"), report(), RENAMED)
    kept = database.adaptations.all(me, str(start.configuration_id))
    assert [(each.model, each.adaptation.parameter, each.learnt_at) for each in kept] == [
        ("gpt-asked", "max_tokens", first),
        ("gpt-asked", "top_p", clock.now),
        ("other", "max_tokens", clock.now),
    ]


def test_a_contradicted_adaptation_is_replaced(
    database: Database, me: Person, start: CallStart, report: Report
) -> None:
    book(database, me, start, report(), RENAMED)
    reverse = Adaptation("max_completion_tokens", None, "max_tokens", "Unrecognized.")
    book(database, me, start, report(), reverse)
    assert [each.adaptation for each in database.adaptations.all(me, str(start.configuration_id))] == [reverse]


def test_an_adaptation_that_was_only_applied_is_not_learnt_again(
    database: Database, me: Person, start: CallStart, report: Report
) -> None:
    """It is known already; or it was forgotten while the call was under way."""
    database.calls.add(me, start, replace(report(), adaptations=(RENAMED,), url=URL))
    assert database.adaptations.all(me, str(start.configuration_id)) == []


def test_adaptations_are_learnt_from_failed_calls_too(
    database: Database, me: Person, start: CallStart, report: Report
) -> None:
    """One of several choices may have come, and taught, before the next one failed."""
    book(database, me, start, report(status=CallStatus.FAILED, error=ConnectorError("No.")), RENAMED)
    assert len(database.adaptations.all(me, str(start.configuration_id))) == 1


def test_an_outdated_adaptation_is_removed(database: Database, me: Person, start: CallStart, report: Report) -> None:
    book(database, me, start, report(), RENAMED, LEFT_OUT)
    database.calls.add(me, start, replace(report(), outdated=(RENAMED,), url=URL))
    assert [each.adaptation for each in database.adaptations.all(me, str(start.configuration_id))] == [LEFT_OUT]


def test_what_another_api_offers_is_kept_until_a_call_finds_it_outdated(
    database: Database, me: Person, start: CallStart, report: Report
) -> None:
    everything = Adaptation("api", None, "v1/responses", "Only there.")
    tools = Adaptation("api", "tools", "v1/responses", "Tools only there.")
    failed = report(status=CallStatus.FAILED, error=ConnectorError("No."))
    for each, model in ((everything, "gpt-asked"), (tools, "other")):
        refused = replace(failed, learnt=(each,), url=URL)
        database.calls.add(me, replace(start, model_asked=model), refused)
    kept = database.adaptations.of(me, str(start.configuration_id))
    assert [kept.of("gpt-asked"), kept.of("other")] == [(everything,), (tools,)]
    database.calls.add(me, start, replace(report(), outdated=(everything,), url=URL))
    kept = database.adaptations.of(me, str(start.configuration_id))
    assert [kept.of("gpt-asked"), kept.of("other")] == [(), (tools,)]


@ON_BOTH
def test_a_refused_number_is_read_back_as_a_number(
    database: Database, me: Person, start: CallStart, report: Report
) -> None:
    refused = Adaptation("temperature", 1.8, None, "Only values from 0 to 1 are supported.")
    book(database, me, start, report(), refused)
    assert [each.adaptation for each in database.adaptations.all(me, str(start.configuration_id))] == [refused]


def test_nothing_is_learnt_from_a_call_to_an_earlier_address(
    database: Database, me: Person, start: CallStart, report: Report, saved: SavedConfiguration
) -> None:
    turn = database.lone_answers.begin(me, "translate", {}, start)
    database.configurations.change(me, saved.id, {"endpoint": f"{saved.endpoint}/v2"})
    taught = replace(report(), adaptations=(RENAMED,), learnt=(RENAMED,), url=URL)
    database.turns.finish(me, turn, content="Hello.", report=taught)
    assert database.adaptations.all(me, saved.id) == []


def test_adaptations_are_learnt_from_turns_of_a_chat(
    database: Database, me: Person, start: CallStart, report: Report
) -> None:
    chat = database.chat_sessions.create(me, title="Chat", configuration_id=start.configuration_id)
    turn = database.turns.begin(me, chat.id, "What is it?", start)
    database.turns.finish(me, turn, content="Hello.", report=replace(report(), learnt=(RENAMED,), url=URL))
    assert len(database.adaptations.all(me, str(start.configuration_id))) == 1


def test_an_administrator_can_forget_adaptations(
    database: Database, me: Person, start: CallStart, report: Report
) -> None:
    book(database, me, start, report(), RENAMED)
    database.adaptations.forget(me, str(start.configuration_id))
    assert database.adaptations.all(me, str(start.configuration_id)) == []


def test_adaptations_are_forgotten_when_the_address_leads_to_another_model(
    database: Database, me: Person, start: CallStart, report: Report, saved: SavedConfiguration
) -> None:
    book(database, me, start, report(), RENAMED)
    database.configurations.change(me, saved.id, {"display_name": "Another name", "model_default": "other"})
    database.configurations.change(me, saved.id, {"endpoint": f" {saved.endpoint} "})
    assert len(database.adaptations.all(me, saved.id)) == 1, "the models are the same"
    database.configurations.change(me, saved.id, {"endpoint": f"{saved.endpoint}/v2"})
    assert database.adaptations.all(me, saved.id) == []


def test_adaptations_are_deleted_with_their_configuration(
    database: Database, me: Person, start: CallStart, report: Report, sql: Sql, saved: SavedConfiguration
) -> None:
    book(database, me, start, report(), RENAMED)
    database.configurations.delete(me, saved.id)
    assert sql("SELECT count(*) FROM adaptations") == [(0,)]


def test_a_call_is_stored_although_its_configuration_was_deleted(
    database: Database, me: Person, start: CallStart, report: Report, saved: SavedConfiguration
) -> None:
    turn = database.lone_answers.begin(me, "translate", {}, start)
    database.configurations.delete(me, saved.id)
    database.turns.finish(me, turn, content="Hello.", report=report())
    assert database.calls.get(me, turn.call_id).adaptations == (str(RENAMED),)
