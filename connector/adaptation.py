"""Requests that mend themselves: what a model does not take is left out, renamed or replaced, and sent again.

Newer models refuse old parameters, old versions of Azure's API refuse new ones, and no name tells which: a deployment
may be called anything. The refusals do tell. They come as OpenAI and Azure word them (`unsupported_parameter`,
`unsupported_value`, `Unrecognized request argument supplied`), also through gateways that keep nothing but the message.
What changes the meaning of a request, its tools or its response format say, stays refused.
"""

import re
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connector.account import Account
from connector.chat_completions import ChatCompletionsRequest
from connector.errors import ConnectorError
from connector.failures import EFFORT_BESIDE_TOOLS
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


@dataclass(frozen=True)
class Adaptation:
    """One change that a model's requests need."""

    parameter: str
    """Its name in the request; `role` stands for that of a message, `tools` for the reasoning effort beside them."""
    value: str | float | None = None
    """The value that is not taken; None where none is."""
    instead: str | None = None
    """The parameter, role or value that is sent in its place; None where nothing is."""
    why: str = ""
    """The provider's words, redacted; empty where they repeat a prompt."""

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
    def key(self) -> tuple[str, str | float | None]:
        """What it is about. Of the roles, each is a matter of its own."""
        return self.parameter, self.value if self.parameter == "role" else None

    def is_reverse_of(self, other: "Adaptation") -> bool:
        """Whether one undoes the other: a rename or a role the other way round."""
        if self.parameter == other.parameter == "role":
            return (self.value, self.instead) == (other.instead, other.value)
        return other.instead is not None and (self.parameter, self.instead) == (other.instead, other.parameter)

    def applies_to(self, body: Body) -> bool:
        """Whether this request holds what is not taken."""
        if self.parameter == "role":
            return any(message.get("role") == self.value for message in body["messages"])
        if self.parameter == "tools":
            return "tools" in body and body.get("reasoning_effort") != self.instead
        name, _, inner = self.parameter.partition(".")
        if inner:
            return inner in (body.get(name) or {})
        return name in body and self.value in (None, body[name])

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
        name, _, inner = self.parameter.partition(".")
        if inner:
            return {**body, name: {each: value for each, value in body[name].items() if each != inner}}
        if self.instead and name not in _RENAMED:
            return {**body, name: self.instead}
        gone = {name, _GOES_ALONG.get(name)}
        rest = {each: value for each, value in body.items() if each not in gone}
        return {self.instead: body[name], **rest} if self.instead else rest


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

    def body(self, account: Account, request: ChatCompletionsRequest) -> Body:
        """The JSON that a client sends for this request, with what is known already changed.

        Raises `InvalidRequest` when neither the request nor the account names a model.
        """
        return Mending(request.body(account.model_for(request.model)), self).body

    def learn(self, model: str, adaptations: Iterable[Adaptation], outdated: Collection[Adaptation] = ()) -> None:
        """Add what helped. What is `outdated`, and what is about the same or the reverse of it, is forgotten."""
        with self._learning:
            kept = [each for each in self.of(model) if each not in outdated]
            for new in adaptations:
                kept = [each for each in kept if not _is_replaced(each, new)] + [new]
            self._known[model] = tuple(kept)

    def forget(self) -> None:
        """Learn anew, after a deployment got another model for example."""
        with self._learning:
            self._known.clear()


def _is_replaced(old: Adaptation, new: Adaptation) -> bool:
    is_same = old.parameter == new.parameter and (new.value is None or old.value in (None, new.value))
    return is_same or new.is_reverse_of(old)


class Mending:
    """One request on its way to being taken.

    It comes to an end: each refusal either adds a change that this call has not made yet, one per parameter and role,
    or takes away one that was known before and is not true any more.
    """

    def __init__(self, body: Body, learnt: Adaptations | None) -> None:
        self.body = body
        self.choices = 1
        """How often it is sent, where the model does not take `n`."""
        self.applied: list[Adaptation] = []
        self.learnt: tuple[Adaptation, ...] = ()
        """What this call found out, and the provider took."""
        self.outdated: tuple[Adaptation, ...] = ()
        """What was known before and is not true any more."""
        self._found: list[Adaptation] = []
        self._stale: list[Adaptation] = []
        self._asked = body
        self._adaptations = learnt
        self._model = str(body.get("model", ""))
        self._known = list(learnt.of(self._model)) if learnt is not None else []
        if self._known:
            self._rebuild()

    def after(self, refusal: ConnectorError) -> bool:
        """Change the request after this refusal; False where that does not help."""
        if self._adaptations is None or not refusal.refused:
            return False
        found = adaptations_for(refusal, self.body, {each.value for each in self.applied if each.parameter == "role"})
        if not found:
            return False
        stale = [each for each in self.applied if each in self._known and any(_is_about(each, new) for new in found)]
        if stale:
            self._stale += stale
            self._known = [each for each in self._known if each not in stale]
        elif any(new.key == each.key or new.is_reverse_of(each) for new in found for each in self._found):
            return False
        else:
            self._found += found
        self._rebuild()
        return True

    def taken(self) -> None:
        """The provider answered: what was changed helped, and is worth knowing."""
        found, stale = tuple(self._found), tuple(self._stale)
        if self._adaptations is not None and (found, stale) != (self.learnt, self.outdated):
            self.learnt, self.outdated = found, stale
            self._adaptations.learn(self._model, found, stale)

    def _rebuild(self) -> None:
        """From what was asked for, with all that is known: until nothing applies, each once."""
        self.body, self.applied, self.choices = self._asked, [], 1
        while True:
            keys = {each.key for each in self.applied}
            every = (*self._known, *self._found)
            following = next((each for each in every if each.key not in keys and each.applies_to(self.body)), None)
            if following is None:
                return
            if following.parameter == "n":
                self.choices = int(self.body["n"])
            self.body = following.apply(self.body)
            self.applied.append(following)


def _is_about(known: Adaptation, refused: Adaptation) -> bool:
    """Whether what is refused now is what a known change had put there, or its parameter again."""
    made = known.instead in (refused.parameter, refused.value) and known.instead is not None
    return made or known.key == refused.key


def adaptations_for(refusal: ConnectorError, body: Body, roles: Iterable[object] = ()) -> list[Adaptation]:
    """What may mend this request after this refusal; nothing where not all of what is refused is known.

    `roles` are those that were found not to be taken before.
    """
    adaptations = [_adaptation_of(name, refusal, body, set(roles)) for name in refusal.refused]
    return [each for each in adaptations if each is not None] if all(adaptations) else []


def _adaptation_of(name: str, refusal: ConnectorError, body: Body, roles: set[object]) -> Adaptation | None:
    why, supported = refusal.provider_message, refusal.supported
    if name == EFFORT_BESIDE_TOOLS:
        is_open = "tools" in body and body.get("reasoning_effort") != "none"
        return Adaptation("tools", None, "none", why) if is_open else None
    if name.endswith(".role"):
        return _other_role(name, supported, why, body, roles)
    name, _, inner = name.partition(".")
    if name not in body:
        return None
    if inner:  # of a stream's options, one can do without each; of a format or a tool, without none
        is_option = name == "stream_options" and inner in body[name]
        return Adaptation(f"{name}.{inner}", None, None, why) if is_option else None
    if name in _RENAMED:
        return Adaptation(name, None, _RENAMED[name], why)
    if name not in _LEFT_OUT:
        return None
    value = body[name]
    if isinstance(value, str) and (nearest := _nearest(name, value, supported)):
        return Adaptation(name, value, nearest, why)
    # Where one value is refused, others may be taken; unless only the default is, or it is a matter of yes and no.
    is_one_value = refusal.code == "unsupported_value" and type(value) in (str, int, float) and name != "n"
    is_any = "only the default" in why.lower() or not is_one_value
    return Adaptation(name, None if is_any else value, None, why)


def _nearest(name: str, value: str, supported: Iterable[str]) -> str | None:
    """The choice that is taken and lies next to this one; the lower of two."""
    field = ChatCompletionsRequest.model_fields.get(name)
    order = [str(choice) for choice in choices_of(field)] if field else []
    known = [choice for choice in order if choice in supported and choice != value]
    if value not in order or not known:
        return None
    return min(known, key=lambda choice: abs(order.index(choice) - order.index(value)))


def _other_role(name: str, supported: Iterable[str], why: str, body: Body, roles: set[object]) -> Adaptation | None:
    found = re.search(r"\d+", name)
    index = int(found[0]) if found else len(body["messages"])
    role = str(body["messages"][index].get("role")) if index < len(body["messages"]) else ""
    others = [other for other in _ROLES.get(role, ()) if other not in roles and (not supported or other in supported)]
    return Adaptation("role", role, others[0], why) if others else None
