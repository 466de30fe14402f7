"""Set each parameter of a request, and see the full response."""

from typing import Any

import streamlit as st

from connector import ChatCompletionsRequest, ChatCompletionsResponse, InvalidRequest
from pages.shared import answers, tuner, use_case
from pages.shared.base import UNKNOWN, as_json, count, moment, plain

SYSTEM_PROMPT = "You name things. Answer with one name and one sentence."
USER_PROMPT = "A small tool that shows which cron jobs overlap."


def draw_choices(response: ChatCompletionsResponse, request: ChatCompletionsRequest) -> None:
    st.header("One choice" if len(response.choices) == 1 else f"{len(response.choices)} choices", anchor=False)
    answers.choices(response, request)


def draw_response(response: ChatCompletionsResponse, sent: dict[str, Any]) -> None:
    raw, usage = st.tabs(["Raw", "Usage"])
    with raw:
        left, right = st.columns(2)
        left.caption("Request")
        left.code(as_json(sent), language="json", wrap_lines=True)
        right.caption("Response")
        # Without the warnings of pydantic, which quote the response.
        right.code(as_json(response.to_dict(mode="json", warnings=False)), "json", wrap_lines=True)
    with usage:
        # A server may send anything in place of a number or a text.
        rows = {
            "Prompt tokens": count(getattr(response.usage, "prompt_tokens", None)),
            "Completion tokens": count(getattr(response.usage, "completion_tokens", None)),
            "Total tokens": count(getattr(response.usage, "total_tokens", None)),
            "Model": response.model or UNKNOWN,
            "Created": moment(response.created),
            "System fingerprint": response.system_fingerprint or UNKNOWN,
            "Id": response.id or UNKNOWN,
        }
        st.table({name: plain(str(value)) for name, value in rows.items()}, border="horizontal")
        st.link_button(
            "Managing tokens",
            "https://platform.openai.com/docs/guides/text-generation/managing-tokens",
            type="tertiary",
            icon=":material/open_in_new:",
        )


use_case.head(
    "Tuner", "Set the parameters of a request and see the full response. Only the parameters that you set are sent."
)
left, right = st.columns([2.2, 1], gap="large")
with right:
    options = tuner.form()
with left:
    system_prompt = st.text_area(
        "System",
        SYSTEM_PROMPT,
        height=80,
        key="tuner:system",
        persist_state="session",
        help=f"Tells the model how to answer. [How to write a prompt]({use_case.PROMPT_ENGINEERING.url})",
    )
    user_prompt = st.text_area("User", USER_PROMPT, height=100, key="tuner:user", persist_state="session")
    request, missing = None, ""
    try:
        request = ChatCompletionsRequest.of_prompts(user_prompt, system_prompt=system_prompt, **options)
    except InvalidRequest as error:
        missing = str(error)
    send, answer = st.container(), st.container()
    with send:
        response = use_case.advanced(
            request, answer=answer, missing=missing, draw=draw_choices, is_streamed=False, is_previewed=False
        )
    if response and (last := use_case.last()):
        draw_response(response, last.sent)
