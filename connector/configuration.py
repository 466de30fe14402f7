"""An account together with the key that opens it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field, SecretStr

from connector.account import Account, ApiType, KeyType
from connector.key import LONGEST, LONGEST_TOKEN, cleaned_key, problem_of_key


def _cleaned(key: object) -> object:
    text = key.get_secret_value() if isinstance(key, SecretStr) else key
    if not isinstance(text, str):  # pydantic would take bytes as they are
        raise ValueError("Enter the key as text.")
    return cleaned_key(text)


class Configuration(Account):
    """One account at one provider and its key: all that a call needs.

    Raises `InvalidConfiguration` when something its `api_type` needs is missing or malformed.
    """

    api_key: Annotated[SecretStr, BeforeValidator(_cleaned)] = Field(default=SecretStr(""), title="Key")
    """Required unless `key_type` is `ENTRA_IDENTITY`. Blanks and quotes around it and a leading `Bearer` are removed.

    Texts that cannot be a key are refused: masks (`****`, `sk-...6789`) and placeholders (`YOUR_API_KEY`, `None`). A
    server that requires no key accepts any other word, for example `not-needed`.
    """

    if TYPE_CHECKING:  # secrets may be given as plain text, and are a SecretStr from then on

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
            key_header: str = "",
            headers: Mapping[str, SecretStr | str] = ...,
        ) -> None: ...

    @property
    def authorisation(self) -> dict[str, str]:
        """What opens the account: the header that carries the key, and `headers`. The names are in lower case."""
        own = {name.lower(): value.get_secret_value() for name, value in self.headers.items()}
        return own | self.authorisation_of(self.api_key.get_secret_value())

    @property
    def secrets(self) -> list[str]:
        """The texts that no error may show, longest first: the key, and the values of `headers` and their parts.

        Values of fewer than eight characters are no secrets but options, such as `true` or `eu`.
        """
        values = [value.get_secret_value() for value in self.headers.values()]
        parts = {part for value in values for part in (value, *value.split()) if len(part) >= 8}
        return sorted({self.api_key.get_secret_value(), *parts} - {""}, key=len, reverse=True)

    def with_key(self, key: str) -> "Configuration":
        """The same account with another key. Raises `InvalidConfiguration` for a key that no header can carry."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return Configuration(**{**fields, "api_key": SecretStr(key)})

    def problems(self) -> dict[str, str]:
        problems = super().problems()
        name = {"display_name": problems.pop("display_name")} if "display_name" in problems else {}
        return name | self._key_problems() | self._value_problems() | problems

    def _key_problems(self) -> dict[str, str]:
        key = self.api_key.get_secret_value()
        if not key and self.key_type is KeyType.ENTRA_IDENTITY:
            return {}
        longest = LONGEST if self.key_type is KeyType.API_KEY else LONGEST_TOKEN
        problem = problem_of_key(key, longest)
        return {"api_key": problem} if problem else {}

    def _value_problems(self) -> dict[str, str]:
        empty = next((name for name, value in self.headers.items() if not value.get_secret_value()), "")
        return {"headers": f"Enter the value of the header {empty}."} if empty else {}
