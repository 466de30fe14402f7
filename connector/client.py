"""The three operations and the stream, each reported once however it ends."""

import random
import threading
import time
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

import httpx2
import jiter
from openai import OpenAI

from connector.adaptation import Adaptation, Adaptations, Mending
from connector.answer import DONE, Assembly, Piece, events, joined, parse_completion, raw_bytes
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
from connector.identity import signed_in
from connector.sdk import keyless_client, post, sync_sdk
from connector.transport import TIMEOUT, drain, hang_up, shared_http_client

RETRY_BUDGET = 30.0
LONGEST_RETRY_AFTER = 20.0


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
    """How often it was sent; 0 where it did not come to that."""
    adaptations: tuple[Adaptation, ...] = ()
    """What was changed in the request because the model does not take it."""
    learnt: tuple[Adaptation, ...] = ()
    """Those that this call found out, and that the provider took."""
    outdated: tuple[Adaptation, ...] = ()
    """What was known before and turned out not to be true any more."""
    parts: tuple[ChatCompletionsResponse, ...] = ()
    """The answers of which the response is made, where its choices were asked for one by one."""
    url: str = ""
    """Where it was sent."""

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
        learnt: Adaptations | None = None,
        token: Callable[[], str] | None = None,
        timeout: httpx2.Timeout = TIMEOUT,
        max_retries: int = 2,
    ) -> None:
        """`http_client`: see `pooled_http_client`. `token` gives a fresh token for each call, in place of the key.

        `learnt`: with `Adaptations`, a request that the provider refuses for a parameter is changed and sent again,
        and what helped is kept in there; the report says what was changed. Without, nothing is ever changed.

        `timeout` is in seconds, see `TIMEOUT`. `max_retries`: how often a call is tried again, within 30 seconds and
        only while nothing of an answer has come: no connection, 408, 409, 429 (but for an empty account), 500, 502 to
        504. A provider's Retry-After is obeyed up to 20 seconds.
        """
        self.configuration = configuration
        self._http_client = http_client
        self._on_call = on_call
        self._learnt = learnt
        self._token = token
        self._timeout = timeout
        self._max_retries = max_retries
        self._keyless: tuple[httpx2.Client, OpenAI] | None = None
        self._sdk: tuple[httpx2.Client, OpenAI] | None = None

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
        call = self._call(request)
        parts: list[ChatCompletionsResponse] = []
        try:
            call.account = signed_in(self.configuration, self._token)
            while len(parts) < call.mending.choices:
                parts.append(call.completion(self._send(call, stream=False)))
        except ConnectorError as error:
            call.end(CallStatus.FAILED, parts, error)
            raise
        except BaseException:  # the program is being stopped
            call.end(CallStatus.STOPPED, parts)
            raise
        call.end(CallStatus.DONE, parts)
        return joined(parts)

    def stream(self, request: ChatCompletionsRequest, *, ended: threading.Event | None = None) -> "AnswerStream":
        """The same, as it is written. The call begins here; use the stream in a `with` block, or close it.

        `ended` is set once the call has ended. Set it from another thread to give up before the answer begins: nothing
        is sent again then, and `AnswerInterrupted` is raised as soon as the provider says anything.
        """
        call = self._call(request, stream=True)
        call.ended = ended or call.ended
        try:
            call.account = signed_in(self.configuration, self._token)
            return AnswerStream(call, lambda: self._send(call, stream=True))
        except ConnectorError as error:
            if call.ended.is_set():
                call.end(CallStatus.STOPPED)
            else:
                call.end(CallStatus.FAILED, error=error)
            raise
        except BaseException:
            call.end(CallStatus.STOPPED)
            raise

    def body(self, request: ChatCompletionsRequest) -> dict[str, Any]:
        """The JSON that `call_api` sends, unless it is refused. Raises `InvalidRequest` when nobody names a model."""
        return self._call(request).mending.body

    def _call(self, request: ChatCompletionsRequest, *, stream: bool = False) -> "_Call":
        body = request.body(self.configuration.model_for(request.model), stream=stream)
        return _Call(self.configuration, Mending(body, self._learnt), self._on_call)

    @property
    def sdk(self) -> OpenAI:
        """The official client for this configuration, for everything that is not chat completions: `openai.OpenAI`, or
        `openai.AzureOpenAI` for Azure with a dated API version.

        It has the key (or a token provider) in it, takes nothing from the environment, and shares the connections, the
        timeout and `max_retries` of this `Client`. It follows no redirects, unless a `http_client` of your own does.
        Its errors are the SDK's own, its calls are not reported to `on_call` and their parameters are never changed.
        """
        http_client = self._pool()
        if self._sdk is None or self._sdk[0] is not http_client:  # a forked process has another pool
            sdk = sync_sdk(
                self.configuration, http_client, token=self._token, timeout=self._timeout, max_retries=self._max_retries
            )
            self._sdk = http_client, sdk
        return self._sdk[1]

    def _pool(self) -> httpx2.Client:
        return self._http_client or shared_http_client()

    def _sender(self) -> OpenAI:
        """The SDK's client that sends chat completions."""
        http_client = self._pool()
        if self._keyless is None or self._keyless[0] is not http_client:
            self._keyless = http_client, keyless_client(self.configuration.sdk_arguments, http_client)
        return self._keyless[1]

    def _send(self, call: "_Call", *, stream: bool) -> httpx2.Response:
        """Send through the SDK, and again while that may help; what it raises is a `ConnectorError`."""
        latest = time.monotonic() + RETRY_BUDGET
        tries = 0
        sdk = self._sender()
        while not call.ended.is_set():  # by another thread, which stops a stream
            call.attempts += 1
            try:
                response = post(sdk, call.mending.body, call.account.authorisation, self._timeout, stream=stream)
            except Exception as error:
                failure = call.explain(error)
            else:
                return response
            if call.mending.after(failure):
                continue
            tries += 1
            pause = _pause(failure, tries)
            if tries > self._max_retries or pause is None or time.monotonic() + pause > latest:
                raise failure
            call.ended.wait(pause)
        raise AnswerInterrupted("It was stopped.")


def _pause(failure: ConnectorError, attempts: int) -> float | None:
    """Seconds until another try, None when there shall be none. What the provider asks for, else a random time."""
    if not failure.is_retryable:
        return None
    if failure.retry_after is not None:
        return failure.retry_after if failure.retry_after <= LONGEST_RETRY_AFTER else None
    return random.uniform(0, min(8, 0.5 * 2 ** (attempts - 1)))  # noqa: S311 - so that not all come back at once


class AnswerStream:
    """An answer as it is written.

    Iterating gives the text of the choice with index 0; `deltas()` gives what is new of all choices; `response` is
    what came so far and, once the iteration ended, the whole answer. Raises `AnswerInterrupted` when the answer ends
    without a finish reason, and any other `ConnectorError` where the provider or the network fails.
    """

    def __init__(self, call: "_Call", send: Callable[[], httpx2.Response]) -> None:
        """Sends at once. Raises `ConnectorError` where no answer begins."""
        self._call = call
        self._send = send
        self._rounds = [_Round(call, send())]

    @property
    def response(self) -> ChatCompletionsResponse:
        """What came so far; complete when the iteration has ended."""
        return joined(self._parts())

    def _parts(self) -> list[ChatCompletionsResponse]:
        first, *more = self._rounds
        return [first.response(), *(each.response() for each in more if each.has_begun)]

    def __iter__(self) -> Iterator[str]:
        for index, kind, text in self.deltas():
            if index == 0 and kind == "content":
                yield text

    def deltas(self) -> Iterator[Piece]:
        """What is new: (index of the choice, kind, text); kind is content, reasoning, refusal or tool_call."""
        if self._call.is_ended:
            return
        failure: ConnectorError | None = None
        try:
            for new in self._pieces() if self._call.mending.choices == 1 else self._one_by_one():
                yield new
                if self._call.is_ended:  # by close(), between two pieces
                    return
        except Exception as error:
            failure = self._call.explain(error)
        except BaseException:  # the loop was left, or the program is being stopped
            self.close()
            raise
        if self._call.is_ended:  # by close(), while the next piece was waited for
            return
        self._rounds[-1].http_response.close()
        failure = failure or self._what_is_missing()
        if failure is not None:
            interrupted = self._rounds[0].has_begun
            if interrupted and isinstance(failure, ConnectionFailed):
                failure = self._interrupted()
            self._call.end(CallStatus.INTERRUPTED if interrupted else CallStatus.FAILED, self._parts(), failure)
            raise failure
        self._call.end(CallStatus.DONE, self._parts())

    def _one_by_one(self) -> Iterator[Piece]:
        """The choices that the model would not write at once."""
        yield from self._pieces()
        for index in range(1, self._call.mending.choices):
            if self._what_is_missing() or self._call.is_ended:
                return
            self._rounds[-1].http_response.close()
            self._rounds.append(_Round(self._call, self._send()))
            if self._call.is_ended:  # by close(), while this one was waited for
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

    def _what_is_missing(self) -> ConnectorError | None:
        return None if self._rounds[-1].is_whole else self._interrupted()

    def _interrupted(self) -> AnswerInterrupted:
        return AnswerInterrupted(
            "The provider closed the connection before the answer was complete. What came is kept; try again.",
            request_id=self._rounds[-1].request_id,
        )

    def _read(self, event: bytes, this: "_Round") -> list[Piece]:
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
        """Stop: close the provider's connection at once. What came stays in `response`. Harmless when it has ended.

        May be called while another thread waits for the next piece: its iteration ends. Where the choices are asked for
        one by one, a next one that has been sent and has not begun is let go only when it begins.
        """
        is_running = not self._call.is_ended
        try:
            self._call.end(CallStatus.STOPPED, self._parts())
        finally:
            if is_running:
                hang_up(self._rounds[-1].http_response)
            self._rounds[-1].http_response.close()

    def __del__(self) -> None:
        # Dropped without a word: its connection would never be free again, and its call never reported.
        with suppress(Exception):
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Round:
    """The answer to one request: all of a call, but where its choices are asked for one by one."""

    def __init__(self, call: "_Call", http_response: httpx2.Response) -> None:
        self.http_response = http_response
        self.request_id = call.request_id(http_response)
        self.assembly = Assembly()
        self.is_done = False
        """[DONE] has come."""
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
        """What came of it so far."""
        if self.completion is not None:
            return self.completion
        completion = self.assembly.completion()
        completion._request_id = self.request_id
        return completion


class _Call:
    """One call: what is sent and for whom, how its answer is read, its times, and its report, made once."""

    def __init__(self, account: Configuration, mending: Mending, on_call: Callable[[CallReport], None] | None) -> None:
        self.account = account
        self.mending = mending
        self.attempts = 0
        self.is_ended = False
        self.ended = threading.Event()
        self._on_call = on_call
        self._started_at = datetime.now(UTC)
        self._start = time.monotonic()
        self._first_token: float | None = None
        self._ending = threading.Lock()

    @property
    def model(self) -> str:
        return str(self.mending.body.get("model", ""))

    def explain(self, error: Exception) -> ConnectorError:
        return explain(error, self.account, self.model, self.prompts)

    @property
    def prompts(self) -> list[str]:
        contents = [message.get("content") for message in self.mending.body.get("messages", ())]
        parts = (part.get("text") for content in contents if isinstance(content, list) for part in content)
        return [text for text in (*contents, *parts) if isinstance(text, str)]

    def completion(self, response: httpx2.Response) -> ChatCompletionsResponse:
        """Read a whole answer."""
        request_id = self.request_id(response)
        failure: ConnectorError
        try:
            data = jiter.from_json(response.read().removeprefix(BOM_UTF8))
            if not (isinstance(data, dict) and data.get("error") and not data.get("choices")):
                completion = parse_completion(data)
                completion._request_id = request_id
                self.mending.taken()
                return completion
            failure = explain_status(
                None, data["error"], self.account, self.model, request_id=request_id, prompts=self.prompts
            )
        except ValueError:
            failure = unreadable(response.headers.get("content-type", ""), self.account, request_id=request_id)
        except httpx2.HTTPError as error:
            failure = self.explain(error)
        raise failure

    def request_id(self, response: httpx2.Response) -> str | None:
        """The provider's own id of a call; it comes from outside like any other word."""
        found = response.headers.get("x-request-id") or response.headers.get("apim-request-id")
        return redacted(found, self.account) or None

    def first_token(self) -> None:
        if self._first_token is None:
            self._first_token = time.monotonic() - self._start
            self.mending.taken()

    def end(
        self,
        status: CallStatus,
        parts: Sequence[ChatCompletionsResponse] = (),
        error: ConnectorError | None = None,
    ) -> None:
        with self._ending:  # one thread may stop what another one reads
            if self.is_ended:
                return
            self.is_ended = True
        self.ended.set()
        if status is CallStatus.DONE:
            self.mending.taken()
        if self._on_call is not None:
            self._on_call(
                CallReport(
                    request=self.mending.body,
                    status=status,
                    started_at=self._started_at,
                    duration=time.monotonic() - self._start,
                    time_to_first_token=self._first_token,
                    response=joined(parts) if parts else None,
                    error=error,
                    attempts=self.attempts,
                    adaptations=tuple(self.mending.applied),
                    learnt=self.mending.learnt,
                    outdated=self.mending.outdated,
                    parts=tuple(parts if len(parts) > 1 else ()),
                    url=self.account.url,
                )
            )
