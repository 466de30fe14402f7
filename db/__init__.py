"""What the workbench remembers: configurations with sealed keys, chats, the ledger of calls, people.

    database = Database("sqlite:///data/workbench.db")
    me = database.people.local()
    saved = database.configurations.add(me, Configuration(...))
    client = Client(database.configurations.open(me, saved.id))

Methods take and give values, each is one transaction, and each that concerns somebody takes the acting person first.
"""

from collections.abc import Callable
from datetime import datetime

from db.adaptations import LearntAdaptation, LearntAdaptations
from db.base import NotAllowed, NotFound, Storage, StorageError, utc_now
from db.calls import Call, Calls, CallStart, UsageGroup, UsageRow, interrupt_calls
from db.chat_sessions import ChatSession, ChatSessions, MessageStatus, StoredMessage, Turn, interrupt_answers
from db.cipher import CannotOpen, Cipher, automatic_keys, configured_keys
from db.configurations import Configurations, SavedConfiguration, is_any_key_sealed
from db.people import People, Person, PersonRole

__all__ = [
    "Call",
    "CallStart",
    "Calls",
    "CannotOpen",
    "ChatSession",
    "ChatSessions",
    "Configurations",
    "Database",
    "LearntAdaptation",
    "LearntAdaptations",
    "MessageStatus",
    "NotAllowed",
    "NotFound",
    "People",
    "Person",
    "PersonRole",
    "SavedConfiguration",
    "StorageError",
    "StoredMessage",
    "Turn",
    "UsageGroup",
    "UsageRow",
]


class Database:
    """One database and its collections. Make one per process: it takes whatever was under way for interrupted, until
    the process that it is under way in says how it ended.

    Raises `StorageError`, here and in every method, with a sentence that names the setting in the way.
    """

    key_source: str
    """Where the key that seals API keys is from, for a person to read: a setting's or a file's name."""

    def __init__(
        self,
        url: str = "sqlite:///data/workbench.db",
        *,
        encryption_key: str = "",
        encryption_key_file: str = "",
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """`url` names an SQLite file, made when it is not there. `clock` gives aware times in whole milliseconds.

        The encryption key is `encryption_key`, or in `encryption_key_file`, or in the file `encryption.key` beside the
        database, which is made on the first start.
        """
        keys, self.key_source = configured_keys(encryption_key, encryption_key_file)
        self._storage = Storage(url)
        try:
            with self._storage.writing() as session:
                interrupt_answers(session)
                interrupt_calls(session)
                is_sealed = is_any_key_sealed(session)
            if not keys:
                key_file = self._storage.path.with_name("encryption.key")
                keys, self.key_source = automatic_keys(key_file, is_needed=is_sealed)
        except BaseException:
            self.close()
            raise
        self.configurations = Configurations(self._storage, Cipher(keys), clock)
        self.chat_sessions = ChatSessions(self._storage, clock)
        self.calls = Calls(self._storage, clock)
        self.adaptations = LearntAdaptations(self._storage)
        self.people = People(self._storage)

    def close(self) -> None:
        """Close the database's files."""
        self._storage.close()
