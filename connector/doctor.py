"""Examines a configuration step by step, and says in plain words what to change.

    for finding in examine(configuration):
        print(finding.step, finding.state, finding.sentence, finding.advice)

The way there is looked at without the key. Then come four real calls with a limit of a few tokens, in a form that
reasoning models take, too: one whole, one streamed, one with a JSON schema, one with a tool.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import httpx2

from connector.adaptation import Adaptations
from connector.chat_completions import ChatCompletionsRequest
from connector.client import CallReport, Client
from connector.configuration import ApiType, Configuration, KeyType
from connector.endpoint import read_endpoint
from connector.errors import (
    AccessDenied,
    ConnectionFailed,
    ConnectorError,
    InvalidRequest,
    KeyRefused,
    NoAnswerInTime,
    NotFoundAtProvider,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    UnreadableAnswer,
)
from connector.failures import explain, redacted
from connector.transport import shared_http_client

PATIENCE = httpx2.Timeout(connect=10, read=60, write=30, pool=10)
"""Seconds, as in `client.TIMEOUT`; shorter, since somebody looks on."""
LIMIT = 16
"""Tokens of an answer that is only to be one."""
JSON_LIMIT = 200
# How OpenAI refuses a limit that a reasoning model needs for itself: the model is there and works.
_THOUGHT_TOO_LONG = "output limit was reached"
_SIGN_IN = ("login", "signin", "sign-in", "auth", "sso", "saml")
_LOCAL = ("localhost", "127.", "[::1]", "192.168.", "10.")
_OTHER_OPERATIONS = {"responses", "completions", "embeddings", "models", "generate", "chat", "messages"}
_SCHEMA = {
    "name": "answer",
    "strict": True,
    "schema": {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,
    },
}
_TOOL: Any = {
    "type": "function",
    "function": {
        "name": "report_health",
        "description": "Report that all is well.",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    },
}


class Step(StrEnum):
    """What is looked at, in this order."""

    ADDRESS = "Address"
    NAME = "Host name"
    CONNECTION = "Connection"
    CERTIFICATE = "Certificate"
    API = "API, no redirect, no web page"
    KEY = "Key"
    MODEL = "Deployment or model"
    VERSION = "API version"
    ANSWER = "Answer"
    STREAMING = "Streaming with usage"
    JSON_SCHEMA = "JSON of a schema"
    TOOLS = "Tools"


class State(StrEnum):
    """How it went. After a failure nothing more is looked at."""

    PASSED = "passed"
    LIMITED = "limited"
    """It works, but something does not, or should be otherwise."""
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """One step: how it went, what was seen, and what to change; no key is in it."""

    step: Step
    state: State
    sentence: str
    advice: str = ""
    """Empty where there is nothing to change."""


def steps_of(configuration: Configuration) -> list[Step]:
    """What is looked at for this configuration."""
    left_out = set()
    if not configuration.url.startswith("https:"):
        left_out.add(Step.CERTIFICATE)
    if "?api-version=" not in configuration.url:
        left_out.add(Step.VERSION)
    return [step for step in Step if step not in left_out]


def examine(
    configuration: Configuration,
    *,
    model: str | None = None,
    http_client: httpx2.Client | None = None,
    token: Callable[[], str] | None = None,
    learnt: Adaptations | None = None,
    on_call: Callable[[CallReport], None] | None = None,
    timeout: httpx2.Timeout = PATIENCE,
) -> Iterator[Finding]:
    """Look at each step of `steps_of` in turn, and give each finding as it comes; ends with the first that failed.

    `model` is asked for instead of the default one. The others are as for `Client`.
    """
    reports: list[CallReport] = []

    def book(report: CallReport) -> None:
        reports.append(report)
        if on_call is not None:
            on_call(report)

    http_client = http_client or shared_http_client()
    client = Client(
        configuration,
        http_client=http_client,
        on_call=book,
        learnt=Adaptations() if learnt is None else learnt,
        token=token,
        timeout=timeout,
        max_retries=1,
    )
    steps = steps_of(configuration)
    look = _Look(configuration, client, http_client, model, timeout, reports)
    for examination in (look.at_the_address, look.at_the_way, look.at_an_answer):
        failed, passed = examination()
        for step in steps:
            if step in passed and (failed is None or steps.index(step) < steps.index(failed.step)):
                yield passed[step]
        if failed is not None:
            yield failed
            return
    yield look.at_streaming()
    yield look.at_a_schema()
    yield look.at_tools()


Examined = tuple[Finding | None, dict[Step, Finding]]
"""The step that failed, if one did; and what can be said of those before it."""


_BEHIND_A_PROXY = "If this machine reaches the internet through a proxy only, set OUTGOING_PROXY."
# By the reason of a `ConnectionFailed`.
_OBSTACLES: dict[str, tuple[Step, str, str]] = {
    "name": (Step.NAME, "The host {host} was not found.", f"Look for a typing mistake in it. {_BEHIND_A_PROXY}"),
    "refused": (
        Step.CONNECTION,
        "Nothing answers at {host}.",
        "Check the port in the address and whether the server is running; and OUTGOING_PROXY, if it is set.",
    ),
    "timeout": (
        Step.CONNECTION,
        "{host} could not be reached.",
        f"Check the network and its firewalls. {_BEHIND_A_PROXY}",
    ),
    "certificate": (
        Step.CERTIFICATE,
        "The certificate of {host} is not trusted on this machine.",
        "If the address is right: a company's proxy, or a server of one's own, needs its certificate in "
        "OUTGOING_CA_FILE.",
    ),
    "no_tls": (
        Step.CERTIFICATE,
        "{host} does not speak https at this port.",
        "Enter the address with http://, or another port.",
    ),
}
# What is told in the same words everywhere; `{seconds}` is how long an answer was waited for.
_DIAGNOSES: dict[type[ConnectorError], tuple[Step, str, str]] = {
    AccessDenied: (
        Step.KEY,
        "{host} denies access (403).",
        "The key is known. Look at the network rules and the roles of the resource, and at the region.",
    ),
    QuotaExceeded: (
        Step.ANSWER,
        "Key and model are right, but the account has no credit or quota left.",
        "Check its billing and its limits; waiting does not help.",
    ),
    RateLimited: (
        Step.ANSWER,
        "Key and model are right, but the account gets too many requests just now (429).",
        "Test again in a minute. If it stays, raise the limit of the deployment or the account.",
    ),
    NoAnswerInTime: (
        Step.ANSWER,
        "{host} took the question and did not answer within {seconds} s.",
        "Test again; if it stays, the server is overloaded, or its model is still being loaded.",
    ),
    ConnectionFailed: (
        Step.ANSWER,
        "{host} hung up on the question.",
        "Look into the server's own log: the way there is fine.",
    ),
    ProviderUnavailable: (
        Step.ANSWER,
        "{host} has a problem of its own ({status}).",
        "Test again later; if the server is yours, look into its log.",
    ),
}


class _Look:
    """One examination."""

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
        self.reports = reports
        self.is_azure = configuration.api_type is ApiType.AZURE_OPENAI
        self.origin = read_endpoint(configuration.endpoint).origin
        scheme, _, authority = self.origin.partition("://")
        self.host = authority.removesuffix(":443" if scheme == "https" else ":80")
        self.asked = redacted(configuration.deployment or model or configuration.model_default, configuration)
        self.is_dated = "?api-version=" in configuration.url

    # -- before any call

    def at_the_address(self) -> Examined:
        url = self.configuration.url
        host, path = urlsplit(url).hostname or "", urlsplit(url).path
        failed = limited = None
        if "your-resource-name" in host or "<" in url:
            failed = "This is still the example's address.", "Enter the address of your own resource."
        elif self.is_azure and host == "api.openai.com":
            failed = "This is the address of OpenAI itself.", "Choose OpenAI as the provider, or enter Azure's address."
        elif not self.is_azure and host.endswith(".openai.azure.com") and "/openai/v1/" not in path:
            failed = "This is the address of an Azure resource.", "Choose Azure OpenAI as the provider."
        elif not self.is_azure and path.split("/")[-3] in _OTHER_OPERATIONS:
            limited = (
                f"Calls go to {url}, which looks like another operation's address.",
                "Enter the address up to /v1, without the operation behind it.",
            )
        elif url.startswith("http:") and not self.host.startswith(_LOCAL):
            limited = f"Key and prompts travel to {self.host} unencrypted.", "Enter the address with https://."
        if failed:
            return Finding(Step.ADDRESS, State.FAILED, *failed), {}
        found = (
            Finding(Step.ADDRESS, State.LIMITED, *limited) if limited else _passed(Step.ADDRESS, f"Calls go to {url}.")
        )
        return None, {Step.ADDRESS: found}

    def at_the_way(self) -> Examined:
        """To the host and back, without the key."""
        before = {
            Step.NAME: _passed(Step.NAME, f"{self.host} was found."),
            Step.CONNECTION: _passed(Step.CONNECTION, f"{self.host} answers."),
            Step.CERTIFICATE: _passed(Step.CERTIFICATE, "It is trusted on this machine."),
        }
        is_plain = self.origin.startswith("http:")
        try:
            with self.http_client.stream("GET", f"{self.origin}/", timeout=self.timeout) as response:
                start = next(response.iter_bytes(2000), b"") if is_plain and response.status_code == 400 else b""
        except httpx2.ProxyError:
            return self._no_way(
                "The proxy refused to connect.", "Check OUTGOING_PROXY, and whether it lets this host through."
            ), before
        except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.DecodingError, httpx2.ReadTimeout):
            # It was reached, and may be silent to all but its API.
            return (self._other_scheme() if is_plain and self._hangs_up() else None), before
        except Exception as error:
            return self._why_not_reached(error), before
        return (self._other_scheme() if b"HTTPS" in start.upper() else None), before

    def _hangs_up(self) -> bool:
        """Whether it does so at the API's own address, too."""
        try:
            self.http_client.get(self.configuration.url, timeout=self.timeout)
        except (httpx2.RemoteProtocolError, httpx2.ReadError):
            return True
        except httpx2.HTTPError:
            return False
        return False

    def _other_scheme(self) -> Finding:
        return self._no_way(f"{self.host} hangs up on http.", "Enter the address with https:// in place of http://.")

    def _no_way(self, sentence: str, advice: str) -> Finding:
        return Finding(Step.CONNECTION, State.FAILED, sentence, advice)

    def _why_not_reached(self, error: Exception) -> Finding:
        failure = explain(error, self.configuration, "")
        reason = failure.reason if isinstance(failure, ConnectionFailed) else "other"
        step, sentence, advice = _OBSTACLES.get(reason, _OBSTACLES["timeout"])
        return _failed(step, sentence.format(host=self.host), advice)

    # -- calls

    def _request(self, prompt: str, limit: int = LIMIT, **options: Any) -> ChatCompletionsRequest:
        return ChatCompletionsRequest.of_prompts(prompt, model=self.model, max_completion_tokens=limit, **options)

    def at_an_answer(self) -> Examined:
        start = time.monotonic()
        failed, sentence, answered = None, "", ""
        unproven: set[Step] = set()
        try:
            response = self.client.call_api(self._request("Answer with the single word OK."))
            answered = redacted(response.model, self.configuration)
            sentence = f"It came within {time.monotonic() - start:.1f} s."
        except ConnectorError as error:
            if _THOUGHT_TOO_LONG in error.provider_message:
                sentence = "It thinks before it answers: a reasoning model."
            else:
                failed = self._diagnosis(error)
                if isinstance(error, NoAnswerInTime | ConnectionFailed | ProviderUnavailable):
                    unproven = {Step.KEY, Step.MODEL, Step.VERSION}
        named = f"“{self.asked}” is there" + (f"; {answered} answers." if answered not in ("", self.asked) else ".")
        seen = {
            Step.API: _passed(Step.API, f"{self.host} answers as an API."),
            Step.KEY: _passed(Step.KEY, f"{self.host} took it, or asks for none."),
            Step.MODEL: _passed(Step.MODEL, named),
            Step.VERSION: _passed(Step.VERSION, "It is known."),
            Step.ANSWER: _passed(Step.ANSWER, sentence + self._changes()),
        }
        return failed, {step: finding for step, finding in seen.items() if step not in unproven}

    def _changes(self) -> str:
        """What had to be changed in the last request."""
        changes = [each.change for each in self.reports[-1].adaptations] if self.reports else []
        return f" {'; '.join(changes)}.".capitalize() if changes else ""

    def _diagnosis(self, error: ConnectorError) -> Finding:
        """Which step an error belongs to, and what to change."""
        said = error.provider_message
        quoted = f" It says: “{said}”" if said else ""
        if isinstance(error, InvalidRequest):
            return _failed(Step.MODEL, "No model is named.", f"Enter a default model.{self._models('')}")
        if error.status is not None and 300 <= error.status < 400:
            return self._redirected(error.status)
        if isinstance(error, UnreadableAnswer):
            return self._no_api(is_page=error.is_web_page)
        if isinstance(error, KeyRefused):
            return _failed(Step.KEY, f"{self.host} did not accept it (401).{quoted}", self._about_the_key())
        if isinstance(error, NotFoundAtProvider):
            return self._not_found(error, quoted)
        if error.code == "OperationNotSupported" or "not a chat model" in said or error.param == "model":
            advice = f"Choose another one.{self._models('')}"
            return _failed(Step.MODEL, f"It does not take part in chats.{quoted}", advice)
        if self.is_azure and re.search(r"api.?version", said, re.IGNORECASE):
            return _failed(Step.VERSION, f"It is refused.{quoted}", "Enter 2024-10-21, or v1.")
        for kind, (step, sentence, advice) in _DIAGNOSES.items():
            if isinstance(error, kind):
                words = {
                    "host": self.host,
                    "seconds": f"{self.timeout.read:.0f}",
                    "status": error.status or "no number",
                }
                return _failed(step, sentence.format(**words) + quoted, advice)
        return _failed(Step.ANSWER, f"The question was refused.{quoted or f' {error}'}", "Change what it names.")

    def _no_api(self, *, is_page: bool) -> Finding:
        if is_page:
            return _failed(
                Step.API,
                f"{self.host} answers with a web page, not as an API.",
                "Check the address. If it is right: is there a sign-in, or a proxy's page, in front of it?",
            )
        sentence = f"{self.host} answers with something that is no chat completion."
        return _failed(Step.API, sentence, "Check the path in the address.")

    def _about_the_key(self) -> str:
        key_type = self.configuration.key_type
        if key_type is KeyType.API_KEY and self.is_azure:
            return "Copy it again from Keys and Endpoint of this very resource: each resource has keys of its own."
        if key_type is KeyType.API_KEY:
            return "Copy it again, whole, from the provider that this address belongs to."
        scope = self.configuration.entra_scope
        return (
            f"A token lives for about an hour and has to be for {scope}; whoever it belongs to needs the role "
            "Cognitive Services OpenAI User."
        )

    def _not_found(self, error: NotFoundAtProvider, quoted: str) -> Finding:
        if error.code == "DeploymentNotFound":
            return _failed(
                Step.MODEL,
                f"There is no deployment “{self.asked}” at {self.host}.",
                "Enter the deployment name, which is not the model name. A new deployment needs about five minutes.",
            )
        if error.code == "model_not_found" or "model" in error.provider_message.lower():
            return _failed(
                Step.MODEL,
                f"There is no model “{self.asked}” at {self.host}, or the key may not use it.",
                f"Choose another model.{self._models(self.asked)}",
            )
        sentence = f"{self.host} knows no such address (404).{quoted}"
        if self.is_dated:
            advice = "Enter an API version that exists, for example 2024-10-21, or v1; the address ends in .azure.com."
            return _failed(Step.VERSION, sentence, advice)
        url = self.configuration.url
        return _failed(Step.API, sentence, f"Calls go to {url}. Is its path right? Most servers' addresses end in /v1.")

    def _models(self, asked: str) -> str:
        """What the server offers, next to what was asked for; a sentence behind another, or nothing."""
        from difflib import get_close_matches  # rarely needed

        base = self.configuration.url.partition("?")[0].removesuffix("/chat/completions")
        if "/openai/deployments/" in base:  # Azure lists the deployments of a resource to its administrators only
            return ""
        try:
            headers = self.configuration.authorisation
            listed = self.http_client.get(f"{base}/models", headers=headers, timeout=self.timeout).json()["data"]
            names = [redacted(each["id"], self.configuration) for each in listed]
        except (httpx2.HTTPError, ValueError, LookupError, TypeError):
            return ""
        near = get_close_matches(asked, names, n=5) or names[:5]
        return f" This server has {', '.join(near)}{', and others' if len(names) > len(near) else ''}." if near else ""

    def _redirected(self, status: int) -> Finding:
        """Asks, without the key, where calls are sent on to."""
        try:
            location = self.http_client.post(self.configuration.url, json={}, timeout=self.timeout).headers["location"]
            target, here = urlsplit(redacted(location, self.configuration)), urlsplit(self.origin)
        except (httpx2.HTTPError, LookupError, ValueError):
            target = here = urlsplit("")
        is_elsewhere = bool(target.hostname) and target.hostname != here.hostname
        sentence = f"{self.host} sends calls on to {target.hostname if is_elsewhere else 'another address'} ({status})."
        if not is_elsewhere and (here.scheme, target.scheme) == ("http", "https"):
            return _failed(Step.API, sentence, "Enter the address with https://.")
        if any(word in target.geturl().lower() for word in _SIGN_IN):
            advice = "A sign-in stands in front of the API. Ask for an address that takes the key alone."
            return _failed(Step.API, sentence, advice)
        advice = "It is not followed, since the key would go along. Enter the address that it leads to."
        return _failed(Step.API, sentence, advice)

    # -- what else it can do

    def at_streaming(self) -> Finding:
        try:
            with self.client.stream(self._request("Answer with the single word OK.")) as stream:
                for _ in stream.deltas():
                    pass
        except ConnectorError as error:
            if _THOUGHT_TOO_LONG not in error.provider_message:
                return self._limited(
                    Step.STREAMING, "Streaming does not work.", error, "Answers will fail on most pages."
                )
        report = self.reports[-1]
        changed = {each.parameter for each in report.adaptations}
        old_version = "The API version is older than this parameter: enter 2024-10-21 or newer, or v1."
        unknown = "Usage and cost of its answers stay unknown."
        if "stream" in changed or (report.response and report.time_to_first_token is None and self._has_text(report)):
            return Finding(
                Step.STREAMING,
                State.LIMITED,
                f"Answers come whole, not in pieces.{self._why('stream')}",
                "One has to wait longer for the first word; all else works.",
            )
        if "stream_options" in changed:
            return Finding(
                Step.STREAMING,
                State.LIMITED,
                f"Streams do not tell their tokens.{self._why('stream_options')}",
                old_version if self.is_dated else unknown,
            )
        if report.usage is None:
            return Finding(
                Step.STREAMING,
                State.LIMITED,
                "Streams do not tell their tokens, though they are asked to.",
                f"{unknown} A newer version of the server may tell.",
            )
        return _passed(Step.STREAMING, "Answers come in pieces, and tell their tokens.")

    def _has_text(self, report: CallReport) -> bool:
        return bool(report.response and any(choice.message.content for choice in report.response.choices))

    def _why(self, parameter: str) -> str:
        why = [each.why for each in self.reports[-1].adaptations if each.parameter == parameter]
        return f" It says: “{why[0]}”" if why and why[0] else ""

    def at_a_schema(self) -> Finding:
        response_format = {"type": "json_schema", "json_schema": _SCHEMA}
        request = self._request("Answer in JSON whether all is well.", JSON_LIMIT, response_format=response_format)
        try:
            response = self.client.call_api(request)
        except ConnectorError as error:
            advice = "Pages that need JSON will not work with it."
            if self.is_dated:
                advice += " JSON schemas need API version 2024-08-01-preview or newer, and a model from gpt-4o on."
            return self._limited(Step.JSON_SCHEMA, "JSON of a schema is refused.", error, advice)
        choice = response.choices[0] if response.choices else None
        text = (choice.message.content if choice and choice.message else None) or ""
        if choice is not None and choice.finish_reason != "length" and not _is_json_of_the_schema(text):
            return Finding(
                Step.JSON_SCHEMA,
                State.LIMITED,
                "The schema is taken, but the answer does not keep to it.",
                "Pages that need JSON will fail now and then.",
            )
        return _passed(Step.JSON_SCHEMA, f"Answers keep to it.{self._changes()}")

    def at_tools(self) -> Finding:
        request = self._request("Call the function report_health now.", JSON_LIMIT, tools=(_TOOL,))
        try:
            response = self.client.call_api(request)
        except ConnectorError as error:
            return self._limited(
                Step.TOOLS, "Tools are refused.", error, "Pages that need tools will not work with it."
            )
        choice = response.choices[0] if response.choices else None
        if choice is not None and choice.message and not choice.message.tool_calls and choice.finish_reason != "length":
            return Finding(
                Step.TOOLS,
                State.LIMITED,
                "Tools are taken, but the model did not call the one it was told to.",
                "Pages that need tools may not work with it; larger models do better.",
            )
        return _passed(Step.TOOLS, f"It calls them.{self._changes()}")

    def _limited(self, step: Step, sentence: str, error: ConnectorError, advice: str) -> Finding:
        said = f" It says: “{error.provider_message}”" if error.provider_message else f" {error}"
        return Finding(step, State.LIMITED, sentence + said, advice)


def _passed(step: Step, sentence: str) -> Finding:
    return Finding(step, State.PASSED, sentence)


def _failed(step: Step, sentence: str, advice: str) -> Finding:
    return Finding(step, State.FAILED, sentence, advice)


def _is_json_of_the_schema(text: str) -> bool:
    try:
        answer = json.loads(text)
    except ValueError:
        return False
    return isinstance(answer, dict) and isinstance(answer.get("ok"), bool)
