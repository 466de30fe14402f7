"""One database, SQLite or PostgreSQL: its transactions, and its schema, which is brought up to date at start."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from db.errors import StorageError
from db.postgresql import PostgreSQL
from db.sqlite import SQLite

_PATIENCE = 30  # seconds
_MIGRATIONS = Path(__file__).parent / "migrations"
_ALEMBIC = Lock()
"""It keeps what it is doing in globals, so that two threads would migrate each other's databases."""


class Storage:
    """One database. Safe to share between threads.

    Whoever writes is alone, on PostgreSQL too: a write transaction may read, decide and write without looking over its
    shoulder. No network call belongs inside `writing()`, nor a second `writing()`: that one would wait for itself.
    """

    def __init__(self, url: str | URL, *, needs_key: bool = False) -> None:
        """Open `url` and bring its schema up to date; `StorageError` says which setting is in the way.

        `needs_key`: no encryption key was set, so there must be a place for the automatic one.
        """
        self.backend = _backend(url)
        self._turns = _Turns()
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
        """The URL without its password, which may also stand among its options."""
        return self.backend.writer.url.set(query={}).render_as_string(hide_password=True)

    def join(self) -> bool:
        """Be known as one of the processes that work here, until closed; whether nobody else is."""
        return self.backend.join()

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
        with self._turns.next(_PATIENCE) as is_mine:
            if not is_mine:
                raise StorageError(self.backend.sentence(PoolTimeout()))
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
        except UnicodeEncodeError:
            failure = StorageError("A text holds half of a character, which cannot be stored: nothing was saved.")
        try:
            raise failure
        finally:
            # The caller's `with` is still handling the old exception here, and Python hangs that on the new one, with
            # all the values that were being stored.
            failure.__context__ = None


class _Turns:
    """A lock that goes to whoever has waited longest.

    Python's own, and the pool's, go to whoever is quickest: a thread that wrote in a loop kept another out for 30 s.
    """

    def __init__(self) -> None:
        self._mutex = Lock()
        self._is_taken = False
        self._waiting: deque[Event] = deque()

    @contextmanager
    def next(self, timeout: float) -> Iterator[bool]:
        """Hold it, once it is one's turn; False when that did not come within `timeout` seconds."""
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
        except BaseException:  # Ctrl+C: nobody would ever answer the call
            if not self._gave_up(called):
                self._pass_on()
            raise
        return not self._gave_up(called)

    def _gave_up(self, called: Event) -> bool:
        """Leave the queue; False when the turn came at the last moment."""
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
    except (ArgumentError, ValueError):  # ValueError: its port is no number
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
    with _ALEMBIC:
        command.upgrade(config, "head")
