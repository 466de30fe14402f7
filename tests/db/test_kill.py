"""SIGKILL at any moment: what was acknowledged is there, and nothing is there by half."""

import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from connector import ApiType, Configuration
from db import AuditAction, Database, KeyUsage, Person
from tests.db.conftest import ENCRYPTION_KEY, ON_BOTH
from tests.db.processes import beside
from tests.db.test_keys import TWO

Open = Callable[..., Database]
pytestmark = pytest.mark.slow
KILLS = pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.soak)])


def account(name: str, key: str) -> Configuration:
    return Configuration(
        display_name=name, api_type=ApiType.OPENAI, endpoint="https://api.openai.com/v1", api_key=SecretStr(key)
    )


def is_sound(kind: str, path: Path) -> bool:
    """By SQLite's own judgement; a server looks after its files itself."""
    if kind != "sqlite":
        return True
    with closing(sqlite3.connect(path)) as connection:
        integrity = connection.execute("PRAGMA integrity_check").fetchall()
        return (integrity, connection.execute("PRAGMA foreign_key_check").fetchall()) == ([("ok",)], [])


def a_moment(longest: float) -> None:
    """Any: a kill should hit everything that happens in that many seconds."""
    time.sleep(random.uniform(0, longest))


def settled(url: str) -> None:
    """Start once more, which waits for the write lock: a server may still be ending what the killed process began."""
    Database(url, encryption_key=ENCRYPTION_KEY).close()


def save(line: Connection, url: str, name: str) -> None:
    """Add configurations and give each another key, and tell each once it is saved."""
    database = Database(url, encryption_key=ENCRYPTION_KEY)
    me = database.people.local()
    for number in count():
        key = f"sk-{name}-{number}-0123456789"
        saved = database.configurations.add(me, account(f"{name}-{number}", key))
        line.send((saved.id, key))
        database.configurations.change(me, saved.id, {"model_default": "changed"}, SecretStr(f"{key}-changed"))
        line.send((saved.id, f"{key}-changed"))


@ON_BOTH
@KILLS
def test_a_save_that_is_killed_is_complete_or_absent(
    database: Database, me: Person, url: str, kind: str, path: Path, kills: int
) -> None:
    acknowledged: dict[str, str] = {}
    for number in range(kills):
        with beside(save, url, str(number)) as child:
            acknowledged |= dict(child.line.recv() for _ in range(random.randint(1, 6)))
            a_moment(0.005)
            child.kill()
            acknowledged |= dict(child.said())
        settled(url)
        assert is_sound(kind, path)

        stored = {each.id: each for each in database.configurations.all(me)}
        assert set(acknowledged) <= set(stored)
        assert len(stored) - len(acknowledged) <= number + 1  # one that was saved but never acknowledged
        entries = database.audit.recent(me, limit=10 * len(stored))
        logged = {(entry.configuration_id, entry.action) for entry in entries}
        assert len(logged) == len(entries)
        for id, saved in stored.items():
            key = database.configurations.open(me, id).api_key.get_secret_value()
            assert key.removesuffix("-changed") == f"sk-{saved.display_name}-0123456789"
            assert key.startswith(acknowledged.get(id, ""))  # that one, or the next that was not acknowledged any more
            is_changed = key.endswith("-changed")
            assert (saved.model_default, saved.version) == (("changed", 2) if is_changed else ("", 1))
            assert (id, AuditAction.CREATED) in logged
            assert ((id, AuditAction.CHANGED) in logged) is is_changed


def rotate(line: Connection, url: str, keys: str) -> None:
    database = Database(url, encryption_key=keys)
    line.send("ready")
    database.encryption_keys.rotate(database.people.local())


@KILLS
def test_a_rotation_that_is_killed_can_be_continued(
    open_database: Open, url: str, kind: str, path: Path, kills: int
) -> None:
    number = 12
    orders = [f"{TWO},{ENCRYPTION_KEY}", f"{ENCRYPTION_KEY},{TWO}"]  # there and back again
    apps = [open_database(order) for order in orders]
    me = apps[0].people.local()
    keys = {}
    for at in range(number):
        key = f"sk-{at}-0123456789"
        keys[apps[1].configurations.add(me, account(str(at), key)).id] = key

    killed_half_way = 0
    for turn in count():
        if turn >= kills and killed_half_way:
            break
        order, app = orders[turn % 2], apps[turn % 2]
        with beside(rotate, url, order) as child:
            child.line.recv()
            until = random.randint(0, number - 1)
            while app.encryption_keys.usage(me).opened[0] < until:
                pass
            a_moment(0.003)
            child.kill()
        settled(url)
        assert is_sound(kind, path)

        usage = app.encryption_keys.usage(me)
        assert (sum(usage.opened), usage.unreadable) == (number, ())
        assert {id: app.configurations.open(me, id).api_key.get_secret_value() for id in keys} == keys
        entries = app.audit.recent(me, limit=2 * number * (turn + 1))
        rotated = [entry for entry in entries if entry.action is AuditAction.ROTATED]
        assert len(rotated) == turn * number + usage.opened[0]
        done = app.encryption_keys.rotate(me)
        assert (done.skipped, done.resealed, done.unreadable) == (*usage.opened, ())
        assert app.encryption_keys.usage(me) == KeyUsage((number, 0), ())
        killed_half_way += 0 < usage.opened[0] < number


def restore(line: Connection, url: str, backups: list[Path]) -> None:
    """One after the other, for ever."""
    database = Database(url, encryption_key=ENCRYPTION_KEY)
    for number in count():
        backup = backups[number % len(backups)]
        database.restore(database.people.local(), backup, replaced=backup.with_name(f"{backup.name}-{number}"))
        line.send(backup)


@pytest.mark.parametrize("kills", [2, pytest.param(100, marks=pytest.mark.soak)])
def test_a_restore_that_is_killed_is_complete_or_absent(
    database: Database, me: Person, url: str, kind: str, path: Path, tmp_path: Path, kills: int
) -> None:
    backups = {}
    for name in ("One", "Two"):
        for number in range(20):
            database.configurations.add(me, account(f"{name} {number}", f"sk-{name}-{number}-0123456789"))
            database.chat_sessions.create(me, title=name, configuration_id=None)
        database.back_up(me, tmp_path / name)
        backups[tmp_path / name] = content(database, me)

    for number in range(kills):
        here = tmp_path / f"kill {number}"
        here.mkdir()
        copies = [here / file.name for file in backups]
        for file, copy in zip(backups, copies, strict=True):
            copy.write_bytes(file.read_bytes())
        with beside(restore, url, copies) as child:
            child.line.recv()
            a_moment(0.1)
            child.kill()
        settled(url)
        assert is_sound(kind, path)
        assert content(database, me) in backups.values()
        # What was replaced is a whole backup too, wherever there is one.
        for kept in here.glob("*-*"):
            if kept.is_file():
                assert is_sound("sqlite", kept)


def content(database: Database, me: Person) -> tuple[Any, ...]:
    names = [each.display_name for each in database.configurations.all(me)]
    return names, sorted(each.title for each in database.chat_sessions.all(me))
