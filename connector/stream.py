"""A streamed answer: read piece by piece, cancelled from any thread, reported once."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

import httpx2

from connector.answer import joined
from connector.assembly import Piece
from connector.call import Call, parts_of
from connector.chat_completions import ChatCompletionsResponse
from connector.errors import ConnectionFailed, ConnectorError, UnreadableAnswer
from connector.report import CallStatus
from connector.round import Round
from connector.transport import hang_up


class AnswerStream:
    """A streamed answer.

    Iterating yields the text of the choice with index 0; `deltas()` yields the new pieces of all choices; `response` is
    the part received so far and, once the iteration has ended, the complete answer. Iterating raises
    `AnswerInterrupted` when the answer ends without a finish reason and without [DONE], and any other `ConnectorError`
    where the provider or the network fails. An event that cannot be read is skipped and counted in the report.
    """

    def __init__(self, call: Call, send: Callable[[], httpx2.Response]) -> None:
        """Send the request. Raises `ConnectorError` where no answer begins."""
        self._call = call
        self._send = send
        self._rounds = [Round(call, send())]

    @property
    def response(self) -> ChatCompletionsResponse:
        """The part received so far; complete when the iteration has ended."""
        return joined(parts_of(self._rounds))

    def __iter__(self) -> Iterator[str]:
        for index, kind, text in self.deltas():
            if index == 0 and kind == "content":
                yield text

    def deltas(self) -> Iterator[Piece]:
        """Yield new pieces: (index of the choice, kind, text); kind is content, reasoning, refusal or tool_call."""
        if self._call.is_finished:
            return
        failure: ConnectorError | None = None
        try:
            for new in self._rounds[-1].pieces() if self._call.mending.choices == 1 else self._one_by_one():
                yield new
                if self._call.is_finished:  # by close(), between two pieces
                    return
        except Exception as error:
            failure = self._call.explain(error)
        except BaseException:  # the loop was left, or the program is exiting
            self.close()
            raise
        if self._call.is_finished:  # by close(), while this thread waited for the next piece
            return
        self._rounds[-1].http_response.close()
        failure = failure or self._rounds[-1].problem()
        if failure is not None:
            interrupted = self._rounds[0].has_begun and not isinstance(failure, UnreadableAnswer)
            if interrupted and isinstance(failure, ConnectionFailed):
                failure = self._rounds[-1].interrupted()
            self._call.finish(CallStatus.INTERRUPTED if interrupted else CallStatus.FAILED, self._rounds, failure)
            raise failure
        self._call.finish(CallStatus.DONE, self._rounds)

    def _one_by_one(self) -> Iterator[Piece]:
        """Request the choices one by one, where the model does not accept `n`."""
        yield from self._rounds[-1].pieces()
        for index in range(1, self._call.mending.choices):
            if self._rounds[-1].problem() or self._call.is_finished:
                return
            self._rounds[-1].http_response.close()
            self._rounds.append(Round(self._call, self._send()))
            if self._call.is_finished:  # by close(), while this thread waited for the answer
                self._rounds[-1].http_response.close()
                return
            for _, kind, text in self._rounds[-1].pieces():
                yield index, kind, text

    def close(self) -> None:
        """Cancel: close the provider's connection at once. The partial answer stays in `response`. Does nothing when
        the answer has ended.

        Another thread that waits for the next piece ends its iteration. Where the choices are requested one by one, a
        request whose answer has not begun is cancelled when it begins.
        """
        is_running = not self._call.is_finished
        try:
            self._call.finish(CallStatus.STOPPED, self._rounds)
        finally:
            if is_running:
                hang_up(self._rounds[-1].http_response)
            self._rounds[-1].http_response.close()

    def __del__(self) -> None:
        # Dropped without close(): else the connection would never be free again and the call never be reported.
        with suppress(Exception):
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
