"""All errors of this package, with sentences for the user.

ConnectorError
├── InvalidConfiguration     .problems: field -> sentence; before any network traffic
├── InvalidRequest           .problems: field -> sentence; before any network traffic
├── ConnectionFailed         not reached (name, refused, certificate), or lost before the answer
├── NoAnswerInTime           reached, but no answer within the timeout
├── KeyRefused               401, or another status for a key that is not accepted
├── AccessDenied             403, or 401 for a key without the scope, role or subscription
├── NotFoundAtProvider       404: model, deployment or path
├── RateLimited              429, worth a retry; .retry_after in seconds if the provider states it
├── QuotaExceeded            429, not worth a retry
├── ContentFiltered          the provider's filter blocked the prompt; .categories
├── RequestRefused           any other 4xx
├── ProviderUnavailable      5xx
├── UnreadableAnswer         not a chat completion: a web page, broken JSON
└── AnswerInterrupted        the answer began and did not end
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class ConnectorError(Exception):
    """Base class of all errors of `connector`. `str()` is fit for the user and contains no key, header or prompt.

    `str()` consists of `sentence`, which says what happened and quotes the provider, and `advice`, which says what to
    do; `advice` may be empty. What the provider repeats of a prompt is `[prompt]` in all attributes, a key `[key]`.

    For programs: `kind` (one word per class), `status` (HTTP), `code` and `param` as the provider named them,
    `request_id`, and `retry_after` in seconds if the provider states it. All but `kind` may be None. `is_retryable`:
    no part of an answer was received, and the same request may work a moment later; `Client` retries these itself.
    `provider_message`: the provider's text in one line, redacted; empty if there is none to show. `refused`: the
    parameters that the provider does not accept; `supported`: the values that it accepts for them; `only_default`:
    whether it accepts their default value only.

    `reason` is the cause in one word where the class does not name it: `not_a_chat_model`, `no_deployment`, `no_model`,
    `no_address`, `no_route` (a gateway knows nobody who offers all that the request needs), `api_version`, `redirect`,
    `web_page`, `no_choice` (an answer without a choice), `other_api` (the model is offered in another API only),
    `tools_in_other_api` (tools together with reasoning are), `too_large` (the request is larger than the allowance of a
    minute), `no_rights` (401 for a known key), `no_key_seen` (the key was in another header than expected),
    `too_many_requests` (429 from somebody who may not know the key), or `thinking_limit` (a reasoning model used up its
    token limit before it answered). `ConnectionFailed` has its own words. Empty for all other causes.
    """

    kind: ClassVar[str] = "error"
    retry_after: float | None = None
    is_retryable: bool = False
    reason: str = ""

    def __init__(
        self,
        sentence: str,
        *,
        advice: str = "",
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        provider_message: str = "",
        refused: tuple[str, ...] = (),
        supported: tuple[str, ...] = (),
        only_default: bool = False,
    ) -> None:
        super().__init__(f"{sentence} {advice}" if advice else sentence)
        self.sentence = sentence
        self.advice = advice
        self.status = status
        self.code = code
        self.param = param
        self.request_id = request_id
        self.provider_message = provider_message
        self.refused = refused
        self.supported = supported
        self.only_default = only_default

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception.__reduce__ calls the class with `args` only, which some of the classes below do not accept.
        return _restore, (type(self), self.args, self.__dict__.copy())


def _restore(cls: type[ConnectorError], args: tuple[Any, ...], state: dict[str, Any]) -> ConnectorError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class _InvalidInput(ConnectorError):
    def __init__(self, problems: Mapping[str, str], *, advice: str = "") -> None:
        super().__init__(" ".join(problems.values()), advice=advice)
        self.problems: dict[str, str] = dict(problems)


class InvalidConfiguration(_InvalidInput):
    """A configuration that cannot work. `.problems` maps field names to sentences."""

    kind = "invalid_configuration"


class InvalidRequest(_InvalidInput):
    """A request that cannot be sent. `.problems` maps field names to sentences."""

    kind = "invalid_request"


class ConnectionFailed(ConnectorError):
    """The provider was not reached, or the connection was lost before the answer began.

    `.reason` is one word: name, refused, timeout, certificate (not trusted), expired or other_name (of the
    certificate), no_tls, lost or other.
    """

    kind = "connection_failed"
    reason: str = "other"


class NoAnswerInTime(ConnectorError):
    """The provider took longer than the client's timeout."""

    kind = "no_answer_in_time"


class KeyRefused(ConnectorError):
    """401, or another status with such words: the key or token was not accepted."""

    kind = "key_refused"


class AccessDenied(ConnectorError):
    """403, or 401 with such words: the key is known, but may not do this, or not from here."""

    kind = "access_denied"


class NotFoundAtProvider(ConnectorError):
    """404: there is no such model, deployment or path."""

    kind = "not_found"


class RateLimited(ConnectorError):
    """429: too many requests or tokens. `.retry_after` is in seconds, None if the provider does not state it."""

    kind = "rate_limited"


class QuotaExceeded(ConnectorError):
    """429 that waiting does not resolve: no credit, or a spending limit."""

    kind = "quota_exceeded"


class ContentFiltered(ConnectorError):
    """The provider's content filter blocked the prompt.

    `.categories` maps what it found to the severity, `{"hate": "high"}`; empty if the provider does not state it.
    """

    kind = "content_filtered"
    categories: Mapping[str, str] = {}


class RequestRefused(ConnectorError):
    """Any other 4xx, or a redirect: the provider does not accept this request."""

    kind = "request_refused"


class ProviderUnavailable(ConnectorError):
    """5xx: the provider has an internal problem."""

    kind = "provider_unavailable"


class UnreadableAnswer(ConnectorError):
    """The answer is not a chat completion: a web page (`.reason` is web_page), broken JSON, an empty body."""

    kind = "unreadable_answer"


class AnswerInterrupted(ConnectorError):
    """The answer began and did not end. The received part is in the stream's `.response`."""

    kind = "answer_interrupted"
