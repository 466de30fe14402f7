"""What the doors are made of: one answer at one place of a page."""

from functools import cached_property

import streamlit as st

from connector import ChatCompletionsRequest, ChatCompletionsResponse
from db import LoneAnswer, MessageStatus
from pages.shared import account, answers, base
from pages.shared.base import plain


class _Place:
    """One place for answers on a page, as one run of the page reads it."""

    def __init__(self, name: str) -> None:
        self._name = name

    @cached_property
    def last(self) -> LoneAnswer | None:
        return base.database().lone_answers.last(base.person(), self._name)


def begin(request: ChatCompletionsRequest, operation: str, *, part: str = "", is_streamed: bool = True) -> bool:
    """Send a request outside a chat. Returns whether it was sent; otherwise the error is shown here.

    `part` distinguishes several answers of one page.
    """
    page, configuration = account.page_name(), account.current_configuration()
    if configuration is None:
        return False
    asked = ChatCompletionsRequest(**{**dict(request), "model": account.current_model()})
    try:
        base.start_alone(
            configuration, asked, page=page, place=_place(part), operation=operation, is_streamed=is_streamed
        )
    except base.StillWriting:  # the button was clicked twice
        pass
    except base.InvalidRequest as error:
        st.warning(plain(str(error)), icon=":material/edit:")
        return False
    except (base.StorageError, base.NotFound) as error:
        st.error(plain(str(error)), icon=":material/error:")
        return False
    return True


def last(part: str = "") -> LoneAnswer | None:
    """The person's last answer at this place, in whatever state."""
    return base.this_run().part(_Place, _place(part)).last


def is_writing(part: str = "") -> bool:
    """Whether an answer is being written at this place."""
    answer = last(part)
    return answer is not None and answer.status is MessageStatus.WRITING


def show(
    draw: answers.Draw | None = None,
    request: ChatCompletionsRequest | None = None,
    *,
    part: str = "",
    has_border: bool = True,
) -> ChatCompletionsResponse | None:
    """Draw the last answer at this place. Returns its response when it is complete.

    `request` is the request of the current inputs; the page says when it differs from that of the answer."""
    answer = last(part)
    if answer is None:
        st.markdown(":gray[The answer appears here.]")
        return None
    with st.container(border=has_border):
        answers.show(answer, draw)
        if request is not None and not is_writing(part) and is_another(request, answer):
            st.caption("The inputs have changed since this answer.")
    return answer.response if answer.status is MessageStatus.COMPLETE else None


def forget(part: str = "") -> None:
    """Delete the last answer at this place; its call stays in the ledger."""
    if answer := last(part):
        with base.changing() as database:
            database.chat_sessions.delete(base.person(), answer.session_id)


def is_another(request: ChatCompletionsRequest, answer: LoneAnswer) -> bool:
    """Whether a request differs from that of the answer; messages after those of the answer do not count."""
    body, before = request.body(""), answer.request["messages"]
    return {**body, "model": None, "messages": body["messages"][: len(before)]} != {**answer.request, "model": None}


def _place(part: str) -> str:
    page = account.page_name()
    return f"{page}:{part}" if part else page
