"""Configurations and their sealed keys."""

import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from connector import ApiType, CallReport, CallStatus, Configuration, InvalidConfiguration, KeyType, Price
from db import (
    CallStart,
    CannotOpen,
    ChangedMeanwhile,
    Database,
    NotAllowed,
    NotFound,
    Person,
    PersonRole,
    SavedConfiguration,
    UsageGroup,
)
from tests.db.conftest import ENCRYPTION_KEY, KEY, ON_BOTH, ON_SQLITE
from tests.db.test_keys import TWO

Open = Callable[..., Database]
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


@ON_BOTH
def test_every_field_comes_back_as_it_was_typed(database: Database, me: Person) -> None:
    configuration = azure(model_default="kept")
    saved = database.configurations.add(me, configuration)
    assert database.configurations.open(me, saved.id) == configuration
    assert database.configurations.get(me, saved.id) == saved
    assert database.configurations.all(me) == [saved]
    for name in set(Configuration.model_fields) - {"api_key", "headers"}:
        assert getattr(saved, name) == getattr(configuration, name)


def test_a_saved_configuration_hints_at_its_key_and_does_not_have_it(database: Database, me: Person) -> None:
    saved = database.configurations.add(me, azure())
    short = database.configurations.add(me, azure(display_name="Short", api_key="01234567890"))
    assert saved.key_hint == "efgh"
    assert short.key_hint == ""
    assert "token-0123" not in repr(saved)


@ON_BOTH
def test_they_are_listed_by_name_without_regard_to_case(database: Database, me: Person) -> None:
    for name in ("beta", "Alpha", "alpha 2", "Écoute", "Beta 2"):
        database.configurations.add(me, azure(display_name=name))
    names = [each.display_name for each in database.configurations.all(me)]
    assert names == ["Alpha", "alpha 2", "beta", "Beta 2", "Écoute"]


@ON_BOTH
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


@ON_BOTH
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
    assert caught.value.problems == {"api_key": "The endpoint has another host now. Enter the key again."}
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


def _flipped(text: str, at: int) -> str:
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


def test_each_reason_why_a_key_does_not_open_has_a_sentence_of_its_own(
    database: Database, me: Person, open_database: Open, sql: Sql
) -> None:
    one = database.configurations.add(me, azure())
    two = database.configurations.add(me, azure(display_name="Two"))
    ((of_one,),) = sql("SELECT sealed_key FROM configurations WHERE id = ?", one.id)
    ((of_two,),) = sql("SELECT sealed_key FROM configurations WHERE id = ?", two.id)
    for sealed, sentence in [
        (of_one, "belongs to another configuration"),
        (_flipped(of_two, len(of_two) // 2), "was damaged or changed outside of this app"),
        (_flipped(of_two, 12), "was damaged or changed outside of this app"),
        (_flipped(of_two, len(of_two) - 4), "was damaged or changed outside of this app"),
        (of_two[:-4], "was damaged or changed outside of this app"),
        ("", "No key is stored for this configuration"),
    ]:
        sql("UPDATE configurations SET sealed_key = ? WHERE id = ?", sealed, two.id)
        with pytest.raises(CannotOpen, match=sentence) as caught:
            database.configurations.open(me, two.id)
        assert "Enter the key again" in str(caught.value)
        assert caught.value.__context__ is None
    assert database.configurations.open(me, one.id)
    with pytest.raises(CannotOpen, match=r"encryption key .* is not set here\. The stored key was not changed\."):
        open_database(TWO).configurations.open(me, one.id)
    sql("UPDATE configurations SET sealed_key = ? WHERE id = ?", of_two, two.id)
    assert database.configurations.open(me, two.id)


@pytest.mark.parametrize(
    ("endpoint", "entered", "now"),
    [
        ("https://evil.example", "res.openai.azure.com", "evil.example"),
        ("https://res.openai.azure.com:8443", "res.openai.azure.com", "res.openai.azure.com:8443"),
        ("http://res.openai.azure.com", "https://res.openai.azure.com", "http://res.openai.azure.com"),
        ("https://res.openai.azure.com.evil.example", "res.openai.azure.com", "res.openai.azure.com.evil.example"),
    ],
)
def test_a_host_that_was_changed_behind_the_app_is_named_and_gets_no_key(
    database: Database, me: Person, sql: Sql, endpoint: str, entered: str, now: str
) -> None:
    saved = database.configurations.add(me, azure(endpoint="https://res.openai.azure.com"))
    sql("UPDATE configurations SET endpoint = ?", endpoint)
    sentence = f"This key was entered for {entered}, the address now leads to {now}."
    for use in (database.configurations.open, database.configurations.duplicate):
        with pytest.raises(CannotOpen) as caught:
            use(me, saved.id)
        assert str(caught.value).startswith(sentence)
        assert "Enter the key again" not in str(caught.value)
    with pytest.raises(InvalidConfiguration) as refused:
        database.configurations.change(me, saved.id, {"display_name": "Renamed"})
    assert refused.value.problems["api_key"].startswith(sentence)
    corrected = database.configurations.change(me, saved.id, {"endpoint": "https://res.openai.azure.com/openai"})
    assert database.configurations.open(me, corrected.id).api_key == azure().api_key


def test_a_key_that_is_entered_for_the_new_host_opens_there(
    database: Database, me: Person, saved: SavedConfiguration, sql: Sql
) -> None:
    sql("UPDATE configurations SET endpoint = 'https://new.example'")
    database.configurations.change(me, saved.id, {"display_name": "Mine"}, SecretStr("entered-again"))
    assert database.configurations.open(me, saved.id).api_key.get_secret_value() == "entered-again"


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


@pytest.mark.parametrize("key_type", [KeyType.ENTRA_TOKEN, KeyType.API_KEY])
def test_a_key_of_another_type_is_another_key(database: Database, me: Person, key_type: KeyType) -> None:
    other = next(each for each in (KeyType.ENTRA_TOKEN, KeyType.API_KEY) if each is not key_type)
    saved = database.configurations.add(me, azure(key_type=other))
    with pytest.raises(InvalidConfiguration, match="has another type"):
        database.configurations.change(me, saved.id, {"key_type": key_type.value})
    assert database.configurations.get(me, saved.id) == saved
    changed = database.configurations.change(me, saved.id, {"key_type": key_type.value}, SecretStr("the-other-key"))
    assert (changed.key_type, changed.version) == (key_type, 2)
    assert database.configurations.open(me, saved.id).api_key.get_secret_value() == "the-other-key"


def test_an_identity_has_no_sealed_text_and_is_always_readable(
    database: Database, me: Person, open_database: Open, sql: Sql
) -> None:
    identity = {"key_type": KeyType.ENTRA_IDENTITY, "endpoint": "https://res.openai.azure.com"}
    database.configurations.add(me, azure(**identity))  # with a key, which is not kept
    database.configurations.add(me, azure(**identity, display_name="Without", api_key=""))
    assert sql("SELECT sealed_key, key_hint FROM configurations") == [("", "")] * 2
    for each in open_database(TWO).configurations.all(me):
        assert each.is_key_readable
        copy = open_database(TWO).configurations.duplicate(me, each.id)
        assert database.configurations.open(me, copy.id).api_key.get_secret_value() == ""
        moved = {"endpoint": "https://elsewhere.openai.azure.com"}
        assert database.configurations.change(me, each.id, moved).endpoint == moved["endpoint"]


# -- without the encryption key


def test_a_lost_encryption_key_leaves_lists_and_changes_as_they_were(
    database: Database, me: Person, saved: SavedConfiguration, open_database: Open, sql: Sql
) -> None:
    """None of them opens a key."""
    sealed = sql("SELECT sealed_key FROM configurations")
    lost = open_database(TWO).configurations
    assert lost.all(me) == [lost.get(me, saved.id)] == [replace(saved, is_key_readable=False)]
    changed = lost.change(me, saved.id, {"display_name": "Renamed", "endpoint": "https://api.openai.com/v2"})
    lost.set_enabled(me, saved.id, False)
    lost.set_enabled(me, saved.id, True)
    assert lost.make_default(me, saved.id).is_default
    assert (changed.key_hint, changed.is_key_readable) == (saved.key_hint, False)
    assert sql("SELECT sealed_key FROM configurations") == sealed
    for use in (lost.open, lost.duplicate):
        with pytest.raises(CannotOpen, match="Enter the key again"):
            use(me, saved.id)

    found = database.configurations.open(me, saved.id)
    assert (found.display_name, found.api_key.get_secret_value()) == ("Renamed", KEY)


def test_a_key_that_is_entered_again_goes_under_the_new_encryption_key(
    database: Database, me: Person, saved: SavedConfiguration, open_database: Open
) -> None:
    lost = open_database(TWO).configurations
    assert lost.change(me, saved.id, {}, SecretStr("entered-again-0123")).is_key_readable
    assert lost.open(me, saved.id).api_key.get_secret_value() == "entered-again-0123"
    assert not database.configurations.get(me, saved.id).is_key_readable


def _sealed_by_others(id: str, **changes: object) -> str:
    document = {"configuration": id, "origin": "https://api.openai.com:443", "key": KEY, **changes}
    return Fernet(ENCRYPTION_KEY).encrypt(json.dumps(document).encode()).decode()


SEALED: dict[str, Callable[[str], str]] = {
    "nothing": lambda id: "",
    "a word": lambda id: "nonsense",
    "letters": lambda id: "gAAAAAé漢字",
    "megabytes": lambda id: "gAAA" * 1_000_000,
    "cut off": lambda id: _sealed_by_others(id)[:-8],
    "of another version": lambda id: "hAAAAA" + _sealed_by_others(id)[6:],
    "of another row": lambda id: _sealed_by_others("0" * 32),
    "a number for a key": lambda id: _sealed_by_others(id, key=7),
    "a list": lambda id: Fernet(ENCRYPTION_KEY).encrypt(b"[1]").decode(),
    "a number": lambda id: Fernet(ENCRYPTION_KEY).encrypt(b"1").decode(),
    "no key": lambda id: Fernet(ENCRYPTION_KEY).encrypt(f'{{"configuration": "{id}"}}'.encode()).decode(),
    "a text": lambda id: Fernet(ENCRYPTION_KEY).encrypt(b"private").decode(),
    "bytes": lambda id: Fernet(ENCRYPTION_KEY).encrypt(b"\xff\xfe").decode(),
}


@pytest.mark.parametrize("name", SEALED)
def test_a_key_encrypted_by_another_program_does_not_open_and_blocks_nothing(
    database: Database, me: Person, saved: SavedConfiguration, open_database: Open, sql: Sql, name: str
) -> None:
    sql("UPDATE configurations SET sealed_key = ?", SEALED[name](saved.id))
    for use in (database.configurations.open, database.configurations.duplicate):
        with pytest.raises(CannotOpen, match="Enter the key again") as caught:
            use(me, saved.id)
        assert caught.value.__context__ is caught.value.__cause__ is None
    started = open_database(f"{TWO},{ENCRYPTION_KEY}")
    assert len(started.configurations.all(me)) == 1
    assert sum(started.encryption_keys.usage(me).opened) <= 1
    started.encryption_keys.rotate(me)
    with pytest.raises(CannotOpen):
        started.configurations.open(me, saved.id)
    changed = database.configurations.change(me, saved.id, {}, SecretStr("entered-again"))
    assert database.configurations.open(me, changed.id).api_key.get_secret_value() == "entered-again"


def test_a_sealed_text_of_ours_opens(database: Database, me: Person, saved: SavedConfiguration, sql: Sql) -> None:
    """So it is what they are about that the ones above fail for."""
    sql("UPDATE configurations SET sealed_key = ?", _sealed_by_others(saved.id))
    assert database.configurations.open(me, saved.id).api_key.get_secret_value() == KEY


def test_an_invalid_endpoint_in_the_database_opens_no_key_and_blocks_nothing(
    database: Database,
    me: Person,
    saved: SavedConfiguration,
    start: CallStart,
    report: Callable[..., CallReport],
    sql: Sql,
) -> None:
    turn = database.lone_answers.begin(me, "translate", {}, start)
    sql("UPDATE configurations SET endpoint = 'ftp://nonsense'")
    with pytest.raises(CannotOpen, match=r"was entered for api\.openai\.com, the address now leads to no host"):
        database.configurations.open(me, saved.id)
    assert database.configurations.all(me)[0].endpoint == "ftp://nonsense"
    database.turns.finish(me, turn, content="Hi", report=report())
    assert database.calls.get(me, turn.call_id).status is CallStatus.DONE
    with pytest.raises(InvalidConfiguration, match="another host"):
        database.configurations.change(me, saved.id, {"endpoint": "https://other.example"})
    database.configurations.change(me, saved.id, {"endpoint": saved.endpoint})
    assert database.configurations.open(me, saved.id)


# -- two administrators at once


def test_the_second_person_to_save_is_told_who_was_first_and_overwrites_nothing(
    database: Database, me: Person, saved: SavedConfiguration, open_database: Open
) -> None:
    other = database.people.add(me, "Olga", PersonRole.ADMINISTRATOR)
    first = open_database().configurations.change(other, saved.id, {"model_default": "gpt-4o"}, version=saved.version)
    for attempt in ({"model_default": "gpt-3.5-turbo"}, {"display_name": "Mine too"}, {}):
        with pytest.raises(ChangedMeanwhile) as caught:
            database.configurations.change(me, saved.id, attempt, SecretStr("another-key"), version=saved.version)
    assert str(caught.value) == (
        "Olga changed “Mine” meanwhile (Default model: none → gpt-4o). Your changes are not saved yet."
    )
    assert database.configurations.get(me, saved.id) == first
    assert database.configurations.open(me, saved.id).api_key.get_secret_value() == KEY
    changed = database.configurations.change(me, saved.id, {"display_name": "Mine too"}, version=first.version)
    assert (changed.model_default, changed.display_name, changed.version) == ("gpt-4o", "Mine too", 3)


@ON_BOTH
def test_of_many_simultaneous_saves_of_the_same_version_one_succeeds(
    database: Database, me: Person, saved: SavedConfiguration, open_database: Open
) -> None:
    databases = [database, open_database()] * 4

    def save(number: int) -> str | None:
        fields = {"model_default": f"m-{number}"}
        try:
            return databases[number].configurations.change(me, saved.id, fields, version=saved.version).model_default
        except ChangedMeanwhile:
            return None

    with ThreadPoolExecutor(8) as threads:
        (won,) = filter(None, threads.map(save, range(8)))
    found = database.configurations.get(me, saved.id)
    assert (found.model_default, found.version) == (won, 2)


def test_saving_a_configuration_that_was_deleted_or_switched_off_meanwhile_is_refused(
    database: Database, me: Person, saved: SavedConfiguration
) -> None:
    database.configurations.set_enabled(me, saved.id, False)
    with pytest.raises(ChangedMeanwhile, match="Switched off"):
        database.configurations.change(me, saved.id, {}, version=saved.version)
    database.configurations.delete(me, saved.id)
    with pytest.raises(NotFound):
        database.configurations.change(me, saved.id, {}, version=saved.version)


def test_a_rotation_does_not_change_the_version_of_a_configuration(
    database: Database, me: Person, saved: SavedConfiguration, open_database: Open
) -> None:
    both = open_database(f"{TWO},{ENCRYPTION_KEY}")
    assert both.encryption_keys.rotate(me).resealed == 1
    assert both.configurations.change(me, saved.id, {"model_default": "m"}, version=saved.version).version == 2


# -- copies, the default, on and off


def test_a_copy_has_the_key_and_a_name_of_its_own(
    database: Database, me: Person, saved: SavedConfiguration, configuration: Configuration
) -> None:
    database.configurations.change(me, saved.id, {"price": Price(input=1, output=2)})
    database.configurations.make_default(me, saved.id)
    copies = [database.configurations.duplicate(me, saved.id) for _ in range(3)]
    assert [each.display_name for each in copies] == ["Mine (copy)", "Mine (copy 2)", "Mine (copy 3)"]
    database.configurations.delete(me, saved.id)
    for copy in copies:
        assert database.configurations.get(me, copy.id) == copy
        assert (copy.version, copy.is_default, copy.is_enabled, copy.key_hint) == (1, False, True, saved.key_hint)
        assert copy.price is not None
        assert copy.price.input == 1
        opened = database.configurations.open(me, copy.id)
        assert opened == Configuration(**{**dict(configuration), "display_name": copy.display_name})


def test_a_copy_of_a_long_name_has_one_that_fits(database: Database, me: Person) -> None:
    saved = database.configurations.add(me, azure(display_name="x" * 100))
    names = [database.configurations.duplicate(me, saved.id).display_name for _ in range(2)]
    assert names == ["x" * 93 + " (copy)", "x" * 91 + " (copy 2)"]


def test_a_configuration_that_is_switched_off_is_opened_for_tests_only(
    database: Database, me: Person, saved: SavedConfiguration
) -> None:
    off = database.configurations.set_enabled(me, saved.id, False)
    assert (off.is_enabled, off.version) == (False, 2)
    with pytest.raises(NotAllowed, match="“Mine” is switched off"):
        database.configurations.open(me, saved.id)
    assert database.configurations.open(me, saved.id, is_test=True).api_key.get_secret_value() == KEY
    user = database.people.add(me, "User", PersonRole.USER)
    with pytest.raises(NotAllowed):
        database.configurations.open(user, saved.id, is_test=True)
    assert database.configurations.set_enabled(me, saved.id, True).is_enabled
    assert database.configurations.open(user, saved.id)


@ON_BOTH
def test_at_most_one_configuration_is_the_default_and_it_is_switched_on(database: Database, me: Person) -> None:
    one, two = (database.configurations.add(me, azure(display_name=name)).id for name in ("One", "Two"))

    def defaults() -> list[str]:
        return [each.display_name for each in database.configurations.all(me) if each.is_default]

    assert defaults() == []
    assert database.configurations.make_default(me, one).is_default
    assert database.configurations.make_default(me, two).is_default
    assert defaults() == ["Two"]
    assert not database.configurations.set_enabled(me, two, False).is_default
    assert defaults() == []
    with pytest.raises(InvalidConfiguration) as caught:
        database.configurations.make_default(me, two)
    assert set(caught.value.problems) == {"is_default"}
    database.configurations.set_enabled(me, two, True)
    assert defaults() == []
    with pytest.raises(NotFound):
        database.configurations.make_default(me, "nothing")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda id: database.configurations.make_default(me, id), [one, two] * 4))
    assert len(defaults()) == 1


def test_a_price_has_the_day_it_was_entered(database: Database, me: Person, clock: Any) -> None:
    price = Price(input=1, output=2, cached_input=0, per_request=3)
    saved = database.configurations.add(me, azure(), price)
    added_on = clock.now.date()
    assert saved.price == Price(**{**dict(price), "since": added_on})
    clock.now += timedelta(days=40)
    for same in (price, saved.price):  # the same numbers are not entered anew
        kept = database.configurations.change(me, saved.id, {"price": same, "model_default": "m"})
        assert kept.price == saved.price
    changed = database.configurations.change(me, saved.id, {"price": Price(input=1, output=5)})
    assert changed.price == Price(input=1, output=5, since=clock.now.date())
    assert clock.now.date() > added_on
    assert database.configurations.change(me, saved.id, {"price": None}).price is None


# -- what it leaves behind


def test_a_deleted_configuration_leaves_its_chats_and_calls_readable(
    database: Database,
    me: Person,
    saved: SavedConfiguration,
    start: CallStart,
    report: Callable[..., CallReport],
    sql: Sql,
) -> None:
    chat = database.chat_sessions.create(me, title="A chat", configuration_id=saved.id, model="gpt-4o")
    turn = database.turns.begin(me, chat.id, "Hello", start)
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    database.turns.finish(me, turn, content="Hi", report=report(usage=usage))
    running = database.lone_answers.begin(me, "translate", {}, start)
    totals = [database.usage.totals(me, by) for by in UsageGroup]
    database.configurations.delete(me, saved.id)

    assert database.chat_sessions.all(me) == [replace(chat, configuration_id=None)]
    question, answer = database.chat_sessions.conversation(me, chat.id).messages
    assert (question.content, answer.content) == ("Hello", "Hi")
    assert answer.call is not None
    assert (answer.call.configuration_id, answer.call.configuration_name, answer.call.total_tokens) == (None, "Mine", 3)
    assert [database.usage.totals(me, by) for by in UsageGroup] == totals
    assert database.calls.latest_by_configuration(me) == {}
    database.turns.finish(me, running, content="Hi", report=report())
    assert database.calls.get(me, running.call_id).configuration_name == "Mine"
    with pytest.raises(NotFound, match="configuration no longer exists"):
        database.turns.begin(me, chat.id, "Again", start)
    assert sql("SELECT * FROM configurations") == []
