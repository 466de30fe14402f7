"""The next turn of a chat: the input, and the callbacks that begin a turn.

Callbacks run before the page is drawn, so that the page already shows the new turn.
"""

from functools import partial

import streamlit as st

from connector import ChatCompletionsRequest, Role
from db import NewChat, Question, Said, SavedConfiguration
from pages.shared import account, answers, base
from pages.shared.base import plain, reports_errors
from pages.shared.chat import history, keys, stored

TITLE_LENGTH = 60
QUESTION = -1  # stands for the id of the question, which is not stored yet


def input_box(page: str, session_id: str | None) -> None:
    """Draw the input. A message that could not be sent is in the input again."""
    key = keys.prompt(page)
    if draft := st.session_state.pop(keys.draft(page), None):
        st.session_state[key] = draft
    st.chat_input(
        "Write a message",
        key=key,
        accept_file="multiple",
        file_type=answers.PICTURE_TYPES,
        on_submit=say,
        args=(page, session_id),
    )


def failure(page: str) -> None:
    """Show why the last message was not sent, until another one is."""
    if why := st.session_state.get(keys.failure(page)):
        st.error(plain(why), icon=":material/error:")


def suggestions(page: str, session_id: str | None, prompts: tuple[str, ...]) -> None:
    """Draw suggestions for a first message."""
    key = keys.suggested(page)
    st.pills(
        "Suggestions",
        prompts,
        key=key,
        label_visibility="collapsed",
        wrap=True,
        on_change=suggest,
        args=(page, session_id, key),
    )


@reports_errors
def say(page: str, session_id: str | None) -> None:
    """Send the text and the files of the input."""
    written = st.session_state.get(keys.prompt(page))
    if written is None:
        return
    text = written if isinstance(written, str) else written.text
    files = [] if isinstance(written, str) else written.files
    images, refusal = answers.read_pictures(files)
    if refusal:
        _keep_failure(page, refusal, text)
    elif text.strip() or images:
        has_begun = _ask(page, session_id, Question(text, images))
        if not has_begun or session_id is None:
            st.rerun()  # the whole page: the title, the list and the errors of a chat are outside this fragment


@reports_errors
def suggest(page: str, session_id: str | None, key: str) -> None:
    """Send the suggestion that was clicked."""
    if text := st.session_state.get(key):
        _ask(page, session_id, Question(text))


@reports_errors
def edit(page: str, session_id: str, message_id: int, key: str) -> None:
    """Send an edited question in the place of an earlier one."""
    text = base.entered(key)
    images = base.database().chat_sessions.images(base.person(), session_id).get(message_id, ())
    if (text.strip() or images) and _ask(page, session_id, Question(text, images), instead_of=message_id):
        st.session_state[keys.EDITING] = None


@reports_errors
def again(page: str, session_id: str, answer_id: int) -> None:
    """Request another answer to the same question."""
    _ask(page, session_id, None, instead_of=answer_id)


@reports_errors
def choose(session_id: str, message_id: int) -> None:
    """Continue the chat with another version of a message."""
    with base.changing() as database:
        database.chat_sessions.choose(base.person(), session_id, message_id)


def _ask(page: str, session_id: str | None, question: Question | None, *, instead_of: int | None = None) -> bool:
    """Begin a turn. Returns whether it has begun; if not, the message is in the input again."""
    draft = question.text if question and instead_of is None else ""
    st.session_state.pop(keys.failure(page), None)
    try:
        with base.one_run():
            configuration = account.picked_configuration()
            if configuration is None:  # it was deleted or switched off; the picker says so
                st.session_state[keys.draft(page)] = draft
                return False
            turn = _begin(page, session_id, configuration, question, instead_of)
    except (base.ConnectorError, base.StorageError, base.NotFound, base.StillWriting) as error:
        if question or not isinstance(error, base.StillWriting):  # else the button was clicked twice
            lost = " Attach the pictures again." if question and question.images and instead_of is None else ""
            _keep_failure(page, f"{error}{lost}", draft)
        return False
    st.query_params["chat"] = turn.session_id
    if session_id is None:  # the chat has stored it; the next new chat starts without it
        stored.forget_system_prompt()
        st.session_state[keys.begun(page)] = turn.session_id
    if question:
        stored.show_more(turn.session_id, 2)  # without this the oldest messages would disappear and all others move
    return True


def _begin(
    page: str,
    session_id: str | None,
    configuration: SavedConfiguration,
    question: Question | None,
    instead_of: int | None,
) -> base.Turn:
    chat, model = stored.session(session_id), account.current_model()
    said = stored.conversation(session_id, last=account.MEASURED_MESSAGES)
    before = said.said
    if instead_of is not None:  # the messages after it belong to another branch
        at = next((at for at, each in enumerate(before) if each.id == instead_of), None)
        if at is None:
            raise base.NotFound("This chat shows another version now. Reload the page.")
        before = before[:at]
    if question is None:
        *before_, asked = before
        before = tuple(before_)
    else:
        asked = Said(QUESTION, Role.USER, question.text, len(question.images))
    system = stored.system_prompt(session_id)
    measured = account.measure(configuration, model, said.messages)
    limit = chat.history_turns if chat else None
    along = history.earlier(before, limit, measured, besides=system + asked.content)
    images = {QUESTION: question.images} if question else {}
    if session_id and any(each.images for each in said.said):
        images |= base.database().chat_sessions.images(base.person(), session_id)
    request = partial(ChatCompletionsRequest, model=model)
    on_its_own = st.session_state.get(keys.also_alone(page)) and along.messages and question
    return base.start_turn(
        configuration,
        request(messages=history.messages(system, along.messages, asked, images)),
        page=page,
        chat=session_id or NewChat(_title_of(asked.content), system, page=page),
        question=question,
        model=model or "",
        instead_of=instead_of,
        earlier_sent=len(along.messages),
        beside=request(messages=history.messages(system, (), asked, images)) if on_its_own else None,
    )


def _keep_failure(page: str, why: str, text: str) -> None:
    st.session_state[keys.failure(page)] = why
    if text:
        st.session_state[keys.draft(page)] = text


def _title_of(prompt: str) -> str:
    first_line = next(iter(prompt.strip().splitlines()), "Picture")
    return first_line if len(first_line) <= TITLE_LENGTH else first_line[: TITLE_LENGTH - 1] + "…"
