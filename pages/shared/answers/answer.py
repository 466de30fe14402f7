"""One answer on a page: while it is written, its result and its cost."""

from collections.abc import Callable

import streamlit as st
from pydantic import BaseModel

from connector import CallStatus, ChatCompletionsRequest, ChatCompletionsResponse
from db import Call, LoneAnswer, MessageStatus, StoredMessage
from pages.shared import base
from pages.shared.answers import code, live_answer
from pages.shared.answers.markdown import draw_markdown
from pages.shared.base import count, dollars, plain, reports_errors, seconds

Draw = Callable[[ChatCompletionsResponse, ChatCompletionsRequest], None]
"""Draws a complete response to this request, for example as a table."""

_ENDINGS = {
    "length": ":orange[:material/content_cut: The answer was cut off: it reached the token limit.]",
    "content_filter": ":orange[:material/filter_alt: The provider's content filter removed a part of the answer.]",
    "tool_calls": ":gray[:material/build: The model called a tool instead of answering.]",
}
_STATES = {
    CallStatus.STOPPED: ":orange[:material/stop_circle: Stopped. The partial text is kept.]",
    CallStatus.INTERRUPTED: ":orange[:material/link_off: The answer was cut off. The partial text is kept.]",
    CallStatus.RUNNING: ":gray[:material/pending: Still running.]",
}


def show_writing(answer: StoredMessage | LoneAnswer) -> None:
    """Draw an answer that is being written, and a button to stop it."""
    key = base.answers().follow(base.person(), answer.id)
    live_answer.follow(answer, key, answer.call.configuration_name if answer.call else "the provider")
    st.button(
        "Stop",
        icon=":material/stop_circle:",
        type="tertiary",
        key=f"stop:{answer.id}",
        shortcut="escape",
        on_click=_stop,
        args=(answer.id,),
    )


@reports_errors
def _stop(answer_id: int) -> None:
    with base.changing():
        base.answers().stop(base.person(), answer_id)
    st.rerun()  # the whole page, also when only a fragment was running


def show(answer: LoneAnswer, draw: Draw | None = None) -> None:
    """Draw an answer outside a chat, in whatever state; `draw` draws a complete one."""
    if answer.status is MessageStatus.WRITING:
        show_writing(answer)
        return
    show_reasoning(answer)
    if draw and answer.response and answer.status is MessageStatus.COMPLETE and has_shape(answer.response):
        draw(answer.response, ChatCompletionsRequest.of_body(answer.request))
    elif answer.content:
        draw_markdown(answer.content)
    elif answer.call.status is CallStatus.DONE:
        show_empty()
    show_footer(
        answer.call,
        lambda: ChatCompletionsRequest.of_body(answer.request),
        actions=lambda: base.draw_copy_button(answer.content, str(answer.id)) if answer.content else None,
    )


def has_shape(response: ChatCompletionsResponse) -> bool:
    """Whether a response has text or tool calls; a refusal has neither, and so does what a page cannot read."""
    choices = response.choices if isinstance(response.choices, list) else []
    messages = [choice.message for choice in choices if _is_readable(choice)]
    return len(messages) == len(choices) and any(each and (each.content or each.tool_calls) for each in messages)


def _is_readable(choice: object) -> bool:
    """Whether the values that pages draw have their types: a server may send anything, and it is stored as it came."""
    message = getattr(choice, "message", None)
    calls = getattr(message, "tool_calls", None) or []
    texts = [getattr(message, "content", None), getattr(message, "refusal", None), getattr(choice, "finish_reason", 0)]
    return (
        isinstance(message, BaseModel | None)
        and all(isinstance(text, str | None) for text in texts)
        and isinstance(getattr(choice, "index", ""), int | None)
        and isinstance(calls, list)
        and all(isinstance(call, BaseModel) for call in calls)
    )


def show_reasoning(answer: StoredMessage | LoneAnswer) -> None:
    """Draw the reasoning of the model, when the provider returns it."""
    if answer.reasoning:
        with st.expander("Reasoning", type="compact"):
            st.text(answer.reasoning)


def show_footer(
    call: Call,
    request: Callable[[], ChatCompletionsRequest] | None = None,
    *,
    actions: Callable[[], None] = lambda: None,
) -> None:
    """Draw what stands below an answer: its error or how it ended, then its figures; with `request`, also its code.

    `actions` draws the buttons for the answer.
    """
    if call.error:
        st.error(plain(call.error), icon=":material/error:")
    else:
        ending(call)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        line(call)
        with st.container(horizontal=True, width="content", gap="small"):
            changes(call)
            actions()
            if request is not None:
                code.button(str(call.id), call.configuration_id, request)


def show_empty() -> None:
    """Say that an answer has no text."""
    st.markdown(":gray[The model returned no text.]")


def ending(call: Call) -> None:
    """Say why an answer is not complete, when it is not."""
    words = _STATES.get(call.status) or _ENDINGS.get(call.finish_reason or "")
    if words:
        st.markdown(f":small[{words}]")
    if call.filtered:
        st.markdown(f":small[:orange[Filtered: {plain(call.filtered)}.]]")


def line(call: Call) -> None:
    """Draw the model, the times, the tokens and the cost of a call, in one line."""
    facts = [call.model_answered or call.model_asked]
    if call.time_to_first_token is not None:
        facts.append(f"first token {seconds(call.time_to_first_token)}")
    if call.duration is not None:
        facts.append(f"{seconds(call.duration)} in all")
    if call.total_tokens is None:
        facts.append("tokens not reported")
    else:
        facts.append(f"{count(call.prompt_tokens)} in, {count(call.completion_tokens)} out")
        if call.cost is not None:  # the card of the configuration says that no price is known
            facts.append(dollars(call.cost))
    if call.finish_reason not in (None, "stop"):
        facts.append(str(call.finish_reason))
    st.caption(plain("  ·  ".join(facts)), width="stretch")


def changes(call: Call) -> None:
    """List the changes to the request that the model made necessary."""
    if not call.adaptations:
        return
    number = len(call.adaptations)
    label = "1 parameter changed" if number == 1 else f"{number} parameters changed"
    with st.popover(label, type="tertiary", icon=":material/build:"):
        st.markdown(
            "The model does not support all parameters of the request. These changes were sent and are remembered:"
        )
        st.markdown("\n".join(f"- {plain(each)}" for each in call.adaptations))
