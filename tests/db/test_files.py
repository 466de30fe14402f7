"""The files of an SQLite database: replaced while in use, closed to other users, and what killed processes leave."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from connector import Configuration
from db import Database, Person, SavedConfiguration, StorageError
from db.files import folder_beside
from tests.db.conftest import ENCRYPTION_KEY, run_sql
from tests.db.processes import beside

Open = Callable[..., Database]

MISSING = (
    "The database file that DATABASE_URL names was deleted or moved while it was in use. Nothing was saved. "
    "Put it back and try again."
)
REPLACED = (
    "The database file that DATABASE_URL names was replaced while it was in use. Nothing was saved. "
    "Put the previous file back and try again, or restart the app to use the new one. "
    "To restore a backup while the app runs, use: python -m db restore FILE."
)
LOG = (
    "The file -wal or -shm beside the database was deleted, moved or replaced while it was in use. Nothing was saved. "
    "Put it back and try again, or restart the app."
)


@pytest.fixture
def kind() -> str:
    return "sqlite"


@pytest.fixture
def url(url: str, path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The address of the file itself, of a link to it, or through a link to its folder."""
    by = getattr(request, "param", "itself")
    if by == "a link":
        (tmp_path / "link.db").symlink_to(path)
        return f"sqlite:///{tmp_path / 'link.db'}"
    if by == "a linked folder":
        (tmp_path / "linked").symlink_to(path.parent)
        return f"sqlite:///{tmp_path / 'linked' / path.name}"
    return url


# -- deleted or replaced


def move(path: Path) -> Callable[[], object]:
    aside = path.rename(path.with_name("aside"))
    return lambda: aside.rename(path)


def delete(path: Path) -> Callable[[], object]:
    kept = path.with_name("kept")
    kept.hardlink_to(path)
    path.unlink()
    return lambda: kept.rename(path)


def replace(path: Path) -> Callable[[], object]:
    back = move(path)
    shutil.copy(path.with_name("aside"), path)
    return back


def replace_by_a_folder(path: Path) -> Callable[[], object]:
    back = move(path)
    path.mkdir()

    def put_back() -> None:
        path.rmdir()
        back()

    return put_back


def move_the_folder(path: Path) -> Callable[[], object]:
    aside = path.parent.rename(path.parent.with_name("moved"))
    return lambda: aside.rename(path.parent)


def of(ending: str, exchange: Callable[[Path], Callable[[], object]]) -> Callable[[Path], Callable[[], object]]:
    return lambda path: exchange(path.with_name(f"{path.name}{ending}"))


EXCHANGES = {
    "moved": (move, MISSING),
    "deleted": (delete, MISSING),
    "replaced": (replace, REPLACED),
    "replaced by a folder": (replace_by_a_folder, REPLACED),
    "in a moved folder": (move_the_folder, MISSING),
    "log deleted": (of("-wal", delete), LOG),
    "log replaced": (of("-wal", replace), LOG),
    "index of the log deleted": (of("-shm", delete), LOG),
}


@pytest.mark.parametrize(
    ("url", "exchange"),
    [*(("itself", name) for name in EXCHANGES), ("a link", "replaced"), ("a linked folder", "in a moved folder")],
    indirect=["url"],
)
def test_nothing_is_written_until_the_file_is_back(
    database: Database,
    me: Person,
    configuration: Configuration,
    path: Path,
    url: str,
    open_database: Open,
    exchange: str,
) -> None:
    exchange_it, sentence = EXCHANGES[exchange]
    saved = database.configurations.add(me, configuration)
    put_back = exchange_it(path)
    for _ in range(2):
        with pytest.raises(StorageError) as caught:
            database.chat_sessions.create(me, title="Lost", configuration_id=None)
        assert str(caught.value) == sentence
        assert caught.value.__context__ is caught.value.__cause__ is None
    assert database.configurations.all(me) == [saved], "what was shown can still be read"
    put_back()
    chat = database.chat_sessions.create(me, title="Kept", configuration_id=None)
    database.close()
    again = open_database()
    assert again.chat_sessions.all(me) == [chat]
    assert again.configurations.all(me) == [saved]
    assert run_sql(url, "PRAGMA integrity_check") == [("ok",)]


def test_a_file_that_is_replaced_during_a_transaction_is_not_written(
    database: Database, me: Person, path: Path
) -> None:
    put_back = []

    def write() -> None:
        with database._storage.writing() as session:
            session.connection().exec_driver_sql("UPDATE people SET name = 'Lost'")
            put_back.append(replace(path))

    with pytest.raises(StorageError) as caught:
        write()
    assert str(caught.value) == REPLACED
    put_back[0]()
    assert database.people.local() == me


def test_a_restart_uses_the_new_file_as_it_is(
    database: Database, me: Person, saved: SavedConfiguration, path: Path, tmp_path: Path, open_database: Open
) -> None:
    database.back_up(me, tmp_path / "backup.db")
    before = (tmp_path / "backup.db").read_bytes()
    for number in range(50):
        database.chat_sessions.create(me, title=f"Later {number}", configuration_id=saved.id)
    os.replace(tmp_path / "backup.db", path)
    with pytest.raises(StorageError, match="was replaced"):
        database.chat_sessions.create(me, title="Lost", configuration_id=None)
    assert path.with_name("workbench.db-wal").stat().st_size == 0, "nothing is applied to the new file after a kill"
    assert path.read_bytes() == before
    database.close()
    again = open_database()
    assert again.chat_sessions.all(me) == []
    assert again.configurations.all(me) == [saved]


def test_a_file_that_was_moved_away_is_complete(
    database: Database, me: Person, saved: SavedConfiguration, path: Path, tmp_path: Path
) -> None:
    away = path.rename(tmp_path / "away.db")
    with pytest.raises(StorageError, match="deleted or moved"):
        database.chat_sessions.create(me, title="Lost", configuration_id=None)
    shutil.copy(away, tmp_path / "copy.db")
    with closing(Database(f"sqlite:///{tmp_path / 'copy.db'}", encryption_key=ENCRYPTION_KEY)) as copy:
        assert copy.configurations.all(me) == [saved]


def test_no_new_connection_leads_to_another_file(database: Database, me: Person, path: Path) -> None:
    move(path)
    database._storage.backend.reader.dispose()
    with pytest.raises(StorageError, match=r"cannot be opened\. The data could not be read"):
        database.chat_sessions.all(me)
    assert not path.exists(), "no empty database is created"
    shutil.copy(path.with_name("aside"), path)
    with pytest.raises(StorageError, match=r"was replaced .* The data could not be read"):
        database.chat_sessions.all(me)


def test_a_database_that_nobody_replaced_can_be_closed_to_all_connections_for_a_while(
    database: Database, me: Person, path: Path
) -> None:
    """Its log is deleted with the last connection, and the next one creates another."""
    for _ in range(3):
        database._storage.backend.reader.dispose()
        database._storage.backend.writer.dispose()
        assert not path.with_name("workbench.db-wal").exists()
        path.with_name("other").write_text("takes the inode of the log")
        database.chat_sessions.create(me, title="Kept", configuration_id=None)
        path.with_name("other").unlink()
    assert len(database.chat_sessions.all(me)) == 3


def test_another_process_may_write_and_restore_while_the_file_is_in_use(
    database: Database, me: Person, saved: SavedConfiguration, path: Path, url: str, tmp_path: Path
) -> None:
    database.back_up(me, tmp_path / "backup.db")
    database.configurations.delete(me, saved.id)
    with beside(restore, url, tmp_path / "backup.db") as other:
        assert other.ended_well()
    assert database.configurations.all(me) == [saved]
    assert database.configurations.make_default(me, saved.id).is_default


def restore(line: Connection, url: str, backup: Path) -> None:
    with closing(Database(url, encryption_key=ENCRYPTION_KEY, recover=False)) as database:
        database.restore(database.people.local(), backup, replaced=backup.with_name("replaced.db"))


# -- who may read


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def rights(folder: Path) -> dict[str, str]:
    return {file.name: oct(file.stat().st_mode & 0o777) for file in folder.iterdir() if file.suffix != ".in-use"}


@pytest.mark.parametrize("name", ["new.db", "link.db"])
def test_a_new_database_in_an_existing_folder_is_for_its_owner_only(tmp_path: Path, name: str) -> None:
    (tmp_path / "link.db").symlink_to("new.db")
    with umask(0o022), closing(Database(f"sqlite:///{tmp_path / name}", encryption_key=ENCRYPTION_KEY)) as database:
        database.chat_sessions.create(database.people.local(), title="Private", configuration_id=None)
        assert rights(tmp_path) == dict.fromkeys(["link.db", "new.db", "new.db-wal", "new.db-shm"], "0o600")


@pytest.mark.parametrize(
    ("mode", "expected"), [(0o644, 0o600), (0o664, 0o600), (0o666, 0o600), (0o640, 0o640), (0o660, 0o660)]
)
def test_an_existing_database_is_closed_to_other_users(
    open_database: Open, url: str, path: Path, mode: int, expected: int
) -> None:
    path.chmod(mode)
    with closing(sqlite3.connect(path)) as other:  # so that the log exists already
        other.execute("SELECT * FROM people").fetchall()
        database = open_database()
        database.chat_sessions.create(database.people.local(), title="Private", configuration_id=None)
        found = rights(path.parent)
    assert set(found.values()) == {oct(expected)}
    assert len(found) == 3


def test_a_file_of_another_program_keeps_its_rights(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE songs (title)")
    path.chmod(0o644)
    with pytest.raises(StorageError, match="another program"):
        Database(f"sqlite:///{path}", encryption_key=ENCRYPTION_KEY)
    assert path.stat().st_mode & 0o777 == 0o644


def open_as_nobody(line: Connection, url: str) -> None:
    """As a user whom the rights of files concern."""
    if os.getuid() == 0:
        os.setuid(65534)
    try:
        Database(url, encryption_key=ENCRYPTION_KEY).close()
        line.send("")
    except StorageError as error:
        line.send(str(error))


@pytest.fixture
def of_nobody(migrated_file: Path) -> Iterator[Path]:
    """A database that belongs to the user of `open_as_nobody`, in a folder that this user can reach."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(migrated_file, Path(folder) / "workbench.db"))
        if os.getuid() == 0:
            shutil.chown(path, 65534)
            shutil.chown(folder, 65534)
        yield path


READ_ONLY = (
    "The database is read-only. Nothing was changed. Check the permissions of the file that DATABASE_URL names, and of "
    "its folder."
)


def leave_a_read_only_log(path: Path) -> None:
    for ending in ("-wal", "-shm"):
        log = path.with_name(f"{path.name}{ending}")
        log.touch(mode=0o444)
        shutil.chown(log, path.stat().st_uid)


@pytest.mark.parametrize("leave", [lambda path: None, leave_a_read_only_log])
def test_a_read_only_start_leaves_nothing_that_blocks_the_next_start(
    of_nobody: Path, leave: Callable[[Path], None]
) -> None:
    leave(of_nobody)
    of_nobody.chmod(0o444)
    before = rights(of_nobody.parent)
    for mode, answer in ((0o444, READ_ONLY), (0o600, "")):
        of_nobody.chmod(mode)
        with beside(open_as_nobody, f"sqlite:///{of_nobody}") as other:
            assert other.said() == [answer]
        assert mode == 0o600 or rights(of_nobody.parent) == before


# -- what the dead leave


def back_up_for_ever(line: Connection, url: str, backup: Path) -> None:
    database = Database(url, encryption_key=ENCRYPTION_KEY, recover=False)
    while True:
        line.send("begins")
        database.back_up(database.people.local(), backup)
        backup.unlink()


def drafts(folder: Path) -> list[str]:
    return [file.name for file in folder.glob("workbench-unfinished-*/*")]


def killed_in_a_backup(url: str, backup: Path) -> None:
    """A process is killed while it writes a draft of the backup."""
    while not drafts(backup.parent):
        with beside(back_up_for_ever, url, backup) as other:
            other.line.recv()
            while other.process.is_alive() and not drafts(backup.parent):
                pass
            other.kill()


def test_what_a_killed_backup_left_is_removed_at_the_next_start_or_backup(
    database: Database, me: Person, path: Path, url: str, tmp_path: Path, open_database: Open
) -> None:
    database.chat_sessions.create(me, title="x" * 10**6, configuration_id=None)
    path.with_name("workbench-unfinished-work of mine").write_text("is a file")
    killed_in_a_backup(url, path.with_name("backup.db"))
    open_database()
    assert drafts(path.parent) == []

    (tmp_path / "backups").mkdir()
    killed_in_a_backup(url, tmp_path / "backups" / "backup.db")
    (tmp_path / "backups" / "backup.db").unlink(missing_ok=True)
    database.back_up(me, tmp_path / "backups" / "backup.db")
    assert [file.name for file in (tmp_path / "backups").iterdir()] == ["backup.db"]
    assert path.with_name("workbench-unfinished-work of mine").exists()


def hold_a_draft(line: Connection, backup: Path) -> None:
    with folder_beside(backup) as folder:
        (folder / "draft").touch()
        line.send("holds")
        line.recv()


def test_a_start_leaves_a_running_backup_alone(open_database: Open, path: Path) -> None:
    with beside(hold_a_draft, path.with_name("backup.db")) as other:
        other.line.recv()
        open_database()
        assert drafts(path.parent) == ["draft"]
        other.line.send("end")
        assert other.ended_well()
    assert drafts(path.parent) == []
