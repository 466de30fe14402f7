"""The chat that a page is about, as it is stored; `None` is a new one, of which nothing is stored yet."""

from functools import cached_property

import streamlit as st

from db import ChatSession, Conversation
from pages.shared import account, base
from pages.shared.chat import keys

SHOWN = 40
"""Messages that are drawn at first, and how many more at a time: each costs its share of every run of the page."""
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
    """The chat that the address names, None for a new one. One that is not this person's does not exist."""
    session_id = st.query_params.get("chat")
    if not session_id:
        return None
    try:
        session(session_id)
        return session_id
    except base.NotFound:
        st.warning("This chat does not exist, or is somebody else's. Here is a new one.", icon=":material/search_off:")
        del st.query_params["chat"]
        return None


def opened() -> ChatSession | None:
    """The chat that the address names; None where it names none, or one that this person does not have."""
    session_id = st.query_params.get("chat")
    try:
        return session(session_id) if session_id else None
    except base.NotFound:
        return None


def session(session_id: str | None) -> ChatSession | None:
    """The chat, None for a new one."""
    if session_id is None:
        return None
    return base.this_run().part(_Session, session_id).stored


def title(session_id: str | None, otherwise: str = "Chat") -> str:
    """The title of a chat; `otherwise` for a new one."""
    chat = session(session_id)
    return chat.title if chat else otherwise


def conversation(session_id: str | None, *, last: int | None = None) -> Conversation:
    """What was said so far; the last whole messages, or as many as are to be drawn."""
    if session_id is None:
        return NOTHING_SAID
    shown = last or st.session_state.get(keys.shown(session_id), SHOWN)
    return base.this_run().part(_LastMessages, session_id, shown).stored


def system_prompt(session_id: str | None) -> str:
    """What the model is told before all else."""
    chat = session(session_id)
    return chat.system_prompt if chat else str(st.session_state.get(keys.new_system_prompt(account.page_name()), ""))


def set_system_prompt(system_prompt: str) -> None:
    """What the model is told in the new chat that this page may begin."""
    page = account.page_name()
    st.session_state[keys.new_system_prompt(page)] = system_prompt
    st.session_state[keys.system_prompt_field(None, page)] = system_prompt


def forget_system_prompt() -> None:
    """The new chat has begun."""
    page = account.page_name()
    st.session_state.pop(keys.new_system_prompt(page), None)
    st.session_state.pop(keys.system_prompt_field(None, page), None)


def show_more(session_id: str, number: int = 5 * SHOWN) -> None:
    """Draw more of its messages from now on."""
    st.session_state[keys.shown(session_id)] = st.session_state.get(keys.shown(session_id), SHOWN) + number
