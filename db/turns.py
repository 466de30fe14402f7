"""A turn: a question and the answer that is being written to it, from before the network to how it ended.

One answer at a time is written in a session. Whoever writes it holds the session's lease and renews it about every
second, with the text so far; where that stops, the process is dead and anybody may call the answer interrupted. Should
it live after all, its next word makes the answer `writing` again. The same goes for an answer that stands alone, whose
session is its place on a page, and holds nothing else.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, bindparam, delete, func, or_, select, update
from sqlalchemy.orm import Session, undefer

from connector import CallReport, CallStatus, ChatCompletionsResponse, Role, cost_of
from db.base import as_value
from db.calls import Call, CallRecord, CallStart, begin_call, call_of, finish_call, finish_reason_of
from db.chat_sessions import (
    STANDS_ALONE,
    ChatSessionRecord,
    Image,
    ImageRecord,
    MessageRecord,
    MessageStatus,
    create_chat,
    own_chat,
    owned_by,
)
from db.configurations import must_exist
from db.errors import NotFound, StillWriting
from db.people import Person
from db.storage import Storage

LEASE = timedelta(seconds=10)
"""How long a writer may be silent until it is taken for dead."""

_STATUS_AFTER = {
    CallStatus.DONE: MessageStatus.COMPLETE,
    CallStatus.STOPPED: MessageStatus.STOPPED,
    CallStatus.INTERRUPTED: MessageStatus.INTERRUPTED,
    CallStatus.FAILED: MessageStatus.FAILED,
}
_UNFINISHED = MessageRecord.status.in_([MessageStatus.WRITING, MessageStatus.INTERRUPTED])


@dataclass(frozen=True, slots=True)
class Question:
    """What a person says."""

    text: str
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class NewChat:
    """A chat that begins with the question."""

    title: str
    system_prompt: str = ""
    history_turns: int | None = None
    page: str = "chat"


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and the answer that is being written to it."""

    session_id: str
    user_message_id: int
    """0 where the answer stands alone."""
    answer_id: int
    call_id: int
    beside: "Turn | None" = None
    """The same question with nothing said before it."""


@dataclass(frozen=True, slots=True)
class LoneAnswer:
    """The last answer at its place: one to a request that has nothing to do with what was said before."""

    id: int
    session_id: str
    content: str
    reasoning: str
    status: MessageStatus
    request: dict[str, Any]
    """Its JSON, as it was asked for."""
    sent: dict[str, Any]
    """Its JSON, as it was sent in the end; as long as nobody knows, as it was asked for."""
    response: ChatCompletionsResponse | None
    call: Call
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Written:
    """What there is of an answer so far."""

    turn: Turn
    content: str
    reasoning: str = ""


class Turns:
    """The turns of the acting person's chats; `NotFound` for everybody else's."""

    def __init__(self, storage: Storage, clock: Callable[[], datetime]) -> None:
        self._storage = storage
        self._clock = clock

    def begin(
        self,
        person: Person,
        chat: str | NewChat,
        question: Question | str | None,
        call: CallStart,
        *,
        model: str | None = None,
        instead_of: int | None = None,
        earlier_sent: int | None = None,
        beside: CallStart | None = None,
    ) -> Turn:
        """Store the question, an empty answer and the call's row, before the network is touched: all or nothing.

        `chat` is an id, or what a new one is called. `model` is what the chat goes on with when it is opened again;
        None leaves it. `instead_of` names an earlier question that this one is put in the place of, or, without a
        question, an answer to ask for anew; what was said there stays, as another branch. With `beside`, the same
        question is asked a second time on its own. Raises `StillWriting` while an answer in this chat is.
        """
        now = self._clock()
        with self._storage.writing() as session:
            must_exist(session, call.configuration_id)
            if isinstance(chat, NewChat):
                fields = {
                    "model": model or "",
                    "system_prompt": chat.system_prompt,
                    "history_turns": chat.history_turns,
                    "page": chat.page,
                }
                record = create_chat(session, person, chat.title, call.configuration_id, fields, now)
            else:
                record = own_chat(session, person, chat)
                record.configuration_id = call.configuration_id
                record.model = record.model if model is None else model
            if _is_writing(session, record.id):
                interrupt(session, now)  # what a dead process left here, too
            _take_lease(session, record, now)
            parent_id = record.last_message_id if instead_of is None else _parent_of(session, record, instead_of)
            if question is None:
                question_id = _question(session, record, parent_id)
            else:
                asked = Question(question) if isinstance(question, str) else question
                question_id = _append(session, record, now, parent_id, Role.USER, asked.text, MessageStatus.COMPLETE)
                session.add_all(
                    ImageRecord(message_id=question_id, media_type=image.media_type, data=image.data)
                    for image in asked.images
                )
            turn = _begin_answer(session, person, record, question_id, call, now, earlier_sent=earlier_sent)
            if beside is None:
                return turn
            other = _begin_answer(
                session, person, record, question_id, beside, now, earlier_sent=0, beside_id=turn.answer_id
            )
            record.last_message_id = turn.answer_id
            return Turn(turn.session_id, turn.user_message_id, turn.answer_id, turn.call_id, beside=other)

    def begin_alone(self, person: Person, place: str, request: dict[str, Any], call: CallStart) -> Turn:
        """Store an empty answer and the call's row for a request that stands alone; as `begin` does.

        `place` is the name of a page, or of a part of it. The person's last answer there is gone then. Raises
        `StillWriting` while that one is being written.
        """
        now = self._clock()
        with self._storage.writing() as session:
            must_exist(session, call.configuration_id)
            record = session.scalar(select(ChatSessionRecord).where(*_at(person, place), STANDS_ALONE))
            if record is None:
                record = create_chat(session, person, "", None, {"model": "", "system_prompt": "", "page": place}, now)
            if _is_writing(session, record.id):
                interrupt(session, now)
            _take_lease(session, record, now)
            session.execute(delete(MessageRecord).where(MessageRecord.session_id == record.id))
            return _begin_answer(session, person, record, None, call, now, request=json.dumps(request))

    def last_alone(self, person: Person, place: str) -> LoneAnswer | None:
        """The person's last answer at a place, however far it is; None before the first."""
        its_call = CallRecord.id == MessageRecord.call_id
        last = select(MessageRecord, CallRecord).join(ChatSessionRecord).join(CallRecord, its_call)
        last = last.where(*_at(person, place), MessageRecord.request.is_not(None)).options(undefer("*"))
        with self._storage.reading() as session:
            row = session.execute(last.order_by(MessageRecord.id.desc()).limit(1)).first()
            if row is None:
                return None
            message, call = row
            request = json.loads(message.request or "{}")
            return as_value(
                LoneAnswer,
                message,
                call=call_of(call),
                request=request,
                sent=_sent(message.sent, request),
                response=_response(message.response),
            )

    def keep(self, person: Person, written: Sequence[Written]) -> set[int]:
        """Store how far these answers are and renew their leases: all in one transaction.

        Returns the ids of those to stop: somebody asked for it, here or in another process, or their chat is deleted.
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
                    CallRecord.duration.is_(None),  # what has ended as interrupted stays so
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
        """Store the answer and book its call: all or nothing. Raises `NotFound` unless the call is under way.

        When the chat was deleted meanwhile, the call is booked all the same.
        """
        list_price = cost_of(report)
        with self._storage.writing() as session:
            finish_call(session, person, turn.call_id, report, list_price, self._clock())
            # Found through the call that was just seen to be the person's own, whatever else `turn` says.
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
            chat.changed_at = self._clock()
            if not _is_writing(session, chat.id):
                chat.lease_until = None

    def ask_to_stop(self, person: Person, answer_id: int) -> None:
        """Whoever writes this answer, in whatever process, stops within about a second."""
        with self._storage.writing() as session:
            message = session.get(MessageRecord, answer_id)
            if message is None:
                raise NotFound("This answer does not exist any more.")
            own_chat(session, person, message.session_id)
            message.is_stop_asked = True

    def written(self, person: Person, answer_id: int) -> tuple[str, str, MessageStatus]:
        """What is stored of an answer so far: text, reasoning and status. For answers of other processes."""
        with self._storage.reading() as session:
            message = session.get(MessageRecord, answer_id)
            if message is None:
                raise NotFound("This answer does not exist any more.")
            own_chat(session, person, message.session_id)
            return message.content, message.reasoning, message.status

    def recover(self) -> None:
        """Call interrupted what the processes that are dead have left; for nobody, since it concerns everybody."""
        now = self._clock()
        with self._storage.reading() as session:
            if session.scalar(_lapsed(now).limit(1)) is None:
                return
        with self._storage.writing() as session:
            interrupt(session, now)


_KEEP = (
    update(MessageRecord.__table__)  # type: ignore[arg-type]  # a Table it is; only so many rows go at once
    .where(MessageRecord.__table__.c.id == bindparam("id_"))
    .values(content=bindparam("content_"), reasoning=bindparam("reasoning_"), status=MessageStatus.WRITING)
)


def interrupt(session: Session, now: datetime, *, everything: bool = False) -> None:
    """Answers whose process is dead, and their calls, are interrupted: they stay as they are, and say so.

    It is dead when it has not renewed its lease, or, with `everything`, whatever it said last: nobody else is there.
    """
    writing = select(MessageRecord.id).where(MessageRecord.status == MessageStatus.WRITING)
    answers = list(session.scalars(writing if everything else _lapsed(now)))
    theirs = CallRecord.id.in_(select(MessageRecord.call_id).where(MessageRecord.id.in_(answers)))
    running = theirs, CallRecord.status == CallStatus.RUNNING
    session.execute(update(CallRecord).where(*running).values(status=CallStatus.INTERRUPTED))
    session.execute(update(MessageRecord).where(MessageRecord.id.in_(answers)).values(status=MessageStatus.INTERRUPTED))
    its_chats = select(MessageRecord.session_id).where(MessageRecord.id.in_(answers))
    session.execute(update(ChatSessionRecord).where(ChatSessionRecord.id.in_(its_chats)).values(lease_until=None))


def _lapsed(now: datetime) -> Any:
    """The answers that nobody writes any more."""
    ended = or_(ChatSessionRecord.lease_until.is_(None), ChatSessionRecord.lease_until < now)
    return select(MessageRecord.id).join(ChatSessionRecord).where(MessageRecord.status == MessageStatus.WRITING, ended)


def _at(person: Person, place: str) -> tuple[ColumnElement[bool], ...]:
    return *owned_by(person), ChatSessionRecord.page == place


def _sent(stored: str | None, asked: dict[str, Any]) -> dict[str, Any]:
    sent = {"messages": asked.get("messages"), **json.loads(stored)} if stored else asked
    first = {name: sent[name] for name in ("model", "messages") if name in sent}
    return {**first, **sent}


def _response(stored: str | None) -> ChatCompletionsResponse | None:
    if not stored:
        return None
    response = json.loads(stored)
    try:
        return ChatCompletionsResponse.model_validate(response)
    except ValueError:  # of a sloppy server
        return ChatCompletionsResponse.construct(**response)


def _note_request_and_response(message: MessageRecord, report: CallReport) -> None:
    sent = dict(report.request)
    if sent.get("messages") == json.loads(message.request or "{}").get("messages"):
        sent.pop("messages", None)  # which may be megabytes
    message.sent = json.dumps(sent) if report.request else None
    if report.response is not None:
        message.response = report.response.to_json(indent=None, warnings=False)


def _take_lease(session: Session, chat: ChatSessionRecord, now: datetime) -> None:
    session.flush()
    free = or_(ChatSessionRecord.lease_until.is_(None), ChatSessionRecord.lease_until < now)
    taken = update(ChatSessionRecord).where(ChatSessionRecord.id == chat.id, free).values(lease_until=now + LEASE)
    result: CursorResult[Any] = session.connection().execute(taken)
    if not result.rowcount:
        raise StillWriting("An answer is still being written in this chat. Wait until it has ended, or stop it.")


def _is_writing(session: Session, chat_id: str) -> bool:
    writing = MessageRecord.session_id == chat_id, MessageRecord.status == MessageStatus.WRITING
    return session.scalar(select(MessageRecord.id).where(*writing).limit(1)) is not None


def _parent_of(session: Session, chat: ChatSessionRecord, message_id: int) -> int | None:
    message = session.get(MessageRecord, message_id)
    if message is None or message.session_id != chat.id:
        raise NotFound("This message does not exist any more.")
    return message.parent_id


def _question(session: Session, chat: ChatSessionRecord, message_id: int | None) -> int:
    message = session.get(MessageRecord, message_id) if message_id is not None else None
    if message is None or message.session_id != chat.id or message.role is not Role.USER:
        raise NotFound("There is no question to answer here.")
    return message.id


def _begin_answer(
    session: Session,
    person: Person,
    chat: ChatSessionRecord,
    question_id: int | None,
    call: CallStart,
    now: datetime,
    **columns: int | str | None,
) -> Turn:
    call_id = begin_call(session, person, call, now)
    answer = _append(
        session, chat, now, question_id, Role.ASSISTANT, "", MessageStatus.WRITING, call_id=call_id, **columns
    )
    return Turn(chat.id, question_id or 0, answer, call_id)


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
    """Add a message behind its parent, where the conversation stands from now on; its id."""
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
    chat.changed_at = now
    return message.id
