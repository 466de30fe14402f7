"""What goes wrong here. Each `str()` is a sentence for the user that holds no stored value and says what to do.

StorageError        the database or its encryption key is in the way
└── CannotOpen      a stored key does not open
NotFound            it does not exist, or it belongs to somebody else; nobody is told which
NotAllowed          the acting person's role does not permit it
ChangedMeanwhile    somebody else changed it since it was read
StillWriting        an answer in this chat is still being written
"""


class StorageError(Exception):
    """The database or its encryption key is in the way."""


class CannotOpen(StorageError):
    """A stored key does not open: another encryption key, another row, another host, or changed bytes."""


class NotFound(Exception):
    """What was asked for does not exist, or belongs to somebody else."""


class NotAllowed(Exception):
    """The acting person's role does not permit this."""


class ChangedMeanwhile(Exception):
    """Somebody else changed it since it was read, so nothing was saved."""


class StillWriting(Exception):
    """An answer in this chat is still being written, so no other one was begun."""
