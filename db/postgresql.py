"""PostgreSQL: one engine that writes and one that reads, as with SQLite, for processes on several machines."""

from typing import Any

from sqlalchemy import Connection, create_engine, event, func, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from db.base import Record
from db.errors import WRITING, StorageError, unexpected

_TIMEOUT = 30  # seconds
_HANGING = 600  # seconds; a restore takes as long as the backup before it
# An arbitrary number that all processes writing to this database use for their advisory lock.
_WRITE_LOCK = 7743391286014226792
# One round trip. The settings last for the transaction only, so that this works behind a connection pooler. A process
# that hangs while it holds the lock loses its connection, and with it the lock.
_BEGIN_WRITING = f"""
SET LOCAL lock_timeout = '{_TIMEOUT}s';
SET LOCAL idle_in_transaction_session_timeout = '{_HANGING}s';
SELECT pg_advisory_xact_lock({_WRITE_LOCK})
"""

_BUSY = "The database was busy for too long.", "Try again."
_CROWDED = "The database accepts no more connections.", "Try again, or raise its max_connections."
_STOPPED = "The database server was shut down.", "Try again when it is running again."
_LOST = "The connection to the database was lost.", "Try again."
_DAMAGED = "The database that DATABASE_URL names is damaged.", "Restore it from a backup."
_NO_HOST = "DATABASE_URL names a host that cannot be found.", "Correct its name, or check the network."

# What happened and what to do, by SQLSTATE or its class, https://www.postgresql.org/docs/current/errcodes-appendix.html
_BY_STATE = {
    "53100": ("The disk of the database is full.", "Free some space and try again."),
    "53300": _CROWDED,
    "55P03": _BUSY,
    "25006": ("The database is read-only.", "DATABASE_URL must name the primary server."),
    "42501": (
        "The user in DATABASE_URL does not have the right to do this in its database.",
        "Make that user the owner of the database.",
    ),
    "57014": _BUSY,
    "57P": _STOPPED,
    "08": _LOST,
    "25P03": ("The database closed a connection that was idle for too long.", "Try again."),
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
}
# By the words of the message: an error while connecting has no SQLSTATE.
_BY_WORDS = {
    "authentication failed": ("PostgreSQL refused the user or the password in DATABASE_URL.", "Correct them."),
    "no password supplied": ("PostgreSQL requires a password in DATABASE_URL.", "Add it."),
    "pg_hba.conf": (
        "PostgreSQL refuses connections from here with the user and database in DATABASE_URL.",
        "Allow them in its pg_hba.conf.",
    ),
    "does not exist": ("The database or the user that DATABASE_URL names does not exist.", "Create it first."),
    "too many": _CROWDED,
    "starting up": ("The database server is starting.", "Try again in a moment."),
    "shutting down": _STOPPED,
    "closed the connection": _LOST,
    "connection is lost": _LOST,
    "could not translate host name": _NO_HOST,
    "failed to resolve host": _NO_HOST,
    "Name or service not known": _NO_HOST,
    "timeout expired": ("The PostgreSQL server that DATABASE_URL names does not respond.", "Check the server."),
    "Connection refused": (
        "No server responds at the host and port that DATABASE_URL names.",
        "Check that PostgreSQL is running there.",
    ),
    "SSL": ("The encrypted connection to PostgreSQL failed.", "Check sslmode and certificates in DATABASE_URL."),
    "invalid": ("DATABASE_URL contains an option that PostgreSQL does not accept.", "Remove or correct it."),
}
_CANNOT_OPEN = "The PostgreSQL database that DATABASE_URL names cannot be opened.", "Check DATABASE_URL and the server."


class PostgreSQL:
    """One database on a server."""

    path = None

    def __init__(self, url: URL) -> None:
        url = url.set(drivername="postgresql+psycopg")
        if not url.database:
            raise StorageError("DATABASE_URL must name a database, for example postgresql://user:password@host/name.")
        refusal = ""
        try:
            self.writer = create_engine(url, pool_size=1, max_overflow=0, **_OPTIONS)
            self.reader = create_engine(url, pool_size=10, max_overflow=10, **_OPTIONS).execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        except ImportError:
            refusal = "PostgreSQL needs the package psycopg. Install requirements.txt."
        if refusal:
            raise StorageError(refusal)
        event.listen(self.writer, "begin", _begin_writing)
        for engine in (self.writer, self.reader):
            event.listen(engine, "connect", _take_any_text)

    def check(self, connection: Connection) -> None:
        """Raises `StorageError` if the database cannot store every text."""
        if connection.exec_driver_sql("SHOW server_encoding").scalar() != "UTF8":
            raise StorageError("The database that DATABASE_URL names must be created with the encoding UTF8.")

    def protect(self) -> None:
        """Nothing to do: the server protects its files."""

    def join(self) -> bool:
        """Always False: locks that outlive their transaction do not work behind a connection pooler."""
        return False

    def keep(self, revision: str) -> None:
        """Makes no copy: PostgreSQL rolls back a failed migration completely."""

    def count_on(self, connection: Connection) -> None:
        """Number new rows after all ids ever stored or assigned; needed after rows were inserted with their ids."""
        for table in (name for name, table in Record.metadata.tables.items() if "id" in table.columns):
            sequence = connection.scalar(select(func.pg_get_serial_sequence(table, "id")))
            if sequence:
                highest = f"GREATEST((SELECT max(id) FROM {table}), (SELECT last_value FROM {sequence}))"  # noqa: S608 - our own names
                connection.exec_driver_sql(f"SELECT setval('{sequence}', {highest})")

    def sentence(self, error: DBAPIError | PoolTimeout, outcome: str) -> str:
        """What happened, what it means for the data (`outcome`), and what to do."""
        found: tuple[str, str] | None
        if isinstance(error, PoolTimeout):
            found = _BUSY
        elif state := getattr(error.orig, "sqlstate", None):
            by_state = (each for start, each in _BY_STATE.items() if state.startswith(start))
            found = next(by_state, None)
            if found is None:
                return unexpected(state, outcome)
        else:
            text = str(error.orig)
            found = next((each for words, each in _BY_WORDS.items() if words in text), _CANNOT_OPEN)
        if found is _LOST and outcome == WRITING:  # it may have been lost between the commit and its confirmation
            return f"{_LOST[0]} The change may or may not have been saved. Check that before you try again."
        what, advice = found
        return f"{what} {outcome} {advice}"

    def close(self) -> None:
        """Close all connections."""
        self.reader.dispose()
        self.writer.dispose()


# Values stay out of error texts; a dead connection is replaced; the server keeps no prepared statements, because of
# connection poolers; texts are sent as UTF-8, whatever PGCLIENTENCODING says.
_OPTIONS = {
    "pool_timeout": _TIMEOUT,
    "pool_pre_ping": True,
    "hide_parameters": True,
    "connect_args": {"connect_timeout": 10, "prepare_threshold": None, "client_encoding": "utf8"},
}


def _begin_writing(connection: Connection) -> None:
    connection.exec_driver_sql(_BEGIN_WRITING)


def _take_any_text(connection: Any, _: object) -> None:
    """Replace NUL with U+FFFD in all texts: PostgreSQL cannot store NUL, and a model may send it."""
    from psycopg.types.string import StrDumper

    class AnyTextDumper(StrDumper):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\ufffd"))

    connection.adapters.register_dumper(str, AnyTextDumper)
