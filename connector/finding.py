"""The findings of an examination: its steps, and how each went."""

from dataclasses import dataclass
from enum import StrEnum

from connector.account import Account


class Step(StrEnum):
    """A step of an examination, in this order."""

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
    JSON_SCHEMA = "Structured output (JSON schema)"
    TOOLS = "Tools"


class State(StrEnum):
    """How a step went. A failure ends the examination."""

    PASSED = "passed"
    LIMITED = "limited"
    """The step works, but with a limitation or a warning."""
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """One step: how it went, what was found, and what to change. It contains no key."""

    step: Step
    state: State
    sentence: str
    advice: str = ""
    """What to change; empty where there is nothing to change."""


def a_pass(step: Step, sentence: str) -> Finding:
    return Finding(step, State.PASSED, sentence)


def a_failure(step: Step, sentence: str, advice: str) -> Finding:
    return Finding(step, State.FAILED, sentence, advice)


def steps_of(configuration: Account) -> list[Step]:
    """Return the steps that apply to this configuration, in their order."""
    left_out = set()
    if not configuration.url.startswith("https:"):
        left_out.add(Step.CERTIFICATE)
    if "?api-version=" not in configuration.url:
        left_out.add(Step.VERSION)
    return [step for step in Step if step not in left_out]
