"""The answer to one request, however its server sends it: streamed or whole."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import httpx2

from connector.answer import has_choice, parse_completion
from connector.assembly import Assembly, Piece, error_in
from connector.call import Call
from connector.chat_completions import ChatCompletionsResponse
from connector.errors import AnswerInterrupted, ConnectorError
from connector.events import DONE, beginning, events, is_event_stream, raw_bytes
from connector.refusals import explain_status, unreadable
from connector.tolerant import parsed
from connector.transport import drain


class Round:
    """The answer to one request. A call has several only where its choices are requested one by one.

    The bytes decide how the answer is read, not the content type alone: servers send event streams as JSON or as plain
    text, whole answers where a stream was requested, and streams where none was.
    """

    def __init__(self, call: Call, http_response: httpx2.Response) -> None:
        """Read a complete answer, or the beginning of a stream. Raises `ConnectorError` where no answer begins."""
        self.http_response = http_response
        self.request_id = call.request_id(http_response)
        self.assembly = Assembly()
        self._call = call
        self._content_type = http_response.headers.get("content-type", "").lower()
        self._completion: ChatCompletionsResponse | None = None
        """The answer of a server that does not stream."""
        self._received: Iterator[bytes] = iter(())
        self._is_streamed = not http_response.is_stream_consumed
        self._is_read = False
        """Whether the whole body was read at once, and parsed."""
        failure = None
        try:
            self._begin()
        except httpx2.HTTPError as error:
            failure = call.explain(error)
        if failure is not None:
            raise failure

    def _begin(self) -> None:
        if not self._is_streamed:
            self._received = iter((self.http_response.content,))
        else:
            self._received = raw_bytes(self.http_response)
            if self._content_type.startswith("text/event-stream"):
                return  # the first piece may be long in coming
        start, self._received = beginning(self._received)
        if not is_event_stream(start, self._content_type):
            self._read_whole()

    def read(self) -> None:
        """Read to the end. Raises `ConnectorError` unless that gives a complete answer."""
        failure = None
        try:
            if self._completion is None:  # otherwise all of it is there
                for _ in self.pieces():
                    pass
        except httpx2.HTTPError as error:
            failure = self._call.explain(error)
        if failure := failure or self.problem():
            raise failure

    def pieces(self) -> Iterator[Piece]:
        """Yield new pieces as they arrive. Raises `ConnectorError` for an error that the provider sent, and what the
        HTTP client raises.
        """
        if not self._is_read:
            start, self._received = beginning(self._received)
            if is_event_stream(start, self._content_type):
                yield from self._streamed()
                return
            self._read_whole()
        yield from self._whole()

    def _streamed(self) -> Iterator[Piece]:
        failure = None
        try:
            for event in events(self._received):
                if new := self.assembly.add(event):
                    if self._is_streamed:
                        self._call.first_token()
                    yield from new
                if self.assembly.is_done:
                    drain(self.http_response, self._received)
                    break
                if self.assembly.error is not None:
                    raise self._error(self.assembly.error)
        except (httpx2.HTTPError, ConnectorError) as error:
            failure = error
        yield from self.assembly.end()  # also before a failure: all text that came is returned
        if failure is not None:
            raise failure

    def _whole(self) -> Iterator[Piece]:
        """Yield the pieces of an answer that came whole."""
        for choice in self.response().choices:
            message, index = choice.message, choice.index or 0
            for kind, text in (
                ("reasoning", getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)),
                ("content", message and message.content),
                ("refusal", message and message.refusal),
            ):
                if isinstance(text, str) and text:
                    yield index, kind, text
            for call in (message and message.tool_calls) or ():
                function = getattr(call, "function", None) or getattr(call, "custom", None)
                yield index, "tool_call", getattr(function, "arguments", None) or getattr(function, "input", None) or ""

    def _read_whole(self) -> None:
        """Read an answer that is not an event stream. Raises `ConnectorError` if it is none."""
        self._is_read = True
        body = b"".join(self._received).strip()
        self.http_response.close()
        for mark in (DONE, b"data:"):  # some servers end it like a stream
            body = body.removesuffix(mark).rstrip()
        data, is_json = None, True
        try:
            data = parsed(body)
        except ValueError:  # errors are raised outside of this block: its error contains the body
            is_json = False
        if is_json:
            self._parse(data)
        else:
            self._parse_lines(body)
        self._call.mending.confirm()

    def _parse(self, data: object) -> None:
        if isinstance(data, list) and len(data) == 1:
            data = data[0]
        if isinstance(data, Mapping) and not data.get("choices") and (said := error_in(data)) is not None:
            raise self._error(said)
        if isinstance(data, Mapping) and data.get("object") == "chat.completion.chunk":
            self.assembly.add_chunk(data)
            self._end_of_chunks()
            return
        if isinstance(data, Mapping) and (said := _error_in_choice(data)) is not None:
            raise self._error(said)
        with suppress(ValueError):
            self._completion = parse_completion(data)
        if self._completion is None:
            raise self._unreadable()

    def _parse_lines(self, body: bytes) -> None:
        """Read a body of several JSON objects, one per line, as chunks."""
        for line in body.splitlines():
            self.assembly.add(line.removeprefix(b"data:").strip())
        self._end_of_chunks("html" if body.startswith(b"<") else "")

    def _end_of_chunks(self, content_type: str = "") -> None:
        self.assembly.end()
        if self.assembly.error is not None:
            raise self._error(self.assembly.error)
        if not self.assembly.has_text:
            raise self._unreadable(content_type)

    # -- how it ended

    @property
    def has_begun(self) -> bool:
        """Whether any part of a choice was received."""
        return self._completion is not None or self.assembly.has_begun

    def response(self) -> ChatCompletionsResponse:
        """The part received so far."""
        completion = self._completion or self.assembly.completion()
        completion._request_id = self.request_id
        return completion

    def problem(self) -> ConnectorError | None:
        """Return why what was received is not a complete answer; None for a complete one."""
        if self._completion is None and not self.assembly.is_finished:
            if self.assembly.remark is not None:
                return self._error(self.assembly.remark)
            if self.assembly.skipped and not self.assembly.has_text:
                return self._unreadable()
            if self.assembly.has_begun or not self.assembly.is_done:
                return self.interrupted()
        is_there = has_choice(self._completion) if self._completion is not None else self.assembly.has_first_choice
        return None if is_there else self._unreadable(reason="no_choice")

    def interrupted(self) -> AnswerInterrupted:
        return AnswerInterrupted(
            "The provider closed the connection before the answer was complete.",
            advice="The partial text is kept; try again.",
            request_id=self.request_id,
        )

    def _unreadable(self, content_type: str = "", *, reason: str = "") -> ConnectorError:
        return unreadable(
            content_type or self._content_type, self._call.account, request_id=self.request_id, reason=reason
        )

    def _error(self, said: object) -> ConnectorError:
        """The error for what the provider sent instead of an answer, or in the middle of one."""
        call = self._call
        return explain_status(None, said, call.account, call.model, request_id=self.request_id, prompts=call.prompts)


def _error_in_choice(answer: Mapping[str, Any]) -> object:
    """Return the error in the first choice of a complete answer, where there is no text beside it."""
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else {}
    message = first.get("message")
    has_text = isinstance(message, Mapping) and (message.get("content") or message.get("tool_calls"))
    return first.get("error") if not has_text else None
