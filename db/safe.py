"""The secrets in the row of a configuration: its key, the key before it, and the values of its headers."""

import json

from pydantic import SecretStr

from connector import Account, KeyType
from db.cipher import Cipher
from db.configuration_record import ConfigurationRecord, origin_in, sealed_headers, sealed_texts


class Safe:
    """Encrypts, opens and replaces the secrets of configurations."""

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher

    def write(self, record: ConfigurationRecord, account: Account, key: SecretStr | None) -> None:
        """Encrypt the key unless it is None, and those values of the headers that are not empty; the others stay.

        The record still has its old fields. The replaced key becomes the earlier key.
        """
        stored = sealed_headers(record)
        sealed = {
            name: self._cipher.seal(value, record.id, account.origin) if value else stored[name]
            for name, value in account.headers.items()
        }
        record.headers = json.dumps(sealed)
        if account.key_type is KeyType.ENTRA_IDENTITY:  # an identity needs no key
            record.sealed_key = record.key_hint = record.earlier_key = ""
        elif key is not None:
            record.earlier_key = self._replaced_key(record, account)
            record.sealed_key = self._cipher.seal(key, record.id, account.origin)
            record.key_hint = _hint_of(key)

    def _replaced_key(self, record: ConfigurationRecord, account: Account) -> str:
        """The last encrypted key that may have been accepted; empty if it does not fit the account."""
        earlier = record.earlier_key or record.sealed_key
        is_of_origin = self._cipher.origin_of(earlier, record.id) == account.origin
        return earlier if is_of_origin and record.key_type is account.key_type else ""

    def headers(self, record: ConfigurationRecord) -> dict[str, SecretStr]:
        """The headers with their values. Raises `CannotOpen`."""
        origin = origin_in(record)
        return {name: self._cipher.open(each, record.id, origin) for name, each in sealed_headers(record).items()}

    def key(self, record: ConfigurationRecord) -> SecretStr:
        """The key; empty for an identity. Raises `CannotOpen`."""
        if record.key_type is KeyType.ENTRA_IDENTITY:
            return SecretStr("")
        return self._cipher.open(record.sealed_key, record.id, origin_in(record))

    def bound_to(self, record: ConfigurationRecord) -> str:
        """The origin that the secrets were entered for, or that of the endpoint where none can be decrypted."""
        found = (self._cipher.origin_of(each, record.id) for each in sealed_texts(record))
        return next((origin for origin in found if origin), origin_in(record))

    def put_earlier_key_back(self, record: ConfigurationRecord) -> None:
        """Replace the key with the one before it. Raises `CannotOpen`."""
        key = self._cipher.open(record.earlier_key, record.id, origin_in(record))
        record.sealed_key, record.key_hint, record.earlier_key = record.earlier_key, _hint_of(key), ""

    def is_readable(self, record: ConfigurationRecord) -> bool:
        """Whether the encryption key of the key and the headers is available. Decrypts nothing."""
        texts = [*sealed_headers(record).values()]
        if record.key_type is not KeyType.ENTRA_IDENTITY:
            texts.append(record.sealed_key)
        return all(self._cipher.key_of(each) is not None for each in texts)


def _hint_of(key: SecretStr) -> str:
    text = key.get_secret_value()
    return text[-4:] if len(text) >= 12 else ""
