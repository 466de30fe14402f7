"""Faults of the database: each sentence says what happened, what it means for the data, and what to do.

Nothing "was saved" or "was not saved" where something was only read.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from connector import Configuration
from db import Database, Person, SavedConfiguration, StorageError
from tests.db.conftest import ON_POSTGRESQL, ON_SQLITE

Sql = Callable[..., list[tuple[Any, ...]]]

NOT_READ = "The data could not be read; nothing was changed."
NOT_SAVED = "Nothing was saved."


def assert_says(caught: pytest.ExceptionInfo[StorageError], what: str, outcome: str, advice: str) -> None:
    assert str(caught.value) == f"{what} {outcome} {advice}"
    assert caught.value.__context__ is caught.value.__cause__ is None


# -- SQLite


def disconnect(database: Database) -> None:
    """Close the pooled connections, so that the next transaction meets the file as it is by then."""
    database._storage.backend.reader.dispose()
    database._storage.backend.writer.dispose()


@contextmanager
def locked(database: Database, path: Path) -> Iterator[None]:
    """Another program uses the file alone; for once, it is waited for a millisecond instead of half a minute."""

    def be_impatient(connection: Any, _: object) -> None:
        connection.execute("PRAGMA busy_timeout = 1")

    # Before the connections are prepared: that already needs the lock.
    event.listen(database._storage.backend.reader, "connect", be_impatient, insert=True)
    disconnect(database)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("COMMIT")


@contextmanager
def damaged(database: Database, path: Path) -> Iterator[None]:
    """All pages but the first are overwritten."""
    disconnect(database)
    before = path.read_bytes()
    path.write_bytes(before[:4096] + b"\xff" * (len(before) - 4096))
    yield
    disconnect(database)
    path.write_bytes(before)


@contextmanager
def not_a_database(database: Database, path: Path) -> Iterator[None]:
    disconnect(database)
    before = path.read_bytes()
    path.write_bytes(b"Dear diary, " * 500)
    yield
    disconnect(database)
    path.write_bytes(before)


@contextmanager
def gone(database: Database, path: Path) -> Iterator[None]:
    """A folder has taken the place of the file."""
    disconnect(database)
    aside = path.rename(path.with_name("aside.db"))
    path.mkdir()
    yield
    path.rmdir()
    aside.rename(path)


Fault = Callable[[Database, Path], Any]
BUSY = ("The database was busy for too long.", "Try again.")
DAMAGED = ("The database that DATABASE_URL names is damaged.", "Restore it from a backup.")
NO_DATABASE = ("DATABASE_URL names a file that is not an SQLite database.", "Correct it, or restore a backup.")
CANNOT_OPEN = (
    "The database cannot be opened.",
    "Check the file that DATABASE_URL names, and the permissions of its folder.",
)


@ON_SQLITE
@pytest.mark.parametrize(
    ("fault", "sentences"),
    [(locked, BUSY), (damaged, DAMAGED), (not_a_database, NO_DATABASE), (gone, CANNOT_OPEN)],
)
def test_a_fault_while_reading_an_sqlite_file_does_not_claim_that_something_was_not_saved(
    database: Database, me: Person, saved: SavedConfiguration, path: Path, fault: Fault, sentences: tuple[str, str]
) -> None:
    with fault(database, path), pytest.raises(StorageError) as caught:
        database.configurations.all(me)
    assert_says(caught, sentences[0], NOT_READ, sentences[1])
    assert database.configurations.all(me) == [saved]


@ON_SQLITE
@pytest.mark.parametrize(
    ("fault", "sentences"), [(damaged, DAMAGED), (not_a_database, NO_DATABASE), (gone, CANNOT_OPEN)]
)
def test_a_fault_while_writing_an_sqlite_file_says_that_nothing_was_saved(
    database: Database, me: Person, saved: SavedConfiguration, path: Path, fault: Fault, sentences: tuple[str, str]
) -> None:
    with fault(database, path), pytest.raises(StorageError) as caught:
        database.configurations.make_default(me, saved.id)
    assert_says(caught, sentences[0], NOT_SAVED, sentences[1])
    assert database.configurations.all(me) == [saved]


def fill_up(connection: Any) -> None:
    connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")


def make_read_only(connection: Any) -> None:
    connection.execute("PRAGMA query_only = ON")


@ON_SQLITE
@pytest.mark.parametrize(
    ("spoil", "what", "advice"),
    [
        (fill_up, "The disk is full.", "Free some space and try again."),
        (
            make_read_only,
            "The database is read-only.",
            "Check the permissions of the file that DATABASE_URL names, and of its folder.",
        ),
    ],
)
def test_an_sqlite_file_that_cannot_grow_or_change_says_that_nothing_was_saved_and_is_read(
    database: Database, me: Person, spoil: Callable[[Any], None], what: str, advice: str
) -> None:
    with database._storage.writing() as session:
        spoil(session.connection().connection.dbapi_connection)
    with pytest.raises(StorageError) as caught:
        database.chat_sessions.create(me, title="A chat", configuration_id=None, system_prompt="private " * 100_000)
    assert_says(caught, what, NOT_SAVED, advice)
    assert database.chat_sessions.all(me) == []


# -- PostgreSQL


STOPPED = ("The database server was shut down.", "Try again when it is running again.")
POSTGRESQL_FAULTS = [
    ("RAISE disk_full", ("The disk of the database is full.", "Free some space and try again.")),
    ("RAISE lock_not_available", BUSY),
    ("RAISE query_canceled", BUSY),
    ("RAISE read_only_sql_transaction", ("The database is read-only.", "DATABASE_URL must name the primary server.")),
    ("RAISE data_corrupted", DAMAGED),
    ("RAISE index_corrupted", DAMAGED),
    ("PERFORM pg_terminate_backend(pg_backend_pid())", STOPPED),
    (
        "RAISE 'private'",
        ("The database refused this (error P0001).", "Try again; if it happens again, tell the administrator."),
    ),
]


def first(faults: Sequence[tuple[str, tuple[str, str]]]) -> list[Any]:
    """All of them, the first in the short form: the sentence of each is tested with a change, the rest is the same."""
    return [faults[0], *(pytest.param(*each, marks=pytest.mark.soak) for each in faults[1:])]


@contextmanager
def faulty(sql: Sql, statement: str, returns: str, result: str) -> Iterator[None]:
    """The server runs the statement when the function `refuse` is called."""
    body = f"BEGIN {statement}; RETURN {result}; END"
    quoted = body.replace("'", "''")
    sql(f"CREATE OR REPLACE FUNCTION refuse() RETURNS {returns} LANGUAGE plpgsql VOLATILE AS '{quoted}'")
    try:
        yield
    finally:
        sql("DROP FUNCTION refuse CASCADE")


@contextmanager
def faulty_reading(sql: Sql, statement: str) -> Iterator[None]:
    """Whoever reads configurations runs the statement."""
    with faulty(sql, statement, "boolean", "true"):
        sql("ALTER TABLE configurations RENAME TO aside")
        try:
            sql("CREATE VIEW configurations AS SELECT * FROM aside WHERE refuse()")
            yield
        finally:
            sql("DROP VIEW IF EXISTS configurations")
            sql("ALTER TABLE aside RENAME TO configurations")


@contextmanager
def faulty_writing(sql: Sql, statement: str) -> Iterator[None]:
    """Whoever writes to the audit log runs the statement."""
    with faulty(sql, statement, "trigger", "NEW"):
        sql("CREATE TRIGGER refuse BEFORE INSERT ON audit EXECUTE FUNCTION refuse()")
        yield


@ON_POSTGRESQL
@pytest.mark.parametrize(("statement", "sentences"), first(POSTGRESQL_FAULTS))
def test_a_fault_while_reading_from_postgresql_does_not_claim_that_something_was_not_saved(
    database: Database, me: Person, saved: SavedConfiguration, sql: Sql, statement: str, sentences: tuple[str, str]
) -> None:
    with pytest.raises(StorageError) as caught, faulty_reading(sql, statement):
        database.configurations.all(me)
    assert_says(caught, sentences[0], NOT_READ, sentences[1])
    assert database.configurations.all(me) == [saved]


@ON_POSTGRESQL
@pytest.mark.parametrize(("statement", "sentences"), POSTGRESQL_FAULTS)
def test_a_fault_while_writing_to_postgresql_says_that_nothing_was_saved(
    database: Database, me: Person, configuration: Configuration, sql: Sql, statement: str, sentences: tuple[str, str]
) -> None:
    with pytest.raises(StorageError) as caught, faulty_writing(sql, statement):
        database.configurations.add(me, configuration)
    assert_says(caught, sentences[0], NOT_SAVED, sentences[1])
    assert database.configurations.all(me) == []


@ON_POSTGRESQL
def test_a_connection_that_is_lost_while_writing_may_have_saved_the_change(
    database: Database, me: Person, configuration: Configuration, sql: Sql
) -> None:
    with pytest.raises(StorageError) as caught, faulty_writing(sql, "RAISE connection_failure"):
        database.configurations.add(me, configuration)
    outcome, advice = "The change may or may not have been saved.", "Check that before you try again."
    assert_says(caught, "The connection to the database was lost.", outcome, advice)


@ON_POSTGRESQL
def test_a_connection_that_is_lost_while_reading_changed_nothing(
    database: Database, me: Person, saved: SavedConfiguration, sql: Sql
) -> None:
    with pytest.raises(StorageError) as caught, faulty_reading(sql, "RAISE connection_failure"):
        database.configurations.all(me)
    assert_says(caught, "The connection to the database was lost.", NOT_READ, "Try again.")


# Without the lost connection: psycopg cannot close a server-side cursor there, and warns about it later.
@ON_POSTGRESQL
@pytest.mark.parametrize(("statement", "sentences"), first([each for each in POSTGRESQL_FAULTS if each[1] != STOPPED]))
def test_a_backup_that_cannot_read_postgresql_speaks_of_postgresql_and_leaves_no_file(
    database: Database,
    me: Person,
    saved: SavedConfiguration,
    sql: Sql,
    tmp_path: Path,
    statement: str,
    sentences: tuple[str, str],
) -> None:
    with pytest.raises(StorageError) as caught, faulty_reading(sql, statement):
        database.back_up(me, tmp_path / "backup.db")
    assert_says(caught, sentences[0], NOT_READ, sentences[1])
    assert list(tmp_path.iterdir()) == []


# -- both


def test_a_search_for_an_invalid_character_does_not_claim_that_something_was_not_saved(
    database: Database, me: Person
) -> None:
    with pytest.raises(StorageError) as caught:
        database.chat_sessions.search(me, "private \ud83d")
    assert_says(caught, "The text contains an invalid character.", NOT_READ, "Remove that character and try again.")
