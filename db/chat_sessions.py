"""Stored conversations. A chat is its owner's alone: for everybody else, administrators too, it is `NotFound`.

Message rows are only ever added; the one thing that changes is an answer, from `writing` to how it ended. So another
answer to the same question, or an edited question, is a branch beside the old one, and the session points at the end of
the branch that is current. The order is that of `position` and of the parents, never of a clock.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import uuid4

from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from connector import Role
from db.base import Record, as_value
from db.calls import Call, CallRecord, call_of
from db.configurations import must_exist
from db.errors import NotFound
from db.people import Person
from db.storage import Storage

_ROLES = {role.value: role for role in Role}
UNDO = timedelta(minutes=10)
"""How long a deleted chat can be brought back."""


class MessageStatus(StrEnum):
    """How far a message is."""

    WRITING = "writing"
    COMPLETE = "complete"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class ChatSessionRecord(Record):
    __tablename__ = "chat_sessions"
    __table_args__ = (Index(None, "owner_id", "changed_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    page: Mapped[str] = mapped_column(default="chat")
    """Where it is held; for an answer that stands alone, its place there, too."""
    title: Mapped[str]
    configuration_id: Mapped[str | None] = mapped_column(
        String(32), ForeignKey("configurations.id", ondelete="SET NULL"), index=True
    )
    model: Mapped[str]
    system_prompt: Mapped[str] = mapped_column(Text)
    history_turns: Mapped[int | None]
    last_message_id: Mapped[int | None]
    """Where the conversation stands. No foreign key: it would close a circle with `messages.session_id`."""
    lease_until: Mapped[datetime | None]
    """An answer is being written until then, and longer where its writer says so in time."""
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class MessageRecord(Record):
    __tablename__ = "messages"
    __table_args__ = (UniqueConstraint("session_id", "position"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    session_id: Mapped[str] = mapped_column(String(32), ForeignKey("chat_sessions.id", ondelete="CASCADE"))
    position: Mapped[int]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    beside_id: Mapped[int | None]
    """The answer that was asked for at the same time, with all that was said before."""
    role: Mapped[Role]
    content: Mapped[str] = mapped_column(Text)
    reasoning: Mapped[str] = mapped_column(Text, default="")
    status: Mapped[MessageStatus] = mapped_column(index=True)
    finish_reason: Mapped[str | None]
    earlier_sent: Mapped[int | None]
    """How many earlier messages went along."""
    is_stop_asked: Mapped[bool] = mapped_column(default=False)
    call_id: Mapped[int | None] = mapped_column(ForeignKey("calls.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[datetime]
    request: Mapped[str | None] = mapped_column(Text, deferred=True)
    """Of an answer that stands alone: the JSON that was asked for."""
    sent: Mapped[str | None] = mapped_column(Text, deferred=True)
    """What of it was sent in the end; without its messages, where they are those of `request`."""
    response: Mapped[str | None] = mapped_column(Text, deferred=True)


STANDS_ALONE = (
    exists()
    .where(MessageRecord.id == ChatSessionRecord.last_message_id, MessageRecord.request.is_not(None))
    .correlate(ChatSessionRecord)
)
"""What a session holds is an answer that stands alone. No chat, though it may be of the same page as one."""


class ImageRecord(Record):
    __tablename__ = "images"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    media_type: Mapped[str] = mapped_column(String(40))
    data: Mapped[bytes] = mapped_column(LargeBinary)


@dataclass(frozen=True, slots=True)
class ChatSession:
    """A conversation without its messages. `configuration_id` is None when it has been deleted."""

    id: str
    title: str
    configuration_id: str | None
    model: str
    system_prompt: str
    history_turns: int | None
    """How many earlier turns go along with a message; None for all."""
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that goes along with a message."""

    media_type: str
    """`image/png`, say."""
    data: bytes


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message. An answer knows its call, which has its numbers."""

    id: int
    parent_id: int | None
    beside_id: int | None
    """The answer that it was asked for beside, to compare them: that one with all that was said before."""
    role: Role
    content: str
    reasoning: str
    status: MessageStatus
    finish_reason: str | None
    earlier_sent: int | None
    """How many earlier messages went along with the question; None where nobody noted it."""
    call_id: int | None
    created_at: datetime
    call: Call | None
    images: tuple[Image, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """What of a message counts for the next request."""

    id: int
    role: Role
    content: str
    images: int
    """How many pictures are with it."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """The current branch of a chat, and what lies beside it."""

    said: tuple[Said, ...]
    """All of it, oldest first."""
    messages: tuple[StoredMessage, ...]
    """The last ones of it."""
    versions: dict[int, tuple[int, ...]]
    """For each of `messages` that has others beside it: their ids and its own, oldest first."""
    beside: StoredMessage | None
    """The answer that was asked for beside the last one."""


class ChatSessions:
    """The chats of the acting person; `NotFound` for everybody else's, and for deleted ones."""

    def __init__(self, storage: Storage, clock: Callable[[], datetime]) -> None:
        self._storage = storage
        self._clock = clock

    def all(self, person: Person, *, page: str = "chat", search: str = "", limit: int = 100) -> list[ChatSession]:
        """Those of a page, the last changed first; with `search`, those with that text in title or messages."""
        newest = ChatSessionRecord.changed_at.desc(), ChatSessionRecord.created_at.desc(), ChatSessionRecord.id
        there = *owned_by(person), ChatSessionRecord.page == page, ~STANDS_ALONE
        found = select(ChatSessionRecord).where(*there).order_by(*newest).limit(limit)
        if search:
            said = select(MessageRecord.session_id).where(MessageRecord.content.icontains(search, autoescape=True))
            in_title = ChatSessionRecord.title.icontains(search, autoescape=True)
            found = found.where(or_(in_title, ChatSessionRecord.id.in_(said)))
        with self._storage.reading() as session:
            return [as_value(ChatSession, record) for record in session.scalars(found)]

    def create(
        self,
        person: Person,
        *,
        title: str,
        configuration_id: str | None,
        model: str = "",
        system_prompt: str = "",
        history_turns: int | None = None,
    ) -> ChatSession:
        """Begin one without messages; raises `NotFound` when the configuration is gone."""
        with self._storage.writing() as session:
            fields = {"model": model, "system_prompt": system_prompt, "history_turns": history_turns}
            record = create_chat(session, person, title, configuration_id, fields, self._clock())
            return as_value(ChatSession, record)

    def get(self, person: Person, id: str) -> ChatSession:
        """One of them."""
        with self._storage.reading() as session:
            return as_value(ChatSession, own_chat(session, person, id))

    def conversation(self, person: Person, id: str, *, last: int | None = None) -> Conversation:
        """What was said on the current branch; whole `messages` only for the `last` ones."""
        with self._storage.reading() as session:
            branch_end = own_chat(session, person, id).last_message_id
            of_it = MessageRecord.session_id == id
            # Ten thousand messages are read here with each run of a page: no records, and no enumerations.
            tree = select(MessageRecord.id, MessageRecord.parent_id, MessageRecord.beside_id).where(of_it)
            rows = {row.id: row for row in session.execute(tree)}
            spoken = select(MessageRecord.id, type_coerce(MessageRecord.role, String), MessageRecord.content)
            texts = {id_: (role, content) for id_, role, content in session.execute(spoken.where(of_it))}
            branch = []
            while branch_end is not None:
                branch.append(rows[branch_end])
                branch_end = rows[branch_end].parent_id
            branch.reverse()
            shown = [row.id for row in (branch if last is None else branch[-last:] if last else [])]
            beside = [row.id for row in rows.values() if branch and row.beside_id == branch[-1].id]
            whole = _stored(session, [*shown, *beside])
            images = dict(
                session.execute(
                    select(ImageRecord.message_id, func.count())
                    .join(MessageRecord, MessageRecord.id == ImageRecord.message_id)
                    .where(of_it)
                    .group_by(ImageRecord.message_id)
                ).all()
            )
        by_parent: dict[int | None, list[int]] = {}
        for row in sorted(rows.values(), key=lambda row: row.id):
            by_parent.setdefault(row.parent_id, []).append(row.id)
        versions = {each: tuple(by_parent[rows[each].parent_id]) for each in shown}
        return Conversation(
            said=tuple(
                Said(row.id, _ROLES[role], content, images.get(row.id, 0))
                for row in branch
                for role, content in [texts[row.id]]
            ),
            messages=tuple(whole[each] for each in shown),
            versions={each: others for each, others in versions.items() if len(others) > 1},
            beside=whole[beside[-1]] if beside else None,
        )

    def images(self, person: Person, id: str) -> dict[int, tuple[Image, ...]]:
        """The pictures of a chat, by the message that they are with."""
        with self._storage.reading() as session:
            own_chat(session, person, id)
            return _images(session, MessageRecord.session_id == id)

    def choose(self, person: Person, id: str, message_id: int) -> None:
        """Make the branch with this message current, up to its end: what was said last behind it."""
        with self._storage.writing() as session:
            chat = own_chat(session, person, id)
            chosen = MessageRecord.id == message_id, MessageRecord.session_id == id
            if session.scalar(select(MessageRecord.id).where(*chosen)) is None:
                raise NotFound("This message does not exist any more.")
            tree = select(MessageRecord.id, MessageRecord.parent_id, MessageRecord.beside_id)
            later = tree.where(MessageRecord.session_id == id, MessageRecord.id > message_id)
            behind, end = {message_id}, message_id
            for id_, parent_id, beside_id in session.execute(later.order_by(MessageRecord.id)):
                if parent_id in behind:
                    behind.add(id_)
                    if beside_id is None:  # of two that are compared, the one with history
                        end = id_
            chat.last_message_id = end

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
            record = own_chat(session, person, id)
            must_exist(session, configuration_id)
            for name, value in given.items():
                if value is not None:
                    setattr(record, name, value)
            record.changed_at = self._clock()
            return as_value(ChatSession, record)

    def send_along(self, person: Person, id: str, history_turns: int | None) -> None:
        """How many earlier turns go along with a message from now on; None for all."""
        with self._storage.writing() as session:
            own_chat(session, person, id).history_turns = history_turns

    def delete(self, person: Person, id: str) -> None:
        """Delete it with its messages: `undelete` brings it back within `UNDO`, later it is gone for good.

        What its calls cost stays in the ledger.
        """
        with self._storage.writing() as session:
            own_chat(session, person, id).deleted_at = self._clock()

    def forget_deleted(self) -> None:
        """Clear away what was deleted longer ago than `UNDO`; for nobody, since it concerns everybody.

        Not while an answer is being written in it, whose writer may be dead: its call is to be interrupted first.
        """
        writing = select(MessageRecord.session_id).where(MessageRecord.status == MessageStatus.WRITING)
        forgotten = and_(ChatSessionRecord.deleted_at < self._clock() - UNDO, ChatSessionRecord.id.not_in(writing))
        with self._storage.reading() as session:
            if session.scalar(select(ChatSessionRecord.id).where(forgotten).limit(1)) is None:
                return
        with self._storage.writing() as session:
            session.execute(delete(ChatSessionRecord).where(forgotten))

    def undelete(self, person: Person, id: str) -> None:
        """Bring back what was just deleted."""
        with self._storage.writing() as session:
            own = ChatSessionRecord.id == id, ChatSessionRecord.owner_id == person.id
            record = session.scalar(select(ChatSessionRecord).where(*own))
            if record is None or (record.deleted_at is not None and record.deleted_at < self._clock() - UNDO):
                raise NotFound("This chat does not exist any more.")
            record.deleted_at = None


def create_chat(
    session: Session,
    person: Person,
    title: str,
    configuration_id: str | None,
    fields: Mapping[str, str | int | None],
    now: datetime,
) -> ChatSessionRecord:
    """`ChatSessions.create` inside a transaction."""
    must_exist(session, configuration_id)
    record = ChatSessionRecord(
        id=uuid4().hex,
        owner_id=person.id,
        title=title,
        configuration_id=configuration_id,
        created_at=now,
        changed_at=now,
        **fields,
    )
    session.add(record)
    session.flush()
    return record


def own_chat(session: Session, person: Person, id: str) -> ChatSessionRecord:
    """The person's own chat; `NotFound` where it is not, or was deleted."""
    record = session.scalar(select(ChatSessionRecord).where(ChatSessionRecord.id == id, *owned_by(person)))
    if record is None:
        raise NotFound("This chat does not exist any more.")
    return record


def owned_by(person: Person) -> tuple[ColumnElement[bool], ...]:
    return ChatSessionRecord.owner_id == person.id, ChatSessionRecord.deleted_at.is_(None)


def _stored(session: Session, ids: Iterable[int]) -> dict[int, StoredMessage]:
    wanted = MessageRecord.id.in_(list(ids))
    rows = select(MessageRecord, CallRecord).outerjoin(CallRecord, CallRecord.id == MessageRecord.call_id)
    images = _images(session, wanted)
    return {
        message.id: as_value(StoredMessage, message, call=call and call_of(call), images=images.get(message.id, ()))
        for message, call in session.execute(rows.where(wanted))
    }


def _images(session: Session, of_messages: ColumnElement[bool]) -> dict[int, tuple[Image, ...]]:
    rows = select(ImageRecord).join(MessageRecord, MessageRecord.id == ImageRecord.message_id).where(of_messages)
    found: dict[int, tuple[Image, ...]] = {}
    for record in session.scalars(rows.order_by(ImageRecord.id)):
        found[record.message_id] = (*found.get(record.message_id, ()), as_value(Image, record))
    return found
