"""The running app, a real Chromium, the real built-in model, and the provider server."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, TimeoutError, expect, sync_playwright

from connector import ApiType, Configuration
from db import Database
from db.base import Record
from demo.child import Child
from demo.start import is_in_use
from tests.e2e import chromium
from tests.provider.real_model import RealModel, free_port
from tests.provider.server import ProviderServer

PROJECT = Path(__file__).parent.parent.parent
# Without these a headless Chromium asks for updates and accounts all the time.
QUIETLY = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # One process for all tabs of the app, which compiles Streamlit's scripts once.
    "--process-per-site",
    # A camera that shows a clock, and that no page has to ask for.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
# Streamlit's animations without their duration. Without a graphics card, the browser spends a fifth of a core on them.
STILL = """addEventListener('DOMContentLoaded', () => {
  const style = document.createElement('style');
  style.textContent = `*, *::before, *::after {
    animation-delay: 0s !important; animation-duration: 1ms !important; animation-iteration-count: 1 !important;
    transition-delay: 0s !important; transition-duration: 0s !important;
  }`;
  document.head.append(style);
})"""
# Where the apps are, one after the other: what a browser has loaded and compiled of one serves it for the next.
PORT = free_port()
IDLE = '[data-testid="stApp"][data-test-script-state="notRunning"][data-test-connection-state="CONNECTED"]'

STOP = re.compile(r"^Stop( Shortcut .*)?$")
"""The name of a button that stops an answer, with its shortcut behind it."""

expect.set_options(timeout=20_000)


class App:
    """The app as `make run` starts it, on a free port, with its database in a folder of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.database = folder / "workbench.db"
        self.log = folder / "app.log"
        self.port = free_port() if is_in_use(PORT) else PORT
        self._environment = {"DATABASE_URL": f"sqlite:///{self.database}", **environment}

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def empty(self) -> None:
        """Empty the database; only the local person is kept."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            for table in Record.metadata.sorted_tables:
                if table.name != "people":
                    connection.execute(f"DELETE FROM {table.name}")

    def add_configuration(self, server: ProviderServer, name: str = "Local", model: str = "gpt-test") -> None:
        """Add a working configuration directly to the database, without the pages."""
        database = Database(f"sqlite:///{self.database}")
        working = Configuration(
            display_name=name,
            api_type=ApiType.OPENAI,
            endpoint=server.openai_endpoint,
            api_key=server.key,
            model_default=model,
        )
        database.configurations.add(database.people.local(), working)
        database.close()

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={self.port}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=PROJECT,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_for_health(self._process, self.port)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60)


def wait_for_health(process: "subprocess.Popen[bytes]", port: int) -> None:
    child = Child("the app", [], port=port, health="/_stcore/health")
    child._process = process
    child.wait_until_it_answers(60)


class Visitor:
    """One tab, with every frame that the browser received in it, and the addresses that it asked for."""

    def __init__(self, page: Page, app: App) -> None:
        self.page = page
        self.app = app
        self.received: list[bytes] = []
        page.on("websocket", lambda socket: socket.on("framereceived", self._frame))
        self.asked: set[str] = set()
        page.on("request", lambda request: self.asked.add(request.url))

    def _frame(self, frame: str | bytes) -> None:
        self.received.append(frame.encode() if isinstance(frame, str) else frame)

    def open(self, address: str = "") -> None:
        self.page.goto(f"{self.app.url}/{address}")
        self.settle()

    def settle(self) -> None:
        """Wait until the script has ended and the page shows it."""
        self.page.wait_for_selector(IDLE, timeout=60_000)

    def go(self, name: str) -> None:
        """Follow a link of the sidebar."""
        self.page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True).click()
        expect(self.page.get_by_role("heading", level=1)).to_be_visible()
        self.settle()

    def fill(self, label: str, text: str) -> None:
        box = self.page.get_by_label(label, exact=True)
        box.fill(text)
        box.press("Tab")
        self.settle()

    def press(self, name: str) -> None:
        named = re.compile(rf"{re.escape(name)}( Shortcut .*)?$")
        self.page.get_by_role("main").get_by_role("button", name=named).click()
        self.settle()

    def say(self, text: str) -> None:
        """Send a message on the chat page."""
        box = self.page.get_by_test_id("stChatInputTextArea")
        box.fill(text)
        box.press("Enter")

    def pick(self, configuration: str) -> None:
        """Choose in the sidebar's picker."""
        option = self.page.get_by_role("option", name=configuration)
        box = self.page.get_by_role("combobox", name="Configuration")
        self.settle()
        box.click()
        try:
            option.click(timeout=5_000)
        except TimeoutError:  # a list that is opened while the page is still being drawn closes again
            self.settle()
            box.click()
            option.click()
        self.settle()

    def too_wide(self) -> int:
        """By how many pixels the page, once it has taken to its window, is wider and scrolls sideways."""
        width = """() => Math.max(...[document.scrollingElement, document.querySelector('.stMain')]
          .map(each => each.scrollWidth - each.clientWidth))"""
        with suppress(TimeoutError):
            self.page.wait_for_function(f"() => ({width})() <= 0", timeout=5_000)
        return int(self.page.evaluate(width))

    def text(self, text: str) -> Locator:
        """The visible elements: Streamlit keeps removed elements, hidden, until the script has ended."""
        return self.page.get_by_text(text).filter(visible=True)

    def save(self) -> None:
        """Save a configuration's form, and wait until the form is gone: a form and a card both have a Test button."""
        self.press("Save")
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Configurations")
        expect(self.page.get_by_role("main").get_by_role("button", name="Save", exact=True)).to_have_count(0)
        self.settle()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium.find()
    if path is None:
        pytest.skip("no Chromium on this machine: run make test, or python -m tests.system")
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*QUIETLY, *root])
        yield browser
        browser.close()


@contextmanager
def new_window(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    """A window of the browser; `options` as for `Browser.new_context`."""
    with browser.new_context(locale="en-GB", **options) as window:
        window.set_default_timeout(20_000)
        window.add_init_script(STILL)
        yield window


@pytest.fixture(scope="session")
def window(browser: Browser, running_app: App) -> Iterator[BrowserContext]:
    """The window of most tests. Its first tab keeps the process of the app's other tabs alive."""
    with new_window(browser, viewport={"width": 1440, "height": 900}) as window:
        window.new_page().goto(f"{running_app.url}/_stcore/health")
        yield window


@pytest.fixture
def context(window: BrowserContext) -> Iterator[BrowserContext]:
    """As good as a new one, except that it need not load and compile Streamlit's scripts again: two seconds of CPU."""
    yield window
    for page in window.pages[1:]:
        page.close()
    window.set_storage_state({})


@pytest.fixture(scope="session")
def running_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app of most tests: starting one takes seconds, and so does loading its scripts into a browser."""
    with App(tmp_path_factory.mktemp("app")) as app:
        yield app


@pytest.fixture
def app(running_app: App) -> App:
    """An app on an empty database."""
    running_app.empty()
    return running_app


@pytest.fixture
def new_app(tmp_path: Path) -> Iterator[App]:
    """An app that nobody has visited yet, on a new database."""
    with App(tmp_path) as app:
        yield app


@pytest.fixture(scope="module")
def scripted() -> Iterator[ProviderServer]:
    """A provider for all tests of a module."""
    with ProviderServer() as server:
        yield server


@pytest.fixture(scope="module")
def shared_app(running_app: App, scripted: ProviderServer) -> App:
    """An app for all tests of a module, with one configuration, which is of `scripted`."""
    running_app.empty()
    running_app.add_configuration(scripted)
    return running_app


@pytest.fixture
def visitor(context: BrowserContext, app: App) -> Visitor:
    return Visitor(context.new_page(), app)


@pytest.fixture(scope="session")
def model() -> Iterator[RealModel]:
    with RealModel() as model:
        yield model


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        yield server
        assert server.violations == []
