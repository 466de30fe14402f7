"""The server: which requests it accepts, its security headers, its start and its shutdown."""

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
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import streamlit
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.NewSession_pb2 import Config
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from app import CONTENT_SECURITY_POLICY, RESPONSE_HEADERS, is_from_this_machine
from connector import CallStatus
from db import Database, MessageStatus
from demo.child import Child
from pages.shared import base
from settings import InvalidSetting, Settings
from tests.connector.conftest import account
from tests.generation.test_kill import Paced
from tests.provider.answers import chunk
from tests.provider.real_model import free_port
from tests.provider.server import AnyReply, Chunks, Hang, ProviderServer

ROOT = Path(__file__).parents[1]
SERVERS = {
    "streamlit": ["-m", "streamlit", "run", "{root}app.py", "--server.port={port}"],
    "uvicorn": ["-m", "uvicorn", "--app-dir={root}", "app:app", "--port={port}", "--log-level=warning"],
}
OPTIONS = {
    "server.address": "127.0.0.1",
    "server.allowedHosts": ["localhost", "127.0.0.1", "::1"],
    "server.enableAgentApi": False,
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


def command(server: str, port: int, *more: str, root: str = "") -> list[str]:
    return [sys.executable, *(word.format(port=port, root=root) for word in SERVERS[server]), *more]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """This process's environment without what is set in it for a workbench, and a database in `folder`."""
    ours = ("STREAMLIT_", "DATABASE_URL", "ENCRYPTION_KEY", "OUTGOING_", "DEMO_PORT")
    others = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**others, "DATABASE_URL": f"sqlite:///{folder}/workbench.db", **more}


@contextmanager
def running(
    server: str, folder: Path, *more: str, started_in: Path | None = None
) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """The server as its users start it, once it answers; its port and its process."""
    port = free_port()
    process = subprocess.Popen(
        command(server, port, *more, root=f"{ROOT}/" if started_in else ""),
        cwd=started_in or ROOT,
        env=environment(folder),
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
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, list[ForwardMsg]]]:
    """A server's port, and the messages to its first visitor, who opened a page other than the home page.

    The server was started in a folder without the project's files.
    """
    folder = tmp_path_factory.mktemp("app")
    with running(request.param, folder, started_in=folder) as (port, _):
        assert ask(port, "/configurations")[0] == 200
        with a_tab(port, "configurations") as tab:
            pass
        yield port, tab.received


@pytest.fixture(scope="module")
def port(served: tuple[int, list[ForwardMsg]]) -> int:
    return served[0]


def ask(
    port: int, path: str = "/", headers: Mapping[str, str] | None = None, method: str = "GET"
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """One request with exactly these headers; a Host of its own unless one is given."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with closing(connection):
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"host": f"localhost:{port}", **(headers or {})}.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def say(port: int, *lines: str, address: str = "127.0.0.1") -> str:
    """The status line of the answer to these lines."""
    with socket.create_connection((address, port), timeout=120) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection.recv(4096).split(b"\r\n")[0].decode()


def shake_hands(port: int, headers: Mapping[str, str], address: str = "127.0.0.1") -> str:
    """The status line of the answer to a websocket's handshake."""
    return say(
        port,
        "GET /_stcore/stream HTTP/1.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(b'0123456789abcdef').decode()}",
        *(f"{name}: {value.format(port=port)}" for name, value in headers.items()),
        address=address,
    )


class Tab:
    """A tab of a browser that has opened a page."""

    def __init__(self, connection: ClientConnection, page: str) -> None:
        self.received: list[ForwardMsg] = []
        self._connection = connection
        self._page = page
        self.run()

    def run(self, button: str = "") -> None:
        """Run the page's script to its end, as if this button had been pressed."""
        asked = BackMsg()
        asked.rerun_script.page_name = self._page
        if button:
            asked.rerun_script.widget_states.widgets.add(id=button, trigger_value=True)
        self._connection.send(asked.SerializeToString())
        self.received.clear()
        while not self._has_finished():
            self.received.append(ForwardMsg.FromString(self._connection.recv(timeout=120, decode=False)))

    def _has_finished(self) -> bool:
        """Whether the script has ended. It may have been run twice: it begins again after an answer was begun."""
        return (
            bool(self.received)
            and self.received[-1].script_finished == ForwardMsg.FINISHED_SUCCESSFULLY
            and (self.received[-1].HasField("script_finished"))
        )

    def elements(self) -> list[Element]:
        """What the page has drawn."""
        return [message.delta.new_element for message in self.received if message.HasField("delta")]


@contextmanager
def a_tab(port: int, page: str) -> Iterator[Tab]:
    """A tab with `page`, which stays open within the block."""
    address, origin = f"ws://localhost:{port}/_stcore/stream", Origin(f"http://localhost:{port}")
    with connect(address, origin=origin, subprotocols=[Subprotocol("streamlit")], proxy=None) as connection:
        yield Tab(connection, page)


def other_address() -> str | None:
    """An address of this machine by which other machines reach it; None when it has no such address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        try:
            route.connect(("192.0.2.1", 9))  # sends nothing; tells which address of ours would be used
        except OSError:
            return None
        address: str = route.getsockname()[0]
    return None if address.startswith("127.") else address


# -- only this machine


@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "LOCALHOST", "localhost"])
def test_requests_under_each_local_host_name_are_accepted(port: int, host: str) -> None:
    assert ask(port, "/_stcore/health", {"host": host.format(port=port)})[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8501"},
        {"host": "localhost.evil.example"},
        {"host": "localhost@evil.example"},
        {"host": "evil.example@localhost"},
        {"host": "localhost/evil.example"},
        {"host": "localhost:evil.example"},
        {"host": "192.168.1.7"},
        {"host": "0.0.0.0"},
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
def test_requests_that_are_not_local_are_refused_with_a_sentence(
    port: int, headers: dict[str, str], method: str
) -> None:
    for path in ("/", "/_stcore/health", "/_stcore/metrics", "/showcase/chat"):
        status, _, body = ask(port, path, headers, method)
        assert status == 403
        assert b"serves only the machine it runs on" in body


def test_a_request_with_no_host_or_two_is_refused(port: int) -> None:
    # HTTP/1.1 wants exactly one. One of the two parsers that uvicorn may have refuses the rest by itself, with 400.
    refused = {"HTTP/1.1 400 Bad Request", "HTTP/1.1 403 Forbidden"}
    assert say(port, "GET /_stcore/health HTTP/1.0") == "HTTP/1.1 403 Forbidden"
    assert say(port, "GET /_stcore/health HTTP/1.1") in refused
    assert say(port, "GET /_stcore/health HTTP/1.1", *["Host: localhost"] * 2) in refused


def test_a_request_from_the_app_s_own_page_is_accepted(port: int) -> None:
    assert ask(port, "/_stcore/health", {"origin": f"http://localhost:{port}"})[0] == 200


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]"])
def test_a_websocket_from_the_app_s_own_page_is_accepted(port: int, name: str) -> None:
    own = {"Host": f"{name}:{{port}}", "Origin": f"http://{name}:{{port}}"}
    assert shake_hands(port, own).startswith("HTTP/1.1 101")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:{port}", "Origin": "http://evil.example"},
        {"Host": "localhost:{port}", "Origin": "null"},
        {"Host": "localhost:{port}", "Origin": "https://localhost:{port}"},
        {"Host": "localhost:{port}", "Origin": "http://127.0.0.1:{port}"},
        {"Host": "localhost:{port}", "Origin": "http://localhost"},
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
        ("", False),
        (None, False),
    ],
)
def test_a_request_is_local_only_when_its_peer_is_this_machine(peer: str | None, is_local: bool) -> None:
    client = None if peer is None else (peer, 1)
    scope = {"type": "http", "scheme": "http", "headers": [(b"host", b"localhost")], "client": client}
    assert is_from_this_machine(scope) is is_local


HOST, ORIGIN, FOREIGN = (b"host", b"localhost"), (b"origin", b"http://localhost"), (b"origin", b"http://evil.example")


@pytest.mark.parametrize(
    ("kind", "headers", "is_local"),
    [
        ("http", [HOST], True),
        ("http", [], False),
        ("http", [HOST, HOST], False),
        ("http", [HOST, (b"host", b"evil.example")], False),
        ("http", [HOST, ORIGIN, FOREIGN], False),
        ("ws", [HOST, ORIGIN], True),
        ("ws", [HOST], False),
        ("ws", [HOST, ORIGIN, FOREIGN], False),
    ],
)
def test_requests_with_malformed_headers_are_refused(
    kind: str, headers: list[tuple[bytes, bytes]], is_local: bool
) -> None:
    scope = {"type": {"ws": "websocket"}.get(kind, kind), "scheme": kind, "headers": headers, "client": ("::1", 1)}
    assert is_from_this_machine(scope) is is_local


def test_the_port_is_closed_to_other_machines(port: int) -> None:
    # On Linux everything in 127.0.0.0/8 is this machine, and what listens everywhere listens there too.
    address = (other_address() or "127.0.0.2", port)
    with pytest.raises(OSError, match=r"refused|timed out|assign"), socket.create_connection(address, timeout=5):
        pass


@pytest.mark.slow
def test_a_server_that_listens_everywhere_still_refuses_other_peers(tmp_path: Path) -> None:
    with running("streamlit", tmp_path, "--server.address=0.0.0.0") as (port, _):
        assert ask(port)[0] == 200
        # A machine without a network has no other peer to be; the tests above judge the peers of requests.
        if address := other_address():
            own = {"Host": "localhost:{port}", "Origin": "http://localhost:{port}"}
            assert shake_hands(port, own, address) == "HTTP/1.1 403 Forbidden"
            assert say(port, "GET / HTTP/1.1", f"Host: localhost:{port}", address=address) == "HTTP/1.1 403 Forbidden"


# -- what every answer carries


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/_stcore/health", 200),
        ("/chat", 200),
        ("/nothing", 200),
        ("/showcase/chat", 307),
        ("/static/none.js", 200),
        ("/_stcore/agent/none", 404),
        ("//evil.example/", 400),
    ],
)
def test_every_answer_has_the_headers_once(port: int, path: str, status: int) -> None:
    for given, expected in (({}, status), ({"host": "evil.example"}, 403)):
        got, headers, _ = ask(port, path, given)
        assert got == expected
        assert {name: headers.get_all(name) for name in RESPONSE_HEADERS} == {
            name: [value] for name, value in RESPONSE_HEADERS.items()
        }


def test_the_security_headers_have_these_values() -> None:
    assert RESPONSE_HEADERS == {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
    }


def test_the_policy_allows_only_streamlit_s_inline_script() -> None:
    index = Path(streamlit.__file__).with_name("static") / "index.html"
    scripts = re.findall(r"<script>(.*?)</script>", index.read_text(encoding="utf-8"), re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(digests) == 1
    assert policy()["script-src"] == ["'self'", "'wasm-unsafe-eval'", "blob:", f"'sha256-{digests[0]}'"]


def test_the_policy_allows_no_requests_to_other_hosts() -> None:
    sources = policy()
    assert sources["default-src"] == sources["form-action"] == ["'self'"]
    assert sources["connect-src"] == ["'self'", "data:"]
    assert sources["img-src"] == ["'self'", "data:", "blob:"]
    assert sources["frame-src"] == sources["frame-ancestors"] == sources["object-src"] == ["'none'"]
    # No other machine's name and no wildcard anywhere.
    assert {source for each in sources.values() for source in each if source[0] != "'"} == {"data:", "blob:"}


def policy() -> dict[str, list[str]]:
    directives = (directive.split() for directive in CONTENT_SECURITY_POLICY.split("; "))
    return {name: sources for name, *sources in directives}


def test_an_address_with_a_folder_name_is_redirected_with_its_query(port: int) -> None:
    status, headers, _ = ask(port, "/showcase/chat?chat=abc")
    assert (status, headers["location"]) == (307, f"http://localhost:{port}/chat?chat=abc")


# -- options


def test_streamlit_reads_the_options_of_the_project(tmp_path: Path) -> None:
    code = f"from streamlit import config\nfor name in {list(OPTIONS)!r}: print(repr(config.get_option(name)))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, check=True
    )
    assert run.stderr == ""  # Streamlit warns there about options that it does not know
    assert dict(zip(OPTIONS, run.stdout.splitlines(), strict=True)) == {
        name: repr(value) for name, value in OPTIONS.items()
    }


def test_a_server_has_the_options_of_the_project_whatever_folder_it_was_started_in(
    served: tuple[int, list[ForwardMsg]],
) -> None:
    assert has_them(served[1])


def has_them(received: list[ForwardMsg]) -> bool:
    """Whether a tab receives our options: no statistics, no developer menu, no links to search for errors."""
    [config] = [message.new_session.config for message in received if message.HasField("new_session")]
    wanted = (False, Config.ToolbarMode.MINIMAL, Config.ShowErrorLinks.SHOW_ERROR_LINKS_FALSE)
    return (config.gather_usage_stats, config.toolbar_mode, config.show_error_links) == wanted


# -- what Streamlit adds


def test_the_frame_runs_for_the_first_requested_page(served: tuple[int, list[ForwardMsg]]) -> None:
    _, received = served
    [navigation] = [message.navigation for message in received if message.HasField("navigation")]
    [page] = [each for each in navigation.app_pages if each.page_script_hash == navigation.page_script_hash]
    assert page.url_pathname == "configurations"
    assert "Configurations" in [
        message.delta.new_element.heading.body for message in received if message.HasField("delta")
    ]


def test_the_metrics_are_numbers_without_session_ids(port: int) -> None:
    with a_tab(port, "configurations") as tab:
        _, _, body = ask(port, "/_stcore/metrics")
    metrics, session_id = body.decode(), tab.received[0].new_session.initialize.session_id
    assert 'session_events_total{type="connect"}' in metrics
    assert session_id
    assert session_id not in metrics
    number = re.compile(r'\w+(\{(\w+="[\w.]*",?)+\})? [\d.e+-]+')
    assert [line for line in metrics.splitlines() if line[0] != "#" and not number.fullmatch(line)] == []


def test_other_programs_cannot_operate_the_pages(port: int) -> None:
    status, _, body = ask(port, "/_stcore/agent/interact", method="POST")
    assert (status, b"does not serve the agent API" in body) == (403, True)


# -- start and end

GOOD_KEY = base64.urlsafe_b64encode(b"k" * 32).decode()
OTHER_KEY = base64.urlsafe_b64encode(b"o" * 32).decode()
SECRETS = ("hunter2", GOOD_KEY, OTHER_KEY)


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
        "ENCRYPTION_KEY does not contain a valid key",
    ),
    "two that disagree": (_two_that_disagree, "ENCRYPTION_KEY and ENCRYPTION_KEY_FILE contain different keys"),
    "a file for all to read": (_readable_by_all, "ENCRYPTION_KEY_FILE: every user of this machine can read the file"),
    "a missing file": (
        lambda folder: {"ENCRYPTION_KEY_FILE": f"{folder}/none"},
        "ENCRYPTION_KEY_FILE: the file cannot",
    ),
    "PostgreSQL": (lambda folder: {"DATABASE_URL": "postgresql://me:hunter2@host/x"}, "ENCRYPTION_KEY must be set"),
    "another database": (lambda folder: {"DATABASE_URL": "mysql://me:hunter2@host/x"}, "DATABASE_URL must start with"),
    "another program's": (_of_another_program, "DATABASE_URL names a database of another program"),
    "no certificates": (lambda folder: {"OUTGOING_CA_FILE": f"{folder}/none.pem"}, "OUTGOING_CA_FILE: "),
    "no proxy": (lambda folder: {"OUTGOING_PROXY": "hunter2@proxy"}, "OUTGOING_PROXY must look like http://proxy"),
    "a port that is none": (lambda folder: {"DEMO_PORT": "abc"}, "DEMO_PORT must be a port"),
}
# A start takes seconds of CPU time: two kinds of failure, with the settings and with the database, are enough.
SHORT = [("streamlit", "an empty key"), ("uvicorn", "PostgreSQL")]
STARTS = [
    (server, name) if (server, name) in SHORT else pytest.param(server, name, marks=pytest.mark.soak)
    for server in SERVERS
    for name in REFUSALS
]


@pytest.mark.parametrize("name", REFUSALS)
def test_each_setting_that_cannot_work_is_refused_in_a_sentence_without_secrets(name: str, tmp_path: Path) -> None:
    make, sentence = REFUSALS[name]
    with pytest.raises((InvalidSetting, base.StorageError)) as refused:
        base.start(Settings.from_environment({"DATABASE_URL": f"sqlite:///{tmp_path}/workbench.db"} | make(tmp_path)))
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    for secret in SECRETS:
        assert secret not in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize(("server", "name"), STARTS)
def test_a_start_that_cannot_work_ends_in_one_sentence(server: str, name: str, tmp_path: Path) -> None:
    make, sentence = REFUSALS[name]
    end = subprocess.run(
        command(server, free_port()),
        cwd=ROOT,
        env=environment(tmp_path, **make(tmp_path)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert end.returncode == 1
    [line] = [line for line in end.stderr.splitlines() if line.strip()]
    assert line.startswith("The workbench did not start. ")
    assert sentence in line
    for secret in SECRETS:
        assert secret not in end.stdout + end.stderr


@contextmanager
def watching(port: int, key: str, first: bytes) -> Iterator[http.client.HTTPResponse]:
    """The response that a tab receives while an answer is written, after a line that begins like `first`."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        connection.request("GET", f"/answers?of={key}.0")
        response = connection.getresponse()
        while not response.readline().startswith(first):
            pass
        yield response


def ask_for_a_description(tab: Tab) -> str:
    """Press the button of a use case; returns the key that its answer is watched with."""
    [button] = [each.button.id for each in tab.elements() if each.button.label == "Write description"]
    tab.run(button)
    drawn = b"".join(each.SerializeToString() for each in tab.elements())
    key = re.search(rb'"key": ?"([\w-]{24})"', drawn)
    assert key
    return key[1].decode()


def words_for_ever(provider: ProviderServer) -> Chunks:
    return Chunks(Paced([chunk("word ")] * 10**6, provider.stopping))


def two_words(provider: ProviderServer) -> Chunks:
    return Chunks([chunk("word word "), threading.Event()])


def nothing(provider: ProviderServer) -> Hang:
    return Hang()


ENDS = [
    ("streamlit", ["SIGINT", "SIGINT"], words_for_ever, 2),
    ("uvicorn", ["SIGTERM"], nothing, 1),
    *(
        pytest.param(server, signals, answer, 2, marks=pytest.mark.soak)
        for server in SERVERS
        for signals in (["SIGINT"], ["SIGTERM"], ["SIGTERM", "SIGINT"], ["SIGINT"] * 3)
        for answer in (words_for_ever, two_words, nothing)
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("server", "signals", "answer", "watchers"), ENDS)
def test_the_server_ends_in_order_while_tabs_watch_an_answer(
    server: str, signals: list[str], answer: Callable[[ProviderServer], AnyReply], watchers: int, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        provider = stack.enter_context(ProviderServer())
        provider.next(answer(provider))
        with closing(Database(f"sqlite:///{tmp_path}/workbench.db")) as database:
            database.configurations.add(database.people.local(), account(provider))
        port, process = stack.enter_context(running(server, tmp_path))
        key = ask_for_a_description(stack.enter_context(a_tab(port, "product_description")))
        first = b"event:here" if answer is nothing else b"data:[0,"
        responses = [stack.enter_context(watching(port, key, first)) for _ in range(watchers)]
        for name in signals:
            process.send_signal(getattr(signal, name))
        said, _ = process.communicate(timeout=120)
        assert all(response.read().endswith(b"data:[0]\n\n") for response in responses)
    assert process.returncode == 0
    assert "Stopping …" in said.splitlines()
    assert "Traceback" not in said
    # The log was folded into the database: it was closed.
    assert {file.name for file in tmp_path.iterdir()} == {"workbench.db", "workbench.db.in-use", "encryption.key"}
    with closing(Database(f"sqlite:///{tmp_path}/workbench.db", recover=False)) as database:
        last = database.lone_answers.last(database.people.local(), "product_description")
    assert last
    assert (last.status, last.call.status) == (MessageStatus.STOPPED, CallStatus.STOPPED)
    assert last.content.startswith("word ") or answer is nothing
