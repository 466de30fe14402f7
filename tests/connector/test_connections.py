"""Connections are kept and used again, also after a stream; what does not end is let go."""

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from pydantic import SecretStr

from connector import (
    ApiType,
    CallReport,
    Client,
    Configuration,
    ConnectionFailed,
    ConnectorError,
    async_sdk,
    examine,
    models_of,
    pooled_http_client,
)
from tests.connector.conftest import PATIENCE, REQUEST, account, each_form, finished
from tests.provider.answers import chunk, completion
from tests.provider.server import Chunks, Drop, ProviderServer, Reply

ROOT = Path(__file__).parents[2]


@each_form
def test_twenty_streams_and_calls_use_one_connection(server: ProviderServer, form: str) -> None:
    client = Client(account(server, form), timeout=PATIENCE)
    for _ in range(10):
        assert "".join(client.stream(REQUEST)) == "Answer 0 to: What is it?"
        client.call_api(REQUEST)
    assert len({received.client_port for received in server.requests}) == 1


def test_clients_of_several_configurations_share_their_connections(server: ProviderServer) -> None:
    for number in range(5):
        Client(account(server, display_name=f"Account {number}")).execute_without_history("Hello")
    assert len({received.client_port for received in server.requests}) == 1


def test_the_end_of_a_complete_answer_is_not_waited_for(server: ProviderServer) -> None:
    """The last event came, the connection stays open and silent."""
    server.next(Chunks([chunk("All", finish_reason="stop"), "data: [DONE]\n\n", threading.Event()], done=False))
    assert "".join(Client(account(server), timeout=PATIENCE).stream(REQUEST)) == "All"
    assert server.disconnected.wait(120)


def test_the_connection_of_an_answer_with_unread_data_is_closed(server: ProviderServer) -> None:
    server.next(Chunks([chunk("A"), threading.Event(), chunk("B")]))
    stream = Client(account(server), timeout=PATIENCE).stream(REQUEST)
    assert next(iter(stream)) == "A"
    stream.close()
    assert server.disconnected.wait(120)


def test_a_file_of_certificates_is_trusted_instead_of_the_systems(tmp_path: Path, server: ProviderServer) -> None:
    with pytest.raises(FileNotFoundError):
        pooled_http_client(ca_file=str(tmp_path / "none.pem"))
    (tmp_path / "broken.pem").write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        pooled_http_client(ca_file=str(tmp_path / "broken.pem"))


def check_keep_alive(connection: socket.socket) -> None:
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    names = [name for name in ("TCP_KEEPIDLE", "TCP_KEEPALIVE", "TCP_KEEPINTVL") if hasattr(socket, name)]
    assert names
    assert all(0 < connection.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) < 120 for name in names)


@pytest.mark.parametrize("is_proxied", [False, True])
def test_a_silent_connection_is_kept_alive_on_its_way(server: ProviderServer, is_proxied: bool) -> None:
    """Networks forget a connection that says nothing for minutes while a model thinks."""
    with (
        pooled_http_client(proxy=server.url if is_proxied else None) as pool,
        pool.stream("GET", f"{server.url}/") as response,
    ):
        check_keep_alive(response.extensions["network_stream"].get_extra_info("socket"))


def test_a_silent_connection_of_the_asynchronous_client_is_kept_alive(server: ProviderServer) -> None:
    async def ask() -> None:
        async with async_sdk(account(server)) as client:
            raw = await client.chat.completions.with_raw_response.create(
                model="gpt-test", messages=[{"role": "user", "content": "Hello"}]
            )
            check_keep_alive(raw.http_response.extensions["network_stream"].get_extra_info("socket"))

    finished(ask())


def test_a_proxy_is_used_only_when_it_is_passed(server: ProviderServer) -> None:
    """The provider server stands in as the proxy: it sees the whole address in the request line."""
    elsewhere = account(server, endpoint="http://provider.invalid/v1")
    with pooled_http_client(proxy=server.url) as through:
        client = Client(elsewhere, http_client=through, timeout=PATIENCE, max_retries=0)
        assert client.execute_without_history("Hello") == "Answer 0 to: Hello"
    assert server.requests[0].headers["host"] == "provider.invalid"
    with pooled_http_client(proxy="http://127.0.0.1:1") as nowhere, pytest.raises(ConnectionFailed):
        Client(account(server), http_client=nowhere, max_retries=0).execute_without_history("Hello")


def test_an_unusable_proxy_is_refused() -> None:
    with pytest.raises((ValueError, httpx2.InvalidURL)):
        pooled_http_client(proxy="nonsense")


def test_a_connection_that_the_server_closed_in_the_meantime_is_replaced_silently(reports: list[CallReport]) -> None:
    """As llama.cpp does it: the answer says that the connection is kept, and then it is closed."""
    answered: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for number in range(2):
                connection, _ = listener.accept()
                with connection:
                    read_request(connection)
                    connection.sendall(whole(completion(f"Answer {number}")))
                    answered.append(number)
                    if number == 0:
                        read_request(connection)  # the second one arrives, and nobody answers it here

        thread = threading.Thread(target=serve)
        thread.start()
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        with pooled_http_client() as http_client:
            client = Client(
                Configuration(
                    display_name="Hasty",
                    api_type=ApiType.OPENAI,
                    endpoint=endpoint,
                    api_key=SecretStr("sk-x"),
                    model_default="gpt-test",
                ),
                http_client=http_client,
                on_call=reports.append,
                timeout=PATIENCE,
                max_retries=0,
            )
            assert client.execute_without_history("One") == "Answer 0"
            assert client.execute_without_history("Two") == "Answer 1"
        thread.join()
    assert answered == [0, 1]
    assert [report.attempts for report in reports] == [1, 1]


def read_request(connection: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)


def whole(answer: dict[str, Any]) -> bytes:
    body = json.dumps(answer).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


FORK = """
import os, sys
from connector import *
configuration = Configuration(
    display_name="Forked", api_type=ApiType.OPENAI, endpoint=sys.argv[1], api_key=sys.argv[2], model_default="gpt-test"
)
client = Client(configuration)
client.execute_without_history("warm")
child = os.fork()
name = "parent" if child else "child"
answers = [client.execute_without_history(f"{name} {number}") for number in range(5)]
assert answers == [f"Answer 0 to: {name} {number}" for number in range(5)], answers
"".join(client.stream(ChatCompletionsRequest.of_prompts(name)))
if child:
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_does_not_read_the_answers_of_its_parent(server: ProviderServer) -> None:
    command = [sys.executable, "-c", FORK, server.openai_endpoint, server.key]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")


FIRST = """
import gc, sys, threading
from connector import *
configuration = Configuration(
    display_name="First", api_type=ApiType.OPENAI, endpoint=sys.argv[1], api_key=sys.argv[2], model_default="gpt-test"
)
all_there = threading.Barrier(4)
def call():
    all_there.wait()
    Client(configuration).execute_without_history("Hello")
threads = [threading.Thread(target=call) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
gc.collect()
"""


@pytest.mark.slow
def test_the_first_calls_of_a_process_share_one_pool(server: ProviderServer) -> None:
    """Else the connections of all but one are left behind, open."""
    command = [sys.executable, "-X", "dev", "-c", FIRST, server.openai_endpoint, server.key]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert "unclosed <socket" not in run.stderr
    assert len(server.requests) == 4


def test_a_request_that_a_server_takes_and_drops_is_sent_twice_at_most(
    server: ProviderServer, reports: list[CallReport]
) -> None:
    """Whatever the number of connections that are kept: each of them may have been charged for."""
    with pooled_http_client() as http_client:
        client = Client(account(server), http_client=http_client, on_call=reports.append, max_retries=0)
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(client.execute_without_history, map(str, range(16))))
        before = len(server.requests)
        server.next(*[Drop()] * 8)
        with pytest.raises(ConnectionFailed):
            client.execute_without_history("Once")
    assert len(server.requests) - before <= 2


def test_a_redirect_is_not_followed_even_if_the_given_client_follows_redirects(server: ProviderServer) -> None:
    server.next(Reply(307, "", headers={"location": f"{server.url}/elsewhere/v1/chat/completions"}))
    with httpx2.Client(follow_redirects=True) as http_client, pytest.raises(ConnectorError, match="not followed"):
        Client(account(server), http_client=http_client).execute_without_history("Hello")
    assert [received.path for received in server.requests] == ["/v1/chat/completions"]


@pytest.mark.parametrize(
    "use",
    [
        lambda configuration, other: Client(configuration, http_client=other),
        lambda configuration, other: examine(configuration, http_client=other),
        lambda configuration, other: models_of(configuration, http_client=other),
        lambda configuration, other: async_sdk(configuration, http_client=other),
    ],
    ids=["Client", "examine", "models_of", "async_sdk"],
)
@pytest.mark.parametrize("other", [httpx.Client(), httpx.AsyncClient(), "http://proxy", httpx2], ids=type)
def test_an_http_client_of_another_library_is_refused_before_anything_is_sent(
    server: ProviderServer, use: Any, other: object
) -> None:
    with pytest.raises(TypeError, match=r"http_client must be an httpx2\.(Async)?Client, not \w+\."):
        use(account(server), other)
    assert server.requests == []


def test_an_http_client_of_the_other_kind_is_refused(server: ProviderServer) -> None:
    with pytest.raises(TypeError, match=r"must be an httpx2\.Client, not httpx2\.AsyncClient\."):
        Client(account(server), http_client=httpx2.AsyncClient())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"must be an httpx2\.AsyncClient, not httpx2\.Client\."):
        async_sdk(account(server), http_client=httpx2.Client())  # type: ignore[arg-type]
