"""Reads whatever a person pastes, from a portal, a manual, a wiki or a terminal, into the fields of a configuration."""

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, unquote, urlsplit

from connector.configuration import ApiType
from connector.endpoint import Endpoint, read_endpoint
from connector.errors import InvalidConfiguration

_READ = 20_000  # characters; nobody pastes more by intention
_LONGEST = 2000  # characters of an address, as in `Configuration`
_URL = re.compile(r"https?://[^\s\"'<>`|\\^{}\x00-\x1f]+", re.IGNORECASE)
# A host without a scheme: a known provider's, this machine, or all that was pasted.
_BARE = re.compile(
    r"(?<![\w.@/-])(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:azure\.(?:com|us|cn)|openai\.com)|localhost|127\.0\.0\.1)"
    r"(?![\w.-]*[\w])(?::\d{1,5})?(?:/[^\s\"'<>`|\\^{}]*)?",
    re.IGNORECASE,
)
_ALONE = re.compile(r"[\w.-]+\.[\w-]+(:\d{1,5})?(/\S*)?|[\w-]+:\d{1,5}(/\S*)?|\[[0-9a-fA-F:.]+\](:\d{1,5})?(/\S*)?")
_AZURE_HOSTS = tuple(
    f".{service}.azure.{land}"
    for service in ("openai", "cognitiveservices", "services.ai")
    for land in ("com", "us", "cn")
)
_DOCUMENTATION = {"learn.microsoft.com", "docs.microsoft.com"}
_AZURE_PORTALS = {"portal.azure.com", "oai.azure.com", "ai.azure.com", "portal.azure.us", "portal.azure.cn"}
# Pages where people are, and the API that belongs to them.
_PAGES = {
    "platform.openai.com": "https://api.openai.com/v1",
    "openai.com": "https://api.openai.com/v1",
    "www.openai.com": "https://api.openai.com/v1",
    "chatgpt.com": "https://api.openai.com/v1",
    "openrouter.ai": "https://openrouter.ai/api/v1",
    "console.groq.com": "https://api.groq.com/openai/v1",
    "console.mistral.ai": "https://api.mistral.ai/v1",
    "platform.deepseek.com": "https://api.deepseek.com/v1",
    "api-docs.deepseek.com": "https://api.deepseek.com/v1",
}
_OPERATIONS = (["chat", "completions"], ["completions"], ["responses"], ["embeddings"], ["models"])
_NO_ADDRESS = "There is no address in this. Paste the endpoint, for example https://api.openai.com/v1."
_NO_RESOURCE = (
    "This is a page of the portal, and it does not name the resource. Open the resource there, then Keys and Endpoint, "
    "and paste the endpoint."
)
_IS_DOCUMENTATION = "This is a page of the documentation. Paste the endpoint of your own resource or account."

_NAMED = r"[\"']?\s*[:=]\s*[\"']?"
_DEPLOYMENT = re.compile(rf"deployment(?:[_ -]?(?:name|id))?{_NAMED}([\w-][\w.-]{{0,63}})", re.IGNORECASE | re.ASCII)
_VERSION = re.compile(rf"api[_ -]?version{_NAMED}(\d{{4}}-\d{{2}}-\d{{2}}(?:-preview)?|v1)\b", re.IGNORECASE)
_MODEL = re.compile(rf"(?<![A-Za-z])model(?:[_ -]?name)?{_NAMED}([A-Za-z0-9][\w.:/-]{{0,199}})", re.IGNORECASE)


def fields_of(pasted: str) -> dict[str, str]:
    """The fields of `Configuration` that a pasted text tells: `api_type` and `endpoint`, and where they are told
    `deployment_name`, `api_version` and `model_default`. Never a key, and of an address nothing behind its `?`.

    The first address of an API counts, else the first page of a known provider. Raises `InvalidConfiguration`, whose
    field `endpoint` says why, when there is none.
    """
    text = pasted[:_READ]
    refusal = ""
    pages: list[dict[str, str]] = []
    for address in _addresses(text):
        try:
            fields, is_page = _read(address)
        except InvalidConfiguration as error:
            refusal = refusal or str(error)
            continue
        if not is_page:
            return _with_words(fields, text)
        pages.append(fields)
    if pages:
        return _with_words(pages[0], text)
    raise InvalidConfiguration({"endpoint": refusal or _NO_ADDRESS})


def _addresses(text: str) -> Iterator[str]:
    """Whatever looks like one, without the marks that a sentence puts behind it."""
    found = [_trimmed(each[0]) for each in _URL.finditer(text)]
    if not found and _ALONE.fullmatch(text.strip()):
        found = [text.strip()]
    if not found:
        found = [_trimmed(each[0]) for each in _BARE.finditer(text)]
    yield from (each for each in dict.fromkeys(found) if len(each) <= _LONGEST)


def _trimmed(address: str) -> str:
    """A closing bracket belongs to the sentence unless the address opened it."""
    address = address.partition("](")[0]  # of a link in Markdown whose words are an address, too
    while address:
        end = address[-1]
        if end in ")]" and address.count(end) <= address.count({")": "(", "]": "["}[end]):
            break
        if end not in ".,;:!?)]*_…":
            break
        address = address[:-1]
    return address


def _read(address: str) -> tuple[dict[str, str], bool]:
    """The fields that an address tells, and whether it is a page for people. Raises `InvalidConfiguration`."""
    endpoint = read_endpoint(address.partition("#")[0])
    host = urlsplit(endpoint.origin).hostname or ""
    if host in _DOCUMENTATION:
        raise InvalidConfiguration({"endpoint": _IS_DOCUMENTATION})
    if host in _AZURE_PORTALS:
        return _of_portal(address), True
    parts = urlsplit(address if "://" in address else f"//{address}")
    segments = [each for each in parts.path.split("/") if each]
    if host in _PAGES and segments[:1] != ["api"]:
        return _openai(_PAGES[host], _model_in(segments, parts.query)), True
    if host.endswith(_AZURE_HOSTS):
        return _azure(_root_of(endpoint), endpoint, segments), False
    if "api-version" in parse_qs(parts.query) or "/openai/deployments/" in f"/{'/'.join(segments)}/":
        return _azure(endpoint.azure_root, endpoint, segments), False  # a gateway, whose prefix stays
    return _openai(_base_of(endpoint, segments), _model_in(segments, parts.query)), False


def _root_of(endpoint: Endpoint) -> str:
    """Scheme and host, and the port where it is not the usual one."""
    scheme, _, rest = endpoint.base_url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _of_portal(address: str) -> dict[str, str]:
    """Azure's portals carry the resource in the address; its own host is named like it."""
    told = unquote(unquote(address))
    account = re.search(r"/accounts/([A-Za-z0-9][A-Za-z0-9-]{0,62})(?![\w.])", told)
    if account is None:
        raise InvalidConfiguration({"endpoint": _NO_RESOURCE})
    # The path alone, and not what an argument of it names.
    path = told.partition("?")[0]
    deployment = re.search(r"/deployments?/(?:view/|details/)?([A-Za-z0-9_-][\w.-]{0,63})(?:[/?#]|$)", path)
    fields = {"api_type": str(ApiType.AZURE_OPENAI), "endpoint": f"https://{account[1].lower()}.openai.azure.com"}
    return {**fields, "deployment_name": deployment[1]} if deployment else fields


def _azure(root: str, endpoint: Endpoint, segments: list[str]) -> dict[str, str]:
    fields = {"api_type": str(ApiType.AZURE_OPENAI), "endpoint": root}
    if endpoint.deployment_name:
        fields["deployment_name"] = endpoint.deployment_name
    if endpoint.is_azure_v1:
        fields["api_version"] = "v1"
    elif endpoint.api_version and segments[:1] != ["models"]:  # the version of another API
        fields["api_version"] = endpoint.api_version
    return fields


def _openai(endpoint: str, model: str) -> dict[str, str]:
    fields = {"api_type": str(ApiType.OPENAI), "endpoint": endpoint}
    return {**fields, "model_default": model} if model else fields


def _base_of(endpoint: Endpoint, segments: list[str]) -> str:
    """What stands before the name of an operation."""
    for at in range(len(segments)):
        if any(segments[at : at + len(operation)] == operation for operation in _OPERATIONS):
            return "/".join([_root_of(endpoint), *(segments[:at] or ["v1"])])
    return endpoint.base_url


def _model_in(segments: list[str], query: str) -> str:
    """A model that the address names: `/models/NAME`, `?model=NAME`."""
    named = parse_qs(query).get("model", [""])[0]
    for at, segment in enumerate(segments[:-1]):
        if segment == "models":
            named = named or "/".join(segments[at + 1 :])
    return named if re.fullmatch(r"[A-Za-z0-9][\w.:/-]{0,199}", named) else ""


def _with_words(fields: dict[str, str], text: str) -> dict[str, str]:
    """What stands beside the address: a line of a wiki, an environment file, the body of a curl command."""
    is_azure = fields["api_type"] == ApiType.AZURE_OPENAI
    text = _URL.sub(" ", text)
    told = {"deployment_name": _DEPLOYMENT, "api_version": _VERSION} if is_azure else {"model_default": _MODEL}
    for name, pattern in told.items():
        if name not in fields and (found := pattern.search(text)):
            fields[name] = found[1]
    return fields
