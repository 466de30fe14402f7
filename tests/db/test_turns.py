"""Turns: the lease, what a writer keeps, branches, answers side by side, pictures, deleted chats, and what is found."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

import pytest

from connector import AnswerInterrupted, CallReport, CallStatus, Configuration, Role
from db import (
    LEASE,
    UNDO,
    CallStart,
    ChatSession,
    Database,
    Image,
    MessageStatus,
    NewChat,
    NotFound,
    Person,
    PersonRole,
    Question,
    SavedConfiguration,
    StillWriting,
    StorageError,
    StoredMessage,
    Turn,
    Written,
)
from tests.db.conftest import ENCRYPTION_KEY, ON_BOTH
from tests.db.processes import all_at_once

Sql = Callable[..., list[tuple[Any, ...]]]
Open = Callable[..., Database]
MOMENT = timedelta(seconds=1)
PICTURES = (Image("image/png", b"\x89PNG\r\n\0\xff"), Image("image/jpeg", bytes(range(256)) * 40))


class Chatting:
    """One chat of a person, and short words for what happens in it."""

    def __init__(self, database: Database, me: Person, start: CallStart, report: Callable[..., CallReport]) -> None:
        self.database = database
        self.me = me
        self.start = start
        self.report = report
        self.id = database.chat_sessions.create(me, title="A chat", configuration_id=start.configuration_id).id

    def begin(self, question: Question | str = "What?", **options: Any) -> Turn:
        return self.database.turns.begin(self.me, self.id, question, self.start, **options)

    def edit(self, question_id: int, question: str, **options: Any) -> Turn:
        return self.database.turns.edit(self.me, self.id, question_id, question, self.start, **options)

    def ask_again(self, answer_id: int, **options: Any) -> Turn:
        return self.database.turns.ask_again(self.me, self.id, answer_id, self.start, **options)

    def end(self, turn: Turn, content: str = "That.", **options: Any) -> Turn:
        self.database.turns.finish(self.me, turn, content=content, report=self.report(), **options)
        return turn

    def say(self, question: str, answer: str, **options: Any) -> Turn:
        return self.end(self.begin(question, **options), answer)

    def keep(self, *written: Written) -> set[int]:
        return self.database.turns.keep(self.me, written)

    def said(self) -> list[str]:
        """The current branch."""
        return [each.content for each in self.database.chat_sessions.conversation(self.me, self.id).said]

    def choose(self, message_id: int) -> list[str]:
        self.database.chat_sessions.choose(self.me, self.id, message_id)
        return self.said()

    def message(self, id: int) -> StoredMessage:
        """One on the current branch, or beside its end."""
        found = self.database.chat_sessions.conversation(self.me, self.id)
        return next(each for each in (*found.messages, found.beside) if each and each.id == id)

    def status(self, turn: Turn) -> tuple[MessageStatus, CallStatus]:
        return self.message(turn.answer_id).status, self.database.calls.get(self.me, turn.call_id).status

    def is_free(self) -> bool:
        """Whether another answer may begin; it does not."""
        try:
            self.ask_again(0)
        except StillWriting:
            return False
        except NotFound:  # there is no message 0, and all was taken back
            return True
        raise AssertionError("message 0 was answered")


WRITING = (MessageStatus.WRITING, CallStatus.RUNNING)
INTERRUPTED = (MessageStatus.INTERRUPTED, CallStatus.INTERRUPTED)


@pytest.fixture
def chat(database: Database, me: Person, start: CallStart, report: Callable[..., CallReport]) -> Chatting:
    return Chatting(database, me, start, report)


def everything(sql: Sql) -> list[list[tuple[Any, ...]]]:
    return [sql(f"SELECT * FROM {table} ORDER BY id") for table in ("chat_sessions", "messages", "images", "calls")]


def test_nothing_is_stored_while_an_answer_is_still_being_written(chat: Chatting, sql: Sql) -> None:
    chat.begin("One")
    before = everything(sql)
    for question in ("Two", Question("Two", PICTURES)):
        with pytest.raises(StillWriting):
            chat.begin(question)
    with pytest.raises(StillWriting):
        chat.begin("Two", beside=chat.start, model="other")
    assert everything(sql) == before


@ON_BOTH
def test_another_chat_is_not_kept_waiting(
    chat: Chatting, database: Database, me: Person, start: CallStart, report: Callable[..., CallReport]
) -> None:
    chat.begin("One")
    other = Chatting(database, me, start, report)
    assert other.say("One", "1")
    assert not chat.is_free()


def begin_at_once(line: Connection, url: str, chat: str, start: CallStart) -> None:
    with closing(Database(url, encryption_key=ENCRYPTION_KEY)) as database:
        me = database.people.local()
        line.send("ready")
        line.recv()
        try:
            line.send(database.turns.begin(me, chat, "Me!", start).answer_id)
        except StillWriting:
            line.send(None)


@ON_BOTH
def test_of_four_processes_that_begin_at_once_one_writes(
    chat: Chatting, database: Database, me: Person, start: CallStart, url: str, sql: Sql
) -> None:
    said = [answer for (answer,) in all_at_once(begin_at_once, url, chat.id, start)]
    (winner,) = [answer for answer in said if answer is not None]
    assert sql("SELECT content FROM messages ORDER BY id") == [("Me!",), ("",)]
    assert database.chat_sessions.conversation(me, chat.id).messages[-1].id == winner
    assert len(database.calls.recent(me)) == 1


def test_of_eight_threads_that_begin_at_once_one_writes(chat: Chatting) -> None:
    def begin(number: int) -> int:
        try:
            chat.begin(str(number))
        except StillWriting:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(begin, range(8))) == 1
    assert len(chat.said()) == 2


@ON_BOTH
def test_a_lease_that_nobody_renews_runs_out(chat: Chatting, database: Database, clock: Any) -> None:
    turn = chat.begin("One")
    clock.now += LEASE
    database.turns.recover()
    assert (chat.status(turn), chat.is_free()) == (WRITING, False)
    clock.now += MOMENT
    database.turns.recover()
    assert (chat.status(turn), chat.is_free()) == (INTERRUPTED, True)
    chat.say("Two", "2")
    assert chat.said() == ["One", "", "Two", "2"]


def test_a_turn_after_an_expired_lease_takes_the_lease_over(chat: Chatting, database: Database, clock: Any) -> None:
    dead = chat.begin("One")
    clock.now += LEASE + MOMENT
    turn = chat.begin("Two")
    assert chat.keep(Written(turn, "2")) == set()
    database.turns.recover()
    assert chat.status(dead) == INTERRUPTED
    chat.end(turn)
    assert chat.is_free()


@ON_BOTH
def test_a_call_may_take_hours_while_others_die(
    chat: Chatting, database: Database, me: Person, start: CallStart, report: Callable[..., CallReport], clock: Any
) -> None:
    turn = chat.begin("One")
    clock.now += timedelta(hours=3)
    chat.keep(Written(turn, "1"))
    other = Chatting(database, me, start, report)
    dead = other.begin("One")
    clock.now += LEASE + MOMENT
    chat.keep(Written(turn, "1 and"))
    database.turns.recover()
    assert (chat.status(turn), other.status(dead)) == (WRITING, INTERRUPTED)


@ON_BOTH
def test_what_is_kept_is_stored_and_renews_the_lease(chat: Chatting, database: Database, clock: Any) -> None:
    turn = chat.begin("One")
    for number in range(1, 5):
        clock.now += LEASE - MOMENT
        assert chat.keep(Written(turn, "word " * number, "thought " * number)) == set()
        database.turns.recover()
        answer = chat.message(turn.answer_id)
        assert (answer.content, answer.reasoning) == ("word " * number, "thought " * number)
        assert database.turns.written(chat.me, turn.answer_id) == (
            answer.content,
            answer.reasoning,
            MessageStatus.WRITING,
        )
        assert (chat.status(turn), chat.is_free()) == (WRITING, False)


def test_several_answers_are_kept_at_once(
    database: Database, me: Person, start: CallStart, report: Callable[..., CallReport], clock: Any
) -> None:
    chats = [Chatting(database, me, start, report) for _ in range(3)]
    turns = [each.begin() for each in chats]
    clock.now += LEASE
    for number in range(2):
        assert chats[0].keep(*(Written(turn, f"{turn.answer_id}.{number}") for turn in turns)) == set()
    clock.now += MOMENT
    database.turns.recover()
    assert [each.message(turn.answer_id).content for each, turn in zip(chats, turns, strict=True)] == [
        f"{turn.answer_id}.1" for turn in turns
    ]
    assert [each.status(turn) for each, turn in zip(chats, turns, strict=True)] == [WRITING] * 3
    assert chats[0].keep() == set()


def test_an_answer_marked_as_interrupted_continues_when_more_text_is_stored(
    chat: Chatting, database: Database, clock: Any
) -> None:
    turn = chat.begin("One")
    clock.now += LEASE + MOMENT
    database.turns.recover()
    assert chat.keep(Written(turn, "Not dead")) == set()
    assert (chat.message(turn.answer_id).status, chat.is_free()) == (MessageStatus.WRITING, False)
    assert chat.message(turn.answer_id).content == "Not dead"
    chat.end(turn, "Not dead yet")
    assert (chat.message(turn.answer_id).content, chat.is_free()) == ("Not dead yet", True)
    assert chat.status(turn) == (MessageStatus.COMPLETE, CallStatus.DONE)


@pytest.mark.parametrize("status", [status for status in CallStatus if status is not CallStatus.RUNNING])
def test_a_finished_answer_is_not_changed_any_more(
    chat: Chatting, database: Database, me: Person, report: Callable[..., CallReport], status: CallStatus
) -> None:
    """Whoever keeps may have looked at the answer before it ended, and come after."""
    turn = chat.begin()
    error = None if status in {CallStatus.DONE, CallStatus.STOPPED} else AnswerInterrupted("It broke off.")
    database.turns.finish(me, turn, content="All of it", reasoning="Why", report=report(status, error=error))
    ended = chat.message(turn.answer_id)
    assert chat.keep(Written(turn, "All", "W")) == {turn.answer_id}
    assert chat.message(turn.answer_id) == ended
    assert chat.is_free()


def test_keep_returns_the_answers_to_stop(
    database: Database, me: Person, start: CallStart, report: Callable[..., CallReport]
) -> None:
    goes_on, asked, deleted = chats = [Chatting(database, me, start, report) for _ in range(3)]
    turns = [each.begin() for each in chats]
    database.turns.ask_to_stop(me, turns[1].answer_id)
    database.chat_sessions.delete(me, deleted.id)
    for _ in range(2):  # until they have ended
        written = [Written(turn, f"of {turn.answer_id}") for turn in turns]
        assert goes_on.keep(*written) == {turns[1].answer_id, turns[2].answer_id}
    assert asked.message(turns[1].answer_id).content == f"of {turns[1].answer_id}"
    assert goes_on.message(turns[0].answer_id).content == f"of {turns[0].answer_id}"
    # What was said when the chat was deleted is not lost to who brings it back.
    deleted.end(turns[2], "The end")
    database.chat_sessions.undelete(me, deleted.id)
    assert (deleted.said(), deleted.is_free()) == (["What?", "The end"], True)


def test_keep_does_not_change_other_peoples_answers(
    chat: Chatting, database: Database, me: Person, sql: Sql, clock: Any
) -> None:
    turn = chat.begin()
    before = everything(sql)
    eve = database.people.add(me, "Eve", PersonRole.ADMINISTRATOR)
    clock.now += MOMENT
    assert database.turns.keep(eve, [Written(turn, "Eve was here")]) == {turn.answer_id}
    assert everything(sql) == before
    for forbidden in (database.turns.ask_to_stop, database.turns.written):
        with pytest.raises(NotFound):
            forbidden(eve, turn.answer_id)
    assert everything(sql) == before


def test_an_edited_question_is_a_branch_beside_the_old_one(chat: Chatting, database: Database, me: Person) -> None:
    first = chat.say("One", "1")
    second = chat.say("Two", "2")
    third = chat.say("Three", "3")
    edited = chat.end(chat.edit(second.user_message_id, "Two?"), "2!")
    assert chat.said() == ["One", "1", "Two?", "2!"]
    versions = database.chat_sessions.conversation(me, chat.id).versions
    assert versions == {edited.user_message_id: (second.user_message_id, edited.user_message_id)}
    assert chat.choose(second.user_message_id) == ["One", "1", "Two", "2", "Three", "3"]
    assert database.chat_sessions.conversation(me, chat.id).versions == {
        second.user_message_id: (second.user_message_id, edited.user_message_id)
    }
    assert chat.choose(edited.answer_id) == ["One", "1", "Two?", "2!"]
    another = chat.end(chat.edit(first.user_message_id, "Eins"), "I")
    assert chat.said() == ["Eins", "I"]
    assert database.chat_sessions.conversation(me, chat.id).versions == {
        another.user_message_id: (first.user_message_id, another.user_message_id)
    }
    assert chat.choose(third.user_message_id)[-1] == "3"


def test_another_answer_is_a_branch_beside_the_old_one(chat: Chatting, database: Database, me: Person) -> None:
    chat.say("One", "1")
    old = chat.say("Two", "2")
    new = chat.ask_again(old.answer_id)
    assert new.user_message_id == old.user_message_id
    assert not chat.is_free()
    chat.end(new, "II")
    assert chat.said() == ["One", "1", "Two", "II"]
    found = database.chat_sessions.conversation(me, chat.id)
    assert found.versions == {new.answer_id: (old.answer_id, new.answer_id)}
    assert chat.choose(old.answer_id) == ["One", "1", "Two", "2"]
    chat.say("Three", "3")
    assert chat.said() == ["One", "1", "Two", "2", "Three", "3"]
    assert chat.choose(new.answer_id) == ["One", "1", "Two", "II"]
    assert chat.choose(old.answer_id) == ["One", "1", "Two", "2", "Three", "3"]


def test_a_chosen_branch_is_current_up_to_its_newest_message(chat: Chatting) -> None:
    first = chat.say("One", "1")
    chat.end(chat.ask_again(first.answer_id), "I")
    chat.choose(first.answer_id)
    chat.say("Two", "2")  # behind the older answer
    chat.end(chat.edit(first.user_message_id, "Uno"), "1!")
    assert chat.choose(first.user_message_id) == ["One", "1", "Two", "2"]


def test_only_messages_of_the_chat_can_be_chosen_edited_or_answered_again(
    chat: Chatting, database: Database, me: Person, start: CallStart, report: Callable[..., CallReport], sql: Sql
) -> None:
    first = chat.say("One", "1")
    other = Chatting(database, me, start, report)
    theirs = other.say("Other", "o")
    before = everything(sql)
    for there_is_none in (theirs.user_message_id, theirs.answer_id, 0):
        with pytest.raises(NotFound):
            chat.choose(there_is_none)
        with pytest.raises(NotFound):
            chat.edit(there_is_none, "Instead")
        with pytest.raises(NotFound):
            chat.ask_again(there_is_none)
    with pytest.raises(NotFound):  # a question is no answer
        chat.ask_again(first.user_message_id)
    with pytest.raises(NotFound):  # and an answer no question
        chat.edit(first.answer_id, "Instead")
    assert everything(sql) == before


@ON_BOTH
@pytest.mark.parametrize("steps", [25, pytest.param(300, marks=pytest.mark.soak)])
def test_branches_made_at_random_are_read_back_as_made(chat: Chatting, steps: int) -> None:
    """Whatever is edited, asked again and chosen: the branch is the one that a model of it, a dictionary, says."""
    dice = random.Random(20260301)
    parents: dict[int, int | None] = {}
    texts: dict[int, str] = {}
    turns: list[Turn] = []
    at: int | None = None

    def branch(of: int | None) -> list[str]:
        found: list[str] = []
        while of is not None:
            found.insert(0, texts[of])
            of = parents[of]
        return found

    def end_of(message: int) -> int:
        behind = [message]
        for id, parent in parents.items():
            if parent in behind:
                behind.append(id)
        return max(behind)

    for number in range(steps):
        what = dice.choice(("say", "edit", "again", "choose")) if turns else "say"
        other = dice.choice(turns) if turns else None
        if what == "choose":
            assert other
            chosen = dice.choice((other.user_message_id, other.answer_id))
            at = end_of(chosen)
            assert chat.choose(chosen) == branch(at), number
            continue
        question = f"question {number}"
        if other and what == "again":
            turn = chat.ask_again(other.answer_id)
        elif other and what == "edit":
            turn = chat.edit(other.user_message_id, question)
            parents[turn.user_message_id], texts[turn.user_message_id] = parents[other.user_message_id], question
        else:
            turn = chat.begin(question)
            parents[turn.user_message_id], texts[turn.user_message_id] = at, question
        chat.end(turn, f"answer {number}")
        parents[turn.answer_id], texts[turn.answer_id] = turn.user_message_id, f"answer {number}"
        turns.append(turn)
        at = turn.answer_id
        assert chat.said() == branch(at), number


def test_two_answers_side_by_side_have_one_lease(chat: Chatting, database: Database, me: Person, clock: Any) -> None:
    chat.say("One", "1")
    turn = chat.begin("Two", earlier_sent=2, beside=chat.start)
    other = turn.beside
    assert other is not None
    assert (other.session_id, other.user_message_id) == (turn.session_id, turn.user_message_id)
    assert other.call_id != turn.call_id
    found = database.chat_sessions.conversation(me, chat.id)
    assert found.beside is not None
    assert (found.messages[-1].id, found.beside.id, found.beside.beside_id) == (
        turn.answer_id,
        other.answer_id,
        turn.answer_id,
    )
    assert (found.messages[-1].earlier_sent, found.beside.earlier_sent) == (2, 0)
    clock.now += LEASE
    assert chat.keep(Written(turn, "a"), Written(other, "b", "c")) == set()
    clock.now += MOMENT
    database.turns.recover()
    assert (chat.status(turn), chat.status(other)) == (WRITING, WRITING)
    chat.end(other, "Bee")
    assert not chat.is_free()
    chat.end(turn, "Ay")
    assert chat.is_free()
    assert chat.said() == ["One", "1", "Two", "Ay"]
    assert chat.message(other.answer_id).content == "Bee"
    chat.say("Three", "3")
    assert chat.said() == ["One", "1", "Two", "Ay", "Three", "3"]
    assert database.chat_sessions.conversation(me, chat.id).beside is None


def test_a_chat_can_continue_after_the_answer_without_history(chat: Chatting) -> None:
    turn = chat.begin("One", beside=chat.start)
    assert turn.beside
    chat.end(turn, "Ay")
    chat.end(turn.beside, "Bee")
    assert chat.choose(turn.beside.answer_id) == ["One", "Bee"]
    chat.say("Two", "2")
    assert chat.said() == ["One", "Bee", "Two", "2"]
    assert chat.choose(turn.answer_id) == ["One", "Ay"]


def test_two_answers_side_by_side_are_both_shown_when_chosen_again(
    chat: Chatting, database: Database, me: Person
) -> None:
    turn = chat.begin("One", beside=chat.start)
    assert turn.beside
    chat.end(turn, "Ay")
    chat.end(turn.beside, "Bee")
    chat.end(chat.edit(turn.user_message_id, "Uno"), "1")
    assert chat.choose(turn.user_message_id) == ["One", "Ay"]
    beside = database.chat_sessions.conversation(me, chat.id).beside
    assert beside is not None
    assert beside.content == "Bee"


def test_two_answers_side_by_side_are_interrupted_together(chat: Chatting, database: Database, clock: Any) -> None:
    turn = chat.begin("One", beside=chat.start)
    assert turn.beside
    clock.now += LEASE + MOMENT
    database.turns.recover()
    assert (chat.status(turn), chat.status(turn.beside)) == (INTERRUPTED, INTERRUPTED)
    assert chat.is_free()


def test_a_new_chat_and_its_first_turn_are_one(
    database: Database, me: Person, start: CallStart, saved: SavedConfiguration
) -> None:
    new = NewChat("Hello", system_prompt="Be brief.", history_turns=3)
    turn = database.turns.begin(me, new, "Hello?", start, model="gpt-chosen")
    made = database.chat_sessions.get(me, turn.session_id)
    assert (made.title, made.system_prompt, made.history_turns) == ("Hello", "Be brief.", 3)
    assert (made.configuration_id, made.model) == (saved.id, "gpt-chosen")
    assert [each.content for each in database.chat_sessions.conversation(me, made.id).said] == ["Hello?", ""]
    with pytest.raises(StillWriting):
        database.turns.begin(me, turn.session_id, "And?", start)


def test_a_new_chat_whose_turn_cannot_begin_stores_nothing(
    database: Database, me: Person, start: CallStart, sql: Sql
) -> None:
    gone = replace(start, configuration_id="gone")
    question = Question("Hello?", PICTURES)
    with pytest.raises(NotFound, match="configuration"):
        database.turns.begin(me, NewChat("Hello"), question, gone)
    with pytest.raises(NotFound, match="configuration"):
        database.turns.begin(me, NewChat("Hello"), question, start, beside=gone)
    with pytest.raises(StorageError, match="invalid character"):
        database.turns.begin(me, NewChat("Hello"), "\ud83d", start)
    assert everything(sql) == [[], [], [], []]


def test_the_chat_goes_on_with_the_configuration_and_model_of_its_last_turn(
    chat: Chatting, database: Database, me: Person, configuration: Configuration
) -> None:
    def stands() -> tuple[str | None, str]:
        found: ChatSession = database.chat_sessions.get(me, chat.id)
        return found.configuration_id, found.model

    other = database.configurations.add(me, configuration.model_copy(update={"display_name": "Other"}))
    chat.end(chat.begin(model="gpt-two"))
    assert stands() == (chat.start.configuration_id, "gpt-two")
    elsewhere = replace(chat.start, configuration_id=other.id)
    chat.end(database.turns.begin(me, chat.id, "And?", elsewhere))
    assert stands() == (other.id, "gpt-two")
    chat.begin(model="")
    assert stands() == (chat.start.configuration_id, "")


@ON_BOTH
def test_images_are_read_back_and_deleted_with_their_chat(
    chat: Chatting, database: Database, me: Person, sql: Sql, clock: Any
) -> None:
    turn = chat.end(chat.begin(Question("Look", PICTURES)))
    other = chat.end(chat.begin(Question("And here", PICTURES[:1])))
    found = database.chat_sessions.conversation(me, chat.id, last=2)
    assert [each.images for each in found.said] == [2, 0, 1, 0]
    assert [each.images for each in found.messages] == [PICTURES[:1], ()]
    assert database.chat_sessions.images(me, chat.id) == {
        turn.user_message_id: PICTURES,
        other.user_message_id: PICTURES[:1],
    }
    database.chat_sessions.delete(me, chat.id)
    with pytest.raises(NotFound):
        database.chat_sessions.images(me, chat.id)
    assert sql("SELECT count(*) FROM images") == [(3,)]
    clock.now += UNDO + MOMENT
    database.chat_sessions.forget_deleted()
    assert (sql("SELECT count(*) FROM images"), sql("SELECT count(*) FROM messages")) == ([(0,)], [(0,)])


@ON_BOTH
def test_a_deleted_chat_comes_back_until_it_is_gone_for_good(
    chat: Chatting, database: Database, me: Person, clock: Any
) -> None:
    chat.say("One", "1")
    before = database.chat_sessions.get(me, chat.id)
    database.chat_sessions.delete(me, chat.id)
    assert not database.chat_sessions.all(me)
    assert not database.chat_sessions.search(me, "One")
    for gone in (chat.begin, chat.said, lambda: database.chat_sessions.delete(me, chat.id)):
        with pytest.raises(NotFound):
            gone()
    clock.now += UNDO
    database.chat_sessions.forget_deleted()
    database.chat_sessions.undelete(me, chat.id)
    assert (database.chat_sessions.get(me, chat.id), chat.said()) == (before, ["One", "1"])
    chat.say("Two", "2")

    database.chat_sessions.delete(me, chat.id)
    clock.now += UNDO + MOMENT
    with pytest.raises(NotFound):  # also where nobody has cleared it away yet
        database.chat_sessions.undelete(me, chat.id)
    another = database.chat_sessions.create(me, title="Any", configuration_id=None)
    database.chat_sessions.delete(me, another.id)
    database.chat_sessions.forget_deleted()
    with pytest.raises(NotFound):
        database.chat_sessions.undelete(me, chat.id)
    database.chat_sessions.undelete(me, another.id)
    assert [each.id for each in database.chat_sessions.all(me)] == [another.id]


def test_a_deleted_chat_is_not_brought_back_by_somebody_else(chat: Chatting, database: Database, me: Person) -> None:
    eve = database.people.add(me, "Eve", PersonRole.ADMINISTRATOR)
    database.chat_sessions.delete(me, chat.id)
    with pytest.raises(NotFound):
        database.chat_sessions.undelete(eve, chat.id)
    assert database.chat_sessions.all(me) == []


@ON_BOTH
def test_a_search_finds_titles_and_texts_as_they_are(database: Database, me: Person, start: CallStart) -> None:
    texts = {
        "Sales": "100% of it",
        "Half": "100 and some of it",
        "snake_case": "a",
        "snakeXcase": "b",
        r"C:\temp": "c",
    }
    for title, text in texts.items():
        database.turns.begin(me, NewChat(title), text, start)

    def found(search: str, **options: Any) -> set[str]:
        return {each.chat.title for each in database.chat_sessions.search(me, search, **options)}

    assert found("100%") == found("0% of") == {"Sales"}
    assert found("%") == {"Sales"}
    assert found("E_C") == found("_") == {"snake_case"}
    assert found("\\") == found("c:\\T") == {r"C:\temp"}
    assert found("100") == found("OF IT") == {"Sales", "Half"}
    assert found("nowhere") == set()
    assert len(found("s", limit=1)) == 1
    eve = database.people.add(me, "Eve", PersonRole.ADMINISTRATOR)
    assert database.chat_sessions.search(eve, "100") == []


def test_a_search_finds_what_was_answered_on_any_branch(chat: Chatting, database: Database, me: Person) -> None:
    first = chat.say("One", "the needle")
    chat.end(chat.ask_again(first.answer_id), "hay")
    assert chat.said() == ["One", "hay"]
    (found,) = database.chat_sessions.search(me, "Needle")
    assert (found.chat.id, found.excerpt) == (chat.id, "the needle")


@pytest.mark.parametrize(
    ("content", "excerpt"),
    [
        ("needle", "needle"),
        (f"{'word ' * 20}Needle{' word' * 20}", "…word word word word word word Needle word word word word word word…"),
        ("a\n\n  needle\tb", "a needle b"),
        ("another text", ""),
    ],
)
def test_a_search_shows_where_it_found_the_text(
    chat: Chatting, database: Database, me: Person, content: str, excerpt: str
) -> None:
    chat.say("A needle in the question" if not excerpt else "One", "hay")
    chat.say(content, "hay")
    database.chat_sessions.update(me, chat.id, title="Needle")
    (found,) = database.chat_sessions.search(me, "needle")
    assert found.excerpt == (excerpt or "A needle in the question")


@ON_BOTH
def test_the_whole_branch_is_known_when_only_the_last_messages_are_read(
    chat: Chatting, database: Database, me: Person
) -> None:
    for number in range(4):
        chat.say(f"question {number}", f"answer {number}")
    whole = database.chat_sessions.conversation(me, chat.id)
    said = [f"{kind} {number}" for number in range(4) for kind in ("question", "answer")]
    assert [each.content for each in whole.said] == [each.content for each in whole.messages] == said
    assert [each.role for each in whole.said] == [Role.USER, Role.ASSISTANT] * 4
    assert [each.id for each in whole.said] == [each.id for each in whole.messages]
    for last in (0, 1, 3, 8, 100):
        found = database.chat_sessions.conversation(me, chat.id, last=last)
        assert found.said == whole.said
        assert found.messages == whole.messages[8 - min(last, 8) :]


def test_the_number_of_earlier_messages_is_stored_with_the_answer(chat: Chatting) -> None:
    for sent in (0, 7, None):
        turn = chat.end(chat.begin(earlier_sent=sent))
        assert chat.message(turn.answer_id).earlier_sent == sent
        assert chat.message(turn.user_message_id).earlier_sent is None


@ON_BOTH
def test_characters_per_token_are_learnt_from_each_models_calls(
    chat: Chatting, database: Database, me: Person, start: CallStart, report: Callable[..., CallReport]
) -> None:
    def learn(tokens: int | None, *contents: Any, by: CallStart = start) -> None:
        counted = None if tokens is None else {"prompt_tokens": tokens, "completion_tokens": 1, "total_tokens": 1}
        messages = [{"role": "user", "content": content} for content in contents]
        turn = database.turns.begin(me, chat.id, "What?", by)
        answered = replace(report(usage=counted), request={"messages": messages})
        database.turns.finish(me, turn, content="That.", report=answered)

    def learnt(configuration_id: str | None = start.configuration_id, model: str = start.model_asked) -> float | None:
        assert configuration_id
        return database.calls.characters_per_token(me, configuration_id, model)

    assert learnt() is None
    learn(10, "x" * 25, "y" * 15)
    assert learnt() == 4
    learn(30, "ü" * 40)
    assert learnt() == 2
    learn(1000, "picture", [{"type": "image_url", "image_url": {"url": "data:"}}])  # nobody knows its characters
    learn(None, "x" * 1000)
    learn(0, "x" * 1000)
    assert learnt() == 2
    other = replace(start, model_asked="gpt-other")
    learn(1, "x" * 7, by=other)
    assert (learnt(), learnt(model="gpt-other"), learnt(model="gpt-none")) == (2, 7, None)
    nonsense = replace(start, model_asked="gpt-nonsense")
    learn(5, "x" * 800_000, by=nonsense)
    assert learnt(model="gpt-nonsense") == 8, "a prompt of any size would fit"
    assert learnt("elsewhere") is None
    for _ in range(20):
        learn(1, "xxx")
    assert learnt() == 3, "of the last ones"
