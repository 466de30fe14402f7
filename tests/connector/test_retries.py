"""A call is tried again only while nothing of an answer has come, and only where that may help."""

import json
import random
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest

from connector import (
    CallReport,
    CallStatus,
    Client,
    ConnectionFailed,
    ConnectorError,
    ContentFiltered,
    NoAnswerInTime,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
)
from tests.connector.conftest import PATIENCE, REQUEST, account
from tests.provider.answers import chunk, completion, error
from tests.provider.real_model import free_port
from tests.provider.server import Chunks, Drop, Hang, ProviderServer, Reply

SOON = {"retry-after-ms": "1"}
PASSING = (408, 409, 429, 500, 502, 503, 504)
each_way = pytest.mark.parametrize("streamed", [False, True])


def ask(client: Client, streamed: bool) -> str:
    return "".join(client.stream(REQUEST)) if streamed else client.execute_without_history("What is it?")


@pytest.fixture
def patient(server: ProviderServer, reports: list[CallReport]) -> Client:
    return Client(account(server), on_call=reports.append, timeout=PATIENCE)


@each_way
@pytest.mark.parametrize("status", PASSING)
def test_a_transient_failure_is_not_noticed(
    server: ProviderServer, patient: Client, reports: list[CallReport], status: int, streamed: bool
) -> None:
    server.next(*[Reply(status, error("Busy."), headers=SOON)] * 2)
    assert ask(patient, streamed) == "Answer 0 to: What is it?"
    assert len(server.requests) == 3
    assert len({request.raw for request in server.requests}) == 1, "the same each time"
    [report] = reports
    assert (report.status, report.attempts) == (CallStatus.DONE, 3)


@each_way
def test_a_failure_is_raised_after_three_attempts(
    server: ProviderServer, patient: Client, reports: list[CallReport], streamed: bool
) -> None:
    server.next(*[Reply(503, error("Busy."), headers=SOON)] * 4)
    with pytest.raises(ProviderUnavailable) as caught:
        ask(patient, streamed)
    assert caught.value.is_retryable
    assert len(server.requests) == 3
    assert [report.attempts for report in reports] == [3]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(400, error("No.")), ConnectorError),
        (Reply(401, error("No.")), ConnectorError),
        (Reply(403, error("No.")), ConnectorError),
        (Reply(404, error("No.")), ConnectorError),
        (Reply(422, error("No.")), ConnectorError),
        (Reply(501, error("No.")), ProviderUnavailable),
        (Reply(429, error("No credit.", code="insufficient_quota"), headers=SOON), QuotaExceeded),
        (Reply(429, error("No credit.", type="insufficient_quota"), headers=SOON), QuotaExceeded),
        (Reply(429, error("No credit.", code="credit_balance_exhausted"), headers=SOON), QuotaExceeded),
        (Reply(400, error("Filtered.", code="content_filter")), ContentFiltered),
        (Reply(307, "", headers={"location": "http://127.0.0.1:1/"}), ConnectorError),
        (Reply(200, "<html></html>", content_type="text/html"), ConnectorError),
        (Reply(200, error("Busy.")), ConnectorError),
        (Drop(), ConnectionFailed),
        (Drop(reset=True), ConnectionFailed),
        (Chunks([], done=False), ConnectorError),
        (Chunks([chunk("A")], then="close"), ConnectorError),
        (Chunks([error("Busy.")]), ConnectorError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else type(value).__name__,
)
@each_way
def test_permanent_failures_and_begun_answers_are_not_retried(
    server: ProviderServer,
    patient: Client,
    reports: list[CallReport],
    reply: Any,
    kind: type[Exception],
    streamed: bool,
) -> None:
    server.next(reply)
    with pytest.raises(kind) as caught:
        ask(patient, streamed)
    assert isinstance(caught.value, ConnectorError)
    assert not caught.value.is_retryable
    assert len(server.requests) == 1
    assert [report.attempts for report in reports] == [1]


@each_way
def test_a_timeout_is_not_retried_because_the_call_may_be_charged(
    server: ProviderServer, reports: list[CallReport], streamed: bool
) -> None:
    server.next(Hang())
    client = Client(account(server), on_call=reports.append, timeout=httpx2.Timeout(None, read=0.2))
    with pytest.raises(NoAnswerInTime):
        ask(client, streamed)
    assert server.disconnected.wait(120)  # it has read the request by then
    assert len(server.requests) == 1


def test_a_long_retry_after_is_reported_at_once(server: ProviderServer, patient: Client) -> None:
    server.next(Reply(429, error("Slow down."), headers={"retry-after": "21"}))
    with pytest.raises(RateLimited, match="Try again in 21 seconds") as caught:
        ask(patient, streamed=False)
    assert caught.value.retry_after == 21
    assert len(server.requests) == 1


def test_the_retry_after_of_the_provider_is_respected(server: ProviderServer, patient: Client) -> None:
    server.next(Reply(429, error("Slow down."), headers={"retry-after-ms": "300"}))
    start = time.monotonic()
    ask(patient, streamed=False)
    assert time.monotonic() - start >= 0.3


def test_a_call_is_retried_until_a_starting_server_answers() -> None:
    """Nothing listens at first: the connection is refused, and the next try finds it."""
    random.seed(5)  # the pauses are random, up to half a second and up to one
    port = free_port()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with ProviderServer() as server:
        client = Client(account(server, endpoint=f"http://127.0.0.1:{port}/v1"), timeout=PATIENCE, max_retries=8)

        def serve_one() -> None:
            listener.bind(("127.0.0.1", port))
            listener.listen()
            connection, _ = listener.accept()
            connection.recv(65536)
            body = json.dumps(completion("There.")).encode()
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            connection.close()

        late = threading.Timer(0.2, serve_one)
        late.start()
        assert client.execute_without_history("Are you there?") == "There."
        late.join()
    listener.close()


@pytest.mark.parametrize("retries", [0, 1])
def test_the_caller_chooses_the_number_of_retries(server: ProviderServer, retries: int) -> None:
    server.next(*[Reply(500, error("Busy."), headers=SOON)] * 5)
    with pytest.raises(ProviderUnavailable):
        ask(Client(account(server), timeout=PATIENCE, max_retries=retries), streamed=False)
    assert len(server.requests) == retries + 1


def test_an_unknown_host_and_an_untrusted_certificate_are_reported_at_once(
    server: ProviderServer, reports: list[CallReport]
) -> None:
    for endpoint in ("http://no-such-host.invalid/v1", f"https://127.0.0.1:{server.port}/v1"):
        client = Client(account(server, endpoint=endpoint), on_call=reports.append, timeout=PATIENCE)
        with pytest.raises(ConnectionFailed):
            ask(client, streamed=False)
    assert [report.attempts for report in reports] == [1, 1]


def test_a_retry_after_with_a_date_is_respected(server: ProviderServer, patient: Client) -> None:
    for ahead, requests in ((600, 1), (100_000, 1), (-600, 2)):
        server.requests.clear()
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)
        server.next(Reply(429, error("Slow down."), headers={"retry-after": date}))
        if requests == 1:
            with pytest.raises(RateLimited) as caught:
                ask(patient, streamed=False)
            assert caught.value.retry_after == pytest.approx(ahead, abs=5)
        else:
            ask(patient, streamed=False)  # a time that has passed says nothing
        assert len(server.requests) == requests
