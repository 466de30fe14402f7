"""``python -m db``: what an administrator does at the command line, while the app runs or not.

    python -m db status              where the data is, and how many stored keys each encryption key opens
    python -m db rotate-key          put every stored key under the first encryption key
    python -m db backup FILE         write all data to a new file
    python -m db restore FILE        replace all data by that of a backup; what was there is kept beside it

It reads the same settings as the app: DATABASE_URL, ENCRYPTION_KEY, ENCRYPTION_KEY_FILE.
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
        # Not `recover`: the app's own calls are under way, and stay so.
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
    parser = argparse.ArgumentParser(prog="python -m db", description="Look after the workbench's data.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, what, file in (
        ("status", _status, "where the data is, and how many stored keys each encryption key opens", ""),
        ("rotate-key", _rotate, "put every stored key under the first encryption key", ""),
        ("backup", _backup, "write all data to a new file", "the file to write; it must not be there yet"),
        ("restore", _restore, "replace all data by that of a backup", "a file that backup wrote"),
    ):
        command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        command.set_defaults(run=run)
        if file:
            command.add_argument("file", type=Path, metavar="FILE", help=file)
    return parser.parse_args()


def _must_be_there(url: str) -> None:
    """Else a mistyped address would be a new and empty database, and its backup a success."""
    file = url.removeprefix("sqlite:///")
    if file != url and not os.path.exists(file):
        raise StorageError(f"There is no database {file}. Check DATABASE_URL, and the folder that this runs in.")


def _status(database: Database, options: argparse.Namespace) -> int:
    usage = database.encryption_keys.usage(database.people.local())
    _say(f"Database: {database.address}, schema {database.revision}")
    _say(f"Encryption key: {database.encryption_keys.source}")
    for at, number in enumerate(usage.opened, start=1):
        _say(f"  key {at}{' (seals)' if at == 1 else ''}: opens {_stored(number)}")
    if usage.unreadable:
        _say(f"  none of them: {_stored(len(usage.unreadable))}, of {', '.join(usage.unreadable)}")
    return 0


def _rotate(database: Database, options: argparse.Namespace) -> int:
    done = database.encryption_keys.rotate(database.people.local())
    _say(f"Sealed anew: {_stored(done.resealed)}. Under the first encryption key already: {_stored(done.skipped)}.")
    if not done.unreadable:
        return 0
    names = ", ".join(done.unreadable)
    _say(f"No encryption key opens {_stored(len(done.unreadable))}, of {names}. They stay as they are.")
    return 1


def _backup(database: Database, options: argparse.Namespace) -> int:
    database.back_up(database.people.local(), options.file)
    _say(f"Written to {options.file}. Keep the encryption key as well, at another place: both are needed.")
    return 0


def _restore(database: Database, options: argparse.Namespace) -> int:
    file: Path = options.file
    replaced = Path(f"{file}.replaced-{utc_now():%Y%m%d-%H%M%S-%f}")
    found = database.restore(database.people.local(), file, replaced=replaced)
    counts = (found.configurations, "configuration"), (found.chats, "chat"), (found.calls, "call")
    _say(f"Restored: {', '.join(_number_of(*each) for each in counts)}.")
    _say(f"What was there before is in {replaced}.")
    return 0


def _stored(number: int) -> str:
    return _number_of(number, "stored key")


def _number_of(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
