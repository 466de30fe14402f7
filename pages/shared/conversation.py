"""A stored conversation on a page: its messages, what can be done with each, and its next turn."""

from functools import partial

import streamlit as st

from connector import CallStatus, ChatCompletionsRequest, Role
from db import ChatSession, Conversation, MessageStatus, NewChat, Question, Said, SavedConfiguration, StoredMessage
from pages.shared import answer as answers
from pages.shared import copy_button, history, live_answer, picker, pictures, runtime
from pages.shared.words import count, dollars, plain

AVATARS = {Role.USER: ":material/person:", Role.ASSISTANT: ":material/bolt:"}
TITLE_LENGTH = 60
SHOWN = 40
"""Messages that are drawn at first, and how many more at a time: each costs its share of every run of the page."""
NOBODY = Conversation((), (), {}, None)
QUESTION = -1  # an id that no message has: what is being asked


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


def session(session_id: str | None) -> ChatSession | None:
    """The chat, None for a new one."""
    return None if session_id is None else runtime.database().chat_sessions.get(runtime.person(), session_id)


def title(session_id: str | None) -> str:
    """The title of a chat, "Chat" for a new one."""
    chat = session(session_id)
    return chat.title if chat else "Chat"


def conversation(session_id: str | None) -> Conversation:
    """What was said so far; as many whole messages as are to be drawn."""
    if session_id is None:
        return NOBODY
    shown = st.session_state.get(f"shown:{session_id}", SHOWN)
    return runtime.database().chat_sessions.conversation(runtime.person(), session_id, last=shown)


def system_prompt(session_id: str | None) -> str:
    """What the model is told before all else."""
    chat = session(session_id)
    return chat.system_prompt if chat else str(st.session_state.get("system:new", ""))


# -- drawing


def draw(session_id: str, said: Conversation) -> None:
    """All messages, the last ones at first."""
    if len(said.said) > len(said.messages):
        st.button(
            f"Show earlier messages ({len(said.said) - len(said.messages):,})",
            type="tertiary",
            icon=":material/expand_less:",
            on_click=_show_more,
            args=(session_id,),
        )
    for message in said.messages[:-1] if said.beside else said.messages:
        _draw(session_id, said, message)
    if said.beside:
        both = st.columns(2, gap="medium")
        for column, message in zip(both, (said.messages[-1], said.beside), strict=True):
            with column:
                _draw(session_id, said, message)


def _show_more(session_id: str) -> None:
    st.session_state[f"shown:{session_id}"] = st.session_state.get(f"shown:{session_id}", SHOWN) + 5 * SHOWN


def _draw(session_id: str, said: Conversation, message: StoredMessage) -> None:
    with st.chat_message(message.role, avatar=AVATARS.get(message.role)):
        if message.role is not Role.USER:
            _draw_answer(session_id, said, message)
        elif st.session_state.get("editing") == message.id:
            _draw_editor(session_id, message)
        else:
            _draw_question(session_id, said, message)


def _draw_question(session_id: str, said: Conversation, message: StoredMessage) -> None:
    # As it was typed: a person's text is not markdown.
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
                args=("editing", message.id),
                help="Change it and ask again. What was said stays, as another version.",
            )
    if message.images:
        st.image([image.data for image in message.images], width=160)


def _draw_editor(session_id: str, message: StoredMessage) -> None:
    key = f"edited:{message.id}"
    st.text_area("Your message", message.content, key=key, label_visibility="collapsed", height="content")
    with st.container(horizontal=True, gap="small"):
        st.button("Send", type="primary", on_click=edit, args=(picker.page_name(), session_id, message.id, key))
        st.button("Cancel", on_click=_set, args=("editing", None))


def _draw_answer(session_id: str, said: Conversation, message: StoredMessage) -> None:
    is_compared = said.beside is not None and message.id in {said.beside.id, said.messages[-1].id}
    if is_compared:
        sent = message.earlier_sent
        st.markdown(f"**With {sent} earlier messages**" if message is not said.beside else "**On its own**")
    if message.status is MessageStatus.WRITING:
        _draw_writing(message)
        return
    if message.reasoning:
        with st.expander("Reasoning", type="compact"):
            st.text(message.reasoning)
    if message.content:
        st.markdown(message.content)
    if message.call is None:
        return
    if not message.content and message.call.status is CallStatus.DONE:
        answers.empty()
    is_last = message.id == said.said[-1].id
    answers.below(
        message.call,
        _request_of(session_id, said) if is_last else None,
        actions=partial(_actions, session_id, said, message, is_last=is_last, is_beside=message is said.beside),
    )


def _draw_writing(message: StoredMessage) -> None:
    key = runtime.answers().follow(runtime.person(), message.id)
    live_answer.follow(message, key, message.call.configuration_name if message.call else "the provider")
    with st.container(key="stop"):
        st.button(
            "Stop",
            icon=":material/stop_circle:",
            type="tertiary",
            key=f"stop:{message.id}",
            on_click=runtime.answers().stop,
            args=(runtime.person(), message.id),
        )


def _actions(session_id: str, said: Conversation, message: StoredMessage, *, is_last: bool, is_beside: bool) -> None:
    """What can be done with an answer, at the right of the line below it."""
    if is_beside:
        st.button(
            "Go on with this one",
            key=f"choose:{message.id}",
            type="tertiary",
            on_click=choose,
            args=(session_id, message.id),
        )
    elif not (is_last and said.beside):
        _versions(session_id, said, message)
    if message.content:
        copy_button.draw(message.content, str(message.id))
    if is_last and not is_beside:
        st.button(
            "Ask again",
            key=f"again:{message.id}",
            type="tertiary",
            on_click=again,
            args=(picker.page_name(), session_id, message.id),
            help="Another answer to the same message. This one stays, as another version.",
        )


def _versions(session_id: str, said: Conversation, message: StoredMessage) -> None:
    """Where there are several: which this is, and the way to the others."""
    ids = said.versions.get(message.id)
    if not ids:
        return
    at = ids.index(message.id)
    for icon, label, other in (("chevron_left", "Previous version", at - 1), ("chevron_right", "Next version", at + 1)):
        if other > at:
            st.caption(f"{at + 1} of {len(ids)}", width="content")
        st.button(
            "",
            icon=f":material/{icon}:",
            help=label,
            key=f"version:{message.id}:{icon}",
            type="tertiary",
            disabled=not 0 <= other < len(ids),
            on_click=choose,
            args=(session_id, ids[other % len(ids)]),
        )


def _request_of(session_id: str, said: Conversation) -> ChatCompletionsRequest | None:
    """The request that the last message is the answer to; None where pictures are in it, or nobody knows any more."""
    answer = said.messages[-1]
    if answer.role is not Role.ASSISTANT or answer.call is None:
        return None
    spoken = history.earlier(said.said[:-2], None, None).messages
    if answer.earlier_sent is not None:
        spoken = spoken[len(spoken) - answer.earlier_sent :] if answer.earlier_sent else ()
    if any(each.images for each in (*spoken, said.said[-2])):
        return None
    messages = history.messages(system_prompt(session_id), spoken, said.said[-2], {})
    return ChatCompletionsRequest(messages=messages, model=answer.call.model_asked)


# -- acting: callbacks, so that a page that is drawn anew knows of it


def say(page: str, session_id: str | None) -> None:
    """Send what was written in the input."""
    written = st.session_state.get(f"prompt:{page}")
    if written is None:
        return
    text = written if isinstance(written, str) else written.text
    files = [] if isinstance(written, str) else written.files
    images, refusal = pictures.read(files)
    if refusal:
        _trouble(page, refusal, text)
    elif text.strip() or images:
        _ask(page, session_id, Question(text, images))


def suggest(page: str, session_id: str | None, key: str) -> None:
    """Send what was suggested."""
    if text := st.session_state.get(key):
        _ask(page, session_id, Question(text))


def edit(page: str, session_id: str, message_id: int, key: str) -> None:
    """Ask an earlier question anew, in other words, and go on from there."""
    text = st.session_state.get(key, "")
    images = runtime.database().chat_sessions.images(runtime.person(), session_id).get(message_id, ())
    if (text.strip() or images) and _ask(page, session_id, Question(text, images), instead_of=message_id):
        st.session_state["editing"] = None


def again(page: str, session_id: str, answer_id: int) -> None:
    """Another answer to the same question."""
    _ask(page, session_id, None, instead_of=answer_id)


def choose(session_id: str, message_id: int) -> None:
    """Go on with another version."""
    try:
        runtime.database().chat_sessions.choose(runtime.person(), session_id, message_id)
    except runtime.NotFound as error:
        st.toast(str(error), icon=":material/info:")


def _ask(page: str, session_id: str | None, question: Question | None, *, instead_of: int | None = None) -> bool:
    """Begin a turn; whether it has begun. When anything is in the way, the message is offered again."""
    configuration = picker.picked()
    draft = question.text if question and instead_of is None else ""
    if configuration is None:  # it was deleted or switched off meanwhile, which the picker tells
        st.session_state[f"draft:{page}"] = draft
        return False
    st.session_state.pop(f"trouble:{page}", None)
    try:
        turn = _begin(page, session_id, configuration, question, instead_of)
    except (runtime.ConnectorError, runtime.StorageError, runtime.NotFound, runtime.StillWriting) as error:
        _trouble(page, str(error), draft)
        return False
    st.query_params["chat"] = turn.session_id
    if question:
        st.session_state[f"asked:{page}"] = turn.answer_id, question.text
    return True


def _begin(
    page: str,
    session_id: str | None,
    configuration: SavedConfiguration,
    question: Question | None,
    instead_of: int | None,
) -> runtime.Turn:
    chat, model = session(session_id), picker.current_model()
    said = conversation(session_id)
    before = said.said
    if instead_of is not None:  # what is behind it is another branch from here on
        before = before[: next((at for at, each in enumerate(before) if each.id == instead_of), len(before))]
    if question is None:
        *before_, asked = before
        before = tuple(before_)
    else:
        asked = Said(QUESTION, Role.USER, question.text, len(question.images))
    system = system_prompt(session_id)
    measured = history.measure(configuration, model, said.messages)
    limit = chat.history_turns if chat else None
    along = history.earlier(before, limit, measured, besides=system + asked.content)
    images = runtime.database().chat_sessions.images(runtime.person(), session_id) if session_id else {}
    if question:
        images = images | {QUESTION: question.images}
    request = partial(ChatCompletionsRequest, model=model)
    on_its_own = st.session_state.get(f"both:{page}") and along.messages and question
    return runtime.start_turn(
        configuration,
        request(messages=history.messages(system, along.messages, asked, images)),
        page=page,
        chat=session_id or NewChat(_title_of(asked.content), system),
        question=question,
        model=model or "",
        instead_of=instead_of,
        earlier_sent=len(along.messages),
        beside=request(messages=history.messages(system, (), asked, images)) if on_its_own else None,
    )


def _trouble(page: str, why: str, text: str) -> None:
    st.session_state[f"trouble:{page}"] = why
    if text:
        st.session_state[f"draft:{page}"] = text


def _set(name: str, value: object) -> None:
    st.session_state[name] = value


def _title_of(prompt: str) -> str:
    first_line = next(iter(prompt.strip().splitlines()), "Picture")
    return first_line if len(first_line) <= TITLE_LENGTH else first_line[: TITLE_LENGTH - 1] + "…"


# -- around the input


def input_box(page: str, session_id: str | None) -> None:
    """Where the next message is written; what could not be sent stands in it again."""
    key = f"prompt:{page}"
    if draft := st.session_state.pop(f"draft:{page}", None):
        st.session_state[key] = draft
    st.chat_input(
        "Write a message",
        key=key,
        accept_file="multiple",
        file_type=pictures.FILE_TYPES,
        on_submit=say,
        args=(page, session_id),
    )


def offer_again(page: str, said: Conversation) -> None:
    """What got no word in answer is offered again, once, to the one who asked."""
    answer_id, text = st.session_state.get(f"asked:{page}", (None, ""))
    answer = said.messages[-1] if said.messages else None
    if answer is None or answer.id != answer_id or answer.status is MessageStatus.WRITING:
        return
    del st.session_state[f"asked:{page}"]
    if not answer.content and answer.status in {MessageStatus.FAILED, MessageStatus.INTERRUPTED}:
        st.session_state[f"draft:{page}"] = text


def trouble(page: str) -> None:
    """Why the last message was not sent, until the next one is."""
    if why := st.session_state.get(f"trouble:{page}"):
        st.error(plain(why), icon=":material/error:")


def suggestions(page: str, session_id: str | None, prompts: tuple[str, ...]) -> None:
    """What one might begin with."""
    key = f"suggested:{page}"
    st.pills(
        "Suggestions",
        prompts,
        key=key,
        label_visibility="collapsed",
        wrap=True,
        on_change=suggest,
        args=(page, session_id, key),
    )


def what_will_be_sent(page: str, session_id: str | None, said: Conversation, configuration: SavedConfiguration) -> None:
    """Above the input: what goes along with the next message, how long that is, what it costs; and how much shall."""
    chat, system = session(session_id), system_prompt(session_id)
    measured = history.measure(configuration, picker.current_model(), said.messages)
    along = history.earlier(said.said, chat.history_turns if chat else None, measured, besides=system)
    tokens = measured.tokens(len(system) + sum(len(each.content) for each in along.messages))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(plain(_summary(along, tokens, measured)), width="stretch")
        if chat and along.turns:
            st.toggle(
                "Also ask without history",
                key=f"both:{page}",
                persist_state="session",
                help="Asks the same message a second time on its own: both answers, tokens and prices side by side.",
            )
        box = st.popover(
            "What will be sent", type="tertiary", icon=":material/visibility:", key=f"sent:{page}", on_change="rerun"
        )
        if not box.open:  # it may be long
            return
        # A fixed height: the box is placed before its content is there, and would hang out of the window.
        with box, st.container(height=380, border=False):
            if chat and along.turns:
                _how_much(chat, along.turns)
            for sentence in _sentences(along, tokens, measured):
                st.caption(plain(sentence))
            request = history.messages(system, along.messages, None, {})
            pending = {"role": "user", "content": "your next message"}
            st.json([*(message.body() for message in request), pending], expanded=2)


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


def _send_along(session_id: str, turns: int, key: str) -> None:
    chosen = st.session_state[key]
    runtime.database().chat_sessions.send_along(runtime.person(), session_id, None if chosen == turns else chosen)
