"""The audit log: what administrators did, written in the transaction that does it. Never changed, without secrets."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, String, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Record, as_value
from db.people import Person
from db.storage import Storage


class AuditAction(StrEnum):
    """The action of an entry."""

    CREATED = "created"
    CHANGED = "changed"
    TESTED = "tested"
    DELETED = "deleted"
    ROTATED = "rotated"
    """The key was encrypted with another encryption key."""
    RESTORED = "restored"
    """All data was replaced with that of a backup."""


class AuditRecord(Record):
    __tablename__ = "audit"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    person_name: Mapped[str]
    """The name at that time, like that of the configuration."""
    action: Mapped[AuditAction]
    configuration_id: Mapped[str | None] = mapped_column(String(32), index=True)
    """No foreign key: the entry stays when the configuration is deleted."""
    configuration_name: Mapped[str]
    details: Mapped[str] = mapped_column(Text)
    """A JSON list of texts."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what, and when. `configuration_id` is None if the entry is not about a stored configuration."""

    id: int
    at: datetime
    person_id: int
    person_name: str
    action: AuditAction
    configuration_id: str | None
    configuration_name: str
    details: tuple[str, ...]
    """Sentences for people, such as `Endpoint: old → new` and `Key: replaced`."""


class Audit:
    """All entries. Only for administrators; everybody else gets `NotAllowed`."""

    def __init__(self, storage: Storage, clock: Callable[[], datetime]) -> None:
        self._storage = storage
        self._clock = clock

    def recent(self, person: Person, limit: int = 100, configuration_id: str | None = None) -> list[AuditEntry]:
        """The last entries, newest first, of all configurations or of one."""
        person.must_be_administrator()
        newest = select(AuditRecord).order_by(AuditRecord.id.desc()).limit(limit)
        if configuration_id is not None:
            newest = newest.where(AuditRecord.configuration_id == configuration_id)
        with self._storage.reading() as session:
            return [_entry(record) for record in session.scalars(newest)]

    def tested(self, person: Person, name: str, *details: str, configuration_id: str | None = None) -> None:
        """Note the test of a configuration and its result. A configuration that is not saved yet has no id."""
        person.must_be_administrator()
        with self._storage.writing() as session:
            note(session, person, AuditAction.TESTED, self._clock(), *details, id=configuration_id, name=name)


def note(
    session: Session,
    person: Person,
    action: AuditAction,
    now: datetime,
    *details: str,
    id: str | None = None,
    name: str = "",
) -> None:
    """Write an entry about the configuration with this id and name."""
    session.add(
        AuditRecord(
            at=now,
            person_id=person.id,
            person_name=person.name,
            action=action,
            configuration_id=id,
            configuration_name=name,
            details=json.dumps(details),
        )
    )


def last_change(session: Session, configuration_id: str) -> AuditEntry | None:
    """The last entry that created or changed a configuration."""
    changes = AuditAction.CHANGED, AuditAction.CREATED
    of_it = AuditRecord.configuration_id == configuration_id, AuditRecord.action.in_(changes)
    record = session.scalar(select(AuditRecord).where(*of_it).order_by(AuditRecord.id.desc()).limit(1))
    return _entry(record) if record else None


def _entry(record: AuditRecord) -> AuditEntry:
    return as_value(AuditEntry, record, details=tuple(json.loads(record.details)))
