"""Each failure shows a sentence in place; the typed text stays, and no sentence contains a secret."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from connector import ApiType, Configuration
from db import Database
from tests.e2e.conftest import App, Visitor
from tests.provider.answers import error
from tests.provider.real_model import free_port
from tests.provider.server import Drop, ProviderServer, Reply

pytestmark = pytest.mark.browser
WRONG_KEY = "sk-wrong-key-0123456789abcdef"
WEB_PAGE = Reply(200, "<html><title>Sign in</title></html>", content_type="text/html")
TROUBLE = {
    "wrong key": r"did not accept the key \(401\)\. It says: .* Copy the complete key again",
    "wrong host": r"The host no-such-host\.invalid was not found\. Check the endpoint",
    "wrong model": r"There is no model .gpt.nothing. at .* Choose another model",
    "server down": r"Nothing answers at .*\. Check the port in the endpoint",
    "web page": r"returned a web page instead of an API response\. Check the endpoint",
    "cut off": r"was lost before the answer was complete\. Try again",
}
FAILED_STEP = {
    "wrong key": "key",
    "wrong host": "host name",
    "wrong model": "deployment or model",
    "server down": "connection",
    "web page": "api, no redirect, no web page",
    "cut off": "answer",
}
"""The endpoint that the test of a configuration calls."""


# A lost connection; tests/pages and tests/connector have the sentences of the others.
SHORT = "cut off"


@pytest.fixture(scope="module")
def broken(running_app: App, scripted: ProviderServer) -> App:
    """An app with one configuration for each kind of failure."""
    running_app.empty()
    database = Database(f"sqlite:///{running_app.database}")
    for name in TROUBLE:
        configuration = Configuration(
            display_name=name,
            api_type=ApiType.OPENAI,
            endpoint={
                "wrong host": "http://no-such-host.invalid/v1",
                "server down": f"http://127.0.0.1:{free_port()}/v1",
            }.get(name, scripted.openai_endpoint),
            api_key=WRONG_KEY if name == "wrong key" else scripted.key,
            model_default="gpt-nothing" if name == "wrong model" else "gpt-test",
        )
        database.configurations.add(database.people.local(), configuration)
    database.close()
    return running_app


@pytest.fixture
def guest(context: BrowserContext, broken: App) -> Visitor:
    return Visitor(context.new_page(), broken)


def script(server: ProviderServer, name: str) -> None:
    server.scripted.clear()
    if name == "web page":
        server.next(WEB_PAGE, WEB_PAGE)  # a test asks twice
    elif name == "cut off":
        server.next(Drop(), Drop())  # the first may meet a kept connection, which is replaced


@pytest.mark.parametrize(
    "name", [name if name == SHORT else pytest.param(name, marks=pytest.mark.soak) for name in TROUBLE]
)
def test_each_failure_is_reported_in_place_and_no_typed_text_is_lost(
    guest: Visitor, scripted: ProviderServer, name: str
) -> None:
    page, sentence = guest.page, re.compile(TROUBLE[name])

    guest.open("chat")
    guest.pick(name)
    script(scripted, name)
    guest.say("A question that took long to write")
    expect(page.get_by_test_id("stChatMessage").last.get_by_text(sentence)).to_be_visible()
    expect(page.get_by_test_id("stChatMessage").get_by_text("A question that took long to write")).to_have_count(1)
    expect(page.get_by_test_id("stChatInputTextArea")).to_have_value("")
    expect(page.get_by_role("button", name="Send again")).to_be_visible()

    guest.go("Product description")
    guest.pick(name)
    guest.fill("Product", "Trailhead 20")
    script(scripted, name)
    guest.press("Write description")
    expect(page.get_by_test_id("stMain").get_by_text(sentence)).to_be_visible()
    expect(page.get_by_label("Product", exact=True)).to_have_value("Trailhead 20")

    guest.go("Tuner")
    guest.pick(name)
    guest.fill("User", "Name a city.")
    guest.fill("Temperature", "0.3")
    script(scripted, name)
    guest.press("Send")
    expect(page.get_by_test_id("stMain").get_by_text(sentence)).to_be_visible()
    expect(page.get_by_label("User", exact=True)).to_have_value("Name a city.")
    expect(page.get_by_label("Temperature", exact=True)).to_have_value("0.3")

    guest.go("Configurations")
    expect(page.get_by_test_id("stMain").get_by_text(sentence)).to_be_visible()
    script(scripted, name)
    page.get_by_role("button", name="Test", exact=True).nth(sorted(TROUBLE).index(name)).click()
    expect(page.get_by_text(f"Test failed: {FAILED_STEP[name]}")).to_be_visible()

    nothing_secret(guest, scripted)


@pytest.mark.soak
def test_an_empty_prompt_is_not_sent(guest: Visitor, scripted: ProviderServer) -> None:
    page, before = guest.page, len(scripted.requests)
    guest.open("chat")
    guest.pick("web page")
    guest.say("   ")
    guest.settle()
    expect(page.get_by_text("No messages yet")).to_be_visible()

    guest.go("Product description")
    guest.pick("web page")
    guest.fill("Product", " ")
    guest.press("Write description")
    expect(page.get_by_text("Enter the name of the product first.")).to_be_visible()

    guest.go("Tuner")
    guest.pick("web page")
    guest.fill("System", "")
    guest.fill("User", "")
    guest.press("Send")
    expect(page.get_by_text("Write a prompt first: there is nothing to send.")).to_be_visible()
    assert len(scripted.requests) == before


@pytest.mark.soak
def test_a_form_with_errors_shows_each_error_beside_its_field(guest: Visitor, scripted: ProviderServer) -> None:
    page, key = guest.page, "sk-typed-\u2026-not-a-key"
    guest.open("configurations?edit=new")
    guest.fill("Name", "WRONG key")
    guest.fill("Endpoint", "ftp://api.openai.com/v1")
    guest.fill("API key", key)
    guest.press("Save")
    expect(page.get_by_text("The endpoint must start with https:// or http://.")).to_be_visible()
    expect(page.get_by_text("The key contains blanks, line breaks or characters that no key has.")).to_be_visible()
    guest.fill("Endpoint", scripted.openai_endpoint)
    guest.fill("API key", "sk-typed-0123456789")
    guest.press("Save")
    expect(page.get_by_text("Another configuration has this name already.")).to_be_visible()
    expect(page.get_by_label("Endpoint", exact=True)).to_have_value(scripted.openai_endpoint)
    expect(page.get_by_label("API key", exact=True)).to_have_value("sk-typed-0123456789")
    assert b"sk-typed" not in b"".join(guest.received)


@pytest.mark.soak
def test_an_error_that_contains_the_key_is_shown_without_the_key(guest: Visitor, scripted: ProviderServer) -> None:
    guest.open("chat")
    guest.pick("web page")
    scripted.scripted.clear()
    scripted.next(Reply(400, error(f"No such thing for {scripted.key}.")))
    guest.say("Hello")
    expect(guest.page.get_by_text(re.compile(r"It says: .No such thing for \[key\]"))).to_be_visible()
    nothing_secret(guest, scripted)


def nothing_secret(guest: Visitor, server: ProviderServer) -> None:
    log = guest.app.log.read_text(encoding="utf-8")
    for key in (WRONG_KEY, server.key):
        assert key.encode() not in b"".join(guest.received)
        assert key not in guest.page.content()
        assert key not in log
    assert "Traceback" not in log
    assert "Traceback" not in guest.page.content()


@pytest.mark.soak
def test_a_database_error_is_shown_as_a_sentence(context: BrowserContext, tmp_path: Path) -> None:
    with App(tmp_path) as app:
        visitor = Visitor(context.new_page(), app)
        visitor.open()
        with closing(sqlite3.connect(app.database)) as connection:
            connection.execute("DROP TABLE calls")
        visitor.open("usage")
        expect(visitor.page.get_by_text("The database refused this")).to_be_visible()
        assert "Traceback" not in visitor.page.content()
