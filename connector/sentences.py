"""Parts of sentences about a provider: its host, and what it says, without keys."""

import re

from connector.account import Account
from connector.configuration import Configuration

_LOOKS_LIKE_A_KEY = re.compile(r"\b(sk-|Bearer\s+|eyJ)[\w.*+/=-]{6,}")


def host_of(account: Account) -> str:
    """Return the provider's host, with the port unless it is the scheme's default port."""
    scheme, _, authority = account.origin.partition("://")
    return authority.removesuffix(":443" if scheme == "https" else ":80")


def redacted(words: object, configuration: Configuration) -> str:
    """Return a provider's text in one line of at most 300 characters, without the secrets of the configuration and
    anything like a key.
    """
    message = str(words or "")
    for secret in configuration.secrets:
        message = _without(secret, message)
    message = _LOOKS_LIKE_A_KEY.sub("[key]", message)
    message = " ".join(message.split())
    return message if len(message) <= 300 else message[:299] + "…"


def _without(secret: str, message: str) -> str:
    if len(secret) >= 8:
        return message.replace(secret, "[key]")
    # A local server may have the key "x" or "token"; replace whole words only, so that max_tokens survives.
    return re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "[key]", message)


def quoted(message: str) -> str:
    """Return a sentence that quotes the provider, to be appended to another one; empty for an empty message."""
    if not message:
        return ""
    return f" It says: “{message}”" + ("" if message.endswith((".", "!", "?", "…")) else ".")
