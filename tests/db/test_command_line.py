"""`python -m db`: what it prints, how it exits, and that nothing secret is in it. It runs beside the app."""

import io
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from connector import CallStatus, Configuration
from db import CallStart, Database, Person, SavedConfiguration
from tests.db.conftest import ENCRYPTION_KEY, KEY, ON_SQLITE
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
        settings = {"DATABASE_URL": url, "ENCRYPTION_KEY": keys, **environment}
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
        f"Database: sqlite:///{path}, schema 0006",
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
    assert out.splitlines()[0].endswith(f"{url.rpartition('@')[2]}, schema 0006")
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


@ON_SQLITE
def test_without_a_command_the_usage_is_shown(run: Run) -> None:
    code, _, err = run()
    assert code == 2
    assert "usage: python -m db" in err
    code, out, _ = run("--help")
    assert code == 0
    for name in ("status", "rotate-key", "backup", "restore"):
        assert name in out
