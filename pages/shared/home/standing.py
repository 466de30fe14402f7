"""The cards of the last chats and of this month."""

from datetime import datetime

import streamlit as st

from db import UsageGroup
from pages.shared import base
from pages.shared.base import count, dollars, plain, when, zone

RECENT = 4
"""Chats that are listed."""


def places() -> None:
    """Draw the last chats, and the calls and the cost of this month; nothing before the first call."""
    database, who = base.database(), base.person()
    month = f"{datetime.now(zone()):%Y-%m}"
    days = [row for row in database.usage.totals(who, UsageGroup.DAY, zone=zone()) if str(row.group).startswith(month)]
    chats = database.chat_sessions.all(who, limit=RECENT)
    if not chats and not days:
        return
    talk, month_card = st.columns([3, 2], gap="small")
    with talk.container(border=True, height="stretch", gap="xxsmall"):
        _place("Chat", "showcase/chat.py", "Open chat")
        for chat in chats:
            with st.container(horizontal=True, vertical_alignment="center", wrap=False):
                st.page_link(
                    "showcase/chat.py", label=plain(chat.title), query_params={"chat": chat.id}, width="stretch"
                )
                st.caption(when(chat.changed_at), width="content")
        if not chats:
            st.caption("No chats yet.")
    with month_card.container(border=True, height="stretch", gap="xxsmall"):
        _place("This month", "manage/usage.py", "Open usage")
        known = [row.cost for row in days if row.cost is not None]
        with st.grid(2, min_column_width=110):
            st.metric("Calls", count(sum(row.calls for row in days)))
            st.metric("Cost", plain(dollars(sum(known) if known else None)))
        st.page_link("workbench/tuner.py", label="Open tuner", icon=":material/tune:")


def _place(title: str, page: str, action: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(title, anchor=False, width="stretch")
        st.page_link(page, label=action, icon=":material/arrow_forward:", icon_position="right", width="content")
