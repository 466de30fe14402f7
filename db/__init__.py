"""The data of the workbench: configurations with encrypted keys, chats, the ledger of calls, people, the audit log.

    database = Database("sqlite:///data/workbench.db")
    me = database.people.local()
    saved = database.configurations.add(me, Configuration(...))
    client = Client(database.configurations.open(me, saved.id))

Methods take and return values. Each is one transaction, and each on data of a person takes the acting person first.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from db.adaptations import LearntAdaptation, LearntAdaptations
from db.audit import Audit, AuditAction, AuditEntry
from db.backup import Restored, back_up, restore
from db.base import utc_now
from db.calls import Call, Calls, CallStart
from db.chat_sessions import UNDO, ChatSession, ChatSessions, FoundChat
from db.cipher import Cipher, automatic_keys, configured_keys, must_agree
from db.configurations import Configurations, SavedConfiguration, is_any_key_sealed
from db.conversation import Conversation, Said
from db.encryption_keys import EncryptionKeys, KeyUsage, Rotation
from db.errors import OPENING, CannotOpen, ChangedMeanwhile, NotAllowed, NotFound, StillWriting, StorageError
from db.lease import LEASE, interrupt
from db.lone_answers import LoneAnswer, LoneAnswers
from db.messages import Image, MessageStatus, StoredMessage
from db.people import People, Person, PersonRole
from db.picks import Pick, Picks
from db.storage import Storage
from db.turns import NewChat, Question, Turn, Turns, Written
from db.usage import Usage, UsageGroup, UsageRow

__all__ = [
    "LEASE",
    "UNDO",
    "Audit",
    "AuditAction",
    "AuditEntry",
    "Call",
    "CallStart",
    "Calls",
    "CannotOpen",
    "ChangedMeanwhile",
    "ChatSession",
    "ChatSessions",
    "Configurations",
    "Conversation",
    "Database",
    "EncryptionKeys",
    "FoundChat",
    "Image",
    "KeyUsage",
    "LearntAdaptation",
    "LearntAdaptations",
    "LoneAnswer",
    "LoneAnswers",
    "MessageStatus",
    "NewChat",
    "NotAllowed",
    "NotFound",
    "People",
    "Person",
    "PersonRole",
    "Pick",
    "Question",
    "Restored",
    "Rotation",
    "Said",
    "SavedConfiguration",
    "StillWriting",
    "StorageError",
    "StoredMessage",
    "Turn",
    "Turns",
    "Usage",
    "UsageGroup",
    "UsageRow",
    "Written",
    "utc_now",
]


log = logging.getLogger(__name__)


class Database:
    """One database and its collections. Create one per process.

    The constructor and every method raise `StorageError`, with a sentence that names the setting to check.
    """

    def __init__(
        self,
        url: str = "sqlite:///data/workbench.db",
        *,
        encryption_key: str = "",
        encryption_key_file: str = "",
        clock: Callable[[], datetime] = utc_now,
        recover: bool = True,
    ) -> None:
        """Open the SQLite file or PostgreSQL database that `url` names; a missing SQLite file is created.

        The encryption key is `encryption_key`, or is read from `encryption_key_file`. With SQLite and neither of them,
        it is in the file `encryption.key` beside the database, which is created on the first start. `clock` returns
        aware times in whole milliseconds. With `recover`, the answers of dead processes are marked as interrupted.
        Without it, for a command beside the app, no key file is created either.
        """
        keys, source = configured_keys(encryption_key, encryption_key_file)
        self._clock = clock
        self._storage = Storage(url, needs_key=not keys)
        try:
            if recover:
                is_alone = self._storage.join()
                with self._storage.writing(OPENING) as session:
                    interrupt(session, clock(), everything=is_alone)
            keys, source = self._with_key_file(keys, source, may_create=recover)
            self._cipher = Cipher(keys)
            self.configurations = Configurations(self._storage, self._cipher, clock)
            self.encryption_keys = EncryptionKeys(self._storage, self._cipher, len(keys), source, clock)
            self.chat_sessions = ChatSessions(self._storage, clock)
            self.turns = Turns(self._storage, clock)
            self.lone_answers = LoneAnswers(self._storage, clock)
            self.calls = Calls(self._storage, clock)
            self.usage = Usage(self._storage)
            self.adaptations = LearntAdaptations(self._storage)
            self.people = People(self._storage)
            self.picks = Picks(self._storage)
            self.audit = Audit(self._storage, clock)
            self._name_unreadable_keys()
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> str:
        """The URL of the database, without the password."""
        return self._storage.address

    @property
    def revision(self) -> str:
        """The revision of the schema, for example `0003`."""
        return self._storage.revision()

    def back_up(self, person: Person, file: Path) -> None:
        """Write all data of one moment to a new SQLite file, while others write. Only for administrators."""
        person.must_be_administrator()
        back_up(self._storage, file)

    def restore(self, person: Person, file: Path, *, replaced: Path, without_keys: bool = False) -> Restored:
        """Replace all data with that of a backup, while others write. Only for administrators.

        The previous data is backed up to `replaced` first. Raises `StorageError`, and changes nothing, if the file is
        not a backup, or if its API keys cannot be decrypted here; with `without_keys`, such API keys are left out.
        """
        person.must_be_administrator()
        now = self._clock()
        return restore(self._storage, self.encryption_keys, person, file, replaced, now, without_keys=without_keys)

    def close(self) -> None:
        """Close the database's files and connections."""
        self._storage.close()

    def _with_key_file(self, keys: list[str], source: str, *, may_create: bool) -> tuple[list[str], str]:
        """The configured keys, or for SQLite those of the automatic key file."""
        path = self._storage.path
        if path is None:
            return keys, source
        key_file = path.with_name("encryption.key")
        if keys:
            must_agree(keys, source, key_file)
            return keys, source
        with self._storage.reading() as session:
            is_sealed = is_any_key_sealed(session)
        return automatic_keys(key_file, is_needed=is_sealed or not may_create)

    def _name_unreadable_keys(self) -> None:
        names = self.encryption_keys.usage(self.people.local()).unreadable
        if names:
            log.warning(
                "The encryption key (%s) cannot decrypt the API keys of: %s. Set the encryption key that encrypted "
                "them, or enter these API keys again.",
                self.encryption_keys.source,
                ", ".join(names),
            )
