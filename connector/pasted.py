"""Parses pasted text, from a portal, a manual, a wiki or a terminal, into the fields of a configuration."""

import re
import unicodedata
from collections.abc import Iterator
from operator import itemgetter
from urllib.parse import parse_qs, unquote, urlsplit

from connector.account import Account, ApiType
from connector.endpoint import Endpoint, read_endpoint
from connector.errors import InvalidConfiguration
from connector.key import cleaned_key, problem_of_key

_READ = 20_000  # characters that are parsed
_LONGEST = 2000  # characters of an address, as in `Configuration`

# -- addresses in a text

_END = r"\s\"'<>`|\\^{}“”„«»‹›\x00-\x1f"
_NEXT = r"(?![,;]https?://|\]\()"  # the next address of a list, or the second half of a Markdown link
# A host that is followed by { or ^ is incomplete.
_URL = re.compile(
    rf"https?://(?:{_NEXT}[^/?#{_END}])++(?![{{^])(?:[/?#](?:{_NEXT}[^{_END}])*+)?",
    re.IGNORECASE,
)
# Addresses without a scheme, each with its path, so that no host is found in the middle of a word.
_BARE = re.compile(rf"(?<![\w.@/%-])(?P<host>[\w.-]++)(?::\d{{1,5}}+)?(?=[/?#,;!)\]…{_END}]|$)(?:[/?#][^{_END}]*+)?")
_ALONE = re.compile(
    r"([\w.-]+\.[\w-]+(:\d{1,5})?|[\w-]+:\d{1,5}|\[[0-9a-fA-F:.]+\](:\d{1,5})?)([/?#]\S*)?", re.IGNORECASE
)
_PLACEHOLDER = re.compile(
    rf"https?://[\w.-]*(?:<[^<>\n]{{1,60}}>(?=[.-])|\$?\{{[^{{}}\n]{{1,60}}\}}(?=[\w.-])|\[[^\[\]\n:]{{1,60}}\](?=[.-]))"
    rf"[^{_END}]*",
    re.IGNORECASE,
)
_REMOVED_URL = "\ufffc"  # replaces a URL; not a blank, so that a word before it is not taken for a host
_MARKS = ".,;:!?)]*_…，。、；：！？）】」』》"  # also the punctuation of East Asian languages

# -- kinds of addresses

_AZURE_HOSTS = (
    *(
        f".{service}.azure.{land}"
        for service in ("openai", "cognitiveservices", "services.ai")
        for land in ("com", "us", "cn")
    ),
    *(f".api.cognitive.microsoft.{land}" for land in ("com", "us")),  # shared by the resources of a region
)
_DOCUMENTATION = {"learn.microsoft.com", "docs.microsoft.com"}
_AZURE_PORTAL = re.compile(r"(?:[\w-]+\.)?(?:portal|oai|ai)\.azure\.(?P<land>com|us|cn)")
# Web pages of providers, including their subdomains, and the API that belongs to them.
_PAGES = {
    "openai.com": "https://api.openai.com/v1",
    "chatgpt.com": "https://api.openai.com/v1",
    "openrouter.ai": "https://openrouter.ai/api/v1",
    "console.groq.com": "https://api.groq.com/openai/v1",
    "console.mistral.ai": "https://api.mistral.ai/v1",
    "platform.deepseek.com": "https://api.deepseek.com/v1",
    "api-docs.deepseek.com": "https://api.deepseek.com/v1",
    "aistudio.google.com": "https://generativelanguage.googleapis.com/v1beta/openai",
    "ai.google.dev": "https://generativelanguage.googleapis.com/v1beta/openai",
    # Google's own API for the same models
    "generativelanguage.googleapis.com": "https://generativelanguage.googleapis.com/v1beta/openai",
}
_NO_PAGE = re.compile(
    r"(?:[\w-]+\.)?api\.openai\.com/|openrouter\.ai/api/|generativelanguage\.googleapis\.com/v1\w*/openai/"
)
_API_HOSTS = {urlsplit(endpoint).hostname for endpoint in _PAGES.values()}
_API, _ADDRESS, _PAGE = range(3)  # how likely calls go there, the most likely first
_OPERATIONS = {
    *("chat", "completions", "responses", "embeddings", "models", "audio", "images", "files", "batches", "moderations"),
    *("assistants", "threads", "realtime", "fine_tuning", "uploads", "vector_stores"),
}
_VERSION_OF_PATH = re.compile(r"v\d\w*", re.ASCII)

_NO_ADDRESS = "The text contains no address. Paste the endpoint, for example https://api.openai.com/v1."
_NO_RESOURCE = (
    "This page of the portal does not name the resource. Open the resource in the portal, then Keys and Endpoint, and "
    "paste the endpoint."
)
_IS_DOCUMENTATION = "This is a page of the documentation. Paste the endpoint of your own resource or account."
_HAS_PLACEHOLDER = "This address contains a placeholder. Paste the endpoint of your own resource or account."
_HAS_KEY = "This address seems to contain a key. Paste it without the key, and enter the key in its own field."

# -- values beside the address

_IS = r"(?:[\"']?[^\S\n]*[:=|>]{1,2}[^\S\n]*|[\"'],[^\S\n]*(?=[\"']))"
_DEPLOYMENT = r"(?<!embedding_)(?<!embeddings_)deployment(?:[_ -]?(?:name|id))?", r"[\w-][\w.-]{0,63}+"
_VERSION = r"api[_ -]?version", r"\d{4}-\d{2}-\d{2}(?:-preview)?(?![\w-])|v1(?![\w.-])"
_MODEL = (
    r"(?<![A-Za-z])(?<!embedding_)(?<!embeddings_)model(?:[_ -]?(?:name|id|default))?",
    r"[A-Za-z0-9][\w.:/-]{0,199}+",
)
# The name of a header that carries a key: any in a curl command, elsewhere only those that are no fields of a file.
_KEY_HEADER = re.compile(
    r"""
    (?: (?:-H|--header)[\s=]*+["']?[^\S\n]*+ (?P<curl>[a-z][a-z0-9-]*(?:key|token))
      | (?:^|["'])[^\S\n]*+ (?P<other>(?:x|ocp)-[a-z0-9-]*(?:key|token))
    )["']?[^\S\n]*+:
    """,
    re.ASCII | re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_HAS_AUTHORISATION = re.compile(r"(?<![\w-])authorization[\"']?[^\S\n]*+:", re.IGNORECASE)
_LOOKS_LIKE_A_KEY = re.compile(
    r"(?<![\w-])(?:(?:sk|pk|gsk|xai|hf)[-_]|eyJ|AIza)[\w-]{8,}|(?<!\w)(?:[0-9a-fA-F]{32}|\w{60,})(?!\w)"
)
# The value of a header, a variable or a field that carries a key, with what stands around it.
_KEY = re.compile(
    r"""
    (?: authorization["']?\s*[:=]\s*["']?bearer\s+
      | (?<![A-Za-z])(?:[A-Za-z]+[_-])*api[_-]?key["']?\s*[:=]\s*["']?
      | (?:-H|--header)[\s=]*["']?[a-z-]*(?:key|token)["']?\s*:\s*
    )
    (?P<key>[\w.~+/=-]{8,})(?=[\s"'\\,;)}]|$)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_IS_A_KEY = re.compile(r"/(?:(?:sk-|gsk_|AIza)[\w-]{16,}|eyJ[\w.-]{16,})(?:/|$)")


def fields_of(pasted: str) -> dict[str, str]:
    """Return the fields of `Configuration` that a pasted text contains: `api_type`, `endpoint`, and if they are given
    `deployment_name`, `api_version`, `model_default` and `key_header`. Never a key, and nothing after the `?` of an
    address.

    The first address of an API is used, else the first other address, else the first page of a known provider. A
    configuration accepts all returned fields. Raises `InvalidConfiguration` with a sentence for the field `endpoint`
    if there is no address.
    """
    text = _beginning(pasted).replace("\\/", "/").replace("&amp;", "&")  # as in JSON, as in HTML
    refusal = _HAS_PLACEHOLDER if _PLACEHOLDER.search(text) else ""
    text = _PLACEHOLDER.sub(" ", text)
    found: list[tuple[int, dict[str, str]]] = []
    for address in _addresses(text):
        try:
            found.append(_read(address))
        except InvalidConfiguration as error:
            refusal = refusal or str(error)
    if not found:
        raise InvalidConfiguration({"endpoint": refusal or _NO_ADDRESS})
    _, fields = min(found, key=itemgetter(0))
    return _usable(_with_words(fields, _URL.sub(" ", text)))


def key_in(pasted: str) -> str:
    """Return the key that a pasted text contains: the text itself where it is one, else the value of the header, the
    variable or the field of a key in a command or a file. Empty where there is none, or only a placeholder.
    """
    text = _beginning(pasted).strip()
    alone = cleaned_key(text)
    found = [alone] if _LOOKS_LIKE_A_KEY.fullmatch(alone) else [each["key"] for each in _KEY.finditer(text)]
    return next((key for key in found if not problem_of_key(key)), "")


def _beginning(pasted: str) -> str:
    """Return the beginning of a long text, cut at a blank: half an address could be the address of somebody else."""
    if len(pasted) <= _READ:
        return pasted
    return pasted[: max(pasted.rfind(mark, 0, _READ) for mark in " \t\n\"'<>") + 1]


def _addresses(text: str) -> Iterator[str]:
    """Yield everything that looks like an address, without the punctuation after it."""
    urls = [each[0] for each in _URL.finditer(text)]
    rest = _URL.sub(_REMOVED_URL, text)
    found = [text.strip()] if not urls and _ALONE.fullmatch(text.strip()) else []
    found += [each[0] for each in _BARE.finditer(rest) if _is_known(each["host"].lower().rstrip("."))]
    yield from dict.fromkeys(_trimmed(each) for each in urls + found if len(each) <= _LONGEST)


def _is_known(host: str) -> bool:
    if not host.isascii():  # a word of the text touches the host
        return False
    is_azure = host.endswith(_AZURE_HOSTS) or bool(_AZURE_PORTAL.fullmatch(host))
    return is_azure or host in {"localhost", "127.0.0.1"} or _page_of(host) != "" or host in _API_HOSTS


def _page_of(host: str) -> str:
    """Return the row of `_PAGES` that a host belongs to, or an empty text."""
    return next((page for page in _PAGES if host == page or host.endswith(f".{page}")), "")


def _trimmed(address: str) -> str:
    """Remove punctuation at the end, including closing brackets that the address does not open."""
    while address:
        end = address[-1]
        if end in ")]" and address.count(end) <= address.count({")": "(", "]": "["}[end]):
            break
        if end not in _MARKS and unicodedata.category(end) != "Cf":  # invisible
            break
        address = address[:-1]
    return address


def _read(address: str) -> tuple[int, dict[str, str]]:
    """Return how likely calls go to this address, and its fields. Raises `InvalidConfiguration`."""
    endpoint = read_endpoint(address.partition("#")[0])
    host = (urlsplit(endpoint.origin).hostname or "").rstrip(".")
    if host in _DOCUMENTATION:
        raise InvalidConfiguration({"endpoint": _IS_DOCUMENTATION})
    parts = urlsplit(address if "://" in address else f"//{address}")
    if _IS_A_KEY.search(f"/{host}{parts.path}"):
        raise InvalidConfiguration({"endpoint": _HAS_KEY})
    segments = [each for each in parts.path.split("/") if each]
    lower = [each.lower() for each in segments]
    if host.endswith(_AZURE_HOSTS):
        return _API, _azure(_root_of(endpoint), endpoint, lower)
    if portal := _AZURE_PORTAL.fullmatch(host):
        return _PAGE, _of_portal(address, portal["land"])
    if (page := _page_of(host)) and not _NO_PAGE.match(f"{host}/{'/'.join(lower)}/"):
        return _PAGE, _openai(_PAGES[page], _model_in(segments, parts.query))
    if "api-version" in parse_qs(parts.query) or "/openai/deployments/" in f"/{'/'.join(lower)}/":
        return _API, _azure(endpoint.azure_root, endpoint, lower)  # a gateway, whose prefix is kept
    length = _length_of_base(lower)
    fields = _openai(
        "/".join([_root_of(endpoint), *(segments[:length] or ["v1"])]), _model_in(segments[length:], parts.query)
    )
    is_api = length < len(segments) or host in _API_HOSTS or any(map(_VERSION_OF_PATH.fullmatch, lower))
    return (_API if is_api else _ADDRESS), fields


def _root_of(endpoint: Endpoint) -> str:
    """Return scheme and host, and the port unless it is the default one."""
    scheme, _, rest = endpoint.base_url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _of_portal(address: str, land: str) -> dict[str, str]:
    """Azure's portals have the name of the resource in the address; the resource's host has the same name."""
    plain = unquote(unquote(address))
    account = re.search(r"/accounts/([A-Za-z0-9][A-Za-z0-9-]{0,62})(?![\w.])", plain)
    # The newer Foundry: /nextgen/r/subscription,group,,account,project/
    account = account or re.search(r"/nextgen/r/[\w-]+,[^,/?#]+,,([A-Za-z0-9][A-Za-z0-9-]{0,62})[,/]", plain)
    if account is None:
        raise InvalidConfiguration({"endpoint": _NO_RESOURCE})
    # Only the path, because an argument may contain another address.
    path = plain.partition("?")[0]
    deployment = re.search(
        r"/deployments?/(?:view/|details/)?(?!subscriptions/)([A-Za-z0-9_-][\w.-]{0,63})(?:[/?#]|$)", path
    )
    fields = {"api_type": str(ApiType.AZURE_OPENAI), "endpoint": f"https://{account[1].lower()}.openai.azure.{land}"}
    return {**fields, "deployment_name": deployment[1]} if deployment else fields


def _azure(root: str, endpoint: Endpoint, path: list[str]) -> dict[str, str]:
    fields = {"api_type": str(ApiType.AZURE_OPENAI), "endpoint": root}
    if endpoint.deployment_name:
        fields["deployment_name"] = endpoint.deployment_name
    if endpoint.is_azure_v1:
        fields["api_version"] = "v1"
    elif endpoint.api_version and (not path or "openai" in path):  # otherwise it is the version of another API
        fields["api_version"] = endpoint.api_version
    return fields


def _openai(endpoint: str, model: str) -> dict[str, str]:
    fields = {"api_type": str(ApiType.OPENAI), "endpoint": endpoint}
    return {**fields, "model_default": model} if model else fields


def _length_of_base(path: list[str]) -> int:
    """Return how many segments of a path precede the name of an operation."""
    for at in range(len(path) - 1, 0, -1):
        if path[at] in _OPERATIONS and _VERSION_OF_PATH.fullmatch(path[at - 1]):
            return at
    if path[-2:] == ["chat", "completions"]:
        return len(path) - 2
    return len(path) - 1 if path and path[-1] in _OPERATIONS else len(path)


def _model_in(segments: list[str], query: str) -> str:
    """Return the model that the address names: `/models/NAME`, `?model=NAME`."""
    named = parse_qs(query).get("model", [""])[0]
    if not named and "models" in segments:
        named = "/".join(segments[segments.index("models") + 1 :])
        named = re.sub(r":(?:stream)?generateContent$", "", named, flags=re.IGNORECASE)  # Google's
    is_model = re.fullmatch(_MODEL[1], named, re.ASCII) and not _LOOKS_LIKE_A_KEY.search(named)
    return named if is_model else ""


def _with_words(fields: dict[str, str], text: str) -> dict[str, str]:
    """Add the values beside the address: in a line of a wiki, an environment file, the body of a curl command."""
    patterns = {"model_default": _MODEL}
    if fields["api_type"] == ApiType.AZURE_OPENAI:
        patterns = {"api_version": _VERSION, "deployment_name": _DEPLOYMENT}
    for name, (noun, value) in patterns.items():
        if name not in fields and (found := _value_of(text, noun, value)):
            fields[name] = found
    if header := _key_header_in(text, is_azure=fields["api_type"] == ApiType.AZURE_OPENAI):
        fields["key_header"] = header
    is_v1 = fields.get("api_version") == "v1"
    if is_v1 and "deployment_name" not in fields and (found := _value_of(text, *_MODEL)):
        fields["deployment_name"] = found  # with v1, the body contains it as the model
    return fields


def _key_header_in(text: str, *, is_azure: bool) -> str:
    """Return the header of a curl command or a program that carries the key; empty for the usual ones."""
    if _HAS_AUTHORISATION.search(text):
        return ""
    names = (found["curl"] or found["other"] for found in _KEY_HEADER.finditer(text))
    unusual = (name for name in names if not re.search("csrf|xsrf", name, re.IGNORECASE))
    return next((name for name in unusual if not (is_azure and name.lower() == "api-key")), "")


def _value_of(text: str, noun: str, value: str) -> str:
    """Return the value that follows a noun: in quotes, alone after a colon, or at least with a digit in it."""
    pattern = rf"{noun}(?P<is>{_IS}|[^\S\n]+)(?P<quote>[\"'`]?)(?P<value>{value})(?P<next>[^\S\n]*[^\s]?)"
    for found in re.finditer(pattern, text, re.IGNORECASE | re.ASCII):
        candidate, then = found["value"].rstrip(".:/"), found["next"]
        is_alone = not found["is"].isspace() and not then.strip().isalnum()
        is_meant = (
            bool(found["quote"]) or is_alone or (re.search(r"\d", candidate) and re.search(r"[A-Za-z]", candidate))
        )
        if is_meant and then not in ("(", "[") and not _LOOKS_LIKE_A_KEY.search(candidate):  # not an expression
            return candidate
    return ""


def _usable(fields: dict[str, str]) -> dict[str, str]:
    """Remove the fields that no configuration accepts, for example an invalid version or a name with a blank."""
    filled = {"deployment_name": "d", "api_version": "v1"} if fields["api_type"] == ApiType.AZURE_OPENAI else {}
    problems: dict[str, str] = {}
    try:
        Account(display_name="Pasted", **{**filled, **fields})  # type: ignore[arg-type]  # texts
    except InvalidConfiguration as error:
        problems = error.problems
    if "endpoint" in problems:
        raise InvalidConfiguration({"endpoint": problems["endpoint"]})
    # Check again after removing fields: only one kind of problem is reported at a time.
    return _usable({name: value for name, value in fields.items() if name not in problems}) if problems else fields
