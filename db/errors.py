"""The errors of this package. Each `str()` is fit for the user: what happened, what it means for the data, what to do.

No stored value is in any of them.

StorageError        the database or the encryption key does not work
└── CannotOpen      a stored key cannot be decrypted
NotFound            the item does not exist or belongs to somebody else; the error does not say which
NotAllowed          the role of the acting person does not permit this
ChangedMeanwhile    somebody else changed the item since it was read
StillWriting        an answer in this chat is still being written
"""

READING = "The data could not be read; nothing was changed."
WRITING = "Nothing was saved."
OPENING = "Nothing was changed."
"""What a failed transaction means for the data: when reading, when writing, and when the database is being opened."""


def unexpected(code: str, outcome: str) -> str:
    """The sentence for an error of the database that has no sentence of its own. `code` is the database's own."""
    named = f" (error {code})" if code else ""
    return f"The database refused this{named}. {outcome} Try again; if it happens again, tell the administrator."


class StorageError(Exception):
    """The database or the encryption key does not work."""


class CannotOpen(StorageError):
    """A stored key cannot be decrypted: wrong encryption key, copied to another row or host, or damaged."""


class NotFound(Exception):
    """The item does not exist, or belongs to somebody else."""


class NotAllowed(Exception):
    """The role of the acting person does not permit this."""


class ChangedMeanwhile(Exception):
    """Somebody else changed the item since it was read, so nothing was saved."""


class StillWriting(Exception):
    """An answer in this chat is still being written, so no other answer was started."""
