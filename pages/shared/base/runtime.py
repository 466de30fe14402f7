"""The running workbench: its settings, its database, and the answers that are being written."""

from dataclasses import dataclass

import httpx2

from connector import pooled_http_client
from db import Database, StorageError
from generation import Answers
from settings import InvalidSetting, Settings


@dataclass(frozen=True)
class _Runtime:
    settings: Settings
    database: Database
    answers: Answers
    http_client: httpx2.Client | None


_running: _Runtime | None = None


def start(settings: Settings, *, http_client: httpx2.Client | None = None) -> None:
    """Open the database, once per process. Raises `StorageError` and `InvalidSetting` with a sentence."""
    global _running
    stop()
    http_client = http_client or _outgoing(settings)
    database = Database(
        settings.database_url,
        encryption_key=settings.encryption_key,
        encryption_key_file=settings.encryption_key_file,
    )
    _running = _Runtime(settings, database, Answers(database), http_client)


def _outgoing(settings: Settings) -> httpx2.Client | None:
    """The HTTP client for the proxy and certificates of the settings, None where none are set.

    Raises `InvalidSetting`.
    """
    if not (settings.outgoing_proxy or settings.outgoing_ca_file):
        return None
    try:
        return pooled_http_client(proxy=settings.outgoing_proxy or None, ca_file=settings.outgoing_ca_file or None)
    except OSError:  # an invalid certificate raises one, too
        wrong = f"OUTGOING_CA_FILE: {settings.outgoing_ca_file} is not a readable file of certificates (PEM)."
    except ValueError:
        wrong = "OUTGOING_PROXY must look like http://proxy.example.com:3128."
    raise InvalidSetting(wrong)


def stop_answers() -> None:
    """Stop the answers that are being written, and end the connections of the tabs that watch them."""
    if _running:
        _running.answers.close()


def stop() -> None:
    """Stop the answers that are being written, and close the database."""
    global _running
    if _running:
        _running.answers.close()
        _running.database.close()
    _running = None


def is_started() -> bool:
    """Whether `start` was called."""
    return _running is not None


def database() -> Database:
    """The open database, to read from; `changing` gives it for a change."""
    return _get().database


def answers() -> Answers:
    """The answers that are being written right now."""
    return _get().answers


def http_client() -> httpx2.Client | None:
    """The HTTP client that the settings ask for. None stands for the connector's own."""
    return _get().http_client


def demo_endpoint() -> str:
    """The endpoint of the model that `make demo` starts."""
    return f"http://127.0.0.1:{_get().settings.demo_port}/v1"


def _get() -> _Runtime:
    if _running is None:
        raise StorageError("Only the frame of the app was started. Start the app with: streamlit run app.py")
    return _running
