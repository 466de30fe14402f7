"""An answer on a page: while it is written, what it came to, and what it cost."""

from collections.abc import Callable

import streamlit as st

from connector import CallStatus, ChatCompletionsRequest, ChatCompletionsResponse
from db import Call, LoneAnswer, MessageStatus, StoredMessage
from pages.shared import base
from pages.shared.answers import code, live_answer
from pages.shared.base import count, dollars, plain, reports_errors, seconds

Draw = Callable[[ChatCompletionsResponse, ChatCompletionsRequest], None]
"""Draws the shape of a response to this request, where it has one of its own."""

_ENDINGS = {
    "length": ":orange[:material/content_cut: Cut off: the answer reached its token limit.]",
    "content_filter": ":orange[:material/filter_alt: The provider's content filter left something out.]",
    "tool_calls": ":gray[:material/build: The model asked for a tool instead of answering.]",
}
_STATES = {
    CallStatus.STOPPED: ":orange[:material/stop_circle: Stopped. What came until then is kept.]",
    CallStatus.INTERRUPTED: ":orange[:material/link_off: Cut off before its end. What came until then is kept.]",
    CallStatus.RUNNING: ":gray[:material/pending: Still being written.]",
}


def show_writing(answer: StoredMessage | LoneAnswer) -> None:
    """An answer that is being written: what there is of it, what comes, and a way to stop it."""
    key = base.answers().follow(base.person(), answer.id)
    live_answer.follow(answer, key, answer.call.configuration_name if answer.call else "the provider")
    st.button(
        "Stop",
        icon=":material/stop_circle:",
        type="tertiary",
        key=f"stop:{answer.id}",
        on_click=_stop,
        args=(answer.id,),
    )


@reports_errors
def _stop(answer_id: int) -> None:
    with base.changing():
        base.answers().stop(base.person(), answer_id)
    st.rerun()  # all of the page, also where only a part of it was drawn


def show(answer: LoneAnswer, draw: Draw | None = None) -> None:
    """An answer that stands alone, however far it is; `draw` is for one that is complete."""
    if answer.status is MessageStatus.WRITING:
        show_writing(answer)
        return
    show_reasoning(answer)
    if draw and answer.response and answer.status is MessageStatus.COMPLETE and _has_shape(answer.response):
        draw(answer.response, ChatCompletionsRequest.of_body(answer.request))
    elif answer.content:
        st.markdown(answer.content)
    elif answer.call.status is CallStatus.DONE:
        show_empty()
    show_footer(
        answer.call,
        lambda: ChatCompletionsRequest.of_body(answer.request),
        actions=lambda: base.draw_copy_button(answer.content, str(answer.id)) if answer.content else None,
    )


def _has_shape(response: ChatCompletionsResponse) -> bool:
    """Whether there is something to draw: a text or a call, and not a refusal or nothing."""
    messages = [choice.message for choice in response.choices]
    return any(message and (message.content or message.tool_calls) for message in messages)


def show_reasoning(answer: StoredMessage | LoneAnswer) -> None:
    """What the model thought, where the provider tells."""
    if answer.reasoning:
        with st.expander("Reasoning", type="compact"):
            st.text(answer.reasoning)


def show_footer(
    call: Call,
    request: Callable[[], ChatCompletionsRequest] | None = None,
    *,
    actions: Callable[[], None] = lambda: None,
) -> None:
    """What stands under an answer: trouble, or how it ended, and the quiet line; with the request, also its code.

    `actions` draws what else can be done with it.
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
    """What stands where an answer has no text."""
    st.markdown(":gray[The model answered without any text.]")


def ending(call: Call) -> None:
    """A quiet sentence where an answer did not simply end."""
    words = _STATES.get(call.status) or _ENDINGS.get(call.finish_reason or "")
    if words:
        st.markdown(f":small[{words}]")
    if call.filtered:
        st.markdown(f":small[:orange[What it stopped: {plain(call.filtered)}.]]")


def line(call: Call) -> None:
    """What answered, how long it took, how many tokens it was and what they cost: the quiet line under every answer."""
    facts = [call.model_answered or call.model_asked]
    if call.time_to_first_token is not None:
        facts.append(f"first token {seconds(call.time_to_first_token)}")
    if call.duration is not None:
        facts.append(f"{seconds(call.duration)} in all")
    if call.total_tokens is None:
        facts.append("tokens not reported")
    else:
        facts.append(f"{count(call.prompt_tokens)} in, {count(call.completion_tokens)} out")
        facts.append(dollars(call.cost) if call.cost is not None else "no price known")
    if call.finish_reason not in (None, "stop"):
        facts.append(str(call.finish_reason))
    st.caption(plain("  ·  ".join(facts)), width="stretch")


def changes(call: Call) -> None:
    """What was changed in the request because its model does not take it."""
    if not call.adaptations:
        return
    number = len(call.adaptations)
    label = "1 parameter changed" if number == 1 else f"{number} parameters changed"
    with st.popover(label, type="tertiary", icon=":material/build:"):
        st.markdown("The model does not take all that was asked for. Sent instead, and remembered for it:")
        st.markdown("\n".join(f"- {plain(each)}" for each in call.adaptations))
