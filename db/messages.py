"""Messages: one row per question and one per answer, with its images.

Rows are only ever added. The one thing that changes is an answer, from `writing` to how it ended.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, ForeignKey, LargeBinary, String, Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from connector import Role
from db.base import Record, as_value
from db.calls import Call, CallRecord, call_of


class MessageStatus(StrEnum):
    """How far an answer has got. A question is always `complete`."""

    WRITING = "writing"
    COMPLETE = "complete"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class MessageRecord(Record):
    __tablename__ = "messages"
    __table_args__ = (UniqueConstraint("session_id", "position"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    session_id: Mapped[str] = mapped_column(String(32), ForeignKey("chat_sessions.id", ondelete="CASCADE"))
    position: Mapped[int]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    beside_id: Mapped[int | None]
    """For an answer without history: the answer with history to the same question, to compare the two."""
    role: Mapped[Role]
    content: Mapped[str] = mapped_column(Text)
    reasoning: Mapped[str] = mapped_column(Text, default="")
    status: Mapped[MessageStatus] = mapped_column(index=True)
    finish_reason: Mapped[str | None]
    earlier_sent: Mapped[int | None]
    """How many earlier messages were sent with the question."""
    is_stop_asked: Mapped[bool] = mapped_column(default=False)
    call_id: Mapped[int | None] = mapped_column(ForeignKey("calls.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[datetime]
    request: Mapped[str | None] = mapped_column(Text, deferred=True)
    """Only for a lone answer: its request as JSON."""
    sent: Mapped[str | None] = mapped_column(Text, deferred=True)
    """The request that was finally sent, as JSON, after adaptations. Its messages are left out if they equal those of
    `request`, because they can be megabytes."""
    response: Mapped[str | None] = mapped_column(Text, deferred=True)
    """The provider's response as JSON."""


class ImageRecord(Record):
    __tablename__ = "images"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    media_type: Mapped[str] = mapped_column(String(40))
    data: Mapped[bytes] = mapped_column(LargeBinary)


@dataclass(frozen=True, slots=True)
class Image:
    """An image sent with a message."""

    media_type: str
    """For example `image/png`."""
    data: bytes


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message. An answer has its `call`, with tokens, duration and cost."""

    id: int
    parent_id: int | None
    beside_id: int | None
    """For an answer without history: the answer with history to the same question."""
    role: Role
    content: str
    reasoning: str
    status: MessageStatus
    finish_reason: str | None
    earlier_sent: int | None
    """How many earlier messages were sent with the question; None if unknown."""
    call_id: int | None
    created_at: datetime
    call: Call | None
    images: tuple[Image, ...]


def stored_messages(session: Session, ids: Iterable[int]) -> dict[int, StoredMessage]:
    """The messages with these ids, by id."""
    wanted = MessageRecord.id.in_(list(ids))
    rows = select(MessageRecord, CallRecord).outerjoin(CallRecord, CallRecord.id == MessageRecord.call_id)
    images = images_of(session, wanted)
    return {
        message.id: as_value(StoredMessage, message, call=call and call_of(call), images=images.get(message.id, ()))
        for message, call in session.execute(rows.where(wanted))
    }


def images_of(session: Session, of_messages: ColumnElement[bool]) -> dict[int, tuple[Image, ...]]:
    """The images of the messages that fulfil a condition, by the message's id, in the order they were attached."""
    rows = select(ImageRecord).join(MessageRecord, MessageRecord.id == ImageRecord.message_id).where(of_messages)
    found: dict[int, tuple[Image, ...]] = {}
    for record in session.scalars(rows.order_by(ImageRecord.id)):
        found[record.message_id] = (*found.get(record.message_id, ()), as_value(Image, record))
    return found
