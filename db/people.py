"""People. Methods on data that belongs to somebody take the acting `Person` as their first argument."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.orm import Mapped, mapped_column

from db.base import Record, as_value
from db.errors import NotAllowed
from db.storage import Storage

_LOCAL_ID = 1  # the row that the first migration makes


class PersonRole(StrEnum):
    """What a person may do. An administrator manages configurations and sees all usage; nobody reads others' chats."""

    ADMINISTRATOR = "administrator"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Person:
    """The person who acts."""

    id: int
    name: str
    role: PersonRole

    @property
    def is_administrator(self) -> bool:
        return self.role is PersonRole.ADMINISTRATOR

    def must_be_administrator(self) -> None:
        """Raises `NotAllowed` unless the person is an administrator."""
        if not self.is_administrator:
            raise NotAllowed("Only an administrator may do this.")


class PersonRecord(Record):
    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    role: Mapped[PersonRole]


class People:
    """All people of the workbench."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def local(self) -> Person:
        """The only person of a workbench without sign-in, who is an administrator."""
        with self._storage.reading() as session:
            return as_value(Person, session.get_one(PersonRecord, _LOCAL_ID))

    def add(self, person: Person, name: str, role: PersonRole) -> Person:
        """Add a person. Only for administrators."""
        person.must_be_administrator()
        with self._storage.writing() as session:
            record = PersonRecord(name=name, role=role)
            session.add(record)
            session.flush()
            return as_value(Person, record)
