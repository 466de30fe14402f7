"""Whatever a person pastes becomes the fields of a configuration, or a sentence that says what to paste."""

import re
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector import ApiType, Configuration, InvalidConfiguration, fields_of, key_in, origin_of, read_endpoint

OPENAI = "https://api.openai.com/v1"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/openai"
OCP = "Ocp-Apim-Subscription-Key"
ROOT = "https://res.openai.azure.com"
TARGET = f"{ROOT}/openai/deployments/gpt4/chat/completions?api-version=2024-10-21"
DEPLOYED = {"deployment_name": "gpt4", "api_version": "2024-10-21"}
SUBSCRIPTION = "subscriptions/0000/resourceGroups/ours/providers/Microsoft.CognitiveServices/accounts"

QUOTED = SUBSCRIPTION.replace("/", "%2F")


def openai(endpoint: str, **fields: str) -> dict[str, str]:
    return {"api_type": "OpenAI", "endpoint": endpoint, **fields}


def azure(endpoint: str = ROOT, **fields: str) -> dict[str, str]:
    return {"api_type": "AzureOpenAI", "endpoint": endpoint, **fields}


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
    "https://api.openai.com/v1/audio/transcriptions": openai(OPENAI),
    "https://api.openai.com/v1/chat/completions/chatcmpl-1/messages": openai(OPENAI),
    "https://llm.example/models/llama/v1/chat/completions": openai("https://llm.example/models/llama/v1"),
    "https://llm.example/models/llama/v1/models/llama-3:8b": openai(
        "https://llm.example/models/llama/v1", model_default="llama-3:8b"
    ),
    "https://llm.example/v1/models/llama/v1/chat/completions": openai("https://llm.example/v1/models/llama/v1"),
    "https://llm.example/models/org/name/v1/": openai("https://llm.example/models/org/name/v1"),
    "https://gateway.ai.cloudflare.com/v1/0123/ours/openai/chat/completions": openai(
        "https://gateway.ai.cloudflare.com/v1/0123/ours/openai"
    ),
    "https://webui.example/api/chat/completions": openai("https://webui.example/api"),
    "https://generativelanguage.googleapis.com/v1beta/openai/": openai(GOOGLE),
    "https://generativelanguage.googleapis.com/v1beta/models/gemini-3:generateContent?key=AIza0123": openai(
        GOOGLE, model_default="gemini-3"
    ),
    # pages for people
    "https://platform.openai.com/account/api-keys": openai(OPENAI),
    "https://platform.openai.com/docs/models/gpt-5-mini": openai(OPENAI, model_default="gpt-5-mini"),
    "https://platform.openai.com/playground/chat?model=gpt-4o-mini&mode=chat": openai(
        OPENAI, model_default="gpt-4o-mini"
    ),
    "https://chatgpt.com/": openai(OPENAI),
    "https://chat.openai.com/": openai(OPENAI),
    "https://openai.com/api/pricing/": openai(OPENAI),
    "https://developers.openai.com/api/docs/models/gpt-5-mini": openai(OPENAI, model_default="gpt-5-mini"),
    "https://aistudio.google.com/apikey": openai(GOOGLE),
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
    "https://eastus.api.cognitive.microsoft.com/": azure("https://eastus.api.cognitive.microsoft.com"),
    "https://res.services.ai.azure.com/api/projects/ours/openai/v1/": azure(
        "https://res.services.ai.azure.com", api_version="v1"
    ),
    "https://res.cognitiveservices.azure.com/language/:analyze-text?api-version=2023-04-01": azure(
        "https://res.cognitiveservices.azure.com"
    ),
    # what no configuration takes is left out
    f"{ROOT}/openai/deployments/my%2Fdep?api-version=2024-13-40": azure(),
    f"{ROOT}/openai/deployments/gpt4?api-version=soon": azure(deployment_name="gpt4"),
    f"{ROOT}/openai/deployments/my%2Fdep?api-version=\ud800": azure(),
    # gateways in Azure's form
    "https://gateway.example/OpenAI/Deployments/gpt4": azure("https://gateway.example", deployment_name="gpt4"),
    "https://gateway.example/llm/openai/deployments/gpt4/chat/completions?api-version=2024-10-21": azure(
        "https://gateway.example/llm", **DEPLOYED
    ),
    "https://gateway.example/openai/deployments/": azure("https://gateway.example"),
    # Azure's portals
    f"https://portal.azure.com/#@ours.example/resource/{SUBSCRIPTION}/MyRes/overview": azure(
        "https://myres.openai.azure.com"
    ),
    f"https://oai.azure.com/portal/deployment?wsid=/{SUBSCRIPTION}/res&tid=0000": azure(),
    f"https://ai.azure.com/resource/deployments/gpt4?wsid=%2F{QUOTED}%2Fres": azure(deployment_name="gpt4"),
    f"https://ms.portal.azure.com/#@ours.example/resource/{SUBSCRIPTION}/res/overview": azure(),
    f"https://portal.azure.us/#@ours.example/resource/{SUBSCRIPTION}/res/overview": azure(
        "https://res.openai.azure.us"
    ),
    f"https://portal.azure.cn/#@ours.example/resource/{SUBSCRIPTION}/res/overview": azure(
        "https://res.openai.azure.cn"
    ),
    f"https://ai.azure.com/foundryProject/overview?wsid=/{SUBSCRIPTION}/res/projects/ours&tid=1": azure(),
    f"https://ai.azure.com/resource/deployments/{QUOTED}%2Fres%2Fdeployments%2Fgpt4?tid=1": azure(
        deployment_name="gpt4"
    ),
    "https://ai.azure.com/nextgen/r/IUzq_Xd8QC,our-group,,res,our-project/home?tid=1": azure(),
    f"https://ai.azure.com/resource/overview?wsid=%252F{SUBSCRIPTION.replace('/', '%252F')}%252Fres&tid=1": azure(),
}


@pytest.mark.parametrize("pasted", ADDRESSES)
def test_an_address_is_parsed_into_fields(pasted: str) -> None:
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
    # which of several
    f"See https://wiki.example/page/7. Endpoint: {ROOT}": azure(),
    "https://wiki.example and http://gpu-box:8000/v1": openai("http://gpu-box:8000/v1"),
    "https://wiki.example/a and https://api.openai.com": openai(OPENAI),
    "https://wiki.example/a and https://llm.example/llm/chat/completions": openai("https://llm.example/llm"),
    "Keys: https://platform.openai.com/api-keys, API: https://openrouter.ai/api/v1": openai(
        "https://openrouter.ai/api/v1"
    ),
    f"Keys: https://platform.openai.com/api-keys, API: {GOOGLE}": openai(GOOGLE),
    "https://a.example,https://b.example": openai("https://a.example/v1"),
    "https://a.example/v1,https://b.example/v1": openai("https://a.example/v1"),
    "Read https://learn.microsoft.com/azure/openai; the host is res.openai.azure.com.": azure(),
    "base: api.groq.com/openai/v1, ask Ann": openai("https://api.groq.com/openai/v1"),
    "Ollama, on 127.0.0.1:11434 as always": openai("http://127.0.0.1:11434/v1"),
    # marks that belong to the text
    "“https://api.openai.com/v1”": openai(OPENAI),
    "https://api.openai.com/v1\u200b": openai(OPENAI),
    "接口 https://api.openai.com/v1。": openai(OPENAI),
    "[Ann|https://api.openai.com/v1]": openai(OPENAI),
    "<endpoint>https://api.openai.com/v1</endpoint>": openai(OPENAI),
    r'{"endpoint": "https:\/\/res.openai.azure.com\/openai\/v1\/"}': azure(api_version="v1"),
    f'<a href="{TARGET.replace("?", "?x=1&amp;")}">chat</a>': azure(**DEPLOYED),
    f"curl {ROOT}/openai/deployments/{{name}}/chat/completions?api-version=2024-10-21": azure(api_version="2024-10-21"),
    # words beside it
    f"Endpoint: {ROOT}, deployment gpt4": azure(deployment_name="gpt4"),
    f"{ROOT}, deployment pending": azure(),
    f"{ROOT} with the deployment that Ann made": azure(),
    f"{ROOT}\nDeployment: chat.\n": azure(deployment_name="chat"),
    f"| Endpoint | {ROOT} |\n| Deployment | chat |": azure(deployment_name="chat"),
    f"AZURE_OPENAI_ENDPOINT={ROOT}\nAZURE_OPENAI_DEPLOYMENT=\nAZURE_OPENAI_API_KEY=0123456789": azure(),
    f"AZURE_OPENAI_EMBEDDING_DEPLOYMENT=ada2\nAZURE_OPENAI_CHAT_DEPLOYMENT=gpt4\nURL={ROOT}": azure(
        deployment_name="gpt4"
    ),
    f'endpoint = os.getenv("ENDPOINT_URL", "{ROOT}/")\ndeployment = os.getenv("DEPLOYMENT_NAME", "gpt4")\n'
    'client = AzureOpenAI(azure_endpoint=endpoint, api_version="2024-10-21")': azure(**DEPLOYED),
    f'client = OpenAI(base_url="{ROOT}/openai/v1/")\nclient.create(model="gpt4")': azure(
        api_version="v1", deployment_name="gpt4"
    ),
    f'deployment := "gpt4" // at {ROOT}': azure(deployment_name="gpt4"),
    "Use this model: it is at https://api.example/v1": openai("https://api.example/v1"),
    "llm --model gpt-6-luna --url https://api.example/v1": openai("https://api.example/v1", model_default="gpt-6-luna"),
}


@pytest.mark.parametrize("pasted", AROUND)
def test_an_address_is_found_in_the_text_around_it(pasted: str) -> None:
    assert fields_of(pasted) == AROUND[pasted]


REFUSED = {
    "": "The text contains no address.",
    "nothing of use": "The text contains no address.",
    "Ann knows.": "The text contains no address.",
    "https://": "The text contains no address.",
    "https://learn.microsoft.com/en-us/azure/ai-services/openai/reference": "a page of the documentation",
    "https://portal.azure.com/#home": "does not name the resource",
    "https://oai.azure.com/portal": "does not name the resource",
    "https://ai.azure.com/": "does not name the resource",
    "https://api.openai.com@evil.example/v1": "must not contain a user name or password",
    "https://sk-secret-0123:x@api.openai.com/v1": "must not contain a user name or password",
    "https://api.openai.com:99999/v1": "check the host and the port",
    "https://<your resource>.openai.azure.com/openai/v1/": "contains a placeholder",
    "https://{name}.openai.azure.com": "contains a placeholder",
    "https://res<env>.openai.azure.com": "contains a placeholder",
    "https://res${env}.openai.azure.com": "contains a placeholder",
    "https://[your-resource].openai.azure.com": "contains a placeholder",
    "https://api.openai.com{evil": "The text contains no address.",
    "api.openai.com@evil.example": "The text contains no address.",
    "api.openai.com:443@evil.example/v1": "The text contains no address.",
    "https://api.openai.com\u200b.evil.example/v1": "blanks, line breaks or backslashes",
    "https://gateway.example/sk-secret-0123456789/v1": "seems to contain a key",
    "http://sk-secret-0123456789/v1": "seems to contain a key",
    "https://" + ".".join("é" * 900): "not a usable address",
    "https://" + ".".join("é" * 400): "host name of the endpoint is too long",
    "éres.openai.azure.com and more": "The text contains no address.",
    "ftp://api.openai.com/v1": "The text contains no address.",
    "javascript:alert(1)": "The text contains no address.",
}


@pytest.mark.parametrize("pasted", REFUSED)
def test_a_text_without_an_endpoint_is_refused_with_advice(pasted: str) -> None:
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
        ("evil.example?u=res.openai.azure.com", "https://evil.example:443"),
        ("evil.example/res.openai.azure.com", "https://evil.example:443"),
        ("https://evil.example\\@api.openai.com/v1", "https://evil.example:443"),
        ("https://evil.example/@api.openai.com/v1", "https://evil.example:443"),
        ("https://notopenai.com/v1", "https://notopenai.com:443"),
        ("https://res.openai.\u0430zure.com", "https://res.openai.xn--zure-43d.com:443"),
        ("https://portal.azure.com.evil.example/accounts/res", "https://portal.azure.com.evil.example:443"),
    ],
)
def test_an_address_leads_to_the_host_that_a_reader_sees(pasted: str, origin: str) -> None:
    assert origin_of(fields_of(pasted)["endpoint"]) == origin


def outcome(pasted: str) -> dict[str, Any] | InvalidConfiguration:
    """What is read, or what is said instead."""
    try:
        return dict(fields_of(pasted))
    except InvalidConfiguration as error:
        return error


SECRET = "sk-proj-Ab3_0123456789-xyz"


@pytest.mark.parametrize(
    "pasted",
    [
        SECRET,
        f"  {SECRET}\n",
        f'"{SECRET}"',
        f"Bearer {SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"curl {OPENAI}/chat/completions -H 'Authorization: Bearer {SECRET}' -d '{{}}'",
        f'curl {OPENAI}/models \\\n  --header "Authorization: Bearer {SECRET}" \\\n  -v',
        f"curl {ROOT}/openai/deployments/gpt4/chat/completions -H 'api-key: {SECRET}'",
        f"curl https://gateway.example/v1/models -H x-api-key:{SECRET}",
        f"OPENAI_BASE_URL={OPENAI}\nOPENAI_API_KEY={SECRET}\n",
        f"export AZURE_OPENAI_API_KEY='{SECRET}'",
        f'client = OpenAI(base_url="{OPENAI}", api_key="{SECRET}")',
        f'{{"endpoint": "{OPENAI}", "apiKey": "{SECRET}"}}',
    ],
)
def test_the_key_of_a_pasted_text_is_found(pasted: str) -> None:
    assert key_in(pasted) == SECRET


@pytest.mark.parametrize(
    "key", ["0123456789abcdef0123456789abcdef", "A1b2" * 21, "gsk_0123456789abcdef", "AIzaSy0123456789"]
)
def test_a_key_that_is_pasted_alone_is_found(key: str) -> None:
    assert key_in(key) == key


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        "nothing of use",
        OPENAI,
        f"Our server: {OPENAI}, ask Ann for a key.",
        "curl https://a.example/v1/models -H 'Authorization: Bearer $OPENAI_API_KEY'",
        "curl https://a.example/v1/models -H 'Authorization: Bearer <your-key>'",
        'OpenAI(api_key=os.environ["OPENAI_API_KEY"])',
        "OPENAI_API_KEY=sk-...6789",
        "api-key: YOUR_API_KEY",
        "max_tokens=12345678, monkey: 12345678",
    ],
)
def test_a_text_without_a_key_or_with_a_placeholder_has_none(pasted: str) -> None:
    assert key_in(pasted) == ""


@pytest.mark.parametrize("secret", ["sk-secret-0123456789", "0123456789abcdef0123456789abcdef"])
def test_a_key_is_never_taken_over(secret: str) -> None:
    for pasted in (
        f"{TARGET}&api-key={secret}",
        f"{ROOT}?key={secret}#{secret}",
        f"{OPENAI}?api_key={secret}",
        f"endpoint={OPENAI}\nkey={secret}",
        f"Authorization: Bearer {secret} {OPENAI}",
        f"https://portal.azure.com/?secret={secret}",
        f"{ROOT}/openai/deployments/gpt4?api-version={secret}",
        f"{OPENAI}?model={secret}",
        f"{OPENAI}/models/{secret}",
        f'{OPENAI}, model: "{secret}"',
        f"{ROOT}\ndeployment: {secret}",
        f"{ROOT}\ndeployment:\n{secret}",
    ):
        assert secret not in str(outcome(pasted))


@pytest.mark.parametrize(
    "pasted",
    [
        *("h" * 1_000_000, "https://" * 100_000, "a." * 500_000, "https://a.b/" + "x)" * 100_000, "model=" * 100_000),
        *("a.azure.com" * 90_000, "https://a@b " * 80_000, "https://a.b/" + ")" * 19_000, "deployment " * 90_000),
        *("]( https://a@b" * 70_000, f"{ROOT} deployment" + " " * 900_000, "a@a.openai.com " * 60_000, " " * 1_000_000),
    ],
)
def test_only_the_beginning_of_a_very_long_text_is_parsed(pasted: str) -> None:
    times = [seconds(pasted[:length]) for length in (5_000, 20_000, 1_000_000)]
    assert len(str(outcome(pasted))) < 2500
    # Four times the text is at most a little more than four times the work, and what lies behind is none.
    assert times[1] < 20 * max(times[0], 0.001)
    assert times[2] < 20 * max(times[1], 0.001)


def seconds(pasted: str) -> float:
    """Of this thread's own work, the best of three."""
    taken = []
    for _ in range(3):
        start = time.thread_time()
        outcome(pasted)
        taken.append(time.thread_time() - start)
    return min(taken)


def test_no_address_is_cut_in_two() -> None:
    for blanks in range(19_950, 20_000):
        found = outcome(" " * blanks + "https://api.openai.com.evil.example/v1 ")
        assert isinstance(found, InvalidConfiguration) or "evil.example" in found["endpoint"], blanks


PIECES = [
    *("https://", "res.openai.azure.com", "/openai/deployments/", "api.openai.com", "/v1", "?api-version=", "@", ":"),
    *("2024-10-21", "#", "/accounts/x", "portal.azure.com", " ", "deployment=", "model: ", "%2F", "[", "](", "..", "é"),
    *(
        "evil.example",
        "\\",
        ".",
        "-",
        "?model=",
        "/models/",
        "platform.openai.com",
        '"',
        ",",
        "{",
        "localhost",
        ":8000",
    ),
    *(
        "<",
        "\u200b",
        "|",
        "&amp;",
        "\\/",
        "nextgen/r/a,b,,c,d/",
        " sk-secret-0123456789 ",
        "api_version='",
        "\n",
        "443",
    ),
]
TEXTS = st.one_of(st.text(), st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3))).map("".join))


@given(TEXTS)
def test_any_text_gives_valid_fields_or_a_sentence(pasted: str) -> None:
    found = outcome(pasted)
    assert "secret" not in str(found)
    if isinstance(found, InvalidConfiguration):
        assert set(found.problems) == {"endpoint"}
        return
    missing = {"deployment_name": "d", "api_version": "v1"} if found["api_type"] == ApiType.AZURE_OPENAI else {}
    assert Configuration(display_name="x", api_key="k", **{**missing, **found}).url
    assert read_endpoint(found["endpoint"]).base_url.startswith(found["endpoint"])


@given(st.lists(st.sampled_from(PIECES)).map("".join))
@example("res.openai.azure.comhttps://https://")  # the host runs into the next word
def test_calls_go_to_a_host_in_the_text_or_to_the_api_of_a_page(pasted: str) -> None:
    found = outcome(pasted)
    if isinstance(found, InvalidConfiguration):
        return
    host = str(urlsplit(found["endpoint"]).hostname)
    if host == "api.openai.com" and re.search(r"[\w.-]\.openai\.com", pasted):
        return
    if host in {"x.openai.azure.com", "c.openai.azure.com"} and "portal.azure.com" in pasted:
        return
    assert re.search(rf"(?<![\w.-]){re.escape(unpunycoded(host))}(?![\w-]|\.[\w-])", pasted), found


def unpunycoded(host: str) -> str:
    return host.encode().decode("idna")


# -- the header of the key


@pytest.mark.parametrize(
    ("pasted", "header"),
    [
        ('curl "https://apim.example.com/v1/chat/completions" -H "Ocp-Apim-Subscription-Key: $KEY" -d "{}"', OCP),
        (f"curl -X POST https://apim.example.com/v1/chat/completions \\\n  --header '{OCP}: 0123'", OCP),
        (f"curl --header={OCP}:0123 https://apim.example.com/v1/chat/completions", OCP),
        ("curl https://gateway.example/v1/models -H x-api-key:abc", "x-api-key"),
        ("curl https://gateway.example/v1/models -H 'api-key: abc'", "api-key"),
        ("curl https://gateway.example/v1/models -H 'apikey: abc'", "apikey"),
        (f'client = OpenAI(base_url="https://a.example/v1", api_key="-", default_headers={{"{OCP}": key}})', OCP),
        ("requests.post('https://a.example/v1/chat/completions', headers={'X-Auth-Token': token})", "X-Auth-Token"),
        ('fetch("https://a.example/v1/chat/completions", {headers: {"x-api-key": key}})', "x-api-key"),
        (f"POST https://a.example/v1/chat/completions HTTP/1.1\nContent-Type: text/plain\n{OCP}: 0123", OCP),
        ("curl https://res.openai.azure.com/openai/v1/chat/completions -H 'api-key: abc'", ""),
        (f"curl https://res.openai.azure.com/openai/v1/chat/completions -H 'api-key: a' -H '{OCP}: b'", OCP),
        ("curl https://a.example/v1/models -H 'Authorization: Bearer a' -H 'x-portkey-api-key: b'", ""),
        ("curl https://a.example/v1/models -H 'x-csrf-token: abc'", ""),
        ("Endpoint: https://a.example/v1\nAPI-Key: sk-abc", ""),
        ('{"base": "https://a.example/v1", "api-key": "sk-abc", "x-ray": "key: no"}', ""),
        ("curl https://a.example/v1/models -H 'Content-Type: application/json'", ""),
    ],
)
def test_a_program_that_names_the_header_of_its_key_fills_the_field(pasted: str, header: str) -> None:
    fields = fields_of(pasted)
    assert fields.get("key_header", "") == header
    assert not {"0123", "abc", "sk-abc"} & set(fields.values())
