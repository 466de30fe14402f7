"""The commands in the documents work on a copy of the project, as in a clone."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from demo.child import Child
from demo.start import is_in_use
from pages.shared.base import title_of
from tests.provider.real_model import free_port
from tests.provider.server import ProviderServer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


# One for all the processes that share the tests of a run.
CLONE = Path(tempfile.gettempdir()) / f"clone-{os.environ.get('PYTEST_XDIST_TESTRUNUID') or os.getpid()}"
OUTCOME = CLONE.with_name(f"{CLONE.name}.outcome")


def begin() -> None:
    """Prepare the copy in the background while other tests run."""
    with suppress(FileExistsError):  # another process does it
        CLONE.mkdir()
        Thread(target=prepare, args=[CLONE], name="prepare").start()


def prepare(folder: Path) -> None:
    """Write the result into the file `OUTCOME`; an empty file means success."""
    outcome = ""
    try:
        copy_to(folder)
        type_what_installs(folder)
        install_the_connector_alone(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        outcome = str(error)
    draft = OUTCOME.with_suffix(".draft")
    draft.write_text(outcome)
    draft.rename(OUTCOME)


def type_what_installs(folder: Path) -> None:
    """Type the lines that install, where all the packages are there already: pip only checks the versions.

    That pip can install them from nothing is what `make test` begins with in a fresh clone.
    """
    environment, other = Path(sys.prefix), folder / ".venv"
    shutil.copytree(environment / "lib", other / "lib", copy_function=link, symlinks=True)
    shutil.copytree(environment / "bin", other / "bin", symlinks=True)
    for script in (other / "bin").iterdir():
        if not script.is_symlink() and (code := script.read_bytes()).startswith(b"#!"):
            script.write_bytes(code.replace(bytes(environment), bytes(other)))
    first, *lines, _ = plain_lines()
    subprocess.run([sys.executable, *first.split()[1:]], cwd=folder, check=True)
    for line in lines:
        subprocess.run(line, shell=True, cwd=folder, check=True)


def install_the_connector_alone(folder: Path) -> None:
    """Make an environment with the connector and the packages that it names, without those of the app."""
    alone = folder / "alone"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", alone], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(alone / "bin" / "python"), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", folder], check=True)
    [packages] = alone.glob("lib/*/site-packages")
    [about_us] = packages.glob("chat_workbench-*.dist-info")
    for needed in requirements_of(PathDistribution(about_us)).values():
        for file in needed.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                (packages / file).parent.mkdir(parents=True, exist_ok=True)
                link(needed.locate_file(file), packages / file)


def requirements_of(wanted: Distribution) -> dict[str, Distribution]:
    """Return the installed packages that this one requires here, with what those require in turn, by name."""
    found: dict[str, Distribution] = {}
    to_read: list[tuple[Distribution, set[str]]] = [(wanted, set())]
    while to_read:
        read, extras = to_read.pop()
        for requirement in map(Requirement, read.requires or ()):
            marker = requirement.marker
            is_needed = marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""})
            name = canonicalize_name(requirement.name)
            if is_needed and name not in found:
                found[name] = distribution(name)
                to_read.append((found[name], requirement.extras))
    return found


def link(source: Any, target: Any) -> None:
    """Link a file, or copy it to another disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def plain_lines() -> list[str]:
    return next(block for block in blocks("bash") if "-m venv" in block).splitlines()


@pytest.fixture(scope="module")
def clone() -> Iterator[Path]:
    """The copy, after the installation has ended."""
    while not OUTCOME.exists():
        time.sleep(0.1)
    assert OUTCOME.read_text() == ""
    yield CLONE
    OUTCOME.unlink()
    shutil.rmtree(CLONE)


def copy_to(folder: Path) -> None:
    """Copy all files that git tracks or would add, without ignored files."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


@contextmanager
def running(command: str, folder: Path, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """A command line as a shell runs it, until the test has seen enough; then Ctrl+C."""
    outside = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "MAKEFLAGS"}}
    process = subprocess.Popen(
        command,
        shell=True,
        cwd=folder,
        env=outside | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_plain_lines_install_and_start_the_app_and_make_demo_starts_all(clone: Path) -> None:
    """The commands run one after the other, because the second completes the virtual environment of the first."""
    first_line, *_, start = plain_lines()
    assert first_line.startswith("python3 -m venv")
    port = free_port()
    with running(f"{start} --server.port={port}", clone) as app:
        child = Child("the app", [], port=port, health="/_stcore/health")
        child._process = app  # type: ignore[assignment]  # only asked whether it runs
        child.wait_until_it_answers(60)
    assert (clone / "data" / "workbench.db").exists()

    first = next(block for block in blocks("bash") if "make demo" in block).splitlines()[0]
    assert first == "make demo"
    demo_port = free_port()
    with running(first, clone, DEMO_PORT=str(demo_port)) as both:
        assert both.stdout is not None
        said = []
        for line in both.stdout:
            said.append(line)
            if line.startswith("Open http://localhost:"):
                break
        assert said, "it ended without a word"
        assert said[-1].startswith("Open "), said
        assert is_in_use(demo_port)
        assert is_in_use(int(said[-1].rpartition(":")[2]))
    assert not is_in_use(demo_port)


@pytest.mark.slow
def test_the_maintenance_commands_work(clone: Path) -> None:
    """Runs after the test above, which has started the app in the same copy."""
    commands = next(block for block in blocks("bash") if "-m db" in block).splitlines()
    assert [line.split()[3] for line in commands] == ["status", "backup", "restore", "rotate-key"]
    for line in commands:
        done = subprocess.run(line, shell=True, cwd=clone, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout


ALONE = """
import importlib.util, os, sys
from connector import *
assert not [name for name in ("streamlit", "sqlalchemy", "pandas", "cryptography") if importlib.util.find_spec(name)]
configuration = Configuration(
    display_name="Alone", api_type=ApiType.OPENAI, endpoint=sys.argv[1], api_key=sys.argv[2], model_default="gpt-test"
)
client = Client(configuration)
session = ChatCompletionsSession()
session.add_message(Role.USER, "Two")
request = ChatCompletionsRequest.of_prompts("Three", n=2)
print(client.execute_without_history("One"))
print(client.execute_with_history(session))
print([choice.message.content for choice in client.call_api(request).choices])
print("".join(client.stream(ChatCompletionsRequest.of_prompts("Four"))))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_connector_works_without_streamlit_and_a_database(clone: Path, tmp_path: Path) -> None:
    """The environment has only the dependencies that pyproject.toml names for the connector."""
    python = clone / "alone" / "bin" / "python"
    with ProviderServer() as server:
        run = subprocess.run(
            [python, "-W", "error", "-c", ALONE, server.openai_endpoint, server.key],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        "Answer 0 to: One",
        "Answer 0 to: Two",
        "['Answer 0 to: Three', 'Answer 1 to: Three']",
        "Answer 0 to: Four",
    ]


def test_the_readme_begins_with_make_demo_and_ends_with_make_test() -> None:
    assert [blocks("bash")[0], blocks("bash")[-1]] == ["make demo\n", "make test\n"]


def test_ci_runs_make_test_and_nothing_else() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == ["exec make test"]


@pytest.mark.slow
def test_the_python_code_of_the_readme_works() -> None:
    code = "\n".join(blocks("python"))
    with ProviderServer(models=["gpt-6-luna"]) as server:
        code = code.replace("https://api.openai.com/v1", server.openai_endpoint)
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
            cwd=ROOT,
            env={**os.environ, "OPENAI_API_KEY": server.key},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert run.returncode == 0, run.stderr
        assert len(server.requests) == 12, "four operations, a mended one, an examination of five, two lists of models"
        assert server.violations == []
        first, *rest = run.stdout.splitlines()
    assert first == "Answer 0 to: Name a colour."
    assert "Answer 1 to: Name a colour." in rest[0]
    assert any(line.startswith("curl ") for line in rest)
    assert any(line.startswith("Tools ") for line in rest)
    assert rest[-2:] == ["gpt-6-luna"] * 2


def test_the_readme_lists_exactly_the_settings() -> None:
    named = set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE))
    read = set(re.findall(r'"([A-Z][A-Z_]{5,})"', (ROOT / "settings.py").read_text(encoding="utf-8")))
    assert named == read


def test_every_page_but_a_use_case_is_in_the_readme() -> None:
    """A use case is one file and needs no line in the README."""
    files = [file for file in (ROOT / "pages").glob("*/*.py") if file.parent.name != "shared"]
    titles = {file: title_of(file.stem) for file in [*files, ROOT / "pages" / "home.py"]}
    named = set(re.findall(r"^\| ([A-Z][a-z ]+) \|", README, re.MULTILINE))
    needed = {title for file, title in titles.items() if file.parent.name != "showcase"}
    assert needed <= named <= set(titles.values())


def test_links_between_the_documents_have_targets() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "DESIGN.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert (ROOT / target).exists(), f"{name}: {target}"
