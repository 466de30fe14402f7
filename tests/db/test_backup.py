"""Backups are one moment of the whole, whoever writes meanwhile; what is restored is all of it, or nothing."""

import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select

from connector import CallReport, CallStatus, Configuration
from db import AuditAction, CallStart, Database, MessageStatus, NotFound, Person, SavedConfiguration, StorageError
from db.base import Record
from tests.db.conftest import ENCRYPTION_KEY, KEY, ON_BOTH, ON_SQLITE, Clock
from tests.db.test_keys import TWO
from tests.postgresql import PostgreSQLServer

Open = Callable[..., Database]
Report = Callable[..., CallReport]


def rows(database: Database, *, audit: bool = False) -> set[tuple[object, ...]]:
    with database._storage.reading() as session:
        tables = [table for table in Record.metadata.tables.values() if audit or table.name != "audit"]
        return {(table.name, *row) for table in tables for row in session.execute(select(table))}


@pytest.fixture
def filled(database: Database, me: Person, saved: SavedConfiguration, start: CallStart, report: Report) -> Database:
    chat = database.chat_sessions.create(me, title="Kept", configuration_id=saved.id)
    for text in ("One", "Two"):
        turn = database.turns.begin(me, chat.id, text, start)
        database.turns.finish(me, turn, content=f"{text}!", report=report())
    return database


@ON_BOTH
def test_a_restore_brings_back_the_backup_and_keeps_the_previous_data_in_a_file(
    filled: Database, me: Person, saved: SavedConfiguration, tmp_path: Path
) -> None:
    file, replaced = tmp_path / "backup.db", tmp_path / "replaced.db"
    before = rows(filled)
    filled.back_up(me, file)
    assert file.stat().st_mode & 0o777 == 0o600
    filled.configurations.delete(me, saved.id)
    filled.chat_sessions.create(me, title="Came after", configuration_id=None)
    after = rows(filled, audit=True)

    found = filled.restore(me, file, replaced=replaced)
    assert (found.configurations, found.chats, found.calls) == (1, 1, 2)
    assert rows(filled) == before
    assert filled.configurations.open(me, saved.id).api_key.get_secret_value() == KEY
    assert filled.audit.recent(me)[0].action is AuditAction.RESTORED
    with closing(Database(f"sqlite:///{replaced}", encryption_key=ENCRYPTION_KEY, recover=False)) as kept:
        assert rows(kept, audit=True) == after


@ON_BOTH
def test_a_backup_moves_from_one_database_to_the_other(
    filled: Database, me: Person, kind: str, tmp_path: Path, postgresql: PostgreSQLServer
) -> None:
    file = tmp_path / "backup.db"
    filled.back_up(me, file)
    url = postgresql.create() if kind == "sqlite" else f"sqlite:///{tmp_path / 'other.db'}"
    with closing(Database(url, encryption_key=ENCRYPTION_KEY)) as other:
        other.restore(me, file, replaced=tmp_path / "replaced.db")
        assert rows(other) == rows(filled)


def test_ids_are_not_reused_after_a_restore(
    filled: Database, me: Person, start: CallStart, report: Report, tmp_path: Path
) -> None:
    """Else who finishes a call of before would meet a stranger under its number."""
    filled.back_up(me, tmp_path / "backup.db")
    later = filled.calls.add(me, start, report())
    filled.restore(me, tmp_path / "backup.db", replaced=tmp_path / "replaced.db")
    assert filled.calls.add(me, start, report()) > later


@ON_BOTH
def test_a_backup_shows_one_moment_while_others_write(
    filled: Database, me: Person, start: CallStart, report: Report, tmp_path: Path
) -> None:
    """A turn is a call and two messages: no backup has one without the others."""
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            chat = filled.chat_sessions.create(me, title="Busy", configuration_id=None)
            with suppress(NotFound):  # it was restored away
                turn = filled.turns.begin(me, chat.id, "Hello", start)
                filled.turns.finish(me, turn, content="Hi", report=report())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            filled.back_up(me, tmp_path / f"{number}.db")
            with closing(sqlite3.connect(tmp_path / f"{number}.db")) as copy:
                assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                (calls,), (messages,) = (
                    copy.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ("calls", "messages")
                )
                assert messages == 2 * calls
        filled.restore(me, tmp_path / "0.db", replaced=tmp_path / "replaced.db")
    finally:
        done.set()
        writer.join()


def test_an_older_backup_is_brought_up_to_date_and_a_newer_one_is_refused(
    filled: Database, me: Person, tmp_path: Path
) -> None:
    file, replaced = tmp_path / "backup.db", tmp_path / "replaced.db"
    filled.back_up(me, file)
    before = rows(filled)
    with closing(sqlite3.connect(file)) as copy, copy:
        copy.execute("DROP TABLE picks")
        copy.execute("DROP TABLE images")
        copy.execute("DROP INDEX ix_messages_status")
        for table, columns in {
            "chat_sessions": ("lease_until", "history_turns", "deleted_at", "page"),
            "messages": ("reasoning", "earlier_sent", "beside_id", "is_stop_asked", "request", "sent", "response"),
            "calls": ("prompt_characters", "filtered"),
            "configurations": ("key_header", "headers", "earlier_key"),
        }.items():
            for column in columns:
                copy.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        copy.execute("UPDATE alembic_version SET version_num = '0003'")
    filled.restore(me, file, replaced=replaced)
    assert rows(filled) == before
    with closing(sqlite3.connect(file)) as copy, copy:
        copy.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StorageError, match="newer version"):
        filled.restore(me, file, replaced=tmp_path / "another.db")
    assert rows(filled) == before


def songs(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE songs (title)")


NO_BACKUP: dict[str, Callable[[Path], object]] = {
    "nothing": lambda file: None,
    "a folder": lambda file: file.mkdir(),
    "an empty file": lambda file: file.write_bytes(b""),
    "a text": lambda file: file.write_text("Dear diary, " * 500),
    "another program's": lambda file: songs(file),
}


@pytest.mark.parametrize("name", NO_BACKUP)
def test_restoring_a_file_that_is_not_a_backup_changes_nothing(
    filled: Database, me: Person, name: str, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    NO_BACKUP[name](file)
    before = rows(filled, audit=True)
    with pytest.raises(StorageError, match=r"There is no file|is not a backup of this program"):
        filled.restore(me, file, replaced=tmp_path / "replaced.db")
    assert rows(filled, audit=True) == before
    assert not (tmp_path / "replaced.db").exists()


def test_a_backup_under_another_encryption_key_is_refused_by_name(
    filled: Database, me: Person, tmp_path: Path, configuration: Configuration
) -> None:
    file = tmp_path / "other.db"
    other = Database(f"sqlite:///{file}", encryption_key=Fernet.generate_key().decode())
    other.configurations.add(me, configuration)
    other.close()
    before = rows(filled, audit=True)
    with pytest.raises(StorageError, match=r"cannot decrypt the API keys of: Mine\. Nothing was restored"):
        filled.restore(me, file, replaced=tmp_path / "replaced.db")
    assert rows(filled, audit=True) == before


def test_a_backup_overwrites_nothing_and_says_where_it_cannot_be_written(
    filled: Database, me: Person, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    with pytest.raises(StorageError, match="already exists"):
        filled.back_up(me, taken)
    os.symlink(tmp_path / "nowhere", tmp_path / "link")
    with pytest.raises(StorageError, match="already exists"):
        filled.back_up(me, tmp_path / "link")
    with pytest.raises(StorageError, match="cannot be written") as caught:
        filled.back_up(me, tmp_path / "none" / "backup.db")
    assert caught.value.__context__ is None
    assert taken.read_text() == "mine"
    assert sorted(each.name for each in tmp_path.iterdir() if each.name != "data") == ["link", "taken"]


def test_the_encryption_key_is_in_no_backup(filled: Database, me: Person, tmp_path: Path, clock: Any) -> None:
    assert isinstance(clock, Clock)
    filled.back_up(me, tmp_path / "backup.db")
    content = (tmp_path / "backup.db").read_bytes()
    assert ENCRYPTION_KEY[:20].encode() not in content
    assert KEY[:16].encode() not in content


# -- beside a running app


def test_a_restore_while_many_write_loses_nothing_that_comes_after_it(
    filled: Database,
    me: Person,
    start: CallStart,
    saved: SavedConfiguration,
    report: Report,
    tmp_path: Path,
    open_database: Open,
) -> None:
    filled.back_up(me, tmp_path / "backup.db")
    other = open_database()
    is_restored = threading.Event()

    def write(number: int) -> list[int]:
        database = (filled, other)[number % 2]
        after: list[int] = []
        while len(after) < 5:
            was_restored = is_restored.is_set()
            database.configurations.change(me, saved.id, {"model_default": f"m-{number}"})
            call = database.calls.add(me, start, report())
            after += [call] if was_restored else []
        return after

    with ThreadPoolExecutor(4) as threads:
        writing = [threads.submit(write, number) for number in range(4)]
        filled.restore(me, tmp_path / "backup.db", replaced=tmp_path / "replaced.db")
        is_restored.set()
        after = [call for each in writing for call in each.result()]
    assert len(set(after)) == 20
    stored = {call.id for call in filled.calls.recent(me, limit=1000)}
    assert set(after) <= stored
    assert stored & calls_in(tmp_path / "replaced.db") == calls_in(tmp_path / "backup.db")  # no number twice


def calls_in(file: Path) -> set[int]:
    with closing(sqlite3.connect(file)) as copy:
        return {row[0] for row in copy.execute("SELECT id FROM calls")}


@ON_BOTH
def test_no_id_in_any_table_is_reused(
    filled: Database, me: Person, start: CallStart, saved: SavedConfiguration, tmp_path: Path
) -> None:
    filled.back_up(me, tmp_path / "backup.db")
    filled.configurations.change(me, saved.id, {"model_default": "later"})
    chat = filled.chat_sessions.create(me, title="Later", configuration_id=None)
    later = filled.turns.begin(me, chat.id, "Hello", start)
    entry = filled.audit.recent(me)[0]
    for number in range(2):
        filled.restore(me, tmp_path / "backup.db", replaced=tmp_path / f"replaced-{number}.db")
        assert filled.audit.recent(me)[0].id > entry.id
    (chat,) = filled.chat_sessions.all(me)
    turn = filled.turns.begin(me, chat.id, "Hello", start)
    assert turn.call_id > later.call_id
    assert turn.user_message_id > later.answer_id


def test_the_result_of_a_call_that_a_restore_removed_is_not_stored_on_another_call(
    filled: Database, me: Person, start: CallStart, report: Report, tmp_path: Path
) -> None:
    filled.back_up(me, tmp_path / "backup.db")
    away = filled.lone_answers.begin(me, "translate", {}, start)
    filled.restore(me, tmp_path / "backup.db", replaced=tmp_path / "replaced.db")
    other = filled.lone_answers.begin(me, "translate", {}, start)
    with pytest.raises(NotFound):
        filled.turns.finish(me, away, content="Away", report=report())
    assert filled.calls.get(me, other.call_id).status is CallStatus.RUNNING


def test_an_answer_in_progress_in_a_backup_is_interrupted_until_its_result_is_stored(
    filled: Database, me: Person, start: CallStart, report: Report, tmp_path: Path
) -> None:
    (chat,) = filled.chat_sessions.all(me)
    turn = filled.turns.begin(me, chat.id, "Three", start)
    filled.back_up(me, tmp_path / "backup.db")
    filled.restore(me, tmp_path / "backup.db", replaced=tmp_path / "replaced.db")
    assert filled.calls.get(me, turn.call_id).status is CallStatus.INTERRUPTED
    assert filled.chat_sessions.conversation(me, chat.id).messages[-1].status is MessageStatus.INTERRUPTED
    filled.turns.finish(me, turn, content="Three!", report=report())
    assert filled.chat_sessions.conversation(me, chat.id).messages[-1].content == "Three!"


# -- refusals


@ON_SQLITE
def test_backing_up_a_missing_database_is_an_error_and_creates_no_file(
    filled: Database, me: Person, path: Path, tmp_path: Path
) -> None:
    path.unlink()
    with pytest.raises(StorageError, match="cannot be opened"):
        filled.back_up(me, tmp_path / "backup.db")
    assert not path.exists()
    assert not (tmp_path / "backup.db").exists()


@ON_SQLITE
@pytest.mark.parametrize("by", [lambda path: path, lambda path: path.parent / ".." / path.parent.name / path.name])
def test_the_database_file_itself_cannot_be_restored(
    filled: Database, me: Person, path: Path, tmp_path: Path, by: Callable[[Path], Path]
) -> None:
    before = rows(filled, audit=True)
    os.symlink(path, tmp_path / "link")
    for file in (by(path), tmp_path / "link"):
        with pytest.raises(StorageError, match="is the database itself"):
            filled.restore(me, file, replaced=tmp_path / "replaced.db")
        with pytest.raises(StorageError, match="already exists"):
            filled.back_up(me, file)
    assert rows(filled, audit=True) == before


def cut_off(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)


def without_calls(file: Path) -> None:
    with closing(sqlite3.connect(file)) as copy, copy:
        copy.execute("DROP TABLE calls")


def with_a_chat_of_nobody(file: Path) -> None:
    with closing(sqlite3.connect(file)) as copy, copy:
        copy.execute("UPDATE chat_sessions SET owner_id = 99")


@pytest.mark.parametrize("spoil", [cut_off, without_calls, with_a_chat_of_nobody])
def test_restoring_a_damaged_backup_changes_nothing(
    filled: Database, me: Person, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    file = tmp_path / "backup.db"
    filled.back_up(me, file)
    spoil(file)
    before = rows(filled, audit=True)
    with pytest.raises(StorageError) as caught:
        filled.restore(me, file, replaced=tmp_path / "replaced.db")
    assert caught.value.__context__ is caught.value.__cause__ is None
    assert "DATABASE_URL" not in str(caught.value), "the backup is damaged, not the database"
    assert rows(filled, audit=True) == before


def test_a_restore_needs_a_file_for_the_previous_data(filled: Database, me: Person, tmp_path: Path) -> None:
    filled.back_up(me, tmp_path / "backup.db")
    before = rows(filled, audit=True)
    (tmp_path / "taken.db").write_text("mine")
    for replaced in (tmp_path / "nowhere" / "replaced.db", tmp_path / "taken.db", tmp_path / ("x" * 300)):
        with pytest.raises(StorageError, match=r"cannot be written|already exists"):
            filled.restore(me, tmp_path / "backup.db", replaced=replaced)
    assert rows(filled, audit=True) == before
    assert (tmp_path / "taken.db").read_text() == "mine"


@pytest.mark.parametrize("name", ["a backup?mode=ro.db", "50%20.db", "#1.db", "ünï 漢.db"])
def test_a_backup_may_have_any_name(filled: Database, me: Person, tmp_path: Path, name: str) -> None:
    file, replaced = tmp_path / name, tmp_path / f"{name}.replaced"
    filled.back_up(me, file)
    before = rows(filled)
    filled.restore(me, file, replaced=replaced)
    assert rows(filled) == before
    assert sorted(each.name for each in tmp_path.iterdir() if each.name != "data") == sorted([name, replaced.name])


def test_a_backup_from_before_a_rotation_opens_while_the_old_key_is_named(
    filled: Database, me: Person, saved: SavedConfiguration, tmp_path: Path, open_database: Open
) -> None:
    filled.back_up(me, tmp_path / "backup.db")
    both = open_database(f"{TWO},{ENCRYPTION_KEY}")
    both.encryption_keys.rotate(me)
    with pytest.raises(StorageError, match="cannot decrypt the API keys of: Mine"):
        open_database(TWO).restore(me, tmp_path / "backup.db", replaced=tmp_path / "replaced.db")
    both.restore(me, tmp_path / "backup.db", replaced=tmp_path / "replaced.db")
    assert both.encryption_keys.rotate(me).resealed == 1
    assert open_database(TWO).configurations.open(me, saved.id).api_key.get_secret_value() == KEY
