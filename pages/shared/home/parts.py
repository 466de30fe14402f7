"""The parts of the home page: what is set up, the standing places, and the use cases as cards."""

from dataclasses import dataclass
from datetime import datetime

import streamlit as st

from db import UsageGroup
from pages.shared.account import ability, picker
from pages.shared.base import catalogue as showcase
from pages.shared.base import runtime
from pages.shared.base.formatting import count, dollars, plain, when, zone

RECENT = 4
"""Chats that are listed."""


@dataclass(frozen=True)
class Step:
    """One line of the check list."""

    title: str
    sentence: str
    is_done: bool
    action: str = ""
    page: str = ""
    address: str = ""
    """What goes into the page's `edit` parameter."""


def check_list() -> None:
    """What is set up and what is missing; gone once everything is there."""
    steps = _steps()
    done = sum(step.is_done for step in steps)
    if done == len(steps):
        return
    following = next(step for step in steps if not step.is_done)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.header("Set up", anchor=False, width="stretch")
            st.caption(f"{done} of {len(steps)} done", width="content")
        for step in steps:
            _draw(step, is_next=step is following)


def _steps() -> list[Step]:
    books, who = runtime.database(), runtime.person()
    saved = books.configurations.all(who)
    demo = [each for each in saved if each.endpoint == runtime.demo_endpoint()]
    source = books.encryption_keys.source
    steps = [Step("Encryption key", f"{source}: keys are sealed before they are stored.", is_done=True)]
    if names := [each.display_name for each in saved if not each.is_key_readable]:
        sentence = f"{source}: does not open the stored key of {', '.join(names)}."
        action = "Open Configurations" if who.is_administrator else ""
        steps = [Step("Encryption key", sentence, False, action, picker.CONFIGURATIONS)]
    if demo:
        steps.append(
            Step("Built-in demo model", "Runs on this machine, no account needed. Tiny, and often wrong.", True)
        )
    return [
        *steps,
        Step(
            "A provider",
            "An OpenAI or Azure OpenAI account: an endpoint and a key.",
            len(saved) > len(demo),
            "Add a configuration" if who.is_administrator else "",
            picker.CONFIGURATIONS,
            "new",
        ),
        Step(
            "A first answer",
            "Send one prompt and see what it takes.",
            any(row.calls > row.failed for row in books.calls.totals(who, UsageGroup.MODEL)),
            "Open Chat" if saved else "",
            "showcase/chat.py",
        ),
    ]


def _draw(step: Step, *, is_next: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        icon = ":green[:material/check_circle:]" if step.is_done else ":gray[:material/radio_button_unchecked:]"
        st.markdown(f"{icon}\u2002**{step.title}**", width=190)
        st.markdown(f":gray[{plain(step.sentence)}]", width="stretch")
        if not step.action or step.is_done:
            return
        if st.button(step.action, type="primary" if is_next else "secondary", key=f"step:{step.title}"):
            st.switch_page(step.page, query_params={"edit": step.address} if step.address else None)


def places() -> None:
    """The standing places, once something was said: the last chats, the tuner, and what this month took."""
    books, who = runtime.database(), runtime.person()
    month = f"{datetime.now(zone()):%Y-%m}"
    days = [row for row in books.calls.totals(who, UsageGroup.DAY, zone=zone()) if str(row.group).startswith(month)]
    chats = books.chat_sessions.all(who, limit=RECENT)
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
            st.caption("No chat yet.")
    with month_card.container(border=True, height="stretch", gap="xxsmall"):
        _place("This month", "manage/usage.py", "Open usage")
        known = [row.cost for row in days if row.cost is not None]
        with st.grid(2, min_column_width=110):
            st.metric("Calls", count(sum(row.calls for row in days)))
            st.metric("Cost", plain(dollars(sum(known) if known else None)))
        st.page_link("workbench/tuner.py", label="Tune a request in the tuner", icon=":material/tune:")


def _place(title: str, page: str, action: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(title, anchor=False, width="stretch")
        st.page_link(page, label=action, icon=":material/arrow_forward:", icon_position="right", width="content")


def cards() -> None:
    """The use cases in their groups; those that are searched for."""
    search = st.text_input(
        "Search use cases",
        key="search:use_cases",
        placeholder="Search use cases",
        label_visibility="collapsed",
        icon=":material/search:",
    )
    wanted = search.casefold().split()
    found = [each for each in showcase.use_cases() if all(word in _text_of(each) for word in wanted)]
    if not found:
        st.markdown(":gray[No use case has these words. Try fewer, or one like: table, picture, translate.]")
    for group, title in showcase.GROUPS.items():
        of_group = [use_case for use_case in found if use_case.group == group]
        if not of_group:
            continue
        st.header(title, anchor=False)
        with st.grid(4, gap="small", min_column_width=210):
            for use_case in of_group:
                _card(use_case)


def _text_of(use_case: showcase.UseCase) -> str:
    needs = " ".join(ability.NEEDS[need] for need in use_case.needs)
    group = showcase.GROUPS[use_case.group]
    return f"{use_case.title} {use_case.sentence} {needs} {group}".casefold()


def _card(use_case: showcase.UseCase) -> None:
    with st.container(border=True, height="stretch", gap="xxsmall"):
        st.page_link(f"showcase/{use_case.name}.py", label=f"**{use_case.title}**", icon=use_case.icon)
        # page_link has a padding of its own.
        with st.container(horizontal=True, gap=None, wrap=False):
            st.space("xsmall")
            with st.container(gap="xxsmall"):
                st.caption(use_case.sentence)
                if use_case.needs:
                    needs = " and ".join(ability.NEEDS[need] for need in use_case.needs)
                    st.caption(f"Needs a model with {needs}")
