"""A database of its own, on SQLite or on PostgreSQL, a clock that stands still, and what a test fills it with."""

import shutil
import sqlite3
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from connector import (
    Adaptation,
    ApiType,
    CallReport,
    CallStatus,
    ChatCompletionsResponse,
    Configuration,
    ConnectorError,
)
from db import CallStart, Database, Person, SavedConfiguration
from db.base import Record
from tests.postgresql import PostgreSQLServer, running

KEY = "sk-test-0123456789-abcdefghij-7777"
ENCRYPTION_KEY = urlsafe_b64encode(b"0" * 32).decode()  # always the same: other processes of a test have it too


class Clock:
    """Stands still until a test sets `now`."""

    now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "workbench.db"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQLServer]:
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in a file, for copies of it."""
    path = tmp_path_factory.mktemp("migrated") / "workbench.db"
    Database(f"sqlite:///{path}", encryption_key=ENCRYPTION_KEY).close()
    return path


@pytest.fixture(scope="session")
def migrated(postgresql: PostgreSQLServer) -> str:
    """A database that was opened once. The tests get it one after the other, emptied: a new one each takes 0.2 s."""
    url = postgresql.create()
    Database(url, encryption_key=ENCRYPTION_KEY).close()
    return url


ON_SQLITE = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
# For tests of what each database does in a way of its own: types, sums, order, locks, transactions, ids, processes.
ON_BOTH = pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)])
def kind(request: pytest.FixtureRequest) -> str:
    """Which database a test runs on: SQLite, and PostgreSQL in the long form, unless the test is marked as above."""
    return str(request.param)


@pytest.fixture
def url(kind: str, path: Path, request: pytest.FixtureRequest) -> str:
    """Where the test's database is; nothing is in it."""
    if kind == "sqlite":
        path.parent.mkdir(mode=0o700)
        shutil.copy(request.getfixturevalue("migrated_file"), path)
        return f"sqlite:///{path}"
    url: str = request.getfixturevalue("migrated")
    with psycopg.connect(url) as connection:
        for table in reversed(Record.metadata.sorted_tables):
            connection.execute(f"DELETE FROM {table}{' WHERE id <> 1' if table.name == 'people' else ''}".encode())
        connection.execute("UPDATE people SET role = 'administrator'")
        connection.execute("DROP FUNCTION IF EXISTS refuse CASCADE")
    return url


@pytest.fixture
def new_url(kind: str, path: Path, request: pytest.FixtureRequest) -> str:
    """Where nothing is yet: no file, or a database without tables."""
    if kind == "sqlite":
        return f"sqlite:///{path}"
    server: PostgreSQLServer = request.getfixturevalue("postgresql")
    return server.create()


@pytest.fixture
def open_database(url: str, clock: Clock) -> Iterator[Callable[..., Database]]:
    """Opens the test's database, as often as wanted; `keys` as in ENCRYPTION_KEY."""
    opened: list[Database] = []

    def open_it(keys: str = ENCRYPTION_KEY, **options: Any) -> Database:
        opened.append(Database(url, encryption_key=keys, clock=clock, **options))
        return opened[-1]

    yield open_it
    for database in opened:
        database.close()


@pytest.fixture
def database(open_database: Callable[..., Database]) -> Database:
    return open_database()


@pytest.fixture
def me(database: Database) -> Person:
    return database.people.local()


@pytest.fixture
def configuration() -> Configuration:
    return Configuration(
        display_name="Mine", api_type=ApiType.OPENAI, endpoint="https://api.openai.com/v1", api_key=SecretStr(KEY)
    )


@pytest.fixture
def saved(database: Database, me: Person, configuration: Configuration) -> SavedConfiguration:
    return database.configurations.add(me, configuration)


@pytest.fixture
def start(saved: SavedConfiguration) -> CallStart:
    return CallStart("chat", "execute_with_history", saved.id, saved.display_name, "gpt-asked")


@pytest.fixture
def sql(url: str) -> Callable[..., list[tuple[Any, ...]]]:
    """Runs one statement on the database, past the application."""
    return partial(run_sql, url)


def run_sql(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file, file:
            return file.execute(statement, values).fetchall()
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement.replace("?", "%s").encode(), values)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def report() -> Callable[..., CallReport]:
    """Makes the report of a call."""
    return make_report


def make_report(
    status: CallStatus = CallStatus.DONE,
    usage: dict[str, Any] | None = None,
    error: ConnectorError | None = None,
    model: str = "gpt-answered",
) -> CallReport:
    """It took 1.5 s and answered "Hello."; `usage` as a provider sends it, or None."""
    message = {"role": "assistant", "content": "Hello."}
    answer = {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": usage,
    }
    return CallReport(
        request={},
        response=None if error else ChatCompletionsResponse.model_validate(answer),
        error=error,
        status=status,
        started_at=Clock.now,
        duration=1.5,
        time_to_first_token=0.25,
        attempts=2,
        adaptations=(Adaptation("max_tokens", None, "max_completion_tokens", "Use the other."),),
    )
