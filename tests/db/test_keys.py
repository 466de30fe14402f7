"""The encryption key: where it is from, what it opens, and what is said when it is unusable."""

import os
import traceback
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from connector import Configuration
from db import CannotOpen, Database, StorageError

# Always the same: they are in the names of tests, and processes that share the tests must agree on these.
ONE, TWO = (urlsafe_b64encode(text * 32).decode() for text in (b"1", b"2"))


@pytest.fixture
def key_file(tmp_path: Path) -> Callable[..., str]:
    def make(text: str, mode: int = 0o600) -> str:
        file = tmp_path / "secret"
        file.write_text(text)
        file.chmod(mode)
        return str(file)

    return make


def test_a_key_file_is_made_once_for_its_owner_only(path: Path) -> None:
    database = Database(f"sqlite:///{path}")
    file = path.with_name("encryption.key")
    key = file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    assert database.encryption_keys.source == str(file)
    database.close()
    Database(f"sqlite:///{path}").close()
    assert file.read_bytes() == key
    assert {each.name for each in path.parent.iterdir()} == {"workbench.db", "workbench.db.in-use", "encryption.key"}


def test_a_key_that_was_set_needs_no_file(path: Path, key_file: Callable[..., str]) -> None:
    settings = [
        ({"encryption_key": f" {ONE} , {TWO} "}, "ENCRYPTION_KEY"),
        ({"encryption_key_file": key_file(f"{ONE}\n", 0o640)}, "ENCRYPTION_KEY_FILE"),
        ({"encryption_key": ONE, "encryption_key_file": key_file(ONE)}, "ENCRYPTION_KEY"),
    ]
    for setting, source in settings:
        database = Database(f"sqlite:///{path}", **setting)  # type: ignore[arg-type]
        assert database.encryption_keys.source == source
        database.close()
    assert not path.with_name("encryption.key").exists()


@pytest.mark.parametrize("text", [" ", "secret", ONE[:-1], ONE + "A", f"{ONE},", f"{ONE},secret", "Ä" * 44, "+" * 44])
def test_a_malformed_key_is_refused_before_anything_is_made(
    path: Path, key_file: Callable[..., str], text: str
) -> None:
    for setting, arguments in {
        "ENCRYPTION_KEY": {"encryption_key": text},
        "ENCRYPTION_KEY_FILE": {"encryption_key_file": key_file(text)},
    }.items():
        with pytest.raises(StorageError, match=f"^{setting} (is empty|does not contain)") as caught:
            Database(f"sqlite:///{path}", **arguments)  # type: ignore[arg-type]
        assert "Fernet.generate_key" in str(caught.value)
        assert text.strip() == "" or text not in str(caught.value)
    assert not path.parent.exists()


def test_a_key_file_that_is_missing_empty_or_open_to_all_is_refused(
    path: Path, tmp_path: Path, key_file: Callable[..., str]
) -> None:
    for file, sentence in [
        (str(tmp_path / "nowhere"), "ENCRYPTION_KEY_FILE: the file cannot be read: No such file"),
        (str(tmp_path), "ENCRYPTION_KEY_FILE: "),
        (key_file(""), "ENCRYPTION_KEY_FILE is empty"),
    ]:
        with pytest.raises(StorageError, match=sentence):
            Database(f"sqlite:///{path}", encryption_key_file=file)
    with pytest.raises(StorageError, match="ENCRYPTION_KEY_FILE: every user of this machine can read the file"):
        Database(f"sqlite:///{path}", encryption_key_file=key_file(ONE, 0o644))


def test_two_settings_that_disagree_are_refused(path: Path, key_file: Callable[..., str]) -> None:
    with pytest.raises(StorageError, match="ENCRYPTION_KEY and ENCRYPTION_KEY_FILE contain different keys"):
        Database(f"sqlite:///{path}", encryption_key=ONE, encryption_key_file=key_file(TWO))


@pytest.mark.parametrize("spoil", [lambda file: file.chmod(0o644), lambda file: file.write_text("secret")])
def test_an_automatic_file_that_is_unusable_is_refused_by_its_name(path: Path, spoil: Callable[[Path], None]) -> None:
    Database(f"sqlite:///{path}").close()
    spoil(path.with_name("encryption.key"))
    with pytest.raises(StorageError, match=r"encryption\.key"):
        Database(f"sqlite:///{path}")


def test_a_folder_where_no_key_file_can_be_created_is_reported(path: Path) -> None:
    path.with_name("encryption.key").parent.mkdir()
    os.symlink(path.parent / "nowhere", path.with_name("encryption.key"))
    with pytest.raises(StorageError, match=r"encryption\.key: the file cannot be read"):
        Database(f"sqlite:///{path}")


def test_the_first_key_seals_and_all_of_them_open(path: Path, configuration: Configuration) -> None:
    def added(keys: str, name: str) -> str:
        database = Database(f"sqlite:///{path}", encryption_key=keys)
        named = Configuration(**{**dict(configuration), "display_name": name})
        id = database.configurations.add(database.people.local(), named).id
        database.close()
        return id

    old, new = added(ONE, "Old"), added(f"{TWO},{ONE}", "New")
    database = Database(f"sqlite:///{path}", encryption_key=f"{TWO},{ONE}")
    me = database.people.local()
    assert database.configurations.open(me, old).api_key == configuration.api_key
    database.close()

    database = Database(f"sqlite:///{path}", encryption_key=TWO)
    assert database.configurations.open(me, new).api_key == configuration.api_key
    with pytest.raises(CannotOpen, match="Enter the key again"):
        database.configurations.open(me, old)
    database.close()


def test_a_wrong_key_destroys_nothing(path: Path, configuration: Configuration) -> None:
    database = Database(f"sqlite:///{path}", encryption_key=ONE)
    me = database.people.local()
    id = database.configurations.add(me, configuration).id
    database.close()

    database = Database(f"sqlite:///{path}", encryption_key=TWO)
    assert [each.display_name for each in database.configurations.all(me)] == ["Mine"]
    with pytest.raises(CannotOpen):
        database.configurations.open(me, id)
    database.close()

    database = Database(f"sqlite:///{path}", encryption_key=ONE)
    assert database.configurations.open(me, id) == configuration
    database.close()


def test_a_lost_key_file_is_not_replaced_while_something_is_sealed(path: Path, configuration: Configuration) -> None:
    database = Database(f"sqlite:///{path}")
    me = database.people.local()
    id = database.configurations.add(me, configuration).id
    database.close()
    file = path.with_name("encryption.key")
    kept = file.rename(file.with_name("elsewhere"))

    database = Database(f"sqlite:///{path}")
    assert database.encryption_keys.source == f"none: {file} is missing"
    assert [each.id for each in database.configurations.all(me)] == [id]
    with pytest.raises(CannotOpen, match="ENCRYPTION_KEY and enter the key again"):
        database.configurations.open(me, id)
    with pytest.raises(StorageError, match=r"API key cannot be saved .* ENCRYPTION_KEY"):
        database.configurations.add(me, Configuration(**{**dict(configuration), "display_name": "Other"}))
    assert not file.exists()
    assert len(database.configurations.all(me)) == 1
    database.close()

    kept.rename(file)
    database = Database(f"sqlite:///{path}")
    assert database.configurations.open(me, id) == configuration
    database.configurations.delete(me, id)
    database.close()
    file.unlink()
    Database(f"sqlite:///{path}").close()
    assert file.exists()


def test_the_start_names_the_configurations_whose_key_cannot_be_decrypted(
    path: Path, configuration: Configuration, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(f"sqlite:///{path}", encryption_key=ONE)
    me = database.people.local()
    for name in ("Beta", "Alpha"):
        database.configurations.add(me, Configuration(**{**dict(configuration), "display_name": name}))
    database.close()
    assert caplog.messages == []
    Database(f"sqlite:///{path}", encryption_key=f"{TWO},{ONE}").close()
    assert caplog.messages == []

    Database(f"sqlite:///{path}", encryption_key=TWO).close()
    (warning,) = caplog.records
    assert warning.levelname == "WARNING"
    assert warning.getMessage() == (
        "The encryption key (ENCRYPTION_KEY) cannot decrypt the API keys of: Alpha, Beta. Set the encryption "
        "key that encrypted them, or enter these API keys again."
    )

    file = path.with_name("encryption.key")
    caplog.clear()
    Database(f"sqlite:///{path}").close()
    assert f"(none: {file} is missing) cannot decrypt the API keys of: Alpha, Beta." in caplog.text
    for secret in (ONE, TWO, configuration.api_key.get_secret_value()[:10]):
        assert secret not in caplog.text


def test_an_encryption_key_that_does_not_agree_with_the_automatic_file_is_refused(
    path: Path, configuration: Configuration, key_file: Callable[..., str]
) -> None:
    database = Database(f"sqlite:///{path}")
    me = database.people.local()
    id = database.configurations.add(me, configuration).id
    database.close()
    file = path.with_name("encryption.key")
    automatic = file.read_text().strip()
    for setting, arguments in {
        "ENCRYPTION_KEY": {"encryption_key": ONE},
        "ENCRYPTION_KEY_FILE": {"encryption_key_file": key_file(ONE)},
    }.items():
        with pytest.raises(
            StorageError, match=rf"^{setting} does not contain the key in the file .*encryption\.key\."
        ) as caught:
            Database(f"sqlite:///{path}", **arguments)  # type: ignore[arg-type]
        assert f"{setting}=new,old" in str(caught.value)
        assert ONE not in str(caught.value)
        assert automatic not in str(caught.value)

    with closing(Database(f"sqlite:///{path}", encryption_key=f"{ONE},{automatic}")) as database:
        assert database.configurations.open(me, id) == configuration
        assert database.encryption_keys.rotate(me).resealed == 1
    file.rename(file.with_name("away"))
    with closing(Database(f"sqlite:///{path}", encryption_key=ONE)) as database:
        assert database.configurations.open(me, id) == configuration
    assert not file.exists()


def test_an_automatic_file_that_everybody_may_read_is_refused_beside_a_setting_too(path: Path) -> None:
    Database(f"sqlite:///{path}").close()
    file = path.with_name("encryption.key")
    file.chmod(0o644)
    with pytest.raises(StorageError, match=r"encryption\.key: every user of this machine can read the file"):
        Database(f"sqlite:///{path}", encryption_key=file.read_text())


def test_a_long_list_of_keys_opens_what_the_last_of_them_sealed(path: Path, configuration: Configuration) -> None:
    with closing(Database(f"sqlite:///{path}", encryption_key=ONE)) as database:
        me = database.people.local()
        id = database.configurations.add(me, configuration).id
    others = [urlsafe_b64encode(f"{number:032}".encode()).decode() for number in range(1000)]
    with closing(Database(f"sqlite:///{path}", encryption_key=" , ".join([*others, ONE, ONE]))) as database:
        assert database.configurations.open(me, id) == configuration
        assert database.encryption_keys.usage(me).opened == (*[0] * 1000, 1, 0)
        assert database.encryption_keys.rotate(me).resealed == 1
        assert database.encryption_keys.usage(me).opened[0] == 1


def test_a_refused_key_is_in_no_error_that_a_log_would_show(path: Path) -> None:
    nearly = ONE[:-2] + "!="
    with pytest.raises(StorageError) as caught:
        Database(f"sqlite:///{path}", encryption_key=f"{TWO},{nearly}")
    shown = "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is caught.value.__cause__ is None
    assert nearly not in shown
    assert TWO not in shown
