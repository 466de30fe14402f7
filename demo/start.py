"""What ``python -m demo`` does: the model, its configuration, the app, and watching over them."""

import os
import secrets
import socket
import sys
import tempfile
import threading
from pathlib import Path

from pydantic import SecretStr

from connector import ApiType, Configuration
from db import Database, StorageError
from demo import model
from demo.child import POLL_SECONDS, Child, DemoFailed, answers
from settings import Settings

CONFIGURATION_NAME = "Built-in demo model"
APP_PORTS = range(8501, 8521)
APP_START_SECONDS = 60.0


def run(settings: Settings, stop: threading.Event) -> None:
    """Runs the model and the app until `stop` is set. Raises `DemoFailed` when one of them can not start or ends."""
    if is_in_use(settings.demo_port):
        raise DemoFailed(why_taken(settings.demo_port))
    key_file = demo_key_file(settings.database_url)
    api_key = read_or_make_key(key_file)
    with model.child(settings.demo_port, key_file) as served:
        served.wait_until_it_answers(model.START_SECONDS, stop)
        try:
            make_configuration(settings, api_key)
        except StorageError as problem:
            raise DemoFailed(str(problem)) from None
        with app_child() as app:
            app.wait_until_it_answers(APP_START_SECONDS, stop)
            if not stop.is_set():
                if app.port != APP_PORTS[0]:
                    sys.stdout.write(f"Port {APP_PORTS[0]} is in use, so the app runs on port {app.port}.\n")
                sys.stdout.write(f"Open http://localhost:{app.port}\n")
                sys.stdout.flush()
            watch([served, app], stop)


def why_taken(port: int) -> str:
    """A sentence about the model's port that is in use, and what to do: a running demo answers on it."""
    free = next((other for other in range(port + 1, 65536) if not is_in_use(other)), port + 1)
    beside = f"DEMO_PORT={free} make demo"
    if answers(port, model.HEALTH):
        return (
            f"Another demo is already running: a model answers on port {port}. Use that demo, or stop it with Ctrl+C "
            f"where it was started, or run a second one beside it: {beside}"
        )
    return f"Port {port} is in use by another program, and the built-in model needs it. Choose another port: {beside}"


def watch(children: list[Child], stop: threading.Event) -> None:
    """Returns when `stop` is set, raises `DemoFailed` when a child ends by itself."""
    while not stop.wait(POLL_SECONDS):
        for child in children:
            if child.exit_code is not None:
                raise DemoFailed(f"{child.name} ended by itself (exit code {child.exit_code}), so the demo ends too.")


def demo_key_file(database_url: str) -> Path:
    """`demo.key` beside the SQLite database; in `data/` when the database is a server."""
    _, _, path = database_url.partition("sqlite:///")
    return Path(path.partition("?")[0] or "data/workbench.db").with_name("demo.key")


def read_or_make_key(path: Path) -> SecretStr:
    """The model's API key: made once, since the configuration made from it is never overwritten."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=path.parent)  # readable by its owner only
        with open(handle, "w", encoding="utf-8") as file:
            file.write(f"sk-demo-{secrets.token_urlsafe(32)}\n")
        os.replace(unfinished, path)
    return SecretStr(path.read_text(encoding="utf-8").strip())


def make_configuration(settings: Settings, api_key: SecretStr) -> None:
    """Adds the configuration of the built-in model unless one with its address exists, whatever that is called."""
    database = Database(
        settings.database_url, encryption_key=settings.encryption_key, encryption_key_file=settings.encryption_key_file
    )
    try:
        person = database.people.local()
        existing = database.configurations.all(person)
        endpoint = model.endpoint(settings.demo_port)
        if any(configuration.endpoint == endpoint for configuration in existing):
            return
        name = CONFIGURATION_NAME
        if any(configuration.display_name.casefold() == name.casefold() for configuration in existing):
            name = f"{name} {settings.demo_port}"
        database.configurations.add(
            person,
            Configuration(
                display_name=name,
                api_type=ApiType.OPENAI,
                endpoint=endpoint,
                api_key=api_key,
                model_default=model.NAME,
            ),
        )
    finally:
        database.close()


def app_child() -> Child:
    port = next((port for port in APP_PORTS if not is_in_use(port)), None)
    if port is None:
        raise DemoFailed(f"No port from {APP_PORTS[0]} to {APP_PORTS[-1]} is free for the app; end what uses one.")
    command = [sys.executable, "-m", "streamlit", "run", "app.py"]
    # Without an address it listens on every network and asks the internet for its own.
    options = {"server.address": "127.0.0.1", "server.port": port, "logger.level": "warning"}
    command += [f"--{name}={value}" for name, value in options.items()]
    return Child("The app", command, port=port, health="/_stcore/health")


def is_in_use(port: int) -> bool:
    """Whether something listens on this machine's port. Asked by connecting: what may be bound differs by system."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
