"""The preview of a request."""

import streamlit as st

from connector import ChatCompletionsRequest, Message
from db import SavedConfiguration
from pages.shared import account, answers
from pages.shared.base import count, dollars, plain

LONG_PREVIEW = 300  # pixels


def draw(request: ChatCompletionsRequest, configuration: SavedConfiguration) -> None:
    """Draw the messages and the other parameters of a request, with its tokens and cost."""
    measured = account.measure(configuration, account.current_model(), ())
    tokens = measured.tokens(sum(len(message.text) for message in request.messages))
    cost = measured.cost(tokens)
    price = f", {dollars(float(cost.amount))}" if cost else ""
    with st.expander(plain(f"Request preview · about {count(tokens)} tokens{price}"), expanded=True, type="compact"):
        for message in request.messages:
            _preview(message)
        others = {name: value for name, value in request.body("").items() if name not in ("model", "messages")}
        if others:
            st.json(others, expanded=1)


def _preview(message: Message) -> None:
    st.caption(message.role.capitalize())
    if not isinstance(message.content, str):
        st.json(answers.shortened(message.body()), expanded=3)
        return
    text = answers.in_part(message.text)
    st.code(text, language=None, wrap_lines=True, height=LONG_PREVIEW if len(text) > 3_000 else "content")
