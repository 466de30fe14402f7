"""All of it at once and at random: whatever goes wrong is one of the sentences we know, and nothing is left by half."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from pydantic import SecretStr

from connector import CallReport, Configuration, InvalidConfiguration
from db import AuditAction, CallStart, ChangedMeanwhile, Database, NotFound, Person
from tests.db.conftest import ENCRYPTION_KEY, KEY, ON_BOTH
from tests.db.test_keys import TWO

Open = Callable[..., Database]


@ON_BOTH
@pytest.mark.parametrize("rounds", [5, pytest.param(150, marks=pytest.mark.soak)])
def test_random_actions_of_eight_threads_leave_the_data_consistent(
    open_database: Open,
    me: Person,
    configuration: Configuration,
    report: Callable[..., CallReport],
    tmp_path: Path,
    rounds: int,
) -> None:
    databases = [open_database(f"{TWO},{ENCRYPTION_KEY}"), open_database(f"{ENCRYPTION_KEY},{TWO}")]
    numbers, lock, backups = count(), threading.Lock(), list[Path]()

    def act(database: Database, dice: random.Random) -> None:
        configurations, chats = database.configurations, database.chat_sessions
        ids = [each.id for each in configurations.all(me)]
        id = dice.choice(ids) if ids else "none"
        number = next(numbers)

        def add() -> None:
            configurations.add(me, Configuration(**{**dict(configuration), "display_name": f"Account {number}"}))

        def change() -> None:
            key = SecretStr(f"{KEY}-{number}") if dice.random() < 0.5 else None
            seen = configurations.get(me, id)
            configurations.change(me, id, {"model_default": f"m-{number}"}, key, version=seen.version)

        def talk() -> None:
            start = CallStart("chat", "execute_with_history", id, "Account", "m")
            chat = chats.create(me, title=str(number), configuration_id=id)
            turn = database.turns.begin(me, chat.id, "Hello", start)
            database.turns.finish(me, turn, content="Hi", report=report())

        def back_up() -> None:
            file = tmp_path / f"{number}.db"
            database.back_up(me, file)
            with lock:
                backups.append(file)

        def restore() -> None:
            if backups:
                database.restore(me, dice.choice(backups), replaced=tmp_path / f"replaced-{number}.db")

        acts: list[Callable[[], object]] = [add, change, change, talk, talk, back_up, restore]
        acts.append(lambda: database.encryption_keys.rotate(me))
        acts.append(lambda: configurations.duplicate(me, id))
        acts.append(lambda: configurations.delete(me, id))
        acts.append(lambda: configurations.open(me, id))
        acts.append(lambda: configurations.make_default(me, id))
        dice.choice(acts)()

    def work(thread: int) -> None:
        dice = random.Random(thread)
        for _ in range(rounds):
            with suppress(NotFound, ChangedMeanwhile, InvalidConfiguration):  # somebody else was there before
                act(databases[thread % 2], dice)

    databases[0].configurations.add(me, configuration)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))

    database = databases[0]
    done = database.encryption_keys.rotate(me)
    assert done.unreadable == ()
    stored = database.configurations.all(me)
    for each in stored:
        key = database.configurations.open(me, each.id).api_key.get_secret_value()
        assert key.startswith(KEY)
        assert key.endswith(each.key_hint)
    assert sum(each.is_default for each in stored) <= 1
    for chat in database.chat_sessions.all(me):
        statuses = [message.status.value for message in database.chat_sessions.conversation(me, chat.id).messages]
        assert statuses in ([], ["complete", "complete"], ["complete", "interrupted"])
    created = {
        entry.configuration_id
        for entry in database.audit.recent(me, limit=10_000)
        if entry.action is AuditAction.CREATED
    }
    assert {each.id for each in stored} <= created
