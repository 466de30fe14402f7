"""The headers of configurations: names for everybody, values encrypted like the key."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from connector import ApiType, Configuration, InvalidConfiguration, KeyType
from db import CannotOpen, Database, Person, SavedConfiguration, StorageError
from tests.db.conftest import ENCRYPTION_KEY, KEY, ON_SQLITE
from tests.db.test_keys import TWO

SECRET = "gateway-secret-93c1"
Open = Callable[..., Database]
Sql = Callable[..., list[tuple[Any, ...]]]


def gateway(**changes: Any) -> Configuration:
    fields: dict[str, Any] = {
        "display_name": "Gateway",
        "api_type": ApiType.OPENAI,
        "endpoint": "https://gateway.example/v1",
        "api_key": KEY,
        "key_header": "x-api-key",
        "headers": {"X-Org": "org-1", "X-Gateway": SECRET},
    }
    return Configuration(**{**fields, **changes})


@pytest.fixture
def added(database: Database, me: Person) -> SavedConfiguration:
    return database.configurations.add(me, gateway())


def values(database: Database, me: Person, id: str) -> dict[str, str]:
    headers = database.configurations.open(me, id).headers
    return {name: value.get_secret_value() for name, value in headers.items()}


def said(database: Database, me: Person) -> tuple[str, ...]:
    return database.audit.recent(me)[0].details


def test_headers_come_back_and_lists_have_their_names_only(
    database: Database, me: Person, added: SavedConfiguration, sql: Sql
) -> None:
    assert database.configurations.open(me, added.id) == gateway()
    assert (added.key_header, added.header_names) == ("x-api-key", ("X-Org", "X-Gateway"))
    assert {name: str(value) for name, value in added.account.headers.items()} == {"X-Org": "", "X-Gateway": ""}
    assert SECRET not in repr(added)
    assert SECRET not in str(sql("SELECT * FROM configurations")) + str(sql("SELECT * FROM audit"))
    copy = database.configurations.duplicate(me, added.id)
    database.configurations.delete(me, added.id)
    assert values(database, me, copy.id) == {"X-Org": "org-1", "X-Gateway": SECRET}


@ON_SQLITE
def test_the_value_of_a_header_is_nowhere_in_the_files(
    database: Database, added: SavedConfiguration, path: Path
) -> None:
    database.close()
    for file in path.parent.iterdir():
        assert SECRET.encode() not in file.read_bytes()


def test_a_header_is_kept_replaced_added_and_removed(database: Database, me: Person, added: SavedConfiguration) -> None:
    change = database.configurations.change
    change(me, added.id, {"headers": {"X-Org": "", "X-Gateway": "another-secret"}})
    assert values(database, me, added.id) == {"X-Org": "org-1", "X-Gateway": "another-secret"}
    assert said(database, me) == ("Header X-Gateway: value replaced",)
    change(me, added.id, {"headers": {"X-Org": SecretStr(""), "X-New": SecretStr("new-secret")}, "key_header": ""})
    assert values(database, me, added.id) == {"X-Org": "org-1", "X-New": "new-secret"}
    assert said(database, me) == ("Key header: x-api-key → none", "Headers: X-Org, X-Gateway → X-Org, X-New")
    change(me, added.id, {"display_name": "Renamed"})
    assert list(values(database, me, added.id)) == ["X-Org", "X-New"]
    assert change(me, added.id, {"headers": {}}).header_names == ()
    assert said(database, me) == ("Headers: X-Org, X-New → none",)
    assert database.configurations.open(me, added.id).api_key.get_secret_value() == KEY
    assert "secret" not in str(database.audit.recent(me))


def test_a_new_header_without_a_value_is_refused(database: Database, me: Person, added: SavedConfiguration) -> None:
    for key in (None, SecretStr("another-key")):
        with pytest.raises(InvalidConfiguration) as caught:
            database.configurations.change(me, added.id, {"headers": {"X-Org": "", "X-New": ""}}, key)
        assert caught.value.problems == {"headers": "Enter the value of the header X-New."}
    with pytest.raises(InvalidConfiguration, match="belongs to HTTP"):
        database.configurations.change(me, added.id, {"headers": {"Host": "evil.example"}})
    assert database.configurations.get(me, added.id) == added


def test_another_host_needs_all_values_again(database: Database, me: Person, added: SavedConfiguration) -> None:
    moved = {"endpoint": "https://other.example/v1"}
    kept = {"headers": {"X-Org": "org-1", "X-Gateway": ""}}
    for fields in (moved, moved | kept):
        with pytest.raises(InvalidConfiguration) as caught:
            database.configurations.change(me, added.id, fields, SecretStr("another-key"))
        assert list(caught.value.problems) == ["headers"]
    database.configurations.change(me, added.id, moved | {"headers": {"X-Org": "org-2"}}, SecretStr("another-key"))
    assert values(database, me, added.id) == {"X-Org": "org-2"}


def test_the_headers_of_an_identity_are_kept_without_a_key(database: Database, me: Person, open_database: Open) -> None:
    identity = gateway(
        api_type=ApiType.AZURE_OPENAI,
        key_type=KeyType.ENTRA_IDENTITY,
        deployment_name="gpt",
        api_version="v1",
        api_key="",
        key_header="",
    )
    added = database.configurations.add(me, identity)
    assert database.configurations.open(me, added.id) == identity
    assert open_database(TWO).configurations.get(me, added.id).is_key_readable is False
    database.configurations.change(me, added.id, {"display_name": "Renamed"})
    with pytest.raises(InvalidConfiguration, match="Enter all values again"):
        database.configurations.change(me, added.id, {"endpoint": "https://other.example"})


@pytest.mark.parametrize("text", ["", "nonsense", "[1]", '{"X-Org": 7}', '{"X-Org": "nonsense"}'])
def test_headers_that_were_damaged_block_nothing(
    database: Database, me: Person, added: SavedConfiguration, sql: Sql, text: str
) -> None:
    sql("UPDATE configurations SET headers = ?", text)
    (found,) = database.configurations.all(me)
    if "nonsense" in text and found.header_names:
        assert not found.is_key_readable
        with pytest.raises(CannotOpen, match="damaged or changed"):
            database.configurations.open(me, added.id)
    else:
        assert database.configurations.open(me, added.id).headers == {}
    database.configurations.change(me, added.id, {"headers": {"X-Org": "org-2"}})
    assert values(database, me, added.id) == {"X-Org": "org-2"}


def test_a_header_whose_row_leads_to_another_host_by_now_does_not_open(
    database: Database, me: Person, added: SavedConfiguration, sql: Sql
) -> None:
    sql("UPDATE configurations SET endpoint = 'https://evil.example/v1'")
    with pytest.raises(CannotOpen, match=r"entered for gateway\.example, the address now leads to evil\.example"):
        database.configurations.open(me, added.id)


def test_a_rotation_encrypts_headers_and_the_earlier_key_too(
    database: Database, me: Person, added: SavedConfiguration, open_database: Open
) -> None:
    database.configurations.change(me, added.id, {}, SecretStr("second-key-0123"))
    both = open_database(f"{TWO},{ENCRYPTION_KEY}")
    both.configurations.change(me, added.id, {"headers": {"X-Org": "", "X-Gateway": "another-secret"}})
    assert both.encryption_keys.usage(me).opened == (0, 1), "the header that was kept needs the old one"
    assert both.encryption_keys.rotate(me).resealed == 1
    assert both.encryption_keys.usage(me).opened == (1, 0)
    new = open_database(TWO)
    assert values(new, me, added.id) == {"X-Org": "org-1", "X-Gateway": "another-secret"}
    new.configurations.put_earlier_key_back(me, added.id)
    assert new.configurations.open(me, added.id).api_key.get_secret_value() == KEY


def test_a_backup_is_not_restored_where_its_headers_cannot_be_decrypted(
    database: Database, me: Person, added: SavedConfiguration, open_database: Open, tmp_path: Path, sql: Sql
) -> None:
    file, replaced = tmp_path / "backup.db", tmp_path / "replaced.db"
    sql("UPDATE configurations SET sealed_key = '', key_type = 'EntraIdentity'")
    database.back_up(me, file)
    with pytest.raises(StorageError, match="cannot decrypt the API keys of: Gateway"):
        open_database(TWO).restore(me, file, replaced=replaced)
    database.configurations.delete(me, added.id)
    database.restore(me, file, replaced=replaced)
    assert database.configurations.get(me, added.id).header_names == ("X-Org", "X-Gateway")
