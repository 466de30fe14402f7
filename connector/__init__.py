"""Chat completions at OpenAI and Azure OpenAI: three operations on a `Client`.

    from connector import ApiType, Client, Configuration

    configuration = Configuration(
        display_name="Mine", api_type=ApiType.OPENAI, endpoint="https://api.openai.com/v1",
        api_key=os.environ["OPENAI_API_KEY"], model_default="gpt-6-luna",
    )
    print(Client(configuration).execute_without_history("Say hello."))

Usable alone: it knows no database, no Streamlit and no environment variable.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# First, and with it the SDK: imported from further down that takes longer by 15 ms.
from connector.transport import pooled_http_client  # isort: skip
from connector.account import PROVIDERS, Account, ApiType, KeyType, Provider
from connector.adaptation import Adaptation, Adaptations
from connector.chat_completions import (
    ChatCompletionsRequest,
    ChatCompletionsResponse,
    ChatCompletionsSession,
    Choice,
    Model,
    Usage,
    filtered_of,
    text_of,
)
from connector.client import Client
from connector.configuration import Configuration
from connector.endpoint import Endpoint, origin_of, read_endpoint
from connector.errors import (
    AccessDenied,
    AnswerInterrupted,
    ConnectionFailed,
    ConnectorError,
    ContentFiltered,
    InvalidConfiguration,
    InvalidRequest,
    KeyRefused,
    NoAnswerInTime,
    NotFoundAtProvider,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RequestRefused,
    UnreadableAnswer,
)
from connector.message import ContentPart, Message, Role, ToolCall
from connector.report import CallReport, CallStatus, UsageSource
from connector.sdk import async_sdk
from connector.stream import AnswerStream
from connector.token_limit import TokenLimit, token_limit_in
from connector.usage import tokens_of
from connector.value import bounds_of, choices_of

# Imported when a program first uses them, because no call needs them: a fifth of the time of importing this package.
if TYPE_CHECKING:
    from connector.doctor import examine
    from connector.finding import Finding, State, Step, steps_of
    from connector.models import OfferedModel, models_of
    from connector.pasted import fields_of, key_in
    from connector.pricing import Cost, Price, context_window, cost_of, cost_of_prompt
    from connector.snippets import connector_code, curl_command, header_variables, key_variable, sdk_code

_LATER = {
    "doctor": ("examine",),
    "finding": ("Finding", "State", "Step", "steps_of"),
    "models": ("OfferedModel", "models_of"),
    "pasted": ("fields_of", "key_in"),
    "pricing": ("Cost", "Price", "context_window", "cost_of", "cost_of_prompt"),
    "snippets": ("connector_code", "curl_command", "header_variables", "key_variable", "sdk_code"),
}

__all__ = [
    "PROVIDERS",
    "AccessDenied",
    "Account",
    "Adaptation",
    "Adaptations",
    "AnswerInterrupted",
    "AnswerStream",
    "ApiType",
    "CallReport",
    "CallStatus",
    "ChatCompletionsRequest",
    "ChatCompletionsResponse",
    "ChatCompletionsSession",
    "Choice",
    "Client",
    "Configuration",
    "ConnectionFailed",
    "ConnectorError",
    "ContentFiltered",
    "ContentPart",
    "Cost",
    "Endpoint",
    "Finding",
    "InvalidConfiguration",
    "InvalidRequest",
    "KeyRefused",
    "KeyType",
    "Message",
    "Model",
    "NoAnswerInTime",
    "NotFoundAtProvider",
    "OfferedModel",
    "Price",
    "Provider",
    "ProviderUnavailable",
    "QuotaExceeded",
    "RateLimited",
    "RequestRefused",
    "Role",
    "State",
    "Step",
    "TokenLimit",
    "ToolCall",
    "UnreadableAnswer",
    "Usage",
    "UsageSource",
    "async_sdk",
    "bounds_of",
    "choices_of",
    "connector_code",
    "context_window",
    "cost_of",
    "cost_of_prompt",
    "curl_command",
    "examine",
    "fields_of",
    "filtered_of",
    "header_variables",
    "key_in",
    "key_variable",
    "models_of",
    "origin_of",
    "pooled_http_client",
    "read_endpoint",
    "sdk_code",
    "steps_of",
    "text_of",
    "token_limit_in",
    "tokens_of",
]


def __getattr__(name: str) -> Any:
    for module, names in _LATER.items():
        if name in names:
            globals()[name] = found = getattr(import_module(f"{__name__}.{module}"), name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
