"""Finds a Chromium for the browser tests; `python -m tests.system` gets one."""

import shutil
from pathlib import Path

SHELL = "chromium-headless-shell"
# The shell first: without the parts of a browser that no test looks at, a test takes half of the CPU time.
NAMES = (SHELL, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """Return the path of an installed Chromium, else of Playwright's own, None when there is none."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    return _playwrights_own()


def _playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    try:
        with sync_playwright() as playwright:
            path = playwright.chromium.executable_path
    except Exception:  # what Playwright raises where its driver does not start, since the system lacks a library
        return None
    return path if Path(path).exists() else None
