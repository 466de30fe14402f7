"""One account at one provider without its key, and how each type of provider connects."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from connector.endpoint import Endpoint, read_endpoint, without_query
from connector.errors import InvalidConfiguration, InvalidRequest
from connector.headers import problem_of_headers, problem_of_name, trimmed
from connector.value import Value


class ApiType(StrEnum):
    """Which of the two APIs a configuration speaks; the seed's ENUM_ApiType."""

    OPENAI = "OpenAI"
    AZURE_OPENAI = "AzureOpenAI"

    @property
    def caption(self) -> str:
        """The name for people: "OpenAI", "Azure OpenAI"."""
        return PROVIDERS[self].caption


class KeyType(StrEnum):
    """What `Configuration.api_key` holds. OpenAI takes an API key only."""

    API_KEY = "ApiKey"
    ENTRA_TOKEN = "EntraToken"  # noqa: S105 - a name, not a secret
    ENTRA_IDENTITY = "EntraIdentity"
    """Nothing: the identity of this machine gets a token by itself, or `Client(token=...)` does."""

    @property
    def caption(self) -> str:
        """The name for people."""
        if self is KeyType.API_KEY:
            return "API key"
        return "Microsoft Entra token" if self is KeyType.ENTRA_TOKEN else "Microsoft Entra identity"


DATED_SCOPE = "https://cognitiveservices.azure.com/.default"
V1_SCOPE = "https://ai.azure.com/.default"
_Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]


class Account(Value):
    """One account at one provider, without its key: where calls go and which model or deployment answers.

    Raises `InvalidConfiguration` when something its `api_type` needs is missing or malformed. `endpoint` stays as it
    was typed, except that what follows a `?` or `#` is removed, because it may be a key; an API version is kept. `url`
    is the address that is called.
    """

    invalid: ClassVar = InvalidConfiguration

    display_name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)] = Field(title="Name")
    api_type: ApiType = Field(title="API type")
    endpoint: Annotated[_Text, AfterValidator(without_query)] = Field(title="Endpoint")
    key_type: KeyType = Field(default=KeyType.API_KEY, title="Key type")
    deployment_name: _Text = Field(default="", title="Deployment name")
    """Azure only. The endpoint may contain it instead; this field takes precedence."""
    api_version: _Text = Field(default="", title="API version")
    """Azure only: `YYYY-MM-DD`, `YYYY-MM-DD-preview`, or `v1`, `preview`, `latest` for the v1 API."""
    model_default: _Text = Field(default="", title="Default model")
    """OpenAI only: used when a call names no model."""
    key_header: _Text = Field(default="", title="Key header")
    """The header in which a gateway expects the API key, for example `x-api-key`. Empty: the usual one of its API."""
    headers: Annotated[dict[str, SecretStr], AfterValidator(trimmed)] = Field(default_factory=dict, title="Headers")
    """Sent with each request: an organisation, a project, the key of a gateway. In an account that stands without its
    secrets, the values are empty."""

    def __hash__(self) -> int:
        return hash((self.display_name, self.endpoint))  # `headers` has no hash

    @property
    def url(self) -> str:
        """The address a call is sent to. The deployment and the version are filled in."""
        return PROVIDERS[self.api_type].url(self, read_endpoint(self.endpoint))

    @property
    def origin(self) -> str:
        """Scheme, host and port of `url`, in lower case and always with the port."""
        return read_endpoint(self.endpoint).origin

    @property
    def deployment(self) -> str:
        """Azure: the deployment that answers, from its field or from the endpoint. OpenAI: empty."""
        if self.api_type is not ApiType.AZURE_OPENAI:
            return ""
        return self.deployment_name or read_endpoint(self.endpoint).deployment_name

    def model_for(self, model: str | None) -> str:
        """The model a call goes to: the requested one, else the default; on Azure always the deployment.

        Raises `InvalidRequest` when there is none.
        """
        if found := self.deployment or (model or "").strip() or self.model_default:
            return found
        raise InvalidRequest({"model": f"Name a model: “{self.display_name}” has no default model."})

    def authorisation_of(self, key: str) -> dict[str, str]:
        """The header that carries this key: its name in lower case, and its value."""
        name = self._key_header
        return {name: f"Bearer {key}" if name == "authorization" else key}

    @property
    def _key_header(self) -> str:
        is_azure_key = self.api_type is ApiType.AZURE_OPENAI and self.key_type is KeyType.API_KEY
        return self.key_header.lower() or ("api-key" if is_azure_key else "authorization")

    @property
    def sdk_arguments(self) -> "SdkArguments":
        """The official SDK's client that calls this account, and what tells it the address."""
        return PROVIDERS[self.api_type].sdk(self, read_endpoint(self.endpoint))

    @property
    def entra_scope(self) -> str:
        """The scope that a Microsoft Entra token needs."""
        is_v1 = "/openai/v1/" in self.url
        return V1_SCOPE if is_v1 else DATED_SCOPE

    def problems(self) -> dict[str, str]:
        problems: dict[str, str] = {}
        if not self.display_name:
            problems["display_name"] = "Enter a name."
        endpoint = Endpoint(origin="", base_url="", azure_root="")
        try:
            endpoint = read_endpoint(self.endpoint)
        except InvalidConfiguration as error:
            problems |= error.problems
        return problems | PROVIDERS[self.api_type].problems(self, endpoint) | self._header_problems()

    def _header_problems(self) -> dict[str, str]:
        key_header = problem_of_name(self.key_header) if self.key_header else ""
        if self.key_header and self.key_type is not KeyType.API_KEY:
            key_header = (
                "A Microsoft Entra token is sent in the header Authorization. Enter the key of a gateway as a header."
            )
        headers = problem_of_headers(self.headers, self._key_header)
        return {name: problem for name, problem in (("key_header", key_header), ("headers", headers)) if problem}


@dataclass(frozen=True, slots=True)
class SdkArguments:
    """Arguments of `openai.OpenAI` (`base_url`), or of `openai.AzureOpenAI` (`azure_endpoint`, `azure_deployment` and
    `api_version`); all empty where the class does not take them.
    """

    base_url: str = ""
    azure_endpoint: str = ""
    azure_deployment: str = ""
    api_version: str = ""

    @property
    def is_azure(self) -> bool:
        """Whether the class is `AzureOpenAI`."""
        return bool(self.azure_endpoint)

    @property
    def arguments(self) -> dict[str, str]:
        """Those that the class takes, by name."""
        names = ("azure_endpoint", "azure_deployment", "api_version") if self.is_azure else ("base_url",)
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Provider:
    """How one type of provider connects: one row of `PROVIDERS`."""

    caption: str
    default_endpoint: str
    """Offered in an empty form; empty where there is none for everybody."""
    endpoint_example: str
    key_types: tuple[KeyType, ...]
    key_page: str
    """Where a person gets a key."""
    key_variable: str
    """The environment variable that the SDK and its users keep a key in."""
    reference: str
    """The provider's own reference of the API."""
    url: Callable[[Account, Endpoint], str]
    sdk: Callable[[Account, Endpoint], SdkArguments]
    """How the official SDK's client is made."""
    problems: Callable[[Account, Endpoint], dict[str, str]]


# -- OpenAI and whatever speaks its form


def _openai_url(account: Account, endpoint: Endpoint) -> str:
    return f"{endpoint.base_url}/chat/completions"


def _openai_sdk(account: Account, endpoint: Endpoint) -> SdkArguments:
    return SdkArguments(base_url=endpoint.base_url)


def _openai_problems(account: Account, endpoint: Endpoint) -> dict[str, str]:
    if account.key_type is not KeyType.API_KEY:
        return {"key_type": "OpenAI takes an API key."}
    return {}


# -- Azure OpenAI

_DATED_VERSION = re.compile(r"(\d{4}-\d{2}-\d{2})(-preview)?")
_DEPLOYMENT_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


def _is_v1(account: Account, endpoint: Endpoint) -> bool:
    version = account.api_version.lower()
    return version in {"v1", "preview", "latest"} or (not version and endpoint.is_azure_v1)


def _azure_url(account: Account, endpoint: Endpoint) -> str:
    if _is_v1(account, endpoint):
        return f"{endpoint.azure_root}/openai/v1/chat/completions"
    version = account.api_version or endpoint.api_version
    deployment = account.deployment
    return f"{endpoint.azure_root}/openai/deployments/{deployment}/chat/completions?api-version={version}"


def _azure_sdk(account: Account, endpoint: Endpoint) -> SdkArguments:
    if _is_v1(account, endpoint):
        return SdkArguments(base_url=f"{endpoint.azure_root}/openai/v1")
    return SdkArguments(
        azure_endpoint=endpoint.azure_root,
        azure_deployment=account.deployment,
        api_version=account.api_version or endpoint.api_version,
    )


def _azure_problems(account: Account, endpoint: Endpoint) -> dict[str, str]:
    problems = {}
    deployment = account.deployment_name or endpoint.deployment_name
    if not deployment:
        problems["deployment_name"] = "Enter the deployment name that was chosen in the Azure portal."
    elif not _DEPLOYMENT_NAME.fullmatch(deployment):
        problems["deployment_name"] = "A deployment name has letters, digits, hyphens, underscores and dots only."
    version = account.api_version or endpoint.api_version
    if not version and not _is_v1(account, endpoint):
        problems["api_version"] = "Enter the API version, for example 2024-10-21, or v1."
    elif not _is_v1(account, endpoint) and not _is_dated(version):
        problems["api_version"] = "The API version looks like 2024-10-21 or 2025-04-01-preview, or is v1."
    return problems


def _is_dated(version: str) -> bool:
    found = _DATED_VERSION.fullmatch(version)
    try:
        return bool(found and date.fromisoformat(found[1]))
    except ValueError:
        return False


PROVIDERS: dict[ApiType, Provider] = {
    ApiType.OPENAI: Provider(
        caption="OpenAI",
        default_endpoint="https://api.openai.com/v1",
        endpoint_example="https://api.openai.com/v1",
        key_types=(KeyType.API_KEY,),
        key_page="https://platform.openai.com/account/api-keys",
        key_variable="OPENAI_API_KEY",
        reference="https://platform.openai.com/docs/api-reference/chat",
        url=_openai_url,
        sdk=_openai_sdk,
        problems=_openai_problems,
    ),
    ApiType.AZURE_OPENAI: Provider(
        caption="Azure OpenAI",
        default_endpoint="",
        endpoint_example="https://your-resource-name.openai.azure.com/openai/deployments/",
        key_types=tuple(KeyType),
        key_page="https://learn.microsoft.com/en-gb/azure/ai-services/openai/how-to/managed-identity",
        key_variable="AZURE_OPENAI_API_KEY",
        reference="https://learn.microsoft.com/en-gb/azure/ai-services/openai/reference",
        url=_azure_url,
        sdk=_azure_sdk,
        problems=_azure_problems,
    ),
}
