"""The head and the columns of a page."""

from typing import NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.shared.account import picker
from pages.shared.base import plain


class Link(NamedTuple):
    label: str
    url: str


PROMPT_ENGINEERING = Link("How to write a prompt", "https://platform.openai.com/docs/guides/prompt-engineering")
TEXT_GENERATION = Link("Text generation", "https://platform.openai.com/docs/guides/text-generation")
API_REFERENCE = Link("Every field of the request", "https://platform.openai.com/docs/api-reference/chat/create")


def head(title: str, sentence: str, *links: Link) -> DeltaGenerator:
    """Draw the title, a sentence and links to documentation. Returns the container for actions, at the right."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(gap=None, width="stretch"):
            st.title(plain(title), anchor=False)
            more = "".join(f"\u2002[{link.label}]({link.url})" for link in links)
            st.markdown(f":small[:gray[{sentence}]{more}]")
        actions = st.container(horizontal=True, width="content", gap="small", vertical_alignment="center")
    picker.draw_demo_line()
    return actions


def columns() -> tuple[DeltaGenerator, DeltaGenerator]:
    """The containers for the inputs and for the answer."""
    inputs, answer = st.columns([2, 3], gap="large")
    return inputs, answer
