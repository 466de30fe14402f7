"""Databases of older versions go on with all their rows; those of newer ones, and of others, are left alone."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from cryptography.fernet import Fernet
from sqlalchemy import create_engine

from connector import CallStatus, Price
from db import Database, MessageStatus, StorageError
from db.base import Record
from tests.db.conftest import ENCRYPTION_KEY, KEY, ON_BOTH, ON_SQLITE, run_sql
from tests.db.processes import all_at_once

MIGRATIONS = Path(__file__).parents[2] / "db" / "migrations"
ID, CHAT = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
OLD_CALL = {
    "started_at": 1700000000002,
    "person_id": 1,
    "configuration_id": ID,
    "configuration_name": "Old One",
    "model_asked": "gpt-4o",
    "page": "chat",
    "operation": "execute_with_history",
    "status": "done",
    "attempts": 1,
    "adaptations": "[]",
    "total_tokens": 12,
    "usage_source": "reported",
}


def engine_of(url: str) -> Any:
    return create_engine(url.replace("postgresql:", "postgresql+psycopg:"))


def make(url: str, revision: str) -> None:
    """A database as that version left it: its own migrations, and rows in all of its tables."""
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(exist_ok=True)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = engine_of(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
    document = {"configuration": ID, "origin": "https://api.openai.com:443", "key": KEY}
    sealed = Fernet(ENCRYPTION_KEY).encrypt(json.dumps(document).encode()).decode()
    configuration = {
        "id": ID,
        "display_name": "Old One",
        "folded_name": "old one",
        "api_type": "OpenAI",
        "key_type": "ApiKey",
        "endpoint": "https://api.openai.com/v1",
        "deployment_name": "",
        "api_version": "",
        "model_default": "gpt-4o",
        "sealed_key": sealed,
        "key_hint": KEY[-4:],
        "created_at": 1700000000000,
        "changed_at": 1700000000001,
    }
    chat = {
        "id": CHAT,
        "owner_id": 1,
        "title": "An old chat",
        "configuration_id": ID,
        "model": "",
        "system_prompt": "",
        "last_message_id": 2,
        "created_at": 1700000000002,
        "changed_at": 1700000000003,
    }
    message = {"session_id": CHAT, "status": "complete", "created_at": 1700000000002}
    question = {"position": 1, "role": "user", "content": "How are you?"}
    answer = {"position": 2, "role": "assistant", "content": "Fine.", "parent_id": 1, "call_id": 1}
    insert(url, "configurations", configuration)
    insert(url, "calls", OLD_CALL)
    insert(url, "chat_sessions", chat)
    insert(url, "messages", message | question)
    insert(url, "messages", message | answer)
    if revision > "0001":
        run_sql(url, "UPDATE configurations SET price = ?", '{"input": "1", "output": "2", "since": "2026-01-31"}')
        adaptation = {
            "configuration_id": ID,
            "model": "gpt-4o",
            "parameter": "temperature",
            "value": "null",
            "why": "Only the default.",
            "learnt_at": 1700000000004,
        }
        insert(url, "adaptations", adaptation)


def insert(url: str, table: str, row: dict[str, Any]) -> None:
    run_sql(url, f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", *row.values())


def content(url: str) -> object:
    """All that is in there."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return list(connection.iterdump())
    columns = "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"
    tables = run_sql(url, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1")
    return sorted(run_sql(url, columns)), [(name, run_sql(url, f"SELECT * FROM {name}")) for (name,) in tables]


@ON_BOTH
@pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004", "0005"])
def test_an_old_database_is_migrated_with_all_its_rows(new_url: str, revision: str) -> None:
    make(new_url, revision)
    database = Database(new_url, encryption_key=ENCRYPTION_KEY)
    me = database.people.local()
    (saved,) = database.configurations.all(me)
    assert (saved.display_name, saved.version, saved.is_enabled, saved.is_default) == ("Old One", 1, True, False)
    assert saved.created_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert saved.is_key_readable
    assert database.configurations.open(me, ID).api_key.get_secret_value() == KEY
    learnt = [each.adaptation.parameter for each in database.adaptations.all(me, ID)]
    if revision == "0001":
        assert (saved.price, learnt) == (None, [])
    else:
        assert (saved.price, learnt) == (Price(input=1, output=2, since=date(2026, 1, 31)), ["temperature"])

    (chat,) = database.chat_sessions.all(me)
    question, answer = database.chat_sessions.conversation(me, chat.id).messages
    assert (question.content, answer.content, answer.status) == ("How are you?", "Fine.", MessageStatus.COMPLETE)
    assert answer.call is not None
    assert (answer.call.status, answer.call.total_tokens) == (CallStatus.DONE, 12)
    assert database.audit.recent(me) == []

    changed = database.configurations.change(me, ID, {"display_name": "New"}, version=saved.version)
    assert (changed.version, database.revision) == (2, "0007")
    database.close()
    engine = engine_of(new_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Record.metadata) == []
    engine.dispose()


@pytest.mark.parametrize(
    ("stored", "kept"),
    [
        ("https://a.example/v1?api-key=secret93c1#secret93c1", "https://a.example/v1"),
        ("https://a.example/chat?x=secret93c1&api-version=2024-10-21", "https://a.example/chat?api-version=2024-10-21"),
        ("https://a.example/it's:here", "https://a.example/it's:here"),
    ],
)
def test_a_key_in_the_query_of_an_old_endpoint_is_gone(new_url: str, stored: str, kept: str) -> None:
    make(new_url, "0005")
    run_sql(new_url, "UPDATE configurations SET endpoint = ?", stored)
    with closing(Database(new_url, encryption_key=ENCRYPTION_KEY)):
        assert run_sql(new_url, "SELECT endpoint FROM configurations") == [(kept,)]


def test_a_call_that_an_old_page_left_behind_is_interrupted(new_url: str) -> None:
    """It has no message that tells whether somebody is still there; an answer of a chat has."""
    make(new_url, "0004")
    insert(new_url, "calls", {"id": 7, **OLD_CALL, "status": "running"})
    run_sql(new_url, "UPDATE calls SET status = 'running' WHERE id = 1")
    run_sql(new_url, "UPDATE messages SET status = 'writing' WHERE id = 2")
    run_sql(new_url, "UPDATE chat_sessions SET lease_until = ?", 32503680000000)
    with closing(Database(new_url, encryption_key=ENCRYPTION_KEY, recover=False)):
        found = run_sql(new_url, "SELECT id, status FROM calls ORDER BY id")
    assert found == [(1, "running"), (7, "interrupted")]


@ON_SQLITE
@pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004", "0005"])
def test_the_file_as_it_was_is_kept_beside_the_new_one_for_its_owner_only(
    new_url: str, path: Path, revision: str
) -> None:
    make(new_url, revision)
    before = content(new_url)
    Database(new_url, encryption_key=ENCRYPTION_KEY).close()
    assert content(new_url) != before
    kept = path.with_name(f"workbench.db.before-{revision}")
    assert content(f"sqlite:///{kept}") == before
    assert kept.stat().st_mode & 0o777 == 0o600
    assert {file.name for file in path.parent.iterdir()} == {path.name, kept.name, f"{path.name}.in-use"}

    Database(new_url, encryption_key=ENCRYPTION_KEY).close()
    assert content(f"sqlite:///{kept}") == before


@ON_SQLITE
def test_without_a_copy_of_the_old_file_nothing_is_migrated(new_url: str, path: Path) -> None:
    make(new_url, "0002")
    before = content(new_url)
    path.with_name("workbench.db.before-0002").mkdir()
    with pytest.raises(StorageError, match=r"before-0002 cannot be written"):
        Database(new_url, encryption_key=ENCRYPTION_KEY)
    assert content(new_url) == before


@ON_BOTH
@pytest.mark.parametrize(
    ("obstacle", "failed"), [("adaptations", "0002_adaptations_and_prices"), ("audit", "0003_audit_and_states")]
)
def test_a_migration_that_fails_changes_nothing_and_names_itself_and_the_copy(
    new_url: str, path: Path, kind: str, obstacle: str, failed: str
) -> None:
    make(new_url, "0001")
    run_sql(new_url, f"CREATE TABLE {obstacle} (id INTEGER)")
    before = content(new_url)
    with pytest.raises(StorageError) as caught:
        Database(new_url, encryption_key=ENCRYPTION_KEY)
    code, copy = "42P07", ""
    if kind == "sqlite":
        code, copy = "SQLITE_ERROR", f" A copy of the database is in {path}.before-0001."
        assert content(f"sqlite:///{path}.before-0001") == before
    assert str(caught.value) == (
        f"The migration {failed} failed. The database refused this (error {code}). Nothing was changed.{copy} "
        "Try again; if it happens again, tell the administrator."
    )
    assert caught.value.__context__ is caught.value.__cause__ is None
    assert content(new_url) == before
    run_sql(new_url, f"DROP TABLE {obstacle}")
    Database(new_url, encryption_key=ENCRYPTION_KEY).close()


def start(line: Connection, url: str) -> None:
    line.send("ready")
    line.recv()
    with closing(Database(url, encryption_key=ENCRYPTION_KEY)) as database:
        me = database.people.local()
        line.send((database.revision, [each.display_name for each in database.configurations.all(me)]))


@ON_BOTH
@pytest.mark.parametrize(
    ("revision", "names"),
    [
        ("", []),
        ("0001", ["Old One"]),
        *(pytest.param(revision, ["Old One"], marks=pytest.mark.soak) for revision in ("0002", "0003", "0004")),
    ],
)
def test_of_four_processes_that_start_at_once_one_migrates(
    new_url: str, kind: str, path: Path, revision: str, names: list[str]
) -> None:
    if revision:
        make(new_url, revision)
    before = content(new_url) if revision else None
    assert all_at_once(start, new_url) == [[("0007", names)]] * 4
    assert run_sql(new_url, "SELECT name FROM people") == [("Local administrator",)]
    if kind == "sqlite" and revision:
        assert content(f"sqlite:///{path}.before-{revision}") == before


def test_threads_of_one_process_may_migrate_each_its_own(tmp_path: Path) -> None:
    """As backups of a PostgreSQL do."""

    together = Barrier(8)

    def name(number: int) -> tuple[str, list[tuple[Any, ...]]]:
        url = f"sqlite:///{tmp_path / str(number)}.db"
        together.wait()
        with closing(Database(url, encryption_key=ENCRYPTION_KEY)) as database:
            return database.revision, run_sql(url, "SELECT name FROM people")

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(name, range(8))) == [("0007", [("Local administrator",)])] * 8


def test_a_database_of_a_newer_version_is_refused_and_left_alone(new_url: str) -> None:
    make(new_url, "head")
    run_sql(new_url, "UPDATE alembic_version SET version_num = '9999'")
    before = content(new_url)
    with pytest.raises(StorageError, match=r"newer version of this program\. .* Install that version") as caught:
        Database(new_url, encryption_key=ENCRYPTION_KEY)
    assert caught.value.__context__ is None
    assert content(new_url) == before


def test_a_database_of_another_program_is_refused_and_left_alone(new_url: str, path: Path) -> None:
    path.parent.mkdir()
    run_sql(new_url, "CREATE TABLE songs (title TEXT)")
    before = content(new_url)
    with pytest.raises(StorageError, match="DATABASE_URL names a database of another program"):
        Database(new_url, encryption_key=ENCRYPTION_KEY)
    assert content(new_url) == before
