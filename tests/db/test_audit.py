"""Who did what and when, without secrets; with what was done or not at all."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from connector import ApiType, Configuration, InvalidConfiguration, KeyType, Price
from db import AuditAction, CannotOpen, ChangedMeanwhile, Database, Person, PersonRole, SavedConfiguration, StorageError
from tests.db.conftest import ENCRYPTION_KEY, KEY, ON_BOTH, Clock
from tests.db.test_keys import TWO

Open = Callable[..., Database]
Sql = Callable[..., list[tuple[Any, ...]]]


def said(database: Database, me: Person) -> list[tuple[str, str, tuple[str, ...]]]:
    """All of it, the oldest first."""
    entries = database.audit.recent(me)[::-1]
    return [(entry.action.value, entry.configuration_name, entry.details) for entry in entries]


def test_the_audit_log_has_every_action_on_a_configuration(
    database: Database, me: Person, saved: SavedConfiguration, clock: Clock, open_database: Open
) -> None:
    configurations, id = database.configurations, saved.id
    began = clock.now
    for act in (
        lambda: configurations.change(me, id, {"display_name": "Ours", "model_default": "gpt-4o"}),
        lambda: configurations.change(me, id, {}, SecretStr("sk-another-0123456789")),
        lambda: configurations.change(me, id, {"price": Price(input=1, output=2)}),
        lambda: configurations.change(me, id, {"price": None, "model_default": ""}),
        lambda: configurations.make_default(me, id),
        lambda: configurations.set_enabled(me, id, False),
        lambda: configurations.set_enabled(me, id, True),
        lambda: database.audit.tested(me, "Ours", "Passed", configuration_id=id),
        lambda: configurations.duplicate(me, id),
        lambda: open_database(f"{TWO},{ENCRYPTION_KEY}").encryption_keys.rotate(me),
        lambda: configurations.delete(me, id),
    ):
        clock.now += timedelta(hours=1)
        act()
    copy = configurations.all(me)[0]
    assert said(database, me)[:9] == [
        ("created", "Mine", ()),
        ("changed", "Ours", ("Name: Mine → Ours", "Default model: none → gpt-4o")),
        ("changed", "Ours", ("Key: replaced",)),
        ("changed", "Ours", ("Own price: changed",)),
        ("changed", "Ours", ("Default model: gpt-4o → none", "Own price: removed")),
        ("changed", "Ours", ("Made the default",)),
        ("changed", "Ours", ("Switched off",)),
        ("changed", "Ours", ("Switched on",)),
        ("tested", "Ours", ("Passed",)),
    ]
    assert said(database, me)[9] == ("created", "Ours (copy)", ("Copy of “Ours”",))
    assert set(said(database, me)[10:12]) == {("rotated", "Ours", ()), ("rotated", "Ours (copy)", ())}
    assert said(database, me)[12:] == [("deleted", "Ours", ())]

    entries = database.audit.recent(me)
    assert {(entry.person_id, entry.person_name) for entry in entries} == {(me.id, me.name)}
    assert (entries[-1].at, entries[0].at) == (began, began + timedelta(hours=11))
    of_the_copy = database.audit.recent(me, configuration_id=copy.id)
    assert [entry.action for entry in of_the_copy] == [AuditAction.ROTATED, AuditAction.CREATED]


def test_an_entry_keeps_the_name_of_the_person_at_that_time(
    database: Database, me: Person, saved: SavedConfiguration
) -> None:
    other = database.people.add(me, "Second administrator", PersonRole.ADMINISTRATOR)
    database.configurations.delete(other, saved.id)
    entry = database.audit.recent(me)[0]
    assert (entry.person_id, entry.person_name, entry.action) == (other.id, other.name, AuditAction.DELETED)
    assert (entry.configuration_id, entry.configuration_name) == (saved.id, "Mine")


def test_the_newest_entries_come_first_up_to_the_limit(
    database: Database, me: Person, saved: SavedConfiguration
) -> None:
    for number in range(5):
        database.configurations.change(me, saved.id, {"model_default": f"m-{number}"})
    details = [entry.details for entry in database.audit.recent(me, limit=2)]
    assert details == [("Default model: m-3 → m-4",), ("Default model: m-2 → m-3",)]
    assert database.audit.recent(me, configuration_id="another") == []


def test_a_change_without_a_visible_difference_is_logged(
    database: Database, me: Person, saved: SavedConfiguration
) -> None:
    database.configurations.change(me, saved.id, {})
    assert said(database, me)[-1] == ("changed", "Mine", ())
    for _ in range(2):
        database.configurations.make_default(me, saved.id)
        database.configurations.set_enabled(me, saved.id, True)
    assert len(said(database, me)) == 3


def test_a_failed_action_is_not_logged(
    database: Database, me: Person, saved: SavedConfiguration, configuration: Configuration, open_database: Open
) -> None:
    database.configurations.set_enabled(me, saved.id, False)
    before = said(database, me)
    lost = open_database(TWO)
    attempts: list[tuple[type[Exception], Callable[[], object]]] = [
        (InvalidConfiguration, lambda: database.configurations.add(me, configuration)),
        (
            InvalidConfiguration,
            lambda: database.configurations.change(me, saved.id, {"endpoint": "https://evil.example"}),
        ),
        (InvalidConfiguration, lambda: database.configurations.make_default(me, saved.id)),
        (ChangedMeanwhile, lambda: database.configurations.change(me, saved.id, {"model_default": "m"}, version=7)),
        (CannotOpen, lambda: lost.configurations.duplicate(me, saved.id)),
    ]
    for error, attempt in attempts:
        with pytest.raises(error):
            attempt()
    assert lost.encryption_keys.rotate(me).unreadable == ("Mine",)
    assert said(database, me) == before


@ON_BOTH
def test_an_action_that_cannot_be_logged_is_rolled_back(
    database: Database, me: Person, saved: SavedConfiguration, configuration: Configuration, kind: str, sql: Sql
) -> None:
    if kind == "sqlite":
        sql("CREATE TRIGGER refuse BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END")
    else:
        sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'")
        sql("CREATE TRIGGER refuse BEFORE INSERT ON audit EXECUTE FUNCTION refuse()")
    other = Configuration(**{**dict(configuration), "display_name": "Other"})
    for attempt in (
        lambda: database.configurations.add(me, other),
        lambda: database.configurations.change(me, saved.id, {"model_default": "m"}, SecretStr("another-key")),
        lambda: database.configurations.duplicate(me, saved.id),
        lambda: database.configurations.set_enabled(me, saved.id, False),
        lambda: database.configurations.make_default(me, saved.id),
        lambda: database.configurations.delete(me, saved.id),
    ):
        with pytest.raises(StorageError, match="Nothing was saved"):
            attempt()
    assert database.configurations.all(me) == [saved]
    assert database.configurations.open(me, saved.id) == configuration


@pytest.mark.parametrize(
    "hidden", ["?api-key=very-secret", "/chat?x=1&api-key=very-secret#here", "#very-secret", "/v1?#very-secret"]
)
def test_query_and_fragment_of_an_endpoint_are_neither_stored_nor_logged(
    database: Database, me: Person, saved: SavedConfiguration, sql: Sql, hidden: str
) -> None:
    configurations = database.configurations
    configurations.change(me, saved.id, {"endpoint": f"https://api.openai.com/v2{hidden}"})
    configurations.change(me, saved.id, {"endpoint": f"https://api.openai.com/v2{hidden}-more"})
    configurations.change(me, saved.id, {"endpoint": f"https://other.example{hidden}"}, SecretStr("sk-very-secret-key"))
    assert "very-secret" not in str(sql("SELECT * FROM configurations"))
    configurations.delete(me, saved.id)
    assert said(database, me)[2] == ("changed", "Mine", ())
    assert "very-secret" not in str(sql("SELECT * FROM audit"))
    assert "Endpoint: https://api.openai.com/v1 → https://api.openai.com/v2" in str(said(database, me)[1])


def test_no_action_writes_a_key_to_the_audit_log(database: Database, me: Person, sql: Sql, open_database: Open) -> None:
    keys = [f"sk-very-secret-{number}-0123456789" for number in range(3)]
    cloud = Configuration(
        display_name="Cloud",
        api_type=ApiType.AZURE_OPENAI,
        endpoint="https://res.openai.azure.com",
        api_key=SecretStr(keys[0]),
        deployment_name="dep",
        api_version="v1",
    )
    id = database.configurations.add(me, cloud).id
    database.configurations.change(me, id, {"key_type": KeyType.ENTRA_TOKEN}, SecretStr(keys[1]))
    database.configurations.duplicate(me, id)
    database.configurations.change(me, id, {"key_type": KeyType.ENTRA_IDENTITY}, SecretStr(keys[2]))
    database.configurations.change(me, id, {"key_type": KeyType.API_KEY}, SecretStr(KEY))
    open_database(f"{TWO},{ENCRYPTION_KEY}").encryption_keys.rotate(me)
    sealed = [row[0] for row in sql("SELECT sealed_key FROM configurations")]
    logged = str(sql("SELECT * FROM audit"))
    for secret in ("very-secret", KEY[:12], KEY[-4:], ENCRYPTION_KEY, TWO, *sealed):
        assert secret not in logged
    key_types = [details for action, _, details in said(database, me) if action == "changed"]
    assert key_types == [
        ("Key type: ApiKey → EntraToken", "Key: replaced"),
        ("Key type: EntraToken → EntraIdentity",),
        ("Key type: EntraIdentity → ApiKey", "Key: replaced"),
    ]


def test_a_long_value_is_cut(database: Database, me: Person, saved: SavedConfiguration) -> None:
    database.configurations.change(me, saved.id, {"model_default": "m" * 2000})
    assert said(database, me)[-1][2] == (f"Default model: none → {'m' * 200}",)
