"""A request and its response, as the JSON that was sent and received."""

from typing import Any

import streamlit as st

from connector import ChatCompletionsRequest
from pages.shared import answers
from pages.shared.base import as_json
from pages.shared.use_case import parts


def draw_wire(part: str, request: ChatCompletionsRequest) -> None:
    """Draw the next request, if the inputs have changed, and the last request of this part with its response."""
    answer = parts.last(part)
    if answer is None or parts.is_another(request, answer):
        st.caption("Will be sent")
        _json({name: value for name, value in request.body("").items() if name != "model"})
    if answer is None:
        return
    st.caption("Request")
    _json(answer.sent)
    if answer.response:
        st.caption("Response, assembled from the stream" if answer.sent.get("stream") else "Response")
        _json(answer.response.to_dict(mode="json", warnings=False))  # the warnings of pydantic quote the response


def _json(body: dict[str, Any]) -> None:
    if isinstance(body.get("messages"), list):
        body = body | {"messages": [answers.shortened(message) for message in body["messages"]]}
    st.code(as_json(body), "json", wrap_lines=True)
