"""An answer while it is written: a component in the browser that receives and draws the new text.

Streamlit would send the whole text again with each word, and run the page's script for it.
"""

from pathlib import Path

import streamlit as st

from db import LoneAnswer, StoredMessage
from pages.shared import base

_HERE = Path(__file__).parent
_HTML = """
<details class="reasoning" open hidden><summary>Reasoning</summary><div></div></details>
<div class="content" role="group" aria-label="Answer being written" aria-busy="true"></div>
<p class="state" role="status"></p>
"""

_follow = st.components.v2.component(
    "live_answer",
    html=_HTML,
    css=(_HERE / "live_answer.css").read_text(),
    js=(_HERE / "live_answer.js").read_text(),
)


def follow(answer: StoredMessage | LoneAnswer, key: str, waiting_for: str) -> None:
    """Draw an answer while it is written, from its first word. The page runs again when the answer has ended."""
    data = {
        "key": key,
        "waiting_for": waiting_for,
        "since": int(answer.created_at.timestamp() * 1000),
        "begun": base.answers().begun(key),
    }
    _follow(key=f"live:{answer.id}", data=data, on_ended_change=st.rerun)
