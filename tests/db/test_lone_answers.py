"""Answers that stand alone: one at each place of each person, with its request, what was sent, and its response."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from connector import (
    AccessDenied,
    AnswerInterrupted,
    CallReport,
    CallStatus,
    ChatCompletionsResponse,
    Configuration,
    ConnectionFailed,
    ConnectorError,
    ContentFiltered,
    KeyRefused,
    NoAnswerInTime,
    NotFoundAtProvider,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RequestRefused,
    UnreadableAnswer,
)
from db import (
    LEASE,
    UNDO,
    CallStart,
    Database,
    LoneAnswer,
    MessageStatus,
    NewChat,
    NotFound,
    Person,
    PersonRole,
    SavedConfiguration,
    StillWriting,
    Turn,
    Written,
)
from tests.db.conftest import ENCRYPTION_KEY, ON_BOTH, Clock
from tests.db.processes import all_at_once

Open = Callable[..., Database]
Report = Callable[..., CallReport]
Sql = Callable[..., list[tuple[Any, ...]]]
ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Größe?\0"}], "temperature": 0.2}


class Place:
    """A page of a person, and short words for what happens on it."""

    def __init__(self, database: Database, me: Person, start: CallStart, report: Report) -> None:
        self.database, self.me, self.start, self.report = database, me, start, report

    def begin(self, place: str = "translate", asked: dict[str, Any] | None = None, who: Person | None = None) -> Turn:
        return self.database.lone_answers.begin(who or self.me, place, ASKED if asked is None else asked, self.start)

    def end(self, turn: Turn, content: str = "That.", **changes: Any) -> Turn:
        report = replace(self.report(), **changes)
        self.database.turns.finish(self.me, turn, content=content, report=report)
        return turn

    def last(self, place: str = "translate") -> LoneAnswer:
        answer = self.database.lone_answers.last(self.me, place)
        assert answer is not None
        return answer


@pytest.fixture
def there(database: Database, me: Person, start: CallStart, report: Report) -> Place:
    return Place(database, me, start, report)


def test_a_new_lone_answer_replaces_the_previous_one_and_keeps_its_call(there: Place, sql: Sql) -> None:
    assert there.database.lone_answers.last(there.me, "translate") is None
    first = there.end(there.begin(), "One")
    assert there.last().content == "One"
    there.begin()
    assert (there.last().content, there.last().status) == ("", MessageStatus.WRITING)
    assert sql("SELECT count(*) FROM messages") == [(1,)]
    assert there.database.calls.get(there.me, first.call_id).status is CallStatus.DONE


def test_one_answer_at_a_time_is_written_at_a_place(there: Place) -> None:
    friend = there.database.people.add(there.me, "Friend", PersonRole.USER)
    there.begin()
    with pytest.raises(StillWriting):
        there.begin()
    there.begin("translate:second")
    there.begin(who=friend)
    assert there.database.lone_answers.last(friend, "translate") != there.last()


def test_an_answer_that_cannot_begin_leaves_the_last_one_unchanged(there: Place, sql: Sql) -> None:
    def everything() -> list[list[tuple[Any, ...]]]:
        return [sql(f"SELECT * FROM {table} ORDER BY id") for table in ("chat_sessions", "messages", "calls")]

    there.end(there.begin(), "Kept")
    before = everything()
    there.start = replace(there.start, configuration_id="gone")
    with pytest.raises(NotFound, match="configuration"):
        there.begin()
    with pytest.raises(NotFound, match="configuration"):
        there.begin("elsewhere")
    assert everything() == before


def begin_at_once(line: Connection, url: str, start: CallStart) -> None:
    with closing(Database(url, encryption_key=ENCRYPTION_KEY)) as database:
        me = database.people.local()
        line.send("ready")
        line.recv()
        try:
            line.send(database.lone_answers.begin(me, "translate", ASKED, start).answer_id)
        except StillWriting:
            line.send(None)


@ON_BOTH
def test_of_four_processes_that_begin_at_once_one_writes(there: Place, url: str, sql: Sql) -> None:
    said = [answer for (answer,) in all_at_once(begin_at_once, url, there.start)]
    assert [answer for answer in said if answer is not None] == [there.last().id]
    for table in ("chat_sessions", "messages", "calls"):
        assert sql(f"SELECT count(*) FROM {table}") == [(1,)]


def test_a_conversation_of_the_same_page_is_left_alone(there: Place) -> None:
    """As on a page that has both: a tutor, say, and what was learnt in short."""
    talk = there.end(there.database.turns.begin(there.me, NewChat("Talk", page="tutor"), "Hello", there.start), "Hi")
    assert there.database.lone_answers.last(there.me, "tutor") is None
    for text in ("One", "Two"):
        there.end(there.begin("tutor"), text)
        assert there.last("tutor").content == text
    chats = there.database.chat_sessions
    assert [chat.id for chat in chats.all(there.me, page="tutor")] == [talk.session_id]
    assert [each.content for each in chats.conversation(there.me, talk.session_id).said] == ["Hello", "Hi"]


def test_after_its_writer_died_the_next_answer_begins_and_the_earlier_call_is_interrupted(
    there: Place, clock: Clock
) -> None:
    dead = there.begin()
    clock.now += LEASE + timedelta(seconds=1)
    there.end(there.begin(), "Two")
    assert there.last().content == "Two"
    assert there.database.calls.get(there.me, dead.call_id).status is CallStatus.INTERRUPTED
    assert there.database.turns.keep(there.me, [Written(dead, "Alive")]) == {dead.answer_id}
    assert there.last().content == "Two"


def test_an_abandoned_answer_is_interrupted_and_keeps_its_text(there: Place, clock: Clock) -> None:
    turn = there.begin()
    assert there.database.turns.keep(there.me, [Written(turn, "Half", "Hm")]) == set()
    clock.now += LEASE + timedelta(seconds=1)
    there.database.turns.recover()
    answer = there.last()
    assert (answer.content, answer.reasoning, answer.status) == ("Half", "Hm", MessageStatus.INTERRUPTED)
    assert answer.call.status is CallStatus.INTERRUPTED
    assert (answer.request, answer.response) == (ASKED, None)


def test_the_next_start_marks_a_running_answer_as_interrupted_until_its_result_is_stored(
    there: Place, open_database: Open, kind: str, clock: Clock
) -> None:
    turn = there.begin()
    there.database.turns.keep(there.me, [Written(turn, "Half")])
    there.database.close()
    if kind == "postgresql":  # where nobody can tell that no other process is there
        clock.now += LEASE + timedelta(seconds=1)
    there.database = open_database()
    answer = there.last()
    assert (answer.content, answer.status, answer.call.status) == (
        "Half",
        MessageStatus.INTERRUPTED,
        CallStatus.INTERRUPTED,
    )
    assert there.database.turns.keep(there.me, [Written(turn, "Half of")]) == set()
    assert there.last().status is MessageStatus.WRITING
    there.end(turn, "All of it")
    answer = there.last()
    assert (answer.content, answer.status, answer.call.status) == ("All of it", MessageStatus.COMPLETE, CallStatus.DONE)
    assert answer.response is not None


@ON_BOTH
def test_request_sent_request_and_response_are_read_back_unchanged(there: Place, sql: Sql) -> None:
    asked = ASKED | {"messages": [{"role": "user", "content": "x" * 5_000_000}]}
    sent = {"model": "m", "messages": asked["messages"], "stream": True}  # the temperature was not taken
    body: dict[str, Any] = {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "of_tomorrow": {"a": [1]},
        "choices": [
            {"index": index, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": None, **call}}
            for index, call in enumerate(
                [{}, {"tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}]}]
            )
        ],
    }
    response = ChatCompletionsResponse.construct(**body)
    there.end(there.begin(asked=asked), request=sent, response=response)
    answer = there.last()
    assert answer.request == asked
    assert answer.sent == sent
    assert list(answer.sent)[:2] == ["model", "messages"]
    assert answer.response is not None
    assert answer.response.to_dict(mode="json") == body
    assert [choice.index for choice in answer.response.choices] == [0, 1]
    ((stored,),) = sql("SELECT length(sent) FROM messages")
    assert stored < 100  # megabytes are there once


def test_messages_changed_by_adaptations_are_stored_as_sent(there: Place) -> None:
    sent = ASKED | {"messages": [{"role": "developer", "content": "Be kind."}]}
    there.end(there.begin(), request=sent)
    assert (there.last().request, there.last().sent) == (ASKED, sent)


def test_the_sent_request_has_no_parameter_that_was_not_sent(there: Place) -> None:
    asked = {"messages": ASKED["messages"]}
    there.begin(asked=asked)
    assert (there.last().request, there.last().sent) == (asked, asked)
    there.database.chat_sessions.delete(there.me, there.last().session_id)
    there.end(there.begin(asked=ASKED), request=asked)
    assert (there.last().request, there.last().sent) == (ASKED, asked)


@pytest.mark.parametrize(
    "odd",
    [
        {"_fields_set": 5, "self": 1, "cls": 2, "model_config": 3},
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": "x", "_fields_set": ["id"]}}]},
        {"choices": [{"finish_reason": "who knows"}], "created": "never", "usage": {"total_tokens": "many"}},
        {"choices": []},
    ],
    ids=range(4),
)
def test_any_response_is_read_back(there: Place, odd: dict[str, Any]) -> None:
    plain: dict[str, Any] = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
    body = plain | {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant"}}]} | odd
    try:
        response = ChatCompletionsResponse.model_validate(body)
    except ValueError:  # as the connector does where a server is sloppy
        try:
            response = ChatCompletionsResponse.construct(**body)
        except AttributeError:
            return  # and it takes this for no answer
    there.end(there.begin(), response=response)
    found = there.last().response
    assert found is not None
    assert found.to_dict(mode="json", warnings=False) == body


@pytest.mark.parametrize("status", [CallStatus.STOPPED, CallStatus.FAILED, CallStatus.INTERRUPTED])
def test_an_unfinished_answer_keeps_its_text_and_its_status(there: Place, status: CallStatus) -> None:
    error = RequestRefused("Not taken.") if status is CallStatus.FAILED else None
    there.end(there.begin(), "Half", status=status, error=error, response=None)
    answer = there.last()
    assert (answer.content, str(answer.status), answer.call.status) == ("Half", str(status), status)
    assert (answer.response, answer.sent) == (None, ASKED)


def test_clearing_a_place_stops_its_writer_and_stores_the_call(there: Place) -> None:
    turn = there.begin()
    there.database.chat_sessions.delete(there.me, there.last().session_id)
    assert there.database.lone_answers.last(there.me, "translate") is None
    assert there.database.turns.keep(there.me, [Written(turn, "Half")]) == {turn.answer_id}
    there.end(turn)
    assert there.database.calls.get(there.me, turn.call_id).status is CallStatus.DONE
    there.end(there.begin(), "Anew")
    assert there.last().content == "Anew"


def test_a_cleared_place_is_removed_after_its_writer_has_finished(there: Place, clock: Clock, sql: Sql) -> None:
    """Else its call would be under way for ever, where the writer is dead."""
    turn = there.begin()
    there.database.chat_sessions.delete(there.me, turn.session_id)
    clock.now += UNDO + timedelta(seconds=1)
    there.database.chat_sessions.forget_deleted()
    there.database.turns.recover()
    assert there.database.calls.get(there.me, turn.call_id).status is CallStatus.INTERRUPTED
    there.database.chat_sessions.forget_deleted()
    assert sql("SELECT (SELECT count(*) FROM chat_sessions), (SELECT count(*) FROM messages)") == [(0, 0)]


def test_a_deleted_configuration_leaves_its_answer(there: Place, saved: SavedConfiguration) -> None:
    turn = there.begin()
    there.database.configurations.delete(there.me, saved.id)
    there.end(turn, "Kept")
    answer = there.last()
    assert (answer.content, answer.status, answer.request) == ("Kept", MessageStatus.COMPLETE, ASKED)
    assert (answer.call.configuration_id, answer.call.configuration_name) == (None, "Mine")


def test_a_stop_is_asked_for_through_the_database(there: Place) -> None:
    turn = there.begin()
    there.database.turns.ask_to_stop(there.me, turn.answer_id)
    assert there.database.turns.keep(there.me, [Written(turn, "Half")]) == {turn.answer_id}


def test_nobody_else_sees_a_lone_answer(there: Place) -> None:
    there.end(there.begin(), "Mine")
    for role in PersonRole:
        other = there.database.people.add(there.me, role, role)
        assert there.database.lone_answers.last(other, "translate") is None
        with pytest.raises(NotFound):
            there.database.chat_sessions.delete(other, there.last().session_id)
    assert there.last().content == "Mine"


def test_lone_answers_are_not_listed_as_chats(there: Place) -> None:
    there.end(there.begin(), "A word to search for")
    there.database.turns.begin(there.me, NewChat("Talk", page="tutor"), "A word", there.start)
    chats = there.database.chat_sessions
    assert not chats.all(there.me)
    assert not chats.search(there.me, "word")
    assert [chat.title for chat in chats.all(there.me, page="tutor")] == ["Talk"]
    assert [each.chat.title for each in chats.search(there.me, "word", page="tutor")] == ["Talk"]


def test_a_backup_contains_lone_answers(there: Place, me: Person, tmp_path: Path) -> None:
    there.end(there.begin(), "Kept", request=ASKED | {"stream": True})
    before = there.last()
    there.database.back_up(me, tmp_path / "backup.db")
    there.end(there.begin(), "Later")
    there.database.restore(me, tmp_path / "backup.db", replaced=tmp_path / "replaced.db")
    assert there.last() == before


def test_a_running_answer_in_a_backup_is_interrupted_until_its_result_is_stored(
    there: Place, me: Person, tmp_path: Path
) -> None:
    turn = there.begin()
    there.database.turns.keep(me, [Written(turn, "Half")])
    there.database.back_up(me, tmp_path / "backup.db")
    there.database.restore(me, tmp_path / "backup.db", replaced=tmp_path / "replaced.db")
    answer = there.last()
    assert (answer.content, answer.status, answer.request) == ("Half", MessageStatus.INTERRUPTED, ASKED)
    there.end(turn, "All of it")
    assert (there.last().content, there.last().status) == ("All of it", MessageStatus.COMPLETE)


# -- why requests were refused


@ON_BOTH
def test_refusals_are_the_last_ones_of_a_model_on_these_pages(
    there: Place, saved: SavedConfiguration, start: CallStart
) -> None:
    calls = there.database.calls

    def book(page: str, sentence: str | None, operation: str = "call_api", model: str = start.model_asked) -> None:
        its = replace(start, page=page, operation=operation, model_asked=model)
        error = RequestRefused(sentence) if sentence else None
        status = CallStatus.FAILED if sentence else CallStatus.DONE
        calls.add(there.me, its, replace(there.report(), error=error, status=status))

    def refusals(*pages: str) -> list[str]:
        return calls.refusals(there.me, saved.id, start.model_asked, pages)

    assert refusals("vision") == []
    book("vision", "One.")
    book("vision", "Two.")
    book("configurations", "Probed.", operation="probe")
    book("vision", "Of another.", model="other")
    book("chat", "Elsewhere.")
    assert refusals("vision") == ["Probed.", "Two.", "One."]
    assert refusals("chat") == ["Elsewhere.", "Probed."]
    book("chat", None)
    assert refusals("vision") == ["Probed.", "Two.", "One."]
    book("vision", None)
    assert refusals("vision") == []


def test_refusals_are_what_is_said_of_the_request_and_not_of_the_key_or_the_network(
    there: Place, saved: SavedConfiguration, start: CallStart
) -> None:
    kinds: list[type[ConnectorError]] = [
        *(RequestRefused, NotFoundAtProvider, ProviderUnavailable),
        *(KeyRefused, AccessDenied, RateLimited, QuotaExceeded, ContentFiltered),
        *(ConnectionFailed, NoAnswerInTime, UnreadableAnswer, AnswerInterrupted, ConnectorError),
    ]
    for kind in kinds:
        failed = replace(there.report(), error=kind(kind.__name__), status=CallStatus.FAILED)
        there.database.calls.add(there.me, replace(start, page="vision"), failed)
    found = there.database.calls.refusals(there.me, saved.id, start.model_asked, ["vision"])
    assert found == ["ProviderUnavailable", "NotFoundAtProvider", "RequestRefused"]


def test_refusals_are_a_persons_own_and_of_one_configuration(
    there: Place, saved: SavedConfiguration, start: CallStart, configuration: Configuration
) -> None:
    database, me = there.database, there.me
    other = database.configurations.add(me, Configuration(**{**dict(configuration), "display_name": "Other"}))
    friend = database.people.add(me, "Friend", PersonRole.USER)
    its = replace(start, page="vision")
    failed = replace(there.report(), error=RequestRefused("Mine."), status=CallStatus.FAILED)
    database.calls.add(me, its, failed)
    database.calls.add(me, replace(its, configuration_id=other.id), replace(failed, error=RequestRefused("Other.")))
    assert database.calls.refusals(me, saved.id, start.model_asked, ["vision"]) == ["Mine."]
    assert database.calls.refusals(me, other.id, start.model_asked, ["vision"]) == ["Other."]
    assert database.calls.refusals(friend, saved.id, start.model_asked, ["vision"]) == []
    database.calls.add(friend, its, there.report())
    database.calls.add(friend, its, replace(failed, error=RequestRefused("Theirs.")))
    assert database.calls.refusals(friend, saved.id, start.model_asked, ["vision"]) == ["Theirs."]


@pytest.mark.parametrize("status", [status for status in CallStatus if status is not CallStatus.DONE])
def test_only_an_answer_takes_a_refusal_back(
    there: Place, saved: SavedConfiguration, start: CallStart, status: CallStatus
) -> None:
    there.start = replace(start, page="vision")
    refused = replace(there.report(), error=RequestRefused("No."), status=CallStatus.FAILED)
    there.database.calls.add(there.me, there.start, refused)
    turn = there.begin("vision")
    if status is not CallStatus.RUNNING:
        there.end(turn, "Half", status=status)
    assert there.database.calls.refusals(there.me, saved.id, start.model_asked, ["vision"]) == ["No."]
