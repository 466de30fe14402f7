"""Preview of the next request of a chat: its messages, tokens and cost."""

import streamlit as st

from db import ChatSession, Conversation, SavedConfiguration
from pages.shared import account, answers, base
from pages.shared.base import count, dollars, plain, reports_errors
from pages.shared.chat import history, keys, stored


def line(page: str, session_id: str | None, said: Conversation, configuration: SavedConfiguration) -> None:
    """Draw the line above the input: the earlier messages that will be sent, their tokens and their cost."""
    chat = stored.session(session_id)
    along, tokens, measured = _outgoing(session_id, said, configuration)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(plain(_summary(along, tokens, measured)), width="stretch")
        if chat and along.turns:
            st.toggle(
                "Also ask without history",
                key=keys.also_alone(page),
                persist_state="session",
                help="Also sends the message without earlier ones. Shows both answers, tokens and prices side by side.",
            )
        if st.button("Preview request", type="tertiary", icon=":material/visibility:"):
            _show_what_will_be_sent(session_id)


def _outgoing(
    session_id: str | None, said: Conversation, configuration: SavedConfiguration
) -> tuple[history.Earlier, int, account.Measure]:
    """The earlier messages, the estimated tokens of the request, and the measure used."""
    chat, system = stored.session(session_id), stored.system_prompt(session_id)
    measured = account.measure(configuration, account.current_model(), said.messages)
    along = history.earlier(said.said, chat.history_turns if chat else None, measured, besides=system)
    return along, measured.tokens(len(system) + along.characters), measured


@st.dialog("Preview request", width="medium", position="right", on_dismiss="rerun")
def _show_what_will_be_sent(session_id: str | None) -> None:
    """Show the exact messages, and the choice of how many earlier turns are sent."""
    try:
        _draw_what_will_be_sent(session_id)
    except (base.StorageError, base.NotFound) as error:  # a dialog runs without the frame
        st.error(plain(str(error)), icon=":material/error:")


def _draw_what_will_be_sent(session_id: str | None) -> None:
    chat, said, configuration = (
        stored.session(session_id),
        stored.conversation(session_id),
        account.current_configuration(),
    )
    if configuration is None:
        account.draw_guidance()
        return
    along, tokens, measured = _outgoing(session_id, said, configuration)
    if chat and along.turns:
        _how_much(chat, along.turns)
    for sentence in _sentences(along, tokens, measured):
        st.caption(plain(sentence))
    images = base.database().chat_sessions.images(base.person(), session_id) if session_id else {}
    request = history.messages(stored.system_prompt(session_id), along.messages, None, images)
    pending = {"role": "user", "content": "your next message"}
    st.json([*(answers.shortened(message.body()) for message in request), pending], expanded=2)


def _summary(along: history.Earlier, tokens: int, measured: account.Measure) -> str:
    if not along.turns:
        return "Sends your message"
    earlier, is_cut = len(along.messages), along.sent != along.turns
    what = f"Sends {earlier} earlier messages with yours" if earlier else "Sends your message alone"
    left_out = f", leaves out {along.turns - along.sent} of {along.turns} turns" if is_cut else ""
    cost = measured.cost(tokens) if tokens else None
    price = f", {dollars(float(cost.amount))}" if cost else ""
    return f"{what}{left_out} · about {count(tokens)} tokens{price}"


def _sentences(along: history.Earlier, tokens: int, measured: account.Measure) -> list[str]:
    ratio = f"{measured.characters_per_token:.1f} characters per token"
    source = f"measured with earlier calls of this model: {ratio}" if measured.is_learnt else f"estimated: {ratio}"
    sentences = [f"About {count(tokens)} tokens without your message, {source}."]
    if along.unwanted:
        sentences.append(f"The oldest {along.unwanted} of {along.turns} turns are left out, as chosen above.")
    if along.too_long and measured.limit:
        what = "limit of the prompt" if measured.limit.is_for_the_prompt else "context window"
        sentences.append(
            f"{along.too_long} more of the oldest turns are left out: they do not fit into the {what} of "
            f"{measured.limit.tokens:,} tokens."
        )
    if pictures := sum(each.images for each in along.messages):
        what = (
            "1 picture is sent, too; its tokens are"
            if pictures == 1
            else (f"{pictures} pictures are sent, too; their tokens are")
        )
        sentences.append(f"{what} known only after the call.")
    if cost := measured.cost(tokens):
        sentences.append(f"Sending this costs {dollars(float(cost.amount))} ({cost}), without the answer.")
    return sentences


def _how_much(chat: ChatSession, turns: int) -> None:
    key = f"turns:{chat.id}:{turns}"
    st.slider(
        "Earlier turns to send",
        0,
        turns,
        turns if chat.history_turns is None else min(chat.history_turns, turns),
        key=key,
        on_change=_send_along,
        args=(chat.id, turns, key),
        help="0: the model gets only your next message and the system prompt. The oldest turns are left out first.",
    )


@reports_errors
def _send_along(session_id: str, turns: int, key: str) -> None:
    chosen = base.entered(key)
    with base.changing() as database:
        database.chat_sessions.send_along(base.person(), session_id, None if chosen == turns else chosen)
