"""The report of a call: what was sent, how it ended, and what it took."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from connector.adaptation import Adaptation
from connector.chat_completions import ChatCompletionsResponse, Usage
from connector.errors import ConnectorError
from connector.usage import counted


class CallStatus(StrEnum):
    """How a call ended, or that it is still running."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class UsageSource(StrEnum):
    """Where the token counts of a call come from."""

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
    """Seconds; None where no token came, or the answer came whole."""
    response: ChatCompletionsResponse | None = None
    """Complete, or the part that was received."""
    error: ConnectorError | None = None
    attempts: int = 1
    """How often the request was sent; 0 where it failed before."""
    adaptations: tuple[Adaptation, ...] = ()
    """What was changed in the request because the model does not accept it."""
    learnt: tuple[Adaptation, ...] = ()
    """The changes that this call discovered and the provider accepted."""
    outdated: tuple[Adaptation, ...] = ()
    """Earlier adaptations that turned out to be no longer true."""
    parts: tuple[ChatCompletionsResponse, ...] = ()
    """The separate answers that make up the response, where its choices were requested one by one."""
    skipped_events: int = 0
    """How many events of a stream could not be read. What came before and after them is in the response."""
    url: str = ""
    """The URL it was sent to."""

    @property
    def usage(self) -> Usage | None:
        """The token usage the provider reported, see `usage.counted`; None means unknown, not zero."""
        return counted(self.response.usage) if self.response else None

    @property
    def usage_source(self) -> UsageSource:
        return UsageSource.REPORTED if self.usage else UsageSource.UNKNOWN

    @property
    def request_id(self) -> str | None:
        """The provider's own id of the call, for its support."""
        if self.error and self.error.request_id:
            return self.error.request_id
        return getattr(self.response, "_request_id", None)
