"""Checks what pip cannot install for the built-in model: ``python3 -m demo.system``, before anything is downloaded.

Runs on a bare Python. Ends with 0, or with 1 and a sentence that says what is missing.
"""

import ctypes
import platform
import sys

MACHINES = ("x86_64", "aarch64")
LIBRARY = "libstdc++.so.6"
PACKAGES = "libstdc++6 on Debian and Ubuntu, libstdc++ on Fedora"


def missing(system: str, machine: str, c_library: str, library: str = LIBRARY) -> str | None:
    """A sentence about what this system lacks, None when it lacks nothing. Arguments as `platform` names them."""
    if system != "Linux":
        return None
    instead = "Start the app without the built-in model instead: make run"
    if c_library != "glibc":
        return f"The built-in model needs the GNU C library (glibc), and this system has another one. {instead}"
    if machine not in MACHINES:
        return f"The built-in model runs on {' and '.join(MACHINES)}, and this machine is {machine}. {instead}"
    try:
        ctypes.CDLL(library)
    except OSError:
        return f"The built-in model needs the library {library}. Install its package first: {PACKAGES}."
    return None


if __name__ == "__main__":
    sys.exit(missing(platform.system(), platform.machine(), platform.libc_ver()[0]))
