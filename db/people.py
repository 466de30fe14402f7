"""Who acts. Methods on what belongs to somebody take the acting `Person` first."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.orm import Mapped, mapped_column

from db.base import Record, as_value
from db.errors import NotAllowed
from db.storage import Storage

_LOCAL_ID = 1  # the row that the first migration makes


class PersonRole(StrEnum):
    """What a person may do: an administrator everything but reading other people's chats, a user everything else."""

    ADMINISTRATOR = "administrator"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who acts."""

    id: int
    name: str
    role: PersonRole

    @property
    def is_administrator(self) -> bool:
        return self.role is PersonRole.ADMINISTRATOR

    def must_be_administrator(self) -> None:
        """Raises `NotAllowed` for everybody else."""
        if not self.is_administrator:
            raise NotAllowed("Only an administrator may do this.")


class PersonRecord(Record):
    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    role: Mapped[PersonRole]


class People:
    """Everybody known to the workbench."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def local(self) -> Person:
        """The one person of a workbench without sign-in: an administrator."""
        with self._storage.reading() as session:
            return as_value(Person, session.get_one(PersonRecord, _LOCAL_ID))

    def add(self, person: Person, name: str, role: PersonRole) -> Person:
        """Add somebody; administrators only."""
        person.must_be_administrator()
        with self._storage.writing() as session:
            record = PersonRecord(name=name, role=role)
            session.add(record)
            session.flush()
            return as_value(Person, record)
