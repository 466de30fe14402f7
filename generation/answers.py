"""Who writes which answer: threads that read from the provider, and one that stores how far they are."""

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
from generation.words import Words

log = logging.getLogger(__name__)

KEEP = 1.0
"""Seconds between two times that what has come is stored; a power cut loses so much."""
RECOVER = 5.0
"""Seconds between two looks for answers of processes that are dead, and for chats to clear away."""
PATIENCE = 60
"""How often the end of an answer is tried to be stored, a second apart."""

SOON = 2.0
"""Seconds in which a stopped answer is stored, unless the database is in the way."""
REPORTED = 0.2
"""Seconds within which whoever stops an answer has made its report."""
BEGUN = 50
"""Pieces of an answer that count as its first words."""
UNEXPECTED = "Something went wrong that nobody expected. Ask again; the log tells more."
ENDED = "ended"
"""The key to nothing."""

_NAMES = {"reasoning": ("reasoning_content", "reasoning"), "content": ("content",), "refusal": ("refusal",)}

ClientOf = Callable[[Callable[[CallReport], None]], Client]
"""Makes the client of one call, given what takes its report."""


class Answers:
    """The answers that are being written right now. Make one per process; safe to share between threads."""

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
        """Write the answer of a turn that has begun; returns at once. What is not streamed comes in one piece."""
        writer = _Writer(self._database, person, turn, client_of, request, self._forget, is_streamed=is_streamed)
        with self._lock:
            self._writing[turn.answer_id] = writer
        writer.start()

    def follow(self, person: Person, answer_id: int) -> str:
        """The key to the words of an answer; it may be written by another process. `NotFound` for somebody else's."""
        writer = self._writing.get(answer_id)
        if writer is not None and writer.person == person:
            return writer.words.key
        _, _, status = self._database.turns.written(person, answer_id)
        with self._lock:
            if status is not MessageStatus.WRITING:
                return ENDED
            elsewhere = self._elsewhere.setdefault(answer_id, _Elsewhere(self._database, person, answer_id))
            return elsewhere.words.key

    def words(self, key: str) -> Words | None:
        """What this is the key to; None when it has ended."""
        with self._lock:
            found = [each.words for each in self._writing.values()] + [each.words for each in self._elsewhere.values()]
        return next((words for words in found if words.key == key), None)

    def begun(self, key: str) -> list[tuple[int, str, str]]:
        """The first words, if there are any yet: what is drawn with them need not wait for them; see `Words.since`."""
        words = self.words(key)
        return list(words.since(0, BEGUN)) if words else []

    def stop(self, person: Person, answer_id: int) -> None:
        """Hang up on the provider and store what came. Harmless when it has ended; `NotFound` for somebody else's."""
        writer = self._writing.get(answer_id)
        if writer is not None and writer.person == person:
            writer.stop()
            writer.is_booked.wait(SOON)  # so that a page that is drawn next knows of it
        else:
            self._database.turns.ask_to_stop(person, answer_id)

    def wait(self, answer_id: int, seconds: float) -> bool:
        """Until this process does not write that answer any more; whether it came to that."""
        writer = self._writing.get(answer_id)
        return writer is None or writer.is_booked.wait(seconds)

    def close(self) -> None:
        """Stop them all; what came is stored."""
        self._is_closed.set()
        writers = list(self._writing.values())
        for writer in writers:
            writer.stop()
        for writer in writers:
            writer.is_booked.wait(SOON)
        self._keeper.join(SOON)

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
        """What fails now is tried again in a second, and is in the way of nothing else."""
        try:
            step()
        except StorageError as error:
            log.warning("What came of the answers could not be stored. %s", error)
        except Exception:
            log.exception("what came of the answers could not be stored")

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
                elsewhere.words.end()


class _Writer(threading.Thread):
    """Reads one answer from the provider, and books how it ended."""

    def __init__(
        self,
        database: Database,
        person: Person,
        turn: Turn,
        client_of: ClientOf,
        request: ChatCompletionsRequest,
        ended: Callable[[int], None],
        *,
        is_streamed: bool,
    ) -> None:
        super().__init__(name=f"answer {turn.answer_id}", daemon=True)
        self.person = person
        self.turn = turn
        self.words = Words()
        self._database = database
        self._client_of = client_of
        self._request = request
        self._ended = ended
        self._is_streamed = is_streamed
        self._began_at = datetime.now(UTC)
        self._began = time.monotonic()
        self.is_booked = threading.Event()
        """How it ended is stored, or cannot be."""
        self._stream: AnswerStream | None = None
        self._is_stopped = False
        self._over = threading.Event()
        """Set by the client when the call has ended, and before by whoever stops it."""
        self._report: CallReport | None = None
        self._is_reported = threading.Event()
        self._booking = threading.Lock()

    def run(self) -> None:
        failure = None
        try:
            self._read()
        except ConnectorError as error:
            failure = error
        except Exception:
            log.exception("answer %s", self.turn.answer_id)
            failure = ConnectorError(UNEXPECTED)
        self._end(failure)

    def _read(self) -> None:
        # The report is booked by this thread once all is over: whoever stops it hangs up without waiting for a disk.
        client = self._client_of(self._take)
        if not self._is_streamed:
            if not self._is_stopped:
                client.call_api(self._request)
            return
        with client.stream(self._request, ended=self._over) as self._stream:
            if self._is_stopped:  # in the same moment
                return
            for index, kind, text in self._stream.deltas():
                if index == 0 and kind != "tool_call":
                    self.words.add(kind, text)

    def _take(self, report: CallReport) -> None:
        if not self._is_streamed and report.response is not None:
            for kind, text in _said(report.response):  # before anybody books it who stops it in this moment
                self.words.add(kind, text)
        self._report = report
        self._is_reported.set()

    def stop(self) -> None:
        """Hang up, and have it booked. Before the provider's first word there is nothing yet to hang up on."""
        if self._is_stopped:
            return
        self._is_stopped = True
        self._over.set()
        if self._stream is not None:
            self._stream.close()
        else:  # not here: the database may be in the way
            threading.Thread(target=self._end, name=f"{self.name}: stopped", daemon=True).start()

    def written(self) -> Written:
        return Written(self.turn, self.words.text("content", "refusal"), self.words.text("reasoning"))

    def _end(self, failure: ConnectorError | None = None) -> None:
        with self._booking:
            if self.is_booked.is_set():
                return
            try:
                if failure is None and self._is_stopped:
                    self._is_reported.wait(REPORTED)  # the one who stops it may be about to make the report
                self._book(self._report or self._made_up(failure))
            finally:
                self.is_booked.set()
                self._ended(self.turn.answer_id)
                self.words.end()

    def _made_up(self, failure: ConnectorError | None) -> CallReport:
        """Where no client has a report."""
        is_stopped = failure is None and self._is_stopped
        return CallReport(
            request={},
            status=CallStatus.STOPPED if is_stopped else CallStatus.FAILED,
            started_at=self._began_at,
            duration=time.monotonic() - self._began,
            error=failure,
        )

    def _book(self, report: CallReport) -> None:
        """Store the answer and how it ended; while the database is in the way, again and again."""
        for _ in range(PATIENCE):
            written = self.written()
            try:
                self._database.turns.finish(
                    self.person, self.turn, content=written.content, reasoning=written.reasoning, report=report
                )
                return
            except NotFound:  # booked by then, in another process: a restored database, say
                return
            except StorageError as error:
                log.warning("The end of answer %s could not be stored yet. %s", self.turn.answer_id, error)
            except Exception:
                log.exception("the end of answer %s", self.turn.answer_id)
                report = self._made_up(ConnectorError(UNEXPECTED))
            time.sleep(1)  # nothing tells when the database is out of the way


def _said(response: ChatCompletionsResponse) -> Iterator[tuple[str, str]]:
    """What a whole answer says, as a stream says it: kind and text, of the choice with index 0."""
    message = next((choice.message for choice in response.choices or [] if not choice.index), None)
    for kind, names in _NAMES.items():
        texts = [getattr(message, name, None) for name in names]
        yield from [(kind, text) for text in texts if isinstance(text, str) and text][:1]


class _Elsewhere:
    """An answer that another process writes, as far as it has been stored."""

    def __init__(self, database: Database, person: Person, answer_id: int) -> None:
        self.words = Words()
        self._database = database
        self._person = person
        self._answer_id = answer_id
        self._seen = {"reasoning": 0, "content": 0}

    def look(self) -> bool:
        """Take what is new; whether more may come."""
        try:
            content, reasoning, status = self._database.turns.written(self._person, self._answer_id)
        except NotFound:
            return False
        for kind, text in (("reasoning", reasoning), ("content", content)):
            if len(text) > self._seen[kind]:
                self.words.add(kind, text[self._seen[kind] :])
                self._seen[kind] = len(text)
        return status is MessageStatus.WRITING
