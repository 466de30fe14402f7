"""Why a provider sent an error instead of a completion: what it sent, and what this says about the cause."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from connector.account import Account
from connector.configuration import Configuration
from connector.error_body import ErrorBody, read_error
from connector.errors import (
    AccessDenied,
    ConnectorError,
    ContentFiltered,
    KeyRefused,
    NotFoundAtProvider,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RequestRefused,
)
from connector.masking import Sent, quoted_in
from connector.sentences import redacted
from connector.token_limit import TokenLimit, stated_limit
from connector.unsupported import THIS_API, TOOLS_IN_THIS_API, Unsupported, offered_elsewhere, unsupported_in
from connector.wordings import (
    NO_KEY_SEEN,
    NO_MONEY,
    NO_RIGHTS,
    NO_ROUTE,
    NOT_A_CHAT_MODEL,
    TOKEN_LIMIT_USED_UP,
    TOO_LARGE,
    WRONG_KEY,
    Quoted,
    Wording,
    says,
)

_NO_QUOTA = {
    *("insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached", "billing_not_active"),
    *("exceeded_current_quota_error", "insufficient_user_quota"),  # Kimi, One API
}


@dataclass(frozen=True)
class Refusal:
    """An error response."""

    configuration: Configuration
    model: str
    """Without the key."""
    status: int | None
    body: ErrorBody
    """As it was sent: it decides how the request can be mended, and is not shown."""
    sent: Sent

    def shown(self, words: str) -> str:
        return redacted(words, self.configuration, self.sent)

    @cached_property
    def message(self) -> str:
        """What the provider says, as it is shown."""
        return self.shown(self.body.words)

    @cached_property
    def quoted(self) -> Quoted:
        """Where the provider repeats the prompt. What is said there is not the cause."""
        return quoted_in(self.body.words, self.sent)

    @cached_property
    def categories(self) -> dict[str, str]:
        """What the content filter found, with its severity, as it is shown."""
        return {self.shown(name): self.shown(severity) for name, severity in self.body.categories.items()}

    @cached_property
    def unsupported(self) -> Unsupported:
        elsewhere = offered_elsewhere(self.status, self.body.words, self.quoted)
        return elsewhere or unsupported_in(self.status, self.body, self.sent)

    @cached_property
    def token_limit(self) -> TokenLimit | None:
        return stated_limit(self.body.words, self.quoted)

    def mentions(self, pattern: str) -> bool:
        return self.says((Wording(pattern, ""),))

    def says(self, wordings: tuple[Wording, ...]) -> bool:
        return says(wordings, self.body.words, self.status, self.quoted)

    @cached_property
    def kind(self) -> type[ConnectorError]:
        """The class of the error."""
        return next(kind for kind, applies in _KINDS if applies(self))

    @cached_property
    def reason(self) -> str:
        """The cause in one of the words of `ConnectorError.reason`."""
        if self.kind in _SELF_EXPLANATORY:  # whatever the provider says: Azure's rate limit mentions the API version
            return _SELF_EXPLANATORY[self.kind](self)
        return next((reason for reason, applies in _REASONS if applies(self)), "")


def refusal_of(status: int | None, body: object, configuration: Configuration, model: str, sent: Sent) -> Refusal:
    """Return what was sent with this status; inside a stream, the status may be in the body."""
    read = read_error(body)
    return Refusal(configuration, redacted(model, configuration), status or read.status, read, sent)


# The first class whose condition applies.
_KINDS: tuple[tuple[type[ConnectorError], Callable[[Refusal], bool]], ...] = (
    (ContentFiltered, lambda it: it.body.code == "content_filter"),
    (AccessDenied, lambda it: it.status == 401 and it.says(NO_RIGHTS)),
    (KeyRefused, lambda it: it.status == 401 or it.body.code == "invalid_api_key" or it.says(WRONG_KEY)),
    (QuotaExceeded, lambda it: it.status == 402 or it.body.code in _NO_QUOTA or it.says(NO_MONEY)),
    (RequestRefused, lambda it: it.says(TOO_LARGE)),
    (RateLimited, lambda it: it.status == 429 or it.body.code in {"rate_limit_exceeded", "slow_down"}),
    (AccessDenied, lambda it: it.status == 403),
    (NotFoundAtProvider, lambda it: it.status == 404 or it.body.code in {"model_not_found", "DeploymentNotFound"}),
    (RequestRefused, lambda it: it.status is not None and it.status < 500),
    (ProviderUnavailable, lambda it: True),
)
# By classes that name the cause themselves: a closer look at it.
_SELF_EXPLANATORY: dict[type[ConnectorError], Callable[[Refusal], str]] = {
    ContentFiltered: lambda it: "",
    KeyRefused: lambda it: "no_key_seen" if it.says(NO_KEY_SEEN) else "",
    QuotaExceeded: lambda it: "",
    RateLimited: lambda it: "" if it.body.code else "too_many_requests",
}
# The first reason whose condition applies.
_REASONS: tuple[tuple[str, Callable[[Refusal], bool]], ...] = (
    ("redirect", lambda it: it.status is not None and 300 <= it.status < 400),
    ("too_large", lambda it: it.says(TOO_LARGE)),
    ("no_rights", lambda it: it.status == 401),
    ("thinking_limit", lambda it: it.says(TOKEN_LIMIT_USED_UP)),
    ("other_api", lambda it: THIS_API in it.unsupported.refused),
    ("tools_in_other_api", lambda it: TOOLS_IN_THIS_API in it.unsupported.refused),
    ("not_a_chat_model", lambda it: it.body.code == "OperationNotSupported" or it.says(NOT_A_CHAT_MODEL)),
    ("no_route", lambda it: it.status in (404, 503) and it.says(NO_ROUTE)),
    ("no_deployment", lambda it: it.body.code == "DeploymentNotFound"),
    ("no_model", lambda it: it.body.code == "model_not_found" or it.body.param == "model"),
    ("no_model", lambda it: _is_nowhere(it) and it.mentions(r"\bmodel\b")),
    ("no_address", lambda it: _is_nowhere(it)),
    ("api_version", lambda it: is_dated(it.configuration) and it.mentions(r"api.?version")),
)


def _is_nowhere(it: Refusal) -> bool:
    return it.kind is NotFoundAtProvider or it.status == 405


def is_dated(account: Account) -> bool:
    """Whether calls name a dated API version of Azure."""
    return bool(account.sdk_arguments.api_version)
