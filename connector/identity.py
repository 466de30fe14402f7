"""Gets Microsoft Entra tokens for the identity of this machine or its user, through `azure-identity`.

Optional: `pip install azure-identity`. The package decides where it looks for an identity (environment, workload,
managed identity, Azure command line):
https://learn.microsoft.com/azure/developer/python/sdk/authentication/credential-chains.
"""

from collections.abc import Callable
from functools import lru_cache

from connector.account import KeyType
from connector.configuration import Configuration
from connector.errors import ConnectorError, InvalidConfiguration, KeyRefused
from connector.refusals import check_the_key


def signed_in(configuration: Configuration, token: Callable[[], str] | None) -> Configuration:
    """Return the configuration, with a fresh token as its key if tokens are used.

    Raises `KeyRefused` when there is no token, `InvalidConfiguration` when no header can carry the token.
    """
    if token is None and configuration.key_type is not KeyType.ENTRA_IDENTITY:
        return configuration
    try:
        key = token() if token else entra_token(configuration.entra_scope)
    except ConnectorError:
        raise
    except Exception:  # its text may contain anything, also a secret
        key = ""
    about_tokens = "" if configuration.key_type is KeyType.API_KEY else check_the_key(configuration)
    if not key or not isinstance(key, str):
        raise KeyRefused("Could not get an access token.", advice=f"Sign in again. {about_tokens}".strip())
    try:
        return configuration.with_key(key)
    except InvalidConfiguration as error:
        problems = error.problems
    raise InvalidConfiguration(problems, advice=about_tokens)


def entra_token(scope: str) -> str:
    """Return a token for this scope, cached until shortly before it expires.

    Raises `InvalidConfiguration` when `azure-identity` is not installed, `KeyRefused` when no identity is found.
    """
    provider = _provider(scope)
    try:
        return provider()
    except Exception:  # its text names files, accounts and addresses of this machine
        failure = KeyRefused(
            "No Microsoft Entra identity was found on this machine.",
            advice="Sign in with the Azure command line, or give the machine a managed identity.",
        )
    raise failure


@lru_cache
def _provider(scope: str) -> Callable[[], str]:
    try:
        from azure.identity import DefaultAzureCredential, get_bearer_token_provider
    except ImportError:
        is_installed = False
    else:
        is_installed = True
    if not is_installed:
        raise InvalidConfiguration(
            {"key_type": "A Microsoft Entra identity needs the Python package azure-identity."},
            advice="Install it: pip install azure-identity",
        )
    return get_bearer_token_provider(DefaultAzureCredential(), scope)
