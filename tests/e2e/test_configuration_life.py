"""The life of a configuration: its key appears in no page, log, output or row. The whole life is a long form."""

import base64
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import psycopg
import pytest
from cryptography.fernet import Fernet
from playwright.sync_api import BrowserContext, Locator, expect

from tests.e2e.conftest import PROJECT, App, Visitor
from tests.postgresql import running
from tests.provider.server import ProviderServer

pytestmark = pytest.mark.browser

ONE, TWO = (Fernet.generate_key().decode() for _ in range(2))


@pytest.fixture(params=["sqlite", "postgresql"])
def own_app(request: pytest.FixtureRequest) -> Iterator[App]:
    """An app on an empty database, with an encryption key of its own."""
    with tempfile.TemporaryDirectory() as folder:
        if request.param == "sqlite":
            with App(Path(folder), ENCRYPTION_KEY=ONE) as app:
                yield app
            return
        with running() as server, App(Path(folder), DATABASE_URL=server.create(), ENCRYPTION_KEY=ONE) as app:
            yield app


def test_the_key_of_a_new_configuration_is_nowhere(app: App, visitor: Visitor, provider: ProviderServer) -> None:
    it_is_pasted_tested_and_saved(visitor, provider)
    it_answers_in_the_chat(visitor)
    nothing_holds_the_key(app, [visitor], provider, name="Life")


@pytest.mark.soak
def test_the_whole_life_of_a_configuration(own_app: App, context: BrowserContext, provider: ProviderServer) -> None:
    app, visitor = own_app, Visitor(context.new_page(), own_app)
    it_is_pasted_tested_and_saved(visitor, provider)
    it_answers_in_the_chat(visitor)
    colleague = two_change_it_at_once(visitor, context)
    its_key_stays_when_the_field_is_left_empty(visitor, provider)
    it_is_copied_switched_off_and_no_default_any_more(visitor)
    its_encryption_key_is_lost_and_it_is_saved(visitor, app, provider)
    said = it_is_rotated_while_the_app_runs(app)
    assert b"Original" in app.log.read_bytes()
    nothing_holds_the_key(app, [visitor, colleague], provider, said, name="Original")
    it_is_deleted_and_its_chat_and_its_calls_stay(visitor)
    nothing_holds_the_key(app, [visitor, colleague], provider, said, name="Original")


def it_is_pasted_tested_and_saved(visitor: Visitor, provider: ProviderServer) -> None:
    page = visitor.page
    visitor.open("configurations?edit=new")
    visitor.fill("Paste anything", f"Our server: {provider.openai_endpoint}/chat/completions, ask Ann for a key.")
    expect(page.get_by_label("Endpoint", exact=True)).to_have_value(provider.openai_endpoint)
    expect(page.get_by_test_id("stCode")).to_contain_text(f"POST {provider.openai_endpoint}/chat/completions")
    visitor.fill("Name", "Life")
    visitor.fill("API key", provider.key)
    visitor.press("List models")
    page.get_by_role("combobox", name="Provider's models").click()
    page.get_by_role("option", name="gpt-test", exact=True).click()
    expect(page.get_by_label("Default model", exact=True)).to_have_value("gpt-test")
    visitor.press("Test without saving")
    expect(page.get_by_text("Works, with 2 warnings")).to_be_in_viewport()
    visitor.save()
    expect(page.get_by_text("Not used yet")).to_be_visible()


def it_answers_in_the_chat(visitor: Visitor) -> None:
    visitor.go("Chat")
    visitor.say("A question that stays")
    expect(visitor.page.get_by_text(re.compile("in all"))).to_be_visible()


def two_change_it_at_once(visitor: Visitor, context: BrowserContext) -> Visitor:
    colleague = Visitor(context.new_page(), visitor.app)
    for each in (visitor, colleague):
        each.open("configurations")
        each.press("Edit")
        expect(each.page.get_by_role("heading", level=1)).to_have_text("Life")
    colleague.fill("Name", "Theirs")
    colleague.save()
    colleague.page.close()  # a page behind another one is drawn once a second
    visitor.fill("Name", "Mine")
    visitor.press("Save")
    expect(visitor.page.get_by_text("Your changes are not saved yet.")).to_be_visible()
    expect(visitor.page.get_by_label("Name", exact=True)).to_have_value("Mine")
    visitor.press("Show theirs")
    expect(visitor.page.get_by_label("Name", exact=True)).to_have_value("Theirs")
    return colleague


def its_key_stays_when_the_field_is_left_empty(visitor: Visitor, provider: ProviderServer) -> None:
    visitor.fill("Name", "Original")
    visitor.save()
    visitor.press("Test")
    expect(visitor.page.get_by_text("Works, with 2 warnings", exact=True)).to_be_visible()
    assert provider.requests[-1].headers["authorization"] == f"Bearer {provider.key}"
    visitor.press("Close")


def more(visitor: Visitor, what: str, *, nth: int = 0) -> None:
    visitor.page.get_by_role("main").get_by_role("button", name="More").nth(nth).click()
    visitor.page.get_by_role("menuitem", name=what).or_(visitor.page.get_by_role("option", name=what)).click()


def badge(visitor: Visitor, text: str) -> Locator:
    return visitor.page.get_by_test_id("stMarkdown").get_by_text(text, exact=True)


def it_is_copied_switched_off_and_no_default_any_more(visitor: Visitor) -> None:
    page = visitor.page
    more(visitor, "Duplicate")
    expect(page.get_by_role("heading", level=1)).to_have_text("Original (copy)")
    visitor.settle()
    visitor.fill("Name", "Copy")
    visitor.save()
    more(visitor, "Make default", nth=0)
    expect(badge(visitor, "Default")).to_be_visible()
    visitor.settle()
    more(visitor, "Switch off", nth=1)
    expect(badge(visitor, "Switched off")).to_be_visible()
    visitor.settle()
    visitor.open("chat")
    visitor.say("Who answers?")
    expect(page.get_by_text(re.compile("in all"))).to_be_visible()
    visitor.open("configurations")
    more(visitor, "Switch on", nth=1)
    expect(badge(visitor, "Switched off")).to_have_count(0)


def restart(app: App, keys: str) -> None:
    app.__exit__()
    app._environment["ENCRYPTION_KEY"] = keys
    app.__enter__()


def its_encryption_key_is_lost_and_it_is_saved(visitor: Visitor, app: App, provider: ProviderServer) -> None:
    page = visitor.page
    restart(app, TWO)
    assert "cannot decrypt the API keys of: Copy, Original" in app.log.read_text()
    visitor.open("configurations")
    expect(page.get_by_text("cannot open the stored key of: Copy, Original.")).to_be_visible()
    expect(page.get_by_text("Key cannot be opened")).to_have_count(2)
    page.get_by_role("main").get_by_role("button", name="Edit").nth(1).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Original")
    visitor.settle()
    visitor.fill("API key", provider.key)
    visitor.save()
    expect(page.get_by_text("Key cannot be opened")).to_have_count(1)


def it_is_rotated_while_the_app_runs(app: App) -> str:
    restart(app, f"{TWO},{ONE}")
    said = [command(app, "rotate-key"), command(app, "status")]
    assert said[0] == "Encrypted with the first encryption key: 1 API key. Already so: 1 API key.\n"
    assert "key 1 (encrypts): decrypts 2 API keys\n  key 2: decrypts 0 API keys\n" in said[1]
    restart(app, TWO)
    return "".join(said)


def command(app: App, name: str) -> str:
    run = [sys.executable, "-m", "db", name]
    done = subprocess.run(run, cwd=PROJECT, env={**os.environ, **app._environment}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def it_is_deleted_and_its_chat_and_its_calls_stay(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open("configurations")
    for nth in (0, 1):
        page.get_by_role("main").get_by_role("button", name="Test", exact=True).nth(nth).click()
        expect(page.get_by_text("Works, with 2 warnings")).to_have_count(nth + 1)
        visitor.settle()
    for left in ("Original", None):
        more(visitor, "Delete")
        page.get_by_role("dialog").get_by_role("button", name="Delete configuration").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.get_by_text("No configuration yet." if left is None else left, exact=False).first).to_be_visible()
        visitor.settle()
    visitor.go("Chat")
    page.get_by_role("button", name="A question that stays").click()
    expect(page.get_by_test_id("stChatMessage")).to_have_count(2)
    visitor.go("Usage")
    expect(page.get_by_role("heading", level=1)).to_have_text("Usage")


def nothing_holds_the_key(
    app: App, visitors: list[Visitor], provider: ProviderServer, said: str = "", *, name: str
) -> None:
    """Neither the key nor its base64 is in what the browser received, the log, the commands' words or the database."""
    places = {
        "the browser": b"".join([*(frame for each in visitors for frame in each.received), *pages_and_files(visitors)]),
        "the log": app.log.read_bytes(),
        "the commands": said.encode(),
        "the database": content_of(app),
    }
    assert name.encode() in places["the browser"]
    assert name.encode() in places["the database"]
    for secret in (provider.key, ONE, TWO):
        for form in forms_of(secret):
            assert not [place for place, content in places.items() if form in content]


def pages_and_files(visitors: list[Visitor]) -> Iterator[bytes]:
    """The HTTP responses that the browser received besides the frames; each address is requested again."""
    for url in {url for each in visitors for url in each.asked if url.startswith(each.app.url)}:
        with suppress(HTTPError), urlopen(url) as answer:
            yield answer.read()


def forms_of(secret: str) -> Iterator[bytes]:
    """The key as plain text, URL-encoded, and as it appears inside base64, without ends that an offset changes."""
    yield secret[:-4].encode()
    yield secret[:16].encode()
    yield quote(secret[:-4], safe="").encode()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret.encode())
        yield encoded[4:-8]
        yield encoded[4:-8].translate(bytes.maketrans(b"+/", b"-_"))


def content_of(app: App) -> bytes:
    """All stored bytes: the files including the write-ahead log, or each row of each table."""
    url = app._environment["DATABASE_URL"]
    if not url.startswith("postgresql:"):
        return b"".join(path.read_bytes() for path in app.database.parent.glob(f"{app.database.name}*"))
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return repr([connection.execute(f"SELECT * FROM {name}".encode()).fetchall() for (name,) in tables]).encode()
