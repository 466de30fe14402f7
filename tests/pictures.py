"""Makes the pictures of the README from the running app: light, 1440 pixels wide, at twice the resolution.

python -m tests.pictures    writes docs/chat.png and docs/product_description.png
"""

import io
import re
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from db import Database
from tests.e2e import chromium
from tests.e2e.conftest import App, Visitor
from tests.provider.answers import chunk, usage
from tests.provider.server import Chunks, ProviderServer

FOLDER = Path(__file__).parents[1] / "docs"
MODEL = "gpt-6-luna"
COLOURS = 128
LARGEST = 300_000
"""Bytes of a picture."""
CHATS = (
    "Names for a weather station",
    "Why is the sky dark at night?",
    "A query for late orders",
    "Plan a workshop about prompts",
    "Translate the release notes",
)
QUESTION = "What are tokens? Answer a colleague, with an example."
ANSWER = """A **token** is the unit in which a model reads and writes: a word, a part of a word, or a mark.

| text | tokens |
| --- | --- |
| `cat` | 1 |
| `unbelievable` | 3 |
| `Good morning!` | 3 |

- Your prompt and all earlier messages are *input*, the answer is *output*.
- Both are charged, output several times as much as input.
"""
DESCRIPTION = """**Trailhead 45 backpack**

The Trailhead 45 carries 45 litres, which is enough for a week in the mountains. Its fabric is recycled nylon: light,
and hard to tear. When it rains, the cover comes out of the bottom pocket and keeps everything dry, straps included.
"""


def answer(server: ProviderServer, text: str, prompt_tokens: int) -> None:
    counts = chunk(choices=[], usage=usage(prompt_tokens, text))
    server.next(Chunks([{**each, "model": MODEL} for each in (chunk(text), chunk(finish_reason="stop"), counts)]))


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        App(Path(folder)) as app,
        ProviderServer(models=[MODEL]) as server,
        sync_playwright() as playwright,
    ):
        app.add_configuration(server, "OpenAI", MODEL)
        database = Database(f"sqlite:///{app.database}")
        for title in CHATS:
            database.chat_sessions.create(database.people.local(), title=title, configuration_id=None)
        database.close()
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900}, device_scale_factor=2)
        visitor = Visitor(page, app)
        visitor.open("chat")
        answer(server, ANSWER, 17)
        visitor.say(QUESTION)
        take(visitor, "chat")
        visitor.open("product_description")
        answer(server, DESCRIPTION, 96)
        page.get_by_role("main").locator("button[data-testid=stBaseButton-primary]").click()
        take(visitor, "product_description")
        browser.close()


def take(visitor: Visitor, name: str) -> None:
    """Take a picture when the answer is complete."""
    expect(visitor.page.get_by_text(re.compile(" in all"))).to_be_visible()
    visitor.settle()
    write(visitor.page, FOLDER / f"{name}.png")


def write(page: Page, file: Path) -> None:
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
    picture.convert("RGB").quantize(COLOURS).save(file, optimize=True)
    assert file.stat().st_size < LARGEST, f"{file.name} has {file.stat().st_size:,} bytes"


if __name__ == "__main__":
    main()
