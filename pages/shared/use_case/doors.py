"""The three doors of a use case, named for the seed's operations.

Each previews what will be sent, sends it, draws and books the answer, and returns the response, or None until there is
one. A page calls one of them; what it does with the shape of the result is its own affair. Answers are written beside
the page and stored: each page shows the person's last one there, whatever happened to the browser meanwhile.
"""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from connector import ChatCompletionsRequest, ChatCompletionsResponse
from pages.shared import account, answers, base, chat
from pages.shared.use_case import parts, preview


def without_history(
    *,
    answer: DeltaGenerator,
    user_prompt: str = "",
    system_prompt: str = "",
    action: str = "Send",
    missing: str = "",
    draw: answers.Draw | None = None,
) -> ChatCompletionsResponse | None:
    """One call with one or both prompts; nothing said before goes along. Draws its button here, the answer there.

    `missing` is a sentence that says what is still to be filled in; nothing is sent until it is empty. `draw` is given
    a complete response and the request that it answers, where its text is not what should be seen.
    """
    request = None
    try:
        request = ChatCompletionsRequest.of_prompts(user_prompt, system_prompt=system_prompt)
    except base.InvalidRequest as error:
        missing = missing or str(error)
    return _alone("execute_without_history", request, answer, action, missing, draw)


def with_history(
    session_id: str | None,
    *,
    talk: DeltaGenerator,
    below: DeltaGenerator,
    suggestions: tuple[str, ...] = (),
    system_prompt: str | None = None,
) -> None:
    """A stored conversation: draws it in `talk`, the input in `below`, sends what goes along with the next message.

    The session begins with its first message, or a suggestion; its id stands in the address then, and `system_prompt`
    with it. The answer is written beside the page, which draws what there is of it.
    """
    chat.draw_chat(session_id, talk=talk, below=below, suggestions=suggestions, system_prompt=system_prompt)


def advanced(
    request: ChatCompletionsRequest | None,
    *,
    answer: DeltaGenerator,
    action: str = "Send",
    missing: str = "",
    draw: answers.Draw | None = None,
    is_streamed: bool = True,
    is_previewed: bool = True,
) -> ChatCompletionsResponse | None:
    """The full request in, the full response out; otherwise as `without_history`.

    `request` may be None where `missing` says why there is none.
    """
    return _alone(
        "call_api", request, answer, action, missing, draw, is_streamed=is_streamed, is_previewed=is_previewed
    )


def _alone(
    operation: str,
    request: ChatCompletionsRequest | None,
    answer: DeltaGenerator,
    action: str,
    missing: str,
    draw: answers.Draw | None,
    *,
    is_streamed: bool = True,
    is_previewed: bool = True,
) -> ChatCompletionsResponse | None:
    page, configuration = account.page_name(), account.current_configuration()
    if configuration is None:
        account.draw_guidance()
        with answer:
            # The last answer stays when the last configuration is deleted.
            return parts.show(draw, has_border=is_previewed) if parts.last() else None
    # First, so that the warning about the configuration already knows how the answer ended.
    is_busy = parts.is_writing()
    account.warn_if_unable(page, configuration)
    pressed = st.button(
        action,
        type="primary",
        icon=":material/send:",
        shortcut="ctrl+enter",
        width="stretch" if is_previewed else "content",
        key=f"send:{page}",
        disabled=is_busy,
    )
    if request is not None and is_previewed:
        preview.draw(request, configuration)
    with answer:
        if pressed and missing:
            st.warning(missing, icon=":material/edit:")
        elif pressed and request is not None and parts.begin(request, operation, is_streamed=is_streamed):
            st.rerun()
        return parts.show(draw, request, has_border=is_previewed)
