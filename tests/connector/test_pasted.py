"""Whatever a person pastes becomes the fields of a configuration, or a sentence that says what to paste."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector import ApiType, Configuration, InvalidConfiguration, fields_of, origin_of

OPENAI = "https://api.openai.com/v1"
ROOT = "https://res.openai.azure.com"
TARGET = f"{ROOT}/openai/deployments/gpt4/chat/completions?api-version=2024-10-21"
DEPLOYED = {"deployment_name": "gpt4", "api_version": "2024-10-21"}
SUBSCRIPTION = "subscriptions/0000/resourceGroups/ours/providers/Microsoft.CognitiveServices/accounts"


def openai(endpoint: str, **told: str) -> dict[str, str]:
    return {"api_type": "OpenAI", "endpoint": endpoint, **told}


def azure(endpoint: str = ROOT, **told: str) -> dict[str, str]:
    return {"api_type": "AzureOpenAI", "endpoint": endpoint, **told}


ADDRESSES: dict[str, dict[str, str]] = {
    # OpenAI and whatever speaks its form
    "https://api.openai.com/v1": openai(OPENAI),
    "https://api.openai.com/v1/": openai(OPENAI),
    "https://api.openai.com": openai(OPENAI),
    "api.openai.com": openai(OPENAI),
    "https://api.openai.com/v1/chat/completions": openai(OPENAI),
    "https://api.openai.com/v1/models": openai(OPENAI),
    "https://api.openai.com/v1/models/gpt-6-luna": openai(OPENAI, model_default="gpt-6-luna"),
    "https://api.openai.com/v1/responses": openai(OPENAI),
    "https://api.openai.com/v1/embeddings": openai(OPENAI),
    "https://api.openai.com/v1/completions": openai(OPENAI),
    "https://eu.api.openai.com/v1/chat/completions": openai("https://eu.api.openai.com/v1"),
    "http://localhost:11434/v1/chat/completions": openai("http://localhost:11434/v1"),
    "localhost:11434/v1": openai("http://localhost:11434/v1"),
    "localhost:11434": openai("http://localhost:11434/v1"),
    "127.0.0.1:8000": openai("http://127.0.0.1:8000/v1"),
    "gpu-box:8000/v1": openai("https://gpu-box:8000/v1"),
    "http://[::1]:8000/v1": openai("http://[::1]:8000/v1"),
    "https://llm.example/gateway/v1/chat/completions": openai("https://llm.example/gateway/v1"),
    "https://llm.example:8443/v1/models": openai("https://llm.example:8443/v1"),
    "https://llm.example/chat/completions": openai("https://llm.example/v1"),
    "https://api.groq.com/openai/v1/chat/completions": openai("https://api.groq.com/openai/v1"),
    "https://openrouter.ai/api/v1": openai("https://openrouter.ai/api/v1"),
    "https://openrouter.ai/api/v1/chat/completions": openai("https://openrouter.ai/api/v1"),
    "https://api.mistral.ai/v1/chat/completions": openai("https://api.mistral.ai/v1"),
    "HTTPS://API.OPENAI.COM/v1": openai(OPENAI),
    # pages for people
    "https://platform.openai.com/account/api-keys": openai(OPENAI),
    "https://platform.openai.com/docs/models/gpt-5-mini": openai(OPENAI, model_default="gpt-5-mini"),
    "https://platform.openai.com/playground/chat?model=gpt-4o-mini&mode=chat": openai(
        OPENAI, model_default="gpt-4o-mini"
    ),
    "https://chatgpt.com/": openai(OPENAI),
    "https://console.groq.com/keys": openai("https://api.groq.com/openai/v1"),
    "https://console.mistral.ai/api-keys/": openai("https://api.mistral.ai/v1"),
    "https://platform.deepseek.com/api_keys": openai("https://api.deepseek.com/v1"),
    "https://openrouter.ai/settings/keys": openai("https://openrouter.ai/api/v1"),
    # Azure's own hosts
    ROOT: azure(),
    f"{ROOT}/": azure(),
    "res.openai.azure.com": azure(),
    f"{ROOT}/openai/deployments/": azure(),
    f"{ROOT}/openai/deployments/gpt4": azure(deployment_name="gpt4"),
    TARGET: azure(**DEPLOYED),
    TARGET.replace("https", "HTTPS"): azure(**DEPLOYED),
    f"{ROOT}/openai/deployments/my-dep.1/embeddings?api-version=2023-05-15": azure(
        deployment_name="my-dep.1", api_version="2023-05-15"
    ),
    f"{ROOT}/openai/v1/": azure(api_version="v1"),
    f"{ROOT}/openai/v1/chat/completions": azure(api_version="v1"),
    f"{ROOT}/openai/v1/responses": azure(api_version="v1"),
    f"{ROOT}/openai/responses?api-version=2025-04-01-preview": azure(api_version="2025-04-01-preview"),
    f"{ROOT}/openai/models?api-version=2024-10-21": azure(api_version="2024-10-21"),
    "https://res.cognitiveservices.azure.com/": azure("https://res.cognitiveservices.azure.com"),
    "https://res.cognitiveservices.azure.com/openai/deployments/gpt4/chat/completions?api-version=2024-10-21": azure(
        "https://res.cognitiveservices.azure.com", **DEPLOYED
    ),
    "https://res.services.ai.azure.com/api/projects/our-project": azure("https://res.services.ai.azure.com"),
    "https://res.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview": azure(
        "https://res.services.ai.azure.com"
    ),
    "https://res.openai.azure.us/openai/deployments/gpt4": azure("https://res.openai.azure.us", deployment_name="gpt4"),
    "https://res.openai.azure.cn": azure("https://res.openai.azure.cn"),
    # gateways in Azure's form
    "https://gateway.example/llm/openai/deployments/gpt4/chat/completions?api-version=2024-10-21": azure(
        "https://gateway.example/llm", **DEPLOYED
    ),
    "https://gateway.example/openai/deployments/": azure("https://gateway.example"),
    # Azure's portals
    f"https://portal.azure.com/#@ours.example/resource/{SUBSCRIPTION}/MyRes/overview": azure(
        "https://myres.openai.azure.com"
    ),
    f"https://oai.azure.com/portal/deployment?wsid=/{SUBSCRIPTION}/res&tid=0000": azure(),
    f"https://ai.azure.com/resource/deployments/gpt4?wsid=%2F{SUBSCRIPTION.replace('/', '%2F')}%2Fres": azure(
        deployment_name="gpt4"
    ),
    f"https://ai.azure.com/resource/overview?wsid=%252F{SUBSCRIPTION.replace('/', '%252F')}%252Fres&tid=1": azure(),
}


@pytest.mark.parametrize("pasted", ADDRESSES)
def test_an_address_tells_its_fields(pasted: str) -> None:
    assert fields_of(pasted) == ADDRESSES[pasted]
    assert fields_of(f"  {pasted}\n") == ADDRESSES[pasted]


AROUND: dict[str, dict[str, str]] = {
    f'"{TARGET}"': azure(**DEPLOYED),
    f"<{TARGET}>": azure(**DEPLOYED),
    f"`{TARGET}`": azure(**DEPLOYED),
    f"[our endpoint]({TARGET})": azure(**DEPLOYED),
    f"[{TARGET}]({TARGET})": azure(**DEPLOYED),
    f"(see {TARGET}).": azure(**DEPLOYED),
    f"We use {ROOT}, ask Ann.": azure(),
    f"**{ROOT}**": azure(),
    f"| chat | {TARGET} | Ann |": azure(**DEPLOYED),
    f"Endpoint: {ROOT}, deployment: gpt4, API version: 2024-10-21": azure(**DEPLOYED),
    f'{{"endpoint": "{ROOT}/", "deployment_name": "gpt4", "api_version": "2024-10-21"}}': azure(**DEPLOYED),
    f"AZURE_OPENAI_ENDPOINT={ROOT}\nAZURE_OPENAI_DEPLOYMENT=gpt4\nOPENAI_API_VERSION=2024-10-21": azure(**DEPLOYED),
    f'export AZURE_OPENAI_ENDPOINT="{ROOT}/"\nexport AZURE_OPENAI_API_KEY="0123"': azure(),
    "OPENAI_BASE_URL=http://gpu-box:8000/v1\nOPENAI_MODEL=llama-3": openai(
        "http://gpu-box:8000/v1", model_default="llama-3"
    ),
    'curl https://api.openai.com/v1/chat/completions -H "Authorization: Bearer sk-secret-0123" '
    '-d \'{"model": "gpt-6-luna", "messages": []}\'': openai(OPENAI, model_default="gpt-6-luna"),
    "The host is res.openai.azure.com and the deployment = gpt4": azure(deployment_name="gpt4"),
    f"Read https://learn.microsoft.com/azure/openai first, then use {ROOT}": azure(),
    f"Keys are at https://platform.openai.com/api-keys; the server is {OPENAI}": openai(OPENAI),
    f"{ROOT}\nhttps://other.openai.azure.com": azure(),
}


@pytest.mark.parametrize("pasted", AROUND)
def test_an_address_is_found_in_what_stands_around_it(pasted: str) -> None:
    assert fields_of(pasted) == AROUND[pasted]


REFUSED = {
    "": "There is no address in this.",
    "nothing of use": "There is no address in this.",
    "Ann knows.": "There is no address in this.",
    "https://": "There is no address in this.",
    "https://learn.microsoft.com/en-us/azure/ai-services/openai/reference": "a page of the documentation",
    "https://portal.azure.com/#home": "does not name the resource",
    "https://oai.azure.com/portal": "does not name the resource",
    "https://ai.azure.com/": "does not name the resource",
    "https://api.openai.com@evil.example/v1": "must not contain a user name or password",
    "https://sk-secret-0123:x@api.openai.com/v1": "must not contain a user name or password",
    "https://api.openai.com:99999/v1": "check the host and the port",
    "ftp://api.example/v1": "There is no address in this.",
    "javascript:alert(1)": "There is no address in this.",
}


@pytest.mark.parametrize("pasted", REFUSED)
def test_what_is_no_endpoint_is_refused_with_what_to_do(pasted: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        fields_of(pasted)
    assert list(caught.value.problems) == ["endpoint"]
    assert REFUSED[pasted] in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("pasted", "origin"),
    [
        ("https://api.openai.com.evil.example/v1", "https://api.openai.com.evil.example:443"),
        ("https://evil.example/https://api.openai.com/v1", "https://evil.example:443"),
        ("https://evil.example/?u=https://res.openai.azure.com", "https://evil.example:443"),
        ("https://res.openai.azure.com.evil.example/openai/v1/", "https://res.openai.azure.com.evil.example:443"),
        ("https://evil.example#https://api.openai.com", "https://evil.example:443"),
        ("https://portal.azure.com.evil.example/accounts/res", "https://portal.azure.com.evil.example:443"),
    ],
)
def test_an_address_leads_where_a_reader_sees_it_lead(pasted: str, origin: str) -> None:
    assert origin_of(fields_of(pasted)["endpoint"]) == origin


def outcome(pasted: str) -> dict[str, Any] | InvalidConfiguration:
    """What is read, or what is said instead."""
    try:
        return dict(fields_of(pasted))
    except InvalidConfiguration as error:
        return error


@pytest.mark.parametrize("secret", ["sk-secret-0123456789", "0123456789abcdef0123456789abcdef"])
def test_a_key_is_never_taken_along(secret: str) -> None:
    for pasted in (
        f"{TARGET}&api-key={secret}",
        f"{ROOT}?key={secret}#{secret}",
        f"{OPENAI}?api_key={secret}",
        f"endpoint={OPENAI}\nkey={secret}",
        f"Authorization: Bearer {secret} {OPENAI}",
        f"https://portal.azure.com/?secret={secret}",
    ):
        assert secret not in str(outcome(pasted))


@pytest.mark.parametrize(
    "pasted",
    ["h" * 1_000_000, "https://" * 100_000, "a." * 500_000, "https://a.b/" + "x)" * 100_000, "model=" * 100_000],
)
def test_a_very_long_text_is_read_at_its_beginning(pasted: str) -> None:
    assert len(str(outcome(pasted))) < 2500


PIECES = [
    *("https://", "res.openai.azure.com", "/openai/deployments/", "api.openai.com", "/v1", "?api-version=", "@", ":"),
    *("2024-10-21", "#", "/accounts/x", "portal.azure.com", " ", "deployment=", "model: ", "%2F", "[", "](", "..", "é"),
]


@given(st.one_of(st.text(), st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3))).map("".join)))
def test_any_text_gives_fields_that_work_or_a_sentence(pasted: str) -> None:
    found = outcome(pasted)
    if isinstance(found, InvalidConfiguration):
        assert set(found.problems) == {"endpoint"}
        return
    assert origin_of(found["endpoint"])
    # A version or a deployment that cannot be one is shown as it was pasted, and refused in its own field.
    missing = {"deployment_name": "d", "api_version": "v1"} if found["api_type"] == ApiType.AZURE_OPENAI else {}
    assert set(refused({**missing, **found})) <= {"api_version", "deployment_name"}


def refused(fields: dict[str, Any]) -> dict[str, str]:
    """What a configuration of these fields is refused for."""
    try:
        Configuration(display_name="x", api_key="k", **fields)
    except InvalidConfiguration as error:
        return error.problems
    return {}
