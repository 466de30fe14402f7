"""Opening a database: migrations, recovery, refusals, several processes at once, what a failure says."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta, timezone
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.exc import StatementError

from connector import ApiType, CallReport, CallStatus, Configuration
from db import LEASE, CallStart, Database, MessageStatus, NotFound, Person, SavedConfiguration, StorageError
from db.base import Record
from tests.db.conftest import KEY, ON_BOTH, ON_SQLITE
from tests.db.processes import all_at_once

Sql = Callable[..., list[tuple[Any, ...]]]
Open = Callable[..., Database]


@ON_BOTH
def test_the_migrated_schema_is_that_of_the_records(database: Database, url: str) -> None:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Record.metadata) == []
    engine.dispose()


def test_the_file_is_durable_and_its_folder_private(path: Path) -> None:
    Database(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert path.parent.stat().st_mode & 0o777 == 0o700


def add_a_configuration(line: Connection, url: str) -> None:
    line.send("ready")
    line.recv()
    with closing(Database(url)) as database:
        me = database.people.local()
        configuration = Configuration(
            display_name=f"By process {os.getpid()}",
            api_type=ApiType.OPENAI,
            endpoint="https://api.openai.com/v1",
            api_key=KEY,
        )
        database.configurations.add(me, configuration)
        line.send((me.name, database.encryption_keys.source))


def test_four_processes_that_start_at_once_make_one_database_and_one_key_file(path: Path) -> None:
    said = all_at_once(add_a_configuration, f"sqlite:///{path}")
    assert said == [[("Local administrator", str(path.with_name("encryption.key")))]] * 4
    assert {file.name for file in path.parent.iterdir()} == {"workbench.db", "workbench.db.in-use", "encryption.key"}
    with closing(Database(f"sqlite:///{path}")) as database:
        me = database.people.local()
        opened = [database.configurations.open(me, each.id) for each in database.configurations.all(me)]
    assert [each.api_key.get_secret_value() for each in opened] == [KEY] * 4


def test_the_next_start_marks_running_answers_as_interrupted(
    database: Database,
    me: Person,
    start: CallStart,
    report: Callable[..., CallReport],
    open_database: Open,
    kind: str,
    clock: Any,
) -> None:
    chat = database.chat_sessions.create(me, title="A chat", configuration_id=None)
    first = database.turns.begin(me, chat.id, "One", start)
    database.turns.finish(me, first, content="1", report=report())
    database.turns.begin(me, chat.id, "Two", start)
    database.close()
    if kind == "postgresql":  # where nobody can tell that no other process is there
        clock.now += LEASE + timedelta(seconds=1)

    again = open_database()
    answers = [message for message in again.chat_sessions.conversation(me, chat.id).messages if message.call]
    assert [answer.status for answer in answers] == [MessageStatus.COMPLETE, MessageStatus.INTERRUPTED]
    assert [call.status for call in again.calls.recent(me)] == [CallStatus.INTERRUPTED, CallStatus.DONE]


def test_an_answer_that_another_start_marked_as_interrupted_is_stored_when_it_finishes(
    database: Database,
    me: Person,
    start: CallStart,
    report: Callable[..., CallReport],
    open_database: Open,
    clock: Any,
) -> None:
    chat = database.chat_sessions.create(me, title="A chat", configuration_id=None)
    turn = database.turns.begin(me, chat.id, "One", start)
    clock.now += LEASE + timedelta(seconds=1)
    open_database()
    database.turns.finish(me, turn, content="All of it", report=report())
    answer = database.chat_sessions.conversation(me, chat.id).messages[-1]
    assert (answer.content, answer.status) == ("All of it", MessageStatus.COMPLETE)
    assert database.calls.get(me, turn.call_id).status is CallStatus.DONE
    with pytest.raises(NotFound):
        database.turns.finish(me, turn, content="Again", report=report())


@ON_BOTH
def test_threads_write_in_the_order_in_which_they_ask(
    database: Database, me: Person, start: CallStart, report: Callable[..., CallReport]
) -> None:
    for number in range(20):
        held = Event()
        seen: list[int] = []

        def write_twice(held: Event = held, seen: list[int] = seen) -> None:
            with database._storage.writing():
                held.set()
                while not database._storage._queue._waiting:
                    time.sleep(0.001)
            database.calls.add(me, start, report())
            seen.append(len(database.chat_sessions.all(me)))

        with ThreadPoolExecutor(1) as thread:
            busy = thread.submit(write_twice)
            held.wait()
            database.chat_sessions.create(me, title=str(number), configuration_id=None)
            busy.result()
        assert seen == [number + 1], "what was waited for is written before the other thread's next"


class Interrupted(Exception):
    """As Ctrl+C."""


@ON_SQLITE
def test_a_thread_interrupted_while_waiting_to_write_blocks_no_other(
    database: Database, me: Person, start: CallStart, report: Callable[..., CallReport]
) -> None:
    held, is_over = Event(), Event()

    def hold() -> None:
        with database._storage.writing():
            held.set()
            is_over.wait()

    def interrupt() -> None:
        while not database._storage._queue._waiting:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGUSR1)

    def raise_it(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, raise_it)
    try:
        with ThreadPoolExecutor(2) as threads:
            holding = threads.submit(hold)
            held.wait()
            threads.submit(interrupt)
            with pytest.raises(Interrupted):
                database.calls.add(me, start, report())
            is_over.set()
            holding.result()
        assert database.calls.add(me, start, report())
    finally:
        is_over.set()
        signal.signal(signal.SIGUSR1, before)


# -- times


@ON_BOTH
def test_a_time_is_stored_in_milliseconds_and_comes_back_in_utc(
    database: Database, me: Person, clock: Any, sql: Sql
) -> None:
    clock.now = datetime(2026, 3, 1, 13, 0, 0, 123000, tzinfo=timezone(timedelta(hours=1)))
    chat = database.chat_sessions.create(me, title="A chat", configuration_id=None)
    assert sql("SELECT created_at FROM chat_sessions") == [(1772366400123,)]
    created_at = database.chat_sessions.get(me, chat.id).created_at
    assert created_at == clock.now
    assert created_at.utcoffset() == timedelta(0)


def test_a_time_without_a_zone_is_refused(database: Database, me: Person, clock: Any, sql: Sql) -> None:
    clock.now = datetime(2026, 3, 1)
    with pytest.raises(StatementError, match="without a time zone"):
        database.chat_sessions.create(me, title="A chat", configuration_id=None)
    assert sql("SELECT * FROM chat_sessions") == []


# -- refusals


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense", "must look like sqlite:///data/workbench.db or postgresql://"),
        ("", "must look like"),
        ("mysql://me:secret@host/name", "must look like"),
        ("sqlite:///data/x.db?mode=ro", "must name a file"),
        ("postgresql://me:secret@host", "must name a database"),
        ("postgresql://me:secret@host:port/name", "must look like"),
        ("postgresql://me:se:secret@host:secret/name", "must look like"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
    ],
)
def test_an_unusable_address_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(StorageError, match=sentence) as caught:
        Database(url)
    assert "DATABASE_URL" in str(caught.value)
    assert "secret" not in str(caught.value)


def _a_file_instead_of_the_folder(path: Path) -> None:
    path.parent.write_text("")


def _a_folder_instead_of_the_file(path: Path) -> None:
    path.mkdir(parents=True)


def _not_a_database(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("Dear diary, " * 500)


def _of_another_program(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE songs (title)")


def _newer(path: Path) -> None:
    Database(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


def _cut_off(path: Path) -> None:
    Database(f"sqlite:///{path}").close()
    with path.open("r+b") as file:
        file.truncate(file.seek(0, 2) // 2)


def _content(path: Path) -> object:
    """What the database holds, or the bytes where there is none to read."""
    if not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(path)) as connection:
            return list(connection.iterdump())
    except sqlite3.DatabaseError:
        return path.read_bytes()


def _overwritten(path: Path) -> None:
    Database(f"sqlite:///{path}").close()
    with path.open("r+b") as file:
        file.seek(-4096, 2)  # the last page
        file.write(b"\xff" * 4096)


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (_a_file_instead_of_the_folder, "cannot be created"),
        (_a_folder_instead_of_the_file, "cannot be opened"),
        (_not_a_database, "not an SQLite database"),
        (_of_another_program, "another program"),
        (_newer, "newer version"),
        (_cut_off, "damaged"),
        (_overwritten, "damaged"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_left_alone(
    path: Path, prepare: Callable[[Path], None], sentence: str
) -> None:
    prepare(path)
    before = _content(path)
    with pytest.raises(StorageError, match=sentence) as caught:
        Database(f"sqlite:///{path}")
    assert "DATABASE_URL" in str(caught.value)
    assert caught.value.__context__ is None
    assert _content(path) == before


# -- failures while running


def _full(connection: Any) -> None:
    connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")


def _read_only(connection: Any) -> None:
    connection.execute("PRAGMA query_only = ON")


@ON_SQLITE
@pytest.mark.parametrize(
    ("spoil", "sentence"), [(_full, "disk is full. Nothing was saved"), (_read_only, "read-only. Nothing was saved")]
)
def test_a_failure_is_a_sentence_without_the_values_and_nothing_is_half_saved(
    database: Database,
    me: Person,
    start: CallStart,
    sql: Sql,
    spoil: Callable[[Any], None],
    sentence: str,
) -> None:
    chat = database.chat_sessions.create(me, title="A chat", configuration_id=None)
    # The one connection that writes, as the disk under it would be.
    with database._storage.writing() as session:
        spoil(session.connection().connection.dbapi_connection)
    with pytest.raises(StorageError, match=sentence) as caught:
        database.turns.begin(me, chat.id, "private " * 100_000, start)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert "private" not in str(caught.value)
    assert database.chat_sessions.conversation(me, chat.id).messages == ()
    assert sql("SELECT * FROM calls") == []


@ON_BOTH
def test_a_reader_cannot_write(database: Database, me: Person) -> None:
    with pytest.raises(StorageError, match="read-only"), database._storage.reading() as session:
        session.connection().exec_driver_sql("DELETE FROM people")


@ON_SQLITE
def test_another_program_that_holds_the_lock_is_waited_for(
    database: Database, me: Person, configuration: Configuration, path: Path
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as thread:
            adding = thread.submit(database.configurations.add, me, configuration)
            assert database.configurations.all(me) == []  # readers do not wait
            other.execute("COMMIT")
            assert adding.result().display_name == "Mine"


@ON_BOTH
def test_an_invalid_character_is_refused_without_showing_the_text(
    database: Database, me: Person, start: CallStart, sql: Sql
) -> None:
    chat = database.chat_sessions.create(me, title="A chat", configuration_id=None)
    with pytest.raises(StorageError, match=r"invalid character\. Nothing was saved") as caught:
        database.turns.begin(me, chat.id, "private \ud83d", start)
    assert caught.value.__context__ is caught.value.__cause__ is None
    assert "private" not in str(caught.value)
    assert database.chat_sessions.conversation(me, chat.id).messages == ()
    assert sql("SELECT * FROM calls") == []


@ON_SQLITE
def test_a_lock_held_too_long_by_another_program_is_reported(
    database: Database, me: Person, configuration: Configuration, path: Path
) -> None:
    with database._storage.writing() as session:
        session.connection().exec_driver_sql("PRAGMA busy_timeout = 1")  # else it takes half a minute
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match=r"busy for too long\. Nothing was saved") as caught:
            database.configurations.add(me, configuration)
        assert caught.value.__context__ is caught.value.__cause__ is None
        other.execute("COMMIT")
    assert database.configurations.add(me, configuration).display_name == "Mine"


@pytest.mark.soak
def test_a_writer_waits_half_a_minute_for_another(
    database: Database, me: Person, saved: SavedConfiguration, open_database: Open
) -> None:
    other = open_database()
    with other._storage.writing() as session:
        session.connection()  # from here on it holds the lock
        with pytest.raises(StorageError, match=r"busy for too long\. Nothing was saved"):
            database.configurations.make_default(me, saved.id)
    assert database.configurations.make_default(me, saved.id).is_default


@pytest.mark.soak
def test_a_text_of_200_megabytes_is_stored_and_read(
    database: Database, me: Person, start: CallStart, report: Callable[..., CallReport], tmp_path: Path
) -> None:
    chat = database.chat_sessions.create(me, title="A chat", configuration_id=None)
    turn = database.turns.begin(me, chat.id, "All of it, please", start)
    text = "0123456789äöüß€\n" * 10_000_000
    assert len(text.encode()) > 200_000_000
    database.turns.finish(me, turn, content=text, report=report())
    assert database.chat_sessions.conversation(me, chat.id).messages[-1].content == text
    database.back_up(me, tmp_path / "backup.db")
    database.restore(me, tmp_path / "backup.db", replaced=tmp_path / "replaced.db")
    assert database.chat_sessions.conversation(me, chat.id).messages[-1].content == text
