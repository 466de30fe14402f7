"""A stored chat on a page: its messages, and the actions on each."""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import takewhile

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from connector import CallStatus, ChatCompletionsRequest, Role
from db import Conversation, MessageStatus, StoredMessage
from pages.shared import account, answers, base
from pages.shared.base import plain
from pages.shared.chat import draft, history, keys, outgoing, stored, turn

TURN = 4
"""Messages of the last two turns: the page may not know yet that the first of them has ended."""
AVATARS = {Role.USER: ":material/person:", Role.ASSISTANT: ":material/bolt:"}


def draw_chat(
    session_id: str | None,
    *,
    talk: DeltaGenerator,
    below: DeltaGenerator,
    suggestions: tuple[str, ...] = (),
    system_prompt: str | None = None,
) -> None:
    """Draw a stored chat in `talk` and its input in `below`.

    A new chat is stored with its first message, together with `system_prompt`; from then on the address holds its id.
    A background thread writes each answer, and the page draws it.
    """
    page = account.page_name()
    configuration = account.current_configuration()
    said = stored.conversation(session_id)
    if session_id is None and system_prompt is not None:
        stored.set_system_prompt(system_prompt)
    with talk:
        next_turn = draw(session_id, said)
        if configuration is None:
            account.draw_guidance()
            return
        if not said.said:
            st.markdown(":gray[No messages yet. Each message is sent with all earlier messages.]")
            turn.suggestions(page, session_id, suggestions)
        with next_turn:
            draw_next(page, session_id, said.said[-1].id if said.said else 0)
    with below:
        outgoing.line(page, session_id, said, configuration)


def draw(session_id: str | None, said: Conversation) -> DeltaGenerator:
    """Draw the last messages, and a button for earlier ones. Returns the container behind them, for `draw_next`."""
    if session_id is None:
        return st.container()
    if len(said.said) > len(said.messages):
        st.button(
            f"Show earlier messages ({len(said.said) - len(said.messages):,})",
            type="tertiary",
            icon=":material/expand_less:",
            on_click=stored.show_more,
            args=(session_id,),
        )
    talk = st.container()
    for messages in _turns(said.messages):
        # A fragment has a container, too. So its messages are redrawn in place and do not flicker.
        with talk, st.container():
            _draw_all(session_id, said, messages)
    return talk


def _turns(messages: Iterable[StoredMessage]) -> list[list[StoredMessage]]:
    """The messages grouped into turns. The first group may be an answer whose question is not drawn."""
    turns: list[list[StoredMessage]] = []
    for message in messages:
        if message.role is Role.USER or not turns:
            turns.append([])
        turns[-1].append(message)
    return turns


@st.fragment
def draw_next(page: str, session_id: str | None, last: int) -> None:
    """Draw the messages after `last`, and the input. Sending a message runs only this fragment of the page.

    The browser takes its time for each element of a page whose script runs as a whole.
    """
    try:
        with base.one_run():
            said = stored.conversation(session_id, last=TURN)
            if session_id is not None:
                _draw_all(session_id, said, [message for message in said.messages if message.id > last])
            turn.failure(page)
            draft.keep_draft(page, session_id)
            with st._main:  # Streamlit keeps the end of the chat in view only for an input outside containers
                turn.input_box(page, session_id)
    except (base.StorageError, base.NotFound) as error:  # a fragment runs without the frame
        st.error(plain(str(error)), icon=":material/error:")


def _draw_all(session_id: str, said: Conversation, messages: Sequence[StoredMessage]) -> None:
    beside = said.beside if messages and messages[-1].id == said.messages[-1].id else None
    for message in messages[:-1] if beside else messages:
        _draw(session_id, said, message)
    if beside:
        both = st.columns(2, gap="medium")
        for column, message in zip(both, (messages[-1], beside), strict=True):
            with column:
                _draw(session_id, said, message)


def _draw(session_id: str, said: Conversation, message: StoredMessage) -> None:
    with st.chat_message(message.role, avatar=AVATARS.get(message.role)):
        if message.role is not Role.USER:
            _draw_answer(session_id, said, message)
        elif st.session_state.get(keys.EDITING) == message.id:
            _draw_editor(session_id, message)
        else:
            _draw_question(session_id, said, message)


def _draw_question(session_id: str, said: Conversation, message: StoredMessage) -> None:
    # A person's text is shown as typed and not as Markdown.
    is_short = len(message.content) < 80 and "\n" not in message.content
    with st.container(horizontal=True, vertical_alignment="center" if is_short else "top", gap="small", wrap=False):
        st.text(message.content, width="stretch")
        with st.container(horizontal=True, width="content", gap="xsmall", vertical_alignment="center"):
            _versions(session_id, said, message)
            st.button(
                "Edit",
                key=f"edit:{message.id}",
                type="tertiary",
                on_click=_set,
                args=(keys.EDITING, message.id),
            )
    if message.images:
        answers.draw_pictures(message.images)


def _draw_editor(session_id: str, message: StoredMessage) -> None:
    key = f"edited:{message.id}"
    st.text_area("Your message", message.content, key=key, label_visibility="collapsed", height="content")
    st.caption("Asks again from this message on. The earlier messages stay as another version.")
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Send",
            type="primary",
            shortcut="ctrl+enter",
            on_click=turn.edit,
            args=(account.page_name(), session_id, message.id, key),
        )
        st.button("Cancel", on_click=_set, args=(keys.EDITING, None))


def _draw_answer(session_id: str, said: Conversation, message: StoredMessage) -> None:
    is_compared = said.beside is not None and message.id in {said.beside.id, said.messages[-1].id}
    if is_compared:
        sent = message.earlier_sent
        st.markdown(f"**With {sent} earlier messages**" if message is not said.beside else "**Without history**")
    if message.status is MessageStatus.WRITING:
        answers.show_writing(message)
        return
    answers.show_reasoning(message)
    if message.content:
        answers.draw_markdown(message.content, _formulas(said, message))
    if message.call is None:
        return
    if not message.content and message.call.status is CallStatus.DONE:
        answers.show_empty()
    is_last = message.id == said.said[-1].id
    answers.show_footer(
        message.call,
        # A picture would make the code megabytes long.
        partial(_request_of, session_id, said) if is_last and not any(each.images for each in said.said) else None,
        actions=partial(_actions, session_id, said, message, is_last=is_last, is_beside=message is said.beside),
    )


def _formulas(said: Conversation, message: StoredMessage) -> int:
    """How many formulas of an answer are drawn: those of the later answers come first, because they are in sight."""
    later = takewhile(lambda each: each.id != message.id, reversed(said.messages))
    return max(0, answers.MOST_FORMULAS - sum(answers.most_formulas(each.content) for each in later))


def _actions(session_id: str, said: Conversation, message: StoredMessage, *, is_last: bool, is_beside: bool) -> None:
    """Draw the actions on an answer, at the right of the line below it."""
    if is_beside:
        st.button(
            "Use this answer",
            key=f"choose:{message.id}",
            type="tertiary",
            on_click=turn.choose,
            args=(session_id, message.id),
        )
    elif not (is_last and said.beside):
        _versions(session_id, said, message)
    if message.content:
        base.draw_copy_button(message.content, str(message.id))
    if is_last and not is_beside:
        has_failed = not message.content and message.status in {MessageStatus.FAILED, MessageStatus.INTERRUPTED}
        st.button(
            "Send again" if has_failed else "Ask again",
            key=f"again:{message.id}",
            type="tertiary",
            on_click=turn.again,
            args=(account.page_name(), session_id, message.id),
            help="Requests another answer to the same message. This answer stays as another version.",
        )


def _versions(session_id: str, said: Conversation, message: StoredMessage) -> None:
    """Draw the menu of versions, when a message has several."""
    ids = said.versions.get(message.id)
    if not ids:
        return
    key = f"version:{message.id}"
    st.menu_button(
        f"Version {ids.index(message.id) + 1} of {len(ids)}",
        list(ids),
        format_func=lambda id: f"Version {ids.index(id) + 1}",
        type="tertiary",
        key=key,
        on_click=_choose,
        args=(session_id, key),
    )


@base.reports_errors
def _choose(session_id: str, key: str) -> None:
    turn.choose(session_id, base.entered(key))


def _request_of(session_id: str, said: Conversation) -> ChatCompletionsRequest:
    """The request that the last message answers."""
    answer = said.messages[-1]
    spoken = history.earlier(said.said[:-2], None, None).messages
    if answer.earlier_sent is not None:
        spoken = spoken[len(spoken) - answer.earlier_sent :] if answer.earlier_sent else ()
    messages = history.messages(stored.system_prompt(session_id), spoken, said.said[-2], {})
    return ChatCompletionsRequest(messages=messages, model=answer.call.model_asked if answer.call else None)


def _set(name: str, value: object) -> None:
    st.session_state[name] = value
