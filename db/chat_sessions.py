"""Stored conversations. A chat is its owner's alone: for everybody else, administrators too, it is `NotFound`.

Message rows are only ever added; the one thing that changes is an answer, from `writing` to how it ended. The order is
that of `position` and of the parents, never of a clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import uuid4

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from connector import CallReport, CallStatus, Role, cost_of
from db.base import Record, as_value
from db.calls import Call, CallRecord, CallStart, begin_call, call_of, finish_call, finish_reason_of
from db.configurations import must_exist
from db.errors import NotFound
from db.people import Person
from db.storage import Storage


class MessageStatus(StrEnum):
    """How far a message is."""

    WRITING = "writing"
    COMPLETE = "complete"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


_STATUS_AFTER = {
    CallStatus.DONE: MessageStatus.COMPLETE,
    CallStatus.STOPPED: MessageStatus.STOPPED,
    CallStatus.INTERRUPTED: MessageStatus.INTERRUPTED,
    CallStatus.FAILED: MessageStatus.FAILED,
}


class ChatSessionRecord(Record):
    __tablename__ = "chat_sessions"
    __table_args__ = (Index(None, "owner_id", "changed_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    title: Mapped[str]
    configuration_id: Mapped[str | None] = mapped_column(
        String(32), ForeignKey("configurations.id", ondelete="SET NULL"), index=True
    )
    model: Mapped[str]
    system_prompt: Mapped[str] = mapped_column(Text)
    last_message_id: Mapped[int | None]
    """Where the conversation stands. No foreign key: it would close a circle with `messages.session_id`."""
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class MessageRecord(Record):
    __tablename__ = "messages"
    __table_args__ = (UniqueConstraint("session_id", "position"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    session_id: Mapped[str] = mapped_column(String(32), ForeignKey("chat_sessions.id", ondelete="CASCADE"))
    position: Mapped[int]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    role: Mapped[Role]
    content: Mapped[str] = mapped_column(Text)
    status: Mapped[MessageStatus]
    finish_reason: Mapped[str | None]
    call_id: Mapped[int | None] = mapped_column(ForeignKey("calls.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class ChatSession:
    """A conversation without its messages. `configuration_id` is None when it has been deleted."""

    id: str
    title: str
    configuration_id: str | None
    model: str
    system_prompt: str
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message. An answer knows its call, which has its numbers."""

    id: int
    role: Role
    content: str
    status: MessageStatus
    finish_reason: str | None
    call_id: int | None
    created_at: datetime
    call: Call | None


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and the answer that is being written to it."""

    session_id: str
    user_message_id: int
    answer_id: int
    call_id: int


class ChatSessions:
    """The chats of the acting person; `NotFound` for everybody else's."""

    def __init__(self, storage: Storage, clock: Callable[[], datetime]) -> None:
        self._storage = storage
        self._clock = clock

    def all(self, person: Person, limit: int = 100) -> list[ChatSession]:
        """The last changed first."""
        newest = ChatSessionRecord.changed_at.desc(), ChatSessionRecord.created_at.desc(), ChatSessionRecord.id
        own = select(ChatSessionRecord).where(ChatSessionRecord.owner_id == person.id)
        with self._storage.reading() as session:
            return [as_value(ChatSession, record) for record in session.scalars(own.order_by(*newest).limit(limit))]

    def create(
        self, person: Person, *, title: str, configuration_id: str | None, model: str = "", system_prompt: str = ""
    ) -> ChatSession:
        """Begin one without messages; raises `NotFound` when the configuration is gone."""
        now = self._clock()
        with self._storage.writing() as session:
            must_exist(session, configuration_id)
            record = ChatSessionRecord(
                id=uuid4().hex,
                owner_id=person.id,
                title=title,
                configuration_id=configuration_id,
                model=model,
                system_prompt=system_prompt,
                created_at=now,
                changed_at=now,
            )
            session.add(record)
            return as_value(ChatSession, record)

    def get(self, person: Person, id: str) -> ChatSession:
        """One of them."""
        with self._storage.reading() as session:
            return as_value(ChatSession, _own(session, person, id))

    def messages(self, person: Person, id: str) -> list[StoredMessage]:
        """The conversation that leads to the session's last message, oldest first."""
        with self._storage.reading() as session:
            next_id = _own(session, person, id).last_message_id
            rows = session.execute(
                select(MessageRecord, CallRecord)
                .outerjoin(CallRecord, CallRecord.id == MessageRecord.call_id)
                .where(MessageRecord.session_id == id)
            )
            found = {message.id: (message, call) for message, call in rows}
            conversation = []
            while next_id is not None:
                message, call = found[next_id]
                conversation.append(as_value(StoredMessage, message, call=call and call_of(call)))
                next_id = message.parent_id
        return conversation[::-1]

    def begin_turn(self, person: Person, id: str, user_text: str, call: CallStart) -> Turn:
        """Store the question, an empty answer and the call's row, before the network is touched: all or nothing."""
        now = self._clock()
        with self._storage.writing() as session:
            chat = _own(session, person, id)
            call_id = begin_call(session, person, call, now)
            question = _append(session, chat, Role.USER, user_text, MessageStatus.COMPLETE, now)
            answer = _append(session, chat, Role.ASSISTANT, "", MessageStatus.WRITING, now, call_id)
            return Turn(id, question, answer, call_id)

    def finish_turn(self, person: Person, turn: Turn, *, content: str, report: CallReport) -> None:
        """Store the answer and book its call: all or nothing. Raises `NotFound` unless the call is under way.

        When the chat was deleted meanwhile, the call is booked all the same.
        """
        # The message is found through the call that was just seen to be the person's own, whatever else `turn` says.
        unfinished = MessageRecord.status.in_([MessageStatus.WRITING, MessageStatus.INTERRUPTED])
        answer = MessageRecord.call_id == turn.call_id, unfinished
        list_price = cost_of(report)
        with self._storage.writing() as session:
            finish_call(session, person, turn.call_id, report, list_price, self._clock())
            message = session.scalar(select(MessageRecord).where(*answer))
            if message is None:
                return
            message.content = content
            message.status = _STATUS_AFTER[report.status]
            message.finish_reason = finish_reason_of(report.response)
            session.get_one(ChatSessionRecord, message.session_id).changed_at = self._clock()

    def update(
        self,
        person: Person,
        id: str,
        *,
        title: str | None = None,
        system_prompt: str | None = None,
        configuration_id: str | None = None,
        model: str | None = None,
    ) -> ChatSession:
        """Change what is given; None leaves it as it is."""
        given = {"title": title, "system_prompt": system_prompt, "configuration_id": configuration_id, "model": model}
        with self._storage.writing() as session:
            record = _own(session, person, id)
            must_exist(session, configuration_id)
            for name, value in given.items():
                if value is not None:
                    setattr(record, name, value)
            record.changed_at = self._clock()
            return as_value(ChatSession, record)

    def delete(self, person: Person, id: str) -> None:
        """Delete it with its messages. What its calls cost stays in the ledger."""
        with self._storage.writing() as session:
            session.delete(_own(session, person, id))


def interrupt_answers(session: Session) -> None:
    """Answers that a stopped process left half written stay as they are, and say so."""
    writing = MessageRecord.status == MessageStatus.WRITING
    session.execute(update(MessageRecord).where(writing).values(status=MessageStatus.INTERRUPTED))


def _own(session: Session, person: Person, id: str) -> ChatSessionRecord:
    own = ChatSessionRecord.id == id, ChatSessionRecord.owner_id == person.id
    record = session.scalar(select(ChatSessionRecord).where(*own))
    if record is None:
        raise NotFound("This chat does not exist any more.")
    return record


def _append(
    session: Session,
    chat: ChatSessionRecord,
    role: Role,
    content: str,
    status: MessageStatus,
    now: datetime,
    call_id: int | None = None,
) -> int:
    """Add a message behind the chat's last one; its id."""
    last = session.scalar(select(func.max(MessageRecord.position)).where(MessageRecord.session_id == chat.id))
    message = MessageRecord(
        session_id=chat.id,
        position=(last or 0) + 1,
        parent_id=chat.last_message_id,
        role=role,
        content=content,
        status=status,
        call_id=call_id,
        created_at=now,
    )
    session.add(message)
    session.flush()
    chat.last_message_id = message.id
    chat.changed_at = now
    return message.id
