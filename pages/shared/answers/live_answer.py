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

_STATIC = Path(st.__file__).parent / "static"


def _katex() -> dict[str, str]:
    """Where Streamlit serves what draws its formulas: the script and its style."""
    (script,) = _STATIC.glob("static/js/rehype-katex.*.js")
    (style,) = (each for each in _STATIC.glob("static/css/*.css") if "KaTeX_Main" in each.read_text())
    return {"script": script.relative_to(_STATIC).as_posix(), "style": style.relative_to(_STATIC).as_posix()}


_KATEX = _katex()
_follow = st.components.v2.component(
    "live_answer",
    html=_HTML,
    css=(_HERE / "live_answer.css").read_text(),
    js="\n".join((_HERE / name).read_text() for name in ("live_markdown.js", "live_answer.js")),
)


def follow(answer: StoredMessage | LoneAnswer, key: str, waiting_for: str) -> None:
    """Draw an answer while it is written, from its first word. The page runs again when the answer has ended."""
    data = {
        "key": key,
        "waiting_for": waiting_for,
        "since": int(answer.created_at.timestamp() * 1000),
        "katex": _KATEX,
        "begun": base.answers().begun(key),
    }
    _follow(key=f"live:{answer.id}", data=data, on_ended_change=st.rerun)
