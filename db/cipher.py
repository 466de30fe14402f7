"""Encrypts ("seals") an API key for one configuration and one origin, and loads the encryption keys.

The encrypted text is a JSON document with the key, the configuration and the origin. So it cannot be decrypted after it
was copied to another row, or after its row was given an endpoint at another host. To change the encryption key, put the
new one before the old, `ENCRYPTION_KEY=new,old`: the first one encrypts, all of them decrypt, and
`db.encryption_keys.rotate` encrypts all API keys with the first.
"""

import json
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from db.errors import CannotOpen, StorageError

_UNREADABLE = (InvalidToken, ValueError)  # ValueError: the text has characters that are not ASCII
_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")
_KEY_FORM = (
    "An encryption key has 44 characters. Create one with: "
    'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
)


class Cipher:
    """Encrypts and decrypts API keys. Without encryption keys it raises an error that says what to do."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernets = [Fernet(key) for key in keys]
        self._fernet = MultiFernet(self._fernets) if keys else None

    def seal(self, api_key: SecretStr, configuration_id: str, origin: str) -> str:
        """The encrypted key, which can only be decrypted for this configuration and origin. It differs each time."""
        if self._fernet is None:
            raise StorageError(
                "The API key cannot be saved because the encryption key is missing. Nothing was saved. Put the file "
                "encryption.key back beside the database, or set ENCRYPTION_KEY."
            )
        document = {"configuration": configuration_id, "origin": origin, "key": api_key.get_secret_value()}
        return self._fernet.encrypt(json.dumps(document).encode()).decode()

    def open(self, sealed: str, configuration_id: str, origin: str) -> SecretStr:
        """The key that was encrypted for this configuration and origin. Raises `CannotOpen` if that fails."""
        if self._fernet is None:
            raise CannotOpen(
                "The stored API keys cannot be decrypted because the encryption key is missing. They are still stored. "
                "Put the file encryption.key back beside the database, or set ENCRYPTION_KEY and enter the key again."
            )
        key = None
        try:
            document = json.loads(self._fernet.decrypt(sealed))
            if (document["configuration"], document["origin"]) == (configuration_id, origin):
                key = document["key"]
        except (*_UNREADABLE, TypeError, KeyError):  # the last two: encrypted with our key, but by another program
            pass
        if not isinstance(key, str):
            raise CannotOpen("The stored key of this configuration cannot be opened. Enter the key again.")
        return SecretStr(key)

    def key_of(self, sealed: str) -> int | None:
        """The index of the encryption key that encrypted this text, or None. Decrypts nothing."""
        for at, fernet in enumerate(self._fernets):
            try:
                fernet.extract_timestamp(sealed)  # checks the signature without decrypting
            except _UNREADABLE:
                continue
            return at
        return None

    def reseal(self, sealed: str) -> str:
        """The same API key, encrypted with the first encryption key. Raises `CannotOpen` if no key decrypts it."""
        try:
            if self._fernet is not None:
                return self._fernet.rotate(sealed).decode()
        except _UNREADABLE:
            pass
        raise CannotOpen("No encryption key can decrypt this API key.")


def configured_keys(encryption_key: str, encryption_key_file: str) -> tuple[list[str], str]:
    """The encryption keys and the name of the setting they come from; no keys and "" if neither is set.

    Raises `StorageError` if a setting is unusable, or if the two settings differ.
    """
    of_text = _keys_of(encryption_key, "ENCRYPTION_KEY") if encryption_key else []
    of_file = _keys_in(Path(encryption_key_file), "ENCRYPTION_KEY_FILE") if encryption_key_file else []
    if of_text and of_file and of_text != of_file:
        raise StorageError("ENCRYPTION_KEY and ENCRYPTION_KEY_FILE contain different keys. Set only one of them.")
    if of_text:
        return of_text, "ENCRYPTION_KEY"
    return of_file, "ENCRYPTION_KEY_FILE" if of_file else ""


def must_agree(keys: Sequence[str], setting: str, path: Path) -> None:
    """Raises `StorageError` if the automatic key file has a key that is missing from the setting.

    That key may have encrypted the stored API keys, which could then no longer be decrypted.
    """
    if path.exists() and not set(_keys_in(path, str(path))) <= set(keys):
        raise StorageError(
            f"{setting} does not contain the key in the file {path}. Nothing was changed. Add the key of the file "
            f"after the new one, {setting}=new,old; or move the file away if no API key was encrypted with it."
        )


def automatic_keys(path: Path, *, is_needed: bool) -> tuple[list[str], str]:
    """The keys in the automatic key file, and their source as text for a person. Creates the file if it is missing.

    With `is_needed`, API keys are already encrypted. Then a missing file is not replaced, because a new key could not
    decrypt them and would hide the loss; no keys are returned until the file is back.
    """
    if not path.exists():
        if is_needed:
            return [], f"none: {path} is missing"
        _make_key_file(path)
    return _keys_in(path, str(path)), str(path)


def _make_key_file(path: Path) -> None:
    """Create the file in one step, readable by its owner only. A file that another process created first stays."""
    refusal = ""
    try:
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(Fernet.generate_key() + b"\n")
                file.flush()
                os.fsync(descriptor)
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(draft)
    except OSError as error:
        refusal = f"The encryption key file {path} cannot be created: {error.strerror}. Set ENCRYPTION_KEY instead."
    if refusal:
        raise StorageError(refusal)


def _keys_in(path: Path, setting: str) -> list[str]:
    # The group may read the file, because orchestrators give secrets to a process without root rights that way.
    try:
        open_to_all = os.name == "posix" and path.stat().st_mode & 0o007
        text = path.read_bytes().decode(errors="replace")
        refusal = (
            f"{setting}: every user of this machine can read the file. Run chmod 600 on it." if open_to_all else ""
        )
    except OSError as error:
        refusal = f"{setting}: the file cannot be read: {error.strerror}."
    if refusal:
        raise StorageError(refusal)
    return _keys_of(text, setting)


def _keys_of(text: str, setting: str) -> list[str]:
    keys = [key.strip() for key in text.split(",")]
    if not text.strip():
        raise StorageError(f"{setting} is empty. {_KEY_FORM}")
    if not all(_KEY.fullmatch(key) for key in keys):
        raise StorageError(f"{setting} does not contain a valid key. {_KEY_FORM}")
    return keys
