"""Whatever goes wrong is a ConnectorError: its class, its facts, a sentence that says what to do, and never the key."""

import copy
import pickle
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connector import (
    AccessDenied,
    AnswerInterrupted,
    CallReport,
    CallStatus,
    ChatCompletionsRequest,
    Client,
    Configuration,
    ConnectionFailed,
    ConnectorError,
    ContentFiltered,
    InvalidConfiguration,
    InvalidRequest,
    KeyRefused,
    Message,
    NoAnswerInTime,
    NotFoundAtProvider,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RequestRefused,
    Role,
    UnreadableAnswer,
)
from tests.connector.conftest import PATIENCE, REQUEST, account, all_that_shows
from tests.provider.answers import azure_error, error
from tests.provider.server import AnyReply, Chunks, Drop, Hang, ProviderServer, Reply

AZURE_FILTER = {
    "error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {
                "hate": {"filtered": False, "severity": "safe"},
                "self_harm": {"filtered": True, "severity": "medium"},
                "violence": {"filtered": True, "severity": "high"},
                "jailbreak": {"filtered": True, "detected": True},
            },
        },
    }
}
KEY_OF_AZURE = "Copy the key again from Keys and Endpoint of this resource; each resource has its own keys."
TOKEN_OF_AZURE = "its owner needs the role Cognitive Services OpenAI User."
NO_TEMPERATURE = (
    "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported."
)
HTML = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


@dataclass(frozen=True)
class Fault:
    """What a provider answers, and what has to become of it."""

    reply: AnyReply
    kind: type[ConnectorError]
    says: str
    status: int | None = None
    code: str | None = None
    param: str | None = None
    request_id: str | None = "req-test-0001"


FAULTS = {
    "wrong key": Fault(
        Reply(401, error("Incorrect API key provided: sk-prov***7f3a.", code="invalid_api_key")),
        KeyRefused,
        "did not accept the key (401). It says: “Incorrect API key provided: [key]”. "
        "Copy the complete key again from the provider of this address.",
        401,
        "invalid_api_key",
    ),
    "wrong key with 400": Fault(
        Reply(400, error("API key not valid.", code="invalid_api_key")), KeyRefused, "(400)", 400, "invalid_api_key"
    ),
    "403": Fault(
        Reply(403, error("Country, region, or territory not supported", code="unsupported_country_region_territory")),
        AccessDenied,
        "denies access (403). It says: “Country, region, or territory not supported”. The cause is rarely the key "
        "itself: check its permissions or roles, the network rules and the region.",
        403,
        "unsupported_country_region_territory",
    ),
    "no such model": Fault(
        Reply(404, error("The model `gpt-test` does not exist", code="model_not_found", param="model")),
        NotFoundAtProvider,
        "There is no model “gpt-test” at",
        404,
        "model_not_found",
        "model",
    ),
    "no such path": Fault(
        Reply(404, error("Invalid URL (POST /v1/x)")),
        NotFoundAtProvider,
        "does not have this address (404). It says: “Invalid URL (POST /v1/x)”. Calls go to http://",
        404,
        "invalid_request_error",
    ),
    "404 of a web server": Fault(
        Reply(404, HTML, content_type="text/html"),
        NotFoundAtProvider,
        "Check the endpoint, which ends in /v1 for most servers, and the model “gpt-test”.",
        404,
    ),
    "405": Fault(Reply(405, {"detail": "Method Not Allowed"}), RequestRefused, "It says: “Method Not Allowed”", 405),
    "too fast": Fault(
        Reply(429, error("Rate limit reached", code="rate_limit_exceeded"), headers={"retry-after": "7"}),
        RateLimited,
        "has reached its rate limit (429). It says: “Rate limit reached”. Try again in 7 seconds.",
        429,
        "rate_limit_exceeded",
    ),
    "too fast without a time": Fault(
        Reply(429, azure_error("Requests have exceeded the token rate limit.", "429")),
        RateLimited,
        "Try again in a minute. If it happens again, raise the limit of the deployment or the account.",
        429,
        "429",
    ),
    "no quota": Fault(
        Reply(429, error("You exceeded your current quota", type="insufficient_quota", code="insufficient_quota")),
        QuotaExceeded,
        "has no credit or quota left (429). It says: “You exceeded your current quota”. Check its billing and its "
        "limits; waiting does not help.",
        429,
        "insufficient_quota",
    ),
    "no quota by type alone": Fault(
        Reply(429, error("You exceeded your current quota", type="insufficient_quota")),
        QuotaExceeded,
        "waiting does not help.",
        429,
        "insufficient_quota",
    ),
    "unsupported value": Fault(
        Reply(400, error(NO_TEMPERATURE, code="unsupported_value", param="temperature")),
        RequestRefused,
        f"refused the request (400). It says: “{NO_TEMPERATURE}”",
        400,
        "unsupported_value",
        "temperature",
    ),
    "400 without a reason": Fault(Reply(400, b""), RequestRefused, "It does not say why.", 400),
    "400 with a number as code": Fault(
        Reply(400, {"object": "error", "message": "Too long.", "code": 40303, "param": 7}),
        RequestRefused,
        "It says: “Too long.”",
        400,
        "40303",
        "7",
    ),
    "400 with an error in words": Fault(
        Reply(400, {"error": "No model loaded."}), RequestRefused, "No model loaded.", 400
    ),
    "413": Fault(Reply(413, HTML, content_type="text/html"), RequestRefused, "(413). It does not say why.", 413),
    "content filter": Fault(
        Reply(400, AZURE_FILTER),
        ContentFiltered,
        "blocked this prompt (self harm: medium, violence: high, jailbreak: detected). Rephrase it.",
        400,
        "content_filter",
        "prompt",
    ),
    "content filter without details": Fault(
        Reply(400, error("Blocked", code="content_filter")), ContentFiltered, "Rephrase it.", 400, "content_filter"
    ),
    "content filter with nonsense": Fault(
        Reply(400, {"error": {"code": "content_filter", "innererror": {"content_filter_result": ["hate"]}}}),
        ContentFiltered,
        "blocked this prompt. Rephrase it.",
        400,
        "content_filter",
    ),
    "500": Fault(
        Reply(500, error("The server had an error", type="server_error")),
        ProviderUnavailable,
        "reports a server error (500). It says: “The server had an error”. Try again later; if the server is yours",
        500,
        "server_error",
    ),
    "503": Fault(
        Reply(503, error("Overloaded", code="server_is_overloaded"), headers={"retry-after": "3"}),
        ProviderUnavailable,
        "Try again later",
        503,
        "server_is_overloaded",
    ),
    "502 of a gateway": Fault(
        Reply(502, HTML, content_type="text/html"),
        ProviderUnavailable,
        "reports a server error (502). Try again later; if the server is yours, check its log.",
        502,
    ),
    "301": Fault(
        Reply(301, b"", headers={"location": "/elsewhere/v1/chat/completions"}), RequestRefused, "is not followed", 301
    ),
    "302": Fault(
        Reply(302, b"", headers={"location": "/login"}), RequestRefused, "Enter the address that it leads to.", 302
    ),
    "307": Fault(Reply(307, b"", headers={"location": "/v1/chat/completions"}), RequestRefused, "is not followed", 307),
    "308": Fault(Reply(308, b"", headers={"location": "/v1/chat/completions"}), RequestRefused, "is not followed", 308),
    "a web page": Fault(
        Reply(200, HTML, content_type="text/html; charset=utf-8"),
        UnreadableAnswer,
        "returned a web page instead of an API response. Check the endpoint. If it is right, a sign-in page or a "
        "proxy may intercept the requests.",
    ),
    "null": Fault(Reply(200, None), UnreadableAnswer, "not a chat completion. Check the path in the endpoint."),
    "a list": Fault(Reply(200, []), UnreadableAnswer, "not a chat completion"),
    "an empty object": Fault(Reply(200, {}), UnreadableAnswer, "not a chat completion"),
    "a text": Fault(Reply(200, '"Hello"'), UnreadableAnswer, "not a chat completion"),
    "broken JSON": Fault(Reply(200, '{"choices": [{"mess'), UnreadableAnswer, "not a chat completion"),
    "bytes": Fault(Reply(200, b"\xff\xfe\x00"), UnreadableAnswer, "not a chat completion"),
    "deep JSON": Fault(Reply(200, "[" * 100_000), UnreadableAnswer, "not a chat completion"),
    "an empty body": Fault(Reply(200, b""), UnreadableAnswer, "not a chat completion"),
    "204": Fault(Reply(204, b""), UnreadableAnswer, "not a chat completion"),
    "an error with status 200": Fault(
        Reply(200, error("The model `x` does not exist", code="model_not_found", param="model")),
        NotFoundAtProvider,
        "There is no model “gpt-test” at",
        None,
        "model_not_found",
        "model",
    ),
    "an unknown error with status 200": Fault(
        Reply(200, {"error": {"message": "Boom."}}), ProviderUnavailable, "It says: “Boom.”"
    ),
    "broken compression": Fault(
        Reply(200, b"garbage", headers={"content-encoding": "gzip"}),
        UnreadableAnswer,
        "not a chat completion",
        request_id=None,
    ),
    "closed": Fault(Drop(), ConnectionFailed, "was lost before the answer was complete. Try again.", request_id=None),
    "reset": Fault(
        Drop(reset=True), ConnectionFailed, "was lost before the answer was complete. Try again.", request_id=None
    ),
}
CALLS: dict[str, Callable[[Client], object]] = {
    "execute_without_history": lambda client: client.execute_without_history("What is it?"),
    "call_api": lambda client: client.call_api(REQUEST),
    "stream": lambda client: list(client.stream(REQUEST)),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_each_fault_is_an_error_of_its_own_with_a_sentence(
    server: ProviderServer, client: Client, reports: list[CallReport], fault: Fault
) -> None:
    for number, call in enumerate(CALLS.values()):
        server.requests.clear()
        server.next(fault.reply)
        with pytest.raises(ConnectorError) as caught:
            call(client)
        failure = caught.value
        assert type(failure) is fault.kind
        assert fault.says in str(failure)
        assert str(failure) == f"{failure.sentence} {failure.advice}"
        facts = (failure.status, failure.code, failure.param, failure.request_id)
        assert facts == (fault.status, fault.code, fault.param, fault.request_id)
        assert server.key not in all_that_shows(failure)
        assert "sk-prov" not in all_that_shows(failure)
        assert "<html" not in str(failure)
        assert failure.__cause__ is None
        assert failure.__context__ is None
        assert len(server.requests) == 1, "nothing is sent twice and no redirect is followed"
        assert len(reports) == number + 1
        assert (reports[-1].error, reports[-1].status) == (failure, CallStatus.FAILED)
        assert reports[-1].request_id == fault.request_id


def test_refusals_of_azure_have_sentences_for_azure(server: ProviderServer) -> None:
    def failure_of(form: str, reply: Reply | None = None, **changes: Any) -> ConnectorError:
        if reply:
            server.next(reply)
        with pytest.raises(ConnectorError) as caught:
            Client(account(server, form, **changes), max_retries=0).call_api(REQUEST)
        return caught.value

    wrong = "0123456789abcdef0123456789abcdef"
    for form in ("Azure with a key", "Azure with a token", "Azure v1 with a key", "Azure v1 with a token"):
        refused = failure_of(form, api_key=wrong)
        assert isinstance(refused, KeyRefused)
        assert (KEY_OF_AZURE if form.endswith("key") else TOKEN_OF_AZURE) in refused.advice
        assert wrong not in all_that_shows(refused)
    missing = failure_of("Azure with a key", deployment_name="my-dep")
    assert isinstance(missing, NotFoundAtProvider)
    assert "no deployment “my-dep”" in str(missing)
    assert "Enter the deployment name, which is not the model name." in missing.advice
    assert missing.code == "DeploymentNotFound"
    nowhere = failure_of("Azure with a key", Reply(404, azure_error("Resource not found", "404")))
    assert isinstance(nowhere, NotFoundAtProvider)
    assert "Enter an API version that exists" in nowhere.advice
    assert "Also check the deployment name, and that the address ends in .azure.com." in nowhere.advice
    filtered = failure_of("Azure with a key", Reply(400, AZURE_FILTER))
    assert "violence: high" in str(filtered)


def test_azures_own_request_id_is_found(server: ProviderServer, client: Client) -> None:
    server.next(Reply(500, b"", headers={"x-request-id": "", "apim-request-id": "apim-7"}))
    with pytest.raises(ProviderUnavailable) as caught:
        client.call_api(REQUEST)
    assert caught.value.request_id == "apim-7"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e9"}, None),
        ({}, None),
    ],
)
def test_a_valid_retry_after_is_read(
    server: ProviderServer, client: Client, headers: dict[str, str], seconds: float | None
) -> None:
    server.next(Reply(429, error("Slow down."), headers=headers))
    with pytest.raises(RateLimited) as caught:
        client.call_api(REQUEST)
    assert caught.value.retry_after == seconds
    assert pickle.loads(pickle.dumps(caught.value)).retry_after == seconds


@pytest.mark.parametrize(
    ("status", "content", "reason"),
    [
        (400, error("Unsupported data type", code="OperationNotSupported"), "not_a_chat_model"),
        (404, error("This is not a chat model and thus not supported."), "not_a_chat_model"),
        (404, error("No such deployment", code="DeploymentNotFound"), "no_deployment"),
        (404, error("Not there", code="model_not_found"), "no_model"),
        (400, error("Invalid value", param="model"), "no_model"),
        (404, error("Resource not found"), "no_address"),
        (405, error("Method not allowed"), "no_address"),
        (400, error("API version not supported"), ""),  # no API version is sent to OpenAI
        (403, error("No access to model gpt-test", code="model_not_found"), "no_model"),
        (302, "", "redirect"),
        (400, error("The model output limit was reached."), "thinking_limit"),
        (400, error("Temperature is too high"), ""),
    ],
)
def test_a_refusal_names_its_cause(
    client: Client, server: ProviderServer, status: int, content: dict[str, Any] | str, reason: str
) -> None:
    server.next(Reply(status, content))
    with pytest.raises(ConnectorError) as caught:
        client.call_api(REQUEST)
    assert caught.value.reason == reason
    assert pickle.loads(pickle.dumps(caught.value)).reason == reason


def test_a_refusal_of_a_dated_api_version_names_it_as_the_cause(server: ProviderServer) -> None:
    server.next(Reply(400, error("API version not supported")))
    with pytest.raises(RequestRefused, match="refused the API version") as caught:
        Client(account(server, "Azure with a key"), max_retries=0).call_api(REQUEST)
    assert caught.value.reason == "api_version"


def test_a_refusal_says_whether_only_the_default_is_supported(server: ProviderServer, client: Client) -> None:
    others = "Unsupported value: 'temperature' does not support 0.2. Supported values are: '0' and '1'."
    for words, only_default in ((NO_TEMPERATURE, True), (others, False)):
        server.next(Reply(400, error(words, code="unsupported_value", param="temperature")))
        with pytest.raises(RequestRefused) as caught:
            client.call_api(REQUEST)
        assert (caught.value.refused, caught.value.only_default) == (("temperature",), only_default)


# -- the key


@pytest.mark.parametrize("form", ["OpenAI", "Azure with a key", "Azure with a token"])
def test_a_provider_that_repeats_the_key_is_not_quoted(server: ProviderServer, form: str) -> None:
    key = "0123456789abcdef0123456789abcdef"
    echo = f"You sent {key}."
    wordy: dict[str, Any] = {"message": echo, "type": key, "param": key, "code": key, "innererror": {"message": key}}
    filtered = {
        "code": "content_filter",
        "innererror": {"content_filter_result": {key: {"filtered": True, "severity": key}}},
    }
    headers = {"x-request-id": key, "retry-after": key, "location": f"/{key}", key: key}
    replies: list[AnyReply] = [
        Reply(status, {"error": wordy}, headers=headers) for status in (302, 400, 401, 404, 429, 500)
    ]
    replies += [
        Reply(status, body, headers=headers)
        for status in (400, 502)
        for body in (echo, {"error": echo}, {"detail": echo})
    ]
    replies += [Reply(400, {"error": filtered}, headers=headers), Reply(200, {"error": wordy}, headers=headers)]
    replies += [Reply(200, {"error": echo}, headers=headers), Reply(200, echo, headers=headers)]
    replies += [
        Chunks([{"error": wordy}], headers={"x-request-id": key}),
        Chunks([wordy]),
        Chunks([f"data: {echo}\n\n"]),
    ]
    client = Client(account(server, form, api_key=key, display_name="Mine"), max_retries=0)
    for reply in replies:
        server.next(reply)
        with pytest.raises(ConnectorError) as caught:
            list(client.stream(REQUEST))
        assert key not in all_that_shows(caught.value), reply


def test_what_looks_like_a_key_is_not_quoted_either(server: ProviderServer, client: Client) -> None:
    said = "Wrong: sk-proj-abc***xyz9, Bearer abcdefgh12345, eyJhbGciOiJub25lIn0.e30. Ask for help."
    server.next(Reply(400, error(said)))
    with pytest.raises(RequestRefused) as caught:
        client.call_api(REQUEST)
    assert "Wrong: [key], [key], [key] Ask for help." in str(caught.value)


def test_a_key_that_was_pasted_as_the_model_is_not_shown(server: ProviderServer) -> None:
    with pytest.raises(NotFoundAtProvider) as caught:
        Client(account(server, model_default=server.key), max_retries=0).call_api(REQUEST)
    assert server.key not in all_that_shows(caught.value)


def test_a_long_text_of_a_provider_is_truncated(server: ProviderServer, client: Client) -> None:
    server.next(Reply(400, error("Very\nlong. " * 1000)))
    with pytest.raises(RequestRefused) as caught:
        client.call_api(REQUEST)
    assert len(caught.value.provider_message) == 300
    assert len(caught.value.sentence) < 360
    assert "\n" not in str(caught.value)


# -- the network


def test_a_port_without_a_server_is_reported(reports: list[CallReport]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        port = taken.getsockname()[1]
        failure = network_failure(f"http://127.0.0.1:{port}/v1", reports)
    assert isinstance(failure, ConnectionFailed)
    assert (
        str(failure)
        == f"Nothing answers at 127.0.0.1:{port}. Check the port in the endpoint, and whether the server is running."
    )


def test_an_unknown_host_is_reported(reports: list[CallReport]) -> None:
    failure = network_failure("https://no-such-host.invalid/v1", reports)
    assert isinstance(failure, ConnectionFailed)
    assert "no-such-host.invalid" in str(failure)
    assert "Check the endpoint" in str(failure)


def test_https_to_an_http_port_is_reported(server: ProviderServer, reports: list[CallReport]) -> None:
    failure = network_failure(f"https://127.0.0.1:{server.port}/v1", reports)
    assert isinstance(failure, ConnectionFailed)
    assert "does not speak https at this port. Enter the endpoint with http://, or another port." in str(failure)


def test_an_untrusted_certificate_is_reported(self_signed: int, reports: list[CallReport]) -> None:
    failure = network_failure(f"https://127.0.0.1:{self_signed}/v1", reports)
    assert isinstance(failure, ConnectionFailed)
    assert "is not trusted on this machine: self" in str(failure)
    assert "make this machine trust the certificate of your proxy or server." in str(failure)


def test_a_call_to_a_silent_server_ends_after_the_timeout(server: ProviderServer, reports: list[CallReport]) -> None:
    server.next(Hang(), Hang())
    client = Client(account(server), on_call=reports.append, timeout=httpx2.Timeout(None, read=0.1), max_retries=0)
    for call in (client.call_api, client.stream):
        with pytest.raises(NoAnswerInTime, match=r"sent nothing for 0\.1 s\. Try again, or ask for a shorter answer"):
            call(REQUEST)
        assert server.disconnected.wait(120)  # it has read the request by then
        server.disconnected.clear()
    assert [each.status for each in reports] == [CallStatus.FAILED] * 2
    assert len(server.requests) == 2


def test_a_complete_answer_that_is_cut_off_is_an_error(server: ProviderServer, client: Client) -> None:
    server.next(Chunks(['{"choices": ['], then="close"), Chunks(['{"choices": ['], then="reset"))
    for _ in range(2):
        with pytest.raises(ConnectionFailed, match="was lost before the answer was complete"):
            client.call_api(REQUEST)


def test_a_closed_http_client_is_reported_with_a_sentence(server: ProviderServer) -> None:
    http_client = httpx2.Client(trust_env=False)
    http_client.close()
    with pytest.raises(ConnectorError):
        Client(account(server), http_client=http_client, max_retries=0).call_api(REQUEST)


def network_failure(endpoint: str, reports: list[CallReport]) -> ConnectorError:
    key = "0123456789abcdef0123456789abcdef"
    configuration = Configuration(
        display_name="Mine",
        api_type="OpenAI",  # type: ignore[arg-type]  # as it comes out of a form
        endpoint=endpoint,
        api_key=key,
        model_default="gpt-test",
    )
    client = Client(configuration, on_call=reports.append, timeout=PATIENCE, max_retries=0)
    with pytest.raises(ConnectorError) as first:
        client.stream(REQUEST)
    with pytest.raises(ConnectorError) as second:
        client.call_api(REQUEST)
    assert str(first.value) == str(second.value)
    assert key not in all_that_shows(second.value)
    assert second.value.__cause__ is None
    assert second.value.__context__ is None
    assert [each.error for each in reports] == [first.value, second.value]
    return second.value


@pytest.fixture
def self_signed(tmp_path: Path) -> Iterator[int]:
    """A port where TLS is spoken with a certificate that nobody vouches for."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .sign(private, hashes.SHA256())
    )
    file = tmp_path / "both.pem"
    pem = serialization.Encoding.PEM
    pkcs8, no_encryption = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file.write_bytes(private.private_bytes(pem, pkcs8, no_encryption) + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def shake_hands() -> None:
            for _ in range(2):
                connection, _ = listening.accept()
                with connection, pytest.raises(OSError):  # noqa: PT011 - the client hangs up
                    context.wrap_socket(connection, server_side=True)

        thread = threading.Thread(target=shake_hands)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


# -- errors as values


def test_every_error_can_be_pickled_and_copied() -> None:
    facts: dict[str, Any] = {"status": 418, "code": "teapot", "param": "tea", "request_id": "req-1"}
    errors = [kind("A sentence.", **facts) for kind in sentence_errors()]
    errors += [InvalidRequest({"n": "Too many.", "top_p": "Too much."}), InvalidConfiguration({"endpoint": "No."})]
    for each in errors:
        for twin in (pickle.loads(pickle.dumps(each)), copy.copy(each), copy.deepcopy(each)):
            assert type(twin) is type(each)
            assert (str(twin), twin.args, vars(twin)) == (str(each), each.args, vars(each))


def test_every_error_is_a_connector_error_with_a_kind_of_its_own() -> None:
    classes: list[type[ConnectorError]] = [*sentence_errors(), InvalidRequest, InvalidConfiguration]
    kinds = [each.kind for each in classes]
    assert len(set(kinds)) == len(kinds)
    assert all(each.isidentifier() for each in kinds)


def sentence_errors() -> list[type[ConnectorError]]:
    return [
        ConnectorError,
        AccessDenied,
        AnswerInterrupted,
        ConnectionFailed,
        ContentFiltered,
        KeyRefused,
        NoAnswerInTime,
        NotFoundAtProvider,
        ProviderUnavailable,
        QuotaExceeded,
        RateLimited,
        RequestRefused,
        UnreadableAnswer,
    ]


@each_call
def test_the_error_of_a_real_call_can_be_pickled(
    server: ProviderServer, client: Client, call: Callable[[Client], object]
) -> None:
    server.next(Reply(429, error("Slow down.", code="x", param="y"), headers={"retry-after": "2"}))
    with pytest.raises(RateLimited) as caught:
        call(client)
    twin = pickle.loads(pickle.dumps(caught.value))
    assert (str(twin), vars(twin)) == (str(caught.value), vars(caught.value))


def test_an_invalid_request_names_every_field() -> None:
    with pytest.raises(InvalidRequest) as caught:
        ChatCompletionsRequest.of_prompts("Hi", temperature=3, n=0)
    twin = pickle.loads(pickle.dumps(caught.value))
    assert set(twin.problems) == {"temperature", "n"}
    assert isinstance(twin, ConnectorError)
    assert (twin.status, twin.code, twin.param, twin.request_id) == (None, None, None, None)


def test_a_prompt_that_a_provider_repeats_is_not_shown(server: ProviderServer) -> None:
    prompt = "My secret plan is to open a bakery in the old harbour."
    said = f"[{{'type': 'missing', 'input': {{'role': 'user', 'content': '{prompt}'}}}}]"
    client = Client(account(server), max_retries=0)
    for reply in (Reply(400, error(said)), Reply(422, {"detail": said}), Reply(200, error(said))):
        server.next(reply)
        with pytest.raises(ConnectorError) as caught:
            client.execute_without_history(prompt)
        assert "bakery" not in all_that_shows(caught.value)


@pytest.mark.parametrize("key", ["x", "token", "t"])
def test_a_short_key_does_not_damage_the_text_of_the_provider(server: ProviderServer, key: str) -> None:
    said = error(f"Not with {key}: max_tokens.", code="context_length_exceeded", param="max_tokens")
    server.next(Reply(400, said), Reply(400, error("No.", code="content_filter")))
    client = Client(account(server, api_key=key), max_retries=0)
    with pytest.raises(RequestRefused, match=r"Not with \[key\]: max_tokens\.") as caught:
        client.execute_without_history("Hello")
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "max_tokens")
    with pytest.raises(ContentFiltered):
        client.execute_without_history("Hello")


@pytest.mark.parametrize("field", ["name", "refusal", "tool_call_id"])
def test_an_invalid_character_in_a_message_is_reported_before_it_is_sent(field: str) -> None:
    role = {"name": Role.USER, "refusal": Role.ASSISTANT, "tool_call_id": Role.TOOL}[field]
    with pytest.raises(InvalidRequest) as caught:
        Message.model_validate({"role": role, "content": "Hello", field: "half \ud83d"})
    assert list(caught.value.problems) == [field]
