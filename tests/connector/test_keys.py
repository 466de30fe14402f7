"""What opens an account: an API key, a token, a function that brings one, the identity of this machine."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from connector import (
    PROVIDERS,
    ApiType,
    CallReport,
    CallStatus,
    ChatCompletionsRequest,
    Client,
    ConnectorError,
    InvalidConfiguration,
    KeyRefused,
    KeyType,
)
from tests.connector.conftest import PATIENCE, account, all_that_shows
from tests.provider.answers import error
from tests.provider.server import ProviderServer, Reply

ROOT = Path(__file__).parents[2]
IDENTITY: dict[str, Any] = {"key_type": KeyType.ENTRA_IDENTITY, "api_key": ""}
AZURE_FORMS = pytest.mark.parametrize("form", ["Azure with a token", "Azure v1 with a token"])


@AZURE_FORMS
def test_a_token_function_is_called_for_each_call(server: ProviderServer, form: str) -> None:
    brought: list[str] = []

    def token() -> str:
        brought.append(server.entra_token)
        return server.entra_token

    client = Client(account(server, form, **IDENTITY), token=token, timeout=PATIENCE)
    client.execute_without_history("One")
    list(client.stream(ChatCompletionsRequest.of_prompts("Two")))
    assert len(brought) == 2
    for received in server.requests:
        assert received.headers["authorization"] == f"Bearer {server.entra_token}"
        assert "api-key" not in received.headers


def test_a_token_function_takes_precedence_over_the_key(server: ProviderServer) -> None:
    wrong = account(server, api_key="sk-wrong-0123456789")
    assert Client(wrong, token=lambda: server.key).execute_without_history("Hello") == "Answer 0 to: Hello"


class SignedOut(Exception):
    pass


def _fails() -> str:
    raise SignedOut("secret-token-in-the-error")


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        (_fails, KeyRefused),
        (lambda: "", KeyRefused),
        (lambda: None, KeyRefused),
        (lambda: "secret token with blanks", InvalidConfiguration),
        (lambda: "secret-token\nX: y", InvalidConfiguration),
    ],
    ids=["raises", "empty", "none", "blanks", "line break"],
)
def test_a_failing_token_function_is_reported_without_its_own_text(
    server: ProviderServer, reports: list[CallReport], token: Any, kind: type[ConnectorError]
) -> None:
    client = Client(account(server, "Azure with a token", **IDENTITY), token=token, on_call=reports.append)
    with pytest.raises(kind) as caught:
        client.execute_without_history("Hello")
    assert "secret" not in all_that_shows(caught.value)
    assert server.requests == []
    assert [(report.status, report.attempts) for report in reports] == [(CallStatus.FAILED, 0)]


def test_a_token_that_an_error_repeats_is_not_shown(server: ProviderServer) -> None:
    server.next(Reply(400, error("Bad: brought-token-77")))
    client = Client(account(server, "Azure with a token", **IDENTITY), token=lambda: "brought-token-77")
    with pytest.raises(ConnectorError, match=r"Bad: \[key\]") as caught:
        client.execute_without_history("Hello")
    assert "brought-token-77" not in all_that_shows(caught.value)


def test_only_an_identity_needs_no_key(server: ProviderServer) -> None:
    assert account(server, "Azure with a token", **IDENTITY).api_key.get_secret_value() == ""
    for form, key_type in (("OpenAI", KeyType.API_KEY), ("Azure with a token", KeyType.ENTRA_TOKEN)):
        with pytest.raises(InvalidConfiguration) as caught:
            account(server, form, key_type=key_type, api_key="")
        assert caught.value.problems == {"api_key": "Enter the key."}


def test_openai_accepts_only_an_api_key(server: ProviderServer) -> None:
    assert PROVIDERS[ApiType.OPENAI].key_types == (KeyType.API_KEY,)
    assert PROVIDERS[ApiType.AZURE_OPENAI].key_types == tuple(KeyType)
    with pytest.raises(InvalidConfiguration, match="OpenAI takes an API key"):
        account(server, key_type=KeyType.ENTRA_IDENTITY)


# -- the identity of this machine


class ManagedIdentity(ThreadingHTTPServer):
    """The endpoint that Azure gives to a program with a managed identity; hands out one token."""

    def __init__(self, token: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = token
        self.asked: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: ManagedIdentity

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        token = {"access_token": self.server.token, "expires_on": "4102444800", "token_type": "Bearer"}
        body = json.dumps(token).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def managed(server: ProviderServer) -> Iterator[ManagedIdentity]:
    with ManagedIdentity(server.entra_token) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


ASK = """
import sys
from connector import *
fields = dict(api_type="AzureOpenAI", key_type="EntraIdentity", deployment_name="gpt-test", display_name="Mine")
client = Client(Configuration(endpoint=sys.argv[1], api_version=sys.argv[2], **fields))
try:
    print(client.execute_without_history("Hello"))
    print(client.execute_without_history("Hello again"))
except ConnectorError as error:
    print(type(error).__name__, error)
"""


def run(server: ProviderServer, version: str, **environment: str) -> list[str]:
    """In a process of its own, since azure-identity reads the environment, as it is meant to."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "IDENTITY_", "MSI_"))}
    command = [sys.executable, "-c", ASK, server.azure_endpoint, version]
    ended = subprocess.run(
        command, cwd=ROOT, env=kept | environment, capture_output=True, text=True, timeout=60, check=True
    )
    return ended.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(("version", "scope"), [("2024-10-21", "cognitiveservices.azure.com"), ("v1", "ai.azure.com")])
def test_the_identity_of_this_machine_signs_in_by_itself(
    server: ProviderServer, managed: ManagedIdentity, version: str, scope: str
) -> None:
    endpoint = f"http://127.0.0.1:{managed.server_port}/token"
    said = run(server, version, IDENTITY_ENDPOINT=endpoint, IDENTITY_HEADER="secret-header")
    assert said == ["Answer 0 to: Hello", "Answer 0 to: Hello again"]
    assert all(each.headers["authorization"] == f"Bearer {server.entra_token}" for each in server.requests)
    assert len(managed.asked) == 1, "the token is kept for the second call"
    assert managed.asked[0].endswith(f"resource=https://{scope}")


@pytest.mark.slow
def test_a_missing_identity_is_reported_with_advice(server: ProviderServer) -> None:
    # An endpoint that knows nothing keeps it from looking further, at addresses that only exist in Azure.
    said = run(server, "v1", IDENTITY_ENDPOINT=f"{server.url}/token", IDENTITY_HEADER="secret-header")
    assert said == [
        "KeyRefused No Microsoft Entra identity was found on this machine. "
        "Sign in with the Azure command line, or give the machine a managed identity."
    ]
    assert {request.path for request in server.requests} == {"/token"}


def test_the_scope_depends_on_the_api_version(server: ProviderServer) -> None:
    dated, v1 = account(server, "Azure with a token"), account(server, "Azure v1 with a token")
    assert dated.entra_scope == "https://cognitiveservices.azure.com/.default"
    assert v1.entra_scope == "https://ai.azure.com/.default"
