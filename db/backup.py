"""Backups: one SQLite file with all data, whatever the database is; so a backup also moves from one kind to the other.

The keys in it are sealed as they are in the database. The encryption key is not in it: both are needed.
"""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, insert, select
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from db.audit import AuditAction, note
from db.base import Record
from db.calls import CallRecord
from db.chat_sessions import ChatSessionRecord
from db.cipher import Cipher
from db.configurations import ConfigurationRecord
from db.errors import StorageError
from db.people import Person
from db.sqlite import copy_file, draft_of
from db.storage import Storage

_AT_A_TIME = 1000  # rows


@dataclass(frozen=True, slots=True)
class Restored:
    """How many rows came from a backup."""

    configurations: int
    chats: int
    calls: int


def back_up(storage: Storage, file: Path) -> None:
    """Write all data, as it is at one moment, to a new file; `StorageError` when it is there already."""
    if file.exists():
        raise StorageError(f"{file} is there already. Name a file that is not.")
    if storage.path is not None:
        copy_file(storage.path, file)
        return
    with (
        draft_of(file) as draft,
        closing(_open(draft)) as copy,
        storage.reading() as source,
        copy.writing() as target,
    ):
        _replace(source, target)


def restore(storage: Storage, cipher: Cipher, person: Person, file: Path, replaced: Path, now: datetime) -> Restored:
    """Replace all data by that of a backup, in one transaction; what was there goes to the file `replaced`."""
    with _opened(file, replaced) as backup, backup.reading() as source:
        sealed = select(ConfigurationRecord).where(ConfigurationRecord.sealed_key != "")
        names = [each.display_name for each in source.scalars(sealed) if cipher.key_of(each.sealed_key) is None]
        if names:
            raise StorageError(
                f"The encryption key does not open the keys of: {', '.join(sorted(names))}. Nothing was restored. Set "
                "the encryption key of the time of the backup; ENCRYPTION_KEY takes several, separated by commas."
            )
        with storage.writing() as target:
            back_up(storage, replaced)
            _replace(source, target)
            storage.backend.count_on(target.connection())
            note(target, person, AuditAction.RESTORED, now, f"Backup: {file.name}")
        tables = ConfigurationRecord, ChatSessionRecord, CallRecord
        return Restored(*(source.scalar(select(func.count()).select_from(table)) or 0 for table in tables))


@contextmanager
def _opened(file: Path, beside: Path) -> Iterator[Storage]:
    """A backup as a database of today's schema: a copy of it, because it may be of an older one."""
    if not file.is_file():
        raise StorageError(f"There is no file {file}.")
    refusal = ""
    with tempfile.TemporaryDirectory(dir=beside.parent, prefix=f"{beside.name}.") as folder:
        copy = Path(folder) / "backup.db"
        try:
            copy_file(file, copy)
            with closing(sqlite3.connect(copy)) as connection:
                connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except (StorageError, sqlite3.Error):
            refusal = f"{file} is no backup of this program."
        if refusal:
            raise StorageError(refusal)
        with closing(_open(copy)) as backup:
            yield backup


def _open(file: Path) -> Storage:
    return Storage(URL.create("sqlite", database=str(file)).render_as_string(hide_password=False))


def _replace(source: Session, target: Session) -> None:
    tables = Record.metadata.sorted_tables
    for table in reversed(tables):
        target.execute(table.delete())
    for table in tables:
        rows = source.execute(select(table).order_by(*table.primary_key).execution_options(yield_per=_AT_A_TIME))
        for chunk in rows.mappings().partitions(_AT_A_TIME):
            target.execute(insert(table), [dict(row) for row in chunk])
