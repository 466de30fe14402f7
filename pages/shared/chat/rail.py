"""The list of a person's chats, and the settings of the current chat."""

from functools import partial

import streamlit as st

from pages.shared import account, base
from pages.shared.base import plain, reports_errors
from pages.shared.chat import export, keys, stored

LISTED = 30


def draw_rail(session_id: str | None) -> None:
    """Draw the list of chats, newest first, with search and a button for a new chat."""
    there = account.page_name()
    st.button("New chat", icon=":material/add:", width="stretch", on_click=_open, args=(there, None))
    search = st.text_input(
        "Search", key="search", persist_state="session", placeholder="Search chats", label_visibility="collapsed"
    )
    _undo()
    chats = base.database().chat_sessions.all(base.person(), page=there, search=search.strip(), limit=LISTED)
    with st.container(gap="xxsmall"):
        for chat in chats:
            label = f":primary[**{plain(chat.title)}**]" if chat.id == session_id else plain(chat.title)
            key = f"chat:{chat.id}"
            st.button(label, key=key, type="tertiary", wrap=False, on_click=_open, args=(there, chat.id))
        if not chats and search.strip():
            st.caption("No matching chats.")
        elif len(chats) == LISTED:
            st.caption(f"The last {LISTED} chats. Search for older ones.")


def draw_settings(session_id: str | None) -> None:
    """Draw the settings of a chat: title, system prompt, export, deletion."""
    # A key per chat, so that the popover closes when its chat is deleted.
    with st.popover("Chat settings", icon=":material/tune:", width="content", key=f"settings:{session_id}"):
        chat = stored.session(session_id)
        if chat is not None:
            key = f"title:{chat.id}"
            st.text_input("Title", chat.title, key=key, max_chars=200, on_change=_rename, args=(chat.id, key))
        key = keys.system_prompt_field(session_id, account.page_name())
        st.session_state.setdefault(key, stored.system_prompt(session_id))  # a page may have set it earlier in this run
        st.text_area(
            "System prompt",
            key=key,
            height=120,
            placeholder="For example: Answer in one sentence.",
            help="Sent first in every request of this chat.",
            on_change=_set_system_prompt,
            args=(session_id, key),
        )
        if chat is None:
            return
        st.caption("Export")
        with st.container(horizontal=True, gap="small"):
            for form in export.FORMS:
                st.download_button(
                    form.label,
                    partial(export.write, form, chat.id),
                    file_name=f"chat.{form.suffix}",
                    mime=form.media_type,
                    on_click="ignore",
                    help=form.about,
                    key=f"export:{form.suffix}",
                )
        st.button("Delete chat", icon=":material/delete:", type="tertiary", on_click=_delete, args=(chat.id,))


def _open(page: str, session_id: str | None) -> None:
    """Open a chat; None opens a new one. As a callback: an answer that ends at the same time runs all of these."""
    st.session_state.pop(keys.failure(page), None)
    # In one assignment: two changes would be two steps for the browser's Back button.
    st.query_params.from_dict({"chat": session_id} if session_id else {})


@reports_errors
def _rename(session_id: str, key: str) -> None:
    if title := base.entered(key).strip():
        with base.changing() as database:
            database.chat_sessions.update(base.person(), session_id, title=title)


@reports_errors
def _set_system_prompt(session_id: str | None, key: str) -> None:
    system_prompt = base.entered(key)
    if session_id is None:
        stored.set_system_prompt(system_prompt)
    else:
        with base.changing() as database:
            database.chat_sessions.update(base.person(), session_id, system_prompt=system_prompt)


@reports_errors
def _delete(session_id: str) -> None:
    title = stored.title(session_id)
    with base.changing() as database:
        database.chat_sessions.delete(base.person(), session_id)
    st.session_state[keys.DELETED] = session_id, title
    st.query_params.clear()


def _undo() -> None:
    """Offer to undo the last deletion."""
    if keys.DELETED not in st.session_state:
        return
    session_id, title = st.session_state[keys.DELETED]
    with st.container(border=True, gap="xxsmall"):
        st.caption(f"Deleted “{plain(title)}”. You can undo this for ten minutes.")
        st.button("Undo", icon=":material/undo:", type="tertiary", on_click=_undelete, args=(session_id,))


@reports_errors
def _undelete(session_id: str) -> None:
    try:
        with base.changing() as database:
            database.chat_sessions.undelete(base.person(), session_id)
        st.query_params.from_dict({"chat": session_id})
    except base.StorageError:  # Undo stays: the database may work again in a moment
        raise
    except base.NotFound:
        del st.session_state[keys.DELETED]
        raise
    del st.session_state[keys.DELETED]
