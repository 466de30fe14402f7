"""Encrypts ("seals") an API key for one configuration and one origin, and loads the encryption keys.

The encrypted text is a JSON document with the key, the configuration and the origin. So it cannot be decrypted after it
was copied to another row, or after its row was given an endpoint at another host. Before it stands which encryption key
encrypted it, so that a missing encryption key and a changed text are two findings: `1f0c9a2b:gAAAA...`. To change the
encryption key, put the new one before the old, `ENCRYPTION_KEY=new,old`: the first one encrypts, all of them decrypt,
and `db.encryption_keys.rotate` encrypts all API keys with the first.
"""

import json
import os
import re
import tempfile
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from hashlib import sha256
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
_NO_KEY = "No key is stored for this configuration. Enter the key again."
_OTHER_ENCRYPTION_KEY = (
    "The encryption key that encrypted the stored key is not set here. The stored key was not changed. Add that "
    "encryption key (ENCRYPTION_KEY accepts several, separated by commas) and restart. Enter the key again if the "
    "encryption key is lost."
)
_DAMAGED = "The stored key was damaged or changed outside of this app. Enter the key again, or restore a backup."
_OTHER_ROW = (
    "The stored key belongs to another configuration: it was copied to this one outside of this app. Nothing was sent. "
    "Enter the key again."
)


class Cipher:
    """Encrypts and decrypts API keys. Without encryption keys it raises an error that says what to do."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernets = [Fernet(key) for key in keys]
        self._fernet = MultiFernet(self._fernets) if keys else None
        self._ids = [_id_of(key) for key in keys]

    def seal(self, api_key: SecretStr, configuration_id: str, origin: str) -> str:
        """The encrypted key, which can only be decrypted for this configuration and origin. It differs each time."""
        if self._fernet is None:
            raise StorageError(
                "The API key cannot be saved because the encryption key is missing. Nothing was saved. Put the file "
                "encryption.key back beside the database, or set ENCRYPTION_KEY."
            )
        document = {"configuration": configuration_id, "origin": origin, "key": api_key.get_secret_value()}
        return f"{self._ids[0]}:{self._fernet.encrypt(json.dumps(document).encode()).decode()}"

    def open(self, sealed: str, configuration_id: str, origin: str) -> SecretStr:
        """The key that was encrypted for this configuration and origin. Raises `CannotOpen` if that fails."""
        found_id, found_origin, key = self._document(sealed)
        if found_id != configuration_id:
            raise CannotOpen(_OTHER_ROW)
        if found_origin != origin:
            raise CannotOpen(other_host(found_origin, origin))
        return SecretStr(key)

    def origin_of(self, sealed: str, configuration_id: str) -> str | None:
        """The origin that the key was encrypted for; None if it cannot be decrypted for this configuration."""
        try:
            found_id, origin, _ = self._document(sealed)
        except CannotOpen:
            return None
        return origin if found_id == configuration_id else None

    def _document(self, sealed: str) -> tuple[str, str, str]:
        """The configuration, the origin and the key in an encrypted text. Raises `CannotOpen`."""
        if self._fernet is None:
            raise CannotOpen(
                "The stored API keys cannot be decrypted because the encryption key is missing. They are still stored. "
                "Put the file encryption.key back beside the database, or set ENCRYPTION_KEY and enter the key again."
            )
        found: tuple[object, ...] = ()
        try:
            document = json.loads(self._fernet.decrypt(_token_of(sealed)))
            found = document["configuration"], document["origin"], document["key"]
        except (*_UNREADABLE, TypeError, KeyError):  # the last two: encrypted with our key, but by another program
            pass
        match found:
            case (str(configuration_id), str(origin), str(key)):
                return configuration_id, origin, key
        raise CannotOpen(self._why_unreadable(sealed))

    def _why_unreadable(self, sealed: str) -> str:
        if not sealed:
            return _NO_KEY
        id, _, token = sealed.rpartition(":")
        is_ours = id in self._ids or self.key_of(sealed) is not None
        return _DAMAGED if is_ours or not _is_well_formed(token) else _OTHER_ENCRYPTION_KEY

    def key_of(self, sealed: str) -> int | None:
        """The index of the encryption key that encrypted this text, or None. Decrypts nothing."""
        for at, fernet in enumerate(self._fernets):
            try:
                fernet.extract_timestamp(_token_of(sealed))  # checks the signature without decrypting
            except _UNREADABLE:
                continue
            return at
        return None

    def reseal(self, sealed: str) -> str:
        """The same API key, encrypted with the first encryption key. Raises `CannotOpen` if no key decrypts it."""
        try:
            if self._fernet is not None:
                return f"{self._ids[0]}:{self._fernet.rotate(_token_of(sealed)).decode()}"
        except _UNREADABLE:
            pass
        raise CannotOpen("No encryption key can decrypt this API key.")


def _id_of(encryption_key: str) -> str:
    return sha256(urlsafe_b64decode(encryption_key)).hexdigest()[:8]


def _token_of(sealed: str) -> str:
    """The Fernet token in an encrypted text. Texts of older versions consist of the token alone."""
    return sealed.rpartition(":")[2]


def _is_well_formed(token: str) -> bool:
    """Whether it has the form of a Fernet token: https://github.com/fernet/spec/blob/master/Spec.md."""
    try:
        content = urlsafe_b64decode(token)
    except ValueError:
        return False
    return content[:1] == b"\x80" and len(content) >= 73 and (len(content) - 57) % 16 == 0


def other_host(entered: str, now: str) -> str:
    """What to say about a key that was entered for another origin than that of the address."""
    one, other = _shown(entered), _shown(now)
    if not other or one.partition("://")[0] == other.partition("://")[0]:
        one, other = one.partition("://")[2], other.partition("://")[2]
    return (
        f"This key was entered for {one}, the address now leads to {other or 'no host'}. Nothing was sent. The address "
        "was changed outside of this app: correct it. Enter a key for the new address only if you trust it."
    )


def _shown(origin: str) -> str:
    return origin.removesuffix(":443" if origin.startswith("https:") else ":80")


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
