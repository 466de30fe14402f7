"""One tab of a real Chromium: when its keys and clicks come, when words stand there, what it receives."""

import time
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Locator, Page

IDLE = '[data-testid="stApp"][data-test-script-state="notRunning"][data-test-connection-state="CONNECTED"]'
# Text counts as visible behind the frame after the one in which it was put into the document. All times are those of
# the system's clock in milliseconds, as the provider's are.
WATCH = """
(() => {
  const seen = {};
  const at = (event) => Date.now() - (performance.now() - event.timeStamp);
  const note = (name, value) => {
    if (name in seen) return;
    seen[name] = 0;
    requestAnimationFrame(() => setTimeout(() => { seen[name] = [Date.now(), value]; }));
  };
  const look = (root) => new MutationObserver((records) => {
    for (const { target } of records) {
      const text = target.textContent;
      for (const [, tag] of text.matchAll(/first-(\\w+)-/g)) note(`first-${tag}`, 0);
      for (const [, tag, sent] of text.matchAll(/mark-(\\w+)-(\\d+)-/g)) note(`mark-${tag}`, sent / 1e6);
    }
  }).observe(root, { subtree: true, childList: true, characterData: true });
  const attach = Element.prototype.attachShadow;
  Element.prototype.attachShadow = function (how) {
    const root = attach.call(this, how);
    look(root);
    return root;
  };
  look(document);
  window.bench = { seen, entered: 0, clicked: 0 };
  addEventListener("keydown", (event) => { if (event.key === "Enter") bench.entered = at(event); }, true);
  addEventListener("click", (event) => { bench.clicked = at(event); }, true);
})()
"""


@dataclass(frozen=True)
class Turn:
    """Milliseconds."""

    to_first: float
    """From the key to the first token that stands there."""
    to_all: float
    """From the provider's last chunk to the last word that stands there."""


@dataclass
class Tab:
    """A page whose chat is talked in."""

    page: Page
    stop_button: str
    """Where Stop is."""
    frames: int = 0
    """Bytes in the websocket's frames, without their heads."""
    body: int = 0
    """Bytes of the bodies of /answers, with their framing where Chromium tells it."""
    _ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.page.add_init_script(WATCH)
        self.page.on("websocket", lambda socket: socket.on("framereceived", self._frame))
        devtools = self.page.context.new_cdp_session(self.page)
        devtools.on("Network.requestWillBeSent", self._request)
        devtools.on("Network.dataReceived", self._data)
        devtools.send("Network.enable")

    def _frame(self, frame: str | bytes) -> None:
        self.frames += len(frame)

    def _request(self, event: dict[str, Any]) -> None:
        if "/answers?" in event["request"]["url"]:
            self._ids.add(event["requestId"])

    def _data(self, event: dict[str, Any]) -> None:
        if event["requestId"] in self._ids:
            self.body += max(event["encodedDataLength"], event["dataLength"])

    def open(self, url: str) -> None:
        self.page.goto(url)
        self._box.wait_for(timeout=60_000)
        self.settle()

    def settle(self) -> None:
        """Wait until the script has ended, and stays so."""
        self.page.wait_for_timeout(200)
        self.page.wait_for_selector(IDLE, timeout=60_000)
        self.page.wait_for_timeout(300)

    def ask(self, text: str) -> None:
        """Type and press Enter."""
        self._box.fill(text)
        self.page.wait_for_timeout(100)
        self._box.press("Enter")

    def turn(self, tag: str, more: str = "") -> Turn:
        """One question and its answer, to the end."""
        self.ask(f"#{tag} {more}")
        visible, sent = self.seen(f"mark-{tag}")
        first, _ = self.seen(f"first-{tag}")
        self.page.locator(self.stop_button).wait_for(state="detached", timeout=60_000)
        self.settle()
        return Turn(first - self._evaluate("bench.entered"), visible - sent)

    def stop(self, tag: str) -> float:
        """Ask, and press Stop in the middle of the answer; when that was, in milliseconds since 1970."""
        self.ask(f"#{tag}")
        self.seen(f"first-{tag}")
        self.page.wait_for_timeout(1000)
        self.page.locator(self.stop_button).click()
        return self._evaluate("bench.clicked")

    def seen(self, name: str, seconds: float = 60) -> tuple[float, float]:
        """When it stood there, and what else is known of it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := self.page.evaluate("name => bench.seen[name]", name):
                return float(found[0]), float(found[1])
            self.page.wait_for_timeout(100)
        raise TimeoutError(f"{name} was not seen")

    def _evaluate(self, what: str) -> float:
        return float(self.page.evaluate(what))

    @property
    def _box(self) -> Locator:
        return self.page.get_by_test_id("stChatInputTextArea")
