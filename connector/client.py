"""The three operations and the stream, each reported once however it ends."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

import httpx2
import jiter
from openai import Omit, OpenAI, Stream

from connector.answer import DONE, Assembly, events, parse_completion
from connector.chat_completions import (
    ChatCompletionsRequest,
    ChatCompletionsResponse,
    ChatCompletionsSession,
    Usage,
    text_of,
)
from connector.configuration import Configuration
from connector.errors import AnswerInterrupted, ConnectionFailed, ConnectorError
from connector.failures import explain, explain_status, redacted, unreadable
from connector.transport import drain, hang_up, shared_http_client

TIMEOUT = httpx2.Timeout(connect=10, read=120, write=60, pool=10)
"""Seconds to connect, between two pieces of an answer, to send a piece, and to wait for a free connection."""


class CallStatus(StrEnum):
    """How a call ended, or that it has not yet."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class UsageSource(StrEnum):
    """Where the token counts of a call are from."""

    REPORTED = "reported"
    ESTIMATED = "estimated"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class CallReport:
    """One call and how it ended; handed to `on_call` exactly once."""

    request: Mapping[str, Any]
    """The JSON as it was sent."""
    status: CallStatus
    started_at: datetime
    """Aware, UTC."""
    duration: float
    """Seconds, to the last byte."""
    time_to_first_token: float | None = None
    """Seconds; None where nothing came, or all came at once."""
    response: ChatCompletionsResponse | None = None
    """Whole, or what came of it."""
    error: ConnectorError | None = None
    attempts: int = 1
    adaptations: tuple[str, ...] = ()

    @property
    def usage(self) -> Usage | None:
        """The tokens the provider reported; None is unknown, not zero."""
        usage = self.response.usage if self.response else None
        counts = [getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
        return usage if any(isinstance(count, int) for count in counts) else None

    @property
    def usage_source(self) -> UsageSource:
        return UsageSource.REPORTED if self.usage else UsageSource.UNKNOWN

    @property
    def request_id(self) -> str | None:
        """The provider's own id of the call, for its support."""
        if self.error and self.error.request_id:
            return self.error.request_id
        return getattr(self.response, "_request_id", None)


class Client:
    """Chat completions with one configuration. Thread-safe, and cheap to make: what costs is shared.

    `on_call` gets one `CallReport` per call. Every failure is a `ConnectorError` whose text is fit for the user.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        http_client: httpx2.Client | None = None,
        on_call: Callable[[CallReport], None] | None = None,
        timeout: httpx2.Timeout = TIMEOUT,
    ) -> None:
        self.configuration = configuration
        self._http_client = http_client
        self._on_call = on_call
        self._timeout = timeout

    def execute_without_history(
        self, user_prompt: str = "", *, system_prompt: str = "", model: str | None = None
    ) -> str:
        """The answer to one or both prompts; nothing said before is sent. Two blank ones are an `InvalidRequest`."""
        request = ChatCompletionsRequest.of_prompts(user_prompt, system_prompt=system_prompt, model=model)
        return text_of(self.call_api(request))

    def execute_with_history(self, session: ChatCompletionsSession, *, model: str | None = None) -> str:
        """The answer to a conversation. The session stays as it was: add the answer with `add_message`."""
        return text_of(self.call_api(ChatCompletionsRequest.of_session(session, model=model)))

    def call_api(self, request: ChatCompletionsRequest) -> ChatCompletionsResponse:
        """The advanced operation: full request in, full response out."""
        call = _Call(self.body(request), self._on_call)
        try:
            response = self._send(call.body, stream=False)
            completion = self._completion(response, call.body)
        except ConnectorError as error:
            call.end(CallStatus.FAILED, error=error)
            raise
        except BaseException:  # the program is being stopped
            call.end(CallStatus.STOPPED)
            raise
        call.end(CallStatus.DONE, completion)
        return completion

    def stream(self, request: ChatCompletionsRequest) -> "AnswerStream":
        """The same, as it is written. The call begins here; use the stream in a `with` block, or close it."""
        body = request.body(self.configuration.model_for(request.model), stream=True)
        call = _Call(body, self._on_call)
        try:
            response = self._send(body, stream=True)
            if not response.headers.get("content-type", "").lower().startswith("text/event-stream"):
                completion = self._completion(response, body)  # a server that does not stream, or no answer at all
                return AnswerStream(self, call, response, completion)
        except ConnectorError as error:
            call.end(CallStatus.FAILED, error=error)
            raise
        except BaseException:
            call.end(CallStatus.STOPPED)
            raise
        return AnswerStream(self, call, response)

    def body(self, request: ChatCompletionsRequest) -> dict[str, Any]:
        """The JSON that `call_api` sends. Raises `InvalidRequest` when nobody names a model."""
        return request.body(self.configuration.model_for(request.model))

    def _send(self, body: dict[str, Any], *, stream: bool) -> httpx2.Response:
        """Send through the SDK, which does addresses and authorisation; the body is parsed here, once."""
        try:
            sdk, authorisation = self.configuration.connect(self._http_client or shared_http_client())
            response = sdk.post(
                # Whole, so that what is called is what `url` says: the SDK has rules of its own for Azure's paths.
                self.configuration.url,
                cast_to=httpx2.Response,
                body=body,
                options={"headers": _headers(sdk) | authorisation, "timeout": self._timeout},
                stream=stream,
                stream_cls=Stream[object],
            )
        except Exception as error:
            failure = self.explain(error, body)
        else:
            # httpx2.Response is what cast_to asks for, streamed or not; the signature cannot say so.
            assert isinstance(response, httpx2.Response)  # noqa: S101
            return response
        raise failure

    def explain(self, error: Exception, body: Mapping[str, Any]) -> ConnectorError:
        return explain(error, self.configuration, str(body.get("model", "")))

    def _completion(self, response: httpx2.Response, body: Mapping[str, Any]) -> ChatCompletionsResponse:
        request_id = self.request_id(response)
        failure: ConnectorError
        try:
            data = jiter.from_json(response.read())
            if not (isinstance(data, dict) and data.get("error") and not data.get("choices")):
                completion = parse_completion(data)
                completion._request_id = request_id
                return completion
            model = str(body.get("model", ""))
            failure = explain_status(None, data["error"], self.configuration, model, request_id=request_id)
        except ValueError:
            content_type = response.headers.get("content-type", "")
            failure = unreadable(content_type, self.configuration, request_id=request_id)
        except httpx2.HTTPError as error:
            failure = self.explain(error, body)
        raise failure

    def request_id(self, response: httpx2.Response) -> str | None:
        """The provider's own id of a call; it comes from outside like any other word."""
        found = response.headers.get("x-request-id") or response.headers.get("apim-request-id")
        return redacted(found, self.configuration) or None


class AnswerStream:
    """An answer as it is written.

    Iterating gives the text of the choice with index 0; `deltas()` gives what is new of all choices; `response` is
    what came so far and, once the iteration ended, the whole answer. Raises `AnswerInterrupted` when the answer ends
    without a finish reason, and any other `ConnectorError` where the provider or the network fails.
    """

    def __init__(
        self,
        client: Client,
        call: "_Call",
        http_response: httpx2.Response,
        completion: ChatCompletionsResponse | None = None,
    ) -> None:
        self._client = client
        self._call = call
        self._http_response = http_response
        self._completion = completion
        self._assembly = Assembly()
        self._is_done = False
        self._request_id = client.request_id(http_response)

    @property
    def response(self) -> ChatCompletionsResponse:
        """What came so far; complete when the iteration has ended."""
        completion = self._completion or self._assembly.completion()
        completion._request_id = self._request_id
        return completion

    def __iter__(self) -> Iterator[str]:
        for index, kind, text in self.deltas():
            if index == 0 and kind == "content":
                yield text

    def deltas(self) -> Iterator[tuple[int, str, str]]:
        """What is new: (index of the choice, kind, text); kind is content, reasoning, refusal or tool_call."""
        if self._call.is_ended:
            return
        failure: ConnectorError | None = None
        try:
            for new in self._whole(self._completion) if self._completion else self._pieces():
                yield new
                if self._call.is_ended:  # by close(), between two pieces
                    return
        except Exception as error:
            failure = self._client.explain(error, self._call.body)
        except BaseException:  # the loop was left, or the program is being stopped
            self.close()
            raise
        if self._call.is_ended:  # by close(), while the next piece was waited for
            return
        self._http_response.close()
        failure = failure or self._what_is_missing()
        if failure is not None:
            interrupted = self._assembly.has_begun
            if interrupted and isinstance(failure, ConnectionFailed):
                failure = self._interrupted()
            self._call.end(CallStatus.INTERRUPTED if interrupted else CallStatus.FAILED, self.response, failure)
            raise failure
        self._call.end(CallStatus.DONE, self.response)

    def _pieces(self) -> Iterator[tuple[int, str, str]]:
        received = self._http_response.iter_bytes()
        for event in events(received):
            if event.startswith(DONE):
                self._is_done = True
                drain(self._http_response, received)
                return
            for new in self._read(event):
                self._call.first_token()
                yield new

    def _what_is_missing(self) -> ConnectorError | None:
        is_whole = self._completion or self._assembly.is_finished(done=self._is_done)
        return None if is_whole else self._interrupted()

    def _interrupted(self) -> AnswerInterrupted:
        return AnswerInterrupted(
            "The provider closed the connection before the answer was complete. What came is kept; try again.",
            request_id=self._request_id,
        )

    def _read(self, event: bytes) -> list[tuple[int, str, str]]:
        try:
            new = self._assembly.add(event)
        except (ValueError, AttributeError, TypeError):
            new = None
        if new is None:
            raise unreadable("", self._client.configuration, request_id=self._request_id)
        if self._assembly.error is not None:
            raise explain_status(
                None,
                self._assembly.error,
                self._client.configuration,
                str(self._call.body.get("model", "")),
                request_id=self._request_id,
            )
        return new

    def _whole(self, completion: ChatCompletionsResponse) -> Iterator[tuple[int, str, str]]:
        for choice in completion.choices:
            if choice.message and choice.message.content:
                yield choice.index or 0, "content", choice.message.content

    def close(self) -> None:
        """Stop: close the provider's connection at once. What came stays in `response`. Harmless when it has ended.

        May be called while another thread waits for the next piece: its iteration ends.
        """
        is_running = not self._call.is_ended
        try:
            self._call.end(CallStatus.STOPPED, self.response)
        finally:
            if is_running:
                hang_up(self._http_response)
            self._http_response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Call:
    """The bookkeeping of one call: its times, and its report, made once."""

    def __init__(self, body: dict[str, Any], on_call: Callable[[CallReport], None] | None) -> None:
        self.body = body
        self.is_ended = False
        self._on_call = on_call
        self._started_at = datetime.now(UTC)
        self._start = time.monotonic()
        self._first_token: float | None = None
        self._ending = threading.Lock()

    def first_token(self) -> None:
        if self._first_token is None:
            self._first_token = time.monotonic() - self._start

    def end(
        self,
        status: CallStatus,
        response: ChatCompletionsResponse | None = None,
        error: ConnectorError | None = None,
    ) -> None:
        with self._ending:  # one thread may stop what another one reads
            if self.is_ended:
                return
            self.is_ended = True
        if self._on_call is not None:
            self._on_call(
                CallReport(
                    request=self.body,
                    status=status,
                    started_at=self._started_at,
                    duration=time.monotonic() - self._start,
                    time_to_first_token=self._first_token,
                    response=response,
                    error=error,
                )
            )


def _headers(sdk: OpenAI) -> dict[str, str | Omit]:
    """The SDK's own headers and nothing else: OPENAI_CUSTOM_HEADERS, OPENAI_ORG_ID and their kind add and replace."""
    own = {"accept": "application/json", "content-type": "application/json", "user-agent": sdk.user_agent}
    own |= {name.lower(): value for name, value in sdk.platform_headers().items()}
    no_key = {"authorization": Omit(), "api-key": Omit()}  # the one that is right comes from `Configuration.connect`
    return {name.lower(): Omit() for name in sdk.default_headers} | no_key | own
