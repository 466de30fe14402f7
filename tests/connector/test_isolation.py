"""Nothing comes in from outside, and nothing goes over from one call to another."""

import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from connector import CallReport, ChatCompletionsRequest, Client, text_of
from tests.connector.conftest import FORMS, PATIENCE, REQUEST, account
from tests.provider.answers import completion
from tests.provider.server import ProviderServer, Received, Reply

ROOT = Path(__file__).parents[2]
THREADS = 32
DEAD = "http://127.0.0.1:9"  # where nothing listens
ALIEN = {
    "OPENAI_API_KEY": "sk-alien",
    "OPENAI_ADMIN_KEY": "sk-alien-admin",
    "OPENAI_ORG_ID": "org-alien",
    "OPENAI_ORGANIZATION": "org-alien",
    "OPENAI_PROJECT_ID": "proj-alien",
    "OPENAI_BASE_URL": f"{DEAD}/alien",
    "OPENAI_API_BASE": f"{DEAD}/alien",
    "OPENAI_API_TYPE": "azure",
    "OPENAI_API_VERSION": "1999-01-01",
    "OPENAI_WEBHOOK_SECRET": "whsec-alien",
    "OPENAI_CUSTOM_HEADERS": "\n".join(
        [
            "Authorization: Bearer sk-alien",
            "api-key: alien",
            "Cookie: alien=1",
            "Host: alien.example",
            "OpenAI-Organization: org-alien",
            "X-Alien: 1",
            "accept: text/alien",
            "Content-Type: text/alien",
            "User-Agent: alien",
            "X-Stainless-Lang: alien",
            "x-stainless-alien: 1",
            "Content-Length: 3",
            "Transfer-Encoding: alien",
            "nonsense",
        ]
    ),
    "OPENAI_LOG": "debug",
    "AZURE_OPENAI_API_KEY": "alien",
    "AZURE_OPENAI_AD_TOKEN": "alien",
    "AZURE_OPENAI_ENDPOINT": f"{DEAD}/alien",
    "AZURE_TENANT_ID": "alien",
    "HTTP_PROXY": DEAD,
    "http_proxy": DEAD,
    "HTTPS_PROXY": DEAD,
    "https_proxy": DEAD,
    "ALL_PROXY": DEAD,
    "all_proxy": DEAD,
    "SSL_CERT_FILE": "/no/such/file",
    "SSLKEYLOGFILE": "/no/such/directory/keys",
}
CALLS = """
import asyncio, sys
from connector import ChatCompletionsRequest, Client, Configuration, async_sdk

request = ChatCompletionsRequest.of_prompts("Hello")
for line in sys.stdin:
    configuration = Configuration(**eval(line))
    client = Client(configuration)
    client.call_api(request)
    "".join(client.stream(request))
    client.sdk.models.list()
    client.sdk.with_options(timeout=30).models.list()

    async def use() -> None:
        async with async_sdk(configuration) as sdk:
            await sdk.models.list()
            await sdk.with_options(timeout=30).models.list()

    asyncio.run(use())
"""


def arrived(server: ProviderServer, environment: Mapping[str, str]) -> list[Received]:
    """What arrives from a fresh process with this environment: calls, streams and lists of models, in each form."""
    server.requests.clear()
    accounts = [account(server, form) for form in FORMS]
    lines = [repr(each.model_dump(mode="json") | {"api_key": each.api_key.get_secret_value()}) for each in accounts]
    run = subprocess.run(
        [sys.executable, "-c", CALLS],
        input="\n".join(lines),
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    for secret in (server.key, server.entra_token):
        assert secret not in run.stdout + run.stderr
    return list(server.requests)


@pytest.mark.slow
def test_the_environment_changes_nothing_on_the_wire(server: ProviderServer) -> None:
    def seen_of(received: Received) -> tuple[Any, ...]:
        return received.method, received.path, received.query, received.headers, received.raw

    clean = [seen_of(each) for each in arrived(server, {})]
    assert len(clean) == 6 * len(FORMS)
    assert [seen_of(each) for each in arrived(server, ALIEN)] == clean


def test_only_the_expected_headers_are_sent(server: ProviderServer) -> None:
    Client(account(server)).call_api(REQUEST)
    foreign = {name for name in server.requests[0].headers if not name.startswith("x-stainless-")}
    assert foreign == {
        "host",
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "user-agent",
    }


def test_many_threads_share_one_client_without_mixing_up(server: ProviderServer) -> None:
    reports: list[CallReport] = []
    client = Client(account(server), on_call=reports.append, timeout=PATIENCE)

    def talk(number: int) -> list[str]:
        request = ChatCompletionsRequest.of_prompts(f"Prompt {number}", n=2)
        streams = [client.stream(request) for _ in range(2)]
        texts = [text_of(client.call_api(request))]
        texts += ["".join(stream) for stream in streams]
        texts += [choice.message.content or "" for choice in streams[0].response.choices]
        return texts

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(talk, range(THREADS)))
    for number, texts in enumerate(answers):
        assert texts == [f"Answer 0 to: Prompt {number}"] * 4 + [f"Answer 1 to: Prompt {number}"]
    assert len(reports) == len(server.requests) == 3 * THREADS
    for report in reports:
        prompt = report.request["messages"][0]["content"]
        assert report.response is not None
        assert text_of(report.response) == f"Answer 0 to: {prompt}"


def test_many_accounts_share_the_connections_without_mixing_up_their_keys(server: ProviderServer) -> None:
    server.next(*[Reply(200, completion("Hello"))] * 2 * THREADS)

    def talk(number: int) -> None:
        form = FORMS[number % len(FORMS)]
        key = f"key-of-{number}"
        client = Client(account(server, form, api_key=key), timeout=PATIENCE)
        for _ in range(2):
            client.execute_without_history(key)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(talk, range(THREADS)))
    assert len(server.requests) == 2 * THREADS
    for received in server.requests:
        sent = [received.headers.get("api-key"), received.headers.get("authorization", "").removeprefix("Bearer ")]
        assert [each for each in sent if each] == [received.body["messages"][0]["content"]]


def test_a_cookie_of_one_call_is_not_sent_with_the_next(server: ProviderServer) -> None:
    server.next(Reply(200, completion("Hello"), headers={"set-cookie": "session=somebody; Path=/"}))
    Client(account(server)).call_api(REQUEST)
    Client(account(server, "Azure with a key")).call_api(REQUEST)
    assert "cookie" not in server.requests[1].headers


def test_two_accounts_side_by_side_call_their_own_servers(server: ProviderServer) -> None:
    with ProviderServer(key="another-key-5d1b") as other:
        clients = Client(account(server)), Client(account(other, "Azure with a key"))
        for client in (*clients, *clients):
            client.call_api(REQUEST)
        assert [each.path for each in server.requests] == ["/v1/chat/completions"] * 2
        assert [each.headers["api-key"] for each in other.requests] == ["another-key-5d1b"] * 2


def test_successive_calls_share_a_connection(server: ProviderServer) -> None:
    for _ in range(3):
        Client(account(server)).call_api(REQUEST)
    assert len({each.client_port for each in server.requests}) == 1


@pytest.mark.parametrize("form", ["OpenAI", "Azure with a key"])
def test_the_network_can_be_passed_in(server: ProviderServer, form: str) -> None:
    with httpx2.Client(headers={"x-mine": "1"}, trust_env=False) as mine:
        Client(account(server, form), http_client=mine).call_api(REQUEST)
        assert server.requests[0].headers["x-mine"] == "1"
        assert not mine.is_closed
