"""The files of an SQLite database: who may read them, whether they were exchanged, and copies that appear complete."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from db.errors import StorageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # the module does not exist there

_UNFINISHED = "workbench-unfinished-"
"""How the names of temporary folders begin."""

_Identity = tuple[int, int]
"""Device and inode."""


class OpenedFiles:
    """The database file and its write-ahead log as they were opened.

    SQLite does not notice that they are deleted or replaced while they are in use: it writes to the deleted file, or
    applies the log of the previous file to the new one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: _Identity | None = None
        self._log: dict[Path, _Identity | None] = {}

    def note(self) -> None:
        """Remember the files; call it while they are open."""
        self._file = self._file or _identity(self._path)
        if not self._log:
            self._log = {path: _identity(path) for path in _log_of(self._path)}

    def forget_log(self) -> None:
        """Remember the log anew with the next `note`: SQLite deletes it with the last connection."""
        self._log = {}

    def fault(self) -> str:
        """What happened to the remembered files: "FILE_MISSING", "FILE_REPLACED", "LOG_REPLACED", or "" for nothing."""
        now = _identity(self._path)
        if self._file and now != self._file:
            return "FILE_REPLACED" if now else "FILE_MISSING"
        return "LOG_REPLACED" if any(_identity(path) != opened for path, opened in self._log.items()) else ""


def _identity(path: Path) -> _Identity | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _log_of(path: Path) -> list[Path]:
    """The write-ahead log and its index. SQLite follows links: the log is beside the file itself."""
    return [Path(f"{os.path.realpath(path)}{ending}") for ending in ("-wal", "-shm")]


def is_read_only(path: Path) -> bool:
    """Whether the file exists and cannot be written."""
    return path.is_file() and not os.access(path, os.W_OK)


def create(path: Path) -> None:
    """Create the database file for its owner only, unless it exists. SQLite reports if it cannot be created."""
    with suppress(OSError):
        os.close(os.open(os.path.realpath(path), os.O_CREAT | os.O_EXCL, 0o600))


def unlock_log(path: Path) -> None:
    """Give the log the rights of the file. It is read-only forever if the file was read-only at an earlier start."""
    with suppress(OSError):
        _change_rights(_log_of(path), path.stat().st_mode & 0o777)


def protect(path: Path) -> None:
    """Take the rights of all other users from the file and its log, unless only a group has rights."""
    with suppress(OSError):  # the file belongs to another user
        mode = path.stat().st_mode & 0o777
        if mode & 0o007:
            _change_rights([path, *_log_of(path)], mode & 0o700)


def _change_rights(files: list[Path], mode: int) -> None:
    for file in files:
        if file.exists() and file.stat().st_mode & 0o777 != mode:
            file.chmod(mode)


@contextmanager
def draft_of(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """An empty file, readable by its owner only, which is renamed to `path` at the end. Raises `StorageError`."""
    with folder_beside(path) as folder:
        draft = folder / path.name
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL, 0o600))
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            os.link(draft, path)  # unlike a rename, this fails if the file exists


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, for its owner only. Raises `StorageError` if nothing can be written there."""
    refusal = ""
    try:
        remove_unfinished(path.parent)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=_UNFINISHED) as folder, _locked(Path(folder)):
            yield Path(folder)
    except OSError as error:
        refusal = f"{path} cannot be written: {error.strerror}."
    if refusal:
        raise StorageError(refusal)


def remove_unfinished(parent: Path) -> None:
    """Remove the temporary folders that killed processes left in `parent`."""
    for folder in parent.glob(f"{_UNFINISHED}*"):
        with suppress(OSError):
            if any(folder.iterdir()):  # an empty one is new, and its process is about to lock it
                with _locked(folder) as is_mine:
                    if is_mine:
                        shutil.rmtree(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold a lock that ends with the process. Yields False if another process holds it, or if there are no locks."""
    if fcntl is None:
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
