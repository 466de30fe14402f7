"""The conversation of a chat: the current branch of its messages, and the other versions of each message."""

from dataclasses import dataclass

from sqlalchemy import String, func, select, type_coerce
from sqlalchemy.orm import Session

from connector import Role
from db.errors import NotFound
from db.messages import ImageRecord, MessageRecord, StoredMessage, stored_messages

_ROLES = {role.value: role for role in Role}


@dataclass(frozen=True, slots=True)
class Said:
    """The part of a message that the next request needs."""

    id: int
    role: Role
    content: str
    images: int
    """The number of its images."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """The current branch of a chat and the other versions of its messages."""

    said: tuple[Said, ...]
    """The whole branch, oldest first."""
    messages: tuple[StoredMessage, ...]
    """Its last messages, with everything that is stored of them."""
    versions: dict[int, tuple[int, ...]]
    """For each of `messages` that has several versions: the ids of all versions, oldest first."""
    beside: StoredMessage | None
    """The answer without history to the last question, if one was requested for comparison."""


def conversation_of(session: Session, chat_id: str, branch_end: int | None, last: int | None) -> Conversation:
    """The branch that ends with the message `branch_end`; its `last` messages with everything that is stored of them.

    None for `last` means all messages.
    """
    of_chat = MessageRecord.session_id == chat_id
    # A page reads up to ten thousand messages here in each run. Rows are much faster than records and enumerations.
    tree = select(MessageRecord.id, MessageRecord.parent_id, MessageRecord.beside_id).where(of_chat)
    rows = {row.id: row for row in session.execute(tree)}
    spoken = select(MessageRecord.id, type_coerce(MessageRecord.role, String), MessageRecord.content)
    texts = {id_: (role, content) for id_, role, content in session.execute(spoken.where(of_chat))}
    branch = []
    while branch_end is not None:
        branch.append(rows[branch_end])
        branch_end = rows[branch_end].parent_id
    branch.reverse()
    shown = [row.id for row in (branch if last is None else branch[-last:] if last else [])]
    beside = [row.id for row in rows.values() if branch and row.beside_id == branch[-1].id]
    whole = stored_messages(session, [*shown, *beside])
    images = _number_of_images(session, chat_id)
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


def end_of_branch(session: Session, chat_id: str, message_id: int) -> int:
    """The id of the newest message that follows `message_id`, or that message's own; raises `NotFound`."""
    chosen = MessageRecord.id == message_id, MessageRecord.session_id == chat_id
    if session.scalar(select(MessageRecord.id).where(*chosen)) is None:
        raise NotFound("This message no longer exists.")
    tree = select(MessageRecord.id, MessageRecord.parent_id, MessageRecord.beside_id)
    later = tree.where(MessageRecord.session_id == chat_id, MessageRecord.id > message_id)
    following, end = {message_id}, message_id
    for id_, parent_id, beside_id in session.execute(later.order_by(MessageRecord.id)):
        if parent_id in following:
            following.add(id_)
            if beside_id is None:  # of two answers that are compared, the branch goes on with the one with history
                end = id_
    return end


def _number_of_images(session: Session, chat_id: str) -> dict[int, int]:
    numbers = (
        select(ImageRecord.message_id, func.count())
        .join(MessageRecord, MessageRecord.id == ImageRecord.message_id)
        .where(MessageRecord.session_id == chat_id)
        .group_by(ImageRecord.message_id)
    )
    return dict(session.execute(numbers).all())
