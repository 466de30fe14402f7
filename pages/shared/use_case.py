"""The three doors of a use case, named for the seed's operations.

Each previews what will be sent, sends it, draws and books the answer, and returns the response, or None until something
was sent. A page calls one of them; what it does with the shape of the result is its own affair.
"""

from contextlib import suppress

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from connector import ChatCompletionsRequest, ChatCompletionsResponse, Message
from db import SavedConfiguration
from pages.shared import answer as answers
from pages.shared import chat_outgoing, chat_turn, conversation, picker, runtime, stored_chat
from pages.shared.words import plain

# How much of a prompt one token is, roughly, in English text (platform.openai.com/tokenizer).
CHARACTERS_PER_TOKEN = 4
LONG_PREVIEW = 300  # pixels
PROMPT_ENGINEERING = "https://platform.openai.com/docs/guides/prompt-engineering"


def head(title: str, sentence: str) -> DeltaGenerator:
    """What every page starts with; returns where its actions go, at the right."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(gap=None, width="stretch"):
            st.title(plain(title), anchor=False)
            st.caption(sentence)
        actions = st.container(horizontal=True, width="content", gap="small", vertical_alignment="center")
    picker.demo_line()
    return actions


def columns() -> tuple[DeltaGenerator, DeltaGenerator]:
    """Where the inputs go, and where the answer goes."""
    inputs, answer = st.columns([2, 3], gap="large")
    return inputs, answer


def without_history(
    *, answer: DeltaGenerator, user_prompt: str = "", system_prompt: str = "", action: str = "Send", missing: str = ""
) -> ChatCompletionsResponse | None:
    """One call with one or both prompts; nothing said before goes along. Draws its button here, the answer there.

    `missing` is a sentence that says what is still to be filled in; nothing is sent until it is empty.
    """
    page = picker.page_name()
    configuration = picker.current()
    if configuration is None:
        picker.guidance()
        return None
    pressed = st.button(
        action, type="primary", icon=":material/send:", shortcut="ctrl+enter", width="stretch", key=f"send:{page}"
    )
    request = None
    try:
        request = ChatCompletionsRequest.of_prompts(
            user_prompt, system_prompt=system_prompt, model=picker.current_model()
        )
    except runtime.InvalidRequest as error:
        missing = missing or str(error)
    if request is not None:
        preview(request.messages)
    with answer:
        if pressed and missing:
            st.warning(missing, icon=":material/edit:")
        elif pressed and request is not None:
            _stream(page, configuration, request, "execute_without_history")
        elif kept := answers.kept(page):
            with st.container(border=True):
                answers.show(kept)
        else:
            st.markdown(":gray[The answer appears here.]")
    return answers.response(answers.kept(page))


def advanced(request: ChatCompletionsRequest, *, pressed: bool) -> ChatCompletionsResponse | None:
    """The full request in, the full response out. The page draws its own button, and the choices."""
    page = picker.page_name()
    configuration = picker.current()
    if configuration is None:
        return None
    if pressed:
        answers.forget(page)
        client, call = runtime.start_call(configuration, request, page=page, operation="call_api")
        kept = answers.keep(page, call, client.body(request))
        with suppress(runtime.ConnectorError), answers.waiting(configuration):  # booked, and drawn with the answer
            answers.remember_response(kept, client.call_api(request))
            kept["request"] = client.body(request)  # as it was sent in the end
    return answers.response(answers.kept(page))


def quoted(text: str) -> str:
    """A person's text, made fit to stand between triple quotes."""
    return text.replace('"""', "'''").strip()


def preview(messages: tuple[Message, ...]) -> None:
    """What will be sent, message by message."""
    about = sum(len(message.text) for message in messages) // CHARACTERS_PER_TOKEN + 1
    with st.expander(f"What will be sent · about {about:,} tokens", expanded=True, type="compact"):
        for message in messages:
            st.caption(message.role.capitalize())
            is_long = len(message.text) > 3_000
            st.code(message.text, language=None, wrap_lines=True, height=LONG_PREVIEW if is_long else "content")
        st.markdown(f":small[[How to write a prompt]({PROMPT_ENGINEERING})]")


def with_history(
    session_id: str | None, *, talk: DeltaGenerator, below: DeltaGenerator, suggestions: tuple[str, ...] = ()
) -> None:
    """A stored conversation: draws it in `talk`, the input in `below`, sends what goes along with the next message.

    The session begins with its first message, or a suggestion; its id stands in the address then. The answer is written
    beside the page, which draws what there is of it.
    """
    page = picker.page_name()
    configuration = picker.current()
    said = stored_chat.conversation(session_id)
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


def _stream(page: str, configuration: SavedConfiguration, request: ChatCompletionsRequest, operation: str) -> None:
    answers.forget(page)
    try:
        client, call = runtime.start_call(configuration, request, page=page, operation=operation)
    except runtime.InvalidRequest as error:
        st.warning(plain(str(error)), icon=":material/edit:")
        return
    except runtime.StorageError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    kept = answers.keep(page, call, client.body(request))
    with st.container(border=True), suppress(runtime.ConnectorError):  # booked, and drawn with the answer
        answers.remember_response(kept, answers.write(configuration, client, request, kept))
    st.rerun()
