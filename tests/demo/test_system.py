"""What a system must have for the built-in model is checked before anything is downloaded."""

import subprocess
import sys

from demo.child import PROJECT
from demo.system import missing


def test_this_system_lacks_nothing() -> None:
    done = subprocess.run([sys.executable, "-m", "demo.system"], cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_system_other_than_linux_lacks_nothing() -> None:
    assert missing("Darwin", "arm64", "") is None


def test_a_missing_library_is_named_with_its_packages() -> None:
    sentence = missing("Linux", "x86_64", "glibc", library="libnowhere.so.6")
    assert sentence is not None
    assert "libnowhere.so.6" in sentence
    assert "libstdc++6 on Debian" in sentence


def test_a_system_for_which_the_engine_is_not_built_is_told_how_to_go_on_without_it() -> None:
    for sentence in (missing("Linux", "x86_64", "musl"), missing("Linux", "riscv64", "glibc")):
        assert sentence is not None
        assert "make run" in sentence
