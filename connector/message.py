"""One message of a conversation: role, content, and the fields for tool calls."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

from openai.types.chat import ChatCompletionMessage
from pydantic import Field, JsonValue, model_validator

from connector.errors import InvalidRequest
from connector.tool_calls import as_sent
from connector.value import Value, is_sendable

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionContentPartParam, ChatCompletionMessageToolCallUnionParam

    ContentPart: TypeAlias = ChatCompletionContentPartParam
    ToolCall: TypeAlias = ChatCompletionMessageToolCallUnionParam
else:  # any JSON object, so that parts which this SDK version does not know are sent unchanged
    ContentPart = ToolCall = dict[str, JsonValue]


# The fields that DeepSeek, Kimi, vLLM and OpenRouter send a model's reasoning in.
REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_details")
# What a response contains and no request accepts.
_NOT_SENT = {"annotations"}
_OF_EVERY_MESSAGE = {"role", "content", "name"}


class Role(StrEnum):
    """Who a message is from; the seed's ENUM_Role and the API's newer roles."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    DEVELOPER = "developer"
    TOOL = "tool"


class Message(Value):
    """One message: a text, parts (text, pictures, audio, files), or the tool calls of an answer.

    Parts and tool calls are the SDK's own types, `{"type": "text", "text": ...}` and
    `{"type": "image_url", "image_url": {"url": ...}}`; see
    https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages. Raises `InvalidRequest`.
    """

    invalid: ClassVar = InvalidRequest

    role: Role = Field(title="Role")
    content: str | tuple[ContentPart, ...] | None = Field(default=None, title="Content")
    """None only for an assistant's message with tool calls, a refusal or extra fields, such as audio."""
    name: str | None = Field(default=None, title="Name")
    """Distinguishes participants with the same role."""
    tool_calls: tuple[ToolCall, ...] = Field(default=(), title="Tool calls")
    """For the role assistant."""
    tool_call_id: str | None = Field(default=None, title="Tool call id")
    """For the role tool: the call that this message answers."""
    refusal: str | None = Field(default=None, title="Refusal")
    """For the role assistant."""
    reasoning: dict[str, JsonValue] = Field(default_factory=dict, title="Reasoning")
    """For the role assistant: the fields with the model's reasoning, sent back only to a provider that requires it."""
    extra: dict[str, JsonValue] = Field(default_factory=dict, title="Extra")
    """Fields of the message that are not listed here, sent as they are."""

    @model_validator(mode="before")
    @classmethod
    def _of_response(cls, data: Any) -> Any:
        """Accept an assistant's message as a response contains it: the SDK's object, or its dump with all fields."""
        if type(data) is dict and data.keys() <= _OF_EVERY_MESSAGE:  # nearly all of a long conversation
            return data
        if isinstance(data, ChatCompletionMessage):
            data = {**data.to_dict(mode="json", warnings=False), "role": Role.ASSISTANT.value}
        if not isinstance(data, Mapping) or data.get("role") != Role.ASSISTANT:
            return data
        sent = {name: value for name, value in data.items() if value is not None and name not in _NOT_SENT}
        fields = {name: value for name, value in sent.items() if name in cls.model_fields}
        extra = {name: value for name, value in sent.items() if name not in fields}
        reasoning = {name: extra.pop(name) for name in REASONING_FIELDS if name in extra}
        if isinstance(fields.get("reasoning"), str | list):  # a provider's field of that name
            reasoning["reasoning"] = fields.pop("reasoning")
        if isinstance(audio := extra.get("audio"), Mapping) and "id" in audio:
            extra["audio"] = {"id": audio["id"]}  # the provider has the rest, and refuses it
        if isinstance(calls := fields.get("tool_calls"), list | tuple):
            fields["tool_calls"] = [
                as_sent(dict(call)) if isinstance(call, Mapping) else call for call in calls if call
            ]
        if not fields.keys() - {"role", "reasoning", "tool_calls"} and not fields.get("tool_calls") and reasoning:
            fields["content"] = ""  # all of its tokens went into the reasoning
        for name, more in (("reasoning", reasoning), ("extra", extra)):
            if more:
                fields[name] = {**fields.get(name, {}), **more}
        return fields

    @classmethod
    def of_answer(cls, message: ChatCompletionMessage) -> Self:
        """Return a choice's message as the next request contains it: with everything that a provider may want back."""
        return cls.model_validate(message)

    @classmethod
    def of_body(cls, body: Mapping[str, Any]) -> Self:
        """Return the message that has this JSON, the reverse of `body`. Unknown fields become `extra`."""
        known = set(cls.model_fields) | (set(REASONING_FIELDS) if body.get("role") == Role.ASSISTANT else set())
        extra = {name: value for name, value in body.items() if name not in known}
        fields = {name: value for name, value in body.items() if name in known}
        return cls.model_validate({**fields, "extra": extra} if extra else fields)

    def body(self, *, reasoning: bool = False) -> dict[str, Any]:
        """Return the JSON that is sent, without fields that were not set; with the reasoning only if asked for."""
        body: dict[str, Any] = {"role": self.role.value}
        for name in ("content", "name", "refusal", "tool_call_id"):
            if (value := getattr(self, name)) is not None:
                body[name] = list(value) if isinstance(value, tuple) else value
        if self.tool_calls:
            body.setdefault("content", None)  # some servers require the field
            body["tool_calls"] = list(self.tool_calls)
        return {**body, **(self.reasoning if reasoning else {}), **self.extra}

    @property
    def text(self) -> str:
        """The text of the message, without parts of other types."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.get("text") or "" for part in self.content or () if part["type"] == "text")

    def problems(self) -> dict[str, str]:
        problems: dict[str, str] = {}
        is_answer = self.role is Role.ASSISTANT and (self.tool_calls or self.refusal or self.extra)
        if self.content is None and not is_answer:
            problems["content"] = "Content is required."
        if isinstance(self.content, tuple) and not all(isinstance(part.get("type"), str) for part in self.content):
            problems["content"] = "Each part of the content must be an object with a type."
        if self.tool_calls and self.role is not Role.ASSISTANT:
            problems["tool_calls"] = "Only a message of the assistant can have tool calls."
        if self.role is Role.TOOL and not self.tool_call_id:
            problems["tool_call_id"] = "A message of a tool must name the call that it answers."
        if self.tool_call_id and self.role is not Role.TOOL:
            problems["tool_call_id"] = "Only a message of a tool can name a call that it answers."
        if self.extra and (known := [name for name in self.extra if name in type(self).model_fields]):
            problems["extra"] = f"“{known[0]}” has a field of its own."
        for name in self.model_fields_set:
            if not is_sendable(getattr(self, name)):
                title = type(self).model_fields[name].title
                problems[name] = f"{title} contains an invalid character. Enter it again."
        return problems
