"""Sending a request whose answer is written beside the page."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from connector import Adaptations, CallReport, CallStatus, ChatCompletionsRequest, Client, Configuration
from db import CallStart, Database, NewChat, Person, Question, SavedConfiguration, StorageError, Turn
from pages.shared.base.run import changing, person
from pages.shared.base.runtime import answers, database, http_client


def start_alone(
    configuration: SavedConfiguration,
    request: ChatCompletionsRequest,
    *,
    page: str,
    place: str,
    operation: str,
    is_streamed: bool,
) -> None:
    """Store an empty answer with its call, and begin to write it; see `LoneAnswers.begin`.

    Raises before anything is stored when the key cannot be opened (`StorageError`), no model is named
    (`InvalidRequest`), or the last answer at this place is still being written (`StillWriting`).
    """
    who = person()
    with changing() as database:
        opened = database.configurations.open(who, configuration.id)
        start = _call_start(opened, configuration.id, request, page, operation)
        client_of = partial(_client, who, configuration.id, opened, database.adaptations.of(who, configuration.id))
        turn = database.lone_answers.begin(who, place, request.body(start.model_asked), start)
    answers().write(who, turn, client_of, request, is_streamed=is_streamed)


def start_turn(
    configuration: SavedConfiguration,
    request: ChatCompletionsRequest,
    *,
    page: str,
    chat: str | NewChat,
    question: Question | None,
    model: str,
    instead_of: int | None = None,
    earlier_sent: int,
    beside: ChatCompletionsRequest | None = None,
) -> Turn:
    """Store the next turn of a chat with its call, and begin to write its answer; see `Turns`.

    `instead_of` names the earlier question that this one replaces or, without a question, the answer to ask for
    again. With `beside`, that request is sent, too. Raises before anything is stored when the key cannot be opened
    (`StorageError`), no model is named (`InvalidRequest`), or an answer in this chat is still being written
    (`StillWriting`).
    """
    who = person()
    with changing() as database:
        opened = database.configurations.open(who, configuration.id)
        start = _call_start(opened, configuration.id, request, page, "execute_with_history")
        client_of = partial(_client, who, configuration.id, opened, database.adaptations.of(who, configuration.id))
        turns, second = database.turns, start if beside else None
        if isinstance(chat, NewChat) or instead_of is None:
            if question is None:
                raise ValueError("A new turn needs a question.")
            turn = turns.begin(who, chat, question, start, model=model, earlier_sent=earlier_sent, beside=second)
        elif question is None:
            turn = turns.ask_again(who, chat, instead_of, start, model=model, earlier_sent=earlier_sent)
        else:
            turn = turns.edit(
                who, chat, instead_of, question, start, model=model, earlier_sent=earlier_sent, beside=second
            )
    answers().write(who, turn, client_of, request)
    if beside and turn.beside:
        answers().write(who, turn.beside, client_of, beside)
    return turn


def _client(
    who: Person, id: str, opened: Configuration, learnt: Adaptations, book: Callable[[CallReport], None]
) -> Client:
    store = database()

    def on_call(report: CallReport) -> None:
        book(report)
        note_accepted(store, who, id, opened, report)

    return Client(opened, http_client=http_client(), on_call=on_call, learnt=learnt)


def note_accepted(store: Database, who: Person, id: str, opened: Configuration, report: CallReport) -> None:
    """Discard the key before this one, if the provider accepted this one."""
    if report.status is CallStatus.DONE:
        with suppress(StorageError):  # then it stays a little longer
            store.configurations.accepted(who, id, opened)


def _call_start(
    opened: Configuration, configuration_id: str, request: ChatCompletionsRequest, page: str, operation: str
) -> CallStart:
    return CallStart(
        page=page,
        operation=operation,
        configuration_id=configuration_id,
        configuration_name=opened.display_name,
        model_asked=opened.model_for(request.model),
    )
