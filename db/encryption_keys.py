"""The encryption keys over all stored keys: how many each of them opens, and putting everything under the first."""

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
    """How many stored keys each encryption key opens, the first one first, and whose keys none of them opens."""

    opened: tuple[int, ...]
    unreadable: tuple[str, ...]
    """Names of configurations."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did: numbers of stored keys."""

    resealed: int
    skipped: int
    """The first encryption key opened them already."""
    unreadable: tuple[str, ...]
    """Names of configurations whose key no encryption key opens. They stay as they are."""


class EncryptionKeys:
    """The keys that ENCRYPTION_KEY and the like name. For administrators; everybody else gets `NotAllowed`."""

    source: str
    """Where they are from, for a person to read: a setting's or a file's name."""

    def __init__(
        self, storage: Storage, cipher: Cipher, number: int, source: str, clock: Callable[[], datetime]
    ) -> None:
        self._storage = storage
        self._cipher = cipher
        self._number = number
        self._clock = clock
        self.source = source

    def usage(self, person: Person) -> KeyUsage:
        """Count what is stored by the key that opens it; nothing is decrypted."""
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
        """Seal under the first key whatever another one opens, one row after the other, while the app runs.

        May be interrupted and repeated at any time: each row is under the old key or under the new one.
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
            if not done:  # somebody saved or deleted it meanwhile
                rows += self._stored(ConfigurationRecord.id == id)
        return Rotation(resealed, skipped, tuple(sorted(unreadable)))

    def _stored(self, *which: ColumnElement[bool]) -> list[tuple[str, str, str]]:
        columns = ConfigurationRecord.id, ConfigurationRecord.display_name, ConfigurationRecord.sealed_key
        with self._storage.reading() as session:
            rows = session.execute(select(*columns).where(_SEALED, *which).order_by(ConfigurationRecord.folded_name))
            return [(id, name, sealed) for id, name, sealed in rows]

    def _replace(self, person: Person, id: str, name: str, sealed: str, resealed: str) -> bool:
        """Whether the row still held what was read of it."""
        as_read = ConfigurationRecord.id == id, ConfigurationRecord.sealed_key == sealed
        with self._storage.writing() as session:
            done = session.execute(update(ConfigurationRecord).where(*as_read).values(sealed_key=resealed))
            if not done.rowcount:  # type: ignore[attr-defined]  # an update has one
                return False
            note(session, person, AuditAction.ROTATED, self._clock(), id=id, name=name)
        return True
