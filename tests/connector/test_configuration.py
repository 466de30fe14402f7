"""What a person types into a configuration, and what is called then."""

import json
import pickle
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from connector import (
    PROVIDERS,
    Account,
    ApiType,
    Client,
    Configuration,
    InvalidConfiguration,
    KeyType,
    fields_of,
    origin_of,
    read_endpoint,
)
from tests.connector.conftest import REQUEST, VERSION, account, all_that_shows, each_form
from tests.provider.answers import completion
from tests.provider.server import ProviderServer, Reply

KEY = "sk-no-real-key-93c1"
FULL_AZURE = "https://res.openai.azure.com/openai/deployments/dep/chat/completions?api-version=2024-10-21"


def openai(**changes: Any) -> Configuration:
    fields = {"display_name": "Mine", "api_type": "OpenAI", "endpoint": "https://api.openai.com/v1", "api_key": KEY}
    return Configuration(**fields | changes)


def azure(**changes: Any) -> Configuration:
    fields = {
        "display_name": "Mine",
        "api_type": "AzureOpenAI",
        "endpoint": "https://res.openai.azure.com/openai/deployments/",
        "api_key": KEY,
        "deployment_name": "dep",
        "api_version": VERSION,
    }
    return Configuration(**fields | changes)


# -- an account without a key


@pytest.mark.parametrize("configuration", [openai(model_default="gpt-test"), azure(), azure(api_version="v1")])
def test_an_account_knows_everything_except_the_key(configuration: Configuration) -> None:
    account = Account(**{name: getattr(configuration, name) for name in Account.model_fields})
    for name in ("url", "origin", "deployment", "entra_scope"):
        assert getattr(account, name) == getattr(configuration, name)
    assert account.model_for(None) == configuration.model_for(None)
    assert configuration.authorisation == account.authorisation_of(KEY)
    assert isinstance(configuration, Account)
    assert "api_key" not in Account.model_fields
    assert pickle.loads(pickle.dumps(account)) == account


def test_an_account_reports_the_problems_of_a_configuration_except_those_of_the_key() -> None:
    fields: Any = {"display_name": "", "api_type": "AzureOpenAI", "endpoint": "ftp://res", "deployment_name": "a b"}
    with pytest.raises(InvalidConfiguration) as without_key:
        Account(**fields)
    with pytest.raises(InvalidConfiguration) as with_key:
        Configuration(**fields)
    assert list(with_key.value.problems) == ["display_name", "api_key", "endpoint", "deployment_name", "api_version"]
    assert with_key.value.problems == {**without_key.value.problems, "api_key": "Enter the key."}


# -- endpoints


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("{url}/v1", "/v1"),
        ("{url}/v1/", "/v1"),
        ("{url}//v1//", "/v1"),
        ("  {url}/v1\n", "/v1"),
        ("'{url}/v1'", "/v1"),
        ("<{url}/v1>", "/v1"),
        ("{url}", "/v1"),
        ("{url}/", "/v1"),
        ("127.0.0.1:{port}/v1", "/v1"),
        ("127.0.0.1:{port}", "/v1"),
        ("HTTP://127.0.0.1:{port}/v1", "/v1"),
        ("{url}/v1/chat/completions", "/v1"),
        ("{url}/v1/chat/completions/?key=1#top", "/v1"),
        ("{url}/gateway/llm/v1", "/gateway/llm/v1"),
        ("{url}/my%20gateway/v1", "/my%20gateway/v1"),
        ("{url}/openai/v1", "/openai/v1"),
        ("{url}/deployments/v1", "/deployments/v1"),
    ],
)
def test_each_form_of_an_openai_endpoint_calls_the_same_address(server: ProviderServer, typed: str, path: str) -> None:
    typed = typed.format(url=server.url, port=server.port)
    configuration = account(server, endpoint=typed)
    server.next(Reply(200, completion("Hello")))
    Client(configuration).call_api(REQUEST)
    received = server.requests[0]
    assert received.path == f"{path}/chat/completions"
    assert received.query == {}
    assert configuration.url == server.url + received.path
    assert configuration.endpoint == typed.strip().removesuffix("?key=1#top")


@pytest.mark.parametrize(
    ("typed", "prefix"),
    [
        ("{url}", ""),
        ("{url}/", ""),
        ("{url}/openai", ""),
        ("{url}/openai/", ""),
        ("{url}/openai/deployments", ""),
        ("{url}/openai/deployments/", ""),
        ("{url}/OpenAI/Deployments/", ""),
        ("{url}/openai/deployments/<deployment>/", ""),
        ("{url}/openai/deployments/{{deployment-id}}/", ""),
        ("{url}/openai/deployments/%7Bname%7D/", ""),
        ("{url}/openai/deployments/gpt-test", ""),
        ("{url}/openai/deployments/gpt-test/chat/completions?api-version=2024-10-21", ""),
        ("{url}/openai/deployments/another/chat/completions?api-version=2023-05-15", ""),
        ("{url}/openai/v1/", ""),
        ("127.0.0.1:{port}", ""),
        ("{url}/llm/openai/deployments/", "/llm"),
        ("{url}/deployments/openai/", "/deployments"),
        ("{url}/my-deployments", "/my-deployments"),
    ],
)
def test_each_form_of_an_azure_endpoint_calls_the_deployment(server: ProviderServer, typed: str, prefix: str) -> None:
    typed = typed.format(url=server.url, port=server.port)
    configuration = account(server, "Azure with a key", endpoint=typed)
    Client(configuration).call_api(REQUEST)
    received = server.requests[0]
    assert received.path == f"{prefix}/openai/deployments/gpt-test/chat/completions"
    assert received.query == {"api-version": VERSION}
    assert received.body["model"] == "gpt-test"
    assert configuration.url == f"{server.url}{received.path}?api-version={VERSION}"


def test_a_whole_azure_address_needs_no_other_field(server: ProviderServer) -> None:
    address = f"{server.url}/openai/deployments/gpt-test/chat/completions?api-version=2025-04-01-preview"
    configuration = account(server, "Azure with a key", endpoint=address, deployment_name="", api_version="")
    Client(configuration).call_api(REQUEST)
    assert configuration.url == address
    assert server.requests[0].path == "/openai/deployments/gpt-test/chat/completions"
    assert server.requests[0].query == {"api-version": "2025-04-01-preview"}
    assert server.requests[0].body["model"] == "gpt-test"


@pytest.mark.parametrize(
    ("typed", "version"),
    [
        ("{url}/openai/v1", ""),
        ("{url}/openai/v1/", ""),
        ("{url}/openai/v1/chat/completions", ""),
        ("{url}/openai/v1/chat/completions?api-version=preview", ""),
        ("{url}/openai/v1/", "v1"),
        ("{url}", "v1"),
        ("{url}/openai/deployments/", "preview"),
        ("{url}", "Latest"),
    ],
)
def test_each_form_of_an_azure_v1_endpoint_calls_v1(server: ProviderServer, typed: str, version: str) -> None:
    typed = typed.format(url=server.url)
    configuration = account(server, "Azure v1 with a key", endpoint=typed, api_version=version)
    Client(configuration).call_api(REQUEST)
    assert server.requests[0].path == "/openai/v1/chat/completions"
    assert server.requests[0].query == {}
    assert server.requests[0].body["model"] == "gpt-test"
    assert configuration.url == f"{server.url}/openai/v1/chat/completions"


@pytest.mark.parametrize(
    ("typed", "url", "origin"),
    [
        ("api.openai.com", "https://api.openai.com/v1/chat/completions", "https://api.openai.com:443"),
        ("https://API.OpenAI.com:443/v1", "https://api.openai.com/v1/chat/completions", "https://api.openai.com:443"),
        ("http://localhost:11434/v1", "http://localhost:11434/v1/chat/completions", "http://localhost:11434"),
        ("localhost:11434", "http://localhost:11434/v1/chat/completions", "http://localhost:11434"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1/chat/completions", "http://[::1]:8080"),
        ("http://model_server/v1", "http://model_server/v1/chat/completions", "http://model_server:80"),
    ],
)
def test_an_address_of_another_host_is_parsed_without_a_call(typed: str, url: str, origin: str) -> None:
    assert openai(endpoint=typed).url == url
    assert openai(endpoint=typed).origin == origin == origin_of(typed)


@pytest.mark.parametrize(
    ("typed", "host"),
    [
        ("https://bücher.example/v1", "xn--bcher-kva.example"),
        ("https://faß.de", "xn--fa-hia.de"),
        ("STRASSE.FAẞ.de:8443", "strasse.xn--fa-hia.de"),
        ("https://ΒΌΛΟΣ.gr/v1", "xn--nxasmq6b.gr"),
        ("https://βόλος.gr/v1", "xn--nxasmm1c.gr"),
        ("https://例え。テスト/v1", "xn--r8jz45g.xn--zckzah"),
        ("https://ｅｘａｍｐｌｅ.com", "example.com"),
        ("https://☕.example", "xn--53h.example"),
        ("https://xn--fa-hia.de/v1", "xn--fa-hia.de"),
    ],
)
def test_a_unicode_host_is_called_by_the_name_that_browsers_send(typed: str, host: str) -> None:
    """As WHATWG URL has it: UTS 46 without transitional processing."""
    assert urlsplit(openai(endpoint=typed).url).hostname == host
    assert urlsplit(azure(endpoint=typed).url).hostname == host
    assert urlsplit(fields_of(typed)["endpoint"]).hostname == host


@pytest.mark.parametrize(
    "host",
    [
        *("a..example.com", "example.com..", ".example.com", "a。。example.com"),
        *("x" * 64 + ".example.com", "ü" * 60 + ".example.com", ".".join(["abcdefghi"] * 26)),
    ],
)
@pytest.mark.parametrize("make", [openai, azure])
def test_a_host_that_no_name_server_knows_is_refused(make: Any, host: str) -> None:
    with pytest.raises(InvalidConfiguration, match="host name") as caught:
        make(endpoint=f"https://{host}/v1")
    assert list(caught.value.problems) == ["endpoint"]
    with pytest.raises(InvalidConfiguration):
        fields_of(f"https://{host}/v1")


def test_the_longest_host_is_called() -> None:
    for host in ("x" * 63 + ".example.com", "example.com.", "a.b-c.example.com"):
        assert urlsplit(openai(endpoint=f"https://{host}/v1").url).hostname == host


@pytest.mark.parametrize(
    "query",
    [
        "?api-key=secret93c1",
        "?api_key=secret93c1&x=1",
        "?key=secret93c1#top",
        "#secret93c1",
        "?secret93c1",
        "/?a=secret93c1",
    ],
)
def test_the_query_of_an_endpoint_is_not_kept(query: str) -> None:
    for configuration in (openai(endpoint=f"https://a.example/v1{query}"), azure(endpoint=f"a.example{query}")):
        assert "secret93c1" not in f"{configuration!r} {configuration.url} {configuration.endpoint}"
        assert configuration.endpoint.removesuffix("/") in ("https://a.example/v1", "a.example")


def test_the_api_version_is_all_that_stays_of_the_query_of_an_endpoint() -> None:
    address = FULL_AZURE.replace("?", "?subscription-key=secret93c1&") + "&code=secret93c1#secret93c1"
    configuration = azure(endpoint=address, deployment_name="", api_version="")
    assert configuration.endpoint == configuration.url == FULL_AZURE


def test_an_azure_address_is_parsed_without_a_call() -> None:
    assert azure().url == FULL_AZURE
    assert azure(endpoint="res.openai.azure.com").url == FULL_AZURE
    assert azure(endpoint=FULL_AZURE, deployment_name="", api_version="").url == FULL_AZURE
    endpoint = read_endpoint(FULL_AZURE)
    assert (endpoint.deployment_name, endpoint.api_version, endpoint.is_azure_v1) == ("dep", "2024-10-21", False)


@pytest.mark.parametrize(
    "host",
    [
        "res.openai.azure.com",
        "res.cognitiveservices.azure.com",
        "res.services.ai.azure.com",
        "res.openai.azure.us",
        "res.openai.azure.cn",
        "apim.example.com/llm",
    ],
)
def test_every_host_of_azure_is_parsed_in_every_form(host: str) -> None:
    dated = f"https://{host}/openai/deployments/dep/chat/completions?api-version=2024-10-21"
    v1 = f"https://{host}/openai/v1/chat/completions"
    for form in (
        "",
        "/",
        "/openai",
        "/openai/",
        "/openai/deployments",
        "/openai/deployments/",
        "/openai/deployments/dep",
    ):
        assert azure(endpoint=f"https://{host}{form}").url == dated, form
    for form in ("", "/", "/chat/completions"):
        assert azure(endpoint=f"https://{host}/openai/v1{form}", api_version="").url == v1, form
    assert azure(endpoint=dated, deployment_name="", api_version="").url == dated


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Enter the endpoint"),
        ("   ", "Enter the endpoint"),
        ("ftp://api.openai.com/v1", "must start with https://"),
        ("javascript:alert(1)", "must start with https://"),
        ("file:///etc/passwd", "must start with https://"),
        ("mailto:someone@example.com", "must start with https://"),
        ("https://", "no usable host name"),
        ("https:///v1", "no usable host name"),
        ("https://-/v1", "no usable host name"),
        ("https://ex%61mple.com/v1", "no usable host name"),
        ("https://someone:word@example.com/v1", "user name or password"),
        ("https://someone@example.com/v1", "user name or password"),
        ("https://@example.com/v1", "user name or password"),
        ("https://example.com /v1", "blanks, line breaks or backslashes"),
        ("https://example.com\n/v1", "blanks, line breaks or backslashes"),
        ("https://example.com\\@elsewhere.com", "blanks, line breaks or backslashes"),
        ("https://example.com:0/v1", "not a usable address"),
        ("https://example.com:99999/v1", "not a usable address"),
        ("https://example.com:port/v1", "not a usable address"),
        ("https://[::1/v1", "not a usable address"),
        ("https://example.com/../v1", "must not contain . or .."),
        ("https://example.com/%2e%2E/v1", "must not contain . or .."),
    ],
)
@pytest.mark.parametrize("make", [openai, azure])
def test_an_unusable_endpoint_is_refused_in_a_sentence(make: Any, typed: str, sentence: str) -> None:
    with pytest.raises(InvalidConfiguration, match=sentence) as caught:
        make(endpoint=typed)
    assert list(caught.value.problems) == ["endpoint"]
    assert KEY not in all_that_shows(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


# -- keys


@pytest.mark.parametrize(
    "key",
    [
        "",
        " \n\t ",
        "sk-secret93c1 with-blank",
        "sk-secret93c1\nsk-second",
        "sk-secret93c1\r\nX-Evil: 1",
        "sk-secret93c1\x00",
        "sk-secret93c1\x7f",
        "sk-secret93c1é",
        "sk-secret93c1\u200b",
        "sk-secret93c1\ud800",
        "Basic sk-secret93c1",
        b"sk-secret93c1",
        ["sk-secret93c1"],
        5,
        None,
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("make", [openai, azure])
def test_an_unusable_key_is_refused_and_shown_nowhere(make: Any, key: object, wrapped: bool) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        make(api_key=SecretStr(key) if wrapped and isinstance(key, str) else key)
    assert list(caught.value.problems) == ["api_key"]
    assert "secret93c1" not in all_that_shows(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "typed",
    [
        *("****", "*", "••••••••", "sk-••••7777", "sk-...6789", "sk-proj-…6789", "gsk_****wxyz", "########"),
        *("XXXX", "xxxxxxxx", "sk-xxx", "sk-proj-XXXXXXXXXXXX", "xxxx-xxxx-xxxx", "XXXXXXXX6789", "abcdxxxxxxxx6789"),
    ],
)
def test_a_masked_key_is_refused(typed: str) -> None:
    with pytest.raises(InvalidConfiguration, match="Copy the complete key from the provider") as caught:
        openai(api_key=typed)
    assert list(caught.value.problems) == ["api_key"]


@pytest.mark.parametrize(
    "typed",
    [
        *("YOUR_API_KEY", "your-api-key", "sk-your-key", "yourApiKey", "<your key>", "<API_KEY>", "{{api_key}}"),
        *("$OPENAI_API_KEY", "${KEY}", "%AZURE_API_KEY%", "$env:OPENAI_API_KEY", 'os.environ["KEY"]', "API_KEY"),
        *("None", "none", "null", "undefined", "nil", "Bearer", "bearer ", '"None"', "[REDACTED]", "sk-REDACTED"),
        *("INSERT_KEY_HERE", "paste-key", "key-goes-here", "process.env.MY_TOKEN", "$(cat", "$(cat key)"),
    ],
)
@pytest.mark.parametrize("make", [openai, azure])
def test_a_placeholder_is_refused_as_a_key(make: Any, typed: str) -> None:
    with pytest.raises(InvalidConfiguration, match=r"This is a placeholder, not a key\..* not-needed") as caught:
        make(api_key=typed)
    assert list(caught.value.problems) == ["api_key"]


@pytest.mark.parametrize(
    "key",
    [
        *("x", "xx", "-", "token", "secret", "key", "EMPTY", "ollama", "lm-studio", "sk-no-key-required", "not-needed"),
        *("none-needed", "token-abc123", "sk-1234", "sk-111111111111", "dummy", "apikey", "0", "p*ss", "here", "sk-x"),
        *("sk-proj-AbXxx_-9.~+/==", "a..b", "eyJhbGciOiJkaXIifQ..aXY.dGV4dA.dGFn", "k" * 4096, "bearers"),
    ],
)
def test_any_other_word_is_a_key_because_local_servers_accept_any(server: ProviderServer, key: str) -> None:
    server.next(Reply(200, completion("Hello")))
    Client(account(server, api_key=key)).call_api(REQUEST)
    assert server.requests[0].headers["authorization"] == f"Bearer {key}"


@pytest.mark.parametrize(
    "typed",
    [
        *('"{key}"', "'{key}'", "`{key}`", "“{key}”", " «{key}» ", '"{key}",', "'{key}';", '"{key}', "{key}'"),
        *("Bearer {key}", "bearer  {key}\n", '"Bearer {key}"', 'Bearer "{key}"', "Authorization: Bearer {key}"),
        *('"authorization": "Bearer {key}"', "\tBEARER\t{key}"),
    ],
)
def test_what_surrounds_a_copied_key_is_not_part_of_it(typed: str) -> None:
    for configuration in (openai(), azure(), azure(key_type=KeyType.ENTRA_TOKEN)):
        assert configuration.with_key(typed.format(key=KEY)) == configuration


def test_a_key_of_more_than_4_kb_is_refused_and_a_token_of_more_than_16() -> None:
    for longest, fields in ((4096, {}), (16_384, {"key_type": KeyType.ENTRA_TOKEN})):
        assert azure(api_key="k" * longest, **fields)
        with pytest.raises(InvalidConfiguration, match=f"longer than {longest:,} characters") as caught:
            azure(api_key="k" * (longest + 1), **fields)
        assert list(caught.value.problems) == ["api_key"]


def test_a_good_key_is_not_shown_when_another_field_is_wrong() -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        Configuration(display_name="", api_type="Nonsense", endpoint="ftp://x", api_key=KEY, surprise=KEY)  # type: ignore[arg-type, call-arg]
    assert {"api_type", "surprise"} <= set(caught.value.problems)
    assert KEY not in all_that_shows(caught.value)


@each_form
def test_the_blanks_around_a_pasted_key_are_not_sent(server: ProviderServer, form: str) -> None:
    good = account(server, form).api_key.get_secret_value()
    configuration = account(server, form, api_key=f"  {good}\r\n")
    assert Client(configuration).execute_without_history("Hello") == "Answer 0 to: Hello"


def test_a_configuration_shows_no_key() -> None:
    for configuration in (openai(), azure()):
        assert KEY not in f"{configuration!r} {configuration!s} {configuration.model_dump_json()} {configuration.url}"
        assert pickle.loads(pickle.dumps(configuration)) == configuration


@pytest.mark.parametrize("encode", [str, str.encode], ids=["text", "bytes"])
def test_a_configuration_is_read_from_json(encode: Any) -> None:
    fields = {
        "display_name": "Mine",
        "api_type": "OpenAI",
        "endpoint": "https://api.openai.com/v1",
        "api_key": f" {KEY}\n",
        "model_default": "gpt-test",
    }
    read = Configuration.model_validate_json(encode(json.dumps(fields)))
    assert read == Configuration(**fields)  # type: ignore[arg-type]
    assert read.api_key.get_secret_value() == KEY


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (f'{{"api_key": "{KEY}", ', {"json": "This is not valid JSON."}),
        (f'"{KEY}"', {"": "Configuration must be an object with named fields."}),
        (f'["{KEY}"]', {"": "Configuration must be an object with named fields."}),
    ],
)
def test_json_that_describes_no_configuration_is_refused_without_its_key(text: str, problems: dict[str, str]) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        Configuration.model_validate_json(text)
    assert caught.value.problems == problems
    assert KEY not in all_that_shows(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("api_type", "openai", "API type must be OpenAI or AzureOpenAI."),
        ("api_type", 7, "API type must be OpenAI or AzureOpenAI."),
        ("key_type", "token", "Key type must be ApiKey, EntraToken or EntraIdentity."),
        ("endpoint", None, "Endpoint must be a text."),
        ("model_default", ["gpt-test"], "Default model must be a text."),
        ("display_name", "x" * 101, "Name: at most 100 characters."),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_what_is_right(field: str, value: Any, sentence: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        openai(**{field: value})
    assert caught.value.problems[field] == sentence


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(Exception, match="frozen"):
        openai().endpoint = "https://elsewhere.example"


# -- the other fields


@pytest.mark.parametrize("name", ["my-dep.1", "my_dep", "7", "A" * 64])
def test_a_good_deployment_name_is_in_the_address_as_it_is(server: ProviderServer, name: str) -> None:
    server.next(Reply(200, completion("Hello")))
    Client(account(server, "Azure with a key", deployment_name=name)).call_api(REQUEST)
    assert server.requests[0].path == f"/openai/deployments/{name}/chat/completions"
    assert server.requests[0].body["model"] == name


@pytest.mark.parametrize(
    "name", ["", "  ", "my/dep", "../../x", "..", "d?a=b", "d#a", "d%2Fe", "my dep", "dép", "A" * 65]
)
def test_a_bad_deployment_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        azure(deployment_name=name)
    assert list(caught.value.problems) == ["deployment_name"]


def test_a_bad_deployment_name_in_the_address_is_refused() -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        azure(endpoint="https://res.openai.azure.com/openai/deployments/my%2Fdep/", deployment_name="")
    assert list(caught.value.problems) == ["deployment_name"]


@pytest.mark.parametrize("version", ["2023-05-15", "2024-02-15-preview", "2024-02-29", " 2024-10-21 "])
def test_a_dated_version_is_sent_exactly(server: ProviderServer, version: str) -> None:
    Client(account(server, "Azure with a key", api_version=version)).call_api(REQUEST)
    assert server.requests[0].query == {"api-version": version.strip()}


@pytest.mark.parametrize(
    "version",
    [
        "",
        "2024-2-1",
        "15-05-2023",
        "2024-13-40",
        "2023-02-29",
        "2024-02-15preview",
        "2024-10-21&x=1",
        "v2",
        "٢٠٢٤-١٠-٢١",
    ],
)
def test_an_invalid_version_is_refused(version: str) -> None:
    with pytest.raises(InvalidConfiguration, match="2024-10-21") as caught:
        azure(api_version=version)
    assert list(caught.value.problems) == ["api_version"]


def test_all_problems_of_a_configuration_are_reported_at_once() -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        azure(display_name=" ", deployment_name="", api_version="soon")
    assert set(caught.value.problems) == {"display_name", "deployment_name", "api_version"}
    assert str(caught.value) == " ".join(caught.value.problems.values())


def test_openai_accepts_no_entra_token_and_gets_no_azure_field(server: ProviderServer) -> None:
    with pytest.raises(InvalidConfiguration, match="API key"):
        openai(key_type=KeyType.ENTRA_TOKEN)
    Client(account(server, deployment_name="my-dep", api_version=VERSION)).call_api(REQUEST)
    assert server.requests[0].query == {}
    assert b"my-dep" not in server.requests[0].raw
    assert "my-dep" not in server.requests[0].path


def test_each_api_type_has_a_provider_with_texts_for_people() -> None:
    assert set(PROVIDERS) == set(ApiType)
    assert [(each.value, each.caption) for each in ApiType] == [("OpenAI", "OpenAI"), ("AzureOpenAI", "Azure OpenAI")]
    assert [each.caption for each in KeyType] == ["API key", "Microsoft Entra token", "Microsoft Entra identity"]
    for provider in PROVIDERS.values():
        assert read_endpoint(provider.endpoint_example)
        assert provider.key_page.startswith("https://")
        assert provider.reference.startswith("https://")
