"""Parses an endpoint, in any form that people paste, into the parts that the SDK needs.

Known forms: the base of an OpenAI-compatible server (`https://api.openai.com/v1`), an Azure resource
(`https://NAME.openai.azure.com`), the same followed by `/openai/deployments/`, a complete target address copied from
the Azure portal (`.../openai/deployments/NAME/chat/completions?api-version=...`), and Azure's v1 form
(`.../openai/v1/`).
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import idna

from connector.errors import InvalidConfiguration

_BEHIND_OPENAI: tuple[list[str], ...] = ([], ["deployments"], ["v1"])
_DEFAULT_PORTS = {"https": 443, "http": 80}
_LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?\.?|[0-9a-f:.]+")
_LONGEST_HOST, _LONGEST_LABEL = 253, 63  # characters, RFC 1035


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The parts of a pasted address."""

    origin: str
    """Scheme, host and port, in lower case and always with the port: `https://api.openai.com:443`."""
    base_url: str
    """In the OpenAI form, the address to which `/chat/completions` is appended; no slash at its end."""
    azure_root: str
    """The address before Azure's `/openai`; no slash at its end."""
    deployment_name: str = ""
    api_version: str = ""
    is_azure_v1: bool = False


@lru_cache(maxsize=256)  # every call needs it
def read_endpoint(text: str) -> Endpoint:
    """Return the parts of a pasted address. Raises `InvalidConfiguration` with a sentence for the field `endpoint`."""
    parts, host, port = _split(text)
    scheme = parts.scheme.lower()
    authority = f"[{host}]" if ":" in host else host
    origin = f"{scheme}://{authority}:{port}"
    shown = f"{scheme}://{authority}" + ("" if port == _DEFAULT_PORTS[scheme] else f":{port}")

    segments = [segment for segment in parts.path.split("/") if segment]
    if any(unquote(segment) in {".", ".."} for segment in segments):
        raise _unusable("The endpoint must not contain . or .. between slashes. Enter the complete address.")
    lower = [segment.lower() for segment in segments]
    # An OpenAI-compatible server has its base at /v1 unless the address says otherwise.
    base = segments or ["v1"]
    if lower[-2:] == ["chat", "completions"]:
        base = segments = segments[:-2]
        lower = lower[:-2]

    # Azure's part begins at the segment "openai"; the path before it is a gateway's prefix and is kept.
    cuts = [at for at, name in enumerate(lower) if name == "openai" and lower[at + 1 : at + 2] in _BEHIND_OPENAI]
    cut = cuts[-1] if cuts else len(segments)
    behind = segments[cut + 1 :]
    deployment_name = ""
    if len(behind) > 1 and behind[0].lower() == "deployments" and not re.match(r"[<{%]", behind[1]):
        deployment_name = unquote(behind[1])
    return Endpoint(
        origin=origin,
        base_url="/".join([shown, *base]),
        # On Azure, /models and a bare /v1 are other APIs of the same resource.
        azure_root="/".join([shown, *(segments[:cut] if cuts or lower not in (["models"], ["v1"]) else [])]),
        deployment_name=deployment_name,
        api_version=parse_qs(parts.query).get("api-version", [""])[0],
        is_azure_v1=bool(behind) and behind[0].lower() == "v1",
    )


def origin_of(endpoint: str) -> str:
    """Return scheme, host and port of the address that calls are sent to. Raises `InvalidConfiguration`."""
    return read_endpoint(endpoint).origin


def without_query(text: str) -> str:
    """Return a pasted address without what follows its `?` or `#`, which may be a key; the API version is kept."""
    address, _, query = text.partition("#")[0].partition("?")
    version = re.search(r"(?:^|&)(api-version=[\w.-]+)", query, re.ASCII)
    return f"{address}?{version[1]}" if version else address


def _split(text: str) -> tuple[SplitResult, str, int]:
    text = text.strip().strip("\"'<>").strip()
    if not text:
        raise _unusable("Enter the endpoint, for example https://api.openai.com/v1.")
    if re.search(r"[\s\x00-\x1f\x7f\\]", text) or any(unicodedata.category(each) == "Cf" for each in text):
        raise _unusable("The endpoint contains blanks, line breaks or backslashes. Copy the address again.")
    if "://" not in text:
        if re.match(r"[a-z][a-z0-9+.-]*:(?!\d)", text, re.IGNORECASE):
            raise _unusable("The endpoint must start with https:// or http://.")
        local = re.split(r"[:/]", text, maxsplit=1)[0].lower() in _LOCAL_HOSTS
        text = f"{'http' if local else 'https'}://{text}"
    try:
        parts = urlsplit(text)
        host, port = _host_of(parts), parts.port
    except ValueError:  # includes UnicodeError
        parts = None
    if parts is None or port == 0:
        raise _unusable("The endpoint is not a usable address: check the host and the port (1 to 65535).")
    if parts.scheme.lower() not in _DEFAULT_PORTS:
        raise _unusable("The endpoint must start with https:// or http://.")
    if parts.username is not None or parts.password is not None:
        raise _unusable("The endpoint must not contain a user name or password. Enter the key in its own field.")
    if not _HOST.fullmatch(host):
        raise _unusable("The endpoint has no usable host name. It should look like https://api.openai.com/v1.")
    labels = host.removesuffix(".").split(".")
    if len(host) > _LONGEST_HOST or not all(0 < len(label) <= _LONGEST_LABEL for label in labels):
        raise _unusable(
            f"The host name of the endpoint is too long, or one of its parts between dots is empty or longer than "
            f"{_LONGEST_LABEL} characters. Copy the address again."
        )
    return parts, host, port or _DEFAULT_PORTS[parts.scheme.lower()]


def _host_of(parts: SplitResult) -> str:
    """Return the host as browsers send it: UTS 46 without transitional processing, so that ß stays ß.

    Raises ValueError for characters that no host has.
    """
    if parts.netloc.isascii():
        return parts.hostname or ""
    # Not `hostname`: Python writes a capital sigma at the end of a word as ς, UTS 46 as σ, which is another host.
    typed = re.sub(r":\d*$", "", parts.netloc.rpartition("@")[2], flags=re.ASCII)
    labels = idna.uts46_remap(typed, std3_rules=False).split(".")
    return ".".join(each if each.isascii() else f"xn--{each.encode('punycode').decode()}" for each in labels)


def _unusable(sentence: str) -> InvalidConfiguration:
    return InvalidConfiguration({"endpoint": sentence})
