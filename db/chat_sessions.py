"""Stored chats. A chat belongs to its owner alone: everybody else, administrators included, gets `NotFound`.

Another answer to the same question, or an edited question, starts a new branch beside the old one; the chat points at
the last message of its current branch. The order of messages comes from `position` and their parents, never from a
clock.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import ColumnElement, ForeignKey, Index, Select, String, Text, and_, delete, exists, func, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Record, as_value
from db.configurations import must_exist
from db.conversation import Conversation, conversation_of, end_of_branch
from db.errors import NotFound
from db.messages import Image, MessageRecord, MessageStatus, images_of
from db.people import Person
from db.storage import Storage

_MILLISECOND = timedelta(milliseconds=1)
UNDO = timedelta(minutes=10)
"""How long a deleted chat can be brought back."""
AROUND = 30
"""Characters that an excerpt shows on each side of what was searched."""


class ChatSessionRecord(Record):
    __tablename__ = "chat_sessions"
    __table_args__ = (Index(None, "owner_id", "changed_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    page: Mapped[str] = mapped_column(default="chat")
    """The page of a chat, or the place of a lone answer."""
    title: Mapped[str]
    configuration_id: Mapped[str | None] = mapped_column(
        String(32), ForeignKey("configurations.id", ondelete="SET NULL"), index=True
    )
    model: Mapped[str]
    system_prompt: Mapped[str] = mapped_column(Text)
    history_turns: Mapped[int | None]
    last_message_id: Mapped[int | None]
    """The end of the current branch. No foreign key: it would form a cycle with `messages.session_id`."""
    lease_until: Mapped[datetime | None]
    """Until then, one process has the right to write an answer here; see `db.lease`."""
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


IS_LONE_ANSWER = (
    exists()
    .where(MessageRecord.id == ChatSessionRecord.last_message_id, MessageRecord.request.is_not(None))
    .correlate(ChatSessionRecord)
)
"""The session is no chat but holds a lone answer. A page can have both."""


@dataclass(frozen=True, slots=True)
class ChatSession:
    """A chat without its messages. `configuration_id` is None if the configuration has been deleted."""

    id: str
    title: str
    configuration_id: str | None
    model: str
    system_prompt: str
    history_turns: int | None
    """How many earlier turns are sent with a question; None for all."""
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class FoundChat:
    """A chat that a search has found."""

    chat: ChatSession
    excerpt: str
    """The searched text with the words around it, from the first message that contains it; empty where only the title
    does.
    """


class ChatSessions:
    """The chats of the acting person. Raises `NotFound` for other people's chats and for deleted ones."""

    def __init__(self, storage: Storage, clock: Callable[[], datetime]) -> None:
        self._storage = storage
        self._clock = clock

    def all(self, person: Person, *, page: str = "chat", limit: int = 100) -> list[ChatSession]:
        """The chats of a page, last changed first."""
        with self._storage.reading() as session:
            return [as_value(ChatSession, record) for record in session.scalars(_chats_of(person, page, limit))]

    def search(self, person: Person, text: str, *, page: str = "chat", limit: int = 100) -> list[FoundChat]:
        """The chats of a page with this text in their title or in a message, last changed first."""
        contains = MessageRecord.content.icontains(text, autoescape=True)
        in_title = ChatSessionRecord.title.icontains(text, autoescape=True)
        in_message = exists().where(MessageRecord.session_id == ChatSessionRecord.id, contains)
        first = select(MessageRecord.content).where(contains).order_by(MessageRecord.id).limit(1)
        with self._storage.reading() as session:
            return [
                FoundChat(
                    as_value(ChatSession, record),
                    _excerpt(session.scalars(first.where(MessageRecord.session_id == record.id)).first() or "", text),
                )
                for record in session.scalars(_chats_of(person, page, limit).where(or_(in_title, in_message)))
            ]

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
        """Create a chat without messages; raises `NotFound` if the configuration no longer exists."""
        with self._storage.writing() as session:
            fields = {"model": model, "system_prompt": system_prompt, "history_turns": history_turns}
            record = create_chat(session, person, title, configuration_id, fields, self._clock())
            return as_value(ChatSession, record)

    def get(self, person: Person, id: str) -> ChatSession:
        """The chat with this id."""
        with self._storage.reading() as session:
            return as_value(ChatSession, own_chat(session, person, id))

    def conversation(self, person: Person, id: str, *, last: int | None = None) -> Conversation:
        """The current branch; `messages` holds only the `last` ones, or all if None."""
        with self._storage.reading() as session:
            return conversation_of(session, id, own_chat(session, person, id).last_message_id, last)

    def images(self, person: Person, id: str) -> dict[int, tuple[Image, ...]]:
        """The images of a chat, by the id of their message."""
        with self._storage.reading() as session:
            own_chat(session, person, id)
            return images_of(session, MessageRecord.session_id == id)

    def choose(self, person: Person, id: str, message_id: int) -> None:
        """Make the branch with this message current, up to the newest message that follows it."""
        with self._storage.writing() as session:
            chat = own_chat(session, person, id)
            chat.last_message_id = end_of_branch(session, id, message_id)

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
        """Change the given fields; None leaves a field unchanged."""
        given = {"title": title, "system_prompt": system_prompt, "configuration_id": configuration_id, "model": model}
        with self._storage.writing() as session:
            record = own_chat(session, person, id)
            must_exist(session, configuration_id)
            for name, value in given.items():
                if value is not None:
                    setattr(record, name, value)
            touch(session, record, self._clock())
            return as_value(ChatSession, record)

    def send_along(self, person: Person, id: str, history_turns: int | None) -> None:
        """Set how many earlier turns are sent with a question; None for all."""
        with self._storage.writing() as session:
            own_chat(session, person, id).history_turns = history_turns

    def delete(self, person: Person, id: str) -> None:
        """Delete a chat with its messages. `undelete` brings it back within `UNDO`; after that it is gone for good.

        Its calls and their cost stay in the ledger.
        """
        with self._storage.writing() as session:
            own_chat(session, person, id).deleted_at = self._clock()

    def forget_deleted(self) -> None:
        """Remove all chats that were deleted longer ago than `UNDO`. Takes no person because it concerns everybody.

        A chat whose answer is still `writing` stays for now: its writer may be dead, and then its call must be marked
        as interrupted first.
        """
        writing = select(MessageRecord.session_id).where(MessageRecord.status == MessageStatus.WRITING)
        forgotten = and_(ChatSessionRecord.deleted_at < self._clock() - UNDO, ChatSessionRecord.id.not_in(writing))
        with self._storage.reading() as session:
            if session.scalar(select(ChatSessionRecord.id).where(forgotten).limit(1)) is None:
                return
        with self._storage.writing() as session:
            session.execute(delete(ChatSessionRecord).where(forgotten))

    def undelete(self, person: Person, id: str) -> None:
        """Bring back a chat that was just deleted; raises `NotFound` later than `UNDO` after that."""
        with self._storage.writing() as session:
            own = ChatSessionRecord.id == id, ChatSessionRecord.owner_id == person.id
            record = session.scalar(select(ChatSessionRecord).where(*own))
            if record is None or (record.deleted_at is not None and record.deleted_at < self._clock() - UNDO):
                raise NotFound("This chat no longer exists.")
            record.deleted_at = None


def _chats_of(person: Person, page: str, limit: int) -> Select[ChatSessionRecord]:
    newest = ChatSessionRecord.changed_at.desc(), ChatSessionRecord.created_at.desc(), ChatSessionRecord.id
    there = *owned_by(person), ChatSessionRecord.page == page, ~IS_LONE_ANSWER
    return select(ChatSessionRecord).where(*there).order_by(*newest).limit(limit)


def _excerpt(content: str, text: str) -> str:
    """Return some words around the first place of a text, on one line."""
    at = max(0, content.lower().find(text.lower()))
    start, end = max(0, at - AROUND), at + len(text) + AROUND
    words = " ".join(content[start:end].split())
    return f"{'…' if start else ''}{words}{'…' if end < len(content) else ''}"


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
        **fields,
    )
    touch(session, record, now)
    session.add(record)
    session.flush()
    return record


def touch(session: Session, chat: ChatSessionRecord, now: datetime) -> None:
    """Make a chat the last changed one of its owner, even if the clock was set back since another one was changed."""
    others = ChatSessionRecord.owner_id == chat.owner_id, ChatSessionRecord.id != chat.id
    latest = session.scalar(select(func.max(ChatSessionRecord.changed_at)).where(*others))
    chat.changed_at = max(now, latest + _MILLISECOND) if latest else now


def own_chat(session: Session, person: Person, id: str) -> ChatSessionRecord:
    """The person's own chat; raises `NotFound` if it belongs to somebody else or has been deleted."""
    record = session.scalar(select(ChatSessionRecord).where(ChatSessionRecord.id == id, *owned_by(person)))
    if record is None:
        raise NotFound("This chat no longer exists.")
    return record


def owned_by(person: Person) -> tuple[ColumnElement[bool], ...]:
    """The conditions that select the person's sessions that have not been deleted."""
    return ChatSessionRecord.owner_id == person.id, ChatSessionRecord.deleted_at.is_(None)
