"""One message of a conversation: role, content, and the fields for tool calls."""

from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

from openai.types.chat import ChatCompletionMessage
from pydantic import Field, JsonValue

from connector.errors import InvalidRequest
from connector.value import Value, is_sendable

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionContentPartParam, ChatCompletionMessageToolCallUnionParam

    ContentPart: TypeAlias = ChatCompletionContentPartParam
    ToolCall: TypeAlias = ChatCompletionMessageToolCallUnionParam
else:  # any JSON object, so that parts which this SDK version does not know are sent unchanged
    ContentPart = ToolCall = dict[str, JsonValue]


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
    """None only for an assistant's message with tool calls or a refusal."""
    name: str | None = Field(default=None, title="Name")
    """Distinguishes participants with the same role."""
    tool_calls: tuple[ToolCall, ...] = Field(default=(), title="Tool calls")
    """For the role assistant."""
    tool_call_id: str | None = Field(default=None, title="Tool call id")
    """For the role tool: the call that this message answers."""
    refusal: str | None = Field(default=None, title="Refusal")
    """For the role assistant."""

    @classmethod
    def of_answer(cls, message: ChatCompletionMessage) -> Self:
        """Return a choice's message as the next request contains it: text, refusal and tool calls."""
        calls: Any = tuple(call.to_dict(mode="json") for call in message.tool_calls or ())
        return cls(role=Role.ASSISTANT, content=message.content, refusal=message.refusal, tool_calls=calls)

    def body(self) -> dict[str, Any]:
        """Return the JSON that is sent, without fields that were not set."""
        body: dict[str, Any] = {"role": self.role.value}
        for name in ("content", "name", "refusal", "tool_call_id"):
            if (value := getattr(self, name)) is not None:
                body[name] = list(value) if isinstance(value, tuple) else value
        if self.tool_calls:
            body["tool_calls"] = list(self.tool_calls)
        return body

    @property
    def text(self) -> str:
        """The text of the message, without parts of other types."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.get("text") or "" for part in self.content or () if part["type"] == "text")

    def problems(self) -> dict[str, str]:
        problems: dict[str, str] = {}
        if self.content is None and not (self.role is Role.ASSISTANT and (self.tool_calls or self.refusal)):
            problems["content"] = "Content is required."
        if isinstance(self.content, tuple) and not all(isinstance(part.get("type"), str) for part in self.content):
            problems["content"] = "Each part of the content must be an object with a type."
        if self.tool_calls and self.role is not Role.ASSISTANT:
            problems["tool_calls"] = "Only a message of the assistant can have tool calls."
        if self.role is Role.TOOL and not self.tool_call_id:
            problems["tool_call_id"] = "A message of a tool must name the call that it answers."
        if self.tool_call_id and self.role is not Role.TOOL:
            problems["tool_call_id"] = "Only a message of a tool can name a call that it answers."
        for name in ("content", "name", "tool_calls", "tool_call_id", "refusal"):
            if not is_sendable(getattr(self, name)):
                title = type(self).model_fields[name].title
                problems[name] = f"{title} contains an invalid character. Enter it again."
        return problems
