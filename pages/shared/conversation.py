"""A stored conversation on a page: its messages, its next turn, and the list of one's chats."""

import streamlit as st

from connector import CallStatus, ChatCompletionsRequest, ChatCompletionsSession, Role
from db import SavedConfiguration, StoredMessage
from pages.shared import answer as answers
from pages.shared import runtime
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
    """All messages so far, oldest first; a question whose answer failed without a word is left out of what is sent."""
    if session_id is None:
        return []
    return runtime.database().chat_sessions.messages(runtime.person(), session_id)


def draw(message: StoredMessage) -> None:
    """One message; under an answer, how it ended and the quiet line."""
    with st.chat_message(message.role, avatar=AVATARS.get(message.role)):
        if message.role is Role.USER:
            # As it was typed: a person's text is not markdown.
            st.text(message.content)
            return
        st.markdown(message.content)
        if message.call is None:
            return
        if not message.content and message.call.status is CallStatus.DONE:
            answers.empty()
        answers.below(message.call)


def what_will_be_sent(session: ChatCompletionsSession) -> None:
    """Above the input: what goes along with the next message."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Sends {len(session.messages)} earlier messages with yours", width="stretch")
        box = st.popover("What will be sent", type="tertiary", icon=":material/visibility:")
        # A fixed height: the box is placed before its content is there, and would hang out of the window.
        with box, st.container(height=320, border=False):
            said = [message.model_dump(mode="json") for message in session.messages]
            st.json([*said, {"role": "user", "content": "your next message"}], expanded=2)


def turn(
    session_id: str | None, configuration: SavedConfiguration, request: ChatCompletionsRequest, *, page: str
) -> str:
    """Send the request's last message in its session, and draw and store the answer while it comes."""
    prompt = request.messages[-1].content
    chats, who = runtime.database().chat_sessions, runtime.person()
    if session_id is None:
        first_line = prompt.strip().splitlines()[0]
        cut = first_line if len(first_line) <= TITLE_LENGTH else first_line[: TITLE_LENGTH - 1] + "…"
        session_id = chats.create(who, title=cut, configuration_id=configuration.id, model=request.model or "").id
        st.query_params["chat"] = session_id
    client, _ = runtime.start_turn(configuration, request, page=page, session_id=session_id)
    with st.chat_message(Role.USER, avatar=AVATARS[Role.USER]):
        st.text(prompt)
    with st.chat_message(Role.ASSISTANT, avatar=AVATARS[Role.ASSISTANT]):
        try:
            with answers.waiting(configuration), client.stream(request) as stream:
                answers.write(stream, {"text": ""})
        except runtime.ConnectorError:
            # What went wrong is booked with the call and drawn with the stored answer; the text is offered again.
            st.session_state[f"prompt:{page}"] = prompt
    st.rerun()
    return session_id


def rail(session_id: str | None) -> None:
    """One's chats, newest first, and a new one."""
    if st.button("New chat", icon=":material/add:", width="stretch"):
        st.query_params.clear()
        st.rerun()
    for chat in runtime.database().chat_sessions.all(runtime.person(), limit=30):
        label = f":primary[**{plain(chat.title)}**]" if chat.id == session_id else plain(chat.title)
        if st.button(label, key=f"chat:{chat.id}", type="tertiary", wrap=False):
            st.query_params["chat"] = chat.id
            st.rerun()
    if session_id is not None and st.button("Delete this chat", icon=":material/delete:", type="tertiary"):
        runtime.database().chat_sessions.delete(runtime.person(), session_id)
        st.query_params.clear()
        st.rerun()
