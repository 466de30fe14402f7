"""What can go wrong, as sentences for the person who has to act.

ConnectorError
├── InvalidConfiguration     .problems: field -> sentence; before any network traffic
├── InvalidRequest           .problems: field -> sentence; before any network traffic
├── ConnectionFailed         nothing was reached: name, refused, certificate, cut before the answer
├── NoAnswerInTime           reached, but silent for too long
├── KeyRefused               401
├── AccessDenied             403
├── NotFoundAtProvider       404: model, deployment or path
├── RateLimited              429, worth another try; .retry_after in seconds where the provider says
├── QuotaExceeded            429, not worth another try
├── ContentFiltered          the provider's filter blocked the prompt; .categories
├── RequestRefused           any other 4xx
├── ProviderUnavailable      5xx
├── UnreadableAnswer         an answer that is none: a web page, broken JSON
└── AnswerInterrupted        the answer began and did not end
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class ConnectorError(Exception):
    """Base of everything `connector` raises. `str()` is fit for the user and holds no key, header or prompt.

    For the machine: `kind` (one word per class), `status` (HTTP), `code` and `param` as the provider named them,
    `request_id`, and `retry_after` in seconds where the provider says. All but `kind` may be None. `is_retryable`:
    nothing of an answer came, and the same request may work a moment later; `Client` itself tries these again.
    `provider_message`: the provider's own words in one line, redacted; empty where there are none to show. `refused`
    are the parameters that it names as not taken, `supported` the values that it takes for them.

    `reason` is the cause in one word where the class does not name it: `not_a_chat_model`, `no_deployment`, `no_model`,
    `no_address`, `api_version`, or `thinking_limit` (a reasoning model used up its token limit before it answered).
    `ConnectionFailed` has its own words. Empty for all other causes.
    """

    kind: ClassVar[str] = "error"
    retry_after: float | None = None
    is_retryable: bool = False
    reason: str = ""

    def __init__(
        self,
        sentence: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        provider_message: str = "",
        refused: tuple[str, ...] = (),
        supported: tuple[str, ...] = (),
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.param = param
        self.request_id = request_id
        self.provider_message = provider_message
        self.refused = refused
        self.supported = supported

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own way calls the class with `args` alone, which the classes below do not all take.
        return _restore, (type(self), self.args, self.__dict__.copy())


def _restore(cls: type[ConnectorError], args: tuple[Any, ...], state: dict[str, Any]) -> ConnectorError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class _InvalidInput(ConnectorError):
    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(problems.values()))
        self.problems: dict[str, str] = dict(problems)


class InvalidConfiguration(_InvalidInput):
    """A configuration that cannot work. `.problems` maps field names to sentences."""

    kind = "invalid_configuration"


class InvalidRequest(_InvalidInput):
    """A request that cannot be sent. `.problems` maps field names to sentences."""

    kind = "invalid_request"


class ConnectionFailed(ConnectorError):
    """The provider was not reached, or the connection was lost before the answer began.

    `.reason` is one word: name, refused, certificate, no_tls, lost, timeout or other.
    """

    kind = "connection_failed"
    reason: str = "other"


class NoAnswerInTime(ConnectorError):
    """The provider took longer than the client's timeout."""

    kind = "no_answer_in_time"


class KeyRefused(ConnectorError):
    """401: the key or token was not accepted."""

    kind = "key_refused"


class AccessDenied(ConnectorError):
    """403: the key is known, but may not do this, or not from here."""

    kind = "access_denied"


class NotFoundAtProvider(ConnectorError):
    """404: there is no such model, deployment or path."""

    kind = "not_found"


class RateLimited(ConnectorError):
    """429: too much at once. `.retry_after` is in seconds, None where the provider does not say."""

    kind = "rate_limited"


class QuotaExceeded(ConnectorError):
    """429 that waiting does not end: no credit, or a spending limit."""

    kind = "quota_exceeded"


class ContentFiltered(ConnectorError):
    """The provider's content filter blocked the prompt.

    `.categories` has what it found with the severity, `{"hate": "high"}`; empty where the provider does not say.
    """

    kind = "content_filtered"
    categories: Mapping[str, str] = {}


class RequestRefused(ConnectorError):
    """Any other 4xx: the provider does not take this request."""

    kind = "request_refused"


class ProviderUnavailable(ConnectorError):
    """5xx: the provider has a problem of its own."""

    kind = "provider_unavailable"


class UnreadableAnswer(ConnectorError):
    """The answer is not a chat completion: a web page, broken JSON, an empty body."""

    kind = "unreadable_answer"
    is_web_page: bool = False


class AnswerInterrupted(ConnectorError):
    """The answer began and did not end. What came is in the stream's `.response`."""

    kind = "answer_interrupted"
