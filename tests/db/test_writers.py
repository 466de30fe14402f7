"""Many threads and processes that write at once: no error, no lost update, to the last number."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import pytest

from db import CallStart, ChangedMeanwhile, Database, Person, SavedConfiguration, StillWriting, Turn, UsageGroup
from tests.db.conftest import ENCRYPTION_KEY, ON_BOTH, make_report
from tests.db.processes import all_at_once

Sql = Callable[..., list[tuple[Any, ...]]]
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
PAUSE = 0.01
"""Seconds before a thread tries again, so that the one that it waits for gets on."""
ROUNDS = pytest.mark.parametrize("rounds", [1, pytest.param(60, marks=pytest.mark.soak)])


def work(database: Database, start: CallStart, chat: str, threads: int, rounds: int) -> None:
    """So many times, each thread goes on with the chat and books a call; each fourth counts up in the configuration."""
    me = database.people.local()
    id = str(start.configuration_id)

    def count_up() -> bool:
        seen = database.configurations.get(me, id)
        counted = {"model_default": str(int(seen.model_default or 0) + 1)}
        try:
            return bool(database.configurations.change(me, id, counted, version=seen.version))
        except ChangedMeanwhile:
            return False

    def begin() -> Turn | None:
        try:
            return database.turns.begin(me, chat, "Hello", start)
        except StillWriting:  # another one's answer
            return None

    def one_thread(number: int) -> None:
        for _ in range(rounds):
            while (turn := begin()) is None:
                time.sleep(PAUSE)
            database.calls.add(me, replace(start, page="tuner"), make_report(usage=USAGE))
            while number % 4 == 0 and not count_up():
                time.sleep(PAUSE)
            database.turns.finish(me, turn, content="Hi", report=make_report(usage=USAGE))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one_thread, range(threads)))


def in_a_process(line: Connection, url: str, start: CallStart, chat: str, threads: int, rounds: int) -> None:
    with closing(Database(url, encryption_key=ENCRYPTION_KEY)) as database:
        line.send("ready")
        line.recv()
        work(database, start, chat, threads, rounds)


@pytest.fixture
def chat(database: Database, me: Person) -> str:
    return database.chat_sessions.create(me, title="Shared", configuration_id=None).id


@pytest.fixture
def all_is_there(database: Database, me: Person, saved: SavedConfiguration, sql: Sql) -> Callable[[int], None]:
    def check(number: int) -> None:
        """What `number` rounds in all leave behind."""
        changes, counted = number // 4, database.configurations.get(me, saved.id)
        assert (counted.model_default, counted.version) == (str(changes), changes + 1)
        assert len(database.audit.recent(me, limit=number)) == changes + 1
        assert sql("SELECT position FROM messages ORDER BY position") == [(at,) for at in range(1, 2 * number + 1)]
        (chat,) = database.chat_sessions.all(me)
        conversation = database.chat_sessions.conversation(me, chat.id).messages
        assert [message.content for message in conversation] == ["Hello", "Hi"] * number
        totals = database.usage.totals(me, UsageGroup.PAGE)
        assert {row.group: (row.calls, row.total_tokens, row.failed) for row in totals} == {
            "chat": (number, 7 * number, 0),
            "tuner": (number, 7 * number, 0),
        }

    return check


@pytest.mark.slow
@ROUNDS
def test_sixteen_threads_write_without_a_loss(
    database: Database, start: CallStart, chat: str, rounds: int, all_is_there: Callable[[int], None]
) -> None:
    work(database, start, chat, 16, rounds)
    all_is_there(16 * rounds)


@ON_BOTH
@ROUNDS
def test_four_processes_of_four_threads_write_without_a_loss(
    url: str, start: CallStart, chat: str, rounds: int, all_is_there: Callable[[int], None]
) -> None:
    all_at_once(in_a_process, url, start, chat, 4, rounds)
    all_is_there(16 * rounds)
