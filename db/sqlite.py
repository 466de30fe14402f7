"""SQLite: one file with two engines, one for the only connection that writes, one for many that read."""

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

from db.errors import OPENING, StorageError, unexpected

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # the module does not exist there

log = logging.getLogger(__name__)

_BUSY_TIMEOUT = 30  # seconds
_COPYING = "No copy was made."

# What happened and what to do, by the beginning of SQLite's error names, https://www.sqlite.org/rescode.html
_SENTENCES = {
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
    """The file of one database; it is created if it is missing."""

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
        self._presence: BinaryIO | None = None
        self.writer = _writer_of(self.path)
        self.reader = _reader_of(self.path)

    def check(self, connection: Connection) -> None:
        """Raises `StorageError` if the file is damaged."""
        if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok":
            raise StorageError(_sentence("SQLITE_CORRUPT", OPENING))

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

    def keep(self, revision: str) -> None:
        """Copy the database beside its file before a migration. The caller holds the write lock."""
        copy_file(self.path, self.path.with_name(f"{self.path.name}.before-{revision}"), replace=True)

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


def copy_file(path: Path, copy: Path, *, replace: bool = False) -> None:
    """Write the last committed state to the file `copy`, completely or not at all, readable by its owner only.

    Others can write meanwhile. Raises `StorageError`, also if `copy` exists and `replace` is False.
    """
    refusal = ""
    try:
        with draft_of(copy, replace=replace) as draft:
            # `rw`: otherwise SQLite would create a missing file, and copy the empty one.
            address = f"{path.absolute().as_uri()}?mode=rw"
            with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_TIMEOUT, isolation_level=None)) as connection:
                connection.execute("VACUUM INTO ?", [str(draft)])
            with closing(sqlite3.connect(draft)) as connection:
                damage = connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",)
            if damage:
                raise StorageError(_sentence("SQLITE_CORRUPT", _COPYING))
    except sqlite3.Error as error:
        refusal = _sentence(getattr(error, "sqlite_errorname", ""), _COPYING)
    if refusal:
        raise StorageError(refusal)


@contextmanager
def draft_of(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """An empty file, readable by its owner only, which is renamed to `path` at the end. Raises `StorageError`."""
    with folder_beside(path) as folder:
        draft = folder / path.name
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL, 0o600))
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            os.link(draft, path)  # unlike a rename, this fails if the file exists


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, for its owner only. Raises `StorageError` if nothing can be written there."""
    refusal = ""
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f"{path.name}.") as folder:
            yield Path(folder)
    except OSError as error:
        refusal = f"{path} cannot be written: {error.strerror}."
    if refusal:
        raise StorageError(refusal)


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
        connect_args={"timeout": _BUSY_TIMEOUT},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        # Otherwise the driver begins transactions itself, too late and without the lock, and updates are lost.
        connection.isolation_level = None
        if _set_write_ahead_log(connection) != "wal":
            log.warning(
                "SQLite cannot use its write-ahead log, so readers and writers wait for each other. Move the database "
                "to a local disk if it is on a network file system."
            )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

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
