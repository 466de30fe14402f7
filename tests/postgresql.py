"""A throw-away PostgreSQL server for the tests; `python -m tests.system` gets one installed.

It keeps nothing that would survive the machine going down.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

from tests.provider.real_model import free_port

PLACES = ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin")
FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c autovacuum=off -c max_connections=200"


def find() -> Path | None:
    """The folder of the server's programs, None when there is none."""
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    found = [bin for place in PLACES for bin in Path("/").glob(place[1:]) if (bin / "initdb").exists()]
    return max(found, default=None)


def is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


class PostgreSQLServer:
    """A server on this machine. `guarded` needs a password, `stranger` is refused, other roles need no password."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.port = free_port()
        self._programs = programs
        self._folder = folder
        self._numbers = count(1)

    def initialise(self) -> None:
        self._run("initdb", "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        rules = self._folder / "data" / "pg_hba.conf"
        own = "host all guarded all scram-sha-256\nhost all stranger all reject\n"
        rules.write_text(own + rules.read_text())

    def start(self) -> None:
        listen = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' {FAST}"
        self._run("pg_ctl", "-w", "-l", f"{self._folder}/log", "-o", listen, "start")

    def stop(self) -> None:
        """Stop the server, which ends all connections."""
        self._run("pg_ctl", "-m", "fast", "stop")

    def _run(self, name: str, *arguments: str) -> None:
        # Its programs refuse to run as root.
        as_postgres = {"user": "postgres", "group": "postgres", "extra_groups": ()} if is_root() else {}
        command = [str(self._programs / name), "-D", f"{self._folder}/data", *arguments]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, **as_postgres)  # type: ignore[call-overload]  # who runs it
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stdout}{done.stderr}")

    def url(self, name: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{name}"

    def create(self, template: str = "template0", encoding: str = "UTF8") -> str:
        """The URL of a new database, a copy of another one."""
        name = f"workbench_{next(self._numbers)}"
        locale = "" if template != "template0" else f"ENCODING '{encoding}' LOCALE 'C'"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} {locale}")
        return self.url(name)

    def run(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def running() -> Iterator[PostgreSQLServer]:
    """Start one in a folder of its own, and take it away again."""
    programs = find()
    if programs is None:
        raise RuntimeError("These tests need PostgreSQL: run make test as root on Debian, or install it.")
    folder = tempfile.mkdtemp(prefix="postgresql-")
    try:
        if is_root():
            shutil.chown(folder, "postgres", "postgres")  # it must be able to enter
        server = PostgreSQLServer(programs, Path(folder))
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
