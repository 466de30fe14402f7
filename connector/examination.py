"""What the checks of one examination share."""

from typing import Any

import httpx2

from connector.account import ApiType
from connector.client import Client
from connector.configuration import Configuration
from connector.finding import Finding, Step
from connector.report import CallReport
from connector.sentences import host_of, redacted

BRIEF = 10.0
"""Seconds at most for each request without the key."""

Checked = tuple[Finding | None, dict[Step, Finding]]
"""The step that failed, if one did; and the findings about the steps before it."""


class Subject:
    """The configuration under examination, what its calls go through, and what is known of it so far."""

    def __init__(
        self,
        configuration: Configuration,
        client: Client,
        http_client: httpx2.Client,
        model: str | None,
        timeout: httpx2.Timeout,
        reports: list[CallReport],
    ) -> None:
        self.configuration = configuration
        self.client = client
        self.http_client = http_client
        self.model = model
        self.timeout = timeout
        self.brief = httpx2.Timeout(min(BRIEF, timeout.connect or BRIEF, timeout.read or BRIEF))
        self.reports = reports
        self.room = 0
        """Tokens that a reasoning model gets on top, once it is known to be one."""
        self.is_azure = configuration.api_type is ApiType.AZURE_OPENAI
        self.origin = configuration.origin
        self.host = host_of(configuration)
        self.asked = redacted(configuration.deployment or model or configuration.model_default, configuration)
        self.is_dated = "?api-version=" in configuration.url

    def brief_options(self) -> dict[str, Any]:
        """Options of a request without the key. Redirects are not followed, so that they can be reported."""
        return {"timeout": self.brief, "follow_redirects": False}
