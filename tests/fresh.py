"""Runs the README's commands on a fresh minimal Debian 12 and 13: `make fresh`. Needs root and debootstrap.

Makes each Debian in a temporary folder, clones HEAD of this project into it, and runs in a chroot: `make demo` as an
ordinary user and as root, each until the built-in model has answered over HTTP, then `make test` as root. Prints how
many seconds each took. Ends with 0 when all went well, else with 1 and a sentence. Needs nothing but Python.
"""

import argparse
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Timer

ROOT = Path(__file__).resolve().parents[1]
RELEASES = {"bookworm": "Debian 12", "trixie": "Debian 13"}
COMMANDS = ("demo", "test")
PACKAGES = "git,make,python3,python3-venv,ca-certificates"  # the README's, and what a download over TLS needs
USER = "person"
HOMES = {USER: f"home/{USER}", "root": "root"}
DEMO_PORT = 18080
DEMO_SECONDS = 1800
TEST_SECONDS = 3 * 3600
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Of apt's settings those that decide whether a mirror is reached.
APT_SETTINGS = re.compile(r"Acquire::(https?|Check-|Retries|ForceIPv)")


class Failed(Exception):
    """A command did not do what the README says. `str()` is a sentence."""


def refusal(user_id: int, path: str) -> str | None:
    """A sentence about what is missing here to make a Debian, None when nothing is."""
    if user_id != 0:
        return "make fresh needs root: it makes a Debian with debootstrap and runs commands in it with chroot."
    for program, package in (("debootstrap", "debootstrap"), ("unshare", "util-linux"), ("git", "git")):
        if shutil.which(program, path=path) is None:
            return f"make fresh needs {program}. On Debian: apt-get install {package}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/fresh.py", description="Run the README's commands on a fresh Debian.")
    parser.add_argument("--release", choices=RELEASES, help="one release; both without it")
    parser.add_argument("--only", choices=COMMANDS, help="one command; both without it")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)  # the folder of the Debian to make
    options = parser.parse_args()
    # Clean up after these signals as after Ctrl+C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    if options.inside:
        return run_inside(options.inside, options.release, options.only)
    if sentence := refusal(os.geteuid(), os.environ.get("PATH", os.defpath)):
        print(sentence, file=sys.stderr)
        return 1
    figures: list[str] = []
    try:
        releases = [options.release] if options.release else list(RELEASES)
        outcomes = [run(release, options.only, figures) for release in releases]
    except KeyboardInterrupt:
        print("Stopped; everything that was made is removed.", file=sys.stderr)
        return 130
    print("\n" + "\n".join(figures))
    return 0 if all(outcomes) else 1


def run(release: str, only: str | None, figures: list[str]) -> bool:
    """Whether all commands succeeded on a new Debian; adds a line for each command. Removes the Debian."""
    with tempfile.TemporaryDirectory(prefix=f"fresh-{release}-", ignore_cleanup_errors=True) as folder:
        command = [sys.executable, __file__, "--release", release, "--inside", folder]
        command += ["--only", only] if only else []
        # In a mount namespace of its own, whose mounts go with its last process, however that ends.
        inside = subprocess.Popen(["unshare", "--mount", *command], start_new_session=True)
        try:
            code = inside.wait()
        except KeyboardInterrupt:
            inside.terminate()
            inside.wait()
            raise
        finally:
            figures += (
                (Path(folder) / "figures").read_text().splitlines() if (Path(folder) / "figures").exists() else []
            )
    return code == 0


def run_inside(folder: Path, release: str, only: str | None) -> int:
    """Make the Debian and run the commands in it, in this mount namespace. The exit code."""
    machine = Machine(folder / "debian")
    failures = 0
    with (folder / "figures").open("w") as figures:
        try:
            machine.make(release)
            tasks: list[tuple[str, Callable[[], float]]] = []
            if only != "test":
                tasks.append(("make demo as an ordinary user", partial(machine.demo, USER)))
                tasks.append(("make demo as root", partial(machine.demo, "root")))
            if only != "demo":
                tasks.append(("make test as root", machine.test))
            for name, task in tasks:
                say(f"{RELEASES[release]}: {name}")
                try:
                    line = f"{task():.0f} seconds"
                except Failed as failed:
                    failures += 1
                    line = f"FAILED. {failed}"
                say(line)
                figures.write(f"{RELEASES[release]}, {name}: {line}\n")
        except Failed as failed:
            failures += 1
            figures.write(f"{RELEASES[release]}: FAILED. {failed}\n")
        except KeyboardInterrupt:
            failures += 1
        finally:
            machine.kill_all()
    return 1 if failures else 0


class Machine:
    """A minimal Debian in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, release: str) -> None:
        """Raises `Failed` when debootstrap fails."""
        say(f"{RELEASES[release]}: debootstrap")
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", release, str(self.folder)]
        command += filter(None, [mirror()])
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise Failed(f"debootstrap ended with exit code {done.returncode}: {done.stdout[-1000:]}")
        self._mount()
        subprocess.run(self._chroot("root", "useradd", "--create-home", "--shell", "/bin/bash", USER), check=True)
        self._reach_what_the_host_reaches()

    def _mount(self) -> None:
        for kind, where, how in (
            ("proc", "proc", ""),
            ("sysfs", "sys", "ro"),
            ("devpts", "dev/pts", "newinstance,ptmxmode=0666,mode=620"),
            ("tmpfs", "dev/shm", "mode=1777"),
        ):
            (self.folder / where).mkdir(exist_ok=True)
            options = ["-o", how] if how else []
            subprocess.run(["mount", "-t", kind, *options, kind, str(self.folder / where)], check=True)

    def _reach_what_the_host_reaches(self) -> None:
        """Copies name servers, certificates, and the settings of pip and apt."""
        etc = self.folder / "etc"
        shutil.copyfile("/etc/resolv.conf", etc / "resolv.conf")
        trusted = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
        if trusted:
            shutil.copyfile(trusted, etc / "ssl" / "certs" / "ca-certificates.crt")
        if Path("/etc/xdg/pip").exists():
            shutil.copytree("/etc/xdg/pip", etc / "xdg" / "pip")
        places = [(Path("/") / name, name) for name in ("etc/pip.conf", "etc/xdg/pip/pip.conf")]
        for name in (".config/pip/pip.conf", ".pip/pip.conf"):
            places += [(Path.home() / name, f"{home}/{name}") for home in HOMES.values()]
        for source, name in places:
            if source.exists():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                lines = [self._without_missing_places(line) for line in source.read_text().splitlines()]
                (self.folder / name).write_text("\n".join(line for line in lines if not line.endswith("=")) + "\n")
        (etc / "apt" / "apt.conf.d" / "90host").write_text("\n".join(apt_settings()) + "\n")

    def _without_missing_places(self, text: str) -> str:
        """A line of pip's settings without the folders of the host: pip warns of each with each package."""
        indent = text[: len(text) - len(text.lstrip())]
        return indent + " ".join(
            part
            for part in text.split()
            if not part.startswith(("/", "file:/")) or (self.folder / part.removeprefix("file:").lstrip("/")).exists()
        )

    def demo(self, user: str) -> float:
        """The seconds from `make demo` to the first answer of the model, in a clone of its own."""
        clone = self._clone(user, "demo")
        port = next(port for port in range(DEMO_PORT, 65536) if not listens(port))
        elsewhere = {} if port == DEMO_PORT else {"DEMO_PORT": str(port)}
        begun = time.monotonic()
        make = self._start(user, "demo", "demo", **elsewhere)
        limit = Timer(DEMO_SECONDS, self.kill_all)
        limit.start()
        try:
            page = None
            assert make.stdout is not None
            for line in make.stdout:
                print(line, end="", flush=True)
                if found := re.match(r"Open http://localhost:(\d+)", line):
                    page = int(found[1])
                    break
            if page is None:
                raise Failed(f"It ended with exit code {make.wait()} before it said which address to open.")
            if "<!doctype html>" not in ask(page, "GET", "/").lower():
                raise Failed("The app's page is no HTML.")
            key = (clone / "data" / "demo.key").read_text().strip()
            question = {"model": "any", "max_tokens": 20, "messages": [{"role": "user", "content": "Name a colour."}]}
            answer = json.loads(ask(port, "POST", "/v1/chat/completions", question, key))
            seconds = time.monotonic() - begun
            say(f"The model answered: {answer['choices'][0]['message']['content']!r}")
        finally:
            limit.cancel()
            rest = self._press_control_c(make)
        if "Traceback" in rest or listens(port):
            raise Failed(f"It did not end in order after Ctrl+C: {rest}")
        return seconds

    def test(self) -> float:
        """The seconds of `make test` as root, in a clone of its own."""
        self._clone("root", "test")
        begun = time.monotonic()
        make = self._start("root", "test", "test")
        limit = Timer(TEST_SECONDS, self.kill_all)
        limit.start()
        try:
            assert make.stdout is not None
            for line in make.stdout:
                print(line, end="", flush=True)
            code = make.wait()
        finally:
            limit.cancel()
            self.kill_all()
        if code:
            raise Failed(f"Its exit code is {code}; see the lines above.")
        return time.monotonic() - begun

    def _clone(self, user: str, name: str) -> Path:
        clone = self.folder / HOMES[user] / name
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)], check=True)
        subprocess.run(self._chroot("root", "chown", "-R", f"{user}:{user}", f"/{HOMES[user]}"), check=True)
        return clone

    def _start(self, user: str, clone: str, target: str, **variables: str) -> "subprocess.Popen[str]":
        """`make` as a person types it, in a session of its own, to be stopped with all that it starts."""
        home = f"/{HOMES[user]}"
        environment = {"HOME": home, "USER": user, "PATH": PATH, "LANG": "C.UTF-8", **variables}
        environment |= {name: self._without_missing_places(value) for name, value in reaching().items()}
        return subprocess.Popen(
            self._chroot(user, "sh", "-c", f"cd ~/{clone} && exec make {target}"),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _press_control_c(self, make: "subprocess.Popen[str]") -> str:
        """The remaining output; ends the process when it still runs a minute later."""
        with suppress(ProcessLookupError):
            os.killpg(make.pid, signal.SIGINT)
        limit = Timer(60, self.kill_all)
        limit.start()
        try:
            return make.communicate()[0]
        finally:
            limit.cancel()
            self.kill_all()

    def _chroot(self, user: str, *command: str) -> list[str]:
        who = [] if user == "root" else [f"--userspec={user}:{user}", "--groups="]
        return ["chroot", *who, str(self.folder), *command]

    def kill_all(self) -> None:
        """Ends what still runs in this Debian."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if Path(os.readlink(process / "root")).is_relative_to(self.folder):
                    os.kill(int(process.name), signal.SIGKILL)
            except OSError:  # it has ended
                continue


def say(text: str) -> None:
    print(f"== {text}", flush=True)


def mirror() -> str | None:
    """The Debian mirror that this host uses, None when it names none: debootstrap knows one."""
    wanted = ["indextargets", "--format", "$(ORIGIN) $(LABEL) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    lines = output_of("apt-get", *wanted)
    return next((line.split()[3] for line in lines if line.startswith("Debian Debian main ")), None)


def apt_settings() -> list[str]:
    return [line for line in output_of("apt-config", "dump", "Acquire") if APT_SETTINGS.match(line)]


def output_of(program: str, *arguments: str) -> list[str]:
    """The lines that a program prints, none where it is not installed."""
    if shutil.which(program) is None:
        return []
    return subprocess.run([program, *arguments], capture_output=True, text=True).stdout.splitlines()


def reaching() -> dict[str, str]:
    """The environment variables by which pip and apt reach a package index from here."""
    return {
        name: value for name, value in os.environ.items() if name.lower().endswith("_proxy") or name.startswith("PIP_")
    }


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def ask(port: int, method: str, path: str, body: object = None, key: str = "") -> str:
    """The text of the answer of this machine. Raises `Failed` when its status is not 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    try:
        connection.request(method, path, json.dumps(body) if body else None, headers)
        response = connection.getresponse()
        text = response.read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{method} {path} on port {port} was not answered: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise Failed(f"{method} {path} on port {port} was answered with {response.status}: {text[:500]}")
    return text


if __name__ == "__main__":
    sys.exit(main())
