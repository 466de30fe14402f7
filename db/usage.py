"""Usage: totals of the ledger by model, configuration, page or day."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, ColumnElement, Label, Select, and_, func, not_, select, type_coerce

from connector import CallStatus
from db.calls import CallRecord, seen_by
from db.people import Person
from db.storage import Storage

N = TypeVar("N", int, float)
_QUARTER_HOUR = 15 * 60  # seconds


class UsageGroup(StrEnum):
    """What the calls are grouped by."""

    MODEL = "model"
    """The model that answered, or the requested one if that is unknown."""
    CONFIGURATION = "configuration"
    PAGE = "page"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The finished calls of one group. A number of tokens is None if it is unknown for all of them."""

    group: str | date
    calls: int
    failed: int
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    unknown: int
    """The number of calls with an unknown token count; none of their counts is in the sums, so that these add up."""
    cost: float | None
    """In US dollars; None if no call of the group has a price."""
    unpriced: int
    """The number of calls whose token usage is known but whose price is not; they are not in the cost."""

    def plus(self, other: "UsageRow") -> "UsageRow":
        """The sum of both, with the `group` of this row."""
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


class Usage:
    """Totals of calls. A user sees their own calls, an administrator everybody's."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def totals(self, person: Person, by: UsageGroup, zone: ZoneInfo | None = None) -> list[UsageRow]:
        """The finished calls, one row per group: days in order, other groups by number of calls, largest first.

        Days begin at midnight in `zone`, or in UTC if None.
        """
        group = _GROUPS[by].label("usage_group")
        ended = CallRecord.status != CallStatus.RUNNING
        with self._storage.reading() as session:
            rows = session.execute(_totals_by(group).where(seen_by(person), ended).group_by(group)).all()
        folded: dict[str | date, UsageRow] = {}
        for key, *numbers in rows:
            name = datetime.fromtimestamp(key * _QUARTER_HOUR, zone or UTC).date() if by is UsageGroup.DAY else key
            row = UsageRow(name, *numbers)
            folded[name] = folded[name].plus(row) if name in folded else row
        if by is UsageGroup.DAY:
            return sorted(folded.values(), key=lambda row: str(row.group))
        return sorted(folded.values(), key=lambda row: (-row.calls, str(row.group)))


_GROUPS: dict[UsageGroup, ColumnElement[Any]] = {
    UsageGroup.MODEL: func.coalesce(CallRecord.model_answered, CallRecord.model_asked),
    UsageGroup.CONFIGURATION: CallRecord.configuration_name.expression,
    UsageGroup.PAGE: CallRecord.page.expression,
    # The offset of every time zone is a whole number of quarter hours, so no quarter hour belongs to two days.
    UsageGroup.DAY: type_coerce(CallRecord.started_at, BigInteger) // (_QUARTER_HOUR * 1000),
}


def _totals_by(group: Label[Any]) -> Select[Any]:
    counts = CallRecord.prompt_tokens, CallRecord.completion_tokens, CallRecord.total_tokens
    are_known = and_(*(count.is_not(None) for count in counts))
    return select(
        group,
        func.count(),
        func.count().filter(CallRecord.status == CallStatus.FAILED),
        *(func.sum(count).filter(are_known) for count in counts),
        func.count().filter(not_(are_known)),
        func.sum(CallRecord.cost),
        func.count().filter(CallRecord.cost.is_(None), are_known),
    )


def _sum(one: N | None, other: N | None) -> N | None:
    return one if other is None else other if one is None else one + other
