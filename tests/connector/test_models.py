"""The models that a provider lists: asked for with the key, at the right address, and read whatever it sends."""

import threading
from collections.abc import Iterator
from datetime import date

import httpx2
import pytest

from connector import (
    ConnectionFailed,
    ConnectorError,
    KeyRefused,
    KeyType,
    NotFoundAtProvider,
    OfferedModel,
    ProviderUnavailable,
    RateLimited,
    RequestRefused,
    UnreadableAnswer,
    models_of,
    pooled_http_client,
)
from tests.connector.conftest import VERSION, account, all_that_shows, each_form
from tests.provider.answers import error
from tests.provider.real_model import free_port
from tests.provider.server import AnyReply, Chunks, Hang, ProviderServer, Reply

WRONG = "sk-wrong-key-0123456789-abcd"


@pytest.fixture(scope="module")
def running() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        yield server


@pytest.fixture
def server(running: ProviderServer) -> ProviderServer:
    running.requests.clear()
    running.scripted.clear()
    return running


ADDRESSES = {
    "OpenAI": ("/v1/models", {}),
    "Azure with a key": ("/openai/models", {"api-version": VERSION}),
    "Azure with a token": ("/openai/models", {"api-version": VERSION}),
    "Azure v1 with a key": ("/openai/v1/models", {}),
    "Azure v1 with a token": ("/openai/v1/models", {}),
}


@each_form
def test_the_list_is_requested_at_the_address_of_each_provider(server: ProviderServer, form: str) -> None:
    models = models_of(account(server, form))
    (request,) = server.requests
    assert (request.method, request.path, request.query) == ("GET", *ADDRESSES[form])
    if form == "OpenAI":
        assert models == [OfferedModel("chat-test"), OfferedModel("gpt-test")]
    else:
        day = date(2027, 3, 1)
        assert models == [OfferedModel("chat-test-2026-01-01", day), OfferedModel("gpt-test-2026-01-01", day)]


def test_an_identity_asks_with_its_token(server: ProviderServer) -> None:
    configuration = account(server, "Azure with a key", key_type=KeyType.ENTRA_IDENTITY, api_key="")
    assert models_of(configuration, token=lambda: server.entra_token)
    assert server.requests[-1].headers["authorization"] == f"Bearer {server.entra_token}"
    assert "api-key" not in server.requests[-1].headers


TOLD = {
    "nothing": ({}, None),
    "Azure": ({"deprecation": {"inference": 1709284527, "fine_tune": 1}}, date(2024, 3, 1)),
    "Azure without a day": ({"deprecation": {"fine_tune": 1}}, None),
    "Mistral": ({"deprecation": "2026-11-30T12:00:00Z"}, date(2026, 11, 30)),
    "OpenRouter": ({"expiration_date": "2026-11-08"}, date(2026, 11, 8)),
    "null": ({"deprecation": None, "expiration_date": None}, None),
    "no time": ({"deprecation": "soon"}, None),
    "absurd": ({"deprecation": {"inference": 1e300}}, None),
    "true": ({"deprecation": {"inference": True}}, None),
    "west of Greenwich": ({"deprecation": "2026-11-30T23:00:00-05:00"}, date(2026, 12, 1)),
    "a list": ({"deprecation": ["2026-11-30"]}, None),
}


@pytest.mark.parametrize(("stated", "day"), TOLD.values(), ids=TOLD.keys())
def test_the_retirement_date_is_read_if_it_is_stated(
    server: ProviderServer, stated: dict[str, object], day: date | None
) -> None:
    server.next(Reply(200, {"data": [{"id": "a", **stated}]}))
    assert models_of(account(server)) == [OfferedModel("a", day)]


def test_invalid_entries_are_omitted_and_models_are_sorted(server: ProviderServer) -> None:
    listed = [{"id": "b"}, {"id": "a"}, {"id": "b"}, {"id": ""}, {"id": 7}, {}, None, "c", {"id": "x" * 201}]
    listed += [{"id": "   "}, {"id": "a\nb"}, {"id": "\x1b[31mred"}, {"id": "a\u202eb"}, {"id": "\ud800"}]
    server.next(Reply(200, {"data": listed}))
    assert [each.name for each in models_of(account(server))] == ["a", "b"]
    server.next(Reply(200, [{"id": "alone"}]))
    assert [each.name for each in models_of(account(server))] == ["alone"]
    server.next(Reply(200, {"data": []}))
    assert models_of(account(server)) == []


@pytest.mark.parametrize("name", ["chat_completion", "completion_chat"])
def test_models_that_do_not_chat_are_omitted(server: ProviderServer, name: str) -> None:
    stated = {"chats": {name: True}, "embeds": {name: False}, "unclear": {name: None}, "other": {"vision": False}}
    server.next(Reply(200, {"data": [{"id": id, "capabilities": each} for id, each in stated.items()]}))
    assert [each.name for each in models_of(account(server))] == ["chats", "other"]


PIECE = '{"id": "a"},' * 100_000
UNREADABLE: dict[str, AnyReply] = {
    "nothing": Reply(204, b""),
    "a broken compression": Reply(200, b"no gzip", headers={"content-encoding": "gzip"}),
    "a stream without an end": Chunks(['{"data": [', *[PIECE] * 20, threading.Event()]),
    "no JSON": Reply(200, "no JSON"),
    "no list": Reply(200, {"data": {"id": "a"}}),
    "null": Reply(200, {"data": None}),
    "another object": Reply(200, {"models": []}),
    "deep": Reply(200, "[" * 100_000),
    "no UTF-8": Reply(200, b'{"data": ["\xff"]}'),
    "a long number": Reply(200, '{"data": [' + "1" * 5000 + "]}"),
    "huge": Reply(200, '{"data": [' + '{"id": "a"},' * 1_000_000 + '{"id": "b"}]}'),
}


@pytest.mark.parametrize("reply", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_response_that_is_not_a_list_is_reported(server: ProviderServer, reply: AnyReply) -> None:
    server.next(reply)
    with pytest.raises(UnreadableAnswer, match="You can enter any model name") as caught:
        models_of(account(server))
    assert caught.value.__context__ is None
    assert caught.value.reason == ""


def test_a_web_page_is_reported_as_a_web_page(server: ProviderServer) -> None:
    server.next(Reply(200, "<html>", content_type="text/html"))
    with pytest.raises(UnreadableAnswer, match=r"127\.0\.0\.1:\d+ returned a web page") as caught:
        models_of(account(server))
    assert caught.value.reason == "web_page"


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_missing_list_is_reported(server: ProviderServer, status: int) -> None:
    server.next(Reply(status, ""))
    with pytest.raises(
        NotFoundAtProvider, match=r"does not list its models \(\d+\). You can enter any model name"
    ) as caught:
        models_of(account(server))
    assert caught.value.status == status


def test_a_redirect_is_not_followed(server: ProviderServer) -> None:
    with ProviderServer() as other:
        server.next(Reply(302, "", headers={"location": f"{other.openai_endpoint}/models"}))
        with (
            httpx2.Client(follow_redirects=True, trust_env=False) as http_client,
            pytest.raises(RequestRefused, match=r"another address \(302\)\. The redirect is not followed"),
        ):
            models_of(account(server), http_client=http_client)
        assert other.requests == [], "the key would go along"


def test_a_refusal_has_the_time_to_retry_and_the_request_id(server: ProviderServer) -> None:
    server.next(Reply(429, error("Slow down."), headers={"retry-after": "5"}))
    with pytest.raises(RateLimited, match="in 5 seconds") as caught:
        models_of(account(server))
    assert (caught.value.retry_after, str(caught.value.request_id)[:9]) == (5, "req-test-")


def test_a_closed_client_is_reported_as_not_reached(server: ProviderServer) -> None:
    http_client = pooled_http_client()
    http_client.close()
    with pytest.raises(ConnectionFailed):
        models_of(account(server), http_client=http_client)


def test_a_refusal_may_have_any_body(server: ProviderServer) -> None:
    for body in ("[" * 100_000, b"\xff", "", "null", '{"error": null}', '{"error": ["a"]}'):
        server.next(Reply(500, body))
        with pytest.raises(ProviderUnavailable):
            models_of(account(server))


def test_other_failures_are_the_errors_of_a_call_without_the_key(server: ProviderServer) -> None:
    failures: list[ConnectorError] = []
    with pytest.raises(KeyRefused) as refused:
        models_of(account(server, api_key=WRONG))
    server.next(Reply(503, error(f"Down for {server.key}.")))
    with pytest.raises(ProviderUnavailable) as unavailable:
        models_of(account(server))
    with pytest.raises(ConnectionFailed) as unreached:
        models_of(account(server, endpoint=f"http://127.0.0.1:{free_port()}/v1"))
    server.next(Hang())
    with pytest.raises(ConnectorError) as silent:
        models_of(account(server), timeout=httpx2.Timeout(0.2))
    failures += [refused.value, unavailable.value, unreached.value, silent.value]
    for failure in failures:
        assert WRONG not in all_that_shows(failure)
        assert server.key not in all_that_shows(failure)


def test_a_key_in_a_name_is_not_shown(server: ProviderServer) -> None:
    server.next(Reply(200, {"data": [{"id": f"model-of-{server.key}"}]}))
    assert models_of(account(server)) == [OfferedModel("model-of-[key]")]
