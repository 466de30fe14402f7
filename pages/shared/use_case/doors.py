"""The three doors of a use case, named for the seed's operations.

Each previews what will be sent, sends it, draws and books the answer, and returns the response, or None until there is
one. A page calls one of them; what it does with the shape of the result is its own affair. Answers are written beside
the page and stored: each page shows the person's last one there, whatever happened to the browser meanwhile.
"""

import re
from typing import NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from connector import ChatCompletionsRequest, ChatCompletionsResponse, Message
from db import LoneAnswer, MessageStatus, SavedConfiguration
from pages.shared.account import ability, picker
from pages.shared.answers import answer as answers
from pages.shared.base import runtime
from pages.shared.base.formatting import count, dollars, plain
from pages.shared.chat import conversation, history
from pages.shared.chat import outgoing as chat_outgoing
from pages.shared.chat import stored as stored_chat
from pages.shared.chat import turn as chat_turn

LONG_PREVIEW = 300  # pixels


class Link(NamedTuple):
    label: str
    url: str


PROMPT_ENGINEERING = Link("How to write a prompt", "https://platform.openai.com/docs/guides/prompt-engineering")
TEXT_GENERATION = Link("Text generation", "https://platform.openai.com/docs/guides/text-generation")
API_REFERENCE = Link("Every field of the request", "https://platform.openai.com/docs/api-reference/chat/create")


def head(title: str, sentence: str, *links: Link) -> DeltaGenerator:
    """What every page starts with, and where one reads on; returns where its actions go, at the right."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(gap=None, width="stretch"):
            st.title(plain(title), anchor=False)
            more = "".join(f"\u2002[{link.label}]({link.url})" for link in links)
            st.markdown(f":small[:gray[{sentence}]{more}]")
        actions = st.container(horizontal=True, width="content", gap="small", vertical_alignment="center")
    picker.demo_line()
    return actions


def columns() -> tuple[DeltaGenerator, DeltaGenerator]:
    """Where the inputs go, and where the answer goes."""
    inputs, answer = st.columns([2, 3], gap="large")
    return inputs, answer


def quoted(text: str) -> str:
    """A person's text, made fit to stand between triple quotes."""
    return text.replace('"""', "'''").strip()


def unquoted(prompt: str) -> list[str]:
    """What stands between triple quotes in a prompt."""
    return re.findall(r'"""(.*?)"""(?!")', prompt, re.DOTALL)  # the text may end with a quote of its own


# -- the doors


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
    except runtime.InvalidRequest as error:
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
    page = picker.page_name()
    configuration = picker.current()
    said = stored_chat.conversation(session_id)
    if session_id is None and system_prompt is not None:
        stored_chat.tell(system_prompt)
    chat_turn.offer_again(page, said)
    with talk:
        next_turn = conversation.draw(session_id, said)
        if configuration is None:
            picker.guidance()
            return
        if not said.said:
            st.markdown(":gray[Nothing said yet. Each message goes along with all that was said before it.]")
            chat_turn.suggestions(page, session_id, suggestions)
        with next_turn:
            conversation.draw_next(page, session_id, said.said[-1].id if said.said else 0)
    with below:
        chat_outgoing.line(page, session_id, said, configuration)


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
    page, configuration = picker.page_name(), picker.current()
    if configuration is None:
        picker.guidance()
        with answer:
            return show(draw, has_border=is_previewed) if last() else None  # it outlives the last configuration
    is_busy = is_writing()  # first: what is told of the configuration then knows how an answer ended that is shown
    ability.tell(page, configuration)
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
        preview(request, configuration)
    with answer:
        if pressed and missing:
            st.warning(missing, icon=":material/edit:")
        elif pressed and request is not None and begin(request, operation, is_streamed=is_streamed):
            st.rerun()
        return show(draw, request, has_border=is_previewed)


# -- what the doors are made of


def begin(request: ChatCompletionsRequest, operation: str, *, part: str = "", is_streamed: bool = True) -> bool:
    """Send a request whose answer stands alone; whether that has begun. What is in the way is told here.

    `part` tells several answers of one page apart.
    """
    page, configuration = picker.page_name(), picker.current()
    if configuration is None:
        return False
    asked = ChatCompletionsRequest(**{**dict(request), "model": picker.current_model()})
    try:
        runtime.start_alone(
            configuration, asked, page=page, place=_place(part), operation=operation, is_streamed=is_streamed
        )
    except runtime.StillWriting:  # it was pressed twice
        pass
    except runtime.InvalidRequest as error:
        st.warning(plain(str(error)), icon=":material/edit:")
        return False
    except (runtime.StorageError, runtime.NotFound) as error:
        st.error(plain(str(error)), icon=":material/error:")
        return False
    return True


def last(part: str = "") -> LoneAnswer | None:
    """The person's last answer here, however far it is."""
    place = _place(part)
    return runtime.once(f"alone:{place}", lambda: runtime.database().turns.last_alone(runtime.person(), place))


def is_writing(part: str = "") -> bool:
    """Whether an answer is being written here."""
    answer = last(part)
    return answer is not None and answer.status is MessageStatus.WRITING


def show(
    draw: answers.Draw | None = None,
    request: ChatCompletionsRequest | None = None,
    *,
    part: str = "",
    has_border: bool = True,
) -> ChatCompletionsResponse | None:
    """Draw the last answer here; `request` is what would be sent now. Returns the response of a complete one."""
    answer = last(part)
    if answer is None:
        st.markdown(":gray[The answer appears here.]")
        return None
    with st.container(border=has_border):
        answers.show(answer, draw)
        if request is not None and not is_writing(part) and is_another(request, answer):
            st.caption("The inputs have changed since this answer.")
    return answer.response if answer.status is MessageStatus.COMPLETE else None


def forget(part: str = "") -> None:
    """Delete the last answer here; what its call cost stays in the ledger."""
    if answer := last(part):
        runtime.database().chat_sessions.delete(runtime.person(), answer.session_id)


def preview(request: ChatCompletionsRequest, configuration: SavedConfiguration) -> None:
    """What will be sent, message by message, and what goes along with them."""
    measured = history.measure(configuration, picker.current_model(), ())
    tokens = measured.tokens(sum(len(message.text) for message in request.messages))
    cost = measured.cost(tokens)
    price = f", {dollars(float(cost.amount))}" if cost else ""
    with st.expander(plain(f"What will be sent · about {count(tokens)} tokens{price}"), expanded=True, type="compact"):
        for message in request.messages:
            _preview(message)
        others = {name: value for name, value in request.body("").items() if name not in ("model", "messages")}
        if others:
            st.json(others, expanded=1)


def _preview(message: Message) -> None:
    st.caption(message.role.capitalize())
    if not isinstance(message.content, str):
        st.json(chat_outgoing.shortened(message.body()), expanded=3)
        return
    text = chat_outgoing.in_part(message.text)
    st.code(text, language=None, wrap_lines=True, height=LONG_PREVIEW if len(text) > 3_000 else "content")


def is_another(request: ChatCompletionsRequest, answer: LoneAnswer) -> bool:
    """Whether it asks for something else than what was answered, and not for what comes behind that."""
    body, before = request.body(""), answer.request["messages"]
    return {**body, "model": None, "messages": body["messages"][: len(before)]} != {**answer.request, "model": None}


def _place(part: str) -> str:
    page = picker.page_name()
    return f"{page}:{part}" if part else page
