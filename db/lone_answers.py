"""Lone answers: each answers one request without history, and is the last one at its place on a page.

A lone answer is stored like a turn without a question, in a session of its own, so that it is written, renewed, stopped
and interrupted in the same way.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import undefer

from connector import ChatCompletionsResponse
from db.base import as_value
from db.calls import Call, CallRecord, CallStart, call_of
from db.chat_sessions import IS_LONE_ANSWER, ChatSessionRecord, create_chat, owned_by
from db.configurations import must_exist
from db.lease import take_lease
from db.messages import MessageRecord, MessageStatus
from db.people import Person
from db.storage import Storage
from db.turns import Turn, begin_answer


@dataclass(frozen=True, slots=True)
class LoneAnswer:
    """The last answer at its place, to a request without history."""

    id: int
    session_id: str
    content: str
    reasoning: str
    status: MessageStatus
    request: dict[str, Any]
    """The request as JSON, before adaptations."""
    sent: dict[str, Any]
    """The request that was finally sent, as JSON; the same as `request` until that is known."""
    response: ChatCompletionsResponse | None
    call: Call
    created_at: datetime


class LoneAnswers:
    """The lone answers of the acting person: the last one at each place."""

    def __init__(self, storage: Storage, clock: Callable[[], datetime]) -> None:
        self._storage = storage
        self._clock = clock

    def begin(self, person: Person, place: str, request: dict[str, Any], call: CallStart) -> Turn:
        """Store an empty answer and the row of its call, before the request is sent: all or nothing.

        `place` is the name of a page, or of a part of it. The answer replaces the person's last one there. Raises
        `StillWriting` while that one is being written, and `NotFound` if the configuration no longer exists.
        """
        now = self._clock()
        with self._storage.writing() as session:
            must_exist(session, call.configuration_id)
            record = session.scalar(select(ChatSessionRecord).where(*_at(person, place), IS_LONE_ANSWER))
            if record is None:
                record = create_chat(session, person, "", None, {"model": "", "system_prompt": "", "page": place}, now)
            take_lease(session, record, now)
            session.execute(delete(MessageRecord).where(MessageRecord.session_id == record.id))
            return begin_answer(session, person, record, None, call, now, request=json.dumps(request))

    def last(self, person: Person, place: str) -> LoneAnswer | None:
        """The person's last answer at a place, whatever its status; None before the first."""
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
    except ValueError:  # from a server that does not keep to the format
        return ChatCompletionsResponse.construct(**response)
