"""What it costs to open a page: run of its script, for each page of the showcase and those beside it.

python -m benchmarks.showcase            measures, and writes its section of benchmarks/results.md
python -m benchmarks.showcase --check    measures; fails where a figure is missed
"""

import argparse
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import results, running
from pages.shared import base
from pages.shared.base import title_of
from settings import Settings
from tests.pages.conftest import PAGES, USE_CASES, answered, visit
from tests.provider.server import ProviderServer

RUNS = 9
BOUND = 50.0
"""Milliseconds in which the script of a use case has run."""
NOTES = f"""
Each page is opened {RUNS} times by a visitor who comes from the home page, with one configuration and the person's last
answer on it; the median. It is the whole run in Streamlit's AppTest: the script, the database that it reads, and the
messages to the browser, which AppTest also takes apart.
""".strip()


def opened(page: str) -> float:
    """Milliseconds, without those of the page before."""
    durations = []
    for _ in range(RUNS):
        at = visit()
        at.switch_page(PAGES[page])
        start = time.perf_counter()
        at.run()
        durations.append((time.perf_counter() - start) * 1000)
        assert not at.exception, at.exception
    return statistics.median(durations)


def answers() -> None:
    """Let each page have an answer: press its button once."""
    for page in PAGES:
        at = visit(page)
        primary = [button for button in at.button if button.proto.type == "primary" and not button.disabled]
        if primary and page != "configurations":
            answered(primary[0].click().run())


def measured() -> dict[str, float]:
    # It would say of each AppTest that nobody started the script as Streamlit does.
    logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context").disabled = True
    with tempfile.TemporaryDirectory() as folder, ProviderServer() as provider:
        base.start(Settings(database_url=f"sqlite:///{Path(folder) / 'workbench.db'}"))
        try:
            base.database().configurations.add(base.person(), running.account(provider.openai_endpoint))
            answers()
            return {page: opened(page) for page in PAGES}
        finally:
            base.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What it costs to open a page.")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    found = measured()
    rows = [
        [
            title_of(page),
            f"{took:.1f} ms",
            *([f"below {BOUND:.0f} ms", _reached(took)] if page in USE_CASES else ["", ""]),
        ]
        for page, took in sorted(found.items(), key=lambda each: -each[1])
    ]
    body = f"{results.table(['page', 'run of its script', 'to reach', 'reached'], rows)}\n\n{NOTES}"
    print(body)
    if not options.check:
        results.write("Showcase", "python -m benchmarks.showcase", body, ["streamlit", "sqlalchemy"])
    return 1 if options.check and max(found[page] for page in USE_CASES) >= BOUND else 0


def _reached(took: float) -> str:
    return "yes" if took < BOUND else "NO"


if __name__ == "__main__":
    sys.exit(main())
