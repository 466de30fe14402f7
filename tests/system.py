"""The system packages that the tests need; `python -m tests.system` installs the missing packages.

As root on Debian it installs the packages. Anybody else is told which packages are missing, and gets Playwright's own
Chromium. A failure is not the end: the tests say what they miss.
"""

import ctypes
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests import postgresql
from tests.e2e import chromium


@dataclass(frozen=True)
class Need:
    """Something that a test uses, how it is found, and the Debian packages that bring it."""

    name: str
    is_there: Callable[[], bool]
    packages: tuple[str, ...]


def loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def resolves(name: str) -> bool:
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return False
    return True


def playwright_starts() -> bool:
    """Whether the library is there to which Playwright's Node.js is linked."""
    return sys.platform != "linux" or loads("libatomic.so.1")


def has_chromium() -> bool:
    return any(map(shutil.which, chromium.NAMES)) or (playwright_starts() and chromium.find() is not None)


CHROMIUM = Need("Chromium", has_chromium, (chromium.SHELL, "fonts-liberation"))
NEEDS = (
    Need("curl", lambda: shutil.which("curl") is not None, ("curl",)),
    Need("libatomic", playwright_starts, ("libatomic1",)),
    # Installers write /etc/hosts; a Debian that was not installed, such as a chroot, may have none.
    Need("the name localhost", lambda: resolves("localhost"), ("libnss-myhostname",)),
    Need("PostgreSQL", lambda: postgresql.find() is not None, ("postgresql",)),
    CHROMIUM,
)


def missing(needs: Iterable[Need] = NEEDS) -> list[Need]:
    return [need for need in needs if not need.is_there()]


def advice(lacking: list[Need]) -> str:
    """A sentence about what is missing, and the command by which root installs it."""
    names = ", ".join(need.name for need in lacking)
    packages = " ".join(package for need in lacking for package in need.packages)
    return f"The tests need what is missing here: {names}. As root on Debian: apt-get install {packages}"


def install(needs: list[Need]) -> None:
    """Install the Debian packages of what is missing. Needs root.

    Need by need: apt-get installs nothing at all when it does not know one of the packages.
    """
    quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=False, env=quietly)
    for need in needs:
        print(f"Installing Debian packages for the tests: {', '.join(need.packages)}.", flush=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", *need.packages], check=False, env=quietly, stdout=2)


def get_chromium() -> None:
    print("No Chromium found; getting Playwright's own.", flush=True)
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


def main() -> None:
    lacking = missing()
    if lacking and shutil.which("apt-get") and postgresql.is_root():
        install(lacking)
    if not has_chromium() and playwright_starts():
        get_chromium()
    if lacking := missing():
        print(advice(lacking))


if __name__ == "__main__":
    main()
