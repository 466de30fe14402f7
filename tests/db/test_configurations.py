"""Configurations and their sealed keys."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from connector import ApiType, Configuration, InvalidConfiguration, KeyType
from db import CannotOpen, Database, NotFound, Person, SavedConfiguration
from tests.db.conftest import ON_SQLITE

Sql = Callable[..., list[tuple[Any, ...]]]


def azure(**changes: Any) -> Configuration:
    fields: dict[str, Any] = {
        "display_name": "Azure",
        "api_type": ApiType.AZURE_OPENAI,
        "key_type": KeyType.ENTRA_TOKEN,
        "endpoint": "https://Name.openai.azure.com/openai/deployments/",
        "deployment_name": "my-deployment",
        "api_version": "2024-10-21",
        "api_key": "token-0123456789-abcdefgh",
    }
    return Configuration(**{**fields, **changes})


def test_every_field_comes_back_as_it_was_typed(database: Database, me: Person) -> None:
    configuration = azure(model_default="kept")
    saved = database.configurations.add(me, configuration)
    assert database.configurations.open(me, saved.id) == configuration
    assert database.configurations.get(me, saved.id) == saved
    assert database.configurations.all(me) == [saved]
    for name in set(Configuration.model_fields) - {"api_key"}:
        assert getattr(saved, name) == getattr(configuration, name)


def test_a_saved_configuration_hints_at_its_key_and_does_not_have_it(database: Database, me: Person) -> None:
    saved = database.configurations.add(me, azure())
    short = database.configurations.add(me, azure(display_name="Short", api_key="01234567890"))
    assert saved.key_hint == "efgh"
    assert short.key_hint == ""
    assert "token-0123" not in repr(saved)


def test_they_are_listed_by_name_without_regard_to_case(database: Database, me: Person) -> None:
    for name in ("beta", "Alpha", "alpha 2", "Écoute", "Beta 2"):
        database.configurations.add(me, azure(display_name=name))
    names = [each.display_name for each in database.configurations.all(me)]
    assert names == ["Alpha", "alpha 2", "beta", "Beta 2", "Écoute"]


@pytest.mark.parametrize("name", ["Écoute", "ÉCOUTE", "  écoute  "])
def test_a_name_is_taken_once_without_regard_to_case(database: Database, me: Person, name: str) -> None:
    database.configurations.add(me, azure(display_name="Écoute"))
    other = database.configurations.add(me, azure())
    with pytest.raises(InvalidConfiguration) as caught:
        database.configurations.add(me, azure(display_name=name))
    assert set(caught.value.problems) == {"display_name"}
    with pytest.raises(InvalidConfiguration):
        database.configurations.change(me, other.id, {"display_name": name})
    assert [each.display_name for each in database.configurations.all(me)] == ["Azure", "Écoute"]


def test_a_configuration_may_keep_its_own_name(database: Database, me: Person) -> None:
    saved = database.configurations.add(me, azure())
    assert database.configurations.change(me, saved.id, {"display_name": "AZURE"}).display_name == "AZURE"


def test_the_database_takes_no_third_api_type(database: Database, saved: SavedConfiguration, sql: Sql) -> None:
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError), match="api_type"):
        sql("UPDATE configurations SET api_type = 'Other'")


# -- changing


@pytest.mark.parametrize("blank", [None, SecretStr("")])
def test_a_blank_key_keeps_the_stored_one(
    database: Database, me: Person, saved: SavedConfiguration, clock: Any, blank: SecretStr | None
) -> None:
    clock.now = clock.now.replace(hour=15)
    changed = database.configurations.change(me, saved.id, {"display_name": "New", "model_default": "m"}, blank)
    opened = database.configurations.open(me, saved.id)
    assert (opened.display_name, opened.model_default) == ("New", "m")
    assert opened.api_key.get_secret_value() == "sk-test-0123456789-abcdefghij-7777"
    assert (changed.id, changed.created_at, changed.changed_at) == (saved.id, saved.created_at, clock.now)
    assert database.configurations.get(me, saved.id) == changed


def test_a_new_key_replaces_the_stored_one(database: Database, me: Person, saved: SavedConfiguration) -> None:
    changed = database.configurations.change(me, saved.id, {}, SecretStr("another-key-0123"))
    assert changed.key_hint == "0123"
    assert database.configurations.open(me, saved.id).api_key.get_secret_value() == "another-key-0123"


@pytest.mark.parametrize(
    "endpoint", ["https://evil.example/v1", "http://api.openai.com/v1", "https://api.openai.com:8443/v1"]
)
def test_an_address_at_another_origin_needs_the_key_again(
    database: Database, me: Person, saved: SavedConfiguration, endpoint: str
) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        database.configurations.change(me, saved.id, {"endpoint": endpoint})
    assert caught.value.problems == {"api_key": "The address leads to another host now; enter the key again."}
    assert database.configurations.get(me, saved.id) == saved
    database.configurations.change(me, saved.id, {"endpoint": endpoint}, SecretStr("the-key-for-there"))
    opened = database.configurations.open(me, saved.id)
    assert (opened.endpoint, opened.api_key.get_secret_value()) == (endpoint, "the-key-for-there")


def test_another_spelling_of_the_same_origin_keeps_the_key(
    database: Database, me: Person, saved: SavedConfiguration
) -> None:
    changed = database.configurations.change(me, saved.id, {"endpoint": "https://API.openai.com:443/v1/other"})
    assert changed.endpoint == "https://API.openai.com:443/v1/other"
    assert database.configurations.open(me, saved.id).api_key


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"display_name": " "}, "display_name"),
        ({"api_type": "Other"}, "api_type"),
        ({"endpoint": "ftp://api.openai.com"}, "endpoint"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_change_that_cannot_work_changes_nothing(
    database: Database, me: Person, saved: SavedConfiguration, fields: dict[str, str], named: str
) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        database.configurations.change(me, saved.id, fields)
    assert set(caught.value.problems) == {named}
    assert database.configurations.get(me, saved.id) == saved


def test_what_does_not_exist_is_not_found(database: Database, me: Person) -> None:
    for use in (database.configurations.get, database.configurations.open, database.configurations.delete):
        with pytest.raises(NotFound):
            use(me, "nothing")
    with pytest.raises(NotFound):
        database.configurations.change(me, "nothing", {})


# -- the sealed key


@ON_SQLITE
def test_the_key_is_nowhere_in_the_files(
    database: Database, me: Person, saved: SavedConfiguration, configuration: Configuration, path: Path
) -> None:
    database.configurations.change(me, saved.id, {"display_name": "Again"})
    key = configuration.api_key.get_secret_value().encode()
    while_open = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert b"Again" in while_open["workbench.db-wal"]
    database.close()
    for content in [*while_open.values(), *(file.read_bytes() for file in path.parent.iterdir())]:
        assert key[:-4] not in content
        assert key[:12] not in content


def test_the_same_key_is_sealed_differently_each_time(database: Database, me: Person, sql: Sql) -> None:
    saved = database.configurations.add(me, azure())
    database.configurations.add(me, azure(display_name="Other"))
    (first,), (second,) = sql("SELECT sealed_key FROM configurations")
    database.configurations.change(me, saved.id, {}, database.configurations.open(me, saved.id).api_key)
    sealed = {first, second, *(row[0] for row in sql("SELECT sealed_key FROM configurations"))}
    assert len(sealed) == 3


def test_a_key_does_not_open_in_another_row_at_another_host_or_with_a_changed_byte(
    database: Database, me: Person, sql: Sql
) -> None:
    one = database.configurations.add(me, azure())
    two = database.configurations.add(me, azure(display_name="Two"))
    ((sealed,),) = sql("SELECT sealed_key FROM configurations WHERE id = ?", one.id)
    middle = len(sealed) // 2
    tampered = sealed[:middle] + ("A" if sealed[middle] != "A" else "B") + sealed[middle + 1 :]

    for statement, values in [
        ("UPDATE configurations SET sealed_key = ? WHERE id = ?", (sealed, two.id)),
        ("UPDATE configurations SET sealed_key = ? WHERE id = ?", (tampered, two.id)),
        ("UPDATE configurations SET sealed_key = ? WHERE id = ?", ("", two.id)),
        ("UPDATE configurations SET endpoint = ? WHERE id = ?", ("https://evil.example", two.id)),
    ]:
        sql(statement, *values)
        with pytest.raises(CannotOpen, match="Enter the key again") as caught:
            database.configurations.open(me, two.id)
        assert caught.value.__context__ is None
    assert database.configurations.open(me, one.id)
    database.configurations.change(me, two.id, {"endpoint": "https://evil.example"}, SecretStr("entered-again"))
    assert database.configurations.open(me, two.id)


def test_an_identity_is_stored_without_a_key_and_takes_the_old_one_away(database: Database, me: Person) -> None:
    azure = Configuration(
        display_name="Cloud",
        api_type=ApiType.AZURE_OPENAI,
        endpoint="https://res.openai.azure.com",
        api_key=SecretStr("sk-azure-0123456789"),
        deployment_name="dep",
        api_version="v1",
    )
    saved = database.configurations.add(me, azure)
    changed = database.configurations.change(me, saved.id, {"key_type": "EntraIdentity"})
    assert (changed.key_type, changed.key_hint) == (KeyType.ENTRA_IDENTITY, "")
    assert database.configurations.open(me, saved.id).api_key.get_secret_value() == ""
    with pytest.raises(InvalidConfiguration, match="Enter the key"):
        database.configurations.change(me, saved.id, {"key_type": "ApiKey"})
