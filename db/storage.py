"""One database, SQLite or PostgreSQL: its transactions, and its schema, which is brought up to date at start."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from db.errors import StorageError
from db.postgresql import PostgreSQL
from db.sqlite import SQLite

_MIGRATIONS = Path(__file__).parent / "migrations"


class Storage:
    """One database. Safe to share between threads.

    Whoever writes is alone, on PostgreSQL too: a write transaction may read, decide and write without looking over its
    shoulder. No network call belongs inside `writing()`, nor a second `writing()`: that one would wait for itself.
    """

    def __init__(self, url: str, *, needs_key: bool = False) -> None:
        """Open `url` and bring its schema up to date; `StorageError` says which setting is in the way.

        `needs_key`: no encryption key was set, so there must be a place for the automatic one.
        """
        self.backend = _backend(url)
        if needs_key and self.path is None:
            raise StorageError("ENCRYPTION_KEY must be set: with PostgreSQL there is no place for an automatic key.")
        try:
            with self.writing() as session:
                _migrate(self.backend, session.connection())
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> Path | None:
        """SQLite's file."""
        return self.backend.path

    @property
    def address(self) -> str:
        """The URL without its password."""
        return self.backend.writer.url.render_as_string(hide_password=True)

    def revision(self) -> str:
        """Of the schema."""
        with self.reading() as session:
            return MigrationContext.configure(session.connection()).get_current_revision() or ""

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction that sees one state of the database and cannot write."""
        with self._transaction(self.backend.reader) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction that holds the write lock from its first statement; rolled back by any exception."""
        with self._transaction(self.backend.writer) as session:
            yield session

    def close(self) -> None:
        """Close all connections."""
        self.backend.close()

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Session]:
        try:
            with Session(engine) as session, session.begin():
                yield session
            return
        except (DBAPIError, PoolTimeout) as error:
            failure = StorageError(self.backend.sentence(error))
        try:
            raise failure
        finally:
            # The caller's `with` is still handling the old exception here, and Python hangs that on the new one, with
            # all the values that were being stored.
            failure.__context__ = None


def _backend(text: str) -> SQLite | PostgreSQL:
    try:
        url = make_url(text)
        kind = url.get_backend_name()
    except ArgumentError:
        kind = ""
    if kind == "sqlite":
        return SQLite(url)
    if kind in {"postgresql", "postgres"}:
        return PostgreSQL(url)
    raise StorageError(
        "DATABASE_URL must look like sqlite:///data/workbench.db or postgresql://user:password@host/name."
    )


def _migrate(backend: SQLite | PostgreSQL, connection: Connection) -> None:
    """Bring the schema to the newest revision. The caller holds the write lock, so one of many processes does it."""
    backend.check(connection)
    scripts = ScriptDirectory(str(_MIGRATIONS))
    current = MigrationContext.configure(connection).get_current_revision()
    if current == scripts.get_current_head():
        return
    if current is None and inspect(connection).get_table_names():
        raise StorageError("DATABASE_URL names a database of another program.")
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise StorageError(
            "The database that DATABASE_URL names was written by a newer version of this program. Install that version."
        )
    if current is not None:
        backend.keep(current)
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
