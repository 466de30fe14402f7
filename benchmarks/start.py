"""How long a person waits: from the start of the process to the first page, and from a clone to the first answer.

python -m benchmarks.start            the app beside the smallest Streamlit app there is
python -m benchmarks.start --clone    also git clone, make demo, and one chat turn, once
python -m benchmarks.start --check    fails when the app takes more than three times as long as that smallest one
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks import results
from demo.child import answers
from tests.e2e import chromium
from tests.provider.real_model import free_port

ROOT = Path(__file__).parents[1]
ROUNDS = 5
LIMIT = 3.0
SMALLEST = "import streamlit as st\nst.title('Smallest')\n"


def measure(browser: Browser, folder: Path, script: Path) -> tuple[float, float]:
    """Seconds from the start of the process until it is healthy, and until its heading is painted."""
    port = free_port()
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{folder}/{port}.db"}
    command = [sys.executable, "-m", "streamlit", "run", script.name, f"--server.port={port}"]
    command += ["--server.headless=true", "--server.address=127.0.0.1", "--browser.gatherUsageStats=false"]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=script.parent, env=environment, stdout=subprocess.DEVNULL)
    try:
        while not answers(port, "/_stcore/health"):
            time.sleep(0.01)
        healthy = time.perf_counter() - start
        page = browser.new_page()
        first_paint(page, f"http://localhost:{port}")
        painted = time.perf_counter() - start
        page.close()
    finally:
        process.terminate()
        process.wait()
    return healthy, painted


def first_paint(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_role("heading", level=1).wait_for(timeout=60_000)


@contextmanager
def chromium_browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        quiet = ["--disable-background-networking", "--no-first-run", *root]
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=quiet)
        browser.new_page().goto("about:blank")
        yield browser
        browser.close()


def from_clone(browser: Browser, folder: Path) -> list[tuple[str, float]]:
    """Seconds from `git clone` on: until the address is printed, until the first answer stands there."""
    start = time.perf_counter()
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder / "clone")], check=True)
    environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "VIRTUAL_ENV"}}
    process = subprocess.Popen(
        ["make", "demo"],
        cwd=folder / "clone",
        env=environment | {"DEMO_PORT": str(free_port())},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        url = next(line.split()[1] for line in process.stdout if line.startswith("Open "))
        address = time.perf_counter() - start
        page = browser.new_page()
        page.goto(f"{url}/chat")
        box = page.get_by_test_id("stChatInputTextArea")
        box.fill("Name a colour.")
        box.press("Enter")
        page.get_by_text("in all").wait_for(timeout=60_000)
        return [("the address is printed", address), ("the first answer stands there", time.perf_counter() - start)]
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description="How long a person waits.")
    parser.add_argument("--clone", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        browser = stack.enter_context(chromium_browser())
        smallest = folder / "smallest.py"
        smallest.write_text(SMALLEST, encoding="utf-8")
        taken: dict[str, list[tuple[float, float]]] = {"smallest": [], "app": []}
        for _ in range(ROUNDS + 1):
            taken["smallest"].append(measure(browser, folder, smallest))
            taken["app"].append(measure(browser, folder, ROOT / "app.py"))
        clone = from_clone(browser, folder) if options.clone else []
    # The first round fills the disk cache.
    medians = {
        name: [statistics.median(each) for each in zip(*found[1:], strict=True)] for name, found in taken.items()
    }
    rows = [
        [f"process start to {what}", f"{app:.2f} s", f"{small:.2f} s", f"{app / small:.2f}"]
        for what, app, small in zip(
            ("health", "first heading in Chromium"), medians["app"], medians["smallest"], strict=True
        )
    ]
    body = results.table(["", "this app", "smallest Streamlit app", "ratio"], rows)
    if clone:
        body += "\n\nFrom `git clone` on, with packages in pip's cache or from the index, once:\n\n"
        body += results.table(["until", "seconds"], [[what, f"{seconds:.0f}"] for what, seconds in clone])
    print(body)
    results.write("Start", "python -m benchmarks.start --clone", body, ["streamlit", "openai", "sqlalchemy", "pandas"])
    ratio = medians["app"][1] / medians["smallest"][1]
    return 1 if options.check and ratio > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
