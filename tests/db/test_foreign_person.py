"""Every method that takes a person, called with one whose business it is not."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import select

from connector import CallReport, Configuration
from db import (
    CallStart,
    ChatSession,
    Database,
    NotAllowed,
    NotFound,
    Person,
    PersonRole,
    Pick,
    SavedConfiguration,
    Turn,
    UsageGroup,
    Written,
)
from db.base import Record

Sql = Callable[..., list[tuple[Any, ...]]]


@dataclass
class Owned:
    """What the local administrator has: a configuration, answers under way in a chat and at a place, another call."""

    database: Database
    configuration: Configuration
    saved: SavedConfiguration
    start: CallStart
    report: CallReport
    chat: ChatSession
    turn: Turn
    booked: int


@pytest.fixture
def owned(
    database: Database,
    me: Person,
    configuration: Configuration,
    saved: SavedConfiguration,
    start: CallStart,
    report: Callable[..., CallReport],
) -> Owned:
    chat = database.chat_sessions.create(me, title="Private", configuration_id=saved.id)
    turn = database.turns.begin(me, chat.id, "Private?", start)
    database.lone_answers.begin(me, "translate", {"messages": ["Private"]}, start)
    booked = database.calls.add(me, start, report())
    database.picks.keep(me, "chat", Pick(saved.id, "gpt-mine"))
    other = Configuration(**{**dict(configuration), "display_name": "Other"})
    return Owned(database, other, saved, start, report(), chat, turn, booked)


ANYTHING = object()
"""The outcome of a method that gives something which is everybody's, or makes something that is the person's own."""

# What a user does who owns nothing, and what they get: an error, or what is given back.
ATTEMPTS: dict[str, tuple[Callable[[Owned, Person], object], object]] = {
    "people.add": (lambda it, who: it.database.people.add(who, "Friend", PersonRole.ADMINISTRATOR), NotAllowed),
    "configurations.all": (lambda it, who: it.database.configurations.all(who), ANYTHING),
    "configurations.get": (lambda it, who: it.database.configurations.get(who, it.saved.id), ANYTHING),
    "configurations.open": (lambda it, who: it.database.configurations.open(who, it.saved.id), ANYTHING),
    "configurations.add": (lambda it, who: it.database.configurations.add(who, it.configuration), NotAllowed),
    "configurations.change": (lambda it, who: it.database.configurations.change(who, it.saved.id, {}), NotAllowed),
    "configurations.delete": (lambda it, who: it.database.configurations.delete(who, it.saved.id), NotAllowed),
    "configurations.duplicate": (lambda it, who: it.database.configurations.duplicate(who, it.saved.id), NotAllowed),
    "configurations.set_enabled": (
        lambda it, who: it.database.configurations.set_enabled(who, it.saved.id, False),
        NotAllowed,
    ),
    "configurations.accepted": (
        lambda it, who: it.database.configurations.accepted(who, it.saved.id, it.configuration),
        ANYTHING,
    ),
    "configurations.put_earlier_key_back": (
        lambda it, who: it.database.configurations.put_earlier_key_back(who, it.saved.id),
        NotAllowed,
    ),
    "configurations.make_default": (
        lambda it, who: it.database.configurations.make_default(who, it.saved.id),
        NotAllowed,
    ),
    "encryption_keys.usage": (lambda it, who: it.database.encryption_keys.usage(who), NotAllowed),
    "encryption_keys.rotate": (lambda it, who: it.database.encryption_keys.rotate(who), NotAllowed),
    "audit.recent": (lambda it, who: it.database.audit.recent(who), NotAllowed),
    "audit.tested": (lambda it, who: it.database.audit.tested(who, "Any"), NotAllowed),
    "adaptations.all": (lambda it, who: it.database.adaptations.all(who, it.saved.id), ANYTHING),
    "adaptations.of": (lambda it, who: it.database.adaptations.of(who, it.saved.id), ANYTHING),
    "adaptations.forget": (lambda it, who: it.database.adaptations.forget(who, it.saved.id), NotAllowed),
    "chat_sessions.all": (lambda it, who: it.database.chat_sessions.all(who), []),
    "picks.of": (lambda it, who: it.database.picks.of(who, "chat"), None),
    "picks.keep": (lambda it, who: it.database.picks.keep(who, "chat", Pick(it.saved.id, "")), None),
    "chat_sessions.search": (lambda it, who: it.database.chat_sessions.search(who, "Private"), []),
    "chat_sessions.create": (
        lambda it, who: it.database.chat_sessions.create(who, title="Mine", configuration_id=it.saved.id),
        ANYTHING,
    ),
    "chat_sessions.get": (lambda it, who: it.database.chat_sessions.get(who, it.chat.id), NotFound),
    "chat_sessions.conversation": (
        lambda it, who: it.database.chat_sessions.conversation(who, it.chat.id),
        NotFound,
    ),
    "chat_sessions.images": (lambda it, who: it.database.chat_sessions.images(who, it.chat.id), NotFound),
    "chat_sessions.choose": (
        lambda it, who: it.database.chat_sessions.choose(who, it.chat.id, it.turn.answer_id),
        NotFound,
    ),
    "chat_sessions.send_along": (lambda it, who: it.database.chat_sessions.send_along(who, it.chat.id, 0), NotFound),
    "chat_sessions.undelete": (lambda it, who: it.database.chat_sessions.undelete(who, it.chat.id), NotFound),
    "turns.begin": (
        lambda it, who: it.database.turns.begin(who, it.chat.id, "Mine", it.start),
        NotFound,
    ),
    "turns.edit": (
        lambda it, who: it.database.turns.edit(who, it.chat.id, it.turn.user_message_id, "Mine", it.start),
        NotFound,
    ),
    "turns.ask_again": (
        lambda it, who: it.database.turns.ask_again(who, it.chat.id, it.turn.answer_id, it.start),
        NotFound,
    ),
    "turns.keep": (
        lambda it, who: it.database.turns.keep(who, [Written(it.turn, "Mine")]),
        ANYTHING,
    ),
    "turns.ask_to_stop": (lambda it, who: it.database.turns.ask_to_stop(who, it.turn.answer_id), NotFound),
    "turns.written": (lambda it, who: it.database.turns.written(who, it.turn.answer_id), NotFound),
    "lone_answers.begin": (
        lambda it, who: it.database.lone_answers.begin(who, "translate", {"messages": []}, it.start),
        ANYTHING,
    ),
    "lone_answers.last": (lambda it, who: it.database.lone_answers.last(who, "translate"), None),
    "calls.refusals": (
        lambda it, who: it.database.calls.refusals(who, it.saved.id, it.start.model_asked, ["vision"]),
        [],
    ),
    "calls.characters_per_token": (
        lambda it, who: it.database.calls.characters_per_token(who, it.saved.id, it.start.model_asked),
        None,
    ),
    "turns.finish": (
        lambda it, who: it.database.turns.finish(who, it.turn, content="Mine", report=it.report),
        NotFound,
    ),
    "chat_sessions.update": (
        lambda it, who: it.database.chat_sessions.update(who, it.chat.id, title="Mine"),
        NotFound,
    ),
    "chat_sessions.delete": (lambda it, who: it.database.chat_sessions.delete(who, it.chat.id), NotFound),
    "calls.add": (lambda it, who: it.database.calls.add(who, it.start, it.report), ANYTHING),
    "calls.get": (lambda it, who: it.database.calls.get(who, it.booked), NotFound),
    "calls.recent": (lambda it, who: it.database.calls.recent(who), []),
    "usage.totals": (lambda it, who: [row for by in UsageGroup for row in it.database.usage.totals(who, by)], []),
    "calls.latest": (lambda it, who: it.database.calls.latest(who, it.saved.id), None),
    "calls.latest_by_configuration": (lambda it, who: it.database.calls.latest_by_configuration(who), {}),
}


def methods_with_a_person(database: Database) -> Iterator[str]:
    for noun, collection in vars(database).items():
        for name, method in inspect.getmembers(collection, inspect.ismethod):
            parameters = list(inspect.signature(method).parameters)
            if not noun.startswith("_") and not name.startswith("_") and "person" in parameters:
                assert parameters[0] == "person"
                yield f"{noun}.{name}"


def everything(database: Database) -> set[tuple[object, ...]]:
    """All rows of all tables."""
    with database._storage.reading() as session:
        tables = Record.metadata.tables.values()
        return {(table.name, *row) for table in tables for row in session.execute(select(table))}


def test_no_method_is_forgotten(database: Database) -> None:
    assert sorted(methods_with_a_person(database)) == sorted(ATTEMPTS)


@pytest.mark.parametrize("name", ATTEMPTS)
def test_a_foreign_user_gets_nothing_and_changes_nothing(
    database: Database, me: Person, owned: Owned, name: str
) -> None:
    attempt, outcome = ATTEMPTS[name]
    foreigner = database.people.add(me, "Foreigner", PersonRole.USER)
    before = everything(database)
    if isinstance(outcome, type) and issubclass(outcome, Exception):
        with pytest.raises(outcome):
            attempt(owned, foreigner)
        assert everything(database) == before
    else:
        given = attempt(owned, foreigner)
        assert outcome is ANYTHING or given == outcome
        assert everything(database) >= before


# An administrator may look at everybody's calls, and at nothing else of theirs.
REFUSED_TO_ALL = [name for name, (_, outcome) in ATTEMPTS.items() if outcome is NotFound and name != "calls.get"]


@pytest.mark.parametrize("name", REFUSED_TO_ALL)
def test_another_administrator_has_no_access_either(database: Database, me: Person, owned: Owned, name: str) -> None:
    administrator = database.people.add(me, "Administrator", PersonRole.ADMINISTRATOR)
    before = everything(database)
    with pytest.raises(NotFound):
        ATTEMPTS[name][0](owned, administrator)
    assert everything(database) == before
    assert database.chat_sessions.all(administrator) == []


def test_a_turn_forged_from_two_peoples_ids_does_not_reach_the_other_persons_answer(
    database: Database, me: Person, owned: Owned
) -> None:
    foreigner = database.people.add(me, "Foreigner", PersonRole.USER)
    chat = database.chat_sessions.create(foreigner, title="Mine", configuration_id=None)
    mine = database.turns.begin(foreigner, chat.id, "Mine?", owned.start)
    forged = replace(owned.turn, call_id=mine.call_id)
    database.turns.finish(foreigner, forged, content="Mine", report=owned.report)
    assert database.chat_sessions.conversation(me, owned.chat.id).messages[-1].content == ""
    assert database.chat_sessions.conversation(foreigner, chat.id).messages[-1].content == "Mine"
