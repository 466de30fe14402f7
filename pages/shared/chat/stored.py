"""The stored chat of a page. The id `None` is a new chat, of which nothing is stored yet."""

from functools import cached_property

import streamlit as st

from db import ChatSession, Conversation
from pages.shared import account, base
from pages.shared.chat import keys

SHOWN = 40
"""Messages that are drawn at first. Each message makes every run of the page slower."""
NOTHING_SAID = Conversation((), (), {}, None)


class _Session:
    """A chat without its messages, as one run of a page reads it."""

    def __init__(self, session_id: str) -> None:
        self._id = session_id

    @cached_property
    def stored(self) -> ChatSession:
        return base.database().chat_sessions.get(base.person(), self._id)


class _LastMessages:
    """The last messages of a chat, as one run of a page reads them."""

    def __init__(self, session_id: str, number: int) -> None:
        self._id, self._number = session_id, number

    @cached_property
    def stored(self) -> Conversation:
        return base.database().chat_sessions.conversation(base.person(), self._id, last=self._number)


def from_address() -> str | None:
    """The id of the chat in the address; None for a new chat. Warns when this person has no such chat."""
    session_id = st.query_params.get("chat")
    if not session_id:
        return None
    try:
        session(session_id)
        return session_id
    except base.NotFound:
        st.warning(
            "This chat does not exist, or belongs to somebody else. This is a new chat.", icon=":material/search_off:"
        )
        del st.query_params["chat"]
        return None


def opened() -> ChatSession | None:
    """The chat in the address; None when there is none, or when this person has no such chat."""
    session_id = st.query_params.get("chat")
    try:
        return session(session_id) if session_id else None
    except base.NotFound:
        return None


def session(session_id: str | None) -> ChatSession | None:
    """The chat without its messages; None for a new chat."""
    if session_id is None:
        return None
    return base.this_run().part(_Session, session_id).stored


def title(session_id: str | None, otherwise: str = "Chat") -> str:
    """The title of a chat; `otherwise` for a new chat."""
    chat = session(session_id)
    return chat.title if chat else otherwise


def conversation(session_id: str | None, *, last: int | None = None) -> Conversation:
    """The chat with its last messages in full: `last` of them, or as many as the page draws."""
    if session_id is None:
        return NOTHING_SAID
    shown = last or st.session_state.get(keys.shown(session_id), SHOWN)
    return base.this_run().part(_LastMessages, session_id, shown).stored


def system_prompt(session_id: str | None) -> str:
    """The system prompt of a chat, or of the new chat of this page."""
    chat = session(session_id)
    return chat.system_prompt if chat else str(st.session_state.get(keys.new_system_prompt(account.page_name()), ""))


def set_system_prompt(system_prompt: str) -> None:
    """Set the system prompt of the new chat of this page."""
    page = account.page_name()
    st.session_state[keys.new_system_prompt(page)] = system_prompt
    st.session_state[keys.system_prompt_field(None, page)] = system_prompt


def forget_system_prompt() -> None:
    """Forget the system prompt of the new chat: the chat has begun."""
    page = account.page_name()
    st.session_state.pop(keys.new_system_prompt(page), None)
    st.session_state.pop(keys.system_prompt_field(None, page), None)


def show_more(session_id: str, number: int = 5 * SHOWN) -> None:
    """Draw more messages of a chat from now on."""
    st.session_state[keys.shown(session_id)] = st.session_state.get(keys.shown(session_id), SHOWN) + number
