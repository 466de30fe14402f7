"""One database, SQLite or PostgreSQL: its transactions, and the migration of its schema at start."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Event, Lock

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from db.errors import OPENING, READING, WRITING, StorageError
from db.postgresql import PostgreSQL
from db.sqlite import SQLite

_PATIENCE = 30  # seconds
_MIGRATIONS = Path(__file__).parent / "migrations"
_ALEMBIC = Lock()
"""Alembic keeps its state in global variables: two threads would migrate each other's databases."""


class Storage:
    """One database. It can be shared between threads.

    Write transactions are serialised, on PostgreSQL too: such a transaction can read, decide and write, and nothing
    changes in between. Make no network call inside `writing()`, and do not nest it: it would wait for itself.
    """

    def __init__(self, url: str | URL, *, needs_key: bool = False) -> None:
        """Open `url` and migrate its schema. Raises `StorageError` with the name of the wrong setting.

        With `needs_key`, no encryption key was set, so the database needs a folder for the automatic key file.
        """
        self.backend = _backend(url)
        self._queue = _WriteQueue()
        if needs_key and self.path is None:
            raise StorageError(
                "ENCRYPTION_KEY must be set: with PostgreSQL there is no folder for an automatic key file."
            )
        try:
            with self.writing(OPENING) as session:
                _migrate(self.backend, session.connection())
            self.backend.protect()
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> Path | None:
        """The file of an SQLite database; None for PostgreSQL."""
        return self.backend.path

    @property
    def address(self) -> str:
        """The URL without password and options, which may contain the password as well."""
        return self.backend.writer.url.set(query={}).render_as_string(hide_password=True)

    def join(self) -> bool:
        """Register this process as a user of the database until it is closed. Returns whether it is the only one."""
        return self.backend.join()

    def revision(self) -> str:
        """The revision of the schema, for example `0003`."""
        with self.reading() as session:
            return MigrationContext.configure(session.connection()).get_current_revision() or ""

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that sees one state of the database and cannot write."""
        with self._transaction(self.backend.reader, READING) as session:
            yield session

    @contextmanager
    def writing(self, outcome: str = WRITING) -> Iterator[Session]:
        """A transaction that holds the write lock from its first statement. Any exception rolls it back.

        `outcome` says in the sentence of an error what the failure means for the data.
        """
        with self._queue.next(_PATIENCE) as is_mine:
            if not is_mine:
                raise StorageError(self.backend.sentence(PoolTimeout(), outcome))
            with self._transaction(self.backend.writer, outcome) as session:
                yield session

    def close(self) -> None:
        """Close all connections."""
        self.backend.close()

    @contextmanager
    def _transaction(self, engine: Engine, outcome: str) -> Iterator[Session]:
        try:
            with Session(engine) as session, session.begin():
                yield session
            return
        except (DBAPIError, PoolTimeout) as error:
            failure = StorageError(self.backend.sentence(error, outcome))
        except UnicodeEncodeError:
            failure = StorageError(
                f"The text contains an invalid character. {outcome} Remove that character and try again."
            )
        try:
            raise failure
        finally:
            # The caller's `with` is still handling the old exception here, so Python chains it to the new one, although
            # it contains the values that were being stored.
            failure.__context__ = None


class _WriteQueue:
    """A lock that threads get in the order in which they asked for it.

    Python's lock and SQLAlchemy's pool are not fair: a thread that wrote in a loop kept another one waiting for 30 s.
    """

    def __init__(self) -> None:
        self._mutex = Lock()
        self._is_taken = False
        self._waiting: deque[Event] = deque()

    @contextmanager
    def next(self, timeout: float) -> Iterator[bool]:
        """Hold the lock. Yields False, without the lock, if it was not free within `timeout` seconds."""
        is_mine = self._wait(timeout)
        try:
            yield is_mine
        finally:
            if is_mine:
                self._pass_on()

    def _wait(self, timeout: float) -> bool:
        with self._mutex:
            if not self._is_taken:
                self._is_taken = True
                return True
            called = Event()
            self._waiting.append(called)
        try:
            if called.wait(timeout):
                return True
        except BaseException:  # Ctrl+C: otherwise the lock would be passed on to a thread that no longer waits
            if not self._gave_up(called):
                self._pass_on()
            raise
        return not self._gave_up(called)

    def _gave_up(self, called: Event) -> bool:
        """Leave the queue. Returns False if the lock was passed on to this thread at the last moment."""
        with self._mutex:
            if called.is_set():
                return False
            self._waiting.remove(called)
            return True

    def _pass_on(self) -> None:
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._is_taken = False


def _backend(text: str | URL) -> SQLite | PostgreSQL:
    try:
        url = make_url(text)
        kind = url.get_backend_name()
    except (ArgumentError, ValueError):  # ValueError: the port is not a number
        kind = ""
    if kind == "sqlite":
        return SQLite(url)
    if kind in {"postgresql", "postgres"}:
        return PostgreSQL(url)
    raise StorageError(
        "DATABASE_URL must look like sqlite:///data/workbench.db or postgresql://user:password@host/name."
    )


@cache
def _scripts() -> ScriptDirectory:
    """The migrations, read once: reading them takes a fifth of the time in which a database is opened."""
    return ScriptDirectory(str(_MIGRATIONS))


def _migrate(backend: SQLite | PostgreSQL, connection: Connection) -> None:
    """Migrate the schema to the newest revision. The caller holds the write lock, so only one process does it."""
    backend.check(connection)
    scripts = _scripts()
    current = MigrationContext.configure(connection).get_current_revision()
    if current == scripts.get_current_head():
        return
    if current is None and inspect(connection).get_table_names():
        raise StorageError(
            "DATABASE_URL names a database of another program. Nothing was changed. Choose an empty database, or "
            "another file."
        )
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise StorageError(
            "The database that DATABASE_URL names was written by a newer version of this program. Nothing was changed. "
            "Install that version."
        )
    copy = backend.keep(current) if current is not None else None
    outcome = f"{OPENING} A copy of the database is in {copy}." if copy else OPENING
    _run_migrations(backend, connection, list(scripts.iterate_revisions("head", current or "base")), outcome)


def _run_migrations(
    backend: SQLite | PostgreSQL, connection: Connection, newest_first: list[Script], outcome: str
) -> None:
    """Run these migrations. `outcome` says in the sentence of an error what the failure means for the data."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    done: list[object] = []
    config.attributes["on_version_apply"] = lambda *, step, **_: done.append(step)
    try:
        with _ALEMBIC:
            command.upgrade(config, "head")
        return
    except DBAPIError as error:
        why = backend.sentence(error, outcome)
    failed = newest_first[-1 - len(done)]
    raise StorageError(f"The migration {Path(failed.path).stem} failed. {why}")
