"""SQLite: one file with two engines, one for the only connection that writes, one for many that read."""

import logging
import sqlite3
import time
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from db import files
from db.errors import OPENING, StorageError, unexpected

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # the module does not exist there

log = logging.getLogger(__name__)

_BUSY_TIMEOUT = 30  # seconds
_COPYING = "No copy was made."

# What happened and what to do, by the beginning of SQLite's error names, https://www.sqlite.org/rescode.html, or by a
# fault of `OpenedFiles`.
_SENTENCES = {
    "FILE_MISSING": (
        "The database file that DATABASE_URL names was deleted or moved while it was in use.",
        "Put it back and try again.",
    ),
    "FILE_REPLACED": (
        "The database file that DATABASE_URL names was replaced while it was in use.",
        "Put the previous file back and try again, or restart the app to use the new one. To restore a backup while "
        "the app runs, use: python -m db restore FILE.",
    ),
    "LOG_REPLACED": (
        "The file -wal or -shm beside the database was deleted, moved or replaced while it was in use.",
        "Put it back and try again, or restart the app.",
    ),
    "SQLITE_FULL": ("The disk is full.", "Free some space and try again."),
    "SQLITE_BUSY": ("The database was busy for too long.", "Try again."),
    "SQLITE_READONLY": (
        "The database is read-only.",
        "Check the permissions of the file that DATABASE_URL names, and of its folder.",
    ),
    "SQLITE_CANTOPEN": (
        "The database cannot be opened.",
        "Check the file that DATABASE_URL names, and the permissions of its folder.",
    ),
    "SQLITE_NOTADB": ("DATABASE_URL names a file that is not an SQLite database.", "Correct it, or restore a backup."),
    "SQLITE_CORRUPT": ("The database that DATABASE_URL names is damaged.", "Restore it from a backup."),
    "SQLITE_IOERR": ("The disk under the database failed to read or write.", "Check the disk, then try again."),
}


class SQLite:
    """The file of one database; it is created if it is missing, for its owner only.

    Nothing is written after the file or its log was deleted or replaced. The opened file can still be read, so that the
    pages show what they showed before. If the file comes back, everything works again.
    """

    def __init__(self, url: URL) -> None:
        if not url.database or url.database == ":memory:" or url.database.startswith("file:") or url.query:
            raise StorageError("DATABASE_URL must name a file, for example sqlite:///data/workbench.db.")
        self.path = Path(url.database)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            refusal = ""
        except OSError as error:
            refusal = f"DATABASE_URL: the folder “{self.path.parent}” cannot be created: {error.strerror}."
        if refusal:
            raise StorageError(refusal)
        if files.is_read_only(self.path):  # SQLite would leave a read-only log, which nobody could write to afterwards
            raise StorageError(_sentence("SQLITE_READONLY", OPENING))
        files.create(self.path)
        files.unlock_log(self.path)
        files.remove_unfinished(self.path.parent)
        self._presence: BinaryIO | None = None
        self._opened = files.OpenedFiles(self.path)
        self._is_log_merged = False
        self.writer = _writer_of(self.path)
        self.reader = _reader_of(self.path)
        event.listen(self.writer, "connect", self._check_new_connection, insert=True)
        event.listen(self.reader, "connect", self._check_new_connection, insert=True)
        event.listen(self.writer, "connect", lambda *_: self._opened.forget_log())
        event.listen(self.writer, "begin", self._begin_writing)
        event.listen(self.writer, "commit", self._check_files)

    def check(self, connection: Connection) -> None:
        """Raises `StorageError` if the file is damaged."""
        if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok":
            raise StorageError(_sentence("SQLITE_CORRUPT", OPENING))

    def protect(self) -> None:
        """Take the rights of all other users of the machine from the file."""
        files.protect(self.path)

    def join(self) -> bool:
        """Register this process as a user of the file until it is closed. Returns whether it is the only one.

        The lock ends with the process, even if the process is killed. Returns False on systems without such locks.
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
        except OSError:  # the folder is read-only, or the file system has no locks
            return False
        return is_alone

    def keep(self, revision: str) -> Path:
        """Copy the database beside its file before a migration; returns the copy. The caller holds the write lock."""
        copy = self.path.with_name(f"{self.path.name}.before-{revision}")
        copy_file(self.path, copy, replace=True)
        return copy

    def count_on(self, connection: Connection) -> None:
        """Nothing to do: SQLite numbers new rows after the highest id it ever stored."""

    def sentence(self, error: DBAPIError | PoolTimeout, outcome: str) -> str:
        """What happened, what it means for the data (`outcome`), and what to do."""
        name = getattr(error.orig, "sqlite_errorname", "") if isinstance(error, DBAPIError) else "SQLITE_BUSY"
        return _sentence(name, outcome)

    def close(self) -> None:
        """Close all connections. The last one, the writer, merges the write-ahead log into the file."""
        self.reader.dispose()
        self.writer.dispose()
        if self._presence is not None:
            self._presence.close()

    def _check_new_connection(self, connection: sqlite3.Connection, _: object) -> None:
        """Raises an error if the connection leads to another file than at first, before it reads anything."""
        if self._opened.fault() == "FILE_REPLACED":
            connection.close()
            raise _error("FILE_REPLACED")

    def _begin_writing(self, connection: Connection) -> None:
        if fault := self._opened.fault():
            self._merge_log(connection)
            raise _error(fault)
        self._is_log_merged = False
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        self._opened.note()

    def _check_files(self, _: Connection) -> None:
        if fault := self._opened.fault():
            raise _error(fault)

    def _merge_log(self, connection: Connection) -> None:
        """Move the content of the log to the opened file, once. The next start would apply it to the new file."""
        if not self._is_log_merged:
            connection.exec_driver_sql("PRAGMA busy_timeout = 0")
            with suppress(DBAPIError):
                is_busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
                self._is_log_merged = not is_busy
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT * 1000}")


def copy_file(path: Path, copy: Path, *, replace: bool = False) -> None:
    """Write the last committed state to the file `copy`, completely or not at all, readable by its owner only.

    Others can write meanwhile. Raises `StorageError`, also if `copy` exists and `replace` is False.
    """
    refusal = ""
    try:
        with files.draft_of(copy, replace=replace) as draft:
            with closing(_connect(path)) as connection:
                connection.execute("VACUUM INTO ?", [str(draft)])
            with closing(sqlite3.connect(draft)) as connection:
                damage = connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",)
            if damage:
                raise StorageError(_sentence("SQLITE_CORRUPT", _COPYING))
    except sqlite3.Error as error:
        refusal = _sentence(getattr(error, "sqlite_errorname", ""), _COPYING)
    if refusal:
        raise StorageError(refusal)


def _connect(path: Path) -> sqlite3.Connection:
    """Open an existing file. SQLite's default is to create a missing one, which would look like an empty database."""
    address = f"{path.absolute().as_uri()}?mode=rw"
    # The driver must not begin transactions itself: too late and without the lock, so that updates are lost.
    return sqlite3.connect(address, uri=True, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)


def _error(name: str) -> OperationalError:
    error = sqlite3.OperationalError()
    error.sqlite_errorname = name
    return OperationalError(None, None, error)


def _sentence(name: str, outcome: str) -> str:
    for start, (what, advice) in _SENTENCES.items():
        if name.startswith(start):
            return f"{what} {outcome} {advice}"
    return unexpected(name, outcome)


def _writer_of(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        pool_size=1,
        max_overflow=0,
        pool_timeout=_BUSY_TIMEOUT,
        hide_parameters=True,
        creator=partial(_connect, path),
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        if _set_write_ahead_log(connection) != "wal":
            log.warning(
                "SQLite cannot use its write-ahead log, so readers and writers wait for each other. Move the database "
                "to a local disk if it is on a network file system."
            )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    return engine


def _set_write_ahead_log(connection: sqlite3.Connection) -> str:
    """Turn on the write-ahead log and return the resulting mode. SQLite ignores its busy timeout here."""
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
        creator=partial(_connect, path),
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA query_only = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine
