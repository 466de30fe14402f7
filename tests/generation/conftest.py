"""A provider on this machine, a database on SQLite, and the answers that are written between the two."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from connector import CallReport, ChatCompletionsRequest, Client, Price
from db import CallStart, Database, MessageStatus, NewChat, Person, PersonRole, SavedConfiguration, StoredMessage, Turn
from generation import Answers, Received
from tests.connector.conftest import account
from tests.db.conftest import ENCRYPTION_KEY
from tests.provider.answers import chunk
from tests.provider.server import ProviderServer

LAST = chunk(finish_reason="stop")


def until(is_so: Callable[[], object], seconds: float = 120) -> None:
    """Wait for it; it is looked at often enough that nobody notices."""
    latest = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < latest, "this did not come about"
        time.sleep(0.01)


class App:
    """What one process of the workbench has: a database, and the answers that it writes."""

    def __init__(self, url: str, **options: Any) -> None:
        self.database = Database(url, encryption_key=ENCRYPTION_KEY, **options)
        self.me: Person = self.database.people.local()
        self.answers = Answers(self.database)

    def configure(self, server: ProviderServer, **changes: Any) -> SavedConfiguration:
        """The configuration that all its questions go to."""
        return self.database.configurations.add(self.me, account(server, **changes), Price(input=2, output=8))

    def begin(
        self, question: str = "What?", chat: str | None = None, *, is_beside: bool = False, **options: Any
    ) -> Turn:
        """Store a turn in this chat, or in a new one."""
        saved = self.database.configurations.all(self.me)[0]
        start = CallStart("chat", "execute_with_history", saved.id, saved.display_name, "gpt-test")
        beside = start if is_beside else None
        return self.database.turns.begin(self.me, chat or NewChat(question), question, start, beside=beside, **options)

    def write(self, turn: Turn, question: str = "What?") -> Turn:
        """Begin to write its answer, as `runtime.start_turn` does."""
        self.answers.write(self.me, turn, self.client_of, ChatCompletionsRequest.of_prompts(question))
        return turn

    def ask(self, question: str = "What?", chat: str | None = None) -> Turn:
        return self.write(self.begin(question, chat), question)

    def client_of(self, book: Callable[[CallReport], None]) -> Client:
        saved = self.database.configurations.all(self.me)[0]
        opened = self.database.configurations.open(self.me, saved.id)
        # It waits for ever: whoever should not wait for a silent provider is not saved by the client's patience.
        return Client(opened, on_call=book, timeout=httpx2.Timeout(None), max_retries=0)

    def stored(self, turn: Turn) -> StoredMessage:
        """The answer as it is in the database, where it is on the current branch."""
        messages = self.database.chat_sessions.conversation(self.me, turn.session_id).messages
        return next(each for each in messages if each.id == turn.answer_id)

    def has_ended(self, turn: Turn) -> bool:
        return self.stored(turn).status is not MessageStatus.WRITING

    def received(self, turn: Turn) -> Received:
        """What is followed of the answer, while it is."""
        received = self.answers.received(self.answers.follow(self.me, turn.answer_id))
        assert received is not None
        return received

    def close(self) -> None:
        self.answers.close()
        self.database.close()


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    """Whatever a test makes of the answers, each request must be one that the provider's description allows."""
    with ProviderServer() as running:
        yield running
        assert running.violations == []


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database that was opened once, for copies of it."""
    path = tmp_path_factory.mktemp("migrated") / "workbench.db"
    Database(f"sqlite:///{path}", encryption_key=ENCRYPTION_KEY).close()
    return path


@pytest.fixture
def path(tmp_path: Path, migrated_file: Path) -> Path:
    return Path(shutil.copy(migrated_file, tmp_path / "workbench.db"))


@pytest.fixture
def open_app(path: Path) -> Iterator[Callable[..., App]]:
    """Opens one more, as another process does."""
    opened: list[App] = []

    def open_it(**options: Any) -> App:
        opened.append(App(f"sqlite:///{path}", **options))
        return opened[-1]

    yield open_it
    for app in opened:
        app.close()


@pytest.fixture
def app(open_app: Callable[..., App], server: ProviderServer) -> App:
    it = open_app()
    it.configure(server)
    return it


@pytest.fixture
def foreigner(app: App) -> Person:
    """Whose chats these are not, though they are an administrator."""
    return app.database.people.add(app.me, "Eve", PersonRole.ADMINISTRATOR)
