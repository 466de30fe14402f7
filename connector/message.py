"""One message of a conversation: its role, its content, and what a tool call adds."""

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
else:  # any JSON object, so that a part that this SDK does not know yet goes through whole
    ContentPart = ToolCall = dict[str, JsonValue]


class Role(StrEnum):
    """Who a message is from; the seed's ENUM_Role and the API's newer roles."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    DEVELOPER = "developer"
    TOOL = "tool"


class Message(Value):
    """One text taken into account by the model; or parts (text, pictures, sound, files), or an answer's tool calls.

    Parts and tool calls are the SDK's own types, `{"type": "text", "text": ...}` and
    `{"type": "image_url", "image_url": {"url": ...}}`; see
    https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages. Raises `InvalidRequest`.
    """

    invalid: ClassVar = InvalidRequest

    role: Role = Field(title="Role")
    content: str | tuple[ContentPart, ...] | None = Field(default=None, title="Content")
    """None only where an assistant called tools or refused."""
    name: str | None = Field(default=None, title="Name")
    """Tells participants of the same role apart."""
    tool_calls: tuple[ToolCall, ...] = Field(default=(), title="Tool calls")
    """An assistant's."""
    tool_call_id: str | None = Field(default=None, title="Tool call id")
    """A tool's: which call it answers."""
    refusal: str | None = Field(default=None, title="Refusal")
    """An assistant's."""

    @classmethod
    def of_answer(cls, message: ChatCompletionMessage) -> Self:
        """A choice's message as the next request carries it: text, refusal and tool calls."""
        calls: Any = tuple(call.to_dict(mode="json") for call in message.tool_calls or ())
        return cls(role=Role.ASSISTANT, content=message.content, refusal=message.refusal, tool_calls=calls)

    def body(self) -> dict[str, Any]:
        """The JSON that is sent; what was not set is absent."""
        body: dict[str, Any] = {"role": self.role.value}
        for name in ("content", "name", "refusal", "tool_call_id"):
            if (value := getattr(self, name)) is not None:
                body[name] = list(value) if isinstance(value, tuple) else value
        if self.tool_calls:
            body["tool_calls"] = list(self.tool_calls)
        return body

    @property
    def text(self) -> str:
        """The text of it all, parts that are none left out."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.get("text") or "" for part in self.content or () if part["type"] == "text")

    def problems(self) -> dict[str, str]:
        problems: dict[str, str] = {}
        if self.content is None and not (self.role is Role.ASSISTANT and (self.tool_calls or self.refusal)):
            problems["content"] = "Content is needed."
        if isinstance(self.content, tuple) and not all(isinstance(part.get("type"), str) for part in self.content):
            problems["content"] = "Each part of the content is an object with a type."
        if self.tool_calls and self.role is not Role.ASSISTANT:
            problems["tool_calls"] = "Only an assistant's message has tool calls."
        if self.role is Role.TOOL and not self.tool_call_id:
            problems["tool_call_id"] = "A tool's message names the call that it answers."
        if self.tool_call_id and self.role is not Role.TOOL:
            problems["tool_call_id"] = "Only a tool's message names a call that it answers."
        for name in ("content", "name", "tool_calls", "tool_call_id", "refusal"):
            if not is_sendable(getattr(self, name)):
                title = type(self).model_fields[name].title
                problems[name] = f"{title} holds something that cannot be sent: half a character. Enter it again."
        return problems
