"""The request, the session, and the response, which is the SDK's own type under the seed's name."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeAlias

from openai import pydantic_function_tool
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion
from openai.types.chat.chat_completion import Choice
from pydantic import BaseModel, BeforeValidator, Field, JsonValue, StringConstraints, create_model
from pydantic.dataclasses import is_pydantic_dataclass

from connector.errors import InvalidRequest
from connector.message import Message, Role
from connector.value import Value, is_sendable

if TYPE_CHECKING:
    from openai.types.chat import (
        ChatCompletionAudioParam,
        ChatCompletionPredictionContentParam,
        ChatCompletionStreamOptionsParam,
        ChatCompletionToolChoiceOptionParam,
        ChatCompletionToolUnionParam,
        completion_create_params,
    )

    Audio: TypeAlias = ChatCompletionAudioParam
    Function: TypeAlias = completion_create_params.Function
    FunctionCall: TypeAlias = completion_create_params.FunctionCall
    Moderation: TypeAlias = completion_create_params.Moderation
    Prediction: TypeAlias = ChatCompletionPredictionContentParam
    PromptCacheOptions: TypeAlias = completion_create_params.PromptCacheOptions
    ResponseFormat: TypeAlias = completion_create_params.ResponseFormat | type[Any]
    StreamOptions: TypeAlias = ChatCompletionStreamOptionsParam
    Tool: TypeAlias = ChatCompletionToolUnionParam | type[Any]
    ToolChoice: TypeAlias = ChatCompletionToolChoiceOptionParam
    WebSearchOptions: TypeAlias = completion_create_params.WebSearchOptions
else:  # any JSON object, so that fields which this SDK version does not know are sent unchanged
    JsonObject = dict[str, JsonValue]
    Audio = Function = Moderation = Prediction = PromptCacheOptions = StreamOptions = WebSearchOptions = JsonObject
    FunctionCall = ToolChoice = str | JsonObject
    ResponseFormat = Annotated[JsonObject, BeforeValidator(lambda value: _format_of(value))]
    Tool = Annotated[JsonObject, BeforeValidator(lambda value: _tool_of(value))]

ChatCompletionsResponse = ChatCompletion
Usage = CompletionUsage


class Model(StrEnum):
    """The seed's four models, retired by OpenAI on 2026-10-23 or before. Any other text is also accepted as a model."""

    GPT_35_TURBO = "gpt-3.5-turbo"
    GPT_35_TURBO_16K = "gpt-3.5-turbo-16k"
    GPT_4 = "gpt-4"
    GPT_4_32K = "gpt-4-32k"


class ChatCompletionsSession:
    """The messages of a conversation so far, oldest first."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def add_message(self, role: Role, content: str) -> None:
        """Append a message. Raises `InvalidRequest` for roles other than system, user and assistant."""
        if role not in (Role.SYSTEM, Role.USER, Role.ASSISTANT):
            raise InvalidRequest({"role": "A session accepts system, user and assistant messages."})
        self.messages.append(Message(role=Role(role), content=content))


# Numbers are not converted: "1" is not 1. NaN is refused.
_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Count = Annotated[int, Field(strict=True)]
_Switch = Annotated[bool, Field(strict=True)]
_Name = Annotated[str, StringConstraints(strip_whitespace=True)]
_Stop = Annotated[str, StringConstraints(min_length=1)]


def _there(default: object) -> dict[str, Any]:
    """Return the provider's own default, which forms show."""
    return {"default_there": default}


class ChatCompletionsRequest(Value):
    """A request for the advanced operation. Everything but `messages` is optional, and only what was set is sent.

    Every parameter of the SDK's `chat.completions.create` is one field; titles, ranges, help texts and the provider's
    own defaults are declared here once, and forms, checks and messages derive from them. The ranges are those of the
    API reference, https://platform.openai.com/docs/api-reference/chat/create. Where the reference lists the accepted
    texts, others are sent, too: providers add values faster than this package. Raises `InvalidRequest`.
    """

    invalid: ClassVar = InvalidRequest

    messages: Annotated[tuple[Message, ...], Field(min_length=1)] = Field(
        title="Messages", description="The conversation so far, oldest first."
    )
    model: _Name | None = Field(
        default=None,
        title="Model",
        description="Ignored on Azure, where the deployment decides. Empty: the configuration's default model.",
    )

    # Sampling
    temperature: _Number | None = Field(
        default=None,
        ge=0,
        le=2,
        title="Temperature",
        json_schema_extra=_there(1),
        description="0.2 is focused and repeatable, 0.8 is more random. The default is 1.",
    )
    top_p: _Number | None = Field(
        default=None,
        ge=0,
        le=1,
        title="Top p",
        json_schema_extra=_there(1),
        description="0.1 considers only the likeliest tenth of the next tokens. Alter this or temperature, not both. "
        "The default is 1.",
    )
    n: _Count | None = Field(
        default=None,
        ge=1,
        le=128,
        title="Choices (n)",
        json_schema_extra=_there(1),
        description="How many answers to write. All of them are charged; the default is 1.",
    )
    seed: _Count | None = Field(
        default=None,
        ge=-(2**63),
        le=2**63 - 1,
        title="Seed",
        description="The same seed and parameters should give the same answer while the system fingerprint stays.",
    )
    logit_bias: dict[str, Annotated[int, Field(strict=True, ge=-100, le=100)]] | None = Field(
        default=None,
        title="Logit bias",
        description="Token ids with a number from -100 (never) to 100 (always).",
    )

    # Length
    max_tokens: _Count | None = Field(
        default=None,
        ge=1,
        title="Max tokens",
        description="The answer is cut off after this many tokens. Newer models need “Max completion tokens”.",
    )
    max_completion_tokens: _Count | None = Field(
        default=None,
        ge=1,
        title="Max completion tokens",
        description="Like “Max tokens”, for newer models; includes the tokens spent on reasoning.",
    )
    stop: _Stop | Annotated[tuple[_Stop, ...], Field(min_length=1, max_length=4)] | None = Field(
        default=None,
        title="Stop",
        description="Up to four texts before which the answer ends. The newest reasoning models accept none.",
    )
    verbosity: Literal["low", "medium", "high"] | str | None = Field(
        default=None,
        title="Verbosity",
        json_schema_extra=_there("medium"),
        description="How detailed the answer is. The default is medium.",
    )

    # Penalties
    frequency_penalty: _Number | None = Field(
        default=None,
        ge=-2,
        le=2,
        title="Frequency penalty",
        json_schema_extra=_there(0),
        description="Above 0, words that were used often become less likely. The default is 0.",
    )
    presence_penalty: _Number | None = Field(
        default=None,
        ge=-2,
        le=2,
        title="Presence penalty",
        json_schema_extra=_there(0),
        description="Above 0, words that were used at all become less likely. The default is 0.",
    )

    # Reasoning
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | str | None = Field(
        default=None,
        title="Reasoning effort",
        description="How much a reasoning model thinks before it answers. Each model accepts some of the values.",
    )

    # Structure and tools
    response_format: ResponseFormat | None = Field(
        default=None,
        title="Response format",
        description="Text, any JSON object, or JSON of a given schema; a pydantic class is converted to its schema.",
    )
    tools: tuple[Tool, ...] | None = Field(
        default=None,
        title="Tools",
        description="What the model may call instead of answering; a pydantic class is converted to a function.",
    )
    tool_choice: ToolChoice | None = Field(
        default=None,
        title="Tool choice",
        json_schema_extra=_there("auto"),
        description="none, auto, required, or the one tool to call.",
    )
    parallel_tool_calls: _Switch | None = Field(
        default=None,
        title="Parallel tool calls",
        json_schema_extra=_there(True),
        description="Whether several tools may be called at once.",
    )

    # More in the response
    logprobs: _Switch | None = Field(
        default=None,
        title="Logprobs",
        json_schema_extra=_there(False),
        description="Whether to return how likely each token of the answer was.",
    )
    top_logprobs: _Count | None = Field(
        default=None,
        ge=0,
        le=20,
        title="Top logprobs",
        description="How many alternative tokens to return for each token. Needs logprobs.",
    )
    modalities: tuple[Literal["text", "audio"] | str, ...] | None = Field(
        default=None,
        title="Modalities",
        json_schema_extra=_there("text"),
        description="What to answer with: text, or text and audio.",
    )
    audio: Audio | None = Field(
        default=None, title="Audio", description="Format and voice of an answer in audio; needs that modality."
    )
    moderation: Moderation | None = Field(
        default=None, title="Moderation", description="A moderation model that checks the request and the answer."
    )
    web_search_options: WebSearchOptions | None = Field(
        default=None, title="Web search", description="How a search model searches the web."
    )
    stream_options: StreamOptions | None = Field(
        default=None,
        title="Stream options",
        description="Only sent with a stream, which always asks for its token usage.",
    )

    # The service
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | str | None = Field(
        default=None,
        title="Service tier",
        json_schema_extra=_there("auto"),
        description="How fast and at what price the request is served. The answer states which tier it was.",
    )
    store: _Switch | None = Field(
        default=None,
        title="Store",
        json_schema_extra=_there(False),
        description="Whether the provider keeps the answer for its distillation and evaluation tools.",
    )
    metadata: (
        dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=512)]] | None
    ) = Field(
        default=None,
        max_length=16,
        title="Metadata",
        description="Up to 16 names and texts that are stored with an answer; at most 64 and 512 characters.",
    )
    prediction: Prediction | None = Field(
        default=None, title="Prediction", description="Text that the answer will mostly repeat, which makes it faster."
    )
    prompt_cache_key: str | None = Field(
        default=None,
        title="Prompt cache key",
        description="Requests with the same key share cached prompts more.",
    )
    prompt_cache_options: PromptCacheOptions | None = Field(
        default=None, title="Prompt cache options", description="How the prompt is cached, and the minimum time."
    )
    prompt_cache_retention: Literal["in_memory", "24h"] | str | None = Field(
        default=None,
        title="Prompt cache retention",
        description="How long a cached prompt is kept at most. Deprecated: use prompt cache options.",
    )
    safety_identifier: Annotated[str, StringConstraints(max_length=128)] | None = Field(
        default=None,
        title="Safety identifier",
        description="A hash that identifies the person who asks if the provider detects abuse; at most 128 characters.",
    )
    user: str | None = Field(
        default=None,
        title="User",
        description="Identifies the person who asks. Deprecated: use safety identifier and prompt cache key.",
    )
    functions: tuple[Function, ...] | None = Field(
        default=None, title="Functions", description="Deprecated: use tools."
    )
    function_call: FunctionCall | None = Field(
        default=None, title="Function call", description="Deprecated: use tool choice."
    )

    extra: dict[str, JsonValue] = Field(
        default_factory=dict,
        title="Extra",
        description="Fields of the request that are not listed here, sent as they are.",
    )

    @classmethod
    def of_prompts(cls, user_prompt: str = "", *, system_prompt: str = "", **options: Any) -> Self:
        """Return a request with one or both prompts. A blank one sends no message; if both are blank, raise
        `InvalidRequest`.
        """
        prompts = ((Role.SYSTEM, system_prompt), (Role.USER, user_prompt))
        messages = tuple(Message(role=role, content=text) for role, text in prompts if text.strip())
        if not messages:
            raise InvalidRequest({"user_prompt": "Write a prompt first: there is nothing to send."})
        return cls(messages=messages, **options)

    @classmethod
    def of_session(cls, session: ChatCompletionsSession, **options: Any) -> Self:
        """Return a request with all messages of a session. Raises `InvalidRequest` if it has none."""
        if not isinstance(session, ChatCompletionsSession) or not session.messages:
            raise InvalidRequest({"session": "The session has no messages: there is nothing to send."})
        return cls(messages=tuple(session.messages), **options)

    @classmethod
    def of_body(cls, body: Mapping[str, Any]) -> Self:
        """Return the request that has this JSON, the reverse of `body`. Unknown fields become `extra`."""
        said = body.get("messages")
        if not isinstance(said, list | tuple) or not all(isinstance(each, Mapping) for each in said):
            raise InvalidRequest({"messages": "Messages must be a list of objects."})
        if "extra" in body:
            raise InvalidRequest({"extra": "There is no parameter “extra”: put its fields beside the others."})
        fields: Any = {name: value for name, value in body.items() if name in cls.model_fields and name != "messages"}
        extra = {name: value for name, value in body.items() if name not in cls.model_fields and name != "stream"}
        messages = tuple(Message.of_body(message) for message in said)
        return cls(**fields, messages=messages, extra=extra)

    def body(self, model: str, *, stream: bool = False, reasoning: bool = False) -> dict[str, Any]:
        """Return the JSON that is sent to this model, without fields that were not set. A 0 is sent.

        `reasoning`: with the reasoning of earlier answers, for a provider that requires it.
        """
        # Only messages have unset fields to omit; a null inside a schema or a part is intended.
        messages = [message.body(reasoning=reasoning) for message in self.messages]
        body: dict[str, Any] = {"model": model, "messages": messages}
        for name in _PARAMETERS:
            if (value := getattr(self, name)) is not None:
                body[name] = list(value) if isinstance(value, tuple) else value
        if stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True, **(self.stream_options or {})}
        return body | self.extra

    def problems(self) -> dict[str, str]:
        known = [name for name in self.extra if name in type(self).model_fields or name == "stream"]
        if known:
            return {"extra": f"“{known[0]}” has a field of its own."}
        return {
            name: f"{type(self).model_fields[name].title} contains an invalid character or number. Enter it again."
            for name in type(self).model_fields
            if name in self.model_fields_set and name != "messages" and not is_sendable(getattr(self, name))
        }


_PARAMETERS = [
    name for name in ChatCompletionsRequest.model_fields if name not in {"messages", "model", "extra", "stream_options"}
]


def _tool_of(tool: object) -> object:
    """Convert a pydantic class to a function with its fields as arguments, by the SDK's own rules."""
    model = _model_of(tool)
    if model is None:
        return tool
    made = pydantic_function_tool(model)
    return {"type": "function", "function": dict(made["function"])}


def _format_of(response_format: object) -> object:
    """Convert a pydantic class to a response format with its JSON schema."""
    model = _model_of(response_format)
    if model is None:
        return response_format
    schema = pydantic_function_tool(model)["function"]["parameters"]
    return {"type": "json_schema", "json_schema": {"name": model.__name__, "schema": schema, "strict": True}}


def _model_of(kind: object) -> type[BaseModel] | None:
    """Return a pydantic class as it is, and a pydantic dataclass as one with the same fields; None for all else."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    if not isinstance(kind, type) or not is_pydantic_dataclass(kind):
        return None
    fields: Any = {name: (field.annotation, field) for name, field in kind.__pydantic_fields__.items()}
    return create_model(kind.__name__, **fields)


def text_of(response: ChatCompletionsResponse) -> str:
    """Return the text of the choice with index 0; empty if the provider sent none."""
    for choice in response.choices or []:
        if not choice.index:
            return (choice.message.content if choice.message else None) or ""
    return ""


def filtered_of(response: ChatCompletionsResponse) -> dict[str, str]:
    """Return what the content filter stopped in the choice with index 0: category -> severity. Azure only."""
    for choice in response.choices or []:
        if not choice.index:
            results = getattr(choice, "content_filter_results", None)
            return filtered_categories(results)
    return {}


def filtered_categories(results: object) -> dict[str, str]:
    """Return the stopped categories of Azure's `content_filter_results`: category -> severity."""
    if not isinstance(results, Mapping):
        return {}
    return {
        str(name): str(result.get("severity", "detected"))
        for name, result in results.items()
        if isinstance(result, Mapping) and result.get("filtered")
    }


__all__ = [
    "ChatCompletionsRequest",
    "ChatCompletionsResponse",
    "ChatCompletionsSession",
    "Choice",
    "Model",
    "Usage",
    "filtered_of",
    "text_of",
]
