"""Microsoft Entra tokens of the identity that this machine or this person has, through `azure-identity`.

Optional: `pip install azure-identity`, which also decides where it looks (environment, workload, managed identity, the
Azure command line), see https://learn.microsoft.com/azure/developer/python/sdk/authentication/credential-chains.
"""

from collections.abc import Callable
from functools import lru_cache

from connector.account import KeyType
from connector.configuration import Configuration
from connector.errors import ConnectorError, InvalidConfiguration, KeyRefused


def signed_in(configuration: Configuration, token: Callable[[], str] | None) -> Configuration:
    """The configuration, with a fresh token where tokens are used."""
    if token is None and configuration.key_type is not KeyType.ENTRA_IDENTITY:
        return configuration
    try:
        key = token() if token else entra_token(configuration.entra_scope)
    except ConnectorError:
        raise
    except Exception:  # it may hold anything
        key = ""
    if not key or not isinstance(key, str):
        raise KeyRefused("Could not get an access token. Sign in again.")
    return configuration.with_key(key)


def entra_token(scope: str) -> str:
    """A token for this scope, cached until shortly before it expires.

    Raises `InvalidConfiguration` when `azure-identity` is not installed, `KeyRefused` when no identity is found.
    """
    provider = _provider(scope)
    try:
        return provider()
    except Exception:  # whatever it raises names files, accounts and addresses of this machine
        failure = KeyRefused(
            "No Microsoft Entra identity was found on this machine. Sign in with the Azure command line, or give the "
            "machine a managed identity."
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
        raise InvalidConfiguration({"key_type": "An identity needs a package more: pip install azure-identity"})
    return get_bearer_token_provider(DefaultAzureCredential(), scope)
