"""Connections are kept and used again, also after a stream; what does not end is let go."""

import ssl
import threading
import time
from pathlib import Path

import httpx2
import pytest

from connector import Client, ConnectionFailed, pooled_http_client
from tests.connector.conftest import PATIENCE, REQUEST, account, each_form
from tests.provider.answers import chunk
from tests.provider.server import Chunks, ProviderServer


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


def test_an_answer_that_is_complete_but_does_not_end_is_not_waited_for(server: ProviderServer) -> None:
    """The last event came, the connection stays open and silent."""
    server.next(Chunks([chunk("All", finish_reason="stop"), "data: [DONE]\n\n", threading.Event()], done=False))
    start = time.monotonic()
    assert "".join(Client(account(server), timeout=PATIENCE).stream(REQUEST)) == "All"
    assert time.monotonic() - start < PATIENCE.read / 2  # type: ignore[operator]  # it is 10 seconds
    assert server.disconnected.wait(5)


def test_an_answer_of_which_something_is_left_unread_is_hung_up_on(server: ProviderServer) -> None:
    server.next(Chunks([chunk("A"), threading.Event(), chunk("B")]))
    stream = Client(account(server), timeout=PATIENCE).stream(REQUEST)
    assert next(iter(stream)) == "A"
    stream.close()
    assert server.disconnected.wait(5)


def test_a_file_of_certificates_is_trusted_instead_of_the_systems(tmp_path: Path, server: ProviderServer) -> None:
    with pytest.raises(FileNotFoundError):
        pooled_http_client(ca_file=str(tmp_path / "none.pem"))
    (tmp_path / "broken.pem").write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        pooled_http_client(ca_file=str(tmp_path / "broken.pem"))


def test_a_proxy_is_used_when_it_is_given_and_only_then(server: ProviderServer) -> None:
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
