"""An answer continues when its tab reloads, closes or loses its connection, and no word is lost."""

import re
import socket
import socketserver
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Route, WebSocketRoute, expect

from tests.e2e.conftest import STOP, App, Visitor
from tests.provider.answers import chunk
from tests.provider.server import Chunks, ProviderServer

pytestmark = pytest.mark.browser

OFFLINE = '[data-testid="stApp"]:not([data-test-connection-state="CONNECTED"])'
STOPPED = "Stopped. The partial text is kept."
REFUSED = "An answer is still being written in this chat. Wait until it has ended, or stop it."

# How many messages stand there, whenever that changes from one drawn frame to the next.
COUNT_MESSAGES = """() => {
  window.seen = [];
  const look = () => {
    const now = document.querySelectorAll('[data-testid="stChatMessage"]').length;
    if (now !== window.seen.at(-1)) window.seen.push(now);
    requestAnimationFrame(look);
  };
  look();
}"""


class Story:
    """An answer in parts; the provider sends each part after the first when the test calls `tell`."""

    def __init__(self, *parts: str) -> None:
        self.parts = parts or ("Once upon a time", " there was a test", " that waited for nothing.")
        self.gates = [threading.Event() for _ in self.parts]
        self.gates[0].set()

    @property
    def whole(self) -> str:
        return "".join(self.parts)

    def chunks(self) -> Chunks:
        pieces: list[dict[str, object] | threading.Event] = []
        for gate, part in zip(self.gates, self.parts, strict=True):
            pieces += [gate, *(chunk(word) for word in re.findall(r"\s*\S+", part))]
        return Chunks([chunk("", role="assistant"), *pieces, chunk(finish_reason="stop")])

    def tell(self, part: int) -> None:
        self.gates[part].set()


class Cable(socketserver.ThreadingTCPServer):
    """A proxy in front of the app that can be cut: open connections end at once, and new connections fail."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.port = self.server_address[1]
        self._to = port
        self._is_cut = False
        self._ends: set[socket.socket] = set()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,)).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self.shutdown()
        self.server_close()

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self._is_cut:
            return
        with socket.create_connection(("127.0.0.1", self._to)) as app:
            self._ends |= {request, app}
            threading.Thread(target=self._carry, args=(app, request), daemon=True).start()
            self._carry(request, app)

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            self._hang_up(end)

    def _hang_up(self, end: socket.socket) -> None:
        self._ends.discard(end)
        with suppress(OSError):  # the other end was faster
            end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        self._is_cut = True
        for end in list(self._ends):
            self._hang_up(end)

    def mend(self) -> None:
        self._is_cut = False


@pytest.fixture
def provider(scripted: ProviderServer) -> Iterator[ProviderServer]:
    scripted.scripted.clear()
    scripted.requests.clear()
    scripted.disconnected.clear()
    yield scripted
    assert scripted.violations == []


@pytest.fixture
def visitor(context: BrowserContext, shared_app: App) -> Visitor:
    return Visitor(context.new_page(), shared_app)


@pytest.fixture
def story(provider: ProviderServer) -> Iterator[Story]:
    """Script the answer to the next request."""
    story = Story()
    provider.next(story.chunks())
    yield story
    for part in range(3):  # where the test has failed
        story.tell(part)


def writing(page: Page) -> Locator:
    """The answer that is being written, as the page shows it so far."""
    return page.get_by_role("group", name="Answer being written")


def ask(visitor: Visitor, story: Story, question: str) -> str:
    """Send a message, and wait for the first part. Returns the path and query of the chat's address."""
    visitor.open("chat")
    visitor.say(question)
    expect(writing(visitor.page)).to_have_text(story.parts[0])
    expect(visitor.page).to_have_url(re.compile(r"/chat\?chat=\w+$"))
    return visitor.page.url.removeprefix(f"{visitor.app.url}/")


def it_ends(page: Page, story: Story) -> None:
    """Send the third part, and wait for the stored answer: complete, once, with its tokens and times."""
    story.tell(2)
    it_is_whole(page, story)


def it_is_whole(page: Page, story: Story) -> None:
    expect(writing(page)).to_have_count(0)
    expect(page.get_by_test_id("stChatMessage")).to_have_count(2)
    answer = page.get_by_test_id("stChatMessage").last
    expect(answer).to_contain_text("in all")
    expect(answer.get_by_text(story.whole, exact=True)).to_have_count(1)


def test_a_reload_in_the_middle_loses_no_word(visitor: Visitor, provider: ProviderServer, story: Story) -> None:
    ask(visitor, story, "Reload")
    visitor.page.reload()
    expect(writing(visitor.page)).to_have_text(story.parts[0])
    story.tell(1)
    expect(writing(visitor.page)).to_have_text(story.parts[0] + story.parts[1])
    it_ends(visitor.page, story)
    assert len(provider.requests) == 1


def test_a_message_that_is_not_sent_yet_survives_another_page_another_chat_and_a_reload(visitor: Visitor) -> None:
    page, box = visitor.page, visitor.page.get_by_test_id("stChatInputTextArea")
    visitor.open("chat")
    box.press_sequentially("For a new chat")
    visitor.go("Usage")
    visitor.go("Chat")
    expect(box).to_have_value("For a new chat")
    visitor.say("Hello")
    expect(page.get_by_text(re.compile("in all"))).to_be_visible()
    visitor.settle()
    expect(box).to_have_value("")
    box.press_sequentially("A careful question")
    visitor.press("New chat")
    expect(box).to_have_value("")
    box.press_sequentially("For another chat")
    page.get_by_role("button", name="Hello").click()
    expect(box).to_have_value("A careful question")
    visitor.press("New chat")
    expect(box).to_have_value("For another chat")
    page.get_by_role("button", name="Hello").click()
    expect(box).to_have_value("A careful question")
    page.reload()
    visitor.settle()
    expect(box).to_have_value("A careful question")
    box.press("Enter")
    expect(page.get_by_text(re.compile("in all"))).to_have_count(2)
    page.reload()
    visitor.settle()
    expect(page.get_by_test_id("stChatMessage")).to_have_count(4)
    expect(box).to_have_value("")


@pytest.mark.soak
def test_an_answer_continues_during_a_visit_to_another_page(
    visitor: Visitor, provider: ProviderServer, story: Story
) -> None:
    page = visitor.page
    address = ask(visitor, story, "Found in the list")
    visitor.go("Usage")
    story.tell(1)
    visitor.go("Chat")
    expect(page.get_by_role("heading", level=1)).to_have_text("Chat")
    expect(writing(page)).to_have_count(0)
    page.get_by_role("button", name="Found in the list").click()
    expect(writing(page)).to_have_text(story.parts[0] + story.parts[1])
    visitor.go("Usage")
    story.tell(2)
    page.goto(f"{visitor.app.url}/{address}")
    it_is_whole(page, story)
    assert not provider.disconnected.is_set()


@pytest.mark.soak
def test_an_answer_continues_after_its_tab_was_closed(
    context: BrowserContext, visitor: Visitor, provider: ProviderServer, story: Story
) -> None:
    address = ask(visitor, story, "Close the tab")
    visitor.page.close()
    story.tell(1)
    page = context.new_page()
    page.goto(f"{visitor.app.url}/{address}")
    expect(writing(page)).to_have_text(story.parts[0] + story.parts[1])
    it_ends(page, story)
    assert not provider.disconnected.is_set()


def test_a_second_tab_follows_the_same_answer_word_by_word(
    context: BrowserContext, visitor: Visitor, provider: ProviderServer
) -> None:
    words = [f" word{number}" for number in range(6)]
    story = Story(*words)
    provider.next(story.chunks())
    address = ask(visitor, story, "Two tabs")
    second = Visitor(context.new_page(), visitor.app)
    second.page.goto(f"{visitor.app.url}/{address}")
    for at in range(1, len(words)):
        expect(writing(second.page)).to_have_text("".join(words[:at]).strip())
        if at < len(words) - 1:
            story.tell(at)
    visitor.page.bring_to_front()
    expect(writing(visitor.page)).to_have_text("".join(words[:-1]).strip())
    story.tell(len(words) - 1)
    for page in (visitor.page, second.page):
        page.bring_to_front()
        expect(writing(page)).to_have_count(0)
        expect(page.get_by_text(story.whole.strip(), exact=True)).to_have_count(1)
    assert len(provider.requests) == 1


@pytest.fixture
def cable(shared_app: App) -> Iterator[Cable]:
    with Cable(shared_app.port) as cable:
        yield cable


def ask_over(cable: Cable, visitor: Visitor, story: Story, question: str) -> None:
    visitor.page.goto(f"http://localhost:{cable.port}/chat")
    visitor.say(question)
    expect(writing(visitor.page)).to_have_text(story.parts[0])


def test_an_interrupted_network_connection_loses_no_word(visitor: Visitor, cable: Cable, story: Story) -> None:
    ask_over(cable, visitor, story, "Cut the network")
    cable.cut()
    story.tell(1)
    expect(visitor.page.locator(OFFLINE)).to_be_visible()
    cable.mend()
    expect(writing(visitor.page)).to_have_text(story.parts[0] + story.parts[1])
    visitor.settle()
    it_ends(visitor.page, story)


@pytest.mark.soak
def test_an_answer_that_ends_while_the_page_is_disconnected_is_shown_whole_after_reconnecting(
    visitor: Visitor, story: Story
) -> None:
    """A page has two connections: Streamlit's can be lost while the event stream still delivers text."""
    page, sockets, is_away = visitor.page, list[WebSocketRoute](), threading.Event()

    def carry(socket: WebSocketRoute) -> None:
        if is_away.is_set():
            socket.close()
        else:
            socket.connect_to_server()
            sockets.append(socket)

    page.route_web_socket(re.compile("/_stcore/stream"), carry)
    ask(visitor, story, "End while I am away")
    is_away.set()
    sockets[-1].close()
    expect(page.locator(OFFLINE)).to_be_visible()
    story.tell(1)
    story.tell(2)
    expect(writing(page)).to_have_text(story.whole)
    is_away.clear()
    visitor.settle()
    it_is_whole(page, story)


@pytest.mark.soak
def test_a_failed_event_stream_is_retried(visitor: Visitor, story: Story) -> None:
    refusals = iter(["connectionrefused", "connectionreset"])
    starts: list[str] = []

    def refuse_twice(route: Route) -> None:
        starts.append(parse_qs(urlsplit(route.request.url).query)["of"][0].rpartition(".")[2])
        if error := next(refusals, None):
            route.abort(error)
        elif len(starts) == 3:  # a stream that ends in the middle of the answer
            route.fulfill(
                content_type="text/event-stream", body='event:here\ndata:\n\ndata:[0,3,"Once upon a"]\n\ndata:[0,'
            )
        else:
            route.continue_()

    visitor.page.route("**/answers?*", refuse_twice)
    story.gates[0].clear()  # no word comes along with the page
    visitor.open("chat")
    visitor.say("Refuse the stream")
    expect(writing(visitor.page)).to_have_count(1)
    story.tell(0)
    story.tell(1)
    expect(writing(visitor.page)).to_have_text(story.parts[0] + story.parts[1])
    it_ends(visitor.page, story)
    assert starts[:3] == ["0", "0", "0"]
    assert set(starts[3:]) == {"3"}


def test_the_page_polls_when_a_proxy_buffers_event_streams(visitor: Visitor, story: Story) -> None:
    held: list[Route] = []
    visitor.page.route(re.compile(r"/answers\?(?!.*[&?]now)"), lambda route: held.append(route))
    ask(visitor, story, "Hold the stream back")
    story.tell(1)
    expect(writing(visitor.page)).to_have_text(story.parts[0] + story.parts[1])
    it_ends(visitor.page, story)
    assert len(held) == 1
    assert any("/answers?" in url and "&now" in url for url in visitor.asked)


def test_a_stopped_answer_stays_after_a_reload_and_is_sent_with_the_next_message(
    visitor: Visitor, provider: ProviderServer, story: Story
) -> None:
    page = visitor.page
    ask(visitor, story, "Stop it")
    page.reload()
    expect(writing(page)).to_have_text(story.parts[0])
    page.get_by_role("button", name=STOP).click()
    assert provider.disconnected.wait(120)
    expect(page.get_by_text(STOPPED)).to_be_visible()
    expect(page.get_by_text(story.parts[0], exact=True)).to_have_count(1)
    page.reload()
    expect(page.get_by_text(STOPPED)).to_be_visible()
    expect(page.get_by_text(story.parts[0], exact=True)).to_have_count(1)
    visitor.say("Go on")
    expect(visitor.text("Answer 0 to: Go on")).to_be_visible()
    said = [message["content"] for message in provider.requests[-1].body["messages"]]
    assert said == ["Stop it", story.parts[0], "Go on"]


@pytest.mark.soak
def test_a_second_message_is_refused_while_an_answer_is_written_and_stays_in_the_input(
    visitor: Visitor, provider: ProviderServer, story: Story
) -> None:
    page = visitor.page
    ask(visitor, story, "First")
    visitor.say("Too early")
    expect(page.get_by_text(REFUSED)).to_be_visible()
    expect(page.get_by_test_id("stChatInputTextArea")).to_have_value("Too early")
    expect(page.get_by_test_id("stChatMessage")).to_have_count(2)
    assert len(provider.requests) == 1
    expect(writing(page)).to_have_text(story.parts[0])
    story.tell(1)
    expect(writing(page)).to_have_text(story.parts[0] + story.parts[1])
    it_ends(page, story)
    expect(page.get_by_test_id("stChatInputTextArea")).to_have_value("Too early")
    page.get_by_test_id("stChatInputTextArea").press("Enter")
    expect(visitor.text("Answer 0 to: Too early")).to_be_visible()
    expect(page.get_by_text(REFUSED)).to_have_count(0)


def test_the_browser_loads_nothing_that_a_model_writes_and_formats_the_text_while_streaming(
    visitor: Visitor, provider: ProviderServer
) -> None:
    page, tabs = visitor.page, visitor.page.context.pages
    pixel = f"{provider.url}/pixel.png"
    story = Story(
        "A start",
        f" with **bold words**, `some_code`, ![a picture]({pixel}), [a link]({pixel}) and <img src='{pixel}'>"
        "\n\n```python\nprint('hello')\n```\n\nBehind it",
        " the end.",
    )
    provider.next(story.chunks())
    ask(visitor, story, "Do not load")
    story.tell(1)
    live = writing(page)
    expect(live).to_contain_text("Behind it")
    expect(live.locator("strong")).to_have_text("bold words")
    expect(live.locator("p code")).to_have_text("some_code")
    expect(live.locator("pre code")).to_have_text("print('hello')")
    expect(live).to_contain_text(f"a picture ({pixel})")
    live.get_by_text("a link", exact=True).click()
    expect(live.locator("img, a, iframe, script, link")).to_have_count(0)
    assert not [url for url in visitor.asked if "pixel.png" in url]
    story.tell(2)
    expect(writing(page)).to_have_count(0)
    expect(page.get_by_test_id("stChatMessage").last).to_contain_text("in all")
    assert [request.method for request in provider.requests] == ["POST"]
    assert page.context.pages == tabs


def test_a_second_message_is_shown_exactly_once_at_all_times(
    visitor: Visitor, provider: ProviderServer, story: Story
) -> None:
    page = visitor.page
    ask(visitor, story, "The first one")
    story.tell(1)
    it_ends(page, story)
    second = Story("Behind it", " comes", " another one.")
    provider.next(second.chunks())
    page.evaluate(COUNT_MESSAGES)
    visitor.say("The second one")
    expect(writing(page)).to_have_text("Behind it")
    expect(page.get_by_test_id("stChatMessage")).to_contain_text(["The first one", story.whole, "The second one", ""])
    second.tell(1)
    second.tell(2)
    expect(writing(page)).to_have_count(0)
    visitor.settle()
    expect(page.get_by_test_id("stChatMessage")).to_contain_text(
        ["The first one", story.whole, "The second one", second.whole]
    )
    expect(page.get_by_text("in all")).to_have_count(2)
    seen = page.evaluate("window.seen")
    assert (seen[0], seen[-1]) == (2, 4)
    assert seen == sorted(seen)


def test_in_a_long_chat_the_shown_messages_do_not_move_when_a_message_is_sent(
    visitor: Visitor, provider: ProviderServer, story: Story
) -> None:
    page = visitor.page
    chat = ask(visitor, story, "The first one").rpartition("=")[2]
    story.tell(1)
    it_ends(page, story)
    lengthen(visitor.app, chat, 50)
    page.reload()
    messages = page.get_by_test_id("stChatMessage")
    expect(messages).to_have_count(40)
    page.evaluate(COUNT_MESSAGES)
    visitor.say("One more")
    expect(messages.last).to_contain_text("in all")
    visitor.settle()
    expect(visitor.text("Answer 0 to: One more")).to_be_visible()
    expect(visitor.text("Show earlier messages (12)")).to_be_visible()
    seen = page.evaluate("window.seen")
    assert (seen[0], seen[-1]) == (40, 42)
    assert seen == sorted(seen)


def lengthen(app: App, chat: str, number: int) -> None:
    """Insert this many messages into the database."""
    with closing(sqlite3.connect(app.database)) as connection, connection:
        ((last,),) = connection.execute("SELECT max(id) FROM messages")
        connection.executemany(
            "INSERT INTO messages (session_id, position, parent_id, role, content, reasoning, status, is_stop_asked, "
            "created_at) VALUES (?, ?, ?, ?, ?, '', 'complete', 0, 0)",
            [(chat, 3 + n, last + n, ["user", "assistant"][n % 2], f"Message {n}") for n in range(number)],
        )
        connection.execute("UPDATE chat_sessions SET last_message_id = ? WHERE id = ?", (last + number, chat))


@pytest.mark.soak
def test_a_stopped_second_answer_leaves_the_page_like_any_stopped_answer(
    visitor: Visitor, provider: ProviderServer, story: Story
) -> None:
    page = visitor.page
    ask(visitor, story, "The first one")
    story.tell(1)
    it_ends(page, story)
    second = Story("Behind it", " comes", " nothing.")
    provider.next(second.chunks())
    visitor.say("The second one")
    expect(writing(page)).to_have_text("Behind it")
    page.get_by_role("button", name=STOP).click()
    expect(page.get_by_text(STOPPED)).to_have_count(1)
    expect(page.get_by_role("button", name="Ask again")).to_have_count(1)
    expect(page.get_by_test_id("stChatMessage")).to_contain_text(
        ["The first one", story.whole, "The second one", "Behind it"]
    )
