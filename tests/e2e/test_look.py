"""Behaviour that depends on Streamlit's markup, on its address handling, or on the browser."""

import re

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from db import Database
from tests.e2e.conftest import App, Visitor, new_window
from tests.provider.answers import completion
from tests.provider.server import ProviderServer, Reply

pytestmark = pytest.mark.browser
PAGES = {
    "": "Try chat completions",
    "chat": "Chat",
    "product_description": "Product description",
    "tuner": "Tuner",
    "configurations": "Configurations",
    "configurations?edit=new": "New configuration",
    "usage": "Usage",
}


def test_a_deep_link_as_the_very_first_request_runs_the_frame(context: BrowserContext, new_app: App) -> None:
    visitor = Visitor(context.new_page(), new_app)
    visitor.open("configurations")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Configurations")
    expect(visitor.page.get_by_test_id("stSidebar").get_by_text("Local administrator")).to_be_visible()
    links = visitor.page.get_by_test_id("stSidebarNav").get_by_role("link")
    expect(links).to_have_count(11)
    for name in ("Home", "Chat", "Product description", "Tuner", "Configurations", "Usage"):
        expect(links.filter(has_text=name)).to_be_visible()


@pytest.mark.soak
def test_on_an_empty_database_every_page_opens_and_says_what_to_do_first(visitor: Visitor) -> None:
    errors: list[str] = []
    visitor.page.on("pageerror", lambda error: errors.append(str(error)))
    for address, title in PAGES.items():
        visitor.open(address)
        expect(visitor.page.get_by_role("heading", level=1)).to_contain_text(title)
        expect(visitor.page.get_by_test_id("stAlert")).to_have_count(0)
        if address in {"chat", "product_description", "tuner"}:
            expect(visitor.page.get_by_role("link", name="Add a configuration")).to_be_visible()
            expect(visitor.page.get_by_role("button", name=re.compile("Send|Write"))).to_have_count(0)
    assert errors == []


def test_an_address_with_a_folder_name_leads_to_the_page(visitor: Visitor) -> None:
    visitor.open("showcase/product_description")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Product description")
    assert visitor.page.url.endswith("/product_description")


@pytest.mark.soak
def test_pages_fit_a_phone_and_primary_buttons_have_contrast_in_the_dark_theme(
    browser: Browser, app: App, provider: ProviderServer
) -> None:
    with new_window(browser, viewport={"width": 390, "height": 844}, color_scheme="dark") as phone:
        visitor = Visitor(phone.new_page(), app)
        app.add_configuration(provider, "A configuration with a rather long name")
        for address, title in PAGES.items():
            visitor.open(address)
            expect(visitor.page.get_by_role("heading", level=1)).to_contain_text(title)
            assert visitor.too_wide() == 0, address
        visitor.open("tuner")
        button = visitor.page.get_by_role("button", name=re.compile("^Send"))
        colours = button.evaluate("each => [getComputedStyle(each).color, getComputedStyle(each).backgroundColor]")
        assert contrast(*colours) >= 4.5


def contrast(one: str, other: str) -> float:
    """The ratio that WCAG 2 defines, from two colours as a browser computes them."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    channels = [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_end_of_a_conversation_and_the_list_of_chats_stay_visible(
    visitor: Visitor, provider: ProviderServer
) -> None:
    visitor.app.add_configuration(provider)
    visitor.open("chat")
    provider.next(Reply(200, completion("A line.\n\n" * 80)))
    visitor.say("Write a lot")
    expect(visitor.page.get_by_text(re.compile("in all"))).to_be_in_viewport()
    visitor.page.mouse.move(600, 400)
    visitor.page.mouse.wheel(0, 5000)
    expect(visitor.page.get_by_role("button", name="New chat")).to_be_in_viewport()
    visitor.page.mouse.wheel(0, -9000)
    expect(visitor.page.get_by_text("Write a lot").first).to_be_in_viewport()
    expect(visitor.page.get_by_role("button", name="New chat")).to_be_in_viewport()


@pytest.fixture
def many_chats(app: App) -> None:
    database = Database(f"sqlite:///{app.database}")
    for number in range(40):
        database.chat_sessions.create(database.people.local(), title=f"Chat {number:02}", configuration_id=None)
    database.close()


@pytest.mark.usefixtures("many_chats")
def test_a_page_with_many_chats_opens_at_its_top_and_the_list_scrolls_on_its_own(
    visitor: Visitor, provider: ProviderServer
) -> None:
    page = visitor.page
    visitor.app.add_configuration(provider)
    visitor.open("chat")
    for each in (
        page.get_by_role("heading", level=1),
        page.get_by_role("button", name="New chat"),
        page.get_by_label("Search", exact=True),
        page.get_by_text("Today", exact=True),
        page.get_by_role("button", name="Chat 39"),
        page.get_by_test_id("stChatInput"),
    ):
        expect(each).to_be_in_viewport(ratio=1)
    field, chat = (each.bounding_box() for each in (page.get_by_test_id("stChatInput"), page.get_by_text("Today")))
    assert field
    assert chat
    assert field["x"] + field["width"] < chat["x"], "the input is as wide as the talk"
    expect(page.get_by_role("button", name="Chat 00")).not_to_be_in_viewport()
    page.get_by_role("button", name="Chat 00").scroll_into_view_if_needed()
    expect(page.get_by_role("heading", level=1)).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("button", name="New chat")).to_be_in_viewport(ratio=1)
    page.get_by_role("button", name="Chat 00").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Chat 00")
    visitor.press("New chat")
    expect(page.get_by_test_id("stChatInputTextArea")).to_be_focused()


@pytest.mark.usefixtures("many_chats")
def test_on_a_phone_the_chats_are_in_a_drawer(visitor: Visitor, provider: ProviderServer) -> None:
    page = visitor.page
    visitor.app.add_configuration(provider)
    page.set_viewport_size({"width": 390, "height": 844})
    visitor.open("chat")
    expect(page.get_by_role("heading", level=1)).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("button", name="New chat")).to_be_hidden()
    visitor.press("Chats")
    page.get_by_role("dialog").get_by_role("button", name="Chat 07").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Chat 07")
    expect(page.get_by_role("dialog")).to_have_count(0)
    provider.next(Reply(200, completion("A line.\n\n" * 40)))
    visitor.say("Write a lot")
    expect(page.get_by_text(re.compile("in all"))).to_be_in_viewport()
    assert visitor.too_wide() == 0


def test_pictures_and_scripts_in_an_answer_send_no_data_out(visitor: Visitor, provider: ProviderServer) -> None:
    """A manipulated model could send data in the address of a picture."""
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    visitor.app.add_configuration(provider)
    visitor.open("chat")
    hostile = f"See ![x]({provider.url}/stolen) and <img src='{provider.url}/stolen'> <script>alert(1)</script> end"
    provider.next(Reply(200, completion(hostile)))
    visitor.say("Hello")
    expect(visitor.page.get_by_text(re.compile("in all"))).to_be_visible()
    expect(visitor.page.get_by_text(re.compile("end$"))).to_be_visible()
    assert [received.path for received in provider.requests] == ["/v1/chat/completions"]
    assert {url.split("/")[2] for url in asked if url.startswith("http")} <= {f"localhost:{visitor.app.port}"} | {
        f"127.0.0.1:{provider.port}"  # asked for, and stopped by the policy before it left
    }


@pytest.mark.soak
def test_a_tab_whose_configuration_was_deleted_continues_with_another_and_loses_nothing(
    visitor: Visitor, provider: ProviderServer, app: App
) -> None:
    page = visitor.page
    for name in ("First", "Second"):
        app.add_configuration(provider, name)
    visitor.open("chat")
    visitor.pick("Second")
    database = Database(f"sqlite:///{app.database}")
    me = database.people.local()
    second = next(each for each in database.configurations.all(me) if each.display_name == "Second")
    database.configurations.delete(me, second.id)
    database.close()
    visitor.say("Where does it go?")
    expect(
        page.get_by_text("The configuration of this page was deleted or switched off. Nothing was sent")
    ).to_be_visible()
    expect(page.get_by_role("combobox", name="Configuration")).to_have_value("First")
    box = page.get_by_test_id("stChatInputTextArea")
    expect(box).to_have_value("Where does it go?")
    assert provider.requests == []
    box.press("Enter")
    expect(visitor.text("Answer 0 to: Where does it go?")).to_be_visible()


def test_back_opens_the_previous_chat(visitor: Visitor, provider: ProviderServer) -> None:
    page = visitor.page
    visitor.app.add_configuration(provider)
    visitor.open("chat")
    for text in ("One", "Two"):
        visitor.press("New chat")
        expect(page.get_by_text("No messages yet.")).to_be_visible()  # before that, the input is that of the other chat
        visitor.say(text)
        expect(visitor.text(f"Answer 0 to: {text}")).to_be_visible()
    visitor.press("One")
    expect(visitor.text("Answer 0 to: One")).to_be_visible()
    page.go_back()
    expect(visitor.text("Answer 0 to: Two")).to_be_visible()
