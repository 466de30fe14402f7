"""A streamed answer: read piece by piece, cancelled from any thread, reported once."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

import httpx2

from connector.answer import DONE, Assembly, Piece, events, joined, raw_bytes
from connector.call import Call
from connector.chat_completions import ChatCompletionsResponse
from connector.errors import AnswerInterrupted, ConnectionFailed, ConnectorError
from connector.refusals import explain_status, unreadable
from connector.report import CallStatus
from connector.transport import drain, hang_up


class _Round:
    """The answer to one request. A call has several only where its choices are requested one by one."""

    def __init__(self, call: Call, http_response: httpx2.Response) -> None:
        self.http_response = http_response
        self.request_id = call.request_id(http_response)
        self.assembly = Assembly()
        self.is_done = False
        """Whether [DONE] was received."""
        self.completion: ChatCompletionsResponse | None = None
        """The answer of a server that does not stream."""
        if not http_response.headers.get("content-type", "").lower().startswith("text/event-stream"):
            self.completion = call.completion(http_response)

    @property
    def has_begun(self) -> bool:
        return self.completion is not None or self.assembly.has_begun

    @property
    def is_whole(self) -> bool:
        return self.completion is not None or self.assembly.is_finished(done=self.is_done)

    def response(self) -> ChatCompletionsResponse:
        """The part received so far."""
        if self.completion is not None:
            return self.completion
        completion = self.assembly.completion()
        completion._request_id = self.request_id
        return completion


class AnswerStream:
    """A streamed answer.

    Iterating yields the text of the choice with index 0; `deltas()` yields the new pieces of all choices; `response` is
    the part received so far and, once the iteration has ended, the complete answer. Iterating raises
    `AnswerInterrupted` when the answer ends without a finish reason, and any other `ConnectorError` where the provider
    or the network fails.
    """

    def __init__(self, call: Call, send: Callable[[], httpx2.Response]) -> None:
        """Send the request. Raises `ConnectorError` where no answer begins."""
        self._call = call
        self._send = send
        self._rounds = [_Round(call, send())]

    @property
    def response(self) -> ChatCompletionsResponse:
        """The part received so far; complete when the iteration has ended."""
        return joined(self._parts())

    def _parts(self) -> list[ChatCompletionsResponse]:
        first, *more = self._rounds
        return [first.response(), *(each.response() for each in more if each.has_begun)]

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
            for new in self._pieces() if self._call.mending.choices == 1 else self._one_by_one():
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
        failure = failure or self._problem_with_the_end()
        if failure is not None:
            interrupted = self._rounds[0].has_begun
            if interrupted and isinstance(failure, ConnectionFailed):
                failure = self._interrupted()
            self._call.finish(CallStatus.INTERRUPTED if interrupted else CallStatus.FAILED, self._parts(), failure)
            raise failure
        self._call.finish(CallStatus.DONE, self._parts())

    def _one_by_one(self) -> Iterator[Piece]:
        """Request the choices one by one, where the model does not accept `n`."""
        yield from self._pieces()
        for index in range(1, self._call.mending.choices):
            if self._problem_with_the_end() or self._call.is_finished:
                return
            self._rounds[-1].http_response.close()
            self._rounds.append(_Round(self._call, self._send()))
            if self._call.is_finished:  # by close(), while this thread waited for the answer
                self._rounds[-1].http_response.close()
                return
            for _, kind, text in self._pieces():
                yield index, kind, text

    def _pieces(self) -> Iterator[Piece]:
        this = self._rounds[-1]
        if this.completion is not None:
            yield from self._whole(this.completion)
            return
        received = raw_bytes(this.http_response)
        for event in events(received):
            if event.startswith(DONE):
                this.is_done = True
                drain(this.http_response, received)
                return
            new = self._read(event, this)
            if new:
                self._call.first_token()
                yield from new

    def _problem_with_the_end(self) -> ConnectorError | None:
        return None if self._rounds[-1].is_whole else self._interrupted()

    def _interrupted(self) -> AnswerInterrupted:
        return AnswerInterrupted(
            "The provider closed the connection before the answer was complete.",
            advice="The partial text is kept; try again.",
            request_id=self._rounds[-1].request_id,
        )

    def _read(self, event: bytes, this: _Round) -> list[Piece]:
        try:
            new = this.assembly.add(event)
        except (ValueError, AttributeError, TypeError):
            new = None
        if new is None:
            raise unreadable("", self._call.account, request_id=this.request_id)
        if this.assembly.error is not None:
            raise explain_status(
                None,
                this.assembly.error,
                self._call.account,
                self._call.model,
                request_id=this.request_id,
                prompts=self._call.prompts,
            )
        return new

    def _whole(self, completion: ChatCompletionsResponse) -> Iterator[Piece]:
        for choice in completion.choices:
            message, index = choice.message, choice.index or 0
            for kind, text in (
                ("reasoning", getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)),
                ("content", message and message.content),
                ("refusal", message and message.refusal),
            ):
                if isinstance(text, str) and text:
                    yield index, kind, text
            for call in (message and message.tool_calls) or ():
                yield index, "tool_call", call.function.arguments if call.type == "function" else call.custom.input

    def close(self) -> None:
        """Cancel: close the provider's connection at once. The partial answer stays in `response`. Does nothing when
        the answer has ended.

        Another thread that waits for the next piece ends its iteration. Where the choices are requested one by one, a
        request whose answer has not begun is cancelled when it begins.
        """
        is_running = not self._call.is_finished
        try:
            self._call.finish(CallStatus.STOPPED, self._parts())
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
