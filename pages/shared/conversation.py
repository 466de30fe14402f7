"""A stored conversation on a page: its messages, its next turn, and the list of one's chats."""

from itertools import pairwise

import streamlit as st

from connector import CallStatus, ChatCompletionsRequest, ChatCompletionsSession, Role
from db import SavedConfiguration, StoredMessage
from pages.shared import answer as answers
from pages.shared import picker, runtime
from pages.shared.words import plain

AVATARS = {Role.USER: ":material/person:", Role.ASSISTANT: ":material/bolt:"}
TITLE_LENGTH = 60


def from_address() -> str | None:
    """The chat that the address names, None for a new one. One that is not this person's does not exist."""
    session_id = st.query_params.get("chat")
    if not session_id:
        return None
    try:
        return runtime.database().chat_sessions.get(runtime.person(), session_id).id
    except runtime.NotFound:
        st.warning("This chat does not exist, or is somebody else's. Here is a new one.", icon=":material/search_off:")
        del st.query_params["chat"]
        return None


def title(session_id: str | None) -> str:
    """The title of a chat, "Chat" for a new one."""
    if session_id is None:
        return "Chat"
    return runtime.database().chat_sessions.get(runtime.person(), session_id).title


def history(session_id: str | None) -> list[StoredMessage]:
    """All messages so far, oldest first."""
    if session_id is None:
        return []
    return runtime.database().chat_sessions.messages(runtime.person(), session_id)


def draw(message: StoredMessage, request: ChatCompletionsRequest | None = None) -> None:
    """One message; under an answer, how it ended and the quiet line; with its request, the code of it, too."""
    with st.chat_message(message.role, avatar=AVATARS.get(message.role)):
        if message.role is Role.USER:
            # As it was typed: a person's text is not markdown.
            st.text(message.content)
            return
        if message.content:
            st.markdown(message.content)
        if message.call is None:
            return
        if not message.content and message.call.status is CallStatus.DONE:
            answers.empty()
        answers.below(message.call, request)


def request_of(messages: list[StoredMessage]) -> ChatCompletionsRequest | None:
    """The request that the last of these messages is the answer to."""
    if not messages or messages[-1].role is not Role.ASSISTANT or messages[-1].call is None:
        return None
    session = sent_along(messages[:-1])
    return ChatCompletionsRequest.of_session(session, model=messages[-1].call.model_asked) if session.messages else None


def sent_along(messages: list[StoredMessage]) -> ChatCompletionsSession:
    """What goes along with the next message. A question that got no word in answer is left out, with that answer."""
    session = ChatCompletionsSession()
    for message, following in pairwise([*messages, None]):
        got_nothing = following is not None and following.role is Role.ASSISTANT and not following.content
        if message is not None and message.content and not got_nothing:
            session.add_message(message.role, message.content)
    return session


def what_will_be_sent(session: ChatCompletionsSession) -> None:
    """Above the input: what goes along with the next message."""
    with st.container(horizontal=True, vertical_alignment="center"):
        earlier = len(session.messages)
        st.caption(f"Sends {earlier} earlier messages with yours" if earlier else "Sends your message", width="stretch")
        box = st.popover("What will be sent", type="tertiary", icon=":material/visibility:")
        # A fixed height: the box is placed before its content is there, and would hang out of the window.
        with box, st.container(height=320, border=False):
            said = [message.body() for message in session.messages]
            st.json([*said, {"role": "user", "content": "your next message"}], expanded=2)


def input_box(page: str) -> str | None:
    """Where the next message is written; what could not be sent stands in it again."""
    key = f"prompt:{page}"
    if draft := st.session_state.pop(f"draft:{page}", None):
        st.session_state[key] = draft
    return st.chat_input("Write a message", key=key, submit_mode="disable")


def trouble(page: str) -> None:
    """Why the last message was not sent, until the next one is."""
    if why := st.session_state.get(f"trouble:{page}"):
        st.error(plain(why), icon=":material/error:")


def turn(session_id: str | None, configuration: SavedConfiguration, request: ChatCompletionsRequest, page: str) -> None:
    """Send the request's last message in its session, and draw and store the answer while it comes.

    A session begins with its first message. When anything fails, the message is offered again.
    """
    prompt = request.messages[-1].text
    st.session_state.pop(f"trouble:{page}", None)
    begun = False
    try:
        client, turn = runtime.start_turn(
            configuration, request, page=page, session_id=session_id, title=_title_of(prompt)
        )
        begun = True
        st.query_params["chat"] = turn.session_id
        with st.chat_message(Role.USER, avatar=AVATARS[Role.USER]):
            st.text(prompt)
        with st.chat_message(Role.ASSISTANT, avatar=AVATARS[Role.ASSISTANT]):
            answers.write(configuration, client, request, {"text": ""})
    except (runtime.ConnectorError, runtime.StorageError, runtime.NotFound) as error:
        st.session_state[f"draft:{page}"] = prompt
        # What a provider answers is booked with the call, and drawn with the stored answer.
        if not (begun and isinstance(error, runtime.ConnectorError)):
            st.session_state[f"trouble:{page}"] = str(error)
    st.rerun()


def _title_of(prompt: str) -> str:
    first_line = prompt.strip().splitlines()[0]
    return first_line if len(first_line) <= TITLE_LENGTH else first_line[: TITLE_LENGTH - 1] + "…"


def rail(session_id: str | None) -> None:
    """One's chats, newest first, and a new one."""
    if st.button("New chat", icon=":material/add:", width="stretch"):
        _open(None)
    with st.container(gap="xxsmall"):
        for chat in runtime.database().chat_sessions.all(runtime.person(), limit=30):
            label = f":primary[**{plain(chat.title)}**]" if chat.id == session_id else plain(chat.title)
            if st.button(label, key=f"chat:{chat.id}", type="tertiary", wrap=False):
                _open(chat.id)
    if session_id is not None and st.button("Delete this chat", icon=":material/delete:", type="tertiary"):
        _confirm_delete(session_id)


@st.dialog("Delete this chat?")
def _confirm_delete(session_id: str) -> None:
    st.markdown(
        f"**{plain(title(session_id))}** and its messages are deleted. What it took stays in Usage. This cannot be "
        "undone."
    )
    with st.container(horizontal=True):
        if st.button("Delete it", type="primary"):
            runtime.database().chat_sessions.delete(runtime.person(), session_id)
            _open(None)
        if st.button("Keep it"):
            st.rerun()


def _open(session_id: str | None) -> None:
    """Go to a chat, or to a new one."""
    st.session_state.pop(f"trouble:{picker.page_name()}", None)
    # In one go: two changes would be two steps of the browser's Back.
    st.query_params.from_dict({"chat": session_id} if session_id else {})
    st.rerun()
