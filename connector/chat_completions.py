"""Messages, the request and the session; the response is the SDK's own type under the seed's name."""

import json
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion
from openai.types.chat.chat_completion import Choice
from pydantic import Field, JsonValue, StringConstraints

from connector.errors import InvalidRequest
from connector.value import Value

ChatCompletionsResponse = ChatCompletion
Usage = CompletionUsage


class Role(StrEnum):
    """Who a message is from; the seed's ENUM_Role and the API's newer roles."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    DEVELOPER = "developer"
    TOOL = "tool"


class Model(StrEnum):
    """The seed's four models, retired by OpenAI on 2026-10-23 or before. Any other text is accepted as a model, too."""

    GPT_35_TURBO = "gpt-3.5-turbo"
    GPT_35_TURBO_16K = "gpt-3.5-turbo-16k"
    GPT_4 = "gpt-4"
    GPT_4_32K = "gpt-4-32k"


class Message(Value):
    """One text taken into account by the model."""

    invalid: ClassVar = InvalidRequest

    role: Role = Field(title="Role")
    content: str = Field(title="Content")

    def problems(self) -> dict[str, str]:
        return {} if _is_sendable(self.content) else {"content": f"Content {_NOT_SENDABLE}"}


class ChatCompletionsSession:
    """The ordered list of messages that represent the conversation so far, oldest first."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def add_message(self, role: Role, content: str) -> None:
        """Attach a message; chronological order is the caller's. Raises `InvalidRequest` for any other role."""
        if role not in (Role.SYSTEM, Role.USER, Role.ASSISTANT):
            raise InvalidRequest({"role": "A session takes system, user and assistant messages."})
        self.messages.append(Message(role=Role(role), content=content))


# Numbers are taken as they are: "1" is not 1, and NaN is no number.
_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Count = Annotated[int, Field(strict=True)]


class ChatCompletionsRequest(Value):
    """A request for the advanced operation. Everything but `messages` is optional, and only what was set is sent.

    Titles, ranges, help texts and the provider's own defaults are declared here once: forms, checks and messages derive
    from them. The ranges are those of the API reference, https://platform.openai.com/docs/api-reference/chat/create.
    Raises `InvalidRequest`.
    """

    invalid: ClassVar = InvalidRequest

    messages: Annotated[tuple[Message, ...], Field(min_length=1)] = Field(
        title="Messages", description="The conversation so far, oldest first."
    )
    model: Annotated[str, StringConstraints(strip_whitespace=True)] | None = Field(
        default=None,
        title="Model",
        description="Ignored on Azure, where the deployment decides. Empty: the configuration's default model.",
    )
    temperature: _Number | None = Field(
        default=None,
        ge=0,
        le=2,
        title="Temperature",
        json_schema_extra={"default_there": 1},
        description="0.2 is focused and repeatable, 0.8 is more random. The default is 1.",
    )
    top_p: _Number | None = Field(
        default=None,
        ge=0,
        le=1,
        title="Top p",
        json_schema_extra={"default_there": 1},
        description="0.1 considers only the likeliest tenth of the next tokens. Alter this or temperature, not both. "
        "The default is 1.",
    )
    n: _Count | None = Field(
        default=None,
        ge=1,
        le=128,
        title="Choices (n)",
        json_schema_extra={"default_there": 1},
        description="How many answers to write. All of them are charged; the default is 1.",
    )
    seed: _Count | None = Field(
        default=None,
        ge=-(2**63),
        le=2**63 - 1,
        title="Seed",
        description="The same seed and parameters should give the same answer while the system fingerprint stays.",
    )
    max_tokens: _Count | None = Field(
        default=None,
        ge=1,
        title="Max tokens",
        description="The answer is cut off after this many tokens. Newer models want “Max completion tokens”.",
    )
    max_completion_tokens: _Count | None = Field(
        default=None,
        ge=1,
        title="Max completion tokens",
        description="Like “Max tokens”, for newer models; includes the tokens spent on reasoning.",
    )
    frequency_penalty: _Number | None = Field(
        default=None,
        ge=-2,
        le=2,
        title="Frequency penalty",
        json_schema_extra={"default_there": 0},
        description="Above 0, words that were used often become less likely. The default is 0.",
    )
    extra: dict[str, JsonValue] = Field(
        default_factory=dict,
        title="Extra",
        description="Fields of the request that are not listed here, sent as they are.",
    )

    @classmethod
    def of_prompts(cls, user_prompt: str = "", *, system_prompt: str = "", **options: Any) -> Self:
        """A request of one or both prompts. A blank one sends no message; two blank ones are an `InvalidRequest`."""
        prompts = ((Role.SYSTEM, system_prompt), (Role.USER, user_prompt))
        messages = tuple(Message(role=role, content=text) for role, text in prompts if text.strip())
        if not messages:
            raise InvalidRequest({"user_prompt": "Write a prompt first: there is nothing to send."})
        return cls(messages=messages, **options)

    @classmethod
    def of_session(cls, session: ChatCompletionsSession, **options: Any) -> Self:
        """A request of all messages of a session, in their order."""
        if not isinstance(session, ChatCompletionsSession) or not session.messages:
            raise InvalidRequest({"session": "The session has no messages: there is nothing to send."})
        return cls(messages=tuple(session.messages), **options)

    def body(self, model: str) -> dict[str, Any]:
        """The JSON that is sent, for the model that it goes to. What was not set is absent; 0 is there."""
        body = self.model_dump(mode="json", exclude_none=True, exclude={"model", "extra"})
        return {"model": model, **body, **self.extra}

    def problems(self) -> dict[str, str]:
        known = [name for name in self.extra if name in type(self).model_fields or name == "stream"]
        if known:
            return {"extra": f"“{known[0]}” has a field of its own."}
        return {
            name: f"{name.capitalize()} {_NOT_SENDABLE}"
            for name in ("model", "extra")
            if not _is_sendable(getattr(self, name))
        }


_NOT_SENDABLE = "holds something that cannot be sent: half a character, or a number that is none. Enter it again."


def _is_sendable(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:  # UnicodeEncodeError is one of them
        return False
    return True


def text_of(response: ChatCompletionsResponse) -> str:
    """The text of the choice with index 0; empty where the provider sent none."""
    for choice in response.choices or []:
        if not choice.index:
            return (choice.message.content if choice.message else None) or ""
    return ""


__all__ = [
    "ChatCompletionsRequest",
    "ChatCompletionsResponse",
    "ChatCompletionsSession",
    "Choice",
    "Message",
    "Model",
    "Role",
    "Usage",
    "text_of",
]
