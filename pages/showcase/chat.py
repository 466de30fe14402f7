"""Talk with a model that remembers the conversation. Every chat is stored.

Group: talk. Icon: chat.
"""

import streamlit as st

from pages.shared import chat, use_case

SUGGESTIONS = (
    "Explain tokens to a colleague in three sentences.",
    "Plan a one-hour workshop about writing prompts.",
    "Write a limerick about a lost umbrella.",
)

chat_id = chat.from_address()
actions = use_case.head(
    chat.title(chat_id),
    "With history: each message is sent with all earlier messages. Their size and cost are shown below.",
    use_case.TEXT_GENERATION,
)
talk, rail = st.columns([3.4, 1], gap="large")
with st.bottom:
    below = st.container()

use_case.with_history(chat_id, talk=talk, below=below, suggestions=SUGGESTIONS)  # first: it is what one waits for
with rail:
    chat.draw_rail(chat_id)
with actions:
    chat.draw_drawer(chat_id)
    chat.draw_settings(chat_id)
