"""The official SDK underneath: its clients call the address that is shown, and can be had for everything else."""

from typing import Any

import openai
import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI

from connector import Client, Configuration, KeyRefused, async_sdk, pooled_http_client
from tests.connector.conftest import PATIENCE, REQUEST, VERSION, account, all_that_shows, each_form, finished
from tests.provider.answers import completion
from tests.provider.server import ProviderServer, Received, Reply

OPENAI_ENDPOINTS = (
    "{url}",
    "{url}/v1/",
    "127.0.0.1:{port}/v1",
    "HTTP://127.0.0.1:{port}/v1",
    "{url}/v1/chat/completions?key=1#top",
    "{url}/gateway/LLM/v1",
    "{url}/my%20gateway/v1",
    "{url}/a+b,c;d=e@f/v1",
    "{url}/deployments/v1",
    "{url}/openai/deployments/v1",
    "{url}/caf%C3%A9/v1",
)
AZURE_ENDPOINTS = (
    "{url}",
    "{url}/openai/deployments/",
    "{url}/OpenAI/Deployments/",
    "{url}/openai/deployments/other/chat/completions?api-version=2023-05-15",
    "127.0.0.1:{port}",
    "{url}/LLM/openai/deployments/",
    "{url}/my%20gateway/openai",
    "{url}/deployments/openai/",
    "{url}/my-deployments",
    "{url}/deployments/inner/openai/deployments/",
)
VERSIONS = ("2024-10-21", "2025-04-01-preview", "v1", "preview")
DEPLOYMENTS = ("gpt-test", "gpt-4.1_Mini.2025", "deployments", "a..b")


def sent_to(server: ProviderServer, received: Received) -> str:
    query = "&".join(f"{name}={value}" for name, value in received.query.items())
    return f"{server.url}{received.path}" + (f"?{query}" if query else "")


def check_the_url(server: ProviderServer, configuration: Configuration) -> None:
    server.next(Reply(200, completion("Hello")), Reply(200, completion("Hello")))
    client = Client(configuration, timeout=PATIENCE)
    client.call_api(REQUEST)
    "".join(client.stream(REQUEST))
    assert [sent_to(server, each) for each in server.requests] == [configuration.url] * 2


@pytest.mark.parametrize("endpoint", OPENAI_ENDPOINTS)
def test_openai_is_called_at_the_url_that_is_shown(server: ProviderServer, endpoint: str) -> None:
    check_the_url(server, account(server, endpoint=endpoint.format(url=server.url, port=server.port)))


@pytest.mark.parametrize("endpoint", AZURE_ENDPOINTS)
@pytest.mark.parametrize("version", VERSIONS)
def test_azure_is_called_at_the_url_that_is_shown(server: ProviderServer, endpoint: str, version: str) -> None:
    endpoint = endpoint.format(url=server.url, port=server.port)
    check_the_url(server, account(server, "Azure with a key", endpoint=endpoint, api_version=version))


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_a_deployment_of_any_name_is_called_at_the_url_that_is_shown(server: ProviderServer, deployment: str) -> None:
    check_the_url(server, account(server, "Azure with a token", deployment_name=deployment))


@each_form
def test_the_official_client_and_the_connector_call_the_same_url(server: ProviderServer, form: str) -> None:
    configuration = account(server, form)
    client = Client(configuration, timeout=PATIENCE)
    client.call_api(REQUEST)
    completion = client.sdk.chat.completions.create(
        model=configuration.model_for(None), messages=[{"role": "user", "content": "What is it?"}]
    )
    assert completion.choices[0].message.content == "Answer 0 to: What is it?"
    assert [sent_to(server, each) for each in server.requests] == [configuration.url] * 2
    assert server.requests[0].client_port == server.requests[1].client_port, "one pool"


@each_form
def test_the_official_client_does_what_the_connector_does_not(server: ProviderServer, form: str) -> None:
    configuration = account(server, form)
    client = Client(configuration, timeout=PATIENCE)
    is_dated = form in ("Azure with a key", "Azure with a token")
    assert type(client.sdk).__mro__[1] is (AzureOpenAI if is_dated else OpenAI)
    assert client.sdk is client.sdk
    assert any(model.id.startswith("gpt-test") for model in client.sdk.models.list())
    server.next(Reply(200, EMBEDDED))
    assert client.sdk.embeddings.create(model="gpt-test", input="Hello").data[0].embedding == [0.5]
    url = configuration.url.replace("chat/completions", "embeddings")
    assert sent_to(server, server.requests[1]) == url


EMBEDDED = {
    "object": "list",
    "model": "gpt-test",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}


@each_form
def test_the_official_asynchronous_client_does_the_same(server: ProviderServer, form: str) -> None:
    configuration = account(server, form)

    async def use() -> list[str]:
        async with async_sdk(configuration, timeout=PATIENCE) as sdk:
            is_dated = form in ("Azure with a key", "Azure with a token")
            assert type(sdk).__mro__[1] is (AsyncAzureOpenAI if is_dated else AsyncOpenAI)
            answer = await sdk.chat.completions.create(
                model=configuration.model_for(None), messages=[{"role": "user", "content": "What is it?"}]
            )
            return [answer.choices[0].message.content or "", *[model.id async for model in sdk.models.list()]]

    answer, *models = finished(use())
    assert answer == "Answer 0 to: What is it?"
    assert any(model.startswith("gpt-test") for model in models)
    assert sent_to(server, server.requests[0]) == configuration.url


@each_form
def test_the_official_clients_get_a_token_for_each_request(server: ProviderServer, form: str) -> None:
    configuration = account(server, form, api_key="kept-for-nothing")
    right = server.entra_token if form.endswith("token") else server.key
    tokens = iter([right] * 3)
    client = Client(configuration, token=lambda: next(tokens), timeout=PATIENCE)
    client.sdk.models.list()
    client.sdk.models.list()

    async def use() -> None:
        async with async_sdk(configuration, token=lambda: next(tokens), timeout=PATIENCE) as sdk:
            await sdk.models.list()

    finished(use())
    assert next(tokens, None) is None


def test_a_missing_token_is_an_error_of_the_connector(server: ProviderServer) -> None:
    def token() -> str:
        raise RuntimeError("secret-of-the-identity")

    client = Client(account(server, "Azure with a token"), token=token, max_retries=0)
    with pytest.raises(KeyRefused) as refused:
        client.sdk.models.list()
    assert "secret-of-the-identity" not in all_that_shows(refused.value)
    assert server.requests == []


def test_the_errors_of_the_official_clients_are_its_own(server: ProviderServer) -> None:
    client = Client(account(server, api_key="sk-wrong"), timeout=PATIENCE, max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        client.sdk.models.list()

    async def use() -> None:
        async with async_sdk(account(server, api_key="sk-wrong"), timeout=PATIENCE, max_retries=0) as sdk:
            await sdk.models.list()

    with pytest.raises(openai.AuthenticationError):
        finished(use())


@pytest.mark.parametrize("form", ["OpenAI", "Azure with a key"])
def test_the_official_clients_follow_no_redirect(server: ProviderServer, form: str) -> None:
    away = Reply(307, "", headers={"location": f"{server.url}/elsewhere"})
    server.next(away, away)
    with pytest.raises(openai.APIStatusError, match="307"):
        Client(account(server, form), timeout=PATIENCE, max_retries=0).sdk.models.list()

    async def use() -> None:
        async with async_sdk(account(server, form), timeout=PATIENCE, max_retries=0) as sdk:
            await sdk.models.list()

    with pytest.raises(openai.APIStatusError, match="307"):
        finished(use())
    assert len(server.requests) == 2


@pytest.mark.parametrize("form", ["OpenAI", "Azure with a key"])
def test_a_hundred_accounts_at_one_pool_are_called_at_their_own_urls(server: ProviderServer, form: str) -> None:
    """More than a pool keeps clients for."""
    server.next(*[Reply(200, completion("Hello"))] * 200)
    with pooled_http_client() as http_client:
        for _ in range(2):
            for number in range(100):
                endpoint = f"{server.url}/gateway-{number}/v1" if form == "OpenAI" else f"{server.url}/gateway-{number}"
                configuration = account(server, form, endpoint=endpoint, api_key=f"key-of-{number}")
                Client(configuration, http_client=http_client).call_api(REQUEST)
                received = server.requests[-1]
                assert sent_to(server, received) == configuration.url
                assert configuration.authorisation.items() <= received.headers.items()
    assert len({each.client_port for each in server.requests}) == 1


def test_the_url_contains_the_azure_version_once(server: ProviderServer) -> None:
    fields: dict[str, Any] = {"endpoint": f"{server.url}/openai/deployments/gpt-test?api-version=2023-05-15"}
    Client(account(server, "Azure with a key", **fields)).call_api(REQUEST)
    assert server.requests[0].query == {"api-version": VERSION}
