"""``python -m db``: commands for administrators. They work whether the app is running or not.

    python -m db status              show the database, and how many API keys each encryption key decrypts
    python -m db rotate-key          encrypt all API keys with the first encryption key
    python -m db backup FILE         write all data to a new file
    python -m db restore FILE        replace all data with that of a backup; the previous data is kept beside it;
                                     with --without-keys, also if some API keys in the backup cannot be decrypted

The command reads the same settings as the app: DATABASE_URL, ENCRYPTION_KEY, ENCRYPTION_KEY_FILE.
"""

import argparse
import os
import sys
from contextlib import closing
from pathlib import Path

from db import Database, StorageError, utc_now
from settings import InvalidSetting, Settings


def main() -> int:
    options = _options()
    try:
        settings = Settings.from_environment(os.environ)
        if options.run is not _restore:
            _must_be_there(settings.database_url)
        # Without `recover`: the answers that the app is writing must not be marked as interrupted.
        database = Database(
            settings.database_url,
            encryption_key=settings.encryption_key,
            encryption_key_file=settings.encryption_key_file,
            recover=False,
        )
        with closing(database):
            return int(options.run(database, options))
    except (InvalidSetting, StorageError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m db", description="Manage the data of the workbench.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, what, file in (
        ("status", _status, "show the database, and how many API keys each encryption key decrypts", ""),
        ("rotate-key", _rotate, "encrypt all API keys with the first encryption key", ""),
        ("backup", _backup, "write all data to a new file", "the file to write; it must not exist yet"),
        ("restore", _restore, "replace all data with that of a backup", "a file that the backup command wrote"),
    ):
        command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        command.set_defaults(run=run)
        if file:
            command.add_argument("file", type=Path, metavar="FILE", help=file)
        if run is _restore:
            command.add_argument(
                "--without-keys", action="store_true", help="leave out the API keys that no encryption key decrypts"
            )
    return parser.parse_args()


def _must_be_there(url: str) -> None:
    """Raises `StorageError` for a missing file: a mistyped path would otherwise create and back up an empty one."""
    file = url.removeprefix("sqlite:///")
    if file != url and not os.path.exists(file):
        raise StorageError(
            f"There is no database {file}. Nothing was changed. Check DATABASE_URL and the current folder."
        )


def _status(database: Database, options: argparse.Namespace) -> int:
    usage = database.encryption_keys.usage(database.people.local())
    _say(f"Database: {database.address}, schema {database.revision}")
    _say(f"Encryption key: {database.encryption_keys.source}")
    for at, number in enumerate(usage.opened, start=1):
        _say(f"  key {at}{' (encrypts)' if at == 1 else ''}: decrypts {_api_keys(number)}")
    if usage.unreadable:
        _say(f"  no key decrypts {_api_keys(len(usage.unreadable))}, of {', '.join(usage.unreadable)}")
    return 0


def _rotate(database: Database, options: argparse.Namespace) -> int:
    done = database.encryption_keys.rotate(database.people.local())
    _say(f"Encrypted with the first encryption key: {_api_keys(done.resealed)}. Already so: {_api_keys(done.skipped)}.")
    if not done.unreadable:
        return 0
    names = ", ".join(done.unreadable)
    _say(
        f"No encryption key decrypts {_api_keys(len(done.unreadable))}, of {names}. They were not changed. Add the "
        "encryption key that encrypted them to ENCRYPTION_KEY, or enter these API keys again."
    )
    return 1


def _backup(database: Database, options: argparse.Namespace) -> int:
    database.back_up(database.people.local(), options.file)
    _say(f"Written to {options.file}. Also keep the encryption key, in another place: to restore, you need both.")
    return 0


def _restore(database: Database, options: argparse.Namespace) -> int:
    file: Path = options.file
    replaced = Path(f"{file}.replaced-{utc_now():%Y%m%d-%H%M%S-%f}")
    found = database.restore(database.people.local(), file, replaced=replaced, without_keys=options.without_keys)
    counts = (found.configurations, "configuration"), (found.chats, "chat"), (found.calls, "call")
    _say(f"Restored: {', '.join(_number_of(*each) for each in counts)}.")
    if found.without_key:
        _say(f"Without the API keys of: {', '.join(found.without_key)}. Enter these API keys again.")
    _say(f"The previous data is in {replaced}.")
    return 0


def _api_keys(number: int) -> str:
    return _number_of(number, "API key")


def _number_of(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
