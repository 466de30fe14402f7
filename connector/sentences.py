"""Parts of sentences about a provider: its host, and what it says, without keys and prompts."""

from connector.account import Account
from connector.configuration import Configuration
from connector.masking import NOTHING, Sent, masked


def host_of(account: Account) -> str:
    """Return the provider's host, with the port unless it is the scheme's default port."""
    scheme, _, authority = account.origin.partition("://")
    return authority.removesuffix(":443" if scheme == "https" else ":80")


def redacted(words: object, configuration: Configuration, sent: Sent = NOTHING) -> str:
    """Return a provider's text in one line of at most 300 characters, without the secrets of the configuration,
    anything like a key, and the texts of the request.
    """
    return in_one_line(masked(str(words or ""), configuration.secrets, sent))


def in_one_line(words: str) -> str:
    """Return a text in one line of at most 300 characters."""
    message = " ".join(words.split())
    return message if len(message) <= 300 else message[:299] + "…"


def quoted(message: str) -> str:
    """Return a sentence that quotes the provider, to be appended to another one; empty for an empty message."""
    if not message:
        return ""
    return f" It says: “{message}”" + ("" if message.endswith((".", "!", "?", "…")) else ".")
