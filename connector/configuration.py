"""An account together with the key that opens it."""

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field, SecretStr

from connector.account import Account, ApiType, KeyType


def _trimmed(key: object) -> object:
    text = key.get_secret_value() if isinstance(key, SecretStr) else key
    if not isinstance(text, str):  # pydantic would take bytes, untrimmed
        raise ValueError("Enter the key as text.")
    return text.strip()


class Configuration(Account):
    """One account at one provider and its key: all that a call needs.

    Raises `InvalidConfiguration` when something its `api_type` needs is missing or malformed.
    """

    api_key: Annotated[SecretStr, BeforeValidator(_trimmed)] = Field(default=SecretStr(""), title="Key")
    """Required unless `key_type` is `ENTRA_IDENTITY`."""

    if TYPE_CHECKING:  # a key may be given as plain text, and is a SecretStr from then on

        def __init__(
            self,
            *,
            display_name: str,
            api_type: ApiType,
            endpoint: str,
            api_key: SecretStr | str = "",
            key_type: KeyType = KeyType.API_KEY,
            deployment_name: str = "",
            api_version: str = "",
            model_default: str = "",
        ) -> None: ...

    @property
    def authorisation(self) -> dict[str, str]:
        """The header that carries the key: its name in lower case, and its value."""
        key = self.api_key.get_secret_value()
        return {self.key_header: key if self.key_header == "api-key" else f"Bearer {key}"}

    def with_key(self, key: str) -> "Configuration":
        """The same account with another key. Raises `InvalidConfiguration` for a key that no header can carry."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return Configuration(**{**fields, "api_key": SecretStr(key)})

    def problems(self) -> dict[str, str]:
        problems = super().problems()
        name = {"display_name": problems.pop("display_name")} if "display_name" in problems else {}
        return name | self._key_problems() | problems

    def _key_problems(self) -> dict[str, str]:
        key = self.api_key.get_secret_value()
        if not key:
            return {} if self.key_type is KeyType.ENTRA_IDENTITY else {"api_key": "Enter the key."}
        if not re.fullmatch(r"[\x21-\x7e]+", key):
            # It could not stand in a header, and the SDK would fail with the key in its error.
            return {"api_key": "The key contains blanks, line breaks or characters that no key has. Copy it again."}
        return {}
