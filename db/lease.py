"""The lease of a chat: the right of one process to write an answer there.

A chat has one answer in progress at a time. Its writer renews the lease about once a second, when it stores the text
received so far. If the lease expires, the writer is presumed dead, and any process may mark the answer as interrupted.
A writer that was alive after all makes its answer `writing` again when it stores its next text.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, Select, or_, select, update
from sqlalchemy.orm import Session

from connector import CallStatus
from db.calls import CallRecord
from db.chat_sessions import ChatSessionRecord
from db.errors import StillWriting
from db.messages import MessageRecord, MessageStatus

LEASE = timedelta(seconds=10)
"""How long a writer may be silent before it is presumed dead."""
_LATEST = 2 * LEASE
"""How far in the future a lease of a living writer ends, if its clock is ahead of ours by as much as a lease."""


def take_lease(session: Session, chat: ChatSessionRecord, now: datetime) -> None:
    """Take the lease of a chat whose last writer has finished or is presumed dead; raises `StillWriting` otherwise.

    What a dead writer left is marked as interrupted.
    """
    if is_writing(session, chat.id):
        interrupt(session, now)
    session.flush()
    free = or_(ChatSessionRecord.lease_until.is_(None), ChatSessionRecord.lease_until < now)
    take = update(ChatSessionRecord).where(ChatSessionRecord.id == chat.id, free).values(lease_until=now + LEASE)
    result: CursorResult[Any] = session.connection().execute(take)
    if not result.rowcount:
        raise StillWriting("An answer is still being written in this chat. Wait until it has ended, or stop it.")


def is_writing(session: Session, chat_id: str) -> bool:
    """Whether an answer in this chat is `writing`, by a living process or a dead one."""
    writing = MessageRecord.session_id == chat_id, MessageRecord.status == MessageStatus.WRITING
    return session.scalar(select(MessageRecord.id).where(*writing).limit(1)) is not None


def interrupt(session: Session, now: datetime, *, everything: bool = False) -> None:
    """Mark the answers of dead processes, and their calls, as interrupted. Their text stays as it is.

    A process is presumed dead when its lease has expired. With `everything`, all answers in progress are marked: the
    caller knows that no other process is running.
    """
    writing = select(MessageRecord.id).where(MessageRecord.status == MessageStatus.WRITING)
    answers = list(session.scalars(writing if everything else expired(now)))
    theirs = CallRecord.id.in_(select(MessageRecord.call_id).where(MessageRecord.id.in_(answers)))
    running = theirs, CallRecord.status == CallStatus.RUNNING
    session.execute(update(CallRecord).where(*running).values(status=CallStatus.INTERRUPTED))
    session.execute(update(MessageRecord).where(MessageRecord.id.in_(answers)).values(status=MessageStatus.INTERRUPTED))
    its_chats = select(MessageRecord.session_id).where(MessageRecord.id.in_(answers))
    session.execute(update(ChatSessionRecord).where(ChatSessionRecord.id.in_(its_chats)).values(lease_until=None))


def expired(now: datetime) -> Select[int]:
    """Selects the ids of the answers that are `writing` although their lease has expired.

    A lease that ends too late was taken before the clock was set back. A living writer has renewed it since.
    """
    until = ChatSessionRecord.lease_until
    over = or_(until.is_(None), until < now, until > now + _LATEST)
    return select(MessageRecord.id).join(ChatSessionRecord).where(MessageRecord.status == MessageStatus.WRITING, over)
