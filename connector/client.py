"""The client: three operations, the stream, and the official SDK's client for everything else."""

import threading
from collections.abc import Callable

import httpx2
from openai import OpenAI

from connector.adaptation import Adaptations
from connector.answer import joined
from connector.call import Call, parts_of
from connector.chat_completions import (
    ChatCompletionsRequest,
    ChatCompletionsResponse,
    ChatCompletionsSession,
    text_of,
)
from connector.configuration import Configuration
from connector.errors import AnswerInterrupted, ConnectorError
from connector.identity import signed_in
from connector.mending import Mending
from connector.report import CallReport, CallStatus
from connector.round import Round
from connector.sdk import keyless_client, sync_sdk
from connector.stream import AnswerStream
from connector.transport import TIMEOUT, must_be, shared_http_client


class Client:
    """Chat completions with one configuration. Thread-safe, and cheap to make: clients share their connections.

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
        """`http_client`: see `pooled_http_client`. Raises TypeError for a client of another library than httpx2.

        `token` returns a fresh token for each call; it replaces the key.

        `learnt`: with `Adaptations`, a request that the provider refuses for a parameter is changed and sent again,
        and the changes that helped are kept there; the report lists them. Without it, no request is ever changed.

        `timeout` is in seconds, see `TIMEOUT`. `max_retries`: how often a transient failure is retried, within 30
        seconds and only before an answer begins: no connection, 408, 409, 429 (unless the account is out of quota),
        500, 502 to 504. A provider's Retry-After is respected up to 20 seconds.
        """
        must_be(httpx2.Client, http_client)
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
        """Return the answer to one or both prompts, without history. Raises `InvalidRequest` when both are blank."""
        request = ChatCompletionsRequest.of_prompts(user_prompt, system_prompt=system_prompt, model=model)
        return text_of(self.call_api(request))

    def execute_with_history(self, session: ChatCompletionsSession, *, model: str | None = None) -> str:
        """Return the answer to a conversation. The session is not changed: add the answer with `add_message`."""
        return text_of(self.call_api(ChatCompletionsRequest.of_session(session, model=model)))

    def call_api(self, request: ChatCompletionsRequest) -> ChatCompletionsResponse:
        """Send a full request and return the full response."""
        call = self._call(request)
        rounds: list[Round] = []
        try:
            call.account = signed_in(self.configuration, self._token)
            while len(rounds) < call.mending.choices:
                rounds.append(Round(call, self._send(call, stream=False)))
                rounds[-1].read()
        except ConnectorError as error:
            is_cut = isinstance(error, AnswerInterrupted)
            call.finish(CallStatus.INTERRUPTED if is_cut else CallStatus.FAILED, rounds, error)
            raise
        except BaseException:  # the program is exiting
            call.finish(CallStatus.STOPPED, rounds)
            raise
        call.finish(CallStatus.DONE, rounds)
        return joined(parts_of(rounds))

    def stream(self, request: ChatCompletionsRequest, *, ended: threading.Event | None = None) -> AnswerStream:
        """Send a full request and return its streamed answer. Use the stream in a `with` block, or close it.

        `ended` is set once the call has ended. Set it from another thread to cancel before the answer begins: there
        are no further attempts, and `AnswerInterrupted` is raised as soon as the provider responds.
        """
        call = self._call(request, stream=True)
        call.ended = ended or call.ended
        try:
            call.account = signed_in(self.configuration, self._token)
            return AnswerStream(call, lambda: self._send(call, stream=True))
        except ConnectorError as error:
            if call.ended.is_set():
                call.finish(CallStatus.STOPPED)
            else:
                call.finish(CallStatus.FAILED, error=error)
            raise
        except BaseException:
            call.finish(CallStatus.STOPPED)
            raise

    def _call(self, request: ChatCompletionsRequest, *, stream: bool = False) -> Call:
        mending = Mending(request, self.configuration.model_for(request.model), self._learnt, stream=stream)
        return Call(self.configuration, mending, self._on_call)

    @property
    def sdk(self) -> OpenAI:
        """The official client for this configuration, for everything that is not chat completions: `openai.OpenAI`, or
        `openai.AzureOpenAI` for Azure with a dated API version.

        It has the key (or a token provider) in it, takes nothing from the environment, and shares the connections, the
        timeout and `max_retries` of this `Client`. It follows no redirects, unless a `http_client` of your own does.
        Its errors are the SDK's own, its calls are not reported to `on_call` and their parameters are never changed.
        Raises `InvalidConfiguration` for a `token` function together with a `key_header`, which it cannot refresh.
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

    def _send(self, call: Call, *, stream: bool) -> httpx2.Response:
        return call.send(self._sender(), timeout=self._timeout, max_retries=self._max_retries, stream=stream)
