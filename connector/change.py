"""The kinds of change that make a refused request acceptable, each a small class.

| class | the request | example |
| --- | --- | --- |
| `Role` | sends messages under another role | `developer` as `system` |
| `InUserText` | puts instructions before the text of the next user message | `system` |
| `OtherApi` | is not sent: only another API offers what it asks for | `v1/responses` |
| `EffortBesideTools` | sets the reasoning effort beside tools | `reasoning_effort: none` |
| `ReasoningSentBack` | contains the reasoning of earlier answers | `reasoning_content` |
| `InnerLeftOut` | leaves out an option inside a parameter | `stream_options.include_usage` |
| `FieldOfMessagesLeftOut` | leaves out a field of its messages | `extra_content` |
| `LeftOutBeside` | leaves out one of two parameters that exclude each other | `top_p` beside `temperature` |
| `Renamed` | sends a value under another name | `max_tokens` as `max_completion_tokens` |
| `ValueReplaced` | sends another value | `reasoning_effort: high` as `medium` |
| `LeftOut` | leaves a parameter out | `temperature` |
"""

from dataclasses import dataclass
from typing import Any, Protocol

from connector.message import REASONING_FIELDS

Body = dict[str, Any]

REASONING = "reasoning"
"""The parameter of an adaptation that sends the reasoning of earlier answers back."""

RENAMED = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
IN_USER_TEXT = "part of the user's text"
_LEFT_OUT_TOGETHER = {"logprobs": "top_logprobs", "stream": "stream_options"}


class Change(Protocol):
    """One kind of change."""

    @property
    def words(self) -> str:
        """The change in a few words."""
        ...

    def applies_to(self, body: Body) -> bool:
        """Whether the request contains what is not accepted."""
        ...

    def apply(self, body: Body) -> Body:
        """Return the changed request, a new dictionary."""
        ...


def change_of(parameter: str, value: str | float | None, instead: str | None) -> Change:
    """Return the change that an `Adaptation` with these attributes makes."""
    name, _, inner = parameter.partition(".")
    if parameter == "role":
        return InUserText(str(value)) if instead == IN_USER_TEXT else Role(str(value), str(instead))
    if parameter == "api":
        return OtherApi(str(instead), is_about_tools=value == "tools")
    if parameter == "tools":
        return EffortBesideTools(str(instead))
    if parameter == REASONING:
        return ReasoningSentBack()
    if inner:
        return FieldOfMessagesLeftOut(inner) if name == "messages" else InnerLeftOut(name, inner)
    if not instead:
        return LeftOut(name, value)
    if name in RENAMED:
        return Renamed(name, instead, value)
    return LeftOutBeside(name, instead) if value is None else ValueReplaced(name, value, instead)


@dataclass(frozen=True)
class Role:
    """Messages with one role are sent under another."""

    old: str
    new: str

    @property
    def words(self) -> str:
        return f"role {self.old} sent as {self.new}"

    def applies_to(self, body: Body) -> bool:
        return any(message.get("role") == self.old for message in body["messages"])

    def apply(self, body: Body) -> Body:
        messages = [
            {**message, "role": self.new} if message.get("role") == self.old else message
            for message in body["messages"]
        ]
        return {**body, "messages": messages}


@dataclass(frozen=True)
class InUserText:
    """Instructions are put before the text of the next user message, for models that want user and assistant to take
    turns.
    """

    old: str

    @property
    def words(self) -> str:
        return f"role {self.old} sent as {IN_USER_TEXT}"

    def applies_to(self, body: Body) -> bool:
        return any(message.get("role") == self.old for message in body["messages"])

    def apply(self, body: Body) -> Body:
        waiting: list[Any] = []
        messages: list[Any] = []
        for message in body["messages"]:
            if message.get("role") == self.old:
                waiting.append(message.get("content"))
            elif message.get("role") == "user":
                messages.append({**message, "content": _joined([*waiting, message.get("content")])})
                waiting = []
            else:
                messages.append(message)
        alone = [{"role": "user", "content": _joined(waiting)}] if waiting else []
        return {**body, "messages": messages + alone}


def _joined(contents: list[Any]) -> Any:
    """Return contents of messages as one: a text, or parts where one of them has parts."""
    if all(isinstance(content, str) for content in contents):
        return "\n\n".join(contents)
    parts = [[{"type": "text", "text": each}] if isinstance(each, str) else each or [] for each in contents]
    return [part for each in parts for part in each]


@dataclass(frozen=True)
class OtherApi:
    """What only another API offers. The request is refused before it is sent, see `Mending.other_api`."""

    api: str
    is_about_tools: bool

    @property
    def words(self) -> str:
        what = "tools together with reasoning" if self.is_about_tools else "all requests"
        return f"{what} refused: the model needs {self.api}"

    def applies_to(self, body: Body) -> bool:
        return not self.is_about_tools or ("tools" in body and body.get("reasoning_effort") != "none")

    def apply(self, body: Body) -> Body:
        return body


@dataclass(frozen=True)
class EffortBesideTools:
    """The reasoning effort that a model requires when a request has tools."""

    effort: str

    @property
    def words(self) -> str:
        return f"reasoning_effort sent as {self.effort} beside tools"

    def applies_to(self, body: Body) -> bool:
        return "tools" in body and body.get("reasoning_effort") != self.effort

    def apply(self, body: Body) -> Body:
        return {**body, "reasoning_effort": self.effort}


@dataclass(frozen=True)
class ReasoningSentBack:
    """The reasoning of earlier answers is in their messages: `adaptation.adapted` makes the request so."""

    @property
    def words(self) -> str:
        return "reasoning of earlier answers sent back"

    def applies_to(self, body: Body) -> bool:
        return any(not set(REASONING_FIELDS).isdisjoint(message) for message in body["messages"])

    def apply(self, body: Body) -> Body:
        return body


@dataclass(frozen=True)
class InnerLeftOut:
    """An option inside a parameter is left out."""

    name: str
    inner: str

    @property
    def words(self) -> str:
        return f"{self.name}.{self.inner} left out"

    def applies_to(self, body: Body) -> bool:
        return self.inner in (body.get(self.name) or {})

    def apply(self, body: Body) -> Body:
        return {**body, self.name: {each: value for each, value in body[self.name].items() if each != self.inner}}


@dataclass(frozen=True)
class FieldOfMessagesLeftOut:
    """A field is left out of messages and of their parts and tool calls: one that another provider's answer had."""

    name: str

    @property
    def words(self) -> str:
        return f"{self.name} left out of messages"

    def applies_to(self, body: Body) -> bool:
        return bool(body["messages"] != _without_field(body["messages"], self.name))

    def apply(self, body: Body) -> Body:
        return {**body, "messages": _without_field(body["messages"], self.name)}


def _without_field(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {each: _without_field(inner, name) for each, inner in value.items() if each != name}
    return [_without_field(inner, name) for inner in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class LeftOutBeside:
    """A parameter is left out where another one is sent that it is not accepted with."""

    name: str
    other: str

    @property
    def words(self) -> str:
        return f"{self.name} left out beside {self.other}"

    def applies_to(self, body: Body) -> bool:
        return self.name in body and self.other in body

    def apply(self, body: Body) -> Body:
        return _without(body, self.name)


@dataclass(frozen=True)
class Renamed:
    """A value is sent under another parameter."""

    name: str
    new: str
    value: str | float | None = None
    """The only value that is renamed; None for all."""

    @property
    def words(self) -> str:
        return f"{_subject(self.name, self.value)} sent as {self.new}"

    def applies_to(self, body: Body) -> bool:
        return _has(body, self.name, self.value)

    def apply(self, body: Body) -> Body:
        return {self.new: body[self.name], **_without(body, self.name)}


@dataclass(frozen=True)
class ValueReplaced:
    """Another value is sent for a parameter."""

    name: str
    value: str | float | None
    new: str

    @property
    def words(self) -> str:
        return f"{_subject(self.name, self.value)} sent as {self.new}"

    def applies_to(self, body: Body) -> bool:
        return _has(body, self.name, self.value)

    def apply(self, body: Body) -> Body:
        return {**body, self.name: self.new}


@dataclass(frozen=True)
class LeftOut:
    """A parameter is left out, together with the one that depends on it."""

    name: str
    value: str | float | None = None
    """The only value that is left out; None for all."""

    @property
    def words(self) -> str:
        if self.name == "n":
            return "n left out, the choices requested one by one"
        if self.name == "stream":
            return "stream left out, the answer comes whole"
        return f"{_subject(self.name, self.value)} left out"

    def applies_to(self, body: Body) -> bool:
        return _has(body, self.name, self.value)

    def apply(self, body: Body) -> Body:
        return _without(body, self.name)


def _subject(name: str, value: str | float | None) -> str:
    return name if value is None else f"{name} {value}"


def _has(body: Body, name: str, value: str | float | None) -> bool:
    return name in body and value in (None, body[name])


def _without(body: Body, name: str) -> Body:
    gone = {name, _LEFT_OUT_TOGETHER.get(name)}
    return {each: value for each, value in body.items() if each not in gone}
