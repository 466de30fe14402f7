"""Backups: one SQLite file with all data, from SQLite or PostgreSQL. It can be restored to either.

A backup contains the API keys encrypted, as the database does, and not the encryption key. To restore, both are needed.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table, func, insert, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from db.audit import AuditAction, note
from db.base import Record
from db.calls import CallRecord
from db.chat_sessions import ChatSessionRecord
from db.configuration_record import ConfigurationRecord, forget_what, sealed_texts
from db.encryption_keys import EncryptionKeys
from db.errors import READING, StorageError
from db.files import folder_beside
from db.lease import interrupt
from db.people import Person
from db.sqlite import copy_file
from db.storage import Storage

_AT_A_TIME = 1000  # rows


@dataclass(frozen=True, slots=True)
class Restored:
    """How many rows were restored from a backup."""

    configurations: int
    chats: int
    calls: int
    without_key: tuple[str, ...]
    """The names of the configurations that were restored without their API keys."""


def back_up(storage: Storage, file: Path) -> None:
    """Write all data of one moment to a new file. Raises `StorageError` if the file already exists."""
    if os.path.lexists(file):
        raise StorageError(f"{file} already exists. Nothing was written. Choose another file name.")
    if storage.path is not None:
        copy_file(storage.path, file)
        return
    with folder_beside(file) as folder:
        draft = folder / "backup.db"
        with closing(_open(draft)) as copy, storage.reading() as source, copy.writing() as target:
            _replace(_Source(source, lambda error: storage.backend.sentence(error, READING)), target)
        copy_file(draft, file)


def restore(
    storage: Storage,
    keys: EncryptionKeys,
    person: Person,
    file: Path,
    replaced: Path,
    now: datetime,
    *,
    without_keys: bool,
) -> Restored:
    """Replace all data with that of a backup, in one transaction. The previous data goes to the file `replaced`."""
    with _opened(storage, file, replaced) as backup, backup.reading() as source:
        stored = source.scalars(select(ConfigurationRecord))
        unreadable = {each.id: each.display_name for each in stored if not all(map(keys.can_open, sealed_texts(each)))}
        names = sorted(unreadable.values())
        if names and not without_keys:
            raise StorageError(
                f"The encryption key cannot decrypt the API keys of: {', '.join(names)}. Nothing was restored. "
                f"{keys.how_to_add} If that key is lost, restore with --without-keys, and enter these API keys again."
            )
        with storage.writing() as target:
            back_up(storage, replaced)
            damaged = f"{file} is damaged. Nothing was restored. Choose another backup."
            _replace(_Source(source, lambda _: damaged), target)
            for record in target.scalars(select(ConfigurationRecord).where(ConfigurationRecord.id.in_(unreadable))):
                forget_what(record, lambda sealed: not keys.can_open(sealed))
            # Nobody continues the answers that were being written when the backup was made.
            interrupt(target, now, everything=True)
            storage.backend.count_on(target.connection())
            note(target, person, AuditAction.RESTORED, now, f"Backup: {file.name}")
        tables = ConfigurationRecord, ChatSessionRecord, CallRecord
        configurations, chats, calls = (source.scalar(select(func.count()).select_from(each)) or 0 for each in tables)
        return Restored(configurations, chats, calls, tuple(names))


@contextmanager
def _opened(storage: Storage, file: Path, beside: Path) -> Iterator[Storage]:
    """A copy of a backup, migrated to the current schema, because the backup may be older."""
    if not os.path.isfile(file):
        raise StorageError(f"There is no file {file}. Nothing was restored. Check the path.")
    if storage.path is not None and file.resolve() == storage.path.resolve():
        raise StorageError(
            f"{file} is the database itself. Nothing was restored. Choose a file that the backup command wrote."
        )
    refusal = ""
    with folder_beside(beside) as folder:
        copy = folder / "backup.db"
        try:
            copy_file(file, copy)
            with closing(sqlite3.connect(copy)) as connection:
                connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except (StorageError, sqlite3.Error):
            refusal = f"{file} is not a backup of this program. Nothing was restored. Choose another file."
        if refusal:
            raise StorageError(refusal)
        with closing(_open(copy)) as backup:
            yield backup


def _open(file: Path) -> Storage:
    return Storage(URL.create("sqlite", database=str(file)))


@dataclass(frozen=True, slots=True)
class _Source:
    """The database whose rows are copied, and the sentence for an error when they are read.

    Without it, the transaction of the target would report the error as one of its own database.
    """

    session: Session
    sentence: Callable[[DBAPIError | PoolTimeout], str]

    def rows(self, table: Table) -> Iterator[list[dict[str, Any]]]:
        """Yield all rows of a table in chunks. Raises `StorageError`."""
        refusal = ""
        query = select(table).order_by(*table.primary_key).execution_options(yield_per=_AT_A_TIME)
        try:
            for chunk in self.session.execute(query).mappings().partitions(_AT_A_TIME):
                yield [dict(row) for row in chunk]
        except (DBAPIError, PoolTimeout) as error:
            refusal = self.sentence(error)
        if refusal:  # outside of the `except` block, so that the error does not carry stored values
            raise StorageError(refusal)


def _replace(source: _Source, target: Session) -> None:
    tables = Record.metadata.sorted_tables
    for table in reversed(tables):
        target.execute(table.delete())
    for table in tables:
        for rows in source.rows(table):
            target.execute(insert(table), rows)
