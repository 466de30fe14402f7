"""The three doors of a use case, named for the seed's operations.

Each door previews the request, sends it, records the call, draws the answer, and returns the response, or None until
there is one. A page calls one of them. A background thread writes and stores the answers, so that each page shows the
person's last answer, also after a reload.
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
    """Send one or both prompts without earlier messages. Draws its button here, and the answer in `answer`.

    `missing` is a sentence that says which input is missing; nothing is sent until it is empty. `draw` draws a complete
    response, given with its request, in place of its text.
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
    """Draw a stored chat in `talk` and its input in `below`; each message is sent with the earlier ones.

    A new chat is stored with its first message, together with `system_prompt`; from then on the address holds its id.
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
    """Send a full request and return the full response; otherwise as `without_history`.

    `request` may be None when `missing` says why.
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
            st.warning(base.plain(missing), icon=":material/edit:")
        elif pressed and request is not None and parts.begin(request, operation, is_streamed=is_streamed):
            st.rerun()
        return parts.show(draw, request, has_border=is_previewed)
