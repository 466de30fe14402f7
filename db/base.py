"""What the collections stand on: one SQLite file with its two engines, its column types, its errors, its migrations.

StorageError      the database or its encryption key is in the way; the sentence says what to do
└── CannotOpen    a stored key does not open (db.cipher)
NotFound          it does not exist, or it belongs to somebody else; nobody is told which
NotAllowed        the acting person's role does not permit it
"""

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import BigInteger, Connection, Engine, Enum, MetaData, create_engine, event, inspect
from sqlalchemy.engine import URL, Dialect, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_BUSY_TIMEOUT = 30  # seconds


class StorageError(Exception):
    """The database or its encryption key is in the way. `str()` is fit for the user and holds no stored value."""


class NotFound(Exception):
    """What was asked for does not exist, or belongs to somebody else. `str()` is fit for the user."""


class NotAllowed(Exception):
    """The acting person's role does not permit this. `str()` is fit for the user."""


def utc_now() -> datetime:
    """Now, in the whole milliseconds that are stored."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


class UTCDateTime(TypeDecorator[datetime]):
    """An aware time, stored as milliseconds since 1970 and given back in UTC. ValueError for a naive one."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A time without a zone cannot be stored.")
        return (value - _EPOCH) // _MILLISECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + value * _MILLISECOND


class Record(DeclarativeBase):
    """A row. Records stay inside `db`; what its methods take and give are values."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        datetime: UTCDateTime,
        StrEnum: Enum(
            StrEnum, native_enum=False, length=20, values_callable=lambda kind: [each.value for each in kind]
        ),
    }


V = TypeVar("V")


def as_value(kind: type[V], record: Record, **computed: Any) -> V:
    """A frozen dataclass from the columns of the same names; what has no column is passed in."""
    names = [field.name for field in fields(kind) if field.name not in computed]  # type: ignore[arg-type]
    return kind(**{name: getattr(record, name) for name in names}, **computed)


class Storage:
    """One SQLite file behind two engines: one connection that writes, many that read. Safe to share between threads.

    One writer per process makes the threads queue fairly in its pool instead of polling the file's lock. No network
    call belongs inside `writing()`, nor a second `writing()`: that one would wait for itself.
    """

    def __init__(self, url: str) -> None:
        """Open `url` and bring its schema up to date; `StorageError` says which setting is in the way."""
        self.path = _file_of(url)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            refusal = ""
        except OSError as error:
            refusal = f"DATABASE_URL: the folder “{self.path.parent}” cannot be made: {error.strerror}."
        if refusal:
            raise StorageError(refusal)
        self._writer = _writer_of(self.path)
        self._reader = _reader_of(self.path)
        try:
            with self.writing() as session:
                _migrate(session.connection())
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction that sees one state of the database and cannot write."""
        with _transaction(self._reader) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction that holds the file's write lock from its first statement; rolled back by any exception."""
        with _transaction(self._writer) as session:
            yield session

    def close(self) -> None:
        """Close all connections. The writer goes last: it folds the write-ahead log into the file."""
        self._reader.dispose()
        self._writer.dispose()


@contextmanager
def _transaction(engine: Engine) -> Iterator[Session]:
    try:
        with Session(engine) as session, session.begin():
            yield session
        return
    except (DBAPIError, PoolTimeout) as error:
        failure = StorageError(_sentence(error))
    try:
        raise failure
    finally:
        # The caller's `with` is still handling the old exception here, and Python hangs that on the new one, with all
        # the values that were being stored.
        failure.__context__ = None


# -- engines


def _file_of(url: str) -> Path:
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.drivername not in {"sqlite", "sqlite+pysqlite"} or parsed.query:
        raise StorageError("DATABASE_URL must look like sqlite:///data/workbench.db. Only SQLite is supported so far.")
    if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
        raise StorageError("DATABASE_URL must name a file, for example sqlite:///data/workbench.db.")
    return Path(parsed.database)


def _writer_of(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        pool_size=1,
        max_overflow=0,
        pool_timeout=_BUSY_TIMEOUT,
        hide_parameters=True,
        connect_args={"timeout": _BUSY_TIMEOUT},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        # Else the driver begins transactions by itself, too late and without the lock: updates were lost.
        connection.isolation_level = None
        if _set_write_ahead_log(connection) != "wal":
            log.warning("SQLite cannot use its write-ahead log here. Is the database on a network file system?")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _set_write_ahead_log(connection: sqlite3.Connection) -> str:
    """Turn the log on; the mode it is then in. SQLite does not wait for others here, whatever its timeout."""
    deadline = time.monotonic() + _BUSY_TIMEOUT
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _reader_of(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        pool_size=10,
        max_overflow=10,
        hide_parameters=True,
        connect_args={"timeout": _BUSY_TIMEOUT},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA query_only = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


# By the beginning of SQLite's own error names, https://www.sqlite.org/rescode.html
_SENTENCES = {
    "SQLITE_FULL": "The disk is full: nothing was saved. Free some space and try again.",
    "SQLITE_BUSY": "The database was busy for too long: nothing was saved. Try again.",
    "SQLITE_READONLY": "The database is read-only here. Check the permissions of the file that DATABASE_URL names, and "
    "of its folder.",
    "SQLITE_CANTOPEN": "The database cannot be opened. Check the file that DATABASE_URL names, and the permissions of "
    "its folder.",
    "SQLITE_NOTADB": "DATABASE_URL names a file that is not an SQLite database.",
    "SQLITE_CORRUPT": "The database that DATABASE_URL names is damaged. Restore it from a backup.",
    "SQLITE_IOERR": "The disk under the database failed to read or write. Check it, then try again.",
}


def _sentence(error: DBAPIError | PoolTimeout) -> str:
    orig = error.orig if isinstance(error, DBAPIError) else None
    name = "SQLITE_BUSY" if orig is None else getattr(orig, "sqlite_errorname", "")
    found = (sentence for start, sentence in _SENTENCES.items() if name.startswith(start))
    return next(found, "The database refused this: nothing was saved.")


# -- migrations


def _migrate(connection: Connection) -> None:
    """Bring the schema to the newest revision. The caller holds the write lock, so one of many processes does it."""
    damage = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if damage != "ok":
        raise StorageError(_SENTENCES["SQLITE_CORRUPT"])
    folder = Path(__file__).parent / "migrations"
    scripts = ScriptDirectory(str(folder))
    current = MigrationContext.configure(connection).get_current_revision()
    if current == scripts.get_current_head():
        return
    if current is None and inspect(connection).get_table_names():
        raise StorageError("DATABASE_URL names an SQLite database of another program.")
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise StorageError(
            "The database that DATABASE_URL names was written by a newer version of this program. Install that version."
        )
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
