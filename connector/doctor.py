"""Examines a configuration step by step, and says in plain words what to change.

    for finding in examine(configuration):
        print(finding.step, finding.state, finding.sentence, finding.advice)

The way there is looked at without the key. Then come four real calls with a limit of a few tokens, in a form that
reasoning models take, too: one whole, one streamed, one with a JSON schema, one with a tool. A model that thinks before
it answers gets room for that in the last three.
"""

import json
import re
import ssl
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx2

from connector.account import Account, ApiType, KeyType
from connector.adaptation import Adaptations
from connector.chat_completions import ChatCompletionsRequest, ChatCompletionsResponse, text_of
from connector.client import CallReport, Client
from connector.configuration import Configuration
from connector.endpoint import read_endpoint
from connector.errors import (
    ConnectionFailed,
    ConnectorError,
    InvalidConfiguration,
    InvalidRequest,
    KeyRefused,
    NotFoundAtProvider,
    QuotaExceeded,
    RateLimited,
    UnreadableAnswer,
)
from connector.failures import explain, redacted
from connector.finding import (
    DIAGNOSES,
    NO_WORD,
    OBSTACLES,
    WRONG_WITH_CERTIFICATE,
    Finding,
    State,
    Step,
    a_failure,
    a_pass,
)
from connector.models import models_of
from connector.transport import shared_http_client

PATIENCE = httpx2.Timeout(connect=10, read=60, write=30, pool=10)
"""Seconds, as in `client.TIMEOUT`; shorter, since somebody looks on."""
GLANCE = 10.0
"""Seconds at most for what is looked at without the key."""
LIMIT = 16
"""Tokens of an answer that is only to be one."""
JSON_LIMIT = 200
ROOM = 1000
"""Tokens more for a model that thinks before it answers."""
# How OpenAI refuses a limit that a reasoning model needs for itself: the model is there and works.
_THOUGHT_TOO_LONG = "output limit was reached"
# How OpenAI says that a model is there and for something else.
_NO_CHAT = r"not a chat model|only supported in v1/|not supported in the v1/chat"
_SIGN_IN = r"(?<![a-z])(log[-_]?in|sign[-_]?in|o?auth2?|authorize|sso|saml2?)(?![a-z])"
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


def steps_of(configuration: Account) -> list[Step]:
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
        self.glance = httpx2.Timeout(min(GLANCE, timeout.connect or GLANCE, timeout.read or GLANCE))
        self.reports = reports
        self.room = 0
        self.is_azure = configuration.api_type is ApiType.AZURE_OPENAI
        self.origin = read_endpoint(configuration.endpoint).origin
        scheme, _, authority = self.origin.partition("://")
        self.host = authority.removesuffix(":443" if scheme == "https" else ":80")
        self.asked = redacted(configuration.deployment or model or configuration.model_default, configuration)
        self.is_dated = "?api-version=" in configuration.url

    # -- before any call

    def at_the_address(self) -> Examined:
        url, endpoint = self.configuration.url, read_endpoint(self.configuration.endpoint)
        host, path = urlsplit(url).hostname or "", urlsplit(url).path
        base = endpoint.azure_root if self.is_azure else endpoint.base_url
        failed = limited = None
        if "your-resource-name" in host or "<" in url:
            failed = "This is still the example's address.", "Enter the address of your own resource."
        elif self.is_azure and host == "api.openai.com":
            failed = "This is the address of OpenAI itself.", "Choose OpenAI as the provider, or enter Azure's address."
        elif not self.is_azure and host.endswith(".openai.azure.com") and "/openai/v1/" not in path:
            failed = "This is the address of an Azure resource.", "Choose Azure OpenAI as the provider."
        elif base.rpartition("/")[2].lower() in _OTHER_OPERATIONS:
            limited = (
                f"Calls go to {url}, which looks like another operation's address.",
                "Enter the address of the resource alone."
                if self.is_azure
                else "Enter it without the operation, as a rule up to /v1.",
            )
        elif url.startswith("http:") and not _is_local(host):
            limited = f"Key and prompts travel to {self.host} unencrypted.", "Enter the address with https://."
        if failed:
            return Finding(Step.ADDRESS, State.FAILED, *failed), {}
        found = (
            Finding(Step.ADDRESS, State.LIMITED, *limited) if limited else a_pass(Step.ADDRESS, f"Calls go to {url}.")
        )
        return None, {Step.ADDRESS: found}

    def at_the_way(self) -> Examined:
        """To the host and back, without the key."""
        before = {
            Step.NAME: a_pass(Step.NAME, f"{self.host} was found."),
            Step.CONNECTION: a_pass(Step.CONNECTION, f"{self.host} answers."),
            Step.CERTIFICATE: a_pass(Step.CERTIFICATE, "It is trusted on this machine."),
        }
        is_plain = self.origin.startswith("http:")
        wants_tls = False
        try:
            with self.http_client.stream("GET", f"{self.origin}/", **self._looking()) as response:
                if is_plain and response.status_code == 400:
                    wants_tls = b"HTTPS" in next(response.iter_bytes(2000), b"").upper()
        except httpx2.ProxyError as error:
            said = redacted(error, self.configuration)
            sentence = "The proxy refused to connect" + (f": “{said}”." if said else ".")
            advice = "Check OUTGOING_PROXY, and whether it lets this host through."
            return a_failure(Step.CONNECTION, sentence, advice), {}
        except (httpx2.RemoteProtocolError, httpx2.ReadError):
            wants_tls = is_plain and self._speaks_tls()
        except (httpx2.DecodingError, httpx2.ReadTimeout):
            pass  # it was reached, and may be silent to all but its API
        except Exception as error:
            return self._why_not_reached(error), before
        if wants_tls:
            sentence = f"{self.host} does not speak plain http at this port."
            return a_failure(Step.CONNECTION, sentence, "Enter the address with https:// in place of http://."), before
        return None, before

    def _looking(self) -> dict[str, Any]:
        """How what is no call is sent. Redirects are not followed: they are what is to be seen."""
        return {"timeout": self.glance, "follow_redirects": False}

    def _speaks_tls(self) -> bool:
        """Whether a server that hangs up on http does otherwise on https, be its certificate trusted or not."""
        try:
            self.http_client.get(f"https{self.origin.removeprefix('http')}/", **self._looking())
        except httpx2.ConnectError as error:
            return self._reason(error) == "certificate"
        except httpx2.HTTPError:
            return False
        return True

    def _reason(self, error: Exception) -> str:
        failure = explain(error, self.configuration, "")
        return failure.reason if isinstance(failure, ConnectionFailed) else "other"

    def _why_not_reached(self, error: Exception) -> Finding:
        reason, why = self._reason(error), ""
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
            cause = cause.__cause__ or cause.__context__
        if cause is not None:
            reason = WRONG_WITH_CERTIFICATE.get(cause.verify_code, reason)
            why = f": {cause.verify_message}"
        step, sentence, advice = OBSTACLES.get(reason, OBSTACLES["timeout"])
        if step not in steps_of(self.configuration):  # the certificate of a proxy
            step = Step.CONNECTION
        return a_failure(step, sentence.format(host=self.host, why=why), advice)

    # -- calls

    def _request(self, prompt: str, limit: int = LIMIT, **options: Any) -> ChatCompletionsRequest:
        limit += self.room
        return ChatCompletionsRequest.of_prompts(prompt, model=self.model, max_completion_tokens=limit, **options)

    def at_an_answer(self) -> Examined:
        start = time.monotonic()
        failed, answered, thinks = None, "", False
        unproven: set[Step] = set()
        try:
            response = self.client.call_api(self._request("Answer with the single word OK."))
            answered = redacted(response.model, self.configuration)
            thinks = _is_cut_while_thinking(response)
        except ConnectorError as error:
            thinks = _THOUGHT_TOO_LONG in error.provider_message
            if not thinks:
                failed = self._diagnosis(error)
                unproven = self._unproven(error, failed)
        sentence = f"It came within {time.monotonic() - start:.1f} s."
        if thinks:
            sentence = "It thinks before it answers: a reasoning model."
            self.room = ROOM
        named = f"“{self.asked}” is there" + (f"; {answered} answers." if answered not in ("", self.asked) else ".")
        seen = {
            Step.API: a_pass(Step.API, f"{self.host} answers as an API."),
            Step.KEY: a_pass(Step.KEY, f"{self.host} took it, or asks for none."),
            Step.MODEL: a_pass(Step.MODEL, named),
            Step.VERSION: a_pass(Step.VERSION, "It is known."),
            Step.ANSWER: a_pass(Step.ANSWER, sentence + self._changes()),
        }
        return failed, {step: finding for step, finding in seen.items() if step not in unproven}

    def _unproven(self, error: ConnectorError, failed: Finding) -> set[Step]:
        """What is not known to be right, though it comes before the step that failed."""
        is_sent = bool(self.reports and self.reports[-1].attempts)
        if not is_sent or isinstance(error, NO_WORD):
            return {Step.API, Step.KEY, Step.MODEL, Step.VERSION}
        return {Step.KEY, Step.MODEL} if failed.step is Step.VERSION else set()

    def _changes(self) -> str:
        """What had to be changed in the last request."""
        changes = [each.change for each in self.reports[-1].adaptations] if self.reports else []
        return f" Changed for it: {'; '.join(changes)}." if changes else ""

    def _diagnosis(self, error: ConnectorError) -> Finding:
        """Which step an error belongs to, and what to change."""
        said = error.provider_message
        quoted = f" It says: “{said}”" if said else ""
        if isinstance(error, InvalidRequest):
            return a_failure(Step.MODEL, "No model is named.", f"Enter a default model.{self._models('')}")
        if error.status is not None and 300 <= error.status < 400:
            return self._redirected(error.status)
        if isinstance(error, UnreadableAnswer):
            return self._no_api(is_page=error.is_web_page)
        status = f" ({error.status})" if error.status else ""
        if isinstance(error, InvalidConfiguration) or (isinstance(error, KeyRefused) and not self.reports[-1].attempts):
            return a_failure(Step.KEY, str(error), self._about_the_key())  # no token, so nothing was sent
        if isinstance(error, KeyRefused):
            return a_failure(Step.KEY, f"{self.host} did not accept it{status}.{quoted}", self._about_the_key())
        if error.code == "OperationNotSupported" or re.search(_NO_CHAT, said):
            advice = "Enter the deployment of a chat model." if self.is_azure else "Choose a chat model."
            return a_failure(Step.MODEL, f"“{self.asked}” does not chat.{quoted}", advice + self._models(""))
        if isinstance(error, NotFoundAtProvider) or error.status == 405 or error.param == "model":
            return self._not_found(error, quoted)
        if self.is_dated and re.search(r"api.?version", said, re.IGNORECASE):
            return a_failure(Step.VERSION, f"It is refused.{quoted}", "Enter v1, or 2025-04-01-preview.")
        for kind, (step, sentence, advice) in DIAGNOSES.items():
            if isinstance(error, kind):
                words = {"host": self.host, "seconds": f"{self.timeout.read or 0:g}", "status": status}
                return a_failure(step, sentence.format(**words) + quoted, advice)
        advice = "Change what it names." if said else "Look into the log of the server, or ask whoever runs it."
        return a_failure(Step.ANSWER, f"The question was refused.{quoted or f' {error}'}", advice)

    def _no_api(self, *, is_page: bool) -> Finding:
        if is_page:
            return a_failure(
                Step.API,
                f"{self.host} answers with a web page, not as an API.",
                "Check the address. If it is right: is there a sign-in, or a proxy's page, in front of it?",
            )
        sentence = f"{self.host} answers with something that is no chat completion."
        return a_failure(Step.API, sentence, "Check the path in the address.")

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

    def _not_found(self, error: ConnectorError, quoted: str) -> Finding:
        if error.code == "DeploymentNotFound":
            return a_failure(
                Step.MODEL,
                f"There is no deployment “{self.asked}” at {self.host}.",
                "Enter the deployment name, which is not the model name. A new deployment needs about five minutes.",
            )
        is_about_model = re.search(r"\bmodel\b", error.provider_message, re.IGNORECASE)
        if error.code == "model_not_found" or error.param == "model" or is_about_model:
            return a_failure(
                Step.MODEL,
                f"There is no model “{self.asked}” at {self.host}, or the key may not use it."
                + (quoted if error.code != "model_not_found" else ""),
                f"Choose another model.{self._models(self.asked)}",
            )
        sentence = f"{self.host} knows no such address ({error.status or 404}).{quoted}"
        if self.is_dated:
            advice = (
                "Enter an API version that exists, for example 2024-10-21, or v1. Does the address end in .azure.com?"
            )
            return a_failure(Step.VERSION, sentence, advice)
        url = self.configuration.url
        return a_failure(
            Step.API, sentence, f"Calls go to {url}. Is its path right? Most servers' addresses end in /v1."
        )

    def _models(self, asked: str) -> str:
        """What the server offers, next to what was asked for; a sentence behind another, or nothing."""
        from difflib import get_close_matches  # rarely needed

        if self.is_azure:  # models are no deployments, and those it lists to administrators only
            return ""
        try:
            models = models_of(self.configuration, http_client=self.http_client, timeout=self.glance)
        except ConnectorError:
            return ""
        names = [each.name for each in models]
        near = get_close_matches(asked, names, n=5) or names[:5]
        return f" This server has {', '.join(near)}{', and others' if len(names) > len(near) else ''}." if near else ""

    def _redirected(self, status: int) -> Finding:
        """Asks, without the key and without a question, where calls are sent on to."""
        try:
            answer = self.http_client.post(self.configuration.url, **self._looking())
            location = answer.headers["location"]
            target, here = urlsplit(redacted(location, self.configuration)), urlsplit(self.origin)
        except (httpx2.HTTPError, LookupError, ValueError):
            target = here = urlsplit("")
        is_elsewhere = bool(target.hostname) and target.hostname != here.hostname
        sentence = f"{self.host} sends calls on to {target.hostname if is_elsewhere else 'another address'} ({status})."
        if not is_elsewhere and (here.scheme, target.scheme) == ("http", "https"):
            return a_failure(Step.API, sentence, "Enter the address with https://.")
        if re.search(_SIGN_IN, target.geturl().lower()):
            advice = "A sign-in stands in front of the API. Ask for an address that takes the key alone."
            return a_failure(Step.API, sentence, advice)
        advice = "It is not followed, since the key would go along. Enter the address that it leads to."
        return a_failure(Step.API, sentence, advice)

    # -- what else it can do

    def at_streaming(self) -> Finding:
        try:
            with self.client.stream(self._request("Answer with the single word OK.")) as stream:
                for _ in stream.deltas():
                    pass
        except ConnectorError as error:
            return self._limited(Step.STREAMING, "Streaming does not work.", error, "Answers will fail on most pages.")
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
        return a_pass(Step.STREAMING, "Answers come in pieces, and tell their tokens.")

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
        if _is_cut_while_thinking(response):
            return self._unseen(Step.JSON_SCHEMA)
        if not _is_json_of_the_schema(text_of(response)):
            return Finding(
                Step.JSON_SCHEMA,
                State.LIMITED,
                "The schema is taken, but the answer does not keep to it.",
                "Pages that need JSON will fail now and then.",
            )
        return a_pass(Step.JSON_SCHEMA, f"Answers keep to it.{self._changes()}")

    def at_tools(self) -> Finding:
        request = self._request("Call the function report_health now.", JSON_LIMIT, tools=(_TOOL,))
        try:
            response = self.client.call_api(request)
        except ConnectorError as error:
            return self._limited(
                Step.TOOLS, "Tools are refused.", error, "Pages that need tools will not work with it."
            )
        if not any(choice.message and choice.message.tool_calls for choice in response.choices):
            if _is_cut_while_thinking(response):
                return self._unseen(Step.TOOLS)
            return Finding(
                Step.TOOLS,
                State.LIMITED,
                "Tools are taken, but the model did not call the one it was told to.",
                "Pages that need tools may not work with it; larger models do better.",
            )
        return a_pass(Step.TOOLS, f"It calls them.{self._changes()}")

    def _limited(self, step: Step, sentence: str, error: ConnectorError, advice: str) -> Finding:
        if _THOUGHT_TOO_LONG in error.provider_message:
            return self._unseen(step)
        if isinstance(error, (*NO_WORD, RateLimited, QuotaExceeded)):
            return Finding(step, State.LIMITED, f"It could not be tested. {error}", "Test again later.")
        said = f" It says: “{error.provider_message}”" if error.provider_message else f" {error}"
        return Finding(step, State.LIMITED, sentence + said, advice)

    def _unseen(self, step: Step) -> Finding:
        sentence = "It could not be seen: the model thought for longer than a test lets it."
        return Finding(step, State.LIMITED, sentence, "Try it on a page.")


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".internal"))


def _is_cut_while_thinking(response: ChatCompletionsResponse) -> bool:
    """Whether the limit of tokens ended it before its first word."""
    return any(choice.finish_reason == "length" for choice in response.choices) and not text_of(response)


def _is_json_of_the_schema(text: str) -> bool:
    try:
        answer = json.loads(text)
    except ValueError:
        return False
    return isinstance(answer, dict) and isinstance(answer.get("ok"), bool)
