"""What only a database server can do to us: refuse, hang, go away and come back. Each is a sentence with what to do."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest

from connector import CallReport, Configuration
from db import CallStart, Database, MessageStatus, Person, SavedConfiguration, StorageError
from tests.db.conftest import ENCRYPTION_KEY, ON_POSTGRESQL
from tests.postgresql import PostgreSQLServer

Sql = Callable[..., list[tuple[Any, ...]]]
Open = Callable[..., Database]


def opened(url: str) -> None:
    Database(url, encryption_key=ENCRYPTION_KEY).close()


def cut_off(sql: Sql) -> None:
    """Everybody who is connected to the test's database."""
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")


@pytest.fixture(scope="module")
def users(postgresql: PostgreSQLServer) -> None:
    postgresql.run("CREATE ROLE guarded LOGIN PASSWORD 'right'")
    postgresql.run("CREATE ROLE stranger LOGIN")
    postgresql.run("CREATE ROLE plain LOGIN")


@pytest.mark.parametrize(
    ("user", "database", "sentence"),
    [
        ("guarded:wrong-secret", "postgres", r"PostgreSQL refused the user or the password in DATABASE_URL\."),
        ("guarded", "postgres", r"PostgreSQL requires a password in DATABASE_URL\."),
        (
            "nobody:secret",
            "postgres",
            r"user that DATABASE_URL names does not exist\. .* Create it first\.",
        ),
        ("postgres:secret", "nowhere", r"The database or the user that DATABASE_URL names does not exist"),
        (
            "stranger:secret",
            "postgres",
            r"PostgreSQL refuses connections from here .* in its pg_hba\.conf",
        ),
        ("plain:secret", "postgres", r"The user in DATABASE_URL does not have the right .* the owner of the database"),
        ("postgres:secret", "postgres?sslmode=require", r"Check sslmode and certificates in DATABASE_URL"),
        ("postgres:secret", "postgres?secret=1", r"an option that PostgreSQL does not accept"),
        (
            "postgres:secret",
            "postgres?sslmode=secret",
            r"an option that PostgreSQL does not accept",
        ),
    ],
)
def test_a_refused_login_is_explained_without_the_password(
    postgresql: PostgreSQLServer, users: None, user: str, database: str, sentence: str
) -> None:
    with pytest.raises(StorageError, match=sentence) as caught:
        opened(postgresql.url(database, user))
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        (
            "127.0.0.1:1",
            "No server responds at the host and port that DATABASE_URL names. Nothing was changed. "
            "Check that PostgreSQL is running there.",
        ),
        (
            "nowhere.invalid",
            "DATABASE_URL names a host that cannot be found. Nothing was changed. Correct its name, or check "
            "the network.",
        ),
    ],
)
def test_a_missing_server_is_reported(host: str, sentence: str) -> None:
    with pytest.raises(StorageError) as caught:
        opened(f"postgresql://me:secret@{host}/name")
    assert str(caught.value) == sentence
    assert caught.value.__context__ is caught.value.__cause__ is None


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_text_is_refused(postgresql: PostgreSQLServer, encoding: str) -> None:
    with pytest.raises(StorageError, match="DATABASE_URL names must be created with the encoding UTF8"):
        opened(postgresql.create(encoding=encoding))


def test_without_an_encryption_key_no_server_is_contacted() -> None:
    with pytest.raises(StorageError, match="ENCRYPTION_KEY must be set"):
        Database("postgresql://me:secret@nowhere.invalid/name")


@ON_POSTGRESQL
def test_every_text_is_read_back_whatever_encoding_the_environment_names(
    url: str, me: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with closing(Database(url, encryption_key=ENCRYPTION_KEY)) as database:
        chat = database.chat_sessions.create(me, title="漢字 for 5 €", configuration_id=None)
        assert database.chat_sessions.get(me, chat.id).title == "漢字 for 5 €"


@ON_POSTGRESQL
def test_an_answer_with_a_nul_character_is_stored(
    database: Database, me: Person, start: CallStart, report: Callable[..., CallReport]
) -> None:
    chat = database.chat_sessions.create(me, title="A chat", configuration_id=None)
    turn = database.turns.begin(me, chat.id, "Nu\0l?", start)
    database.turns.finish(me, turn, content="a\0b", report=report(model="m\0"))
    question, answer = database.chat_sessions.conversation(me, chat.id).messages
    assert (question.content, answer.content, answer.status) == ("Nu\ufffdl?", "a\ufffdb", MessageStatus.COMPLETE)
    assert database.calls.get(me, turn.call_id).model_answered == "m\ufffd"


@ON_POSTGRESQL
def test_the_address_that_is_shown_holds_no_password(url: str) -> None:
    shown = url.replace("postgres@", "postgres:secret@")
    with closing(Database(f"{shown}?password=secret", encryption_key=ENCRYPTION_KEY)) as database:
        assert "secret" not in database.address
        assert url.rpartition("@")[2] in database.address


# -- while running


@ON_POSTGRESQL
def test_a_stopped_server_is_reported_and_used_again_after_its_restart(
    database: Database,
    me: Person,
    saved: SavedConfiguration,
    start: CallStart,
    report: Callable[..., CallReport],
    postgresql: PostgreSQLServer,
) -> None:
    turn = database.lone_answers.begin(me, "translate", {}, start)
    postgresql.stop()
    try:
        for use in (
            lambda: database.configurations.all(me),
            lambda: database.configurations.make_default(me, saved.id),
            lambda: database.turns.finish(me, turn, content="Hi", report=report()),
        ):
            with pytest.raises(StorageError, match="Check that PostgreSQL is running") as caught:
                use()
            assert caught.value.__context__ is caught.value.__cause__ is None
    finally:
        postgresql.start()
    assert database.configurations.all(me) == [saved]
    database.turns.finish(me, turn, content="Hi", report=report())
    assert database.calls.get(me, turn.call_id).total_tokens is None
    assert database.configurations.make_default(me, saved.id).is_default


@ON_POSTGRESQL
def test_a_connection_that_is_cut_in_the_middle_leaves_nothing_half_saved(
    database: Database, me: Person, configuration: Configuration, sql: Sql
) -> None:
    # The server cuts it while the second of two rows, the audit's, is being written.
    sql(
        "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END'"
    )
    sql("CREATE TRIGGER refuse BEFORE INSERT ON audit EXECUTE FUNCTION refuse()")
    with pytest.raises(StorageError, match=r"Nothing was saved. Try again") as caught:
        database.configurations.add(me, configuration)
    assert caught.value.__context__ is caught.value.__cause__ is None
    sql("DROP FUNCTION refuse CASCADE")
    assert database.configurations.all(me) == []
    assert database.configurations.add(me, configuration).display_name == "Mine"


@ON_POSTGRESQL
def test_closed_idle_connections_are_replaced_without_an_error(
    database: Database, me: Person, saved: SavedConfiguration, sql: Sql
) -> None:
    database.configurations.all(me)
    cut_off(sql)
    assert database.configurations.all(me) == [saved]
    assert database.configurations.make_default(me, saved.id).is_default


@ON_POSTGRESQL
def test_a_lock_that_is_held_too_long_is_reported_and_waited_for_again(
    database: Database, me: Person, saved: SavedConfiguration, url: str, sql: Sql, open_database: Open
) -> None:
    name = url.rpartition("/")[2]
    sql(f"ALTER DATABASE {name} SET statement_timeout = '50ms'")  # before our own half minute is over
    try:
        with closing(Database(url, encryption_key=ENCRYPTION_KEY)) as impatient:
            with database._storage.writing() as session:
                session.connection()  # from here on it holds the lock
                assert impatient.configurations.all(me) == [saved]  # readers do not wait
                with pytest.raises(StorageError, match=r"busy for too long\. Nothing was saved") as caught:
                    impatient.configurations.make_default(me, saved.id)
                assert caught.value.__context__ is caught.value.__cause__ is None
                with pytest.raises(StorageError, match="busy for too long"):
                    open_database()
            assert impatient.configurations.make_default(me, saved.id).is_default
    finally:
        sql(f"ALTER DATABASE {name} RESET statement_timeout")


@ON_POSTGRESQL
def test_a_writer_waits_for_one_in_another_process(
    database: Database, me: Person, saved: SavedConfiguration, open_database: Open
) -> None:
    other = open_database()
    with ThreadPoolExecutor(1) as thread:
        with other._storage.writing() as session:
            session.connection()  # from here on it holds the lock
            changing = thread.submit(database.configurations.make_default, me, saved.id)
            assert not other.configurations.get(me, saved.id).is_default
        assert changing.result().is_default


@ON_POSTGRESQL
def test_a_read_only_server_can_be_read_and_refuses_changes_in_one_sentence(
    database: Database, me: Person, saved: SavedConfiguration, url: str, sql: Sql
) -> None:
    name = url.rpartition("/")[2]
    sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        cut_off(sql)
        assert database.configurations.all(me) == [saved]
        with pytest.raises(StorageError, match=r"read-only\. Nothing was saved"):
            database.configurations.delete(me, saved.id)
        with pytest.raises(StorageError, match=r"read-only\. Nothing was changed"):
            opened(url)
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only".encode())
    assert database.configurations.get(me, saved.id) == saved


@ON_POSTGRESQL
def test_a_server_that_accepts_no_more_connections_is_reported(url: str, users: None, sql: Sql) -> None:
    name = url.rpartition("/")[2]
    sql(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    try:
        with pytest.raises(StorageError, match="accepts no more connections"):
            opened(url.replace("postgres@", "plain:secret@"))
    finally:
        sql(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
