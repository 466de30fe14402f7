"""Exactly one report per call, however it ends, and what stands in it."""

import threading
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from connector import (
    CallReport,
    CallStatus,
    ChatCompletionsRequest,
    ChatCompletionsSession,
    Client,
    ConnectorError,
    InvalidRequest,
    Role,
    UsageSource,
    text_of,
)
from tests.connector.conftest import PATIENCE, REQUEST, account
from tests.provider.answers import chunk, completion
from tests.provider.server import Chunks, ProviderServer, Reply


def test_a_report_contains_the_request_and_the_response(
    server: ProviderServer, client: Client, reports: list[CallReport]
) -> None:
    before = datetime.now(UTC)
    request = ChatCompletionsRequest.of_prompts("Hello there", temperature=0.0, stop=(".",))
    response = client.call_api(request)
    (report,) = reports
    assert report.request == server.requests[0].body == request.body("gpt-test")
    assert report.status is CallStatus.DONE
    assert report.response is response
    assert report.error is None
    assert report.usage == response.usage is not None
    assert report.usage_source is UsageSource.REPORTED
    assert report.request_id == "req-test-0001"
    assert before <= report.started_at <= datetime.now(UTC)
    assert report.started_at.utcoffset() is not None
    assert 0 < report.duration < 10
    assert report.time_to_first_token is None
    assert (report.attempts, report.adaptations) == (1, ())


def test_a_report_of_a_stream_has_the_time_to_its_first_piece(
    server: ProviderServer, client: Client, reports: list[CallReport]
) -> None:
    gate = threading.Event()
    server.next(
        Chunks([chunk(choices=[]), chunk("", role="assistant"), chunk("A"), gate, chunk("B", finish_reason="stop")])
    )
    with client.stream(REQUEST) as stream:
        pieces = iter(stream)
        next(pieces)
        assert reports == []
        gate.set()
        list(pieces)
    (report,) = reports
    assert report.request == server.requests[0].body
    assert report.time_to_first_token is not None
    assert 0 < report.time_to_first_token < report.duration
    assert report.response is not None
    assert text_of(report.response) == "AB"
    assert report.request_id == "req-test-0001"


def test_each_operation_reports_once(server: ProviderServer, client: Client, reports: list[CallReport]) -> None:
    session = ChatCompletionsSession()
    session.add_message(Role.USER, "Hello")
    client.execute_without_history("Hello")
    client.execute_with_history(session)
    client.call_api(REQUEST)
    list(client.stream(REQUEST))
    assert [each.status for each in reports] == [CallStatus.DONE] * 4
    assert [each.request_id for each in reports] == [f"req-test-{number:04}" for number in range(1, 5)]


def test_a_request_that_was_never_sent_is_not_reported(
    server: ProviderServer, client: Client, reports: list[CallReport]
) -> None:
    with pytest.raises(InvalidRequest):
        client.execute_without_history(" ")
    with pytest.raises(InvalidRequest):
        Client(account(server, model_default=""), on_call=reports.append).call_api(REQUEST)
    assert reports == []
    assert server.requests == []


def test_a_report_is_frozen_and_shows_no_key(server: ProviderServer, client: Client, reports: list[CallReport]) -> None:
    client.call_api(REQUEST)
    server.next(Reply(401, {"error": {"message": server.key}}))
    with pytest.raises(ConnectorError):
        client.call_api(REQUEST)
    assert server.key not in repr(reports)
    with pytest.raises(AttributeError):
        reports[0].status = CallStatus.FAILED  # type: ignore[misc]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_program_that_is_stopped_while_waiting_reports_the_call(server: ProviderServer, streamed: bool) -> None:
    def interrupt(request: httpx2.Request) -> httpx2.Response:
        raise KeyboardInterrupt

    reports: list[CallReport] = []
    http_client = httpx2.Client(transport=httpx2.MockTransport(interrupt))
    client = Client(account(server), http_client=http_client, on_call=reports.append)
    with pytest.raises(KeyboardInterrupt):
        client.stream(REQUEST) if streamed else client.call_api(REQUEST)
    assert [(each.status, each.error) for each in reports] == [(CallStatus.STOPPED, None)]


def test_a_program_that_is_stopped_while_reading_a_stream_reports_the_call(server: ProviderServer) -> None:
    class Interrupted(httpx2.SyncByteStream):
        def __iter__(self) -> Any:
            yield b'data: {"choices": [{"index": 0, "delta": {"content": "Hel"}}]}\n\n'
            raise KeyboardInterrupt

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Interrupted())

    reports: list[CallReport] = []
    http_client = httpx2.Client(transport=httpx2.MockTransport(answer))
    stream = Client(account(server), http_client=http_client, on_call=reports.append).stream(REQUEST)
    pieces = iter(stream)
    assert next(pieces) == "Hel"
    with pytest.raises(KeyboardInterrupt):
        next(pieces)
    assert [each.status for each in reports] == [CallStatus.STOPPED]
    assert reports[0].response is not None
    assert text_of(reports[0].response) == "Hel"


def test_an_error_in_on_call_is_raised_and_on_call_is_not_called_again(server: ProviderServer) -> None:
    reports: list[CallReport] = []

    def refuse(report: CallReport) -> None:
        reports.append(report)
        raise ZeroDivisionError

    client = Client(account(server), on_call=refuse, timeout=PATIENCE)
    with pytest.raises(ZeroDivisionError):
        client.call_api(REQUEST)
    with pytest.raises(ZeroDivisionError):
        list(client.stream(REQUEST))
    server.next(Chunks([chunk("Hel"), threading.Event()]))
    stream = client.stream(REQUEST)
    with pytest.raises(ZeroDivisionError):
        stream.close()
    stream.close()
    assert server.disconnected.wait(120), "the connection is hung up all the same"
    assert [each.status for each in reports] == [CallStatus.DONE, CallStatus.DONE, CallStatus.STOPPED]


def test_on_call_is_optional(server: ProviderServer) -> None:
    server.next(Reply(200, completion("Hello")))
    assert Client(account(server)).execute_without_history("Hi") == "Hello"
