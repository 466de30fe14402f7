"""A header of a gateway for the key, and others beside it: sent by every door, and secret like the key."""

import json
import logging
import pickle
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from connector import (
    Account,
    CallReport,
    Client,
    Configuration,
    ConnectorError,
    InvalidConfiguration,
    KeyType,
    async_sdk,
    connector_code,
    curl_command,
    examine,
    models_of,
    sdk_code,
)
from tests.connector.conftest import PATIENCE, REQUEST, account, all_that_shows, each_form, finished
from tests.provider.answers import completion, error
from tests.provider.server import ProviderServer, Reply

KEY_FORMS = pytest.mark.parametrize("form", ["OpenAI", "Azure with a key", "Azure v1 with a key"])
GATEWAY = "Ocp-Apim-Subscription-Key"
SECRET = "gateway-secret-93c1"


def called_by_every_door(configuration: Configuration) -> None:
    client = Client(configuration, timeout=PATIENCE, max_retries=0)
    client.call_api(REQUEST)
    "".join(client.stream(REQUEST))
    models_of(configuration)
    client.sdk.models.list()
    client.sdk.with_options(timeout=60).models.list()
    list(examine(configuration))

    async def use() -> None:
        async with async_sdk(configuration, timeout=PATIENCE, max_retries=0) as sdk:
            await sdk.models.list()

    finished(use())


def authorised(server: ProviderServer) -> list[dict[str, str]]:
    """The headers of each request but that of an examination which has no key on purpose."""
    return [each.headers for each in server.requests if each.path != "/"]


@each_form
def test_the_headers_of_a_configuration_are_sent_by_every_door_and_logged_by_none(
    server: ProviderServer, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    called_by_every_door(account(server, form, headers={"OpenAI-Organization": "org-1", GATEWAY: SECRET}))
    assert len(authorised(server)) == 10
    for headers in authorised(server):
        assert (headers["openai-organization"], headers[GATEWAY.lower()]) == ("org-1", SECRET)
    assert "POST" in caplog.text
    assert SECRET not in caplog.text


@KEY_FORMS
def test_the_key_is_sent_in_the_header_that_a_gateway_expects_and_in_no_other(
    server: ProviderServer, form: str
) -> None:
    listed = Reply(200, {"data": []})
    server.next(Reply(200, completion("OK")), Reply(200, completion("OK")), listed, listed, listed)
    configuration = account(server, form, key_header=GATEWAY)
    client = Client(configuration, timeout=PATIENCE, max_retries=0)
    client.call_api(REQUEST)
    "".join(client.stream(REQUEST))
    models_of(configuration)
    client.sdk.models.list()

    async def use() -> None:
        async with async_sdk(configuration, timeout=PATIENCE, max_retries=0) as sdk:
            await sdk.models.list()

    finished(use())
    assert len(server.requests) == 5
    for received in server.requests:
        assert received.headers[GATEWAY.lower()] == server.key
        assert {"authorization", "api-key"}.isdisjoint(received.headers)


@KEY_FORMS
def test_an_examination_sends_the_key_in_that_header(server: ProviderServer, form: str) -> None:
    """Another header lets it in here, as at a gateway with basic authentication before it."""
    headers = {"Authorization": f"Bearer {server.key}"} if form == "OpenAI" else {"api-key": server.key}
    called_by_every_door(account(server, form, key_header="x-gateway-key", api_key=SECRET, headers=headers))
    assert all(each["x-gateway-key"] == SECRET for each in authorised(server))


def test_the_key_of_an_azure_gateway_can_be_a_bearer(server: ProviderServer) -> None:
    client = Client(account(server, "Azure v1 with a key", key_header="Authorization"), timeout=PATIENCE)
    client.call_api(REQUEST)
    client.sdk.models.list()
    for received in server.requests:
        assert received.headers["authorization"] == f"Bearer {server.key}"
        assert "api-key" not in received.headers


def test_a_token_function_fills_the_header_of_calls(server: ProviderServer) -> None:
    server.next(Reply(200, completion("OK")))
    client = Client(account(server, key_header=GATEWAY), token=lambda: SECRET, timeout=PATIENCE)
    client.call_api(REQUEST)
    assert server.requests[0].headers[GATEWAY.lower()] == SECRET
    with pytest.raises(InvalidConfiguration, match="usual header only"):
        _ = client.sdk


def test_a_header_of_the_configuration_replaces_one_of_the_client(server: ProviderServer) -> None:
    client = Client(account(server, headers={"User-Agent": "our-workbench"}), timeout=PATIENCE)
    client.call_api(REQUEST)
    client.sdk.models.list()
    assert [each.headers["user-agent"] for each in server.requests] == ["our-workbench"] * 2


def test_two_configurations_of_one_account_keep_their_headers_apart(server: ProviderServer) -> None:
    for organisation in ("org-1", "org-2"):
        Client(account(server, headers={"OpenAI-Organization": organisation})).call_api(REQUEST)
    Client(account(server)).call_api(REQUEST)
    sent = [each.headers.get("openai-organization") for each in server.requests]
    assert sent == ["org-1", "org-2", None]


# -- what is refused


@pytest.mark.parametrize(
    "name",
    ["Host", "content-length", "Transfer-Encoding", "Connection", "Content-Type", "Accept-Encoding", "TE", "Upgrade"],
)
def test_a_header_of_http_itself_is_refused(server: ProviderServer, name: str) -> None:
    for field, fields in (("headers", {"headers": {name: "x"}}), ("key_header", {"key_header": name})):
        with pytest.raises(InvalidConfiguration, match=f"The header {name} belongs to HTTP itself") as caught:
            account(server, **fields)
        assert list(caught.value.problems) == [field]


@pytest.mark.parametrize(
    "name", ["", " ", "x y", "x:", "x\r\nEvil", "é", "x\x00", "x/y", "$(x)", "`x`", '"x"', "x" * 101]
)
def test_a_header_name_that_is_none_is_refused(server: ProviderServer, name: str) -> None:
    with pytest.raises(InvalidConfiguration, match="A header name has letters"):
        account(server, headers={name: "x"})
    if name.strip():
        with pytest.raises(InvalidConfiguration, match="A header name has letters"):
            account(server, key_header=name)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("", "Enter the value of the header X-Mine"),
        ("  ", "Enter the value of the header X-Mine"),
        (f"{SECRET}\r\nEvil: 1", "line breaks"),
        (f"{SECRET}\nEvil", "line breaks"),
        (f"{SECRET}\x00", "line breaks"),
        (f"{SECRET}é", "characters that no header can carry"),
        (f"{SECRET}****", "masked"),
        (f"...{SECRET}", "masked"),
        (SECRET * 300, "longer than 4,096 characters"),
        (7, "Headers"),
        (None, "Headers"),
    ],
)
def test_a_value_that_no_header_can_carry_is_refused_and_shown_nowhere(
    server: ProviderServer, value: Any, sentence: str
) -> None:
    with pytest.raises(InvalidConfiguration, match=sentence) as caught:
        account(server, headers={"X-Mine": value})
    assert list(caught.value.problems) == ["headers"]
    assert SECRET not in all_that_shows(caught.value)


def test_one_header_has_one_value(server: ProviderServer) -> None:
    for fields, sentence in (
        ({"headers": {"X-Mine": "1", "x-mine": "2"}}, "is there twice"),
        ({"headers": {"Authorization": "Basic x"}}, "carries the key"),
        ({"key_header": "x-api-key", "headers": {"X-API-Key": "x"}}, "carries the key"),
        ({"headers": {f"x-{number}": "x" for number in range(21)}}, "At most 20"),
    ):
        with pytest.raises(InvalidConfiguration, match=sentence):
            account(server, **fields)
    assert account(server, "Azure with a key", headers={"Authorization": "Basic eDp5"})


def test_a_token_is_sent_in_its_own_header_only(server: ProviderServer) -> None:
    with pytest.raises(InvalidConfiguration, match="Microsoft Entra token") as caught:
        account(server, "Azure with a token", key_header=GATEWAY)
    assert list(caught.value.problems) == ["key_header"]
    identity = account(server, "Azure with a token", key_type=KeyType.ENTRA_IDENTITY, api_key="", headers={"a": "b"})
    assert identity.authorisation["a"] == "b"


# -- secret like the key


def test_a_configuration_shows_no_value_of_a_header(server: ProviderServer) -> None:
    configuration = account(server, key_header=GATEWAY, headers={"X-Gateway": SECRET})
    assert SECRET not in f"{configuration!r} {configuration!s} {configuration.model_dump_json()} {configuration.url}"
    assert pickle.loads(pickle.dumps(configuration)) == configuration
    assert configuration != account(server, key_header=GATEWAY, headers={"X-Gateway": "other"})
    assert len({configuration, configuration.with_key(server.key)}) == 1
    account_alone = Account(**{name: getattr(configuration, name) for name in Account.model_fields})
    assert list(account_alone.headers) == ["X-Gateway"]


@pytest.mark.parametrize("value", [SECRET, f"Bearer {SECRET}", f"Basic {SECRET}"])
def test_an_error_that_repeats_the_value_of_a_header_does_not_show_it(
    server: ProviderServer, reports: list[CallReport], value: str
) -> None:
    said = f"Denied: {value}, {SECRET}"
    server.next(Reply(400, error(said, code=SECRET), headers={"x-request-id": SECRET}), Reply(403, error(said)))
    configuration = account(server, headers={"X-Gateway": value, "X-Region": "request"})
    with pytest.raises(ConnectorError, match="Denied: ") as caught:
        Client(configuration, on_call=reports.append, max_retries=0).call_api(REQUEST)
    assert SECRET not in all_that_shows(caught.value) + repr(reports)
    assert "refused the request" in str(caught.value), "a short value is no secret"
    with pytest.raises(ConnectorError) as caught:
        models_of(configuration)
    assert SECRET not in all_that_shows(caught.value)


# -- as code


@pytest.mark.parametrize("form", ["OpenAI", "Azure with a key", "Azure with a token", "Azure v1 with a key"])
@pytest.mark.parametrize("key_header", ["", GATEWAY, "authorization"])
@pytest.mark.parametrize("way", ["connector", "SDK", "curl"])
def test_code_sends_the_headers_and_reads_their_values_from_the_environment(
    server: ProviderServer, monkeypatch: pytest.MonkeyPatch, way: str, key_header: str, form: str
) -> None:
    if key_header and "token" in form:
        return
    configuration = account(server, form, key_header=key_header, headers={"X-Team.1": "blue team", "x-b": "b"})
    code = CODE[way](configuration, REQUEST)
    assert "blue team" not in code
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"):
        monkeypatch.setenv(name, configuration.api_key.get_secret_value())
    monkeypatch.setenv("HEADER_X_TEAM_1", "blue team")
    monkeypatch.setenv("HEADER_X_B", "b")
    server.next(Reply(200, completion("Hello")))
    RUN[way](code)
    [received] = server.requests
    sent = configuration.authorisation
    if way == "SDK" and form == "Azure v1 with a key" and not key_header:  # the SDK's way, and Azure accepts both
        sent["authorization"] = f"Bearer {sent.pop('api-key')}"
    assert sent.items() <= received.headers.items()
    assert {"authorization", "api-key"} & received.headers.keys() <= sent.keys()


def _run(code: str) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, "code", "exec"), names)


def _run_in_a_shell(code: str) -> None:
    done = subprocess.run(["bash"], input=code, capture_output=True, text=True, check=True)
    assert "choices" in json.loads(done.stdout)


CODE: dict[str, Callable[..., str]] = {"connector": connector_code, "SDK": sdk_code, "curl": curl_command}
RUN: dict[str, Callable[[str], None]] = {"connector": _run, "SDK": _run, "curl": _run_in_a_shell}
