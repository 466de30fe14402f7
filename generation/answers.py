"""The threads behind the answers: one for each answer that reads from the provider, and one that stores their text."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

from connector import (
    AnswerStream,
    CallReport,
    CallStatus,
    ChatCompletionsRequest,
    ChatCompletionsResponse,
    Client,
    ConnectorError,
)
from db import Database, MessageStatus, NotFound, Person, StorageError, Turn, Written
from generation.received import Received

log = logging.getLogger(__name__)

KEEP = 1.0
"""Seconds between two times that the received text is stored; a power cut loses at most that."""
RECOVER = 5.0
"""Seconds between two searches for answers of dead processes, and for deleted chats to remove."""
PATIENCE = 600
"""How many times, one second apart, a writer tries to store the result of its answer: time to put a file back."""

SOON = 2.0
"""Seconds to wait until stopped answers are stored; it takes longer only if the database does not respond."""
REPORTED = 0.2
"""Seconds to wait for the report of a stopped call, which another thread may be making."""
BEGUN = 50
"""The number of pieces that a page draws at once."""
UNEXPECTED = "An unexpected error occurred. The text received so far is kept. Ask again; the log has the details."
FINISHED = "finished"
"""The key of every answer that is finished; it opens nothing."""

_NAMES = {"reasoning": ("reasoning_content", "reasoning"), "content": ("content",), "refusal": ("refusal",)}

ClientOf = Callable[[Callable[[CallReport], None]], Client]
"""Makes the client of one call, given the function that takes its report."""


class Answers:
    """The answers that are being written right now. Make one per process; it can be shared between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writing: dict[int, _Writer] = {}
        self._elsewhere: dict[int, _Elsewhere] = {}
        self._lock = threading.Lock()
        self._is_closed = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="answers: keeper", daemon=True)
        self._keeper.start()

    def write(
        self,
        person: Person,
        turn: Turn,
        client_of: ClientOf,
        request: ChatCompletionsRequest,
        *,
        is_streamed: bool = True,
    ) -> None:
        """Write the answer of a stored turn; returns at once. Without `is_streamed`, the text arrives in one piece."""
        writer = _Writer(self._database, person, turn, client_of, request, self._forget, is_streamed=is_streamed)
        with self._lock:
            self._writing[turn.answer_id] = writer
        writer.start()
        if self._is_closed.is_set():
            writer.stop()

    def follow(self, person: Person, answer_id: int) -> str:
        """The key to the text of an answer, whichever process writes it. Raises `NotFound` for other people's."""
        writer = self._writing.get(answer_id)
        if writer is not None and writer.person == person:
            return writer.received.key
        _, _, status = self._database.turns.written(person, answer_id)
        with self._lock:
            if status is not MessageStatus.WRITING:
                return FINISHED
            elsewhere = self._elsewhere.setdefault(answer_id, _Elsewhere(self._database, person, answer_id))
            return elsewhere.received.key

    def received(self, key: str) -> Received | None:
        """The received part of the answer with this key; None if the answer is finished or the key is unknown."""
        return next((each for each in self._followed() if each.key == key), None)

    def begun(self, key: str) -> list[tuple[int, str, str]]:
        """The first pieces, as `Received.since` returns them, so that a page can draw them without another request."""
        received = self.received(key)
        return list(received.since(0, BEGUN)) if received else []

    def stop(self, person: Person, answer_id: int) -> None:
        """Close the connection to the provider and store the text received so far.

        Does nothing if the answer is finished; raises `NotFound` for other people's.
        """
        writer = self._writing.get(answer_id)
        if writer is not None and writer.person == person:
            writer.stop()
            writer.finished.wait(SOON)  # so that the next page already shows it
        else:
            self._database.turns.ask_to_stop(person, answer_id)

    def wait(self, answer_id: int, seconds: float) -> bool:
        """Wait until this process no longer writes the answer, for `seconds` at most. Returns whether that is so."""
        writer = self._writing.get(answer_id)
        return writer is None or writer.finished.wait(seconds)

    def close(self) -> None:
        """Stop all answers, store the text received so far, and end all connections that wait for more."""
        self._is_closed.set()
        latest = time.monotonic() + SOON
        writers = list(self._writing.values())
        for writer in writers:
            writer.stop()
        for writer in writers:
            writer.finished.wait(max(0, latest - time.monotonic()))
        for received in self._followed():
            received.finish()
        self._keeper.join(max(0, latest - time.monotonic()))

    def _followed(self) -> list[Received]:
        with self._lock:
            written = [each.received for each in self._writing.values()]
            return written + [each.received for each in self._elsewhere.values()]

    def _forget(self, answer_id: int) -> None:
        with self._lock:
            self._writing.pop(answer_id, None)

    def _keep(self) -> None:
        recovered = -RECOVER
        while not self._is_closed.wait(KEEP):
            of_person: dict[Person, list[_Writer]] = defaultdict(list)
            for writer in list(self._writing.values()):
                of_person[writer.person].append(writer)
            for person, writers in of_person.items():
                self._try(partial(self._keep_all, person, writers))
            if time.monotonic() - recovered >= RECOVER:
                recovered = time.monotonic()
                self._try(self._database.turns.recover)
                self._try(self._database.chat_sessions.forget_deleted)
            self._try(self._look_elsewhere)

    @staticmethod
    def _try(step: Callable[[], None]) -> None:
        """Run a step and log its failure. It is retried a second later, and no other step is affected."""
        try:
            step()
        except StorageError as error:
            log.warning("The text of the running answers is not stored yet; it is retried. %s", error)
        except Exception:
            log.exception("an unexpected error while storing the text of the running answers; it is retried")

    def _keep_all(self, person: Person, writers: list["_Writer"]) -> None:
        to_stop = self._database.turns.keep(person, [writer.written() for writer in writers])
        for writer in writers:
            if writer.turn.answer_id in to_stop:
                writer.stop()

    def _look_elsewhere(self) -> None:
        for answer_id, elsewhere in list(self._elsewhere.items()):
            if not elsewhere.look():
                with self._lock:
                    del self._elsewhere[answer_id]
                elsewhere.received.finish()


class _Writer(threading.Thread):
    """Reads one answer from the provider and stores its result."""

    def __init__(
        self,
        database: Database,
        person: Person,
        turn: Turn,
        client_of: ClientOf,
        request: ChatCompletionsRequest,
        on_finished: Callable[[int], None],
        *,
        is_streamed: bool,
    ) -> None:
        super().__init__(name=f"answer {turn.answer_id}", daemon=True)
        self.person = person
        self.turn = turn
        self.received = Received()
        self._database = database
        self._client_of = client_of
        self._request = request
        self._on_finished = on_finished
        self._is_streamed = is_streamed
        self._began_at = datetime.now(UTC)
        self._began = time.monotonic()
        self.finished = threading.Event()
        """Set when the result is stored, or cannot be."""
        self._stream: AnswerStream | None = None
        self._is_stopped = False
        self._call_finished = threading.Event()
        """Set by the client when the call is finished, or earlier by `stop` to give the call up."""
        self._report: CallReport | None = None
        self._is_reported = threading.Event()
        self._finishing = threading.Lock()

    def run(self) -> None:
        failure = None
        try:
            self._read()
        except ConnectorError as error:
            failure = error
        except Exception:
            log.exception("an unexpected error while writing answer %s", self.turn.answer_id)
            failure = ConnectorError(UNEXPECTED)
        self._finish(failure)

    def _read(self) -> None:
        # This thread stores the report after the call: `stop` closes the connection without waiting for a disk.
        client = self._client_of(self._take)
        if not self._is_streamed:
            if not self._is_stopped:
                client.call_api(self._request)
            return
        with client.stream(self._request, ended=self._call_finished) as self._stream:
            if self._is_stopped:  # while the stream was being opened
                return
            for index, kind, text in self._stream.deltas():
                if index == 0 and kind != "tool_call":
                    self.received.add(kind, text)

    def _take(self, report: CallReport) -> None:
        if not self._is_streamed and report.response is not None:
            for kind, text in _said(report.response):  # before `stop` in another thread can store the result
                self.received.add(kind, text)
        self._report = report
        self._is_reported.set()

    def stop(self) -> None:
        """Close the connection to the provider, if the response has begun, and store the result."""
        if self._is_stopped:
            return
        self._is_stopped = True
        self._call_finished.set()
        if self._stream is not None:
            self._stream.close()
        else:  # in another thread, because the database may not respond
            threading.Thread(target=self._finish, name=f"{self.name}: stopped", daemon=True).start()

    def written(self) -> Written:
        return Written(self.turn, self.received.text("content", "refusal"), self.received.text("reasoning"))

    def _finish(self, failure: ConnectorError | None = None) -> None:
        with self._finishing:
            if self.finished.is_set():
                return
            try:
                if failure is None and self._is_stopped:
                    self._is_reported.wait(REPORTED)  # the client may be making it in the other thread
                self._store(self._report or self._own_report(failure))
            finally:
                self.finished.set()
                self._on_finished(self.turn.answer_id)
                self.received.finish()

    def _own_report(self, failure: ConnectorError | None) -> CallReport:
        """A report for a call that no client reported."""
        is_stopped = failure is None and self._is_stopped
        return CallReport(
            request={},
            status=CallStatus.STOPPED if is_stopped else CallStatus.FAILED,
            started_at=self._began_at,
            duration=time.monotonic() - self._began,
            error=failure,
        )

    def _store(self, report: CallReport) -> None:
        """Store the answer and the result of its call; retried while the database does not respond."""
        for _ in range(PATIENCE):
            written = self.written()
            try:
                self._database.turns.finish(
                    self.person, self.turn, content=written.content, reasoning=written.reasoning, report=report
                )
                return
            except NotFound:  # another process has stored a result already, for example by restoring a backup
                return
            except StorageError as error:
                log.warning("The result of answer %s is not stored yet; it is retried. %s", self.turn.answer_id, error)
            except Exception:
                log.exception("an unexpected error while storing answer %s; it is retried", self.turn.answer_id)
                report = self._own_report(ConnectorError(UNEXPECTED))
            time.sleep(1)  # nothing signals that the database responds again


def _said(response: ChatCompletionsResponse) -> Iterator[tuple[str, str]]:
    """The kinds and texts of the choice with index 0, as a stream would deliver them."""
    message = next((choice.message for choice in response.choices or [] if not choice.index), None)
    for kind, names in _NAMES.items():
        texts = [getattr(message, name, None) for name in names]
        yield from [(kind, text) for text in texts if isinstance(text, str) and text][:1]


class _Elsewhere:
    """The stored part of an answer that another process writes."""

    def __init__(self, database: Database, person: Person, answer_id: int) -> None:
        self.received = Received()
        self._database = database
        self._person = person
        self._answer_id = answer_id
        self._seen = {"reasoning": 0, "content": 0}

    def look(self) -> bool:
        """Read the newly stored text. Returns whether more may follow."""
        try:
            content, reasoning, status = self._database.turns.written(self._person, self._answer_id)
        except NotFound:
            return False
        for kind, text in (("reasoning", reasoning), ("content", content)):
            if len(text) > self._seen[kind]:
                self.received.add(kind, text[self._seen[kind] :])
                self._seen[kind] = len(text)
        return status is MessageStatus.WRITING
