"""The encryption keys: how many API keys each of them decrypts, and their rotation."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select, update

from db.audit import AuditAction, note
from db.cipher import Cipher
from db.configurations import ConfigurationRecord
from db.errors import CannotOpen
from db.people import Person
from db.storage import Storage

_SEALED = ConfigurationRecord.sealed_key != ""


@dataclass(frozen=True, slots=True)
class KeyUsage:
    """How many API keys each encryption key decrypts, in the order of the encryption keys."""

    opened: tuple[int, ...]
    unreadable: tuple[str, ...]
    """The names of the configurations whose API key none of them decrypts."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """The result of a rotation, in numbers of API keys."""

    resealed: int
    skipped: int
    """These were already encrypted with the first encryption key."""
    unreadable: tuple[str, ...]
    """The names of the configurations whose API key no encryption key decrypts. These keys stay as they are."""


class EncryptionKeys:
    """The encryption keys of this process. Only for administrators; everybody else gets `NotAllowed`."""

    source: str
    """Where the keys come from, as text for a person: the name of a setting or of a file."""

    def __init__(
        self, storage: Storage, cipher: Cipher, number: int, source: str, clock: Callable[[], datetime]
    ) -> None:
        self._storage = storage
        self._cipher = cipher
        self._number = number
        self._clock = clock
        self.source = source

    @property
    def how_to_add(self) -> str:
        """One sentence: how to make this process decrypt with one more encryption key."""
        if self._number:
            return f"Add the encryption key that encrypted them to {self.source}, after a comma."
        return "Put their file encryption.key beside the database, or set ENCRYPTION_KEY to the key in it."

    def can_open(self, sealed: str) -> bool:
        """Whether one of the encryption keys decrypts this text. Decrypts nothing."""
        return self._cipher.key_of(sealed) is not None

    def usage(self, person: Person) -> KeyUsage:
        """Count the API keys by the encryption key that decrypts them. Decrypts nothing."""
        person.must_be_administrator()
        opened, unreadable = [0] * self._number, []
        for _, name, sealed in self._stored():
            key = self._cipher.key_of(sealed)
            if key is None:
                unreadable.append(name)
            else:
                opened[key] += 1
        return KeyUsage(tuple(opened), tuple(unreadable))

    def rotate(self, person: Person) -> Rotation:
        """Encrypt all API keys with the first encryption key, row by row, while the app runs.

        It can be interrupted and repeated at any time: each row has either the old encryption or the new one.
        """
        person.must_be_administrator()
        resealed, skipped, unreadable = 0, 0, []
        rows = self._stored()
        while rows:
            id, name, sealed = rows.pop()
            if self._cipher.key_of(sealed) == 0:
                skipped += 1
                continue
            try:
                done = self._replace(person, id, name, sealed, self._cipher.reseal(sealed))
            except CannotOpen:
                unreadable.append(name)
                continue
            resealed += done
            if not done:  # the row was changed or deleted meanwhile
                rows += self._stored(ConfigurationRecord.id == id)
        return Rotation(resealed, skipped, tuple(sorted(unreadable)))

    def _stored(self, *which: ColumnElement[bool]) -> list[tuple[str, str, str]]:
        columns = ConfigurationRecord.id, ConfigurationRecord.display_name, ConfigurationRecord.sealed_key
        with self._storage.reading() as session:
            rows = session.execute(select(*columns).where(_SEALED, *which).order_by(ConfigurationRecord.folded_name))
            return [(id, name, sealed) for id, name, sealed in rows]

    def _replace(self, person: Person, id: str, name: str, sealed: str, resealed: str) -> bool:
        """Update the row if it is unchanged since it was read. Returns whether it was."""
        as_read = ConfigurationRecord.id == id, ConfigurationRecord.sealed_key == sealed
        with self._storage.writing() as session:
            done = session.execute(update(ConfigurationRecord).where(*as_read).values(sealed_key=resealed))
            if not done.rowcount:  # type: ignore[attr-defined]  # an update has one
                return False
            note(session, person, AuditAction.ROTATED, self._clock(), id=id, name=name)
        return True
