"""Requests that mend themselves: what a model does not take is left out, renamed or replaced, and sent again.

Newer models refuse old parameters, old versions of Azure's API refuse new ones, and no name tells which: a deployment
may be called anything. The refusals do tell. They come as OpenAI and Azure word them (`unsupported_parameter`,
`unsupported_value`, `Unrecognized request argument supplied`), also through gateways that keep nothing but the message.
What changes the meaning of a request, its tools or its response format say, stays refused.
"""

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connector.chat_completions import ChatCompletionsRequest
from connector.errors import ConnectorError
from connector.value import choices_of

Body = dict[str, Any]

_RENAMED = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
# Without one of these the answer is of the same kind: other words, less known about it, or slower.
_LEFT_OUT = {
    *("temperature", "top_p", "frequency_penalty", "presence_penalty", "logit_bias", "seed", "stop", "n"),
    *("logprobs", "top_logprobs", "reasoning_effort", "verbosity", "parallel_tool_calls", "stream", "stream_options"),
    *("prediction", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "user"),
}
_GOES_ALONG = {"logprobs": "top_logprobs", "stream": "stream_options"}
# What an instruction may be sent as, in this order, where a refusal does not name what is taken.
_ROLES = {"developer": ("system", "user"), "system": ("user", "developer")}

# Compiled when first needed: refusals are rare, and importing shall be quick.
_UNRECOGNIZED = r"Unrecognized request arguments? supplied: ([\w., ]+)"
_UNSUPPORTED = r"Unsupported (?:value|parameter): '([\w.\[\]]+)'"
_ROLE_OF_A_MESSAGE = r"messages[.\[]+(\d+)\]?\.role"
_TAKEN = r"Supported values are: (.+?)(?:\.|$)"
_CODES = {"unsupported_parameter", "unsupported_value"}


@dataclass(frozen=True)
class Adaptation:
    """One change that a model's requests need."""

    parameter: str
    """Its name in the request; `role` stands for that of a message, `tools` for the reasoning effort beside them."""
    value: str | None = None
    """The value that is not taken; None where none is."""
    instead: str | None = None
    """The parameter, role or value that is sent in its place; None where nothing is."""
    why: str = ""
    """The provider's words, redacted."""

    @property
    def change(self) -> str:
        """What was changed, in a few words: `max_tokens sent as max_completion_tokens`."""
        if self.parameter == "n":
            return "n left out, the choices asked for one by one"
        if self.parameter == "stream":
            return "stream left out, the answer comes whole"
        if self.parameter == "tools":
            return f"reasoning_effort sent as {self.instead} beside tools"
        subject = self.parameter if self.value is None else f"{self.parameter} {self.value}"
        return f"{subject} sent as {self.instead}" if self.instead else f"{subject} left out"

    def __str__(self) -> str:
        return f"{self.change}: “{self.why}”" if self.why else self.change

    @property
    def key(self) -> tuple[str, str | None]:
        """What it is about. Of the roles, each is a matter of its own."""
        return self.parameter, self.value if self.parameter == "role" else None

    def applies_to(self, body: Body) -> bool:
        """Whether this request holds what is not taken."""
        if self.parameter == "role":
            return any(message.get("role") == self.value for message in body["messages"])
        if self.parameter == "tools":
            return "tools" in body and body.get("reasoning_effort") != self.instead
        return self.parameter in body and self.value in (None, body[self.parameter])

    def apply(self, body: Body) -> Body:
        """The request as it is sent instead; a new dictionary."""
        if self.parameter == "role":
            messages = [
                {**message, "role": self.instead} if message.get("role") == self.value else message
                for message in body["messages"]
            ]
            return {**body, "messages": messages}
        if self.parameter == "tools":
            return {**body, "reasoning_effort": self.instead}
        if self.instead and self.parameter not in _RENAMED:
            return {**body, self.parameter: self.instead}
        gone = {self.parameter, _GOES_ALONG.get(self.parameter)}
        rest = {name: value for name, value in body.items() if name not in gone}
        return {self.instead: body[self.parameter], **rest} if self.instead else rest


class Adaptations:
    """What the models of one configuration were seen not to take. Thread-safe; may serve many clients.

    Pass one to `Client(learnt=...)`: refused requests are mended, and what helped is applied from then on. To keep it,
    store `items()`, and hand it in again.
    """

    def __init__(self, known: Mapping[str, Iterable[Adaptation]] | None = None) -> None:
        self._known = {model: tuple(each) for model, each in (known or {}).items()}
        self._learning = threading.Lock()

    def of(self, model: str) -> tuple[Adaptation, ...]:
        """What is known of a model or deployment."""
        return self._known.get(model, ())

    def items(self) -> dict[str, tuple[Adaptation, ...]]:
        """All of it, by model."""
        return dict(self._known)

    def learn(self, model: str, adaptations: Iterable[Adaptation]) -> None:
        """Add what helped; what it contradicts, a rename the other way round say, is forgotten."""
        with self._learning:
            for new in adaptations:
                kept = [each for each in self.of(model) if not _is_replaced(each, new)]
                self._known[model] = (*kept, new)

    def forget(self) -> None:
        """Learn anew, after a deployment got another model for example."""
        with self._learning:
            self._known.clear()


def _is_replaced(old: Adaptation, new: Adaptation) -> bool:
    is_reverse = new.instead is not None and (old.parameter, old.instead) == (new.instead, new.parameter)
    is_same = old.parameter == new.parameter and (new.value is None or old.value in (None, new.value))
    return is_reverse or is_same


class Mending:
    """One request on its way to being taken. Each parameter is changed once at most, so it comes to an end."""

    def __init__(self, body: Body, learnt: Adaptations | None) -> None:
        self.body = body
        self.choices = 1
        """How often it is sent, where the model does not take `n`."""
        self.applied: list[Adaptation] = []
        self._learnt = learnt
        self._model = str(body.get("model", ""))
        if learnt is not None and (known := learnt.of(self._model)):
            while self._apply(known):
                pass

    def after(self, refusal: ConnectorError) -> bool:
        """Change the request after this refusal; False where that does not help."""
        if self._learnt is None or refusal.status != 400:
            return False
        found = adaptations_for(refusal, self.body)
        done = {each.key for each in self.applied}
        if not found or any(each.key in done for each in found):
            return False
        self._apply(found)
        return True

    def taken(self) -> None:
        """The provider took it: what was changed is worth knowing."""
        if self._learnt is not None and self.applied:
            self._learnt.learn(self._model, [each for each in self.applied if each not in self._learnt.of(self._model)])

    def _apply(self, adaptations: Iterable[Adaptation]) -> bool:
        is_changed = False
        for each in adaptations:
            if each.key not in {done.key for done in self.applied} and each.applies_to(self.body):
                if each.parameter == "n":
                    self.choices = int(self.body["n"])
                self.body = each.apply(self.body)
                self.applied.append(each)
                is_changed = True
        return is_changed


def adaptations_for(refusal: ConnectorError, body: Body) -> list[Adaptation]:
    """What may mend this request after this refusal; nothing where not all of what is refused is known."""
    said = refusal.provider_message
    is_about_tools = "tools" in said and "reasoning_effort" in (refusal.param or said)
    if is_about_tools and "tools" in body and body.get("reasoning_effort") != "none":
        return [Adaptation("tools", None, "none", said)]
    if found := re.search(_UNRECOGNIZED, said):
        refused = [name.strip(" .") for name in found[1].split(",")]
    elif refusal.code in _CODES and refusal.param:
        refused = [refusal.param]
    elif found := re.search(_UNSUPPORTED, said):
        refused = [found[1]]
    elif found := re.search(_ROLE_OF_A_MESSAGE, refusal.param or said):
        refused = [found[0]]
    else:
        return []
    adaptations = [_adaptation_of(name, said, body) for name in refused]
    return [each for each in adaptations if each is not None] if all(adaptations) else []


def _adaptation_of(name: str, said: str, body: Body) -> Adaptation | None:
    taken = re.findall(r"'([^']+)'", found[1]) if (found := re.search(_TAKEN, said)) else []
    if found := re.search(_ROLE_OF_A_MESSAGE, name):
        return _other_role(int(found[1]), taken, said, body)
    name = re.split(r"[.\[]", name)[0]
    if name not in body:
        return None
    if name in _RENAMED:
        return Adaptation(name, None, _RENAMED[name], said)
    if name not in _LEFT_OUT:
        return None
    value = body[name]
    if isinstance(value, str) and (nearest := _nearest(name, value, taken)):
        return Adaptation(name, value, nearest, said)
    return Adaptation(name, None, None, said)


def _nearest(name: str, value: str, taken: list[str]) -> str | None:
    """The choice that is taken and lies next to this one; the lower of two."""
    field = ChatCompletionsRequest.model_fields.get(name)
    order = [str(choice) for choice in choices_of(field)] if field else []
    known = [choice for choice in order if choice in taken and choice != value]
    return (
        min(known, key=lambda choice: abs(order.index(choice) - order.index(value)))
        if value in order and known
        else None
    )


def _other_role(index: int, taken: list[str], said: str, body: Body) -> Adaptation | None:
    messages = body["messages"]
    role = str(messages[index].get("role")) if index < len(messages) else ""
    others = [other for other in _ROLES.get(role, ()) if not taken or other in taken]
    return Adaptation("role", role, others[0], said) if others else None
