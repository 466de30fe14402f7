"""Chats: turns, their order, and what a deletion takes along."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

import pytest

from connector import CallReport, CallStatus, ProviderUnavailable, Role
from db import UNDO, CallStart, ChatSession, Database, MessageStatus, NotFound, Person, SavedConfiguration
from tests.db.conftest import ENCRYPTION_KEY, ON_BOTH
from tests.db.processes import beside

Sql = Callable[..., list[tuple[Any, ...]]]
Report = Callable[..., CallReport]


@pytest.fixture
def chat(database: Database, me: Person, saved: SavedConfiguration) -> ChatSession:
    return database.chat_sessions.create(
        me, title="A chat", configuration_id=saved.id, model="m", system_prompt="Be brief."
    )


def test_a_chat_comes_back_as_it_was_made(database: Database, me: Person, chat: ChatSession) -> None:
    assert database.chat_sessions.get(me, chat.id) == chat
    assert database.chat_sessions.all(me) == [chat]
    assert database.chat_sessions.conversation(me, chat.id).messages == ()
    assert (chat.title, chat.model, chat.system_prompt) == ("A chat", "m", "Be brief.")


@ON_BOTH
def test_the_last_changed_chat_is_listed_first(database: Database, me: Person, start: CallStart, clock: Any) -> None:
    def later() -> None:
        clock.now = clock.now.replace(minute=clock.now.minute + 1)

    ids = []
    for n in range(4):
        ids.append(database.chat_sessions.create(me, title=str(n), configuration_id=None).id)
        later()
    database.turns.begin(me, ids[1], "Hello", start)
    later()
    database.chat_sessions.update(me, ids[0], title="Renamed")
    assert [each.id for each in database.chat_sessions.all(me, limit=3)] == [ids[0], ids[1], ids[3]]


def test_a_turn_is_stored_before_its_answer_is_there(
    database: Database, me: Person, chat: ChatSession, start: CallStart
) -> None:
    turn = database.turns.begin(me, chat.id, "Hello?", start)
    question, answer = database.chat_sessions.conversation(me, chat.id).messages
    assert (question.id, question.role, question.content) == (turn.user_message_id, Role.USER, "Hello?")
    assert (question.status, question.call) == (MessageStatus.COMPLETE, None)
    assert (answer.id, answer.role, answer.content) == (turn.answer_id, Role.ASSISTANT, "")
    assert answer.status is MessageStatus.WRITING
    assert answer.call is not None
    assert (answer.call.id, answer.call.status) == (turn.call_id, CallStatus.RUNNING)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (CallStatus.DONE, MessageStatus.COMPLETE),
        (CallStatus.STOPPED, MessageStatus.STOPPED),
        (CallStatus.INTERRUPTED, MessageStatus.INTERRUPTED),
        (CallStatus.FAILED, MessageStatus.FAILED),
    ],
)
def test_an_answer_ends_as_its_call_did(
    database: Database,
    me: Person,
    chat: ChatSession,
    start: CallStart,
    report: Report,
    status: CallStatus,
    expected: MessageStatus,
) -> None:
    turn = database.turns.begin(me, chat.id, "Hello?", start)
    error = ProviderUnavailable("Down.") if status is CallStatus.FAILED else None
    database.turns.finish(me, turn, content="Hello.", report=report(status, error=error))
    answer = database.chat_sessions.conversation(me, chat.id).messages[-1]
    assert (answer.content, answer.status) == ("Hello.", expected)
    assert answer.call is not None
    assert answer.call.status is status
    assert answer.finish_reason == answer.call.finish_reason == (None if error else "stop")


def test_an_answer_is_finished_once(
    database: Database, me: Person, chat: ChatSession, start: CallStart, report: Report
) -> None:
    turn = database.turns.begin(me, chat.id, "Hello?", start)
    database.turns.finish(me, turn, content="Hello.", report=report())
    with pytest.raises(NotFound):
        database.turns.finish(me, turn, content="Overwritten.", report=report())
    assert database.chat_sessions.conversation(me, chat.id).messages[-1].content == "Hello."


def refuse(kind: str, sql: Sql, what: str, when: str) -> None:
    """From now on the database takes no such change of a message."""
    if kind == "sqlite":
        sql(f"CREATE TRIGGER refuse BEFORE {what} ON messages WHEN {when} BEGIN SELECT raise(ABORT, 'no'); END")
        return
    sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'")
    sql(f"CREATE TRIGGER refuse BEFORE {what} ON messages FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION refuse()")


def test_a_turn_that_cannot_begin_stores_nothing(
    database: Database, me: Person, chat: ChatSession, start: CallStart, sql: Sql, kind: str
) -> None:
    refuse(kind, sql, "INSERT", "NEW.position = 2")
    with pytest.raises(Exception, match="refused"):
        database.turns.begin(me, chat.id, "Hello?", start)
    assert database.chat_sessions.conversation(me, chat.id).messages == ()
    assert database.calls.recent(me) == []
    assert sql("SELECT count(*) FROM messages") == [(0,)]


def test_an_answer_that_cannot_be_stored_leaves_its_call_running(
    database: Database, me: Person, chat: ChatSession, start: CallStart, report: Report, sql: Sql, kind: str
) -> None:
    turn = database.turns.begin(me, chat.id, "Hello?", start)
    refuse(kind, sql, "UPDATE", "1 = 1")
    with pytest.raises(Exception, match="refused"):
        database.turns.finish(me, turn, content="Hello.", report=report())
    assert database.calls.recent(me)[0].status is CallStatus.RUNNING


@ON_BOTH
def test_fifty_messages_of_the_same_second_keep_their_order_in_another_process(
    database: Database, me: Person, chat: ChatSession, start: CallStart, report: Report, url: str, sql: Sql
) -> None:
    for n in range(25):
        turn = database.turns.begin(me, chat.id, f"question {n}", start)
        database.turns.finish(me, turn, content=f"answer {n}", report=report())
    database.close()
    assert sql("SELECT count(DISTINCT created_at) FROM messages") == [(1,)]

    with beside(read_out, url, chat.id) as process:
        assert process.said() == [f"{kind} {n}" for n in range(25) for kind in ("question", "answer")]


def read_out(line: Connection, url: str, chat: str) -> None:
    with closing(Database(url, encryption_key=ENCRYPTION_KEY)) as database:
        for message in database.chat_sessions.conversation(database.people.local(), chat).messages:
            line.send(message.content)


def test_the_conversation_is_the_branch_that_leads_to_the_last_message(
    database: Database, me: Person, chat: ChatSession, start: CallStart, report: Report, sql: Sql
) -> None:
    turns = []
    for number in range(3):
        turns.append(database.turns.begin(me, chat.id, str(number), start))
        database.turns.finish(me, turns[-1], content="", report=report())
    sql("UPDATE messages SET parent_id = ? WHERE id = ?", turns[0].answer_id, turns[2].user_message_id)
    assert [message.content for message in database.chat_sessions.conversation(me, chat.id).messages] == [
        "0",
        "",
        "2",
        "",
    ]


def test_an_update_changes_only_the_given_fields(database: Database, me: Person, chat: ChatSession, clock: Any) -> None:
    clock.now = clock.now.replace(hour=20)
    expected = replace(chat, title="New", system_prompt="", changed_at=clock.now)
    assert database.chat_sessions.update(me, chat.id, title="New", system_prompt="") == expected
    assert database.chat_sessions.get(me, chat.id) == expected
    assert database.chat_sessions.update(me, chat.id, model="other").model == "other"
    with pytest.raises(NotFound):
        database.chat_sessions.update(me, chat.id, configuration_id="nothing")


def test_a_deleted_chat_takes_its_messages_and_leaves_its_calls(
    database: Database, me: Person, chat: ChatSession, start: CallStart, report: Report, sql: Sql, clock: Any
) -> None:
    other = database.chat_sessions.create(me, title="Other", configuration_id=None)
    for each in (chat, other):
        turn = database.turns.begin(me, each.id, "Hello?", start)
        database.turns.finish(me, turn, content="Hello.", report=report(usage=USAGE))
    database.chat_sessions.delete(me, chat.id)
    with pytest.raises(NotFound):
        database.chat_sessions.conversation(me, chat.id)
    assert [each.id for each in database.chat_sessions.all(me)] == [other.id]
    clock.now += UNDO + timedelta(seconds=1)
    database.chat_sessions.forget_deleted()
    assert sql("SELECT DISTINCT session_id FROM messages") == [(other.id,)]
    assert [call.total_tokens for call in database.calls.recent(me)] == [8, 8]


def test_the_result_of_a_call_is_stored_although_its_chat_was_deleted_meanwhile(
    database: Database, me: Person, chat: ChatSession, start: CallStart, report: Report
) -> None:
    turn = database.turns.begin(me, chat.id, "Hello?", start)
    database.chat_sessions.delete(me, chat.id)
    database.turns.finish(me, turn, content="Hello.", report=report(usage=USAGE))
    assert [(call.status, call.total_tokens) for call in database.calls.recent(me)] == [(CallStatus.DONE, 8)]


def test_a_chat_outlives_its_configuration(
    database: Database, me: Person, chat: ChatSession, saved: SavedConfiguration, start: CallStart
) -> None:
    database.turns.begin(me, chat.id, "Hello?", start)
    database.configurations.delete(me, saved.id)
    assert database.chat_sessions.get(me, chat.id).configuration_id is None
    call = database.chat_sessions.conversation(me, chat.id).messages[-1].call
    assert call is not None
    assert (call.configuration_id, call.configuration_name) == (None, "Mine")
    with pytest.raises(NotFound, match="configuration"):
        database.turns.begin(me, chat.id, "Again?", start)


USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
