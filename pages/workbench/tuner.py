"""Set each parameter of a request, and see the full response."""

import json
from typing import Any

import streamlit as st

from connector import ChatCompletionsRequest, ChatCompletionsResponse, InvalidRequest
from pages.shared import answers, tuner, use_case
from pages.shared.base import UNKNOWN, count, moment, plain

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
        left.code(json.dumps(sent, indent=2, ensure_ascii=False), language="json", wrap_lines=True)
        right.caption("Response")
        right.code(json.dumps(response.to_dict(mode="json"), indent=2, ensure_ascii=False), "json", wrap_lines=True)
    with usage:
        tokens = response.usage
        rows = {
            "Prompt tokens": count(tokens.prompt_tokens if tokens else None),
            "Completion tokens": count(tokens.completion_tokens if tokens else None),
            "Total tokens": count(tokens.total_tokens if tokens else None),
            "Model": response.model or UNKNOWN,
            "Created": moment(response.created),
            "System fingerprint": response.system_fingerprint or UNKNOWN,
            "Id": response.id or UNKNOWN,
        }
        st.table({name: plain(value) for name, value in rows.items()}, border="horizontal")
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
        missing = plain(str(error))
    send, answer = st.container(), st.container()
    with send:
        response = use_case.advanced(
            request, answer=answer, missing=missing, draw=draw_choices, is_streamed=False, is_previewed=False
        )
    if response and (last := use_case.last()):
        draw_response(response, last.sent)
