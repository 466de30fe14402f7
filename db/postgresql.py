"""PostgreSQL: one engine that writes and one that reads, as with SQLite, for several processes on several machines."""

from typing import Any

from sqlalchemy import Connection, create_engine, event, func, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from db.base import Record
from db.errors import StorageError

_TIMEOUT = 30  # seconds
_HANGING = 600  # seconds; a restore takes as long as the backup before it
# All processes that write to this database agree on it; any number that nobody else would think of.
_WRITE_LOCK = 7743391286014226792
# One round trip. Set for the transaction only, so it works behind a pooler that lends the connection to others. A
# process that hangs with the lock in its hands loses it.
_BEGIN_WRITING = f"""
SET LOCAL lock_timeout = '{_TIMEOUT}s';
SET LOCAL idle_in_transaction_session_timeout = '{_HANGING}s';
SELECT pg_advisory_xact_lock({_WRITE_LOCK})
"""

# By SQLSTATE, https://www.postgresql.org/docs/current/errcodes-appendix.html, or its class; where the connection
# already fails, there is none, only words.
_SENTENCES = {
    "53100": "The disk of the database is full: nothing was saved. Free some space and try again.",
    "53300": "The database takes no more connections: nothing was saved. Try again, or raise its max_connections.",
    "55P03": "The database was busy for too long: nothing was saved. Try again.",
    "25006": "The database is read-only: nothing was saved. DATABASE_URL must name the primary server.",
    "42501": "The user in DATABASE_URL may not do this in its database. Make that user the owner of the database.",
    "57014": "The database was busy for too long: nothing was saved. Try again.",
    "57P": "The database was shut down: nothing was saved. Try again when it is back.",
    # Also between a commit and its answer.
    "08": "The connection to the database was lost. See whether this was saved before you try again.",
    "25P03": "The connection to the database was lost: nothing was saved. Try again.",
    "XX001": "The database that DATABASE_URL names is damaged. Restore it from a backup.",
    "XX002": "The database that DATABASE_URL names is damaged. Restore it from a backup.",
}
_WORDS = {
    "authentication failed": "PostgreSQL refused the user or the password in DATABASE_URL.",
    "no password supplied": "PostgreSQL wants a password in DATABASE_URL.",
    "pg_hba.conf": "PostgreSQL lets nobody in from here with the user and database in DATABASE_URL: see its "
    "pg_hba.conf.",
    "does not exist": "The database or the user that DATABASE_URL names does not exist. Make it first.",
    "too many": _SENTENCES["53300"],
    "starting up": "The database is starting up. Try again in a moment.",
    "shutting down": _SENTENCES["57P"],
    "closed the connection": _SENTENCES["08"],
    "connection is lost": _SENTENCES["08"],
    "could not translate host name": "DATABASE_URL names a host that cannot be found.",
    "failed to resolve host": "DATABASE_URL names a host that cannot be found.",
    "Name or service not known": "DATABASE_URL names a host that cannot be found.",
    "timeout expired": "The PostgreSQL server that DATABASE_URL names does not answer.",
    "Connection refused": "Nothing answers at the host and port that DATABASE_URL names. Is PostgreSQL running?",
    "SSL": "The encrypted connection to PostgreSQL failed. Check sslmode and certificates in DATABASE_URL.",
    "invalid": "DATABASE_URL holds an option that PostgreSQL does not take.",
}


class PostgreSQL:
    """One database on a server; nothing of it lies beside this program."""

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
            refusal = "PostgreSQL needs the package psycopg, which requirements.txt brings."
        if refusal:
            raise StorageError(refusal)
        event.listen(self.writer, "begin", _begin_writing)
        for engine in (self.writer, self.reader):
            event.listen(engine, "connect", _take_any_text)

    def check(self, connection: Connection) -> None:
        """Raises `StorageError` when the database could not hold every text."""
        if connection.exec_driver_sql("SHOW server_encoding").scalar() != "UTF8":
            raise StorageError("The database that DATABASE_URL names must be made with the encoding UTF8.")

    def join(self) -> bool:
        """Nobody can tell who else is there: a lock that outlives its transaction does not go with a pooler."""
        return False

    def keep(self, revision: str) -> None:
        """PostgreSQL has backups of its own, and takes a failed migration back whole."""

    def count_on(self, connection: Connection) -> None:
        """Number new rows behind all numbers that were stored or given out, after rows came in with their own."""
        for table in Record.metadata.tables:
            sequence = connection.scalar(select(func.pg_get_serial_sequence(table, "id")))
            if sequence:
                highest = f"GREATEST((SELECT max(id) FROM {table}), (SELECT last_value FROM {sequence}))"  # noqa: S608 - our own names
                connection.exec_driver_sql(f"SELECT setval('{sequence}', {highest})")

    def sentence(self, error: DBAPIError | PoolTimeout) -> str:
        """What happened and what to do."""
        if isinstance(error, PoolTimeout):
            return _SENTENCES["55P03"]
        state = getattr(error.orig, "sqlstate", None) or ""
        by_state = (sentence for start, sentence in _SENTENCES.items() if state.startswith(start))
        by_words = (sentence for words, sentence in _WORDS.items() if words in str(error.orig))
        if state:
            return next(by_state, "The database refused this: nothing was saved.")
        return next(by_words, "The PostgreSQL database that DATABASE_URL names cannot be opened.")

    def close(self) -> None:
        """Close all connections."""
        self.reader.dispose()
        self.writer.dispose()


# Values stay out of error texts; a connection that died meanwhile is replaced; nothing is kept on the server between
# transactions, for the sake of poolers; and texts travel as UTF-8, whatever PGCLIENTENCODING says.
_OPTIONS = {
    "pool_timeout": _TIMEOUT,
    "pool_pre_ping": True,
    "hide_parameters": True,
    "connect_args": {"connect_timeout": 10, "prepare_threshold": None, "client_encoding": "utf8"},
}


def _begin_writing(connection: Connection) -> None:
    connection.exec_driver_sql(_BEGIN_WRITING)


def _take_any_text(connection: Any, _: object) -> None:
    """PostgreSQL stores no NUL. A model may send one: its answer is stored all the same, with U+FFFD in its place."""
    from psycopg.types.string import StrDumper

    class AnyTextDumper(StrDumper):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\ufffd"))

    connection.adapters.register_dumper(str, AnyTextDumper)
