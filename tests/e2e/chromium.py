"""Finds a Chromium for the browser tests, and as a program gets one: `python tests/e2e/chromium.py`.

An installed one; else, as root on Debian, the package; else Playwright's own.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """The path of a Chromium, None when there is none."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    return _playwrights_own()


def _playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> None:
    """Get one where none is found; says what it does. A failure is not the end: the tests say what is missing."""
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        print("No Chromium found; installing Debian's package.", flush=True)
        quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=False, env=quietly)
        packages = ["chromium", "fonts-liberation"]
        subprocess.run(["apt-get", "install", "-y", "-qq", *packages], check=False, env=quietly, stdout=2)
    else:
        print("No Chromium found; getting Playwright's own.", flush=True)
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


if __name__ == "__main__":
    if find() is None:
        install()
    print(f"Chromium: {find() or 'none; the browser tests will be skipped'}")
