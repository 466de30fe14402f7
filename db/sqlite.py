"""SQLite: one file behind two engines, one connection that writes and many that read.

One writer per process makes the threads queue fairly in its pool instead of polling the file's lock.
"""

import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from db.errors import StorageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # there is no such module there, and nothing to call it None

log = logging.getLogger(__name__)

_BUSY_TIMEOUT = 30  # seconds

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


class SQLite:
    """The file of one database, made when it is not there."""

    def __init__(self, url: URL) -> None:
        if not url.database or url.database == ":memory:" or url.database.startswith("file:") or url.query:
            raise StorageError("DATABASE_URL must name a file, for example sqlite:///data/workbench.db.")
        self.path = Path(url.database)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            refusal = ""
        except OSError as error:
            refusal = f"DATABASE_URL: the folder “{self.path.parent}” cannot be made: {error.strerror}."
        if refusal:
            raise StorageError(refusal)
        self._presence: BinaryIO | None = None
        self.writer = _writer_of(self.path)
        self.reader = _reader_of(self.path)

    def check(self, connection: Connection) -> None:
        """Raises `StorageError` when the file is damaged."""
        if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok":
            raise StorageError(_SENTENCES["SQLITE_CORRUPT"])

    def join(self) -> bool:
        """Be known as one of the processes that work with this file, until closed; whether nobody else is.

        The lock goes with the process, however it ends. Where the system has no such locks, nobody can tell.
        """
        if fcntl is None or self._presence is not None:
            return False
        try:
            self._presence = self.path.with_name(f"{self.path.name}.in-use").open("ab")
            try:
                fcntl.flock(self._presence, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_alone = True
            except BlockingIOError:
                is_alone = False
            fcntl.flock(self._presence, fcntl.LOCK_SH)
        except OSError:  # a folder that is read-only, a file system without locks
            return False
        return is_alone

    def keep(self, revision: str) -> None:
        """Copy the database as it is before a migration, beside its file; the caller holds the write lock."""
        copy_file(self.path, self.path.with_name(f"{self.path.name}.before-{revision}"), replace=True)

    def count_on(self, connection: Connection) -> None:
        """SQLite numbers new rows behind the highest number that it ever saw."""

    def sentence(self, error: DBAPIError | PoolTimeout) -> str:
        """What happened and what to do."""
        return _sentence(
            getattr(error.orig, "sqlite_errorname", "") if isinstance(error, DBAPIError) else "SQLITE_BUSY"
        )

    def close(self) -> None:
        """Close all connections. The writer goes last: it folds the write-ahead log into the file."""
        self.reader.dispose()
        self.writer.dispose()
        if self._presence is not None:
            self._presence.close()


def copy_file(path: Path, copy: Path, *, replace: bool = False) -> None:
    """Write the last committed state to `copy`, whole or not at all, readable by its owner only.

    Others may write meanwhile. Raises `StorageError`, also when `copy` exists and is not to be replaced.
    """
    refusal = ""
    try:
        with draft_of(copy, replace=replace) as draft:
            # `rw`: else a file that is not there would be made, and an empty copy of it.
            address = f"{path.absolute().as_uri()}?mode=rw"
            with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_TIMEOUT, isolation_level=None)) as connection:
                connection.execute("VACUUM INTO ?", [str(draft)])
            with closing(sqlite3.connect(draft)) as connection:
                damage = connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",)
            if damage:
                raise StorageError(_SENTENCES["SQLITE_CORRUPT"])
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        refusal = _sentence(name).replace("nothing was saved", "no copy was made")
    if refusal:
        raise StorageError(refusal)


@contextmanager
def draft_of(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """An empty file, readable by its owner only, that gets its name when all went well; raises `StorageError`."""
    with folder_beside(path) as folder:
        draft = folder / path.name
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL, 0o600))
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            os.link(draft, path)  # unlike a rename, it fails where a file is


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """An empty folder for its owner only, gone afterwards; `StorageError` when nothing can be written there."""
    refusal = ""
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f"{path.name}.") as folder:
            yield Path(folder)
    except OSError as error:
        refusal = f"{path} cannot be written: {error.strerror}."
    if refusal:
        raise StorageError(refusal)


def _sentence(name: str) -> str:
    found = (sentence for start, sentence in _SENTENCES.items() if name.startswith(start))
    return next(found, "The database refused this: nothing was saved.")


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
