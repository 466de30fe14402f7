"""What went over the wire: a request and its response, as JSON."""

import json
from typing import Any

import streamlit as st

from connector import ChatCompletionsRequest
from pages.shared import chat_outgoing, use_case


def draw(part: str, request: ChatCompletionsRequest) -> None:
    """What was sent for the last answer of this part of a page, and what came; before that, what would be sent."""
    answer = use_case.last(part)
    st.caption("Request" if answer else "Will be sent")
    _json(answer.sent if answer else {"messages": request.body("")["messages"], **_options(request)})
    if answer and answer.response:
        st.caption("Response, put together from its stream" if answer.sent.get("stream") else "Response")
        _json(answer.response.to_dict(mode="json"))


def _options(request: ChatCompletionsRequest) -> dict[str, Any]:
    return {name: value for name, value in request.body("").items() if name not in ("model", "messages")}


def _json(body: dict[str, Any]) -> None:
    if isinstance(body.get("messages"), list):
        body = body | {"messages": [chat_outgoing.shortened(message) for message in body["messages"]]}
    st.code(json.dumps(body, indent=2, ensure_ascii=False), "json", wrap_lines=True, height=320)
