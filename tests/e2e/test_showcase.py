"""Every page opens, fits the window and is accessible, and its button gives an answer that stays."""

import json
import re
import threading
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it has no types
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from pages.shared.base import use_cases
from tests.e2e.conftest import STOP, App, Visitor, new_window
from tests.provider.answers import chunk, completion, usage
from tests.provider.server import AnyReply, Chunks, ProviderServer, Reply

pytestmark = pytest.mark.browser
DESK, PHONE = (1440, 900), (390, 844)
TITLES = {
    "": "Try chat completions on your own account",
    **{use_case.name: use_case.title for use_case in use_cases()},
    "tuner": "Tuner",
    "usage": "Usage",
    "configurations": "Configurations",
}
SENDING = {*TITLES} - {"", "usage", "configurations"}
ANSWERS = {"operations": 3}  # of its button; of the others, one
# A page of each kind; the other use cases are drawn by the same doors.
SHORT = ("", "chat", "operations", "tuner", "usage", "configurations")
LONG = sorted({*TITLES} - {*SHORT})
# Streamlit looks for its server below the page's own address first, and a browser tells that it is not there.
LOOKS_FOR_ITS_SERVER = re.compile(r"/\w+/_stcore/(health|host-config)$")
# What axe finds in Streamlit's own markup, where no setting reaches: rule -> inside what.
KNOWN = {
    "color-contrast": "[data-testid=stCode] code span, [data-testid=stJson]",  # the colours of code's and JSON's tokens
    "list": "[data-testid=stSidebarNav]",  # its list holds sections beside items
    "listitem": "[data-testid=stSidebarNav]",
}

# The violations as texts, without the known ones. A page may replace elements at any time, so they are judged at once.
VIOLATIONS = """async ([options, known]) => {
  const { violations } = await axe.run(options);
  return violations.flatMap(({ id, impact, help, nodes }) => nodes
    .filter(({ element }) => !(id in known && element?.closest(known[id])))
    .map(({ html, any, all, none }) => {
      const why = [...any, ...all, ...none].map(({ message }) => message).join(" ");
      return `${id} (${impact}): ${help}\n    ${html.slice(0, 200)}\n    ${why}`;
    }));
}"""


@pytest.fixture
def provider(scripted: ProviderServer) -> Iterator[ProviderServer]:
    scripted.scripted.clear()
    scripted.requests.clear()
    scripted.disconnected.clear()
    scripted.objection = fitting
    yield scripted
    assert scripted.violations == []


def fitting(body: dict[str, Any]) -> AnyReply | None:
    """Answers with JSON where the request asks for JSON."""
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_object":
        made: Any = {"finished": 1932, "lake": "IJsselmeer"}
    elif wanted.get("type") == "json_schema":
        schema = wanted["json_schema"]["schema"]
        made = example_of(schema, schema.get("$defs", {}))
    else:
        return None
    text = json.dumps(made)
    if not body.get("stream"):
        return Reply(200, completion(text))
    return Chunks([chunk(text, role="assistant"), chunk(finish_reason="stop"), chunk(choices=[], usage=usage(9, text))])


def example_of(schema: dict[str, Any], defined: dict[str, Any]) -> Any:
    """The smallest value that fits a schema."""
    match schema:
        case {"$ref": reference}:
            return example_of(defined[reference.rpartition("/")[2]], defined)
        case {"anyOf": [first, *_]}:
            return example_of(first, defined)
        case {"enum": [first, *_]}:
            return first
        case {"type": "object", "properties": properties}:
            return {name: example_of(each, defined) for name, each in properties.items()}
        case {"type": "array", "items": items}:
            return [example_of(items, defined)]
    return {"integer": 1, "number": 1.5, "boolean": True}.get(schema["type"], "some words")


class Tab(Visitor):
    """One tab for all pages, which records the errors that the browser reports."""

    def __init__(self, page: Page, app: App) -> None:
        super().__init__(page, app)
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not LOOKS_FOR_ITS_SERVER.search(message.location["url"]):
            self.complaints.append(message.text)

    def look(self, size: tuple[int, int], scheme: Literal["light", "dark"] = "light") -> None:
        self.page.set_viewport_size({"width": size[0], "height": size[1]})
        self.page.emulate_media(color_scheme=scheme)
        self.page.wait_for_function(
            """scheme => {
              const app = document.querySelector('[data-testid=stApp]');
              const moving = document.getAnimations().filter(each => each.effect.getComputedTiming().endTime < 1e4);
              moving.forEach(each => each.finish());
              return getComputedStyle(app).colorScheme === scheme && !moving.length;
            }""",
            arg=scheme,
        )

    def findings(self, *rules: str) -> list[str]:
        """The violations in our own elements that axe finds, by these rules or by all rules."""
        options = {"resultTypes": ["violations"], "elementRef": True}
        options |= {"runOnly": list(rules)} if rules else {}
        self.page.evaluate(Axe().axe_script)
        return list(self.page.evaluate(VIOLATIONS, [options, KNOWN]))


@pytest.fixture(scope="module")
def tab(browser: Browser, shared_app: App) -> Iterator[Tab]:
    with new_window(browser) as context:
        yield Tab(context.new_page(), shared_app)


@pytest.mark.parametrize("address", [*SHORT, *(pytest.param(page, marks=pytest.mark.soak) for page in LONG)])
def test_a_page_opens_fits_the_window_answers_and_is_accessible(
    tab: Tab, provider: ProviderServer, address: str
) -> None:
    page = tab.page
    tab.complaints.clear()
    tab.asked.clear()
    page.set_viewport_size({"width": DESK[0], "height": DESK[1]})
    tab.open(address)
    expect(page.get_by_role("heading", level=1)).to_have_text(TITLES[address])
    tab.look(PHONE)
    too_wide = {"empty, on a phone": tab.too_wide()}
    tab.look(DESK)
    if address in SENDING:
        assert provider.requests == []
        send(page)
        # Not that nothing is being written: this is also true between two answers.
        expect(page.get_by_text(re.compile(" in all")).filter(visible=True)).to_have_count(ANSWERS.get(address, 1))
        tab.settle()
        assert provider.requests
    findings = {"light": tab.findings()}
    too_wide["with its answer"] = tab.too_wide()
    tab.look(DESK, "dark")
    findings["dark"] = tab.findings("color-contrast", "link-in-text-block")  # the rest is as it was
    tab.look(PHONE, "dark")
    too_wide["with its answer, on a phone"] = tab.too_wide()
    expect(page.get_by_test_id("stException").or_(page.get_by_test_id("stAlert"))).to_have_count(0)
    if any(findings.values()):
        pytest.fail("\n".join(f"{scheme}: {each}" for scheme in findings for each in findings[scheme]), pytrace=False)
    assert not any(too_wide.values()), too_wide
    assert tab.complaints == []
    assert {urlsplit(url).netloc for url in tab.asked} - {""} == {f"localhost:{tab.app.port}"}


def send(page: Page) -> None:
    """Press the primary button, or the first suggestion on a page with a chat."""
    main = page.get_by_role("main")
    button = main.locator("button[data-testid=stBaseButton-primary]")
    expect(button.or_(main.get_by_test_id("stChatInput")).first).to_be_visible()
    (button if button.count() else main.get_by_role("radiogroup").get_by_role("radio").first).click()


WANTED = "The projector in room 4.12 shows nothing. We need it today."


@pytest.fixture
def visitor(context: BrowserContext, shared_app: App) -> Tab:
    return Tab(context.new_page(), shared_app)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds an answer until it is set."""
    gate = threading.Event()
    yield gate
    gate.set()  # where the test has failed


def writing(page: Page) -> Locator:
    """The answer that is being written, as the page shows it so far."""
    return page.get_by_role("group", name="Answer being written")


def test_an_answer_continues_without_its_page_and_is_requested_once(
    context: BrowserContext, visitor: Visitor, provider: ProviderServer, gate: threading.Event
) -> None:
    page = visitor.page
    half, rest = chunk("It will rain", role="assistant"), chunk(" until Tuesday.", finish_reason="stop")
    provider.next(Chunks([half, gate, rest]))
    visitor.open("translate")
    page.get_by_role("button", name=re.compile("^Translate")).dblclick()
    expect(writing(page)).to_have_text("It will rain")
    page.reload()
    expect(writing(page)).to_have_text("It will rain")
    visitor.go("Usage")
    expect(page.get_by_role("heading", level=1)).to_have_text("Usage")
    page.go_back()
    expect(writing(page)).to_have_text("It will rain")
    expect(page.get_by_role("button", name=re.compile("^Translate"))).to_be_disabled()
    second = Visitor(context.new_page(), visitor.app)
    second.open("translate")
    expect(writing(second.page)).to_have_text("It will rain")
    gate.set()
    for each in (second.page, page):
        each.bring_to_front()
        expect(each.get_by_text("It will rain until Tuesday.", exact=True)).to_have_count(1)
        expect(each.get_by_text(re.compile(" in all"))).to_be_visible()
        expect(writing(each)).to_have_count(0)
    assert len(provider.requests) == 1


def test_three_answers_of_one_page_are_written_side_by_side(
    visitor: Visitor, provider: ProviderServer, gate: threading.Event
) -> None:
    page = visitor.page
    provider.next(
        *[
            Chunks([chunk("Bring no", role="assistant"), gate, chunk(" balloons.", finish_reason="stop")])
            for _ in range(3)
        ]
    )
    visitor.open("operations")
    page.get_by_role("button", name=re.compile("^Send through all three")).click()
    expect(writing(page)).to_have_text(["Bring no"] * 3)
    expect(page.get_by_role("button", name=STOP)).to_have_count(3)
    gate.set()
    expect(writing(page)).to_have_count(0)
    expect(page.get_by_text("Bring no balloons.", exact=True)).to_have_count(3)
    expect(page.get_by_test_id("stAlert")).to_have_count(0)


def test_on_a_phone_an_answer_is_visible_from_its_first_word_and_stop_keeps_the_partial_text(
    visitor: Visitor, provider: ProviderServer, gate: threading.Event
) -> None:
    page = visitor.page
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    provider.next(Chunks([chunk("In short:", role="assistant"), gate, chunk(" nothing.", finish_reason="stop")]))
    visitor.open("summarise")
    page.get_by_role("button", name=re.compile("^Summarise")).click()
    expect(writing(page)).to_have_text("In short:")
    expect(writing(page)).to_be_in_viewport()
    page.get_by_role("button", name=STOP).click()
    assert provider.disconnected.wait(120)
    for _ in range(2):
        expect(page.get_by_text("Stopped. The partial text is kept.")).to_be_visible()
        expect(page.get_by_text("In short:", exact=True)).to_be_visible()
        page.reload()


def test_function_calls_are_shown_run_after_confirmation_and_are_followed_by_the_answer(
    visitor: Tab, provider: ProviderServer
) -> None:
    page = visitor.page
    ticket = {"room": "4.12", "problem": "The projector shows nothing.", "urgency": "high"}
    provider.next(asking_for(FindTickets={"room": "4.12"}, CreateTicket=ticket))
    visitor.open("function_calling")
    page.get_by_label("Message", exact=True).fill(WANTED)
    page.get_by_role("button", name=re.compile("^Send")).click()
    expect(page.get_by_text("Calls to confirm")).to_be_visible()
    for shown in ("FindTickets", "CreateTicket", "The projector shows nothing."):
        expect(page.get_by_text(shown).last).to_be_visible()
    visitor.settle()
    assert visitor.findings() == []
    assert len(provider.requests) == 1
    provider.next(Chunks([chunk("I created ticket 2.", role="assistant"), chunk(finish_reason="stop")]))
    page.get_by_role("button", name="Run", exact=True).click()
    expect(visitor.text("I created ticket 2.").last).to_be_visible()  # and before it as it went over the wire
    expect(page.get_by_role("button", name="Run", exact=True)).to_have_count(0)
    asked, calls, *results = provider.requests[1].body["messages"][-4:]
    assert asked["content"] == f'"""{WANTED}"""'
    assert [call["function"]["name"] for call in calls["tool_calls"]] == ["FindTickets", "CreateTicket"]
    assert [json.loads(result["content"]) for result in results] == [[], {"number": 2, **ticket}]
    assert [result["tool_call_id"] for result in results] == [call["id"] for call in calls["tool_calls"]]
    visitor.press("Start over")
    expect(page.get_by_text("The answer appears here.")).to_be_visible()


def test_a_photo_is_taken_and_sent(browser: Browser, shared_app: App, provider: ProviderServer) -> None:
    provider.next(Chunks([chunk("A green clock.", role="assistant"), chunk(finish_reason="stop")]))
    with new_window(browser, permissions=["camera"]) as context:
        page = context.new_page()
        visitor = Visitor(page, shared_app)
        visitor.open("vision")
        page.get_by_role("radio", name="Camera").click()
        expect(page.locator("video")).to_have_js_property("readyState", 4)  # there is something to take
        with page.expect_response(re.compile("upload_file")):
            page.get_by_role("button", name="Take Photo").click()
        expect(page.get_by_role("button", name="Clear photo")).to_be_visible()
        page.get_by_role("button", name=re.compile("^Ask")).click()
        expect(visitor.text("A green clock.")).to_be_visible()
    picture, _prompt = provider.requests[-1].body["messages"][-1]["content"]
    assert picture["image_url"]["url"].startswith("data:image/jpeg;base64,")


def asking_for(**calls: dict[str, str]) -> Chunks:
    """A model that calls functions with these arguments."""
    asked = [
        {
            "index": at,
            "id": f"call_{name}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(how)},
        }
        for at, (name, how) in enumerate(calls.items())
    ]
    delta = {"role": "assistant", "content": None, "tool_calls": asked}
    return Chunks(
        [chunk(choices=[{"index": 0, "delta": delta, "finish_reason": None}]), chunk(finish_reason="tool_calls")]
    )


def test_the_search_on_the_home_page_shows_matching_cards_that_lead_to_their_pages(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open()
    main = page.get_by_role("main")
    cards = {each.title: main.get_by_role("link", name=each.title, exact=True) for each in use_cases()}
    for card in cards.values():
        expect(card).to_be_visible()
    visitor.fill("Search use cases", "TABLE fill")
    for title, card in cards.items():
        expect(card).to_have_count(1 if title == "JSON demo data" else 0)
    visitor.fill("Search use cases", "no such thing")
    expect(page.get_by_text("No matching use cases.")).to_be_visible()
    visitor.fill("Search use cases", "ticket")
    cards["Function calling"].click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Function calling")
