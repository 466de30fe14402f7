"""A key that was replaced stays until its successor was accepted once, and can be put back until then."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from connector import ApiType, Configuration, KeyType
from db import AuditAction, CannotOpen, ChangedMeanwhile, Database, NotFound, Person, SavedConfiguration
from tests.db.conftest import KEY
from tests.db.test_keys import TWO

SECOND, THIRD = "sk-second-0123456789-2222", "sk-third-0123456789-3333"
Open = Callable[..., Database]
Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def replaced(database: Database, me: Person, saved: SavedConfiguration) -> SavedConfiguration:
    """The configuration after its key was replaced."""
    return database.configurations.change(me, saved.id, {}, SecretStr(SECOND))


def key_of(database: Database, me: Person, id: str) -> str:
    return database.configurations.open(me, id).api_key.get_secret_value()


def test_the_replaced_key_can_be_put_back(
    database: Database, me: Person, saved: SavedConfiguration, replaced: SavedConfiguration, sql: Sql
) -> None:
    assert (saved.has_earlier_key, replaced.has_earlier_key) == (False, True)
    assert key_of(database, me, saved.id) == SECOND
    back = database.configurations.put_earlier_key_back(me, saved.id)
    assert key_of(database, me, saved.id) == KEY
    assert (back.has_earlier_key, back.key_hint, back.version) == (False, KEY[-4:], replaced.version + 1)
    (entry, *_) = database.audit.recent(me)
    assert (entry.action, entry.details) == (AuditAction.CHANGED, ("Key: the earlier key was put back",))
    assert not {KEY, SECOND} & {text for row in sql("SELECT * FROM configurations") for text in row}
    with pytest.raises(ChangedMeanwhile, match="has no earlier key any more"):
        database.configurations.put_earlier_key_back(me, saved.id)


def test_an_accepted_key_has_no_earlier_one(database: Database, me: Person, replaced: SavedConfiguration) -> None:
    accepted = database.configurations.open(me, replaced.id)
    database.configurations.accepted(me, replaced.id, accepted)
    found = database.configurations.get(me, replaced.id)
    assert (found.has_earlier_key, found.version) == (False, replaced.version)
    assert key_of(database, me, replaced.id) == SECOND
    database.configurations.change(me, replaced.id, {}, SecretStr(THIRD))
    database.configurations.put_earlier_key_back(me, replaced.id)
    assert key_of(database, me, replaced.id) == SECOND


def test_a_call_with_the_replaced_key_that_ends_late_accepts_nothing(
    database: Database, me: Person, saved: SavedConfiguration, configuration: Configuration
) -> None:
    begun = database.configurations.open(me, saved.id)
    database.configurations.change(me, saved.id, {}, SecretStr(SECOND))
    database.configurations.accepted(me, saved.id, begun)
    assert database.configurations.get(me, saved.id).has_earlier_key
    database.configurations.accepted(me, "nothing", configuration)
    database.configurations.delete(me, saved.id)
    database.configurations.accepted(me, saved.id, begun)


def test_of_several_replacements_the_last_accepted_key_comes_back(
    database: Database, me: Person, replaced: SavedConfiguration
) -> None:
    database.configurations.change(me, replaced.id, {"display_name": "Renamed"})
    database.configurations.change(me, replaced.id, {"endpoint": "https://api.openai.com/v2"}, SecretStr(THIRD))
    database.configurations.put_earlier_key_back(me, replaced.id)
    assert key_of(database, me, replaced.id) == KEY


def test_a_key_for_another_host_or_of_another_type_has_no_earlier_one(
    database: Database, me: Person, replaced: SavedConfiguration
) -> None:
    moved = database.configurations.change(me, replaced.id, {"endpoint": "https://a.example/v1"}, SecretStr(THIRD))
    assert not moved.has_earlier_key
    azure = {"api_type": ApiType.AZURE_OPENAI, "deployment_name": "gpt", "api_version": "v1"}
    database.configurations.change(me, replaced.id, azure)
    token = {"key_type": KeyType.ENTRA_TOKEN}
    assert not database.configurations.change(me, replaced.id, token, SecretStr("a-token-0123")).has_earlier_key
    assert database.configurations.change(me, replaced.id, {}, SecretStr("b-token-0123")).has_earlier_key
    identity = database.configurations.change(me, replaced.id, {"key_type": KeyType.ENTRA_IDENTITY})
    assert not identity.has_earlier_key


def test_a_copy_has_no_earlier_key(database: Database, me: Person, replaced: SavedConfiguration) -> None:
    copy = database.configurations.duplicate(me, replaced.id)
    assert not copy.has_earlier_key
    assert key_of(database, me, copy.id) == SECOND


def test_an_earlier_key_opens_at_its_own_host_only(
    database: Database, me: Person, replaced: SavedConfiguration, sql: Sql
) -> None:
    sql("UPDATE configurations SET endpoint = 'https://evil.example'")
    with pytest.raises(CannotOpen, match=r"the address now leads to evil\.example"):
        database.configurations.put_earlier_key_back(me, replaced.id)
    with pytest.raises(NotFound):
        database.configurations.put_earlier_key_back(me, "nothing")


def test_a_key_that_no_encryption_key_decrypts_is_not_kept(
    database: Database, me: Person, replaced: SavedConfiguration, open_database: Open
) -> None:
    other = open_database(TWO)
    changed = other.configurations.change(me, replaced.id, {}, SecretStr(THIRD))
    assert (changed.has_earlier_key, changed.is_key_readable) == (False, True)
    assert other.encryption_keys.usage(me).unreadable == ()


def test_a_backup_holds_the_earlier_key(
    database: Database, me: Person, replaced: SavedConfiguration, tmp_path: Path
) -> None:
    database.back_up(me, tmp_path / "backup.db")
    database.configurations.accepted(me, replaced.id, database.configurations.open(me, replaced.id))
    database.restore(me, tmp_path / "backup.db", replaced=tmp_path / "replaced.db")
    database.configurations.put_earlier_key_back(me, replaced.id)
    assert key_of(database, me, replaced.id) == KEY


def test_of_two_persons_who_put_it_back_one_does(
    database: Database, me: Person, replaced: SavedConfiguration, open_database: Open
) -> None:
    databases = [database, open_database()] * 2

    def put_back(each: Database) -> bool:
        try:
            each.configurations.put_earlier_key_back(me, replaced.id)
        except ChangedMeanwhile:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(put_back, databases)) == 1
    assert key_of(database, me, replaced.id) == KEY
