"""The list of a person's chats, and the settings of the current chat."""

from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, Literal

import streamlit as st

from db import ChatSession
from pages.shared import account, base
from pages.shared.base import plain, reports_errors
from pages.shared.chat import export, keys, stored

LISTED = 50


def draw_rail(session_id: str | None) -> None:
    """Draw the list of chats, newest first, with search and a button for a new chat. On a phone it is a drawer."""
    with st.container(key="rail"):
        _List("rail", account.page_name(), session_id).draw()


def draw_drawer(session_id: str | None) -> None:
    """Draw the button that opens the list of chats on a phone, which has no room beside a chat."""
    with st.container(key="drawer", width="content"):
        if st.button("Chats", icon=":material/forum:"):
            _open_drawer(account.page_name(), session_id)


@st.dialog("Chats", position="left")
def _open_drawer(page: str, session_id: str | None) -> None:
    try:
        _List("drawer", page, session_id).draw()
    except base.StorageError as error:  # a dialog runs without the frame
        st.error(plain(str(error)), icon=":material/error:")


@dataclass(frozen=True)
class _List:
    place: Literal["rail", "drawer"]
    page: str
    current: str | None
    """The id of the chat that is shown."""

    def draw(self) -> None:
        self._button("New chat", None, icon=":material/add:", width="stretch")
        search = st.text_input(
            "Search",
            key=f"{self.place}:search",
            persist_state="session",
            placeholder="Search chats",
            label_visibility="collapsed",
        )
        if self.place == "rail":
            _undo()
        with st.container(key=f"{self.place}-list", gap="xxsmall"):
            if searched := search.strip():
                self._draw_found(searched)
            else:
                self._draw_days()

    def _draw_days(self) -> None:
        chats = base.database().chat_sessions.all(base.person(), page=self.page, limit=LISTED)
        for day, of_day in groupby(chats, key=lambda chat: base.day(chat.changed_at)):
            st.caption(day)
            for chat in of_day:
                self._draw_chat(chat)
        if len(chats) == LISTED:
            st.caption(f"The last {LISTED} chats. Search for older ones.")

    def _draw_found(self, searched: str) -> None:
        found = base.database().chat_sessions.search(base.person(), searched, page=self.page, limit=LISTED)
        for each in found:
            self._draw_chat(each.chat)
            if each.excerpt:
                st.caption(plain(each.excerpt))
        if not found:
            st.caption("No matching chats.")
        elif len(found) == LISTED:
            st.caption(f"The last {LISTED} matching chats.")

    def _draw_chat(self, chat: ChatSession) -> None:
        label = f":primary[**{plain(chat.title)}**]" if chat.id == self.current else plain(chat.title)
        self._button(label, chat.id, type="tertiary", wrap=False)

    def _button(self, label: str, session_id: str | None, **options: Any) -> None:
        key = f"{self.place}:chat:{session_id}" if session_id else f"{self.place}:new"
        if (
            st.button(label, key=key, on_click=_open, args=(self.page, session_id), **options)
            and self.place == "drawer"
        ):
            st.rerun()  # it closes


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
