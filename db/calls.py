"""The ledger: one row per call to a provider, whether it succeeded or not. Unknown numbers are None, never 0."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Float, ForeignKey, Index, String, Text, and_, func, or_, select, true
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

_LAST = 20  # the number of calls that estimates and refusals of a model are taken from
# Characters per token. Chinese has about 1, English about 4, a table with many blanks up to 8 (tokenizer o200k).
_DENSEST, _SPARSEST = 0.5, 8.0
_REFUSED = ("request_refused", "not_found", "provider_unavailable")


class CallRecord(Record):
    __tablename__ = "calls"
    __table_args__ = (
        Index(None, "person_id", "started_at"),
        # Ids are never reused: a late writer must not find another call under the id that it remembers.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    configuration_id: Mapped[str | None] = mapped_column(
        String(32), ForeignKey("configurations.id", ondelete="SET NULL"), index=True
    )
    configuration_name: Mapped[str]
    """Its name at the time of the call."""
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
    """In seconds, like the duration."""
    duration: Mapped[float | None] = mapped_column(Float)
    cost: Mapped[float | None] = mapped_column(Float)
    """In US dollars."""
    price_source: Mapped[str | None]
    error_kind: Mapped[str | None]
    error: Mapped[str | None] = mapped_column(Text)
    """The sentence that the person was shown."""
    request_id: Mapped[str | None]
    """The id that the provider gave the request."""
    prompt_characters: Mapped[int | None]
    """The length of the prompt, to estimate characters per token; None if the prompt was not only text."""
    filtered: Mapped[str | None]
    """The categories that the provider's content filter stopped, each with its severity."""

    person: Mapped[PersonRecord] = relationship(lazy="joined")


@dataclass(frozen=True, slots=True)
class CallStart:
    """What is known before a call is sent."""

    page: str
    operation: str
    configuration_id: str | None
    configuration_name: str
    model_asked: str


@dataclass(frozen=True, slots=True)
class Call:
    """One row of the ledger. None means unknown, or not known yet. Times are in seconds, the cost in US dollars."""

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


class Calls:
    """All calls. A user sees their own, an administrator everybody's."""

    def __init__(self, storage: Storage, clock: Callable[[], datetime]) -> None:
        self._storage = storage
        self._clock = clock

    def add(self, person: Person, start: CallStart, report: CallReport) -> int:
        """Store a finished call with its result, its cost and the adaptations it found; returns its id.

        Raises `NotFound` if the configuration no longer exists. Calls of turns are stored by `Turns` instead.
        """
        list_price = cost_of(report)  # before the transaction: reading the price list takes 0.1 s the first time
        with self._storage.writing() as session:
            call_id = begin_call(session, person, start, report.started_at)
            finish_call(session, person, call_id, report, list_price, self._clock())
            return call_id

    def get(self, person: Person, call_id: int) -> Call:
        """The call with this id. Raises `NotFound` for other people's calls, except to an administrator."""
        one = CallRecord.id == call_id, seen_by(person)
        with self._storage.reading() as session:
            record = session.scalar(select(CallRecord).where(*one))
            if record is None:
                raise NotFound("This call does not exist.")
            return call_of(record)

    def recent(self, person: Person, limit: int = 50) -> list[Call]:
        """The last calls, newest first. Their ids tell the order, because the clock may have been set back."""
        newest = select(CallRecord).where(seen_by(person)).order_by(CallRecord.id.desc()).limit(limit)
        with self._storage.reading() as session:
            records = session.scalars(newest)
            return [call_of(record) for record in records]

    def latest_by_configuration(self, person: Person) -> dict[str, Call]:
        """The last finished call of each configuration, by the configuration's id. Probes are left out."""
        of_one = CallRecord.configuration_id.is_not(None)
        latest = select(func.max(CallRecord.id)).where(seen_by(person), of_one, *_COUNTED)
        latest = latest.group_by(CallRecord.configuration_id)
        with self._storage.reading() as session:
            calls = [call_of(record) for record in session.scalars(select(CallRecord).where(CallRecord.id.in_(latest)))]
        return {call.configuration_id: call for call in calls if call.configuration_id}

    def latest(self, person: Person, configuration_id: str) -> Call | None:
        """The last finished call of one configuration, probes left out; None before the first."""
        of_it = seen_by(person), CallRecord.configuration_id == configuration_id, *_COUNTED
        with self._storage.reading() as session:
            record = session.scalar(select(CallRecord).where(*of_it).order_by(CallRecord.id.desc()).limit(1))
            return call_of(record) if record else None

    def refusals(self, person: Person, configuration_id: str, model: str, pages: Sequence[str]) -> list[str]:
        """The error sentences of a model or deployment since it last answered on these pages, newest first.

        Only refusals count, on these pages and in tests of the configuration.
        """
        of_it = seen_by(person), CallRecord.configuration_id == configuration_id, CallRecord.model_asked == model
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
        """The average of this model's last prompts, by the provider's token counts; None before the first.

        Bounded, because some providers count nonsense: 5 tokens for a megabyte would mean that every prompt fits.
        """
        counted = CallRecord.prompt_characters > 0, CallRecord.prompt_tokens > 0, CallRecord.model_asked == model
        last = select(CallRecord.prompt_characters, CallRecord.prompt_tokens).where(
            seen_by(person), CallRecord.configuration_id == configuration_id, *counted
        )
        found = last.order_by(CallRecord.id.desc()).limit(_LAST).subquery()
        with self._storage.reading() as session:
            characters, tokens = session.execute(select(func.sum(found.c[0]), func.sum(found.c[1]))).one()
            return min(max(float(characters) / float(tokens), _DENSEST), _SPARSEST) if tokens else None


def begin_call(session: Session, person: Person, start: CallStart, now: datetime) -> int:
    """Store a running call, before its request is sent; returns its id. Raises `NotFound` without the configuration."""
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
    """Store the result of a running call, its cost and the adaptations it found.

    Raises `NotFound` unless it is a running call of the person.
    """
    # Another process may have marked the call as interrupted meanwhile; only a finished call has a duration.
    is_open = or_(
        CallRecord.status == CallStatus.RUNNING,
        and_(CallRecord.status == CallStatus.INTERRUPTED, CallRecord.duration.is_(None)),
    )
    own = CallRecord.id == call_id, CallRecord.person_id == person.id, is_open
    record = session.scalar(select(CallRecord).where(*own))
    if record is None:
        raise NotFound("This call is not running.")
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
    # Not if the configuration has another address by now: the adaptations may be wrong there.
    if record.configuration_id and address_of(session, record.configuration_id) == report.url:
        learn(session, record.configuration_id, record.model_asked, report, now)


def _characters_of(messages: object) -> int | None:
    if not isinstance(messages, list):
        return None
    contents = [message.get("content") for message in messages]
    return sum(map(len, contents)) if all(isinstance(content, str) for content in contents) else None


def call_of(record: CallRecord) -> Call:
    """The value of a row."""
    return as_value(Call, record, person_name=record.person.name, adaptations=tuple(json.loads(record.adaptations)))


def finish_reason_of(response: ChatCompletionsResponse | None) -> str | None:
    """The finish reason of the choice with index 0; None if the response has none."""
    choices = getattr(response, "choices", None) or []
    return next((_text(choice, "finish_reason") for choice in choices if not getattr(choice, "index", 0)), None)


# A test sends one call to see whether the configuration works, then probes to see what else it supports. A failed probe
# does not mean that the configuration fails.
_COUNTED = CallRecord.status != CallStatus.RUNNING, CallRecord.operation != "probe"


def seen_by(person: Person) -> ColumnElement[bool]:
    """The condition that selects the calls that a person may see."""
    return true() if person.is_administrator else CallRecord.person_id == person.id


def _text(holder: object, name: str) -> str | None:
    """A text of the response. Some servers omit fields or mistype them, and the call must be stored nevertheless."""
    value = getattr(holder, name, None)
    return value if isinstance(value, str) and value else None
