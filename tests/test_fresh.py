"""`make fresh` names its missing requirements. The command itself takes many minutes and has no test here."""

import os
import subprocess
import sys
from pathlib import Path

from tests.fresh import refusal

PROGRAM = Path(__file__).with_name("fresh.py")


def test_the_message_says_that_root_is_needed() -> None:
    assert (refusal(1000, os.defpath) or "").startswith("make fresh needs root")


def test_the_message_says_that_debootstrap_is_missing(tmp_path: Path) -> None:
    assert refusal(0, str(tmp_path)) == "make fresh needs debootstrap. On Debian: apt-get install debootstrap"


def test_with_missing_requirements_the_command_ends_with_a_sentence_and_creates_nothing(tmp_path: Path) -> None:
    nothing = {"PATH": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, PROGRAM], env=nothing, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("make fresh needs ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
