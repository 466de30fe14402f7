"""What each person has picked last on each page: a configuration and a model."""

from dataclasses import dataclass

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Record, as_value
from db.configurations import must_exist
from db.people import Person
from db.storage import Storage


class PickRecord(Record):
    __tablename__ = "picks"

    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), primary_key=True)
    page: Mapped[str] = mapped_column(primary_key=True)
    configuration_id: Mapped[str] = mapped_column(
        String(32), ForeignKey("configurations.id", ondelete="CASCADE"), index=True
    )
    model: Mapped[str]


@dataclass(frozen=True, slots=True)
class Pick:
    """What a person has picked on a page. `model` is empty for the configuration's default."""

    configuration_id: str
    model: str


class Picks:
    """The picks of the acting person."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def of(self, person: Person, page: str) -> Pick | None:
        """The last pick on a page; None before the first, and after its configuration was deleted."""
        with self._storage.reading() as session:
            record = session.get(PickRecord, (person.id, page))
            return as_value(Pick, record) if record else None

    def keep(self, person: Person, page: str, pick: Pick) -> None:
        """Keep a pick instead of the last one. Raises `NotFound` if its configuration no longer exists."""
        with self._storage.writing() as session:
            must_exist(session, pick.configuration_id)
            kept = {"configuration_id": pick.configuration_id, "model": pick.model}
            session.merge(PickRecord(person_id=person.id, page=page, **kept))
