"""Reads from a refusal what the provider does not support, and which values it accepts instead."""

import re
from dataclasses import dataclass
from functools import lru_cache

from connector.chat_completions import ChatCompletionsRequest
from connector.error_body import ErrorBody
from connector.masking import Sent
from connector.message import Role
from connector.value import choices_of
from connector.wordings import (
    EXCLUSIVE,
    NO_INSTRUCTIONS,
    OTHER_API,
    REASONING_WANTED,
    SUPPORTED,
    TOOLS_IN_OTHER_API,
    UNSUPPORTED,
    Quoted,
    named_by,
    says,
)

NO_REASONING = "reasoning of earlier answers"
EFFORT_BESIDE_TOOLS = "reasoning_effort beside tools"
INSTRUCTIONS = "instructions"
"""Messages of the system or the developer, under any role of their own."""
THIS_API = "chat completions"
"""The model is offered in another API only, which `supported` names."""
BESIDE = " beside "
"""Stands between two parameters that are not accepted together."""
TOOLS_IN_THIS_API = "tools in chat completions"
"""Tools together with reasoning are."""
_NO_PARAMETERS = {NO_REASONING, EFFORT_BESIDE_TOOLS, INSTRUCTIONS}
_CODES = {"unsupported_parameter", "unsupported_value", "invalid_value", "unknown_parameter"}
_ROLE = re.compile(r"messages[.\[]{1,2}\d{1,6}\]?\.role")
_TAG = re.compile(r"(messages\.\d{1,6})(?:\.\w+)*: Input tag '(?:system|developer)' found using 'role'")
_ROLE_OF_INSTRUCTIONS = re.compile(r"['\"`](?:system|developer)['\"`]")
_VALUE = re.compile(r"['\"`]([\w.-]{1,30})['\"`]")
_STREAM_OPTION = re.compile(r"stream_options\.\w{1,60}")
_NAME = re.compile(r"[A-Za-z_][\w.\[\]-]*")


@dataclass(frozen=True)
class Unsupported:
    """Names of the API only, nothing of the prompt."""

    refused: tuple[str, ...] = ()
    """The parameters that the provider does not accept as they are."""
    supported: tuple[str, ...] = ()
    """The values that it accepts for them."""
    only_default: bool = False
    """Whether it accepts only the default value."""


def offered_elsewhere(status: int | None, words: str, quoted: Quoted) -> Unsupported | None:
    """Return what is offered in another API only, by a provider's own words; None where nothing is."""
    needs = next(named_by(TOOLS_IN_OTHER_API, words, status, quoted), "")
    if needs and not re.search(r"\bnone\b", words):  # else tools are offered here, without reasoning
        return Unsupported((TOOLS_IN_THIS_API,), (needs,))
    api = next(named_by(OTHER_API, words, status, quoted), "")
    return Unsupported((THIS_API,), (api,)) if api and not needs else None


def unsupported_in(status: int | None, body: ErrorBody, sent: Sent) -> Unsupported:
    """Return what a refusal with this status does not support of the request that was sent."""
    if status is None:
        return Unsupported()
    values = (value for found in named_by(SUPPORTED, body.words, status) for value in _VALUE.findall(found))
    supported = tuple(dict.fromkeys(value for value in values if value in _values()))
    refused = (_parameter(name, sent) for name in _refused(status, body, supported))
    only_default = "only the default" in body.words.lower()
    return Unsupported(tuple(dict.fromkeys(filter(None, refused))), supported, only_default)


def _refused(status: int, body: ErrorBody, supported: tuple[str, ...]) -> list[str]:
    if says(REASONING_WANTED, f"{body.words} {body.param}", status):
        return [NO_REASONING]
    if says(NO_INSTRUCTIONS, body.words, status):
        return [INSTRUCTIONS]
    if status in (400, 422) and (role := _refused_role(body)):
        return [role]
    words = {body.param, *re.findall(r"\w+", body.words)}
    if status == 400 and {"tools", "reasoning_effort"} <= words:
        return ["reasoning_effort" if supported and "none" not in supported else EFFORT_BESIDE_TOOLS]
    if pairs := [_names_in(found) for found in named_by(EXCLUSIVE, body.words, status)]:
        return [f"{one}{BESIDE}{other}" for one, _, other in pairs]
    named = [name for found in named_by(UNSUPPORTED, body.words, status) for name in _names_in(found)]
    return named or ([body.param] if status == 400 and body.code in _CODES else [])


def _refused_role(body: ErrorBody) -> str:
    role = _ROLE.search(body.param) or _ROLE.search(body.words)
    if role and (body.code in _CODES or _ROLE_OF_INSTRUCTIONS.search(body.words)):
        return role[0]
    tag = _TAG.search(body.words)
    return f"{tag[1]}.role" if tag else ""


def _names_in(found: str) -> list[str]:
    """Return the names in a list, `a, b`, or in an object, `'a': 0.5, 'b': True`."""
    return [name.strip(".") for name in _NAME.findall(re.sub(r":[^,]*", "", found))]


def _parameter(name: str, sent: Sent) -> str:
    """Return the parameter that has this name, also where a part of it is refused, or a field of messages as
    `messages.field`; empty for any other name.
    """
    if name in _NO_PARAMETERS or BESIDE in name or _ROLE.fullmatch(name) or _STREAM_OPTION.fullmatch(name):
        return name
    outer, *inner = (step for step in re.split(r"[.\[\]]+", name) if step)
    if outer == "messages":
        return f"{outer}.{inner[-1]}" if inner else outer
    if outer not in sent.names and outer in sent.fields_of_messages:
        return f"messages.{outer}"
    in_snake_case = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", outer).lower()
    known = {*ChatCompletionsRequest.model_fields, "stream", *sent.names}
    return next((each for each in (outer, in_snake_case) if each in known), "")


@lru_cache(maxsize=1)
def _values() -> frozenset[str]:
    choices = (str(choice) for field in ChatCompletionsRequest.model_fields.values() for choice in choices_of(field))
    return frozenset({*Role, *choices})
