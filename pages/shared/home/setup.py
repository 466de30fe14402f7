"""The check list of the home page: what is set up, and what is missing."""

from dataclasses import dataclass
from typing import NamedTuple

import streamlit as st

from db import UsageGroup
from pages.shared import account, base
from pages.shared.base import plain


@dataclass(frozen=True)
class SetupStep:
    """One line of the check list."""

    title: str
    sentence: str
    is_done: bool
    action: str = ""
    page: str = ""
    address: str = ""
    """The value of the page's `edit` parameter."""


class _Next(NamedTuple):
    page: str
    script: str
    title: str
    icon: str
    sentence: str


NEXT = (
    _Next(
        "operations",
        "showcase/operations.py",
        "Operations",
        ":material/compare_arrows:",
        "See what history adds: one question with and without it, and the HTTP traffic.",
    ),
    _Next(
        "product_description",
        "showcase/product_description.py",
        "Product description",
        ":material/sell:",
        "A use case: a form makes the prompt, shown before it is sent.",
    ),
    _Next(
        "tuner",
        "workbench/tuner.py",
        "Tuner",
        ":material/tune:",
        "Change every parameter of a request, and see the whole response.",
    ),
)


ENOUGH = 3
"""Pages that a person has tried, after which nothing is suggested."""


def answered_pages() -> set[str]:
    """The addresses of the pages where this person has got an answer. The test of a configuration is none."""
    rows = base.database().usage.totals(base.person(), UsageGroup.PAGE)
    return {str(row.group) for row in rows if row.calls > row.failed} - {"configurations"}


def check_list() -> None:
    """Draw the check list; once everything is set up, what to try next, until it has been tried."""
    steps = _steps()
    done = sum(step.is_done for step in steps)
    if done == len(steps):
        _try_next()
        return
    following = next(step for step in steps if not step.is_done)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.header("Set up", anchor=False, width="stretch")
            st.caption(f"{done} of {len(steps)} done", width="content")
        for step in steps:
            _draw(step, is_next=step is following)


def _steps() -> list[SetupStep]:
    database, who = base.database(), base.person()
    saved = database.configurations.all(who)
    demo = [each for each in saved if each.endpoint == base.demo_endpoint()]
    source = database.encryption_keys.source
    steps = [SetupStep("Encryption key", f"{source}: keys are encrypted before they are stored.", is_done=True)]
    if names := [each.display_name for each in saved if not each.is_key_readable]:
        sentence = f"{source}: cannot open the stored key of {', '.join(names)}."
        action = "Open Configurations" if who.is_administrator else ""
        steps = [SetupStep("Encryption key", sentence, False, action, account.CONFIGURATIONS_PAGE)]
    if demo:
        steps.append(
            SetupStep("Built-in demo model", "Runs on this machine, no account needed. Tiny, and often wrong.", True)
        )
    if saved and not account.offered_configurations():
        sentence = "No configuration is switched on: no page can send."
        action = "Open Configurations" if who.is_administrator else ""
        steps.append(SetupStep("Configurations", sentence, False, action, account.CONFIGURATIONS_PAGE))
    return [
        *steps,
        SetupStep(
            "Provider",
            "An OpenAI or Azure OpenAI account: an endpoint and a key.",
            len(saved) > len(demo),
            "Add a configuration" if who.is_administrator else "",
            account.CONFIGURATIONS_PAGE,
            "new",
        ),
        SetupStep(
            "First answer",
            "Send a prompt and see its tokens and cost.",
            bool(answered_pages()),
            "Open Chat" if saved else "",
            "showcase/chat.py",
        ),
    ]


def _try_next() -> None:
    """Draw the pages to try next that have not answered yet."""
    answered = answered_pages()
    following = [each for each in NEXT if each.page not in answered]
    if not following or len(answered) >= ENOUGH:
        return
    with st.container(border=True, gap="xsmall"):
        st.header("Try next", anchor=False)
        for each in following:
            with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
                st.page_link(each.script, label=each.title, icon=each.icon, width=190)
                st.markdown(f":gray[{each.sentence}]", width="stretch")


def _draw(step: SetupStep, *, is_next: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        icon = ":green[:material/check_circle:]" if step.is_done else ":gray[:material/radio_button_unchecked:]"
        st.markdown(f"{icon}\u2002**{step.title}**", width=190)
        st.markdown(f":gray[{plain(step.sentence)}]", width="stretch")
        if not step.action or step.is_done:
            return
        if st.button(step.action, type="primary" if is_next else "secondary", key=f"step:{step.title}"):
            st.switch_page(step.page, query_params={"edit": step.address} if step.address else None)
