"""Learnt adaptations: the parameters that models refused. Learnt from calls, removed by administrators."""

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ForeignKey, String, Text, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from connector import Adaptation, Adaptations, CallReport
from db.base import Record
from db.people import Person
from db.storage import Storage


class AdaptationRecord(Record):
    __tablename__ = "adaptations"

    id: Mapped[int] = mapped_column(primary_key=True)
    """Adaptations are applied in the order of their ids."""
    configuration_id: Mapped[str] = mapped_column(
        String(32), ForeignKey("configurations.id", ondelete="CASCADE"), index=True
    )
    model: Mapped[str]
    """The requested model; on Azure, the deployment."""
    parameter: Mapped[str]
    value: Mapped[str]
    """As JSON: a text, a number, or null for any value."""
    instead: Mapped[str | None]
    why: Mapped[str] = mapped_column(Text)
    learnt_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class LearntAdaptation:
    """One change that requests to a model need, and when it was learnt."""

    model: str
    adaptation: Adaptation
    learnt_at: datetime


class LearntAdaptations:
    """The learnt adaptations. Everybody's calls use them; only administrators may forget them (`NotAllowed`)."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def all(self, person: Person, configuration_id: str) -> list[LearntAdaptation]:
        """The adaptations of one configuration's models, in the order in which they are applied."""
        with self._storage.reading() as session:
            return _learnt(session, configuration_id)

    def of(self, person: Person, configuration_id: str) -> Adaptations:
        """The same for a `Client`, which applies them and adds to them; additions are stored with its calls."""
        return _adaptations(self.all(person, configuration_id))

    def forget(self, person: Person, configuration_id: str) -> None:
        """Remove the adaptations of a configuration; they are learnt again from its next calls."""
        person.must_be_administrator()
        with self._storage.writing() as session:
            forget(session, configuration_id)


def learn(session: Session, configuration_id: str, model: str, report: CallReport, now: datetime) -> None:
    """Store the adaptations that a call learnt, replace those it contradicts, and remove those it found outdated."""
    if not report.learnt and not report.outdated:
        return
    before = _learnt(session, configuration_id)
    known = _adaptations(before)
    known.learn(model, report.learnt, report.outdated)
    since = {(each.model, each.adaptation): each.learnt_at for each in before}
    forget(session, configuration_id)
    for name, kept in known.items().items():
        for each in kept:
            record = AdaptationRecord(
                configuration_id=configuration_id,
                model=name,
                parameter=each.parameter,
                value=json.dumps(each.value),
                instead=each.instead,
                why=each.why,
                learnt_at=since.get((name, each), now),
            )
            session.add(record)


def forget(session: Session, configuration_id: str) -> None:
    """`LearntAdaptations.forget` inside a transaction."""
    session.execute(delete(AdaptationRecord).where(AdaptationRecord.configuration_id == configuration_id))


def _learnt(session: Session, configuration_id: str) -> list[LearntAdaptation]:
    of_it = select(AdaptationRecord).where(AdaptationRecord.configuration_id == configuration_id)
    return [
        LearntAdaptation(
            record.model,
            Adaptation(record.parameter, json.loads(record.value), record.instead, record.why),
            record.learnt_at,
        )
        for record in session.scalars(of_it.order_by(AdaptationRecord.id))
    ]


def _adaptations(learnt: list[LearntAdaptation]) -> Adaptations:
    known: dict[str, list[Adaptation]] = {}
    for each in learnt:
        known.setdefault(each.model, []).append(each.adaptation)
    return Adaptations(known)
