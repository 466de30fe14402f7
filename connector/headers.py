"""Checks the headers that a configuration adds to each request: the one that carries the key, and others."""

import re
from collections.abc import Iterator, Mapping

from pydantic import SecretStr

from connector.key import is_masked

MOST = 20
"""Headers of a configuration."""
LONGEST_VALUE = 4096
"""Characters of a value."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
# These belong to the HTTP client: they say where a request goes, where it ends, and in which form the answer comes.
_OF_HTTP = {
    *("accept", "accept-encoding", "content-encoding", "content-length", "content-type", "expect", "host", "te"),
    *("connection", "keep-alive", "proxy-authorization", "proxy-connection", "trailer", "transfer-encoding", "upgrade"),
}


def trimmed(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    """Return the headers without the blanks around names and values."""
    return {name.strip(): SecretStr(value.get_secret_value().strip()) for name, value in headers.items()}


def problem_of_name(name: str) -> str:
    """Return why a configuration cannot add a header of this name; empty if it can."""
    if name.lower() in _OF_HTTP:
        return f"The header {name} belongs to HTTP itself and cannot be set."
    if not _NAME.fullmatch(name):
        return "A header name has letters, digits, hyphens, underscores and dots only."
    return ""


def problem_of_headers(headers: Mapping[str, SecretStr], key_header: str) -> str:
    """Return the first problem of these headers; empty if there is none. Values may be empty, `key_header` may not."""
    if len(headers) > MOST:
        return f"At most {MOST} headers."
    return next(_problems(headers, key_header.lower()), "")


def _problems(headers: Mapping[str, SecretStr], key_header: str) -> Iterator[str]:
    seen: set[str] = set()
    for name, value in headers.items():
        if problem := problem_of_name(name):
            yield problem
        elif name.lower() == key_header:
            yield f"The header {name} carries the key. Enter its value as the key."
        elif name.lower() in seen:
            yield f"The header {name} is there twice."
        elif problem := _problem_of_value(value.get_secret_value()):
            yield f"Header {name}: {problem}"
        seen.add(name.lower())


def _problem_of_value(value: str) -> str:
    if len(value) > LONGEST_VALUE:
        return f"the value is longer than {LONGEST_VALUE:,} characters."
    if is_masked(value):
        return "the value is masked or shortened. Copy the complete value."
    if value and not _VALUE.fullmatch(value):
        return "the value contains line breaks or characters that no header can carry."
    return ""
