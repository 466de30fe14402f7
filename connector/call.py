"""One call: sent, retried while that may help, and reported once however it ends."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx2
from openai import OpenAI

from connector.answer import joined
from connector.chat_completions import ChatCompletionsResponse
from connector.configuration import Configuration
from connector.errors import AnswerInterrupted, ConnectorError
from connector.failures import explain
from connector.masking import Sent
from connector.mending import Mending
from connector.refusals import needs_other_api
from connector.report import CallReport, CallStatus
from connector.sdk import post
from connector.sentences import redacted

if TYPE_CHECKING:
    from connector.round import Round

RETRY_BUDGET = 30.0
"""Seconds within which a call is retried."""
LONGEST_RETRY_AFTER = 20.0
"""Seconds of a Retry-After that are waited for."""


class Call:
    """One call: its request, its attempts, its times, and its report, which is made once."""

    def __init__(self, account: Configuration, mending: Mending, on_call: Callable[[CallReport], None] | None) -> None:
        self.account = account
        self.mending = mending
        self.attempts = 0
        self.is_finished = False
        self.ended = threading.Event()
        self._on_call = on_call
        self._started_at = datetime.now(UTC)
        self._start = time.monotonic()
        self._first_token: float | None = None
        self._finishing = threading.Lock()

    @property
    def model(self) -> str:
        return str(self.mending.body.get("model", ""))

    def explain(self, error: Exception) -> ConnectorError:
        return explain(error, self.account, self.model, self.prompts)

    @property
    def prompts(self) -> Sent:
        """The texts that no error of this call may show."""
        return Sent(self.mending.body)

    def send(self, sdk: OpenAI, *, timeout: httpx2.Timeout, max_retries: int, stream: bool) -> httpx2.Response:
        """Send the request, adapt it when the provider refuses it, and retry transient failures.

        Raises `ConnectorError` when that does not help, `AnswerInterrupted` when `ended` is set meanwhile.
        """
        latest = time.monotonic() + RETRY_BUDGET
        tries = 0
        while not self.ended.is_set():  # by another thread, which stops a stream
            if self.mending.other_api is not None:
                raise needs_other_api(self.mending.other_api, self.account, self.model)
            self.attempts += 1
            try:
                return post(sdk, self.mending.body, self.account.authorisation, timeout, stream=stream)
            except Exception as error:
                failure = self.explain(error)
            if self.mending.after(failure):
                continue
            tries += 1
            pause = _pause(failure, tries)
            if tries > max_retries or pause is None or time.monotonic() + pause > latest:
                raise failure
            self.ended.wait(pause)
        raise AnswerInterrupted("It was stopped.")

    def request_id(self, response: httpx2.Response) -> str | None:
        """The provider's own id of a call, redacted like all that it sends."""
        found = response.headers.get("x-request-id") or response.headers.get("apim-request-id")
        return redacted(found, self.account) or None

    def first_token(self) -> None:
        if self._first_token is None:
            self._first_token = time.monotonic() - self._start
            self.mending.confirm()

    def finish(self, status: CallStatus, rounds: Sequence["Round"] = (), error: ConnectorError | None = None) -> None:
        """Make the report, once; `rounds` are the answers to its requests, one unless `n` was sent one by one."""
        with self._finishing:  # one thread may stop the call while another reads its answer
            if self.is_finished:
                return
            self.is_finished = True
        self.ended.set()
        if status is CallStatus.DONE:
            self.mending.confirm()
        if error is not None and error.request_id:  # a provider may repeat a prompt in its header, too
            error.request_id = redacted(error.request_id, self.account, self.prompts)
        if self._on_call is None:
            return
        parts = parts_of(rounds)
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
                skipped_events=sum(each.assembly.skipped for each in rounds),
                url=self.account.url,
            )
        )


def parts_of(rounds: Sequence["Round"]) -> list[ChatCompletionsResponse]:
    """Return the answers received so far; of later requests only those that have begun."""
    return [each.response() for number, each in enumerate(rounds) if number == 0 or each.has_begun]


def _pause(failure: ConnectorError, attempts: int) -> float | None:
    """Seconds until the next attempt: what the provider asks for, else a random time. None: no further attempt."""
    if not failure.is_retryable:
        return None
    if failure.retry_after is not None:
        return failure.retry_after if failure.retry_after <= LONGEST_RETRY_AFTER else None
    return random.uniform(0, min(8, 0.5 * 2 ** (attempts - 1)))  # noqa: S311 - so that not all clients retry at once
