"""The server's door: who is let in, what every answer carries, how it starts and how it ends."""

import base64
import hashlib
import http.client
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import streamlit

from app import CONTENT_SECURITY_POLICY, RESPONSE_HEADERS, is_from_this_machine
from demo.child import Child
from tests.provider.real_model import free_port

ROOT = Path(__file__).parents[1]
SERVERS = {
    "streamlit": ["-m", "streamlit", "run", "app.py", "--server.port={port}"],
    "uvicorn": ["-m", "uvicorn", "app:app", "--port={port}", "--log-level=warning"],
}
OPTIONS = {
    "server.address": "127.0.0.1",
    "server.allowedHosts": ["localhost", "127.0.0.1", "::1"],
    "server.enableCORS": True,
    "server.enableXsrfProtection": True,
    "server.enableStaticServing": False,
    "server.fileWatcherType": "none",
    "server.maxUploadSize": 10,
    "server.maxMessageSize": 50,
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "client.toolbarMode": "minimal",
    "browser.gatherUsageStats": False,
    "runner.postScriptGC": False,
    "runner.magicEnabled": False,
}


def command(server: str, port: int, *more: str) -> list[str]:
    return [sys.executable, *(word.format(port=port) for word in SERVERS[server]), *more]


@contextmanager
def running(server: str, folder: Path, *more: str) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """The server as its users start it, once it answers; its port and its process."""
    port = free_port()
    process = subprocess.Popen(
        command(server, port, *more),
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": f"sqlite:///{folder}/workbench.db"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        child = Child("the app", [], port=port, health="/_stcore/health")
        child._process = process  # type: ignore[assignment]  # only asked whether it runs
        child.wait_until_it_answers(60)
        yield port, process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module", params=list(SERVERS))
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running(request.param, tmp_path_factory.mktemp("app")) as (port, _):
        yield port


def ask(
    port: int, path: str = "/", headers: Mapping[str, str | list[str]] | None = None, method: str = "GET"
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """One request with exactly these headers; a Host of its own unless one is given. None sends no Host at all."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    given = {"host": f"localhost:{port}"} if headers is None or "host" not in headers else {}
    with closing(connection):
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {**given, **(headers or {})}.items():
            for each in [value] if isinstance(value, str) else value:
                connection.putheader(name, each)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def shake_hands(port: int, headers: Mapping[str, str]) -> str:
    """The status line that a websocket's handshake is answered with."""
    lines = [
        "GET /_stcore/stream HTTP/1.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(b'0123456789abcdef').decode()}",
        *(f"{name}: {value.format(port=port)}" for name, value in headers.items()),
    ]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection.recv(4096).split(b"\r\n")[0].decode()


# -- only this machine


@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "LOCALHOST", "localhost"])
def test_the_machine_itself_is_let_in_under_each_of_its_names(port: int, host: str) -> None:
    assert ask(port, "/_stcore/health", {"host": host.format(port=port)})[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8501"},
        {"host": "localhost.evil.example"},
        {"host": "localhost@evil.example"},
        {"host": "192.168.1.7"},
        {"host": "0.0.0.0"},
        {"host": ["localhost", "localhost"]},
        {"host": ""},
        {"forwarded": "for=192.0.2.1"},
        {"x-forwarded-for": "127.0.0.1"},
        {"x-forwarded-host": "localhost"},
        {"x-forwarded-proto": "https"},
        {"x-real-ip": "127.0.0.1"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://localhost"},
        {"origin": "http://localhost:1"},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_whatever_is_not_local_is_refused_with_a_sentence(
    port: int, headers: dict[str, str | list[str]], method: str
) -> None:
    for path in ("/", "/_stcore/health", "/_stcore/metrics", "/showcase/chat"):
        status, _, body = ask(port, path, headers, method)
        # uvicorn itself refuses what is no HTTP, such as two Host headers.
        assert (status, b"answers only the machine it runs on" in body) in {(403, True), (400, False)}


def test_a_page_of_its_own_is_let_in(port: int) -> None:
    assert ask(port, "/_stcore/health", {"origin": f"http://localhost:{port}"})[0] == 200


def test_a_websocket_of_its_own_page_is_let_in(port: int) -> None:
    own = {"Host": "localhost:{port}", "Origin": "http://localhost:{port}"}
    assert shake_hands(port, own).startswith("HTTP/1.1 101")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:{port}", "Origin": "http://evil.example"},
        {"Host": "localhost:{port}", "Origin": "null"},
        {"Host": "localhost:{port}", "Origin": "https://localhost:{port}"},
        {"Host": "localhost:{port}", "Origin": "http://127.0.0.1:{port}"},
        {"Host": "localhost:{port}"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Host": "localhost:{port}", "Origin": "http://localhost:{port}", "X-Forwarded-For": "127.0.0.1"},
    ],
    ids=str,
)
def test_any_other_websocket_is_refused(port: int, headers: dict[str, str]) -> None:
    assert shake_hands(port, headers).startswith("HTTP/1.1 403")


@pytest.mark.parametrize(
    ("peer", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("fe80::1", False),
        ("192.0.2.1", False),
        ("testclient", False),
        (None, False),
    ],
)
def test_the_peer_is_this_machine_whatever_it_says(peer: str | None, is_local: bool) -> None:
    scope = {"type": "http", "scheme": "http", "headers": [(b"host", b"localhost")], "client": peer and (peer, 1)}
    assert is_from_this_machine(scope) is is_local


def test_a_server_that_listens_everywhere_still_refuses_other_peers(tmp_path: Path) -> None:
    with running("streamlit", tmp_path, "--server.address=0.0.0.0", "--browser.serverAddress=localhost") as (port, _):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
            route.connect(("192.0.2.1", 9))  # sends nothing; tells which address of ours would be used
            address = route.getsockname()[0]
        assert not address.startswith("127.")
        connection = http.client.HTTPConnection(address, port, timeout=20)
        with closing(connection):
            connection.request("GET", "/", headers={"host": f"localhost:{port}"})
            response = connection.getresponse()
            assert response.status == 403
            assert b"answers only the machine it runs on" in response.read()


# -- what every answer carries


@pytest.mark.parametrize("path", ["/", "/_stcore/health", "/chat", "/nothing", "/showcase/chat", "/static/none.js"])
def test_every_answer_has_the_headers(port: int, path: str) -> None:
    for given in (None, {"host": "evil.example"}):
        _, headers, _ = ask(port, path, given)
        assert {name: headers[name] for name in RESPONSE_HEADERS} == RESPONSE_HEADERS


def test_the_policy_allows_the_one_inline_script_of_streamlit_and_no_other() -> None:
    index = Path(streamlit.__file__).with_name("static") / "index.html"
    scripts = re.findall(r"<script>(.*?)</script>", index.read_text(encoding="utf-8"), re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert re.findall(r"'sha256-([^']+)'", CONTENT_SECURITY_POLICY) == digests
    assert len(digests) == 1
    assert "unsafe-eval'" not in CONTENT_SECURITY_POLICY.replace("wasm-unsafe-eval", "")


def test_the_options_are_those_of_the_project(tmp_path: Path) -> None:
    code = f"from streamlit import config\nfor name in {list(OPTIONS)!r}: print(repr(config.get_option(name)))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert dict(zip(OPTIONS, run.stdout.splitlines(), strict=True)) == {
        name: repr(value) for name, value in OPTIONS.items()
    }


def test_an_address_with_the_folder_in_it_is_sent_on_with_its_query(port: int) -> None:
    status, headers, _ = ask(port, "/showcase/chat?chat=abc")
    assert (status, headers["location"]) == (307, f"http://localhost:{port}/chat?chat=abc")


# -- start and end

GOOD_KEY = base64.urlsafe_b64encode(b"k" * 32).decode()
OTHER_KEY = base64.urlsafe_b64encode(b"o" * 32).decode()


def _readable_by_all(folder: Path) -> dict[str, str]:
    file = folder / "keys"
    file.write_text(GOOD_KEY, encoding="utf-8")
    file.chmod(0o644)
    return {"ENCRYPTION_KEY_FILE": str(file)}


def _two_that_disagree(folder: Path) -> dict[str, str]:
    file = folder / "keys"
    file.write_text(GOOD_KEY, encoding="utf-8")
    file.chmod(0o600)
    return {"ENCRYPTION_KEY_FILE": str(file), "ENCRYPTION_KEY": OTHER_KEY}


def _of_another_program(folder: Path) -> dict[str, str]:
    with closing(sqlite3.connect(folder / "songs.db")) as connection, connection:
        connection.execute("CREATE TABLE songs (title)")
    return {"DATABASE_URL": f"sqlite:///{folder}/songs.db"}


REFUSALS: dict[str, tuple[Callable[[Path], dict[str, str]], str]] = {
    "an empty key": (lambda folder: {"ENCRYPTION_KEY": ""}, "ENCRYPTION_KEY is set but empty"),
    "no key at all": (
        lambda folder: {"ENCRYPTION_KEY": "hunter2-hunter2"},
        "ENCRYPTION_KEY does not hold a usable key",
    ),
    "two that disagree": (_two_that_disagree, "ENCRYPTION_KEY and ENCRYPTION_KEY_FILE do not agree"),
    "a file for all to read": (_readable_by_all, "ENCRYPTION_KEY_FILE: everybody can read the file"),
    "a missing file": (
        lambda folder: {"ENCRYPTION_KEY_FILE": f"{folder}/none"},
        "ENCRYPTION_KEY_FILE: the file cannot",
    ),
    "PostgreSQL": (lambda folder: {"DATABASE_URL": "postgresql://me:hunter2@host/x"}, "DATABASE_URL must start with"),
    "another program's": (_of_another_program, "DATABASE_URL names an SQLite database of another program"),
    "no certificates": (lambda folder: {"OUTGOING_CA_FILE": f"{folder}/none.pem"}, "OUTGOING_CA_FILE: "),
    "no proxy": (lambda folder: {"OUTGOING_PROXY": "proxy"}, "OUTGOING_PROXY must look like http://proxy"),
    "a port that is none": (lambda folder: {"DEMO_PORT": "abc"}, "DEMO_PORT must be a port"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_start_that_cannot_work_ends_in_one_sentence(name: str, tmp_path: Path) -> None:
    prepare, sentence = REFUSALS[name]
    # Under uvicorn one of them is enough: the way to the end is the same.
    for server in SERVERS if name == "no key at all" else ["streamlit"]:
        environment = {"DATABASE_URL": f"sqlite:///{tmp_path}/workbench.db", **prepare(tmp_path)}
        ended = subprocess.run(
            command(server, free_port()),
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == 1
        [line] = [line for line in ended.stderr.splitlines() if line.strip()]
        assert line.startswith("The workbench did not start. ")
        assert sentence in line
        for secret in ("hunter2", GOOD_KEY, OTHER_KEY):
            assert secret not in ended.stdout + ended.stderr


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_it_ends_in_order(name: str, tmp_path: Path) -> None:
    with running("streamlit", tmp_path) as (port, process):
        assert ask(port)[0] == 200
        process.send_signal(getattr(signal, name))
        said, _ = process.communicate(timeout=30)
    assert process.returncode in (0, 1, -signal.SIGTERM)  # Streamlit ends with 1 after Ctrl+C
    assert "Traceback" not in said
    # The log was folded into the database: it was closed.
    assert {file.name for file in tmp_path.iterdir()} == {"workbench.db", "encryption.key"}
