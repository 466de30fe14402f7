"""SQLite for the tests, which have a database each: what SQLAlchemy compiled for one of them is used for all.

Compiling each statement anew was a fifth of the time of the pages' tests.
"""

from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

_COMPILED: dict[Any, Any] = {}


class SQLite(SQLiteDialect_pysqlite):
    """Equal to every other instance, so that the compiled statement is found."""

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SQLite)

    def __hash__(self) -> int:
        return hash(SQLite)


def share() -> None:
    """Share the cache from now on, in this process."""
    registry.register("sqlite", __name__, "SQLite")
    event.listen(Engine, "engine_connect", _use)


def _use(connection: Connection) -> None:
    if isinstance(connection.dialect, SQLite):
        connection.execution_options(compiled_cache=_COMPILED)
