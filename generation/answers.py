"""Who writes which answer: threads that read from the provider, and one that stores how far they are."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime

from connector import AnswerStream, CallReport, CallStatus, ChatCompletionsRequest, Client, ConnectorError, text_of
from db import Database, MessageStatus, NotFound, Person, StorageError, Turn, Written
from generation.words import Words

log = logging.getLogger(__name__)

KEEP = 1.0
"""Seconds between two times that what has come is stored; a power cut loses so much."""
RECOVER = 5.0
"""Seconds between two looks for answers of processes that are dead."""
PATIENCE = 60
"""How often the end of an answer is tried to be stored, a second apart."""

SOON = 2.0
"""Seconds in which a stopped answer is stored, unless the database is in the way."""
ENDED = "ended"
"""The key to nothing."""

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

    def write(self, person: Person, turn: Turn, client_of: ClientOf, request: ChatCompletionsRequest) -> None:
        """Write the answer of a turn that has begun; returns at once."""
        writer = _Writer(self._database, person, turn, client_of, request, self._forget)
        with self._lock:
            self._writing[turn.answer_id] = writer
        writer.start()

    def follow(self, person: Person, answer_id: int) -> str:
        """The key to the words of an answer; it may be written by another process. `NotFound` for somebody else's."""
        _, _, status = self._database.turns.written(person, answer_id)
        with self._lock:
            if writer := self._writing.get(answer_id):
                return writer.words.key
            if status is not MessageStatus.WRITING:
                return ENDED
            elsewhere = self._elsewhere.setdefault(answer_id, _Elsewhere(self._database, person, answer_id))
            return elsewhere.words.key

    def words(self, key: str) -> Words | None:
        """What this is the key to; None when it has ended."""
        with self._lock:
            found = [each.words for each in self._writing.values()] + [each.words for each in self._elsewhere.values()]
        return next((words for words in found if words.key == key), None)

    def stop(self, person: Person, answer_id: int) -> None:
        """Hang up on the provider and store what came. Harmless when it has ended; `NotFound` for somebody else's."""
        writer = self._writing.get(answer_id)
        if writer is not None and writer.person == person:
            writer.stop()
            writer.join(SOON)  # so that a page that is drawn next knows of it
        else:
            self._database.turns.ask_to_stop(person, answer_id)

    def wait(self, answer_id: int, seconds: float) -> bool:
        """Until this process does not write that answer any more; whether it came to that."""
        writer = self._writing.get(answer_id)
        if writer is not None:
            writer.join(seconds)
        return writer is None or not writer.is_alive()

    def close(self) -> None:
        """Stop them all; what came is stored."""
        self._is_closed.set()
        for writer in list(self._writing.values()):
            writer.stop()
        for writer in list(self._writing.values()):
            writer.join(5)
        self._keeper.join(5)

    def _forget(self, answer_id: int) -> None:
        with self._lock:
            self._writing.pop(answer_id, None)

    def _keep(self) -> None:
        recovered = -RECOVER
        while not self._is_closed.wait(KEEP):
            try:
                self._keep_all()
                if time.monotonic() - recovered >= RECOVER:
                    recovered = time.monotonic()
                    self._database.turns.recover()
                self._look_elsewhere()
            except StorageError as error:
                log.warning("What came of the answers could not be stored. %s", error)
            except Exception:
                log.exception("what came of the answers could not be stored")

    def _keep_all(self) -> None:
        of_person: dict[Person, list[_Writer]] = defaultdict(list)
        for writer in list(self._writing.values()):
            of_person[writer.person].append(writer)
        for person, writers in of_person.items():
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
    ) -> None:
        super().__init__(name=f"answer {turn.answer_id}", daemon=True)
        self.person = person
        self.turn = turn
        self.words = Words()
        self._database = database
        self._client_of = client_of
        self._request = request
        self._ended = ended
        self._began_at = datetime.now(UTC)
        self._began = time.monotonic()
        self._stream: AnswerStream | None = None
        self._is_stopped = False
        self._report: CallReport | None = None
        self._is_booked = False
        self._booking = threading.Lock()

    def run(self) -> None:
        failure = None
        try:
            self._read()
        except ConnectorError as error:
            failure = error
        except Exception:
            log.exception("answer %s", self.turn.answer_id)
            failure = ConnectorError("Something went wrong that nobody expected. Ask again; the log tells more.")
        finally:
            self._book(self._report or self._made_up(CallStatus.FAILED, failure))
            self._ended(self.turn.answer_id)
            self.words.end()

    def _read(self) -> None:
        # The report is booked by this thread once all is over: whoever stops it hangs up without waiting for a disk.
        with self._client_of(self._take).stream(self._request) as self._stream:
            if self._is_stopped:  # before the provider began to answer
                return
            for index, kind, text in self._stream.deltas():
                if index == 0 and kind != "tool_call":
                    self.words.add(kind, text)

    def stop(self) -> None:
        """Hang up, and book it. Before the provider's first word there is nothing yet to hang up on."""
        self._is_stopped = True
        if self._stream is not None:
            self._stream.close()
        else:
            self._book(self._made_up(CallStatus.STOPPED))
            self._ended(self.turn.answer_id)
            self.words.end()

    def written(self) -> Written:
        return Written(self.turn, self.words.text("content", "refusal"), self.words.text("reasoning"))

    def _take(self, report: CallReport) -> None:
        self._report = report

    def _made_up(self, status: CallStatus, error: ConnectorError | None = None) -> CallReport:
        """Where no client has one."""
        return CallReport(
            request={}, status=status, started_at=self._began_at, duration=time.monotonic() - self._began, error=error
        )

    def _book(self, report: CallReport) -> None:
        """Store the answer and how it ended, once; while the database is in the way, again and again."""
        with self._booking:
            if self._is_booked:
                return
            self._is_booked = True
            # The one that stops it may have been quicker than the one that reads.
            read = text_of(report.response) if report.response else ""
            content = max(self.words.text("content", "refusal"), read, key=len)
            reasoning = self.words.text("reasoning")
            for _ in range(PATIENCE):
                try:
                    self._database.turns.finish(
                        self.person, self.turn, content=content, reasoning=reasoning, report=report
                    )
                    return
                except NotFound:  # booked by then, in another process: a restored database, say
                    return
                except StorageError as error:
                    log.warning("The end of answer %s could not be stored yet. %s", self.turn.answer_id, error)
                    time.sleep(1)


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
