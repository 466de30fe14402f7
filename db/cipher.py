"""Seals an API key to the configuration and the origin it was entered for, and finds the key that seals.

What is sealed is a JSON document of the three, so a sealed text that is copied to another row, or whose row is pointed
at another host, does not open. Changing the encryption key: put the new one before the old, `ENCRYPTION_KEY=new,old`;
the first seals, all of them open; `db.encryption_keys` then puts everything under the first.
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

_UNREADABLE = (InvalidToken, ValueError)  # ValueError: it has letters that are not ASCII
_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")
_KEY_FORM = (
    "An encryption key is 44 characters, made with: "
    'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
)


class Cipher:
    """Seals and opens API keys. Without encryption keys it does neither, and says what to do."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernets = [Fernet(key) for key in keys]
        self._fernet = MultiFernet(self._fernets) if keys else None

    def seal(self, api_key: SecretStr, configuration_id: str, origin: str) -> str:
        """Text that only opens for this configuration and origin, another one each time."""
        if self._fernet is None:
            raise StorageError(
                "No key can be saved without the encryption key: put the file encryption.key back beside the database, "
                "or set ENCRYPTION_KEY."
            )
        document = {"configuration": configuration_id, "origin": origin, "key": api_key.get_secret_value()}
        return self._fernet.encrypt(json.dumps(document).encode()).decode()

    def open(self, sealed: str, configuration_id: str, origin: str) -> SecretStr:
        """The key that was sealed for this configuration and origin; raises `CannotOpen` for anything else."""
        if self._fernet is None:
            raise CannotOpen(
                "The stored keys cannot be opened without the encryption key: put the file encryption.key back beside "
                "the database, or set ENCRYPTION_KEY and enter the key again."
            )
        key = None
        try:
            document = json.loads(self._fernet.decrypt(sealed))
            if (document["configuration"], document["origin"]) == (configuration_id, origin):
                key = document["key"]
        except (*_UNREADABLE, TypeError, KeyError):  # the last two: sealed with our key, but not here
            pass
        if not isinstance(key, str):
            raise CannotOpen("The stored key of this configuration cannot be opened. Enter the key again.")
        return SecretStr(key)

    def key_of(self, sealed: str) -> int | None:
        """Which of the encryption keys sealed this, 0 for the first; None: none of them. Nothing is decrypted."""
        for at, fernet in enumerate(self._fernets):
            try:
                fernet.extract_timestamp(sealed)  # checks the signature, and reads no more than it must
            except _UNREADABLE:
                continue
            return at
        return None

    def reseal(self, sealed: str) -> str:
        """The same under the first encryption key; raises `CannotOpen`."""
        try:
            if self._fernet is not None:
                return self._fernet.rotate(sealed).decode()
        except _UNREADABLE:
            pass
        raise CannotOpen("No encryption key opens this.")


def configured_keys(encryption_key: str, encryption_key_file: str) -> tuple[list[str], str]:
    """The keys of the two settings, and the name of the one they are from; nothing when neither is set.

    Raises `StorageError` when a setting is unusable, or when the two do not say the same.
    """
    of_text = _keys_of(encryption_key, "ENCRYPTION_KEY") if encryption_key else []
    of_file = _keys_in(Path(encryption_key_file), "ENCRYPTION_KEY_FILE") if encryption_key_file else []
    if of_text and of_file and of_text != of_file:
        raise StorageError("ENCRYPTION_KEY and ENCRYPTION_KEY_FILE do not agree. Set only one of them.")
    if of_text:
        return of_text, "ENCRYPTION_KEY"
    return of_file, "ENCRYPTION_KEY_FILE" if of_file else ""


def must_agree(keys: Sequence[str], setting: str, path: Path) -> None:
    """Raises `StorageError` when the automatic file holds a key that the setting does not: it may have sealed what is
    stored, and nobody would know why that does not open any more.
    """
    if path.exists() and not set(_keys_in(path, str(path))) <= set(keys):
        raise StorageError(
            f"{setting} and the file {path} do not agree. Put the file's key behind the new one, "
            f"{setting}=new,old; or move the file away if nothing is sealed with it."
        )


def automatic_keys(path: Path, *, is_needed: bool) -> tuple[list[str], str]:
    """The keys in the automatic file, and where they are from for a person to read; makes the file when there is none.

    `is_needed`: something is sealed already. Then a lost file is not replaced, because a new key would open nothing
    and would hide what is missing; there are no keys until the file is back.
    """
    if not path.exists():
        if is_needed:
            return [], f"none: {path} is missing"
        _make_key_file(path)
    return _keys_in(path, str(path)), str(path)


def _make_key_file(path: Path) -> None:
    """Make it whole or not at all, readable by its owner only. When another process is first, its file stays."""
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
        refusal = f"The encryption key file {path} cannot be made: {error.strerror}. Set ENCRYPTION_KEY instead."
    if refusal:
        raise StorageError(refusal)


def _keys_in(path: Path, setting: str) -> list[str]:
    # The group may read it: that is how orchestrators hand secrets to a process that is not root.
    try:
        open_to_all = os.name == "posix" and path.stat().st_mode & 0o007
        text = path.read_bytes().decode(errors="replace")
        refusal = f"{setting}: everybody can read the file. Run chmod 600 on it." if open_to_all else ""
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
        raise StorageError(f"{setting} does not hold a usable key. {_KEY_FORM}")
    return keys
