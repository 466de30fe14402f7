"""The system requirements of the built-in model are checked before the download."""

import subprocess
import sys

from demo.child import PROJECT
from demo.system import missing


def test_this_system_has_all_requirements() -> None:
    done = subprocess.run([sys.executable, "-m", "demo.system"], cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_system_other_than_linux_has_no_requirements() -> None:
    assert missing("Darwin", "arm64", "") is None


def test_a_missing_library_is_named_with_its_packages() -> None:
    sentence = missing("Linux", "x86_64", "glibc", library="libnowhere.so.6")
    assert sentence is not None
    assert "libnowhere.so.6" in sentence
    assert "libstdc++6 on Debian" in sentence


def test_on_a_system_without_a_built_engine_the_error_says_how_to_work_without_the_demo() -> None:
    for sentence in (missing("Linux", "x86_64", "musl"), missing("Linux", "riscv64", "glibc")):
        assert sentence is not None
        assert "make run" in sentence
