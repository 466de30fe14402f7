"""The ledger: one row per call to a provider, whatever became of it. Unknown numbers are None, never 0."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Label,
    Select,
    String,
    Text,
    and_,
    func,
    or_,
    select,
    true,
    type_coerce,
)
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from connector import (
    CallReport,
    CallStatus,
    ChatCompletionsResponse,
    Cost,
    UsageSource,
    cost_of,
    filtered_of,
    tokens_of,
)
from db.adaptations import learn
from db.base import Record, as_value
from db.configurations import address_of, must_exist, price_of
from db.errors import NotFound
from db.people import Person, PersonRecord
from db.storage import Storage

N = TypeVar("N", int, float)
_QUARTER_HOUR = 15 * 60  # seconds
_LAST = 20  # calls that tell something of a model
_REFUSED = ("request_refused", "not_found", "provider_unavailable")


class CallRecord(Record):
    __tablename__ = "calls"
    __table_args__ = (
        Index(None, "person_id", "started_at"),
        # Numbers are not given out again: a late writer must not meet a stranger under the id it remembers.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    configuration_id: Mapped[str | None] = mapped_column(
        String(32), ForeignKey("configurations.id", ondelete="SET NULL"), index=True
    )
    configuration_name: Mapped[str]
    """As it was called at the time."""
    model_asked: Mapped[str]
    model_answered: Mapped[str | None]
    page: Mapped[str]
    preset: Mapped[str | None]
    operation: Mapped[str]
    status: Mapped[CallStatus]
    finish_reason: Mapped[str | None]
    attempts: Mapped[int]
    adaptations: Mapped[str] = mapped_column(Text)
    """A JSON list of texts."""
    prompt_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    cached_tokens: Mapped[int | None]
    reasoning_tokens: Mapped[int | None]
    total_tokens: Mapped[int | None]
    usage_source: Mapped[UsageSource]
    time_to_first_token: Mapped[float | None] = mapped_column(Float)
    """Seconds, like the duration."""
    duration: Mapped[float | None] = mapped_column(Float)
    cost: Mapped[float | None] = mapped_column(Float)
    """US dollars."""
    price_source: Mapped[str | None]
    error_kind: Mapped[str | None]
    error: Mapped[str | None] = mapped_column(Text)
    """The sentence that the person was told."""
    request_id: Mapped[str | None]
    """The provider's."""
    prompt_characters: Mapped[int | None]
    """Of the texts in the prompt, to learn how many make a token; None where not all of it was text."""
    filtered: Mapped[str | None]
    """What the provider's content filter stopped, and how grave it was."""

    person: Mapped[PersonRecord] = relationship(lazy="joined")


@dataclass(frozen=True, slots=True)
class CallStart:
    """What is known before a call begins."""

    page: str
    operation: str
    configuration_id: str | None
    configuration_name: str
    model_asked: str


@dataclass(frozen=True, slots=True)
class Call:
    """One row of the ledger. None is unknown, or not known yet; times are in seconds, the cost in US dollars."""

    id: int
    started_at: datetime
    person_id: int
    person_name: str
    configuration_id: str | None
    configuration_name: str
    model_asked: str
    model_answered: str | None
    page: str
    preset: str | None
    operation: str
    status: CallStatus
    finish_reason: str | None
    attempts: int
    adaptations: tuple[str, ...]
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    total_tokens: int | None
    usage_source: UsageSource
    time_to_first_token: float | None
    duration: float | None
    cost: float | None
    price_source: str | None
    error_kind: str | None
    error: str | None
    request_id: str | None
    prompt_characters: int | None
    filtered: str | None


class UsageGroup(StrEnum):
    """What totals are drawn up by."""

    MODEL = "model"
    """The model that answered, else the one that was asked."""
    CONFIGURATION = "configuration"
    PAGE = "page"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The calls of one group that have ended. Tokens are None when they are unknown for every call of it."""

    group: str | date
    calls: int
    failed: int
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    unknown: int
    """How many of the calls are not in the total, because nobody said what they used."""
    cost: float | None
    """US dollars; None where no call of it has a price."""
    unpriced: int
    """How many of the calls are not in the cost, though their tokens are known."""

    def plus(self, other: "UsageRow") -> "UsageRow":
        """Both together, under the name of this one."""
        return UsageRow(
            self.group,
            self.calls + other.calls,
            self.failed + other.failed,
            _sum(self.prompt_tokens, other.prompt_tokens),
            _sum(self.completion_tokens, other.completion_tokens),
            _sum(self.total_tokens, other.total_tokens),
            self.unknown + other.unknown,
            _sum(self.cost, other.cost),
            self.unpriced + other.unpriced,
        )


class Calls:
    """All calls. A user sees their own, an administrator everybody's."""

    def __init__(self, storage: Storage, clock: Callable[[], datetime]) -> None:
        self._storage = storage
        self._clock = clock

    def book(self, person: Person, start: CallStart, report: CallReport) -> int:
        """Book a call that has ended already: how, what it cost and what was learnt. Its number.

        `NotFound`: the configuration is gone. Calls of turns are booked by `Turns`, before and after.
        """
        list_price = cost_of(report)  # before the transaction: the list takes 0.1 s to read the first time
        with self._storage.writing() as session:
            call_id = begin_call(session, person, start, report.started_at)
            finish_call(session, person, call_id, report, list_price, self._clock())
            return call_id

    def get(self, person: Person, call_id: int) -> Call:
        """One of them; raises `NotFound` for somebody else's unless an administrator asks."""
        one = CallRecord.id == call_id, _seen_by(person)
        with self._storage.reading() as session:
            record = session.scalar(select(CallRecord).where(*one))
            if record is None:
                raise NotFound("This call does not exist.")
            return call_of(record)

    def recent(self, person: Person, limit: int = 50) -> list[Call]:
        """The newest first."""
        newest = CallRecord.started_at.desc(), CallRecord.id.desc()
        with self._storage.reading() as session:
            records = session.scalars(select(CallRecord).where(_seen_by(person)).order_by(*newest).limit(limit))
            return [call_of(record) for record in records]

    def totals(self, person: Person, by: UsageGroup, zone: ZoneInfo | None = None) -> list[UsageRow]:
        """The calls that have ended, by day oldest first, else by number of calls. Days are those of `zone`, or UTC."""
        group = _GROUPS[by].label("usage_group")
        ended = CallRecord.status != CallStatus.RUNNING
        with self._storage.reading() as session:
            rows = session.execute(_totals_by(group).where(_seen_by(person), ended).group_by(group)).all()
        folded: dict[str | date, UsageRow] = {}
        for key, *numbers in rows:
            name = datetime.fromtimestamp(key * _QUARTER_HOUR, zone or UTC).date() if by is UsageGroup.DAY else key
            row = UsageRow(name, *numbers)
            folded[name] = folded[name].plus(row) if name in folded else row
        if by is UsageGroup.DAY:
            return sorted(folded.values(), key=lambda row: str(row.group))
        return sorted(folded.values(), key=lambda row: (-row.calls, str(row.group)))

    def latest_by_configuration(self, person: Person) -> dict[str, Call]:
        """The last call of each configuration that has ended, by the configuration's id; probes do not count."""
        of_one = CallRecord.configuration_id.is_not(None)
        latest = select(func.max(CallRecord.id)).where(_seen_by(person), of_one, *_TELLING)
        latest = latest.group_by(CallRecord.configuration_id)
        with self._storage.reading() as session:
            calls = [call_of(record) for record in session.scalars(select(CallRecord).where(CallRecord.id.in_(latest)))]
        return {call.configuration_id: call for call in calls if call.configuration_id}

    def latest(self, person: Person, configuration_id: str) -> Call | None:
        """The same for one of them; None before its first."""
        of_it = _seen_by(person), CallRecord.configuration_id == configuration_id, *_TELLING
        with self._storage.reading() as session:
            record = session.scalar(select(CallRecord).where(*of_it).order_by(CallRecord.id.desc()).limit(1))
            return call_of(record) if record else None

    def refusals(self, person: Person, configuration_id: str, model: str, pages: Sequence[str]) -> list[str]:
        """What was last told instead of an answer, the newest first, on these pages and in tests of the configuration.

        Of this model or deployment, since it last answered there.
        """
        of_it = _seen_by(person), CallRecord.configuration_id == configuration_id, CallRecord.model_asked == model
        there = CallRecord.page.in_(pages)
        answered = select(func.max(CallRecord.id)).where(*of_it, there, CallRecord.status == CallStatus.DONE)
        refused = select(CallRecord.error).where(
            *of_it,
            or_(there, CallRecord.operation == "probe"),
            CallRecord.error_kind.in_(_REFUSED),
            CallRecord.id > func.coalesce(answered.scalar_subquery(), 0),
        )
        with self._storage.reading() as session:
            return [error for error in session.scalars(refused.order_by(CallRecord.id.desc()).limit(_LAST)) if error]

    def characters_per_token(self, person: Person, configuration_id: str, model: str) -> float | None:
        """Of this model's last prompts, as the provider counted them; None before the first."""
        told = CallRecord.prompt_characters > 0, CallRecord.prompt_tokens > 0, CallRecord.model_asked == model
        last = select(CallRecord.prompt_characters, CallRecord.prompt_tokens).where(
            _seen_by(person), CallRecord.configuration_id == configuration_id, *told
        )
        found = last.order_by(CallRecord.id.desc()).limit(_LAST).subquery()
        with self._storage.reading() as session:
            characters, tokens = session.execute(select(func.sum(found.c[0]), func.sum(found.c[1]))).one()
            return float(characters) / float(tokens) if tokens else None


def begin_call(session: Session, person: Person, start: CallStart, now: datetime) -> int:
    """Book that a call begins, before the network is touched; its number. `NotFound`: the configuration is gone."""
    must_exist(session, start.configuration_id)
    record = CallRecord(
        started_at=now,
        person_id=person.id,
        configuration_id=start.configuration_id,
        configuration_name=start.configuration_name,
        model_asked=start.model_asked,
        page=start.page,
        operation=start.operation,
        status=CallStatus.RUNNING,
        attempts=0,
        adaptations="[]",
        usage_source=UsageSource.UNKNOWN,
    )
    session.add(record)
    session.flush()
    return record.id


def finish_call(
    session: Session, person: Person, call_id: int, report: CallReport, list_price: Cost | None, now: datetime
) -> None:
    """Book how it ended, what it cost and what was learnt; `NotFound` unless it is the person's own and under way."""
    # Another process may have started meanwhile and taken it for interrupted; nobody has said how it ended yet.
    is_open = or_(
        CallRecord.status == CallStatus.RUNNING,
        and_(CallRecord.status == CallStatus.INTERRUPTED, CallRecord.duration.is_(None)),
    )
    own = CallRecord.id == call_id, CallRecord.person_id == person.id, is_open
    record = session.scalar(select(CallRecord).where(*own))
    if record is None:
        raise NotFound("This call is not under way.")
    record.status = report.status
    record.finish_reason = finish_reason_of(report.response)
    record.model_answered = _text(report.response, "model")
    record.attempts = report.attempts
    record.adaptations = json.dumps([str(each) for each in report.adaptations])
    record.prompt_tokens = tokens_of(report.usage, "prompt_tokens")
    record.completion_tokens = tokens_of(report.usage, "completion_tokens")
    record.cached_tokens = tokens_of(report.usage, "prompt_tokens_details", "cached_tokens")
    record.reasoning_tokens = tokens_of(report.usage, "completion_tokens_details", "reasoning_tokens")
    record.total_tokens = tokens_of(report.usage, "total_tokens")
    record.usage_source = report.usage_source
    record.time_to_first_token = report.time_to_first_token
    record.duration = report.duration
    record.error_kind = report.error.kind if report.error else None
    record.error = str(report.error) if report.error else None
    record.request_id = report.request_id
    record.prompt_characters = _characters_of(report.request.get("messages"))
    found = filtered_of(report.response) if report.response else {}
    record.filtered = ", ".join(f"{name.replace('_', ' ')} ({severity})" for name, severity in found.items()) or None
    own_price = price_of(session, record.configuration_id)
    if cost := cost_of(report, own_price) if own_price else list_price:
        record.cost, record.price_source = float(cost.amount), str(cost)
    # Not where the configuration was pointed at another address meanwhile.
    if record.configuration_id and address_of(session, record.configuration_id) == report.url:
        learn(session, record.configuration_id, record.model_asked, report, now)


def _characters_of(messages: object) -> int | None:
    if not isinstance(messages, list):
        return None
    contents = [message.get("content") for message in messages]
    return sum(map(len, contents)) if all(isinstance(content, str) for content in contents) else None


def call_of(record: CallRecord) -> Call:
    return as_value(Call, record, person_name=record.person.name, adaptations=tuple(json.loads(record.adaptations)))


def finish_reason_of(response: ChatCompletionsResponse | None) -> str | None:
    """Why the choice with index 0 ended; None where nobody said."""
    choices = getattr(response, "choices", None) or []
    return next((_text(choice, "finish_reason") for choice in choices if not getattr(choice, "index", 0)), None)


# Of a test, one call tells whether the configuration works; its probes tell what else it can do.
_TELLING = CallRecord.status != CallStatus.RUNNING, CallRecord.operation != "probe"


def _seen_by(person: Person) -> ColumnElement[bool]:
    return true() if person.is_administrator else CallRecord.person_id == person.id


_GROUPS: dict[UsageGroup, ColumnElement[Any]] = {
    UsageGroup.MODEL: func.coalesce(CallRecord.model_answered, CallRecord.model_asked),
    UsageGroup.CONFIGURATION: CallRecord.configuration_name.expression,
    UsageGroup.PAGE: CallRecord.page.expression,
    # Every zone is a whole number of quarter hours from UTC, so a quarter hour is of one day everywhere.
    UsageGroup.DAY: type_coerce(CallRecord.started_at, BigInteger) // (_QUARTER_HOUR * 1000),
}


def _totals_by(group: Label[Any]) -> Select[Any]:
    return select(
        group,
        func.count(),
        func.count().filter(CallRecord.status == CallStatus.FAILED),
        func.sum(CallRecord.prompt_tokens),
        func.sum(CallRecord.completion_tokens),
        func.sum(CallRecord.total_tokens),
        func.count().filter(CallRecord.total_tokens.is_(None)),
        func.sum(CallRecord.cost),
        func.count().filter(CallRecord.cost.is_(None), CallRecord.total_tokens.is_not(None)),
    )


def _text(holder: object, name: str) -> str | None:
    """A text of the answer. Sloppy servers leave out or mistype anything, and the call must be booked all the same."""
    value = getattr(holder, name, None)
    return value if isinstance(value, str) and value else None


def _sum(one: N | None, other: N | None) -> N | None:
    return one if other is None else other if one is None else one + other
