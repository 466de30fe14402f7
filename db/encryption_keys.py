"""The encryption keys: how many API keys each of them decrypts, and their rotation.

The values of a configuration's headers, and the key before its present one, count as parts of its API key.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from db.audit import AuditAction, note
from db.cipher import Cipher
from db.configuration_record import ConfigurationRecord, reseal, sealed_texts
from db.people import Person
from db.storage import Storage


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
        with self._storage.reading() as session:
            for record in session.scalars(select(ConfigurationRecord).order_by(ConfigurationRecord.folded_name)):
                keys = self._keys_of(record)
                if None in keys:
                    unreadable.append(record.display_name)
                elif keys:
                    opened[max(filter(None, keys), default=0)] += 1
        return KeyUsage(tuple(opened), tuple(unreadable))

    def rotate(self, person: Person) -> Rotation:
        """Encrypt all API keys with the first encryption key, row by row, while the app runs.

        It can be interrupted and repeated at any time: each row has either the old encryption or the new one.
        """
        person.must_be_administrator()
        resealed, skipped, unreadable = 0, 0, []
        with self._storage.reading() as session:
            ids = session.scalars(select(ConfigurationRecord.id)).all()
        for id in ids:
            with self._storage.writing() as session:
                record = session.get(ConfigurationRecord, id)
                keys = self._keys_of(record) if record else set()
                if record is None or not keys:  # deleted meanwhile, or an identity
                    continue
                if None in keys:
                    unreadable.append(record.display_name)
                elif keys == {0}:
                    skipped += 1
                else:
                    reseal(record, self._cipher.reseal)
                    note(session, person, AuditAction.ROTATED, self._clock(), id=id, name=record.display_name)
                    resealed += 1
        return Rotation(resealed, skipped, tuple(sorted(unreadable)))

    def _keys_of(self, record: ConfigurationRecord) -> set[int | None]:
        """The indexes of the encryption keys that the encrypted texts of a configuration need; None: an unknown one."""
        return {self._cipher.key_of(each) for each in sealed_texts(record)}
