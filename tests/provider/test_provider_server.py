"""The test server itself: the requests it accepts and refuses, and the faults it produces."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.provider.answers import azure_error, chunk, completion, error
from tests.provider.server import Chunks, Drop, Hang, ProviderServer, Reply

PATHS = {
    "OpenAI": "/v1/chat/completions",
    "OpenAI behind a prefix": "/gateway/llm/v1/chat/completions",
    "Azure": "/openai/deployments/gpt-test/chat/completions?api-version=2024-10-21",
    "Azure v1": "/openai/v1/chat/completions",
}
GOOD: dict[str, Any] = {
    "model": "gpt-test",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is it?"}],
    "temperature": 0.5,
    "stop": ["."],
}
BAD = {
    "no messages": {"messages": []},
    "unknown role": {"messages": [{"role": "wizard", "content": "Hello"}]},
    "message without content": {"messages": [{"role": "user"}]},
    "unknown key in a message": {"messages": [{"role": "user", "content": "Hello", "mood": "good"}]},
    "too hot": {"temperature": 2.5},
    "number as text": {"max_tokens": "many"},
    "unknown parameter": {"top_k": 3},
}
each_form = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


@pytest.fixture
def http(server: ProviderServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, headers=keys(server, server.key), trust_env=False, timeout=120) as client:
        yield client


def keys(server: ProviderServer, key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}", "api-key": key}


def events(text: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


@each_form
def test_a_good_request_is_answered(server: ProviderServer, http: httpx2.Client, path: str) -> None:
    answer = http.post(path, json=GOOD | {"n": 2})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [choice["message"]["content"] for choice in body["choices"]] == [
        "Answer 0 to: What is it?",
        "Answer 1 to: What is it?",
    ]
    assert body["model"] == "gpt-test-2026-01-01"
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (5, 12)
    assert answer.headers["x-request-id"] == "req-test-0001"
    assert server.violations == []
    received = server.requests[0]
    assert received.body == GOOD | {"n": 2}
    assert (received.method, received.path) == ("POST", path.partition("?")[0])
    assert received.headers["content-type"] == "application/json"


@each_form
@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_a_bad_request_is_refused(
    server: ProviderServer, http: httpx2.Client, path: str, change: dict[str, Any]
) -> None:
    answer = http.post(path, json=GOOD | change)
    assert answer.status_code == 400
    assert len(server.violations) == 1


@each_form
def test_a_bad_request_is_refused_also_where_a_reply_is_scripted(
    server: ProviderServer, http: httpx2.Client, path: str
) -> None:
    server.next(Reply(body=completion("scripted")))
    assert http.post(path, json=GOOD | {"top_k": 3}).status_code == 400
    assert http.post(path, json=GOOD).json() == completion("scripted")


def test_a_parameter_beyond_the_published_ones_can_be_allowed() -> None:
    with ProviderServer(also_allowed={"top_k"}) as server:
        answer = httpx2.post(
            f"{server.openai_endpoint}/chat/completions", json=GOOD | {"top_k": 3}, headers=keys(server, server.key)
        )
    assert answer.status_code == 200


@each_form
def test_a_wrong_key_is_refused(server: ProviderServer, http: httpx2.Client, path: str) -> None:
    answer = http.post(path, json=GOOD, headers=keys(server, "sk-wrong-key-0123456789"))
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == ("401" if "/openai/" in path else "invalid_api_key")


def test_azure_takes_an_entra_token_and_no_key_as_bearer(server: ProviderServer, http: httpx2.Client) -> None:
    def status(**headers: str) -> int:
        return httpx2.post(server.url + PATHS["Azure"], json=GOOD, headers=headers).status_code

    assert status(authorization=f"Bearer {server.entra_token}") == 200
    assert status(authorization=f"Bearer {server.key}") == 401
    assert status() == 401


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/chat/completions", "model_not_found"),
        ("/openai/v1/chat/completions", "DeploymentNotFound"),
        ("/openai/deployments/nobody/chat/completions?api-version=2024-10-21", "DeploymentNotFound"),
        ("/openai/deployments/gpt-test/chat/completions", "404"),
        ("/v1/elsewhere", None),
    ],
)
def test_an_unknown_path_or_model_gets_404(http: httpx2.Client, path: str, code: str | None) -> None:
    answer = http.post(path, json=GOOD | {"model": "nobody"})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == code


def test_models_are_listed_for_the_right_key_only(server: ProviderServer, http: httpx2.Client) -> None:
    assert [entry["id"] for entry in http.get("/v1/models").json()["data"]] == ["chat-test", "gpt-test"]
    assert http.get("/v1/models", headers=keys(server, "wrong")).status_code == 401


@each_form
def test_a_stream_has_all_choices_in_turn_and_usage_if_asked(http: httpx2.Client, path: str) -> None:
    asked = GOOD | {"n": 2, "stream": True, "stream_options": {"include_usage": True}}
    chunks = events(http.post(path, json=asked).text)
    assert (chunks[0]["choices"] == []) == ("/openai/" in path)
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 12
    choices = [choice for each in chunks for choice in each["choices"]]
    assert [choice["index"] for choice in choices[:6]] == [0, 1, 0, 1, 0, 1]
    for index in (0, 1):
        mine = [choice for choice in choices if choice["index"] == index]
        text = "".join(choice["delta"].get("content", "") for choice in mine)
        assert text == f"Answer {index} to: What is it?"
        assert mine[0]["delta"]["role"] == "assistant"
        assert mine[-1]["finish_reason"] == "stop"
    unasked = events(http.post(path, json=GOOD | {"stream": True}).text)
    assert all("usage" not in each for each in unasked)


def test_connections_are_kept_alive(server: ProviderServer) -> None:
    with httpx2.Client(base_url=server.url, headers=keys(server, server.key)) as http:
        for _ in range(3):
            http.post(PATHS["OpenAI"], json=GOOD | {"stream": True})
    assert len(server.requests) == 3
    assert len({received.client_port for received in server.requests}) == 1


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        (Reply(429, error("Slow down.", code="slow_down"), {"retry-after": "7"}), None),
        (Reply(403, azure_error("Not from here.", "403")), None),
        (Reply(200, "<html>Sign in</html>", content_type="text/html"), "<html>Sign in</html>"),
        (Reply(200), "null"),
        (Reply(200, b"\xff\xfe"), None),
    ],
)
def test_a_scripted_reply_is_sent_once_and_unchanged(
    server: ProviderServer, http: httpx2.Client, reply: Reply, body: str | None
) -> None:
    server.next(reply)
    answer = http.post(PATHS["OpenAI"], json=GOOD)
    assert answer.status_code == reply.status
    assert answer.headers["content-type"] == reply.content_type
    assert reply.headers.items() <= dict(answer.headers).items()
    if body is not None:
        assert answer.text == body
    assert http.post(PATHS["OpenAI"], json=GOOD).status_code == 200


def test_a_gate_holds_the_stream_until_it_is_opened(server: ProviderServer, http: httpx2.Client) -> None:
    gate = threading.Event()
    server.next(
        Chunks([chunk("one"), gate, chunk("two", finish_reason="stop"), 'event: error\ndata: {"error": {}}\n\n'])
    )
    with http.stream("POST", PATHS["OpenAI"], json=GOOD) as answer:
        pieces = answer.iter_text()
        assert "one" in next(pieces)
        gate.set()
        rest = "".join(pieces)
    assert "two" in rest
    assert rest.endswith('event: error\ndata: {"error": {}}\n\ndata: [DONE]\n\n')


@pytest.mark.parametrize("then", ["close", "reset"])
def test_a_stream_can_be_cut_off(server: ProviderServer, http: httpx2.Client, then: Any) -> None:
    gate = threading.Event()
    server.next(Chunks([chunk("one"), gate], then=then))
    expected = httpx2.RemoteProtocolError if then == "close" else httpx2.ReadError
    with http.stream("POST", PATHS["OpenAI"], json=GOOD) as answer:
        pieces = answer.iter_text()
        assert "one" in next(pieces)
        gate.set()
        with pytest.raises(expected):
            list(pieces)


@pytest.mark.parametrize(("reset", "expected"), [(False, httpx2.RemoteProtocolError), (True, httpx2.ReadError)])
def test_a_connection_can_be_dropped_without_an_answer(
    server: ProviderServer, http: httpx2.Client, reset: bool, expected: type[Exception]
) -> None:
    server.next(Drop(reset))
    with pytest.raises(expected):
        http.post(PATHS["OpenAI"], json=GOOD)


def test_a_hanging_request_ends_with_the_client(server: ProviderServer, http: httpx2.Client) -> None:
    server.next(Hang())
    with pytest.raises(httpx2.ReadTimeout):
        http.post(PATHS["OpenAI"], json=GOOD, timeout=httpx2.Timeout(None, read=0.1))
    assert server.disconnected.wait(120)


def test_a_client_that_leaves_a_stream_is_recorded(server: ProviderServer, http: httpx2.Client) -> None:
    server.next(Chunks([chunk("one"), threading.Event(), chunk("two")]))
    with http.stream("POST", PATHS["OpenAI"], json=GOOD) as answer:
        assert "one" in next(answer.iter_text())
        assert not server.disconnected.is_set()
    assert server.disconnected.wait(120)


def test_stopping_the_server_ends_hanging_requests() -> None:
    with ProviderServer() as server, httpx2.Client(headers=keys(server, server.key), timeout=120) as http:
        server.next(Chunks([chunk("one"), threading.Event()]))
        with http.stream("POST", f"{server.openai_endpoint}/chat/completions", json=GOOD) as answer:
            assert "one" in next(answer.iter_text())
            server.__exit__()
    assert not server.disconnected.is_set()
