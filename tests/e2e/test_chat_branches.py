"""Versions, edits and settings of a chat; the requests contain exactly the messages that the page shows."""

import base64
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.e2e.conftest import App, Visitor
from tests.provider.answers import chunk, usage
from tests.provider.server import Chunks, ProviderServer

pytestmark = pytest.mark.browser

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def provider(scripted: ProviderServer) -> Iterator[ProviderServer]:
    scripted.scripted.clear()
    scripted.requests.clear()
    yield scripted
    assert scripted.violations == []


@pytest.fixture
def visitor(context: BrowserContext, shared_app: App, provider: ProviderServer) -> Visitor:
    visitor = Visitor(context.new_page(), shared_app)
    visitor.open("chat")
    return visitor


def answer(text: str) -> Chunks:
    return Chunks([chunk(text, role="assistant"), chunk(finish_reason="stop"), chunk(choices=[], usage=usage(3, text))])


def messages(page: Page) -> Locator:
    return page.get_by_test_id("stChatMessage")


def ask(visitor: Visitor, text: str) -> None:
    """Send a message, and wait until its answer has ended."""
    before = messages(visitor.page).count()
    visitor.say(text)
    it_is_answered(visitor, before + 2)


def it_is_answered(visitor: Visitor, count: int) -> None:
    expect(messages(visitor.page)).to_have_count(count)
    expect(messages(visitor.page).last).to_contain_text("in all")
    visitor.settle()


def shown(page: Page, *texts: str) -> None:
    """Wait until the page shows exactly these messages."""
    expect(messages(page)).to_contain_text(list(texts))
    expect(messages(page)).to_have_count(len(texts))


def sent(provider: ProviderServer, nth: int = -1) -> list[Any]:
    """The messages of a request: the earlier messages and the new message."""
    return [message["content"] for message in provider.requests[nth].body["messages"]]


def stored(app: App, chat: str) -> list[tuple[str, str]]:
    """All messages of a chat in the database, on all branches."""
    with closing(sqlite3.connect(app.database)) as database:
        rows = database.execute("SELECT role, content FROM messages WHERE session_id = ? ORDER BY position", (chat,))
        return list(rows)


def chat_of(page: Page) -> str:
    return page.url.partition("?chat=")[2]


def opened(page: Page, name: str) -> Locator:
    """Press the button that opens a box of the same name. Returns the box."""
    page.get_by_role("button", name=re.compile(rf"{re.escape(name)}\b")).click()
    return page.get_by_role("dialog", name=name)


def go_to_version(message: Locator, number: int) -> None:
    """Switch from one of two versions of a message to the other."""
    message.get_by_role("button", name=f"Version {3 - number} of 2").click()
    menu = message.page.get_by_role("menuitem").or_(message.page.get_by_role("option"))
    menu.filter(has_text=f"Version {number}").click()
    expect(message.page.get_by_role("button", name=f"Version {number} of 2")).to_be_visible()


def begin_anew(visitor: Visitor) -> None:
    visitor.press("New chat")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Chat")
    expect(messages(visitor.page)).to_have_count(0)
    visitor.settle()


@pytest.mark.soak
def test_another_answer_is_a_second_version_and_the_shown_version_is_sent(
    visitor: Visitor, provider: ProviderServer
) -> None:
    page = visitor.page
    provider.next(answer("The first answer"), answer("The second answer"))
    ask(visitor, "Which version?")
    visitor.press("Ask again")
    shown(page, "Which version?", "The second answer")
    it_is_answered(visitor, 2)
    assert sent(provider) == ["Which version?"]
    expect(messages(page).last.get_by_role("button", name="Version 2 of 2")).to_be_visible()
    assert stored(visitor.app, chat_of(page)) == [
        ("user", "Which version?"),
        ("assistant", "The first answer"),
        ("assistant", "The second answer"),
    ]
    ask(visitor, "Sent with the second")
    assert sent(provider) == ["Which version?", "The second answer", "Sent with the second"]
    go_to_version(messages(page).nth(1), 1)
    shown(page, "Which version?", "The first answer")
    ask(visitor, "Sent with the first")
    assert sent(provider) == ["Which version?", "The first answer", "Sent with the first"]
    go_to_version(messages(page).nth(1), 2)
    shown(page, "Which version?", "The second answer", "Sent with the second", "Answer 0 to: Sent with the second")


def test_an_edited_message_starts_a_new_branch_and_the_old_branch_is_kept(
    visitor: Visitor, provider: ProviderServer
) -> None:
    page = visitor.page
    ask(visitor, "One")
    ask(visitor, "Two")
    ask(visitor, "Three")
    messages(page).nth(0).get_by_role("button", name="Edit").click()
    page.get_by_label("Your message", exact=True).fill("Never sent")
    page.get_by_role("main").get_by_role("button", name="Cancel", exact=True).click()
    shown(page, "One", "Answer 0 to: One", "Two", "Answer 0 to: Two", "Three", "Answer 0 to: Three")
    messages(page).nth(2).get_by_role("button", name="Edit").click()
    page.get_by_label("Your message", exact=True).fill("Two, in other words")
    page.get_by_role("main").get_by_role("button", name=re.compile("^Send( Shortcut .*)?$")).click()
    shown(page, "One", "Answer 0 to: One", "Two, in other words", "Answer 0 to: Two, in other words")
    it_is_answered(visitor, 4)
    assert sent(provider) == ["One", "Answer 0 to: One", "Two, in other words"]
    assert len(provider.requests) == 4
    go_to_version(messages(page).nth(2), 1)
    shown(page, "One", "Answer 0 to: One", "Two", "Answer 0 to: Two", "Three", "Answer 0 to: Three")
    page.reload()
    shown(page, "One", "Answer 0 to: One", "Two", "Answer 0 to: Two", "Three", "Answer 0 to: Three")
    ask(visitor, "Four")
    assert sent(provider) == [
        *("One", "Answer 0 to: One", "Two", "Answer 0 to: Two", "Three", "Answer 0 to: Three", "Four")
    ]


@pytest.mark.soak
def test_a_chat_is_found_by_its_words_and_its_address_and_can_be_renamed(
    visitor: Visitor, context: BrowserContext
) -> None:
    page = visitor.page
    ask(visitor, "Needle in the haystack")
    address = page.url
    begin_anew(visitor)
    ask(visitor, "Something else")
    visitor.fill("Search", "NEEDLE")
    expect(page.get_by_role("button", name="Needle in the haystack")).to_be_visible()
    expect(page.get_by_role("button", name="Something else")).to_have_count(0)
    visitor.fill("Search", "no such words")
    expect(page.get_by_text("No matching chats.")).to_be_visible()
    visitor.fill("Search", "answer 0 to: needle")
    page.get_by_role("button", name="Needle in the haystack").click()
    expect(page).to_have_url(address)
    shown(page, "Needle in the haystack", "Answer 0 to: Needle in the haystack")
    visitor.settle()
    opened(page, "Chat settings")
    visitor.fill("Title", "A *better* name")
    expect(page.get_by_role("heading", level=1)).to_have_text("A *better* name")
    expect(page.get_by_role("button", name="A *better* name")).to_be_visible()
    other = Visitor(context.new_page(), visitor.app)
    other.page.goto(address)
    expect(other.page.get_by_role("heading", level=1)).to_have_text("A *better* name")
    shown(other.page, "Needle in the haystack", "Answer 0 to: Needle in the haystack")
    other.page.goto(f"{visitor.app.url}/chat?chat=0123456789abcdef")
    expect(other.page.get_by_text("This chat does not exist, or belongs to somebody else.")).to_be_visible()
    expect(other.page.get_by_role("heading", level=1)).to_have_text("Chat")


@pytest.mark.soak
def test_the_system_prompt_is_the_first_message_of_each_request(visitor: Visitor, provider: ProviderServer) -> None:
    page = visitor.page
    opened(page, "Chat settings")
    visitor.fill("System prompt", "Answer in rhymes.")
    page.keyboard.press("Escape")
    ask(visitor, "First")
    ask(visitor, "Second")
    assert provider.requests[0].body["messages"] == [
        {"role": "system", "content": "Answer in rhymes."},
        {"role": "user", "content": "First"},
    ]
    assert [message["role"] for message in provider.requests[1].body["messages"]] == [
        *("system", "user", "assistant", "user")
    ]
    assert sent(provider)[0] == "Answer in rhymes."
    page.reload()
    opened(page, "Chat settings")
    expect(page.get_by_label("System prompt", exact=True)).to_have_value("Answer in rhymes.")
    visitor.fill("System prompt", "Answer in prose.")
    page.keyboard.press("Escape")
    ask(visitor, "Third")
    assert sent(provider)[0] == "Answer in prose."
    begin_anew(visitor)
    ask(visitor, "Without any")
    assert sent(provider) == ["Without any"]


@pytest.mark.soak
def test_undo_restores_a_deleted_chat(visitor: Visitor) -> None:
    page = visitor.page
    ask(visitor, "Delete me")
    address = page.url
    opened(page, "Chat settings").get_by_role("button", name="Delete chat").click()
    expect(page.get_by_text("Deleted “Delete me”.")).to_be_visible()
    expect(messages(page)).to_have_count(0)
    expect(page.get_by_role("button", name="Delete me")).to_have_count(0)
    visitor.settle()
    visitor.press("Undo")
    expect(page).to_have_url(address)
    shown(page, "Delete me", "Answer 0 to: Delete me")
    expect(page.get_by_role("button", name="Delete me")).to_be_visible()
    expect(page.get_by_text("Deleted “Delete me”.")).to_have_count(0)


def test_a_chat_is_exported_as_markdown_json_and_jsonl(visitor: Visitor) -> None:
    page = visitor.page
    opened(page, "Chat settings")
    visitor.fill("System prompt", "Be brief.")
    page.keyboard.press("Escape")
    ask(visitor, "Export »this«")
    box = opened(page, "Chat settings")
    files = {name: download(page, box, name) for name in ("Markdown", "JSON", "JSONL")}
    spoken = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Export »this«"},
        {"role": "assistant", "content": "Answer 0 to: Export »this«"},
    ]
    assert files["Markdown"] == (
        "# Export »this«\n\n## System\n\nBe brief.\n\n## User\n\nExport »this«\n\n"
        "## Assistant\n\nAnswer 0 to: Export »this«\n"
    )
    whole = json.loads(files["JSON"])
    assert (whole["title"], whole["system_prompt"]) == ("Export »this«", "Be brief.")
    assert [{name: message[name] for name in ("role", "content")} for message in whole["messages"]] == spoken[1:]
    assert whole["messages"][1]["status"] == "complete"
    assert [json.loads(line) for line in files["JSONL"].splitlines()] == [{"messages": spoken}]


def download(page: Page, box: Locator, name: str) -> str:
    with page.expect_download() as loading:
        box.get_by_role("button", name=name, exact=True).click()
    return loading.value.path().read_text(encoding="utf-8")


def test_a_message_is_also_sent_without_history_and_the_chat_continues_with_either_answer(
    visitor: Visitor, provider: ProviderServer
) -> None:
    page = visitor.page
    ask(visitor, "My name is Ann")
    page.get_by_text("Also ask without history", exact=True).click()
    visitor.settle()
    by_history = {3: answer("You are Ann"), 1: answer("I do not know you")}
    provider.objection = lambda body: by_history[len(body["messages"])]
    try:
        visitor.say("Who am I?")
        expect(messages(page)).to_have_count(5)
        with_history = messages(page).filter(has_text="With 2 earlier messages")
        alone = messages(page).filter(has_text="Without history")
        expect(with_history).to_contain_text("You are Ann")
        expect(alone).to_contain_text("I do not know you")
        for each in (with_history, alone):
            expect(each).to_contain_text("in all")
    finally:
        provider.objection = lambda body: None
    left, right = with_history.bounding_box(), alone.bounding_box()
    assert left
    assert right
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    both = sorted((sent(provider, nth) for nth in (-1, -2)), key=len)
    assert both == [["Who am I?"], ["My name is Ann", "Answer 0 to: My name is Ann", "Who am I?"]]
    visitor.settle()
    visitor.press("Use this answer")
    shown(page, "My name is Ann", "Answer 0 to: My name is Ann", "Who am I?", "I do not know you")
    page.get_by_text("Also ask without history", exact=True).click()
    visitor.settle()
    ask(visitor, "And now?")
    assert sent(provider) == [
        *("My name is Ann", "Answer 0 to: My name is Ann", "Who am I?", "I do not know you", "And now?")
    ]


@pytest.mark.soak
def test_with_zero_earlier_turns_no_earlier_message_is_sent(visitor: Visitor, provider: ProviderServer) -> None:
    page = visitor.page
    ask(visitor, "Left out")
    ask(visitor, "Left out, too")
    expect(page.get_by_text(re.compile("^Sends 4 earlier messages with yours"))).to_be_visible()
    box = opened(page, "Preview request")
    slider = box.get_by_role("slider", name="Earlier turns to send")
    expect(slider).to_have_value("2")
    slider.focus()
    slider.press("ArrowLeft")
    expect(box.get_by_text("The oldest 1 of 2 turns are left out, as chosen above.")).to_be_visible()
    visitor.settle()
    slider.press("ArrowLeft")
    expect(box.get_by_text("The oldest 2 of 2 turns are left out, as chosen above.")).to_be_visible()
    expect(box.get_by_test_id("stJson")).not_to_contain_text("Left out")
    visitor.settle()
    page.keyboard.press("Escape")
    expect(page.get_by_text(re.compile("^Sends your message alone, leaves out 2 of 2 turns"))).to_be_visible()
    ask(visitor, "Alone")
    assert sent(provider) == ["Alone"]
    page.reload()
    expect(page.get_by_text(re.compile("^Sends your message alone, leaves out 3 of 3 turns"))).to_be_visible()
    ask(visitor, "Alone again")
    assert sent(provider) == ["Alone again"]


def test_a_picture_is_sent_with_its_message_and_shown(visitor: Visitor, provider: ProviderServer) -> None:
    page = visitor.page
    picture(page, "pixel.png", PIXEL)
    visitor.say("What is this?")
    shown(page, "What is this?", "Answer 0 to: What is this?")
    it_is_answered(visitor, 2)
    asked = {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"}},
        ],
    }
    assert provider.requests[-1].body["messages"] == [asked]
    expect(messages(page).first.get_by_role("img")).to_have_js_property("naturalWidth", 1)
    ask(visitor, "And again?")
    assert provider.requests[-1].body["messages"][0] == asked
    picture(page, "no-picture.png", b"Text")
    visitor.say("What is that?")
    expect(page.get_by_text("no-picture.png is not a picture that models accept.")).to_be_visible()
    expect(page.get_by_test_id("stChatInputTextArea")).to_have_value("What is that?")
    assert len(provider.requests) == 2


def picture(page: Page, name: str, data: bytes) -> None:
    """Attach a file to the message, and wait until the app has received the file."""
    box = page.get_by_test_id("stChatInput")
    box.locator("input[type=file]").first.set_input_files({"name": name, "mimeType": "image/png", "buffer": data})
    expect(box.get_by_text(name)).to_be_visible()
