"""A database on a file of its own, a clock that stands still, and what a test needs to fill it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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

KEY = "sk-test-0123456789-abcdefghij-7777"


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


@pytest.fixture
def database(path: Path, clock: Clock) -> Iterator[Database]:
    database = Database(f"sqlite:///{path}", clock=clock)
    yield database
    database.close()


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
def sql(path: Path) -> Callable[..., list[tuple[Any, ...]]]:
    """Runs one statement on the file, past the application."""

    def run(statement: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    return run


@pytest.fixture
def report() -> Callable[..., CallReport]:
    """Makes the report of a call that took 1.5 s and answered "Hello."; `usage` as a provider sends it, or None."""

    def make(
        status: CallStatus = CallStatus.DONE,
        usage: dict[str, Any] | None = None,
        error: ConnectorError | None = None,
        model: str = "gpt-answered",
    ) -> CallReport:
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

    return make
