"""What a browser does while a model loops: the longest task of the page during 100 kB of each nasty pattern.

python -m benchmarks.drawing            measures, and writes its section of benchmarks/results.md
python -m benchmarks.drawing --check    measures; fails where a figure is missed
"""

import argparse
import json
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Browser, Page

from benchmarks import results, running
from benchmarks.start import chromium_browser
from tests.provider.answers import chunk
from tests.provider.server import Chunks, ProviderServer

LENGTH, PIECE = 100_000, 500
"""Characters of an answer, and of one of its chunks."""
BOUND = 50.0
"""Milliseconds of CPU that a task of the page's main thread takes."""
PATTERNS = {
    "prose": "What a model says, as **models** write it, with `code` and [links](https://example.com). ",
    "links without an end": "[a](b",
    "pictures without an end": "![",
    "bold without an end": "**a ",
    "emphasis within emphasis": "*a_ ",
    "spans of code": "`a",
    "brackets": "[",
    "formulas": "\\(x\\) ",
    "formulas without an end": "\\(a ",
    "quotes in quotes": "> ",
    "lists in lists": "- ",
    "items": "- a\n",
    "rows of a table": "| a | b |\n|---|---|\n",
    "blocks of code": "```python\nx = 1\n```\n",
    "lines of code": "```python\n" + 'x = "a" + f(1)  # a comment\n' * (LENGTH // 20),
}
HAS_ENDED = "drawn => drawn.lastElementChild?.textContent.trimEnd().endsWith('END')"
NOTES = """
Each answer is streamed as fast as the app passes it on, and drawn while it is written. The longest task is that of the
page's main thread, by the CPU time in the browser's trace, which depends less on other load than its duration does.
""".strip()


def measured() -> dict[str, float]:
    """The longest task for each pattern in milliseconds."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ProviderServer(key=running.KEY, models=["tokens"]) as provider,
        running.app(Path(folder) / "app", provider.openai_endpoint) as server,
        chromium_browser() as chromium,
    ):
        page = chromium.new_page(viewport={"width": 1440, "height": 900})
        return {name: longest(chromium, page, server.url, provider, pattern) for name, pattern in PATTERNS.items()}


def longest(chromium: Browser, page: Page, url: str, provider: ProviderServer, pattern: str) -> float:
    """The longest task while this pattern is drawn."""
    text, end = (pattern * LENGTH)[:LENGTH], threading.Event()
    provider.next(Chunks([*(chunk(text[at : at + PIECE]) for at in range(0, LENGTH, PIECE)), chunk("\n\nEND"), end]))
    page.goto(f"{url}/chat")
    box = page.get_by_test_id("stChatInputTextArea")
    box.fill("Go on")
    box.press("Enter")
    page.get_by_label("Answer being written").wait_for()
    drawn = page.get_by_label("Answer being written").element_handle()
    chromium.start_tracing(page=page, categories=["toplevel"])
    # A locator would look for the text in all elements, and take longer for that than the page for drawing them.
    page.wait_for_function(HAS_ENDED, arg=drawn, polling=500, timeout=300_000)
    found = longest_task(chromium.stop_tracing())
    end.set()
    return found


def longest_task(trace: bytes) -> float:
    """The longest task of a page's main thread in a trace, in milliseconds of CPU.

    The format: https://chromium.googlesource.com/catapult/+/HEAD/tracing/README.md.
    """
    events = json.loads(trace)["traceEvents"]
    names = {(each["pid"], each["tid"]): each["args"]["name"] for each in events if each["name"] == "thread_name"}
    tasks = [each for each in events if each["name"] == "ThreadControllerImpl::RunTask" and "tdur" in each]
    took = [each["tdur"] for each in tasks if names.get((each["pid"], each["tid"])) == "CrRendererMain"]
    return float(max(took)) / 1000


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What a browser does while a model loops.")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    found = measured()
    rows = [
        [name, f"{took:.0f} ms", f"at most {BOUND:.0f} ms", "yes" if took <= BOUND else "NO"]
        for name, took in found.items()
    ]
    body = f"{results.table(['100 kB of', 'longest task', 'to reach', 'reached'], rows)}\n\n{NOTES}"
    print(body)
    if not options.check:
        results.write("Drawing", "python -m benchmarks.drawing", body, ["streamlit", "playwright"])
    return 1 if options.check and max(found.values()) > BOUND else 0


if __name__ == "__main__":
    sys.exit(main())
