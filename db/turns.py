"""Turns: a question and the answer to it, from before the request is sent to the end of the answer."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from connector import CallReport, CallStatus, Role, cost_of
from db.calls import CallRecord, CallStart, begin_call, finish_call, finish_reason_of
from db.chat_sessions import ChatSessionRecord, create_chat, own_chat, touch
from db.configurations import must_exist
from db.errors import NotFound
from db.lease import LEASE, expired, interrupt, is_writing, take_lease
from db.messages import Image, ImageRecord, MessageRecord, MessageStatus
from db.people import Person
from db.storage import Storage

_STATUS_AFTER = {
    CallStatus.DONE: MessageStatus.COMPLETE,
    CallStatus.STOPPED: MessageStatus.STOPPED,
    CallStatus.INTERRUPTED: MessageStatus.INTERRUPTED,
    CallStatus.FAILED: MessageStatus.FAILED,
}
_UNFINISHED = MessageRecord.status.in_([MessageStatus.WRITING, MessageStatus.INTERRUPTED])


@dataclass(frozen=True, slots=True)
class Question:
    """What a person asks: a text and images."""

    text: str
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class NewChat:
    """A chat that is created together with its first question."""

    title: str
    system_prompt: str = ""
    history_turns: int | None = None
    page: str = "chat"


@dataclass(frozen=True, slots=True)
class Turn:
    """The ids of a question, and of the answer that is being written to it."""

    session_id: str
    user_message_id: int
    """0 for a lone answer."""
    answer_id: int
    call_id: int
    beside: "Turn | None" = None
    """The answer to the same question without history."""


@dataclass(frozen=True, slots=True)
class Written:
    """The part of an answer that has been received so far."""

    turn: Turn
    content: str
    reasoning: str = ""


class Turns:
    """The turns of the acting person's chats. Raises `NotFound` for other people's chats.

    `begin`, `edit` and `ask_again` store the question, an empty answer and the row of its call before the request is
    sent: all or nothing. They raise `StillWriting` while an answer in this chat is being written, and `NotFound` if the
    chat, the message or the configuration no longer exists. Their common arguments:

    `model`         the chat continues with this model when it is opened again; None leaves it unchanged
    `earlier_sent`  the number of earlier messages that are sent with the question; None if unknown
    `beside`        a second call, to ask the same question without history
    """

    def __init__(self, storage: Storage, clock: Callable[[], datetime]) -> None:
        self._storage = storage
        self._clock = clock

    def begin(
        self,
        person: Person,
        chat: str | NewChat,
        question: Question | str,
        call: CallStart,
        *,
        model: str | None = None,
        earlier_sent: int | None = None,
        beside: CallStart | None = None,
    ) -> Turn:
        """Ask a question at the end of a chat, given by its id, or in a new one."""
        now = self._clock()
        with self._storage.writing() as session:
            if isinstance(chat, NewChat):
                record = _create(session, person, chat, call, model, now)
                take_lease(session, record, now)
            else:
                record = _continue(session, person, chat, call, model, now)
            question_id = _append_question(session, record, record.last_message_id, question, now)
            return _begin_answers(session, person, record, question_id, call, beside, earlier_sent, now)

    def edit(
        self,
        person: Person,
        chat_id: str,
        question_id: int,
        question: Question | str,
        call: CallStart,
        *,
        model: str | None = None,
        earlier_sent: int | None = None,
        beside: CallStart | None = None,
    ) -> Turn:
        """Ask a new version of an earlier question. The old version stays, with all that follows it, as another branch.

        `question_id` is that of the earlier question.
        """
        now = self._clock()
        with self._storage.writing() as session:
            record = _continue(session, person, chat_id, call, model, now)
            earlier = _message_of(session, record, question_id, Role.USER)
            new_id = _append_question(session, record, earlier.parent_id, question, now)
            return _begin_answers(session, person, record, new_id, call, beside, earlier_sent, now)

    def ask_again(
        self,
        person: Person,
        chat_id: str,
        answer_id: int,
        call: CallStart,
        *,
        model: str | None = None,
        earlier_sent: int | None = None,
    ) -> Turn:
        """Ask for another answer to the same question. The answer with `answer_id` stays, as another branch."""
        now = self._clock()
        with self._storage.writing() as session:
            record = _continue(session, person, chat_id, call, model, now)
            earlier = _message_of(session, record, answer_id, Role.ASSISTANT)
            return begin_answer(session, person, record, earlier.parent_id, call, now, earlier_sent=earlier_sent)

    def keep(self, person: Person, written: Sequence[Written]) -> set[int]:
        """Store the received part of these answers and renew their leases, in one transaction. Also for lone answers.

        Returns the ids of the answers to stop: somebody asked for it, in any process, or their chat was deleted.
        """
        now = self._clock()
        rows: list[dict[str, Any]] = [
            {"id_": each.turn.answer_id, "content_": each.content, "reasoning_": each.reasoning} for each in written
        ]
        with self._storage.writing() as session:
            alive = (
                select(MessageRecord.id, MessageRecord.session_id, MessageRecord.is_stop_asked)
                .join(ChatSessionRecord)
                .join(CallRecord, CallRecord.id == MessageRecord.call_id)
                .where(
                    MessageRecord.id.in_([row["id_"] for row in rows]),
                    ChatSessionRecord.owner_id == person.id,
                    ChatSessionRecord.deleted_at.is_(None),
                    _UNFINISHED,
                    CallRecord.duration.is_(None),  # an answer whose call finished as interrupted stays interrupted
                )
            )
            found = {row.id: row for row in session.execute(alive)}
            kept = [row for row in rows if row["id_"] in found]
            if kept:
                session.connection().execute(_KEEP, kept)
                sessions = {row.session_id for row in found.values()}
                its_chat = ChatSessionRecord.id.in_(sessions)
                session.execute(update(ChatSessionRecord).where(its_chat).values(lease_until=now + LEASE))
        return {row["id_"] for row in rows if row["id_"] not in found or found[row["id_"]].is_stop_asked}

    def finish(self, person: Person, turn: Turn, *, content: str, reasoning: str = "", report: CallReport) -> None:
        """Store the whole answer and the result of its call: all or nothing. Also for lone answers.

        Raises `NotFound` unless the call is running. If the chat was deleted meanwhile, only the call is stored.
        """
        list_price = cost_of(report)
        with self._storage.writing() as session:
            finish_call(session, person, turn.call_id, report, list_price, self._clock())
            # The answer is found by its call, which belongs to the person: the other ids of `turn` may be forged.
            message = session.scalar(select(MessageRecord).where(MessageRecord.call_id == turn.call_id, _UNFINISHED))
            if message is None:
                return
            message.content, message.reasoning = content, reasoning
            message.status = _STATUS_AFTER[report.status]
            message.finish_reason = finish_reason_of(report.response)
            if message.request is not None:
                _note_request_and_response(message, report)
            session.flush()
            chat = session.get_one(ChatSessionRecord, message.session_id)
            touch(session, chat, self._clock())
            if not is_writing(session, chat.id):
                chat.lease_until = None

    def ask_to_stop(self, person: Person, answer_id: int) -> None:
        """Ask the process that writes this answer to stop; it does within about a second. Also for lone answers."""
        with self._storage.writing() as session:
            _own_answer(session, person, answer_id).is_stop_asked = True

    def written(self, person: Person, answer_id: int) -> tuple[str, str, MessageStatus]:
        """The stored text, reasoning and status of an answer that another process writes. Also for lone answers."""
        with self._storage.reading() as session:
            message = _own_answer(session, person, answer_id)
            return message.content, message.reasoning, message.status

    def recover(self) -> None:
        """Mark the answers of dead processes as interrupted. Takes no person because it concerns everybody."""
        now = self._clock()
        with self._storage.reading() as session:
            if session.scalar(expired(now).limit(1)) is None:
                return
        with self._storage.writing() as session:
            interrupt(session, now)


_KEEP = (
    update(MessageRecord.__table__)  # type: ignore[arg-type]  # it is a Table; only a Table takes many rows at once
    .where(MessageRecord.__table__.c.id == bindparam("id_"))
    .values(content=bindparam("content_"), reasoning=bindparam("reasoning_"), status=MessageStatus.WRITING)
)


def begin_answer(
    session: Session,
    person: Person,
    chat: ChatSessionRecord,
    question_id: int | None,
    call: CallStart,
    now: datetime,
    **columns: int | str | None,
) -> Turn:
    """Store an empty answer and the row of its call; `columns` are further ones of the answer."""
    call_id = begin_call(session, person, call, now)
    answer = _append(
        session, chat, now, question_id, Role.ASSISTANT, "", MessageStatus.WRITING, call_id=call_id, **columns
    )
    return Turn(chat.id, question_id or 0, answer, call_id)


def _create(
    session: Session, person: Person, chat: NewChat, call: CallStart, model: str | None, now: datetime
) -> ChatSessionRecord:
    fields = {
        "model": model or "",
        "system_prompt": chat.system_prompt,
        "history_turns": chat.history_turns,
        "page": chat.page,
    }
    return create_chat(session, person, chat.title, call.configuration_id, fields, now)


def _continue(
    session: Session, person: Person, chat_id: str, call: CallStart, model: str | None, now: datetime
) -> ChatSessionRecord:
    """The person's own chat, with its lease taken, and with the configuration and model of the new turn."""
    must_exist(session, call.configuration_id)
    record = own_chat(session, person, chat_id)
    record.configuration_id = call.configuration_id
    record.model = record.model if model is None else model
    take_lease(session, record, now)
    return record


def _append_question(
    session: Session, chat: ChatSessionRecord, parent_id: int | None, question: Question | str, now: datetime
) -> int:
    asked = Question(question) if isinstance(question, str) else question
    id = _append(session, chat, now, parent_id, Role.USER, asked.text, MessageStatus.COMPLETE)
    session.add_all(ImageRecord(message_id=id, media_type=image.media_type, data=image.data) for image in asked.images)
    return id


def _begin_answers(
    session: Session,
    person: Person,
    chat: ChatSessionRecord,
    question_id: int,
    call: CallStart,
    beside: CallStart | None,
    earlier_sent: int | None,
    now: datetime,
) -> Turn:
    turn = begin_answer(session, person, chat, question_id, call, now, earlier_sent=earlier_sent)
    if beside is None:
        return turn
    other = begin_answer(session, person, chat, question_id, beside, now, earlier_sent=0, beside_id=turn.answer_id)
    chat.last_message_id = turn.answer_id  # the chat continues with the answer with history
    return replace(turn, beside=other)


def _append(
    session: Session,
    chat: ChatSessionRecord,
    now: datetime,
    parent_id: int | None,
    role: Role,
    content: str,
    status: MessageStatus,
    **columns: int | str | None,
) -> int:
    """Add a message after its parent and make it the end of the current branch; returns its id."""
    last = session.scalar(select(func.max(MessageRecord.position)).where(MessageRecord.session_id == chat.id))
    message = MessageRecord(
        session_id=chat.id,
        position=(last or 0) + 1,
        parent_id=parent_id,
        role=role,
        content=content,
        status=status,
        created_at=now,
        **columns,
    )
    session.add(message)
    session.flush()
    chat.last_message_id = message.id
    touch(session, chat, now)
    return message.id


def _message_of(session: Session, chat: ChatSessionRecord, message_id: int, role: Role) -> MessageRecord:
    message = session.get(MessageRecord, message_id)
    if message is None or message.session_id != chat.id or message.role is not role:
        raise NotFound("This message no longer exists.")
    return message


def _own_answer(session: Session, person: Person, answer_id: int) -> MessageRecord:
    message = session.get(MessageRecord, answer_id)
    if message is None:
        raise NotFound("This answer no longer exists.")
    own_chat(session, person, message.session_id)
    return message


def _note_request_and_response(message: MessageRecord, report: CallReport) -> None:
    sent = dict(report.request)
    if sent.get("messages") == json.loads(message.request or "{}").get("messages"):
        sent.pop("messages", None)  # they can be megabytes
    message.sent = json.dumps(sent) if report.request else None
    if report.response is not None:
        message.response = report.response.to_json(indent=None, warnings=False)
