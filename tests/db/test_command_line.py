"""`python -m db`: what it prints, how it exits, and that nothing secret is in it. It runs beside the app."""

import io
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, redirect_stderr, redirect_stdout
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from connector import CallReport, CallStatus, Configuration
from db import CallStart, Database, NewChat, Person, SavedConfiguration, UsageGroup
from tests.db.conftest import ENCRYPTION_KEY, KEY, ON_BOTH, ON_SQLITE
from tests.db.processes import beside
from tests.db.test_keys import ONE, TWO

ROOT = Path(__file__).parents[2]
Open = Callable[..., Database]
Run = Callable[..., tuple[int, str, str]]
Sql = Callable[..., list[tuple[Any, ...]]]


def program(line: Connection, arguments: list[str], environment: dict[str, str]) -> None:
    """`python -m db` in this process, which is there sooner than a new one."""
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["db", *arguments]
    out, err = io.StringIO(), io.StringIO()
    code: object = None
    try:
        with redirect_stdout(out), redirect_stderr(err):
            runpy.run_module("db", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code
    line.send((code, out.getvalue(), err.getvalue()))


@pytest.fixture
def run(url: str) -> Run:
    """Its exit code, what it printed and what it complained about; nothing secret is in either."""

    def run_it(*arguments: object, keys: str = ENCRYPTION_KEY, **environment: str) -> tuple[int, str, str]:
        settings = {"DATABASE_URL": url, **({"ENCRYPTION_KEY": keys} if keys else {}), **environment}
        with beside(program, [str(each) for each in arguments], settings) as child:
            ((code, out, err),) = child.said()
            assert child.ended_well()
        for secret in (KEY, KEY[:10], *keys.split(","), "very-secret"):
            assert not secret or secret not in out + err
        assert "Traceback" not in err
        return code, out, err

    return run_it


@pytest.mark.slow
def test_it_is_a_program(path: Path) -> None:
    Database(f"sqlite:///{path}", encryption_key=ONE).close()
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{path}", "ENCRYPTION_KEY": ONE}
    command = [sys.executable, "-W", "error", "-m", "db", "status"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    said = [
        f"Database: sqlite:///{path}, schema 0007",
        "Encryption key: ENCRYPTION_KEY",
        "  key 1 (encrypts): decrypts 0 API keys",
    ]
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, said, "")


def test_status_shows_how_many_api_keys_each_encryption_key_decrypts(
    open_database: Open, configuration: Configuration, run: Run, url: str
) -> None:
    for keys, names in ((ONE, "AB"), (TWO, "C"), (ENCRYPTION_KEY, "D")):
        database = open_database(keys)
        for name in names:
            named = Configuration(**{**dict(configuration), "display_name": name})
            database.configurations.add(database.people.local(), named)
    code, out, err = run("status", keys=f"{TWO},{ONE}")
    assert code == 0
    assert out.splitlines()[0].endswith(f"{url.rpartition('@')[2]}, schema 0007")
    assert out.splitlines()[1:] == [
        "Encryption key: ENCRYPTION_KEY",
        "  key 1 (encrypts): decrypts 1 API key",
        "  key 2: decrypts 2 API keys",
        "  no key decrypts 1 API key, of D",
    ]
    assert err.startswith("The encryption key (ENCRYPTION_KEY) cannot decrypt the API keys of: D. ")


def test_a_rotation_reports_its_counts_and_may_be_repeated(
    database: Database, me: Person, saved: SavedConfiguration, run: Run
) -> None:
    both = f"{TWO},{ENCRYPTION_KEY}"
    before = "Encrypted with the first encryption key: 1 API key. Already so: 0 API keys.\n"
    after = "Encrypted with the first encryption key: 0 API keys. Already so: 1 API key.\n"
    assert run("rotate-key", keys=both) == (0, before, "")
    assert run("rotate-key", keys=both) == (0, after, "")
    assert run("rotate-key", keys=TWO) == (0, after, "")


def test_a_rotation_that_cannot_decrypt_a_key_fails_and_names_the_configuration(
    saved: SavedConfiguration, open_database: Open, configuration: Configuration, run: Run, sql: Sql
) -> None:
    other = Configuration(**{**dict(configuration), "display_name": "Lost"})
    database = open_database(ONE)
    database.configurations.add(database.people.local(), other)
    before = sql("SELECT sealed_key FROM configurations WHERE display_name = 'Lost'")
    code, out, _ = run("rotate-key", keys=f"{TWO},{ENCRYPTION_KEY}")
    assert (code, out.splitlines()) == (
        1,
        [
            "Encrypted with the first encryption key: 1 API key. Already so: 0 API keys.",
            "No encryption key decrypts 1 API key, of Lost. They were not changed. Add the encryption key that "
            "encrypted them to ENCRYPTION_KEY, or enter these API keys again.",
        ],
    )
    assert sql("SELECT sealed_key FROM configurations WHERE display_name = 'Lost'") == before


@ON_BOTH
def test_a_backup_is_written_and_restored_beside_the_running_app(
    database: Database, me: Person, saved: SavedConfiguration, start: CallStart, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "my backup?.db"
    database.chat_sessions.create(me, title="A chat", configuration_id=saved.id)
    code, out, err = run("backup", file)
    assert (code, err) == (0, "")
    assert out == f"Written to {file}. Also keep the encryption key, in another place: to restore, you need both.\n"

    database.configurations.delete(me, saved.id)
    code, out, err = run("restore", file)
    assert (code, err) == (0, "")
    restored, kept = out.splitlines()
    assert restored == "Restored: 1 configuration, 1 chat, 0 calls."
    assert database.configurations.open(me, saved.id).api_key.get_secret_value() == KEY
    (replaced,) = tmp_path.glob("my backup?.db.replaced-*")
    assert kept == f"The previous data is in {replaced}."
    assert replaced.stat().st_mode & 0o777 == 0o600

    code, out, err = run("restore", replaced)
    assert database.configurations.all(me) == []


@ON_SQLITE
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["backup", "."], ". already exists. Nothing was written. Choose another file name."),
        (["backup", "nowhere/x.db"], "nowhere/x.db cannot be written: No such file or directory."),
        (["backup", "x" * 300], f"{'x' * 300} cannot be written: File name too long."),
        (["restore", "nowhere/x.db"], "There is no file nowhere/x.db. Nothing was restored. Check the path."),
        (["restore", "."], "There is no file .. Nothing was restored. Check the path."),
        (["restore", ""], "There is no file .. Nothing was restored. Check the path."),
        (["restore", "x" * 300], f"There is no file {'x' * 300}. Nothing was restored. Check the path."),
        (
            ["restore", "README.md"],
            "README.md is not a backup of this program. Nothing was restored. Choose another file.",
        ),
    ],
)
def test_an_unusable_file_is_reported_in_one_sentence(
    saved: SavedConfiguration, database: Database, me: Person, run: Run, arguments: list[str], sentence: str
) -> None:
    assert run(*arguments) == (1, "", f"{sentence}\n")
    assert database.configurations.all(me) == [saved]


@ON_SQLITE
@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"ENCRYPTION_KEY": ""}, "ENCRYPTION_KEY is set but empty"),
        ({"ENCRYPTION_KEY": "very-secret"}, "ENCRYPTION_KEY does not contain a valid key"),
        ({"ENCRYPTION_KEY": f"{ONE},"}, "ENCRYPTION_KEY does not contain a valid key"),
        ({"ENCRYPTION_KEY_FILE": "nowhere"}, "ENCRYPTION_KEY_FILE: the file cannot be read: No such file"),
        ({"DATABASE_URL": "mysql://me:very-secret@host/x"}, "DATABASE_URL must start with"),
        ({"DATABASE_URL": "postgresql://me:very-secret@127.0.0.1:1/x"}, "Check that PostgreSQL is running there."),
    ],
)
def test_an_invalid_setting_is_named(run: Run, settings: dict[str, str], sentence: str) -> None:
    code, out, err = run("status", **settings)
    assert (code, out) == (1, "")
    assert sentence in err


def test_only_restore_creates_a_missing_database(
    saved: SavedConfiguration, database: Database, me: Person, run: Run, tmp_path: Path
) -> None:
    """Otherwise a mistyped path would create an empty database, and the backup of it would succeed."""
    database.back_up(me, tmp_path / "backup.db")
    new = tmp_path / "new" / "workbench.db"
    elsewhere = {"DATABASE_URL": f"sqlite:///{new}"}
    for arguments in (["status"], ["rotate-key"], ["backup", tmp_path / "another.db"]):
        code, out, err = run(*arguments, **elsewhere)
        assert (code, out) == (1, "")
        assert err == f"There is no database {new}. Nothing was changed. Check DATABASE_URL and the current folder.\n"
    assert not new.parent.exists()
    assert not (tmp_path / "another.db").exists()
    assert run("restore", tmp_path / "backup.db", **elsewhere)[0] == 0
    assert "decrypts 1 API key\n" in run("status", **elsewhere)[1]


def test_commands_do_not_interrupt_the_answers_of_the_app(
    database: Database, me: Person, start: CallStart, run: Run, tmp_path: Path
) -> None:
    turn = database.lone_answers.begin(me, "translate", {}, start)
    for arguments in (["status"], ["rotate-key"], ["backup", tmp_path / "backup.db"]):
        assert run(*arguments)[0] == 0
    assert database.calls.get(me, turn.call_id).status is CallStatus.RUNNING


# -- on another machine


@pytest.fixture
def backup(tmp_path: Path, configuration: Configuration, report: Callable[..., CallReport]) -> Path:
    """The backup of another machine, with a chat. The key file of that machine is beside it, as `old.key`."""
    with closing(Database(f"sqlite:///{tmp_path}/old/workbench.db")) as database:
        me = database.people.local()
        for name in ("Mine", "Yours"):
            named = Configuration(**{**dict(configuration), "display_name": name})
            saved = database.configurations.add(me, named)
        start = CallStart("chat", "execute_with_history", saved.id, saved.display_name, "gpt-asked")
        turn = database.turns.begin(me, NewChat("A chat"), "Hello", start)
        database.turns.finish(me, turn, content="Hi", report=report())
        database.back_up(me, tmp_path / "backup.db")
    (tmp_path / "old" / "encryption.key").rename(tmp_path / "old.key")
    return tmp_path / "backup.db"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Where the database will be on the new machine."""
    return tmp_path / "new" / "workbench.db"


ONE_KEY = "If that key is lost, restore with --without-keys, and enter these API keys again.\n"


@ON_SQLITE
@pytest.mark.parametrize("by", ["file", "setting", "setting of a file"])
def test_a_restore_on_a_clean_machine_says_how_to_bring_the_key(
    run: Run, backup: Path, new: Path, tmp_path: Path, by: str
) -> None:
    elsewhere = {"DATABASE_URL": f"sqlite:///{new}"}
    code, out, err = run("restore", backup, keys="", **elsewhere)
    assert (code, out) == (1, "")
    assert err == (
        "The encryption key cannot decrypt the API keys of: Mine, Yours. Nothing was restored. Put their file "
        f"encryption.key beside the database, or set ENCRYPTION_KEY to the key in it. {ONE_KEY}"
    )
    assert not new.with_name("encryption.key").exists()
    key = (tmp_path / "old.key").read_text().strip()
    if by == "file":
        shutil.copy(tmp_path / "old.key", new.with_name("encryption.key"))
    elif by == "setting":
        elsewhere["ENCRYPTION_KEY"] = key
    else:
        elsewhere["ENCRYPTION_KEY_FILE"] = str(tmp_path / "old.key")
    code, out, err = run("restore", backup, keys="", **elsewhere)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "Restored: 2 configurations, 1 chat, 1 call."
    with closing(Database(f"sqlite:///{new}", encryption_key=key)) as database:
        me = database.people.local()
        assert [database.configurations.open(me, each.id).api_key for each in database.configurations.all(me)] == [
            SecretStr(KEY)
        ] * 2


@ON_SQLITE
@pytest.mark.parametrize("source", ["encryption.key", "ENCRYPTION_KEY"])
def test_a_restore_after_a_first_start_says_where_to_add_the_key(
    run: Run, backup: Path, new: Path, tmp_path: Path, source: str
) -> None:
    file, old = new.with_name("encryption.key"), (tmp_path / "old.key").read_text().strip()
    elsewhere = {"DATABASE_URL": f"sqlite:///{new}"}
    if source == "ENCRYPTION_KEY":
        elsewhere["ENCRYPTION_KEY"] = ONE
    else:
        source = str(file)
    Database(f"sqlite:///{new}", encryption_key=elsewhere.get("ENCRYPTION_KEY", "")).close()
    code, out, err = run("restore", backup, keys="", **elsewhere)
    assert (code, out) == (1, "")
    assert f" Add the encryption key that encrypted them to {source}, after a comma. {ONE_KEY}" in err
    if "ENCRYPTION_KEY" in elsewhere:
        elsewhere["ENCRYPTION_KEY"] += f",{old}"
    else:
        file.write_text(f"{file.read_text().strip()},{old}\n")
    assert run("restore", backup, keys="", **elsewhere)[0] == 0
    assert "  key 2: decrypts 2 API keys" in run("status", keys="", **elsewhere)[1].splitlines()


def test_without_the_key_a_restore_brings_back_everything_else(
    run: Run, backup: Path, url: str, open_database: Open, configuration: Configuration, sql: Sql, tmp_path: Path
) -> None:
    """Also where one of the keys can be decrypted: that one is kept."""
    with closing(Database(f"sqlite:///{backup}", encryption_key=ENCRYPTION_KEY)) as database:
        me = database.people.local()
        database.configurations.add(me, Configuration(**{**dict(configuration), "display_name": "Readable"}))
    code, out, err = run("restore", backup, "--without-keys")
    assert (code, err) == (0, "")
    (replaced,) = tmp_path.glob("backup.db.replaced-*")
    assert out.splitlines() == [
        "Restored: 3 configurations, 1 chat, 1 call.",
        "Without the API keys of: Mine, Yours. Enter these API keys again.",
        f"The previous data is in {replaced}.",
    ]
    database = open_database()
    me = database.people.local()
    by_name = {each.display_name: each for each in database.configurations.all(me)}
    assert {name: each.is_key_readable for name, each in by_name.items()} == {
        "Mine": False,
        "Yours": False,
        "Readable": True,
    }
    assert sql("SELECT key_hint FROM configurations WHERE display_name = 'Mine'") == [("",)]
    (chat,) = database.chat_sessions.all(me)
    assert [each.content for each in database.chat_sessions.conversation(me, chat.id).messages] == ["Hello", "Hi"]
    assert database.usage.totals(me, UsageGroup.CONFIGURATION)[0].calls == 1
    database.configurations.change(me, by_name["Mine"].id, {}, SecretStr(KEY))
    assert database.configurations.open(me, by_name["Mine"].id).api_key == SecretStr(KEY)


@ON_SQLITE
def test_a_start_after_a_restore_without_keys_makes_a_new_encryption_key(run: Run, backup: Path, new: Path) -> None:
    assert run("restore", backup, "--without-keys", keys="", DATABASE_URL=f"sqlite:///{new}")[0] == 0
    assert not new.with_name("encryption.key").exists()
    with closing(Database(f"sqlite:///{new}")) as database:
        me = database.people.local()
        mine = database.configurations.all(me)[0]
        database.configurations.change(me, mine.id, {}, SecretStr(KEY))
        assert database.configurations.open(me, mine.id).api_key == SecretStr(KEY)


@ON_SQLITE
def test_no_command_creates_an_encryption_key(run: Run, new: Path, tmp_path: Path) -> None:
    elsewhere = {"DATABASE_URL": f"sqlite:///{new}"}
    Database(f"sqlite:///{new}", encryption_key=ONE).close()
    for arguments in (
        ["status"],
        ["rotate-key"],
        ["backup", tmp_path / "empty.db"],
        ["restore", tmp_path / "empty.db"],
    ):
        assert run(*arguments, keys="", **elsewhere)[0] == 0
    assert not new.with_name("encryption.key").exists()


@ON_SQLITE
def test_without_a_command_the_usage_is_shown(run: Run) -> None:
    code, _, err = run()
    assert code == 2
    assert "usage: python -m db" in err
    code, out, _ = run("--help")
    assert code == 0
    for name in ("status", "rotate-key", "backup", "restore"):
        assert name in out
