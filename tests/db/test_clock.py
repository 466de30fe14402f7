"""The clock of the machine is set back: no chat stays blocked, and the lists keep their order."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from connector import CallReport
from db import LEASE, CallStart, Database, MessageStatus, NewChat, Person, StillWriting, Written
from tests.db.conftest import ON_BOTH, Clock

Report = Callable[..., CallReport]
# Above the statements, which are the same on both databases.
pytestmark = ON_BOTH
BACK = pytest.mark.parametrize("back", [timedelta(seconds=30), timedelta(hours=1), timedelta(days=400)], ids=str)
A_MOMENT = timedelta(seconds=1)


@BACK
def test_the_chat_of_a_dead_writer_is_free_after_the_lease(
    database: Database, me: Person, start: CallStart, clock: Clock, back: timedelta
) -> None:
    dead = database.turns.begin(me, NewChat("A chat"), "One", start)
    alone = database.lone_answers.begin(me, "translate", {}, start)
    clock.now += LEASE + A_MOMENT - back
    database.turns.begin(me, dead.session_id, "Two", start)
    first = database.chat_sessions.conversation(me, dead.session_id).messages[1]
    assert first.status is MessageStatus.INTERRUPTED
    database.turns.recover()
    assert database.turns.written(me, alone.answer_id)[2] is MessageStatus.INTERRUPTED


@BACK
def test_a_living_writer_keeps_its_chat(
    database: Database, me: Person, start: CallStart, clock: Clock, back: timedelta
) -> None:
    turn = database.turns.begin(me, NewChat("A chat"), "One", start)
    clock.now -= back
    assert database.turns.keep(me, [Written(turn, "Hel")]) == set()
    database.turns.recover()
    with pytest.raises(StillWriting):
        database.turns.begin(me, turn.session_id, "Two", start)


@pytest.mark.parametrize("ahead", [timedelta(seconds=-8), timedelta(seconds=8)])
def test_the_clocks_of_two_machines_may_differ_by_less_than_the_lease(
    database: Database, me: Person, start: CallStart, clock: Clock, ahead: timedelta
) -> None:
    turn = database.turns.begin(me, NewChat("A chat"), "One", start)
    clock.now += ahead
    database.turns.recover()
    assert database.turns.written(me, turn.answer_id)[2] is MessageStatus.WRITING


@BACK
def test_the_last_changed_chat_comes_first(
    database: Database, me: Person, start: CallStart, report: Report, clock: Clock, back: timedelta
) -> None:
    for title in ("One", "Two", "Three"):
        turn = database.turns.begin(me, NewChat(title), "What?", start)
        database.turns.finish(me, turn, content="That.", report=report())
        clock.now -= back
    one = database.chat_sessions.all(me)[-1]
    assert [chat.title for chat in database.chat_sessions.all(me)] == ["Three", "Two", "One"]
    database.chat_sessions.update(me, one.id, title="First")
    assert [chat.title for chat in database.chat_sessions.all(me)] == ["First", "Three", "Two"]


def test_chats_of_the_same_moment_keep_their_order(database: Database, me: Person) -> None:
    titles = [str(number) for number in range(20)]
    for title in titles:
        database.chat_sessions.create(me, title=title, configuration_id=None)
    assert [chat.title for chat in database.chat_sessions.all(me)] == titles[::-1]


@BACK
def test_the_last_call_comes_first(
    database: Database, me: Person, start: CallStart, clock: Clock, back: timedelta
) -> None:
    calls: list[int] = []
    for _ in range(3):
        calls.append(database.lone_answers.begin(me, f"page {len(calls)}", {}, start).call_id)
        clock.now -= back
    assert [call.id for call in database.calls.recent(me)] == calls[::-1]
