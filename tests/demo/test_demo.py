"""``python -m demo``: one command that starts a model, its configuration and the app, and stops them together."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from connector import ApiType, Configuration
from db import Database
from demo.child import PROJECT
from demo.start import APP_PORTS, CONFIGURATION_NAME, demo_key_file, is_in_use, make_configuration, read_or_make_key
from settings import Settings
from tests.provider.real_model import free_port

KEY = SecretStr("sk-demo-test")
IN_USE = r"Port 8501 is in use, so the app runs on port \d+\.\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(database_url=f"sqlite:///{tmp_path / 'workbench.db'}", demo_port=free_port())


def start(settings: Settings) -> subprocess.Popen[str]:
    environment = os.environ | {"DATABASE_URL": settings.database_url, "DEMO_PORT": str(settings.demo_port)}
    return subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def press_control_c(demo: subprocess.Popen[str]) -> None:
    """Interrupt the process and everything that it started, as a terminal does; twice, as impatient people do."""
    os.killpg(demo.pid, signal.SIGINT)
    os.killpg(demo.pid, signal.SIGINT)


def configurations(settings: Settings) -> list[Configuration]:
    database = Database(settings.database_url)
    try:
        person = database.people.local()
        return [database.configurations.open(person, saved.id) for saved in database.configurations.all(person)]
    finally:
        database.close()


def said_until_open(demo: subprocess.Popen[str]) -> list[str]:
    """The lines of a starting demo up to the one with the address."""
    assert demo.stdout
    said = []
    for line in demo.stdout:
        said.append(line)
        if line.startswith("Open "):
            break
    return said


@pytest.mark.slow
def test_the_demo_starts_model_and_app_on_free_ports_and_stops_both_and_a_second_demo_says_what_to_do(
    settings: Settings,
) -> None:
    with occupied(APP_PORTS[0]), start(settings) as first:
        in_use, opened = said_until_open(first)
        try:
            assert re.fullmatch(IN_USE, in_use)
            found = re.fullmatch(r"Open http://localhost:(\d+)\n", opened)
            assert found
            assert found[1] == in_use.split()[-1].removesuffix(".")
            ports = [settings.demo_port, int(found[1])]
            assert all(map(is_in_use, ports))
            [made] = configurations(settings)
            assert made.display_name == CONFIGURATION_NAME
            with start(settings) as second:
                output, errors = second.communicate(timeout=60)
            assert (second.returncode, output) == (1, "")
            assert f"Another demo is already running: a model answers on port {settings.demo_port}." in errors
            assert re.search(
                r"stop it with Ctrl\+C .* or run a second one beside it: DEMO_PORT=\d+ make demo\n", errors
            )
        finally:
            press_control_c(first)
            output, errors = first.communicate(timeout=120)
    assert (first.returncode, output, errors) == (0, "Stopping …\n", "")
    assert not any(map(is_in_use, ports))


@contextmanager
def occupied(port: int) -> Iterator[None]:
    """Within the block a program listens on this port: another program, else the test itself."""
    with ExitStack() as own:
        if not is_in_use(port):
            own.enter_context(socket.create_server(("127.0.0.1", port)))
        yield


BEGUN: dict[str, Callable[[Settings], bool]] = {
    "the key is made": lambda settings: demo_key_file(settings.database_url).exists(),
    "the model listens": lambda settings: is_in_use(settings.demo_port),
    "the configuration is made": lambda settings: (
        demo_key_file(settings.database_url).with_name("workbench.db").exists()
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(begun, id=name, marks=() if name == "the model listens" else pytest.mark.soak)
        for name, begun in BEGUN.items()
    ],
)
def test_the_demo_ends_quietly_when_interrupted_while_starting(
    settings: Settings, begun: Callable[[Settings], bool]
) -> None:
    with start(settings) as demo:
        while not begun(settings) and demo.poll() is None:
            time.sleep(0.01)
        press_control_c(demo)
        output, errors = demo.communicate(timeout=120)
    assert (demo.returncode, errors) == (0, "")
    assert re.fullmatch(rf"(({IN_USE})?Open http://localhost:\d+\n)?Stopping …\n", output)
    assert not is_in_use(settings.demo_port)


@pytest.mark.slow
def test_the_error_for_a_port_in_use_says_what_to_do(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.demo_port)), start(settings) as demo:
        output, errors = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert output == ""
    assert f"Port {settings.demo_port} is in use by another program" in errors
    assert re.search(r"Choose another port: DEMO_PORT=\d+ make demo\n", errors)
    assert "Traceback" not in errors


def test_the_key_is_created_once_beside_the_database_and_readable_by_its_owner_only(
    settings: Settings, tmp_path: Path
) -> None:
    key_file = demo_key_file(settings.database_url)
    assert key_file == tmp_path / "demo.key"
    first = read_or_make_key(key_file)
    assert len(first.get_secret_value()) > 40
    assert read_or_make_key(key_file) == first
    assert list(tmp_path.iterdir()) == [key_file]
    if os.name == "posix":
        assert key_file.stat().st_mode & 0o777 == 0o600


def test_the_configuration_is_created_once(settings: Settings) -> None:
    make_configuration(settings, KEY)
    make_configuration(settings, SecretStr("sk-another"))
    [made] = configurations(settings)
    assert made.display_name == CONFIGURATION_NAME
    assert made.api_key == KEY
    assert made.endpoint == f"http://127.0.0.1:{settings.demo_port}/v1"


def test_a_configuration_with_the_same_address_is_not_created_again_under_another_name(settings: Settings) -> None:
    add(settings, "My own", f"http://127.0.0.1:{settings.demo_port}/v1")
    make_configuration(settings, KEY)
    assert [made.display_name for made in configurations(settings)] == ["My own"]


def test_a_name_that_is_in_use_gets_the_port_as_a_suffix(settings: Settings) -> None:
    add(settings, CONFIGURATION_NAME, "http://127.0.0.1:1/v1")
    make_configuration(settings, KEY)
    names = {made.display_name for made in configurations(settings)}
    assert names == {CONFIGURATION_NAME, f"{CONFIGURATION_NAME} {settings.demo_port}"}


def add(settings: Settings, name: str, endpoint: str) -> None:
    database = Database(settings.database_url)
    try:
        configuration = Configuration(
            display_name=name, api_type=ApiType.OPENAI, endpoint=endpoint, api_key=KEY, model_default="any"
        )
        database.configurations.add(database.people.local(), configuration)
    finally:
        database.close()
