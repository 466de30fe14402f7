"""Writes `results.md`: one section per measurement, each with the machine and the versions it was taken with."""

import importlib.metadata
import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

FILE = Path(__file__).with_name("results.md")
HEAD = "# Measured\n\nEach section is written by its script. Compare ratios; the seconds are those of one machine.\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write(title: str, command: str, body: str, packages: Sequence[str], elsewhere: Sequence[str] = ()) -> None:
    """Replace the section of this title, or add it. `elsewhere`: versions in other environments, as they are shown."""
    versions = ", ".join([*(f"{name} {importlib.metadata.version(name)}" for name in packages), *elsewhere])
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    section = f"## {title}\n\n`{command}`, {datetime.now(UTC):%Y-%m-%d}, {machine}, {versions}\n\n{body.strip()}\n"
    text = FILE.read_text(encoding="utf-8") if FILE.exists() else HEAD
    sections = [each for each in re.split(r"(?m)^(?=## )", text)[1:] if not each.startswith(f"## {title}\n")]
    FILE.write_text("\n".join([HEAD, *(each.rstrip() + "\n" for each in sections), section]), encoding="utf-8")
