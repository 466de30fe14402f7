"""Reads from a refusal which parameters the provider does not support, and which values it accepts instead.

The wordings are OpenAI's and Azure's, as their users quote them: openai/openai-python#1724, pipecat-ai/pipecat#4043,
lobehub/lobehub#9385, janhq/jan#4392. The text is searched as well as the code, because gateways often forward only the
text.
"""

import re
from dataclasses import dataclass

NO_REASONING = "reasoning of earlier answers"
EFFORT_BESIDE_TOOLS = "reasoning_effort beside tools"
_CODES = {"unsupported_parameter", "unsupported_value", "invalid_value"}
_UNRECOGNIZED = r"Unrecognized request arguments? supplied: ([\w., ]+)"
_UNSUPPORTED = r"Unsupported (?:value|parameter): '([\w.\[\]]{1,60})'"
_ROLE = r"messages[.\[]{1,2}\d{1,6}\]?\.role"
# DeepSeek (the-open-agent/openagent#2206, hotovo/aider-desk#529) and Kimi (mastra-ai/mastra#12592).
_REASONING_WANTED = r"reasoning_\w+`? .{0,60}(passed back|is missing|is required)|missing `?reasoning_\w+"
_SUPPORTED = r"Supported values are: (.{1,200}?)(?:\.|$)"


@dataclass(frozen=True)
class Unsupported:
    """Names only, nothing of the prompt."""

    refused: tuple[str, ...] = ()
    """The parameters that the provider does not accept as they are."""
    supported: tuple[str, ...] = ()
    """The values that it accepts for them."""
    only_default: bool = False
    """Whether it accepts only the default value."""


def unsupported_in(status: int | None, code: str, message: str, param: object) -> Unsupported:
    """Return what a response with status 400 does not support; for other statuses nothing."""
    if status != 400:
        return Unsupported()
    found = re.search(_SUPPORTED, message)
    supported = tuple(re.findall(r"'([\w.-]{1,30})'", found[1])) if found else ()
    refused = _refused(code, message, param if isinstance(param, str) else "", supported)
    return Unsupported(refused, supported, only_default="only the default" in message.lower())


def _refused(code: str, message: str, param: str, supported: tuple[str, ...]) -> tuple[str, ...]:
    if re.search(_REASONING_WANTED, f"{message} {param}", re.IGNORECASE):
        return (NO_REASONING,)
    role = re.search(_ROLE, param) or re.search(_ROLE, message)
    if role and (code in _CODES or "'system'" in message or "'developer'" in message):
        return (role[0],)
    if "tools" in message and "reasoning_effort" in (param, *re.findall(r"\w+", message)):
        return ("reasoning_effort",) if supported and "none" not in supported else (EFFORT_BESIDE_TOOLS,)
    if found := re.search(_UNRECOGNIZED, message):
        return tuple(name.strip(" .") for name in found[1].split(","))
    if found := re.search(_UNSUPPORTED, message):
        return (found[1],)
    return (param,) if param and code in _CODES else ()
