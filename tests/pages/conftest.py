"""The pages in a session without a browser, on a database file of their own, and a provider on this machine."""

import json
import re
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from streamlit.components.v2.component_manager import BidiComponentManager
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block, Node

from connector import ApiType
from db import Database, SavedConfiguration
from pages.shared import base
from settings import Settings
from tests.connector.conftest import account
from tests.provider.answers import chunk, usage
from tests.provider.server import Chunks, ProviderServer

PAGES_FOLDER = Path(__file__).parent.parent.parent / "pages"
USE_CASES = sorted(path.stem for path in (PAGES_FOLDER / "showcase").glob("[!_]*.py"))
PAGES = {name: f"showcase/{name}.py" for name in USE_CASES} | {
    "tuner": "workbench/tuner.py",
    "configurations": "manage/configurations.py",
    "usage": "manage/usage.py",
}
SENDING = [*USE_CASES, "tuner"]
TALKING = {"chat", "tutor", "game_character"}
ALONE = [name for name in USE_CASES if name not in TALKING]
"""The use cases without a conversation."""
DOORS = {"chat", "translate", "json_demo_data", "operations"}
"""A use case for each of the three doors, and the use case with three answers: they stand for all use cases."""
ENDLESS = 150
"""Seconds after which a wait is given up; no test asserts this value."""
DEMO = "http://127.0.0.1:18080/v1"
"""Where the built-in model listens unless it is told otherwise."""
CANNOT_OPEN = "The stored key was damaged or changed outside of this app. Enter the key again, or restore a backup."

_MARKDOWN = {"title", "header", "subheader", "caption", "markdown", "error", "warning", "info", "success", "toast"}
_AS_IT_IS = {"text", "code", "json", "page_link", "link_button"}


def doors_first(pages: Iterable[str], *, others: pytest.MarkDecorator = pytest.mark.slow) -> list[Any]:
    """These pages as the parameters of a test; use cases outside `DOORS` get the mark `others`."""
    similar = {*USE_CASES} - DOORS
    return [pytest.param(page, marks=others) if page in similar else page for page in pages]


class Workbench:
    """A started workbench: its database file, and accounts at the provider."""

    def __init__(self, path: Path, server: ProviderServer) -> None:
        self.path = path
        self.server = server

    def start(self) -> None:
        """Start the workbench, or restart it."""
        base.start(Settings(database_url=f"sqlite:///{self.path}"))

    def connect(self, form: str = "OpenAI", **changes: Any) -> SavedConfiguration:
        """Save a configuration that works; `form` is one of the connector's tests, `changes` are its fields."""
        return base.database().configurations.add(base.person(), account(self.server, form, **changes))

    def key_of(self, saved: SavedConfiguration) -> str:
        """The stored key, opened."""
        opened = base.database().configurations.open(base.person(), saved.id)
        return opened.api_key.get_secret_value()

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement on the file, past the application."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def break_keys(self) -> None:
        """Damage all stored keys, so that none can be opened, as after a lost encryption key."""
        self.sql("UPDATE configurations SET sealed_key = substr(sealed_key, 1, length(sealed_key) - 8) || 'AAAAAAAA'")

    def demote(self) -> None:
        """Make the local person a user without administrator rights."""
        self.sql("UPDATE people SET role = 'user'")

    def bodies(self) -> list[Any]:
        """The JSON of each request the provider got."""
        return [request.body for request in self.server.requests]

    def bytes_on_disk(self) -> bytes:
        """All the files of the database, the write-ahead log among them."""
        return b"".join(path.read_bytes() for path in sorted(self.path.parent.glob(f"{self.path.name}*")))


@pytest.fixture(scope="session")
def provider() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


@pytest.fixture
def server(provider: ProviderServer) -> Iterator[ProviderServer]:
    """The provider without earlier requests and scripts. The provider's description must allow each request."""
    provider.requests.clear()
    provider.scripted.clear()
    yield provider
    assert provider.violations == []
    assert not provider.scripted, "a scripted reply was never asked for"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, which each test gets a copy of: making one takes longer."""
    path = tmp_path_factory.mktemp("migrated") / "workbench.db"
    Database(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def workbench(
    tmp_path: Path, migrated: Path, server: ProviderServer, caplog: pytest.LogCaptureFixture
) -> Iterator[Workbench]:
    """Started, and empty. Streamlit has nothing to complain about in how a page uses its widgets."""
    workbench = Workbench(Path(shutil.copy(migrated, tmp_path)), server)
    workbench.start()
    yield workbench
    base.stop()
    complaints = [each for each in caplog.get_records("call") if each.name.startswith("streamlit.elements")]
    assert [each.getMessage() for each in complaints] == []


@cache
def _components() -> BidiComponentManager | None:
    """The installed components, as the visitors of one process share them: each AppTest would look anew for 45 ms."""
    return AppTest.from_string("").run()._bidi_component_manager


def visit(page: str = "home", *, zone: str = "", **query: str) -> AppTest:
    """A new visitor opens a page by its address."""
    at = AppTest.from_file(PAGES_FOLDER / "frame.py", default_timeout=ENDLESS)
    at._bidi_component_manager = _components()
    at.query_params |= query
    if zone:
        at.context["timezone"] = zone
    return at.run() if page == "home" else at.switch_page(PAGES[page]).run()


def go(at: AppTest, page: str) -> AppTest:
    """The same visitor goes to another page."""
    at.query_params.clear()
    return at.switch_page(PAGES[page]).run()


def press(at: AppTest, label: str, *, nth: int = 0) -> AppTest:
    """Press a button of this page."""
    return [button for button in at.button if button.label == label][nth].click().run()


def send(at: AppTest, label: str) -> AppTest:
    """Press the button that sends, and wait for the answer."""
    return answered(press(at, label))


def action(at: AppTest) -> str:
    """The label of the primary button."""
    (button,) = [button for button in at.main.button if button.proto.type == "primary"]
    return str(button.label)


def use(at: AppTest) -> AppTest:
    """Press the button, or the first suggestion, and wait for the answer."""
    if at.chat_input:
        return answered(at.pills[0].set_value(at.pills[0].options[0]).run())
    return send(at, action(at))


def text_field(at: AppTest) -> Any:
    """The field for the text that a use case processes."""
    return at.main.text_area[0] if at.main.text_area else at.main.text_input[0]


def reply(workbench: Workbench, body: Any) -> None:
    """Stream this JSON, or this text, in answer to the next request."""
    text = body if isinstance(body, str) else json.dumps(body)
    workbench.server.next(Chunks([chunk(text), chunk(finish_reason="stop"), chunk(choices=[], usage=usage(7, text))]))


def say(at: AppTest, text: str) -> AppTest:
    """Send a message in the chat, and wait for the answer."""
    return answered(at.chat_input[0].set_value(text).run())


def _writing() -> list[tuple[int]]:
    with base.database()._storage.reading() as session:
        rows = session.connection().exec_driver_sql("SELECT id FROM messages WHERE status = 'writing'")
        return [(row[0],) for row in rows]


def answered(at: AppTest) -> AppTest:
    """Wait until all answers are written, and draw the page anew, as a browser does then."""
    while "Stop" in labels(at):
        for (answer_id,) in _writing():
            assert base.answers().wait(answer_id, ENDLESS)
        at.run()
    return at


def said(part: AppTest | Block) -> str:
    """All that a person reads in this part of the page, a line for each element, without what was typed into fields."""
    return "\n".join(read(node) for node in part if node.type in _MARKDOWN | _AS_IT_IS)


def read(node: Node) -> str:
    """The text of one element as a person reads it: the backslashes that keep it from being formatted are gone."""
    text = str(getattr(node, "value", ""))
    return re.sub(r"\\([^\w\s]|_)", r"\1", text) if node.type in _MARKDOWN else text


def lines(elements: Iterable[Node]) -> list[str]:
    """The text of each element as a person reads it."""
    return [read(element) for element in elements]


def fill(at: AppTest, form: str = "new", **fields: str) -> AppTest:
    """Type into the fields of a configuration's form; `form` is the configuration's id."""
    for name, value in fields.items():
        at.text_input(key=f"{form}:{name}").set_value(value)
    return at


def choose_provider(at: AppTest, api_type: str, form: str = "new") -> AppTest:
    """Switch a configuration's form to the other provider."""
    return at.segmented_control(key=f"{form}:api_type").set_value(ApiType(api_type)).run()


def labels(at: AppTest) -> list[str]:
    """The labels of the buttons of this page."""
    return [button.label for button in at.button]


def everything(at: AppTest) -> str:
    """All that the browser receives of a page, and the state of its session."""
    return "\n".join([*(str(getattr(node, "proto", "")) for node in at), repr(at.session_state.to_dict())])


def assert_opens(at: AppTest, title: str) -> None:
    """Assert that the page has this title and shows no error."""
    assert not at.exception
    assert lines(at.error) == []
    assert lines(at.title) == [title]
