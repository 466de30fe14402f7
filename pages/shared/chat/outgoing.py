"""What will be sent with the next message of a chat, before it is: how much, how long, how dear."""

from typing import Any

import streamlit as st

from db import ChatSession, Conversation, SavedConfiguration
from pages.shared.account import picker
from pages.shared.base import runtime
from pages.shared.base.callbacks import told
from pages.shared.base.formatting import count, dollars, plain
from pages.shared.chat import history
from pages.shared.chat import stored as stored_chat

MUCH = 20_000
"""Characters of a text that are shown before it is sent; a browser takes seconds for a million."""


def line(page: str, session_id: str | None, said: Conversation, configuration: SavedConfiguration) -> None:
    """Above the input: what goes along with the next message, how long that is, what it costs; and how much shall."""
    chat = stored_chat.session(session_id)
    along, tokens, measured = _outgoing(session_id, said, configuration)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(plain(_summary(along, tokens, measured)), width="stretch")
        if chat and along.turns:
            st.toggle(
                "Also ask without history",
                key=f"both:{page}",
                persist_state="session",
                help="Asks the same message a second time on its own: both answers, tokens and prices side by side.",
            )
        if st.button("What will be sent", type="tertiary", icon=":material/visibility:"):
            _show_what_will_be_sent(session_id)


def _outgoing(
    session_id: str | None, said: Conversation, configuration: SavedConfiguration
) -> tuple[history.Earlier, int, history.Measure]:
    """What goes along, about how many tokens that is, by what measure."""
    chat, system = stored_chat.session(session_id), stored_chat.system_prompt(session_id)
    measured = history.measure(configuration, picker.current_model(), said.messages)
    along = history.earlier(said.said, chat.history_turns if chat else None, measured, besides=system)
    return along, measured.tokens(len(system) + along.characters), measured


@st.dialog("What will be sent", width="medium", position="right", on_dismiss="rerun")
def _show_what_will_be_sent(session_id: str | None) -> None:
    """The exact messages, and how much of what was said before shall go along."""
    try:
        _draw_what_will_be_sent(session_id)
    except (runtime.StorageError, runtime.NotFound) as error:  # drawn again by itself, without the frame
        st.error(plain(str(error)), icon=":material/error:")


def _draw_what_will_be_sent(session_id: str | None) -> None:
    chat, said, configuration = stored_chat.session(session_id), stored_chat.conversation(session_id), picker.current()
    if configuration is None:
        picker.guidance()
        return
    along, tokens, measured = _outgoing(session_id, said, configuration)
    if chat and along.turns:
        _how_much(chat, along.turns)
    for sentence in _sentences(along, tokens, measured):
        st.caption(plain(sentence))
    images = runtime.database().chat_sessions.images(runtime.person(), session_id) if session_id else {}
    request = history.messages(stored_chat.system_prompt(session_id), along.messages, None, images)
    pending = {"role": "user", "content": "your next message"}
    st.json([*(shortened(message.body()) for message in request), pending], expanded=2)


def shortened(body: dict[str, Any]) -> dict[str, Any]:
    """A message to read, without the megabytes of its pictures and texts."""
    content = body.get("content")
    if isinstance(content, str):
        return body | {"content": in_part(content)}
    return body | {"content": [_shortened(part) for part in content]} if content else body


def in_part(text: str) -> str:
    """The beginning and the end of a long text, and how much is left out."""
    if len(text) <= MUCH:
        return text
    left_out = f"[… {len(text) - MUCH:,} more characters are sent here …]"
    return f"{text[: MUCH // 2]}\n{left_out}\n{text[-MUCH // 2 :]}"


def _shortened(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "text":
        return part | {"text": in_part(part["text"])}
    url = part["image_url"]["url"]
    return part | {"image_url": {"url": f"{url[:40]}… ({len(url) // 1024:,} kB)"}}


def _summary(along: history.Earlier, tokens: int, measured: history.Measure) -> str:
    if not along.turns:
        return "Sends your message"
    earlier, is_cut = len(along.messages), along.sent != along.turns
    what = f"Sends {earlier} earlier messages with yours" if earlier else "Sends your message alone"
    left_out = f", leaves out {along.turns - along.sent} of {along.turns} turns" if is_cut else ""
    cost = measured.cost(tokens) if tokens else None
    price = f", {dollars(float(cost.amount))}" if cost else ""
    return f"{what}{left_out} · about {count(tokens)} tokens{price}"


def _sentences(along: history.Earlier, tokens: int, measured: history.Measure) -> list[str]:
    ratio = f"{measured.characters_per_token:.1f} characters a token"
    source = f"as this model counted before: {ratio}" if measured.is_learnt else f"estimated: {ratio}"
    sentences = [f"About {count(tokens)} tokens beside your message, {source}."]
    if along.unwanted:
        sentences.append(f"The oldest {along.unwanted} of {along.turns} turns are left out, as chosen above.")
    if along.too_long:
        sentences.append(
            f"{along.too_long} more of the oldest turns are left out: they do not fit into the {measured.window:,} "
            "tokens that this model takes."
        )
    if pictures := sum(each.images for each in along.messages):
        what = (
            "1 picture goes along; how many tokens it counts"
            if pictures == 1
            else (f"{pictures} pictures go along; how many tokens they count")
        )
        sentences.append(f"{what} is known afterwards.")
    if cost := measured.cost(tokens):
        sentences.append(f"That is {dollars(float(cost.amount))} ({cost}), without the answer.")
    return sentences


def _how_much(chat: ChatSession, turns: int) -> None:
    key = f"turns:{chat.id}:{turns}"
    st.slider(
        "Earlier turns to send along",
        0,
        turns,
        turns if chat.history_turns is None else min(chat.history_turns, turns),
        key=key,
        on_change=_send_along,
        args=(chat.id, turns, key),
        help="None: the model knows only your next message and the system prompt. The oldest turns are left out first.",
    )


@told
def _send_along(session_id: str, turns: int, key: str) -> None:
    chosen = st.session_state[key]
    runtime.database().chat_sessions.send_along(runtime.person(), session_id, None if chosen == turns else chosen)
