"""Talk with a model that remembers what was said; every chat is stored and found again.

Group: talk. Icon: chat.
"""

import streamlit as st

from pages.shared import conversation, use_case

chat = conversation.from_address()
use_case.head(conversation.title(chat), "With history: all that was said goes along with each message.")
talk, rail = st.columns([3.4, 1], gap="large")
with rail, st.container(key="rail"):
    conversation.rail(chat)
with st.bottom:
    below = st.container()

use_case.with_history(chat, talk=talk, below=below)
