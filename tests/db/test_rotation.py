"""The encryption keys: which of them opens what, and putting everything under the first while the app runs."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from multiprocessing.connection import Connection
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from connector import Configuration
from db import AuditAction, CannotOpen, Database, KeyUsage, Person, Rotation
from tests.db.conftest import KEY, ON_BOTH
from tests.db.processes import all_at_once
from tests.db.test_keys import ONE, TWO

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))
Open = Callable[..., Database]
Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def names() -> list[str]:
    return [f"Account {number}" for number in range(5)]


@pytest.fixture
def old(open_database: Open, configuration: Configuration, names: list[str]) -> Database:
    """As it was before: everything under the old key."""
    database = open_database(OLD)
    for name in names:
        add(database, configuration, name)
    return database


def add(database: Database, configuration: Configuration, name: str) -> None:
    named = Configuration(**{**dict(configuration), "display_name": name})
    database.configurations.add(database.people.local(), named)


def opened(database: Database) -> list[str]:
    me = database.people.local()
    all_of_them = database.configurations.all(me)
    return [database.configurations.open(me, each.id).api_key.get_secret_value() for each in all_of_them]


def test_a_rotation_encrypts_all_keys_with_the_first_one_so_that_the_old_one_can_be_removed(
    old: Database, open_database: Open
) -> None:
    me = old.people.local()
    both = open_database(f"{NEW},{OLD}")
    assert both.encryption_keys.usage(me) == KeyUsage((0, 5), ())
    assert both.encryption_keys.rotate(me) == Rotation(resealed=5, skipped=0, unreadable=())
    assert both.encryption_keys.usage(me) == KeyUsage((5, 0), ())
    assert opened(open_database(NEW)) == [KEY] * 5
    with pytest.raises(CannotOpen):
        opened(old)


def test_keys_already_encrypted_with_the_first_key_are_not_changed(
    old: Database, open_database: Open, configuration: Configuration, sql: Sql
) -> None:
    me = old.people.local()
    both = open_database(f"{NEW},{OLD}")
    add(both, configuration, "New")
    assert both.encryption_keys.rotate(me) == Rotation(5, 1, ())
    before = sql("SELECT * FROM configurations")
    assert both.encryption_keys.rotate(me) == Rotation(0, 6, ())
    assert sql("SELECT * FROM configurations") == before


def test_a_key_that_no_encryption_key_decrypts_is_named_and_kept(old: Database, open_database: Open, sql: Sql) -> None:
    me = old.people.local()
    sql("UPDATE configurations SET sealed_key = ? WHERE display_name = 'Account 3'", "gAAAAA nonsense ä")
    both = open_database(f"{NEW},{OLD}")
    assert both.encryption_keys.rotate(me) == Rotation(4, 0, ("Account 3",))
    assert both.encryption_keys.usage(me) == KeyUsage((4, 0), ("Account 3",))
    assert ("gAAAAA nonsense ä",) in sql("SELECT sealed_key FROM configurations")
    assert [each.is_key_readable for each in both.configurations.all(me)] == [True, True, True, False, True]


def test_without_any_key_nothing_is_lost(old: Database, open_database: Open, sql: Sql) -> None:
    before = sql("SELECT * FROM configurations")
    other = open_database(OTHER)
    assert other.encryption_keys.rotate(old.people.local()).unreadable == tuple(f"Account {n}" for n in range(5))
    assert sql("SELECT * FROM configurations") == before


def test_every_rotated_key_is_in_the_audit_log(old: Database, open_database: Open) -> None:
    both = open_database(f"{NEW},{OLD}")
    me = both.people.local()
    both.encryption_keys.rotate(me)
    rotated = [entry for entry in both.audit.recent(me) if entry.action is AuditAction.ROTATED]
    assert {entry.configuration_name for entry in rotated} == {f"Account {n}" for n in range(5)}


def test_a_rotation_does_not_count_as_a_change_by_another_administrator(old: Database, open_database: Open) -> None:
    me = old.people.local()
    seen = old.configurations.all(me)[0]
    both = open_database(f"{NEW},{OLD}")
    both.encryption_keys.rotate(me)
    both.configurations.change(me, seen.id, {"model_default": "m"}, version=seen.version)
    assert opened(open_database(NEW)) == [KEY] * 5


@pytest.fixture
def both(open_database: Open) -> Database:
    return open_database(f"{NEW},{OLD}")


@ON_BOTH
def test_it_runs_while_others_save_and_delete(old: Database, both: Database, names: list[str]) -> None:
    """The app still has the old key first, so what it saves meanwhile may need another rotation; nothing is lost."""
    me = old.people.local()
    ids = [each.id for each in old.configurations.all(me)]

    def save(id: str) -> None:
        for number in range(6):
            key = SecretStr(f"{KEY}-{number}") if number % 2 else None
            old.configurations.change(me, id, {"model_default": f"m-{number}"}, key)

    with ThreadPoolExecutor(6) as threads:
        saving = [threads.submit(save, id) for id in ids[1:]]
        deleting = threads.submit(old.configurations.delete, me, ids[0])
        rotating = [both.encryption_keys.rotate(me) for _ in range(6)]
        for each in [*saving, deleting]:
            each.result()
    assert all(not each.unreadable for each in rotating)
    both.encryption_keys.rotate(me)
    assert both.encryption_keys.usage(me) == KeyUsage((4, 0), ())
    assert opened(both) == [f"{KEY}-5"] * 4
    assert {each.model_default for each in both.configurations.all(me)} == {"m-5"}


def test_a_rotation_needs_an_administrator_and_shows_no_key(both: Database, old: Database, me: Person) -> None:
    both.encryption_keys.rotate(both.people.local())
    assert KEY not in str(both.audit.recent(me))


def rotate(line: Connection, url: str, keys: str) -> None:
    with closing(Database(url, encryption_key=keys)) as database:
        line.send("ready")
        line.recv()
        done = database.encryption_keys.rotate(database.people.local())
        line.send((done.resealed, done.skipped, done.unreadable))


def test_of_two_simultaneous_rotations_one_rotates_each_row(
    url: str, open_database: Open, configuration: Configuration
) -> None:
    database = open_database(ONE)
    for number in range(20):
        add(database, configuration, f"Account {number}")
    said = [heard for heard, *_ in all_at_once(rotate, url, f"{TWO},{ONE}", number=2)]
    assert sum(resealed for resealed, _, _ in said) == 20
    assert [resealed + skipped for resealed, skipped, _ in said] == [20, 20]
    assert [unreadable for _, _, unreadable in said] == [(), ()]
    me = database.people.local()
    rotated = [entry for entry in database.audit.recent(me) if entry.action is AuditAction.ROTATED]
    assert len({entry.configuration_id for entry in rotated}) == len(rotated) == 20
    assert opened(open_database(TWO)) == [KEY] * 20


def test_a_row_that_was_copied_over_another_does_not_open_after_a_rotation_either(
    old: Database, open_database: Open, sql: Sql
) -> None:
    me = old.people.local()
    first, second, *_ = old.configurations.all(me)
    ((sealed,),) = sql("SELECT sealed_key FROM configurations WHERE id = ?", first.id)
    sql("UPDATE configurations SET sealed_key = ? WHERE id = ?", sealed, second.id)
    both = open_database(f"{NEW},{OLD}")
    both.encryption_keys.rotate(me)
    assert both.configurations.open(me, first.id).api_key.get_secret_value() == KEY
    with pytest.raises(CannotOpen):
        both.configurations.open(me, second.id)
