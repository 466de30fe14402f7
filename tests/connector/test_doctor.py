"""A configuration is examined step by step: what is wrong is found at its own step, with advice of its own.

Every set-up is a real server on this machine, or the lack of one. None may show the key or the prompt, and what only
looks at the way there must not carry the key.
"""

import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connector import (
    Adaptation,
    Adaptations,
    ApiType,
    CallReport,
    CallStatus,
    Configuration,
    Finding,
    KeyType,
    State,
    Step,
    examine,
    pooled_http_client,
    steps_of,
)
from tests.connector.conftest import FORMS, PATIENCE, account, each_form
from tests.provider.answers import azure_error, chunk, completion, error, unknown_model, unknown_path, wrong_key
from tests.provider.server import AnyReply, Chunks, Drop, Hang, ProviderServer, Reply
from tests.provider.validation import Form

AZURE, AZURE_V1 = "Azure with a key", "Azure v1 with a key"
SOON = {"retry-after-ms": "1"}
SHORT_GLANCE = httpx2.Timeout(10, connect=0.3)  # calls have their time, the look at the way has not
HTML = "<!DOCTYPE html><html><head><title>Welcome</title></head></html>"
NOT_HERE = Reply(404, HTML, content_type="text/html")  # to the request that looks whether the host is there
TO_REACH = (Step.ADDRESS, Step.NAME, Step.CONNECTION)
TO_KNOW = (*TO_REACH, Step.API, Step.KEY)
TO_ASK = (*TO_KNOW, Step.MODEL)
Quirk = Callable[[dict[str, Any]], AnyReply | None]


# -- servers, and the lack of one


def capable(body: dict[str, Any]) -> Reply | None:
    """A model that keeps to schemas and calls tools, which the server's own does not."""
    answer = completion('{"ok": true}' if "response_format" in body else "OK")
    if "tools" in body:
        call = {"id": "call-1", "type": "function", "function": {"name": "report_health", "arguments": "{}"}}
        answer["choices"][0] |= {
            "message": {"role": "assistant", "content": None, "tool_calls": [call]},
            "finish_reason": "tool_calls",
        }
    return None if body.get("stream") else Reply(200, answer)


def with_quirk(quirk: Quirk) -> Quirk:
    return lambda body: quirk(body) or capable(body)


def refusing(parameter: str, reply: AnyReply) -> Quirk:
    return lambda body: reply if parameter in body else None


def unrecognized(parameter: str) -> Reply:
    return Reply(400, error(f"Unrecognized request argument supplied: {parameter}"))


@dataclass(frozen=True)
class Tls:
    """A server that speaks TLS, and the file that vouches for it."""

    server: ProviderServer
    ca_file: Path

    @property
    def endpoint(self) -> str:
        return f"https://localhost:{self.server.port}/v1"


@pytest.fixture(scope="module")
def tls_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Tls]]:
    """By what is said of their certificates, which are their own; all are for the name localhost."""
    folder = tmp_path_factory.mktemp("certificates")
    running = {"good": tls_server(folder / "good.pem", days=1), "expired": tls_server(folder / "expired.pem", days=-1)}
    for tls in running.values():
        tls.server.__enter__()
    yield running
    for tls in running.values():
        tls.server.__exit__()


def tls_server(file: Path, days: int) -> Tls:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .not_valid_before(datetime.now(UTC) - timedelta(days=9))
        .not_valid_after(datetime.now(UTC) + timedelta(days=days))
        .sign(private, hashes.SHA256())
    )
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = private.private_bytes(pem, pkcs8, serialization.NoEncryption())
    file.write_bytes(secret + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = ProviderServer()
    server._http.socket = context.wrap_socket(server._http.socket, server_side=True)
    return Tls(server, file)


@pytest.fixture
def places(server: ProviderServer, tls_servers: dict[str, Tls]) -> Iterator[dict[str, int]]:
    """The ports that an address in a set-up may name."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        ports = {name: tls.server.port for name, tls in tls_servers.items()}
        yield {"port": server.port, "closed": closed.getsockname()[1], **ports}


def examined(server: ProviderServer, configuration: Configuration, **options: Any) -> list[Finding]:
    """What was found; holds for every examination that the secrets stay where they belong."""
    findings = list(examine(configuration, **{"timeout": PATIENCE, **options}))
    assert {finding.step for finding in findings} <= set(steps_of(configuration))
    key = configuration.api_key.get_secret_value()
    prompts = [
        message["content"]
        for received in server.requests
        for message in (received.body or {}).get("messages", ())
        if received.method == "POST"
    ]
    shown = repr(findings)
    for secret in (key, key[-4:], *prompts):
        assert secret not in shown
    for received in server.requests:
        is_a_call = bool((received.body or {}).get("messages")) or received.path.endswith("/models")
        assert is_a_call or not any(key in value for value in received.headers.values()), "nobody needs the key here"
    return findings


# -- what does not work


@dataclass(frozen=True)
class Broken:
    """A set-up, the step that fails, and what is said. The steps `passed` come before it, and only they."""

    passed: tuple[Step, ...]
    step: Step
    says: str
    advice: str
    replies: tuple[AnyReply, ...] = ()
    """To the calls."""
    root: AnyReply | None = NOT_HERE
    """To the request that looks at the way; None where it does not come."""
    form: str = "OpenAI"
    changes: dict[str, Any] = field(default_factory=dict)
    proxy: str = ""
    trusts: str = ""
    """The server whose certificate is in OUTGOING_CA_FILE."""
    patience: float = 10
    """Seconds that an answer is waited for."""
    remarks: tuple[Step, ...] = ()
    """Which of `passed` come with a remark."""
    same_as: str = ""
    """The set-up that is truly the same thing, so that its advice is, too."""


def elsewhere(address: str, status: int = 307) -> tuple[Reply, Reply]:
    """To the call, and to the question where it leads to."""
    reply = Reply(status, "", headers={"location": address})
    return reply, reply


def unreached(step: Step, says: str, advice: str, endpoint: str, passed: tuple[Step, ...], **rest: Any) -> Broken:
    return Broken(passed, step, says, advice, root=None, changes={"endpoint": endpoint}, **rest)


TOKEN = "A token lives for about an hour and has to be for {}; its owner needs the role Cognitive Services "
TOKEN += "OpenAI User."
PATH = "Check the endpoint, which ends in /v1 for most servers, and the model “gpt-test”."
BROKEN = {
    # the address
    "the example's address": unreached(
        Step.ADDRESS,
        "This is still the example's address.",
        "Enter the address of your own resource.",
        "https://your-resource-name.openai.azure.com/openai/deployments/",
        (),
        form=AZURE,
    ),
    "OpenAI's address under Azure": unreached(
        Step.ADDRESS,
        "This is the address of OpenAI itself.",
        "Choose OpenAI as the provider, or enter Azure's address.",
        "https://api.openai.com/v1",
        (),
        form=AZURE,
    ),
    "Azure's address under OpenAI": unreached(
        Step.ADDRESS,
        "This is the address of an Azure resource.",
        "Choose Azure OpenAI as the provider.",
        "https://mine.openai.azure.com",
        (),
    ),
    # the way
    "no such host": unreached(
        Step.NAME,
        "The host no-such-host.invalid was not found.",
        "Check the endpoint for typing errors, and the network. If this machine reaches the internet through a proxy "
        "only, set OUTGOING_PROXY.",
        "https://no-such-host.invalid/v1",
        (Step.ADDRESS,),
    ),
    "nothing listens": unreached(
        Step.CONNECTION,
        "Nothing answers at 127.0.0.1:{closed}.",
        "Check the port in the endpoint, and whether the server is running. Also check OUTGOING_PROXY if it is set.",
        "http://127.0.0.1:{closed}/v1",
        (Step.ADDRESS, Step.NAME),
    ),
    "no proxy listens": unreached(
        Step.CONNECTION,
        "Nothing answers at 127.0.0.1:{port}.",
        "Check the port in the endpoint, and whether the server is running. Also check OUTGOING_PROXY if it is set.",
        "http://127.0.0.1:{port}/v1",
        (Step.ADDRESS, Step.NAME),
        proxy="http://127.0.0.1:{closed}",
        same_as="nothing listens",
    ),
    "a proxy that refuses": unreached(
        Step.CONNECTION,
        "The proxy refused to connect: “501 Unsupported method ('CONNECT')”.",
        "Check OUTGOING_PROXY, and whether the proxy allows this host.",
        "https://provider.invalid/v1",
        (Step.ADDRESS,),
        proxy="http://127.0.0.1:{port}",
    ),
    "a proxy that is not trusted": unreached(
        Step.CONNECTION,
        "not trusted on this machine: self",
        "If the endpoint is right, make this machine trust the certificate of your proxy or server. OUTGOING_CA_FILE "
        "can contain it.",
        "http://127.0.0.1:{port}/v1",
        (Step.ADDRESS, Step.NAME),
        proxy="https://localhost:{good}",
        same_as="a self-signed certificate",
    ),
    "a self-signed certificate": unreached(
        Step.CERTIFICATE,
        "The certificate of localhost:{good} is not trusted on this machine: self",
        "If the endpoint is right, make this machine trust the certificate of your proxy or server. OUTGOING_CA_FILE "
        "can contain it.",
        "https://localhost:{good}/v1",
        TO_REACH,
    ),
    "an expired certificate": unreached(
        Step.CERTIFICATE,
        "The certificate of localhost:{expired} has expired.",
        "The server's administrator has to renew it. Also check the clock of this machine.",
        "https://localhost:{expired}/v1",
        TO_REACH,
        trusts="expired",
    ),
    "a certificate for another name": unreached(
        Step.CERTIFICATE,
        "The certificate does not match the host name 127.0.0.1:{good}.",
        "Enter the endpoint with the host name that the certificate was issued for.",
        "https://127.0.0.1:{good}/v1",
        TO_REACH,
        trusts="good",
    ),
    "https to an http port": unreached(
        Step.CERTIFICATE,
        "127.0.0.1:{port} does not speak https at this port.",
        "Enter the endpoint with http://, or another port.",
        "https://127.0.0.1:{port}/v1",
        TO_REACH,
    ),
    "http to a TLS port": unreached(
        Step.CONNECTION,
        "127.0.0.1:{good} does not speak plain http at this port.",
        "Enter the address with https:// instead of http://.",
        "http://127.0.0.1:{good}/v1",
        (Step.ADDRESS, Step.NAME),
    ),
    "http to a TLS port of a server that says so": Broken(
        (Step.ADDRESS, Step.NAME),
        Step.CONNECTION,
        "does not speak plain http at this port.",
        "Enter the address with https:// instead of http://.",
        root=Reply(400, "<html>The plain HTTP request was sent to HTTPS port</html>", content_type="text/html"),
        same_as="http to a TLS port",
    ),
    # no API there
    "a web page": Broken(
        TO_REACH,
        Step.API,
        "returned a web page instead of an API response.",
        "Check the endpoint. If it is right, a sign-in page or a proxy may intercept the requests.",
        (Reply(200, HTML, content_type="text/html; charset=utf-8"),),
    ),
    "another JSON": Broken(
        TO_REACH,
        Step.API,
        "returned something that is not a chat completion.",
        "Check the path in the endpoint.",
        (Reply(200, {"name": "a server of something else"}),),
    ),
    "a redirect to a sign-in": Broken(
        TO_REACH,
        Step.API,
        "127.0.0.1:{port} redirects calls to login.example.com (302).",
        "The API is behind a sign-in page. Ask for an address that accepts the key alone.",
        elsewhere("https://login.example.com/tenant/oauth2/authorize?client_id=7", 302),
    ),
    "a redirect to a sign-in of its own": Broken(
        TO_REACH,
        Step.API,
        "127.0.0.1:{port} redirects calls to another address (303).",
        "The API is behind a sign-in page. Ask for an address that accepts the key alone.",
        elsewhere("/users/sign_in", 303),
        same_as="a redirect to a sign-in",
    ),
    "a redirect to https": Broken(
        TO_REACH,
        Step.API,
        "redirects calls to another address (308).",
        "Enter the address with https://.",
        elsewhere("https://127.0.0.1/v1/chat/completions", 308),
    ),
    "a redirect to somewhere else": Broken(
        TO_REACH,
        Step.API,
        "redirects calls to association.example.com (307).",
        "The redirect is not followed, because it would also send the key. Enter the address that it leads to.",
        elsewhere("https://association.example.com/authors/v1/chat/completions"),
    ),
    "a redirect to nowhere": Broken(
        TO_REACH,
        Step.API,
        "redirects calls to another address (301).",
        "The redirect is not followed, because it would also send the key. Enter the address that it leads to.",
        (Reply(301, ""), Reply(301, "")),
        same_as="a redirect to somewhere else",
    ),
    "a wrong path": Broken(
        TO_REACH,
        Step.API,
        "does not have this address (404). It says: “Invalid URL (POST /v2/chat/completions)”",
        f"Calls go to http://127.0.0.1:{{port}}/v2/chat/completions. {PATH}",
        changes={"endpoint": "http://127.0.0.1:{port}/v2"},
    ),
    "a path that takes no POST": Broken(
        TO_REACH,
        Step.API,
        "does not have this address (405). It says: “Method Not Allowed”",
        f"Calls go to http://127.0.0.1:{{port}}/v1/chat/completions. {PATH}",
        (Reply(405, {"detail": "Method Not Allowed"}),),
        same_as="a wrong path",
    ),
    "the address of responses": Broken(
        TO_REACH,
        Step.API,
        "does not have this address (404).",
        f"Calls go to http://127.0.0.1:{{port}}/v1/responses/chat/completions. {PATH}",
        changes={"endpoint": "http://127.0.0.1:{port}/v1/responses"},
        remarks=(Step.ADDRESS,),
        same_as="a wrong path",
    ),
    "Ollama's own address": Broken(
        TO_REACH,
        Step.API,
        "does not have this address (404).",
        f"Calls go to http://127.0.0.1:{{port}}/api/chat/chat/completions. {PATH}",
        changes={"endpoint": "http://127.0.0.1:{port}/api/chat"},
        remarks=(Step.ADDRESS,),
        same_as="a wrong path",
    ),
    "the address of the models": Broken(
        TO_REACH,
        Step.API,
        "does not have this address (404). It says: “Invalid URL (POST /v1/models/chat/completions)”",
        f"Calls go to http://127.0.0.1:{{port}}/v1/models/chat/completions. {PATH}",
        changes={"endpoint": "http://127.0.0.1:{port}/v1/models"},
        remarks=(Step.ADDRESS,),
        same_as="a wrong path",
    ),
    # the key
    "a wrong key at OpenAI": Broken(
        (*TO_REACH, Step.API),
        Step.KEY,
        "did not accept the key (401). It says: “Incorrect API key provided: [key] You can find",
        "Copy the complete key again from the provider of this address.",
        (Reply(401, wrong_key(Form.OPENAI, "sk-provider-test-key-7f3a")),),
    ),
    "a wrong key that is refused with 400": Broken(
        (*TO_REACH, Step.API),
        Step.KEY,
        "did not accept the key (400). It says: “API key not valid.”",
        "Copy the complete key again from the provider of this address.",
        (Reply(400, error("API key not valid.", code="invalid_api_key")),),
        same_as="a wrong key at OpenAI",
    ),
    "a wrong key at Azure": Broken(
        (*TO_REACH, Step.API),
        Step.KEY,
        "did not accept the key (401). It says: “Access denied due to invalid subscription key",
        "Copy the key again from Keys and Endpoint of this resource; each resource has its own keys.",
        (Reply(401, wrong_key(Form.AZURE, None)),),
        form=AZURE,
    ),
    "an expired token": Broken(
        (*TO_REACH, Step.API),
        Step.KEY,
        "did not accept the key (401). It says: “Unauthorized. Access token is missing",
        TOKEN.format("https://cognitiveservices.azure.com/.default"),
        (Reply(401, wrong_key(Form.AZURE, "expired")),),
        form="Azure with a token",
    ),
    "an expired token for Azure's v1": Broken(
        (*TO_REACH, Step.API),
        Step.KEY,
        "did not accept the key (401).",
        TOKEN.format("https://ai.azure.com/.default"),
        (Reply(401, wrong_key(Form.AZURE_V1, "expired")),),
        form="Azure v1 with a token",
    ),
    "network rules": Broken(
        (*TO_REACH, Step.API),
        Step.KEY,
        "denies access (403). It says: “Access denied due to Virtual Network/Firewall rules.”",
        "The cause is rarely the key itself: check its permissions or roles, the network rules and the region.",
        (Reply(403, azure_error("Access denied due to Virtual Network/Firewall rules.", "403")),),
        form=AZURE,
    ),
    "a wrong key in Gemini's words": Broken(
        (*TO_REACH, Step.API),
        Step.KEY,
        "did not accept the key (400). It says: “API key not valid. Please pass a valid API key.”",
        "Copy the complete key again from the provider of this address.",
        (Reply(400, [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}]),),
        same_as="a wrong key at OpenAI",
    ),
    "a key without the scope": Broken(
        (*TO_REACH, Step.API),
        Step.KEY,
        "accepts the key, but not for this request (401). It says: “You have insufficient permissions for this",
        "Give the key or its owner the scope, role or subscription that is missing.",
        (Reply(401, error("You have insufficient permissions for this operation. Missing scopes: model.request.")),),
    ),
    "a gateway that reads the key from another header": Broken(
        (*TO_REACH, Step.API),
        Step.KEY,
        "did not find the key (401). It says: “Access denied due to missing subscription key.",
        "It reads the key from another header, for example Ocp-Apim-Subscription-Key.",
        (Reply(401, {"statusCode": 401, "message": "Access denied due to missing subscription key. Make sure."}),),
    ),
    # the model
    "no such deployment": Broken(
        TO_KNOW,
        Step.MODEL,
        "There is no deployment “gpt-4o” at 127.0.0.1:{port} (404).",
        "Enter the deployment name, which is not the model name. A new deployment needs about five minutes.",
        (Reply(404, unknown_model(Form.AZURE, "gpt-4o")),),
        form=AZURE,
        changes={"deployment_name": "gpt-4o"},
    ),
    "no such model": Broken(
        TO_KNOW,
        Step.MODEL,
        "There is no model “gpt-tset” at 127.0.0.1:{port}, or the key has no access to it (404).",
        "Choose another model. This server has gpt-test, and others.",
        (Reply(404, unknown_model(Form.OPENAI, "gpt-tset")),),
        changes={"model_default": "gpt-tset"},
    ),
    "no such model in Ollama's words": Broken(
        TO_KNOW,
        Step.MODEL,
        "There is no model “llama” at 127.0.0.1:{port}, or the key has no access to it (404).",
        "Choose another model. This server has chat-test, gpt-test.",
        (Reply(404, error("model 'llama' not found", type="api_error")),),
        changes={"model_default": "llama"},
        same_as="no such model",
    ),
    "no model named": Broken(
        TO_REACH,
        Step.MODEL,
        "No model is set.",
        "Enter a default model. This server has chat-test, gpt-test.",
        changes={"model_default": ""},
    ),
    "a model of another kind": Broken(
        TO_KNOW,
        Step.MODEL,
        "“gpt-test” is not a chat model. It says: “This is not a chat model",
        "Choose a chat model. This server has chat-test, gpt-test.",
        (
            Reply(
                404,
                error(
                    "This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean "
                    "to use v1/completions?",
                    param="model",
                ),
            ),
        ),
    ),
    "a model for responses only": Broken(
        TO_KNOW,
        Step.MODEL,
        "“gpt-test” is offered in another API only, v1/responses (404). It says: “This model is only supported",
        "Choose a chat model. This server has chat-test, gpt-test.",
        (
            Reply(
                404,
                error("This model is only supported in v1/responses and not in v1/chat/completions.", param="model"),
            ),
        ),
        same_as="a model of another kind",
    ),
    "a model that may not be named so": Broken(
        TO_KNOW,
        Step.MODEL,
        "There is no model “gpt-test” at 127.0.0.1:{port}, or the key has no access to it (400). It says: “invalid ID”",
        "Choose another model. This server has gpt-test, chat-test.",
        (Reply(400, error("invalid ID", param="model")),),
        same_as="no such model",
    ),
    "a deployment of an embeddings model": Broken(
        TO_KNOW,
        Step.MODEL,
        "“gpt-test” is not a chat model. It says: “The chatCompletion operation does not work with the specified model",
        "Enter the deployment of a chat model.",
        (
            Reply(
                400,
                azure_error(
                    "The chatCompletion operation does not work with the specified model, text-embedding-ada-002. "
                    "Please choose different model and try again.",
                    "OperationNotSupported",
                ),
            ),
        ),
        form=AZURE_V1,
    ),
    # the version
    "a version that Azure does not know": Broken(
        (*TO_REACH, Step.API),
        Step.VERSION,
        "does not have this address (404). It says: “Resource not found”",
        "Enter an API version that exists, for example 2024-10-21, or v1. "
        "Also check the deployment name, and that the address ends in .azure.com.",
        (Reply(404, unknown_path("POST", "/openai/deployments/gpt-test/chat/completions")),),
        form=AZURE,
        changes={"api_version": "2024-10-22"},
    ),
    "a version that Azure refuses": Broken(
        (*TO_REACH, Step.API),
        Step.VERSION,
        "127.0.0.1:{port} refused the API version (400). It says: “The api-version '2022-12-01' is not supported.”",
        "Enter v1, or 2025-04-01-preview.",
        (Reply(400, azure_error("The api-version '2022-12-01' is not supported.", "InvalidApiVersion")),),
        form=AZURE,
        changes={"api_version": "2022-12-01"},
    ),
    "a model that needs a newer version": Broken(
        (*TO_REACH, Step.API),
        Step.VERSION,
        "127.0.0.1:{port} refused the API version (400). It says: “Model o3-mini is enabled only for api versions "
        "2024-12-01-preview and later”",
        "Enter v1, or 2025-04-01-preview.",
        (
            Reply(
                400,
                azure_error(
                    "Model o3-mini is enabled only for api versions 2024-12-01-preview and later", "BadRequest"
                ),
            ),
        ),
        form=AZURE,
        same_as="a version that Azure refuses",
    ),
    # the answer
    "no quota": Broken(
        TO_ASK,
        Step.ANSWER,
        "Key and model are right, but the account at 127.0.0.1:{port} has no credit or quota left (429). It says: “You "
        "exceeded",
        "Check its billing and its limits; waiting does not help.",
        (Reply(429, error("You exceeded your current quota.", type="insufficient_quota", code="insufficient_quota")),),
    ),
    "a rate limit": Broken(
        TO_ASK,
        Step.ANSWER,
        "Key and model are right, but the account at 127.0.0.1:{port} has reached its rate limit (429). It says: “Rate "
        "limit reached",
        "Try again in 1 second. If it happens again, raise the limit of the deployment or the account.",
        (Reply(429, error("Rate limit reached for gpt-test.", code="rate_limit_exceeded"), headers=SOON),) * 2,
    ),
    "Azure's rate limit, which mentions the API version": Broken(
        TO_ASK,
        Step.ANSWER,
        "has reached its rate limit (429). It says: “Requests to the ChatCompletions_Create Operation under Azure "
        "OpenAI API version 2024-10-21 have exceeded",
        "Try again in 1 second. If it happens again, raise the limit of the deployment or the account.",
        (
            Reply(
                429,
                azure_error(
                    "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have "
                    "exceeded token rate limit of your current OpenAI S0 pricing tier.",
                    "429",
                ),
                headers=SOON,
            ),
        )
        * 2,
        form=AZURE,
        same_as="a rate limit",
    ),
    "a model that is still being loaded": Broken(
        TO_REACH,
        Step.ANSWER,
        "127.0.0.1:{port} reports a server error (503). It says: “Loading model”",
        "Try again later; if the server is yours, check its log.",
        (Reply(503, error("Loading model", type="unavailable_error"), headers=SOON),) * 2,
    ),
    "an error behind status 200": Broken(
        TO_REACH,
        Step.ANSWER,
        "127.0.0.1:{port} reports a server error. It says: “Boom.”",
        "Try again later; if the server is yours, check its log.",
        (Reply(200, {"error": {"message": "Boom."}}),),
        same_as="a model that is still being loaded",
    ),
    "a silent server": Broken(
        TO_REACH,
        Step.ANSWER,
        "127.0.0.1:{port} accepted the request but then sent nothing for 0.2 s.",
        "Try again, or ask for a shorter answer. If it happens again, the server is overloaded or its model is still "
        "loading.",
        (Hang(),),
        patience=0.2,
    ),
    "a server that hangs up": Broken(
        TO_REACH,
        Step.ANSWER,
        "The connection to 127.0.0.1:{port} was lost before the answer was complete.",
        "Try again. If it happens again, check the server's own log.",
        (Drop(),),
    ),
    "a refusal": Broken(
        TO_ASK,
        Step.ANSWER,
        "127.0.0.1:{port} refused the request (400). It says: “This model takes pictures only.”",
        "Correct the part of the request that it names.",
        (Reply(400, error("This model takes pictures only.")),),
    ),
    "a refusal that may come before anybody looks at the key": Broken(
        (*TO_REACH, Step.API),
        Step.ANSWER,
        "127.0.0.1:{port} refused the request (422). It says: “messages: Field required”",
        "Correct the part of the request that it names.",
        (Reply(422, {"detail": [{"type": "missing", "loc": ["body", "messages"], "msg": "Field required"}]}),),
        same_as="a refusal",
    ),
    "a proxy that counts requests": Broken(
        (*TO_REACH, Step.API),
        Step.ANSWER,
        "127.0.0.1:{port} accepts no more requests for now (429). It says: “Too many requests”",
        "Try again in 1 second. If it happens again, ask for a higher limit.",
        (Reply(429, "Too many requests", content_type="text/plain", headers=SOON),) * 2,
    ),
    "a request that is larger than the allowance of a minute": Broken(
        TO_ASK,
        Step.ANSWER,
        "This request alone is larger than what 127.0.0.1:{port} allows in a minute (429). It says: “Request too large",
        "Shorten the prompt or lower the token limit of the answer; waiting does not help.",
        (Reply(429, error("Request too large for x on tokens per min: Limit 9.", code="rate_limit_exceeded")),),
    ),
    "a refusal that names a version where none is sent": Broken(
        TO_ASK,
        Step.ANSWER,
        "127.0.0.1:{port} refused the request (400). It says: “Unknown API version.”",
        "Correct the part of the request that it names.",
        (Reply(400, error("Unknown API version.")),),
        form=AZURE_V1,
        same_as="a refusal",
    ),
    "a refusal without a word, of which nobody knows whether it looked at the key": Broken(
        (*TO_REACH, Step.API),
        Step.ANSWER,
        "127.0.0.1:{port} refused the request (413). It does not say why.",
        "Check the server's log, or ask its administrator.",
        (Reply(413, HTML, content_type="text/html"),),
    ),
}
each_broken = pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)


def findings_of(
    server: ProviderServer, places: dict[str, int], tls_servers: dict[str, Tls], broken: Broken, **options: Any
) -> list[Finding]:
    server.next(*([broken.root] if broken.root else []), *broken.replies)
    changes = {name: value.format(**places) for name, value in broken.changes.items()}
    trusted = str(tls_servers[broken.trusts].ca_file) if broken.trusts else None
    options["timeout"] = httpx2.Timeout(10, read=broken.patience)
    with ExitStack() as closing:
        if broken.proxy or trusted:
            own = pooled_http_client(proxy=broken.proxy.format(**places) or None, ca_file=trusted)
            options["http_client"] = closing.enter_context(own)
        findings = examined(server, account(server, broken.form, **changes), **options)
    assert not server.scripted, "everything that the set-up is about was asked for"
    return findings


@each_broken
def test_a_broken_set_up_fails_at_its_own_step_with_advice(
    server: ProviderServer,
    places: dict[str, int],
    tls_servers: dict[str, Tls],
    reports: list[CallReport],
    broken: Broken,
) -> None:
    findings = findings_of(server, places, tls_servers, broken, on_call=reports.append)
    failed = findings[-1]
    expected = [(step, State.LIMITED if step in broken.remarks else State.PASSED) for step in steps(broken)]
    assert [(finding.step, finding.state) for finding in findings] == [*expected, (broken.step, State.FAILED)]
    assert broken.says.format(**places) in failed.sentence
    assert failed.advice == broken.advice.format(**places)
    assert all(bool(finding.advice) == (finding.state is not State.PASSED) for finding in findings)
    assert [report.status for report in reports] in ([], [CallStatus.FAILED])
    assert bool(reports) == (broken.root == NOT_HERE and broken.says != "No model is set.")


def steps(broken: Broken) -> list[Step]:
    """What passes before the failure; at Azure's dated API a model that is there is there in this version."""
    has_version = broken.form in (AZURE, "Azure with a token") and Step.MODEL in broken.passed
    return [*broken.passed, *([Step.VERSION] if has_version else [])]


def test_every_set_up_has_advice_of_its_own() -> None:
    """Each is held against what is really found above, so that here the table is enough."""
    all_of_them: dict[str, Broken | Lame] = {**BROKEN, **LAME}
    assert len(all_of_them) == len(BROKEN) + len(LAME)
    own = [each.advice for each in all_of_them.values() if not each.same_as]
    assert len(own) >= 40
    assert len(set(own)) == len(own)
    for each in all_of_them.values():
        assert not each.same_as or not all_of_them[each.same_as].same_as


@each_broken
@pytest.mark.parametrize(
    "with_prompt", [pytest.param(False, marks=pytest.mark.soak), True], ids=["key", "key and prompt"]
)
def test_a_server_that_repeats_the_key_is_not_quoted_with_it(
    server: ProviderServer, places: dict[str, int], tls_servers: dict[str, Tls], broken: Broken, with_prompt: bool
) -> None:
    """`examined` looks for it."""
    key = account(server, broken.form).api_key.get_secret_value()
    echo = f"{key}, Bearer {key}, sk-provi********{key[-4:]}."
    echo += " Answer with the single word OK." if with_prompt else ""
    echoing = replace(broken, replies=tuple(repeating(reply, echo) for reply in broken.replies))
    findings = findings_of(server, places, tls_servers, echoing)
    # Words that repeat the prompt are not read at all, and some refusals are known by their words only.
    assert with_prompt or findings[-1].step is broken.step
    assert findings[-1].state is State.FAILED


def repeating(reply: AnyReply, echo: str) -> AnyReply:
    if not isinstance(reply, Reply):
        return reply
    headers = {name: value + f"?key={echo}" for name, value in reply.headers.items() if name == "location"}
    headers = {**reply.headers, "x-request-id": echo, **headers}
    if not isinstance(reply.body, dict) or not isinstance(reply.body.get("error"), dict):
        return replace(reply, headers=headers)
    said = reply.body["error"]
    return replace(reply, headers=headers, body={"error": {**said, "message": f"{said['message']} {echo}"}})


# -- what works, with remarks


@dataclass(frozen=True)
class Lame:
    """A set-up that answers, and what else it cannot do: `limited` at one step or more, always with this advice."""

    quirk: Quirk
    limited: tuple[Step, ...]
    says: str
    advice: str
    form: str = "OpenAI"
    same_as: str = ""


THOUGHT_TOO_LONG = Reply(
    400,
    error(
        "Could not finish the message because max_tokens or model output limit was reached. Please try again with "
        "higher max_tokens."
    ),
)
UNVERIFIED = Reply(
    400,
    error(
        "Your organization must be verified to stream this model.",
        param="stream",
        code="unsupported_value",
    ),
)
NO_SCHEMA = "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."
SLOW_DOWN = Reply(429, error("Rate limit reached.", code="rate_limit_exceeded"), headers=SOON)


def unless_first(reply: AnyReply) -> Quirk:
    """From the second call on."""
    return lambda body: reply if body.get("stream") or "response_format" in body or "tools" in body else None


def silent_about_tokens(body: dict[str, Any]) -> Chunks | None:
    return Chunks([chunk("O"), chunk("K", finish_reason="stop")]) if body.get("stream") else None


def answer_instead_of(parameter: str, *texts: str, **changes: Any) -> Quirk:
    return refusing(parameter, Reply(200, completion(*texts, **changes)))


def cut_off(text: str) -> Reply:
    answer = completion(text)
    answer["choices"][0]["finish_reason"] = "length"
    return Reply(200, answer)


ALL_ELSE = (Step.STREAMING, Step.JSON_SCHEMA, Step.TOOLS)
LAME = {
    "a version that does not know stream_options": Lame(
        refusing("stream_options", unrecognized("stream_options")),
        (Step.STREAMING,),
        "Streaming works without token usage. It says: “Unrecognized request argument supplied: stream_options”",
        "The API version does not support this parameter: enter 2024-10-21 or newer, or v1.",
        form=AZURE,
    ),
    "a server that does not know stream_options": Lame(
        refusing("stream_options", unrecognized("stream_options")),
        (Step.STREAMING,),
        "Streaming works without token usage. It says: “Unrecognized request argument supplied: stream_options”",
        "Usage and cost of streamed answers stay unknown.",
    ),
    "a server that streams without usage": Lame(
        silent_about_tokens,
        (Step.STREAMING,),
        "Streaming works but reports no token usage.",
        "Usage and cost of streamed answers stay unknown. A newer version of the server may report them.",
    ),
    "a server that does not stream": Lame(
        answer_instead_of("stream", "OK"),
        (Step.STREAMING,),
        "Answers are not streamed; they arrive complete.",
        "The first word takes longer; everything else works.",
    ),
    "an organisation that may not stream": Lame(
        refusing("stream", UNVERIFIED),
        (Step.STREAMING,),
        "Answers are not streamed; they arrive complete. "
        "It says: “Your organization must be verified to stream this model.”",
        "The first word takes longer; everything else works.",
        same_as="a server that does not stream",
    ),
    "streams that break off": Lame(
        refusing("stream", Chunks([chunk("O")], then="close")),
        (Step.STREAMING,),
        "Streaming does not work. The provider closed the connection before the answer was complete.",
        "Answers will fail on most pages.",
    ),
    "a server that refuses schemas": Lame(
        refusing("response_format", Reply(400, error(NO_SCHEMA, param="response_format"))),
        (Step.JSON_SCHEMA,),
        f"Structured output was refused. It says: “{NO_SCHEMA}”",
        "Pages that need JSON will not work with this configuration.",
    ),
    "a version that refuses schemas": Lame(
        refusing(
            "response_format", Reply(400, azure_error("response_format value as json_schema is enabled ...", "x"))
        ),
        (Step.JSON_SCHEMA,),
        "Structured output was refused. It says: “response_format value",
        "Pages that need JSON will not work with this configuration. JSON schemas need API version 2024-08-01-preview "
        "or newer, and a model from gpt-4o on.",
        form=AZURE,
    ),
    "a server that ignores schemas": Lame(
        answer_instead_of("response_format", "All is well."),
        (Step.JSON_SCHEMA,),
        "The schema was accepted, but the answer does not follow it.",
        "Pages that need JSON will sometimes fail.",
    ),
    "a server that answers in another schema": Lame(
        answer_instead_of("response_format", '{"ok": "yes"}'),
        (Step.JSON_SCHEMA,),
        "The schema was accepted, but the answer does not follow it.",
        "Pages that need JSON will sometimes fail.",
        same_as="a server that ignores schemas",
    ),
    "a server that talks at length instead of in JSON": Lame(
        refusing("response_format", cut_off("Sure! Let me think about what health means.")),
        (Step.JSON_SCHEMA,),
        "The schema was accepted, but the answer does not follow it.",
        "Pages that need JSON will sometimes fail.",
        same_as="a server that ignores schemas",
    ),
    "a server that answers a schema with nothing": Lame(
        answer_instead_of("response_format"),
        (Step.JSON_SCHEMA,),
        "The schema was accepted, but the answer does not follow it.",
        "Pages that need JSON will sometimes fail.",
        same_as="a server that ignores schemas",
    ),
    "a server without tools": Lame(
        refusing("tools", Reply(400, error("gpt-test does not support tools"))),
        (Step.TOOLS,),
        "Tools were refused. It says: “gpt-test does not support tools”",
        "Pages that need tools will not work with this configuration.",
    ),
    "a model that calls no tools": Lame(
        answer_instead_of("tools", "I would call it."),
        (Step.TOOLS,),
        "Tools were accepted, but the model did not call the requested one.",
        "Pages that need tools may not work with this configuration; larger models do better.",
    ),
    "a model that thinks for ever": Lame(
        lambda body: THOUGHT_TOO_LONG,
        ALL_ELSE,
        "Could not test this: the model reasoned for longer than a test allows.",
        "Try it on a page.",
    ),
    "a model that thinks for ever and then says nothing": Lame(
        lambda body: cut_off("") if not body.get("stream") else None,
        (Step.JSON_SCHEMA, Step.TOOLS),
        "Could not test this: the model reasoned for longer than a test allows.",
        "Try it on a page.",
        same_as="a model that thinks for ever",
    ),
    "a model that talks at length instead of calling tools": Lame(
        refusing("tools", cut_off("Sure! I would gladly report")),
        (Step.TOOLS,),
        "Tools were accepted, but the model did not call the requested one.",
        "Pages that need tools may not work with this configuration; larger models do better.",
        same_as="a model that calls no tools",
    ),
    "a rate limit that is met on the way": Lame(
        unless_first(SLOW_DOWN),
        ALL_ELSE,
        "Could not test this. Key and model are right, but the account at 127.0.0.1:{port} has reached its rate limit "
        "(429).",
        "Test again later.",
    ),
    "a quota that ends on the way": Lame(
        unless_first(Reply(429, error("You exceeded your current quota.", code="insufficient_quota"))),
        ALL_ELSE,
        "Could not test this. Key and model are right, but the account at 127.0.0.1:{port} has no credit or quota left",
        "Test again later.",
        same_as="a rate limit that is met on the way",
    ),
    "a server that dies on the way": Lame(
        unless_first(Drop()),
        ALL_ELSE,
        "Could not test this. The connection to 127.0.0.1:{port} was lost",
        "Test again later.",
        same_as="a rate limit that is met on the way",
    ),
}
each_lame = pytest.mark.parametrize("lame", LAME.values(), ids=LAME)


@each_lame
def test_a_limitation_is_a_warning_and_the_examination_continues(
    server: ProviderServer, reports: list[CallReport], lame: Lame
) -> None:
    server.objection = with_quirk(lame.quirk)
    configuration = account(server, lame.form)
    findings = examined(server, configuration, on_call=reports.append)
    states = [(step, State.LIMITED if step in lame.limited else State.PASSED) for step in steps_of(configuration)]
    assert [(finding.step, finding.state) for finding in findings] == states
    for finding in findings:
        if finding.state is State.LIMITED:
            assert lame.says.format(port=server.port) in finding.sentence
            assert finding.advice == lame.advice
        else:
            assert finding.advice == ""
    assert len(reports) == 4


@each_lame
@pytest.mark.parametrize("with_prompt", [False, True], ids=["key", "key and prompt"])
def test_warnings_do_not_show_a_key_that_a_server_repeats(
    server: ProviderServer, lame: Lame, with_prompt: bool
) -> None:
    """`examined` looks for it."""
    configuration = account(server, lame.form)
    key = configuration.api_key.get_secret_value()

    def repeat(body: dict[str, Any]) -> AnyReply | None:
        prompt = body["messages"][0]["content"] if with_prompt else ""
        reply = lame.quirk(body)
        return repeating(reply, f"{key}, Bearer {key}, sk-provi********{key[-4:]}. {prompt}") if reply else None

    server.objection = with_quirk(repeat)
    examined(server, configuration)


# -- what works


@each_form
def test_a_working_set_up_passes_every_step(server: ProviderServer, reports: list[CallReport], form: str) -> None:
    server.objection = capable
    configuration = account(server, form)
    findings = examined(server, configuration, on_call=reports.append)
    assert [finding.step for finding in findings] == steps_of(configuration)
    assert {(finding.state, finding.advice) for finding in findings} == {(State.PASSED, "")}
    said = {finding.step: finding.sentence for finding in findings}
    assert said[Step.ADDRESS] == f"Calls go to {configuration.url}."
    assert said[Step.MODEL] == "“gpt-test” is there."
    assert said[Step.STREAMING] == "Answers are streamed and report their token usage."
    assert said[Step.JSON_SCHEMA] == "Answers follow the schema."
    assert said[Step.TOOLS] == "The model calls tools."
    assert [(report.status, report.attempts) for report in reports] == [(CallStatus.DONE, 1)] * 4
    first, *calls = server.requests
    assert (first.method, first.path, first.raw) == ("GET", "/", b"")
    assert not {"authorization", "api-key", "cookie"} & set(first.headers)
    assert [(call.method, call.path) for call in calls] == [("POST", httpx2.URL(configuration.url).path)] * 4
    assert [call.body.get("stream", False) for call in calls] == [False, True, False, False]
    assert [call.body["max_completion_tokens"] for call in calls] == [16, 16, 200, 200]
    assert ["response_format" in call.body for call in calls] == [False, False, True, False]
    assert ["tools" in call.body for call in calls] == [False, False, False, True]


def test_a_working_set_up_with_https_passes_its_certificate(tls_servers: dict[str, Tls]) -> None:
    tls = tls_servers["good"]
    tls.server.objection = capable
    configuration = account(tls.server, endpoint=tls.endpoint)
    with pooled_http_client(ca_file=str(tls.ca_file)) as http_client:
        findings = examined(tls.server, configuration, http_client=http_client)
    assert [finding.step for finding in findings] == steps_of(configuration)
    assert {finding.state for finding in findings} == {State.PASSED}
    assert Step.CERTIFICATE in {finding.step for finding in findings}
    assert tls.server.violations == []


def test_the_steps_depend_on_the_configuration(server: ProviderServer) -> None:
    left_out = {form: set(Step) - set(steps_of(account(server, form))) for form in FORMS}
    assert left_out == {
        form: {Step.CERTIFICATE} if form.startswith("Azure with") else {Step.CERTIFICATE, Step.VERSION}
        for form in FORMS
    }
    assert set(Step) - set(steps_of(account(server, endpoint="https://api.openai.com/v1"))) == {Step.VERSION}
    assert steps_of(account(server, AZURE, endpoint="https://mine.openai.azure.com")) == list(Step)


def test_the_requested_model_and_the_answering_model_are_named(server: ProviderServer) -> None:
    findings = examined(server, account(server), model="chat-test")
    assert findings[5].sentence == "“chat-test” is there; chat-test-2026-01-01 answers."
    assert {call.body["model"] for call in server.requests[1:]} == {"chat-test"}


def test_a_key_in_the_name_of_a_model_is_not_shown(server: ProviderServer) -> None:
    """`examined` looks for it."""
    server.objection = lambda body: Reply(200, completion("OK", model=server.key))
    assert examined(server, account(server))[5].sentence == "“gpt-test” is there; [key] answers."


def test_a_key_that_was_pasted_as_the_model_is_not_shown(server: ProviderServer) -> None:
    findings = examined(server, account(server, model_default=server.key))
    assert "There is no model “[key]” at" in findings[-1].sentence


@pytest.mark.parametrize("root", [Hang(), Drop(), Drop(reset=True), Reply(500), Reply(401), Reply(400)])
def test_a_server_may_accept_only_calls(server: ProviderServer, root: AnyReply) -> None:
    server.objection = capable
    server.next(root)
    findings = examined(server, account(server), timeout=SHORT_GLANCE)
    assert {finding.state for finding in findings} == {State.PASSED}


# -- what is mended


def test_changes_to_the_requests_are_reported_and_learnt(server: ProviderServer, reports: list[CallReport]) -> None:
    server.objection = with_quirk(refusing("max_completion_tokens", unrecognized("max_completion_tokens")))
    learnt = Adaptations()
    findings = examined(server, account(server, AZURE), learnt=learnt, on_call=reports.append)
    assert {finding.state for finding in findings} == {State.PASSED}
    changed = {finding.step for finding in findings if "max_completion_tokens sent as max_tokens." in finding.sentence}
    assert changed == {Step.ANSWER, Step.JSON_SCHEMA, Step.TOOLS}
    assert [each.change for each in learnt.of("gpt-test")] == ["max_completion_tokens sent as max_tokens"]
    assert [report.attempts for report in reports] == [2, 1, 1, 1]


def test_an_examination_without_adaptations_learns_for_its_own_calls(
    server: ProviderServer, reports: list[CallReport]
) -> None:
    server.objection = with_quirk(refusing("max_completion_tokens", unrecognized("max_completion_tokens")))
    examined(server, account(server), on_call=reports.append)
    assert [report.attempts for report in reports] == [2, 1, 1, 1]


def test_earlier_adaptations_are_applied(server: ProviderServer, reports: list[CallReport]) -> None:
    server.objection = with_quirk(refusing("max_completion_tokens", unrecognized("max_completion_tokens")))
    learnt = Adaptations()
    examined(server, account(server), learnt=learnt)
    examined(server, account(server), learnt=learnt, on_call=reports.append)
    assert [report.attempts for report in reports] == [1, 1, 1, 1]


def test_what_was_refused_for_good_is_asked_again_and_forgotten(
    server: ProviderServer, reports: list[CallReport]
) -> None:
    """A deployment may have got another model since, and nobody else asks again."""
    gone = Adaptation("api", None, "v1/responses", "Only there.")
    learnt = Adaptations({"gpt-test": [gone]})
    server.objection = capable
    findings = examined(server, account(server), learnt=learnt, on_call=reports.append)
    assert [finding.state for finding in findings] == [State.PASSED] * len(findings)
    assert [reports[0].outdated, learnt.items()] == [(gone,), {"gpt-test": ()}]


def test_what_is_still_refused_for_good_fails_an_examination(server: ProviderServer) -> None:
    learnt = Adaptations({"gpt-test": [Adaptation("api", None, "v1/responses", "Only there.")]})
    words = "This model is only supported in v1/responses and not in v1/chat/completions."
    server.objection = lambda body: Reply(404, error(words, param="model"))
    assert examined(server, account(server), learnt=learnt)[-1].step is Step.MODEL
    assert [each.why for each in learnt.of("gpt-test")] == [words]


def test_a_model_that_accepts_no_old_parameters_needs_no_change(
    server: ProviderServer, reports: list[CallReport]
) -> None:
    old = ("max_tokens", "temperature", "top_p", "stop", "presence_penalty", "frequency_penalty", "logprobs")
    refusal = Reply(400, error("Unsupported parameter.", param="max_tokens", code="unsupported_parameter"))
    server.objection = with_quirk(lambda body: refusal if set(old) & set(body) else None)
    findings = examined(server, account(server), on_call=reports.append)
    assert {finding.state for finding in findings} == {State.PASSED}
    assert [report.attempts for report in reports] == [1, 1, 1, 1]


@pytest.mark.parametrize("cut", [THOUGHT_TOO_LONG, cut_off("")], ids=["refuses", "is cut off"])
def test_a_reasoning_model_passes_with_a_higher_token_limit(server: ProviderServer, cut: Reply) -> None:
    server.objection = with_quirk(lambda body: cut if body["max_completion_tokens"] < 500 else None)
    findings = examined(server, account(server))
    assert {finding.state for finding in findings} == {State.PASSED}
    said = {finding.step: finding.sentence for finding in findings}
    assert said[Step.ANSWER] == "This is a reasoning model: it thinks before it answers."
    assert said[Step.JSON_SCHEMA] == "Answers follow the schema."
    assert [request.body["max_completion_tokens"] for request in server.requests[1:]] == [16, 1016, 1200, 1200]


# -- remarks on the address


@pytest.mark.parametrize(
    ("form", "endpoint", "says", "advice"),
    [
        (
            "OpenAI",
            "http://models.example.com/v1",
            "Key and prompts travel to models.example.com unencrypted.",
            "Enter the address with https://.",
        ),
        ("OpenAI", "http://8.8.8.8/v1", "Key and prompts travel to 8.8.8.8 unencrypted.", "Enter the address with"),
        ("OpenAI", "http://10.example.com/v1", "travel to 10.example.com unencrypted.", "Enter the address with"),
        ("OpenAI", "https://api.openai.com/v1/responses", "looks like another operation's", "Enter it without"),
        ("OpenAI", "https://models.example.com/api/chat", "looks like another operation's", "as a rule up to /v1."),
        (
            AZURE,
            "https://mine.openai.azure.com/openai/responses?api-version=2025-04-01-preview",
            "looks like another operation's",
            "Enter the address of the resource alone.",
        ),
    ],
)
def test_an_address_that_may_be_wrong_gets_a_warning(
    server: ProviderServer, form: str, endpoint: str, says: str, advice: str
) -> None:
    """The address is looked at before anything is sent: one finding is taken, and no more."""
    first = next(examine(account(server, form, endpoint=endpoint)))
    assert (first.step, first.state) == (Step.ADDRESS, State.LIMITED)
    assert says in first.sentence
    assert advice in first.advice


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://api.openai.com/v1",
        "https://api.openai.com/v1/chat/completions",
        "https://mine.openai.azure.com/openai/v1",
        *("http://localhost:11434", "http://127.0.0.1:11434", "http://[::1]:11434", "http://ollama:11434"),
        *("http://192.168.1.20/v1", "http://10.0.0.7/v1", "http://172.17.0.1/v1", "http://host.docker.internal/v1"),
    ],
)
def test_an_address_that_is_right_passes(server: ProviderServer, endpoint: str) -> None:
    first = next(examine(account(server, endpoint=endpoint)))
    assert (first.step, first.state) == (Step.ADDRESS, State.PASSED)


# -- how it goes on


HOLDS: list[tuple[str, Callable[[dict[str, Any]], bool], Step]] = [
    ("answer", lambda body: not ({"stream", "response_format", "tools"} & set(body)), Step.CONNECTION),
    ("streaming", lambda body: bool(body.get("stream")), Step.ANSWER),
    ("schema", lambda body: "response_format" in body, Step.STREAMING),
    ("tools", lambda body: "tools" in body, Step.JSON_SCHEMA),
]


@pytest.mark.parametrize(("is_held", "last"), [hold[1:] for hold in HOLDS], ids=[hold[0] for hold in HOLDS])
def test_findings_are_returned_before_the_next_answer_arrives(
    server: ProviderServer, is_held: Callable[[dict[str, Any]], bool], last: Step
) -> None:
    arrived, gate = threading.Event(), threading.Event()

    def hold(body: dict[str, Any]) -> None:
        if is_held(body):
            arrived.set()
            assert gate.wait(120)

    server.objection = with_quirk(hold)
    found: queue.SimpleQueue[Finding] = queue.SimpleQueue()

    def look() -> None:
        for finding in examine(account(server), timeout=PATIENCE):
            found.put(finding)

    looking = threading.Thread(target=look)
    looking.start()
    assert arrived.wait(120)
    already = [found.get_nowait().step for _ in range(found.qsize())]
    gate.set()
    looking.join()
    all_steps = steps_of(account(server))
    assert already == all_steps[: all_steps.index(last) + 1]
    assert [found.get_nowait().step for _ in range(found.qsize())] == all_steps[len(already) :]


def test_nothing_is_sent_before_the_first_finding_is_requested(server: ProviderServer) -> None:
    findings = examine(account(server), timeout=PATIENCE)
    assert server.requests == []
    assert next(findings).step is Step.ADDRESS
    assert server.requests == []


# -- tokens, and redirects


def test_a_fresh_token_is_sent(server: ProviderServer) -> None:
    server.objection = capable
    configuration = account(server, AZURE, key_type=KeyType.ENTRA_IDENTITY, api_key="")
    findings = list(examine(configuration, token=lambda: server.entra_token, timeout=PATIENCE))
    assert {finding.state for finding in findings} == {State.PASSED}
    assert server.entra_token not in repr(findings)


@pytest.mark.parametrize("token", [lambda: "", lambda: "two words", lambda: 1 / 0])
def test_a_missing_token_is_not_reported_as_a_refusal(
    server: ProviderServer, reports: list[CallReport], token: Callable[[], str]
) -> None:
    configuration = account(server, AZURE, key_type=KeyType.ENTRA_IDENTITY, api_key="")
    findings = list(examine(configuration, token=token, on_call=reports.append, timeout=PATIENCE))
    assert [finding.step for finding in findings] == [*TO_REACH, Step.KEY]
    assert findings[-1].state is State.FAILED
    assert "did not accept" not in findings[-1].sentence, "nobody was asked"
    assert "has to be for https://cognitiveservices.azure.com/.default" in findings[-1].advice
    assert [request.method for request in server.requests] == ["GET"]
    assert [report.attempts for report in reports] == [0]


def test_the_key_is_not_sent_to_the_target_of_a_redirect(server: ProviderServer) -> None:
    """Not even where the given client follows them: the list of models is asked for with the key."""
    configuration = account(server, model_default="gpt-tset")
    with ProviderServer() as other, httpx2.Client(follow_redirects=True, trust_env=False) as http_client:
        away = Reply(302, "", headers={"location": f"{other.openai_endpoint}/models"})
        server.next(away, Reply(404, unknown_model(Form.OPENAI, "gpt-tset")), away)
        findings = examined(server, configuration, http_client=http_client)
        assert other.requests == []
    assert findings[-1].advice == "Choose another model."


@pytest.mark.parametrize(
    "listed",
    [
        Reply(500, "Sorry."),
        Reply(200, "no JSON"),
        Reply(200, {"data": None}),
        Reply(200, {"data": ["gpt-test", None]}),
        Reply(200, {"data": []}),
    ],
)
def test_a_server_that_does_not_list_its_models_is_not_quoted(server: ProviderServer, listed: AnyReply) -> None:
    server.next(NOT_HERE, Reply(404, unknown_model(Form.OPENAI, "gpt-test")), listed)
    assert examined(server, account(server))[-1].advice == "Choose another model."


def test_a_key_in_the_list_of_models_is_not_shown(server: ProviderServer) -> None:
    """`examined` looks for it."""
    listed = Reply(200, {"data": [{"id": f"model-of-{server.key}"}, {"id": "other"}]})
    server.next(NOT_HERE, Reply(404, unknown_model(Form.OPENAI, "gpt-test")), listed)
    findings = examined(server, account(server))
    assert findings[-1].advice == "Choose another model. This server has model-of-[key], other."


def test_a_key_in_the_host_of_a_redirect_is_not_shown(server: ProviderServer) -> None:
    """`examined` looks for it."""
    server.next(NOT_HERE, *elsewhere(f"https://{server.key}.example.com/"))
    assert "redirects calls to" in examined(server, account(server))[-1].sentence


def test_azure_is_not_asked_for_its_models_because_they_are_not_deployments(server: ProviderServer) -> None:
    refusal = Reply(400, azure_error("It does not work with the specified model.", "OperationNotSupported"))
    server.next(NOT_HERE, refusal)
    findings = examined(server, account(server, AZURE_V1))
    assert findings[-1].advice == "Enter the deployment of a chat model."
    assert [request.method for request in server.requests] == ["GET", "POST"]


def test_the_address_of_azures_v1_is_right_for_either_provider(server: ProviderServer) -> None:
    server.objection = capable
    configuration = account(server, api_type=ApiType.OPENAI, endpoint=server.azure_v1_endpoint)
    assert {finding.state for finding in examined(server, configuration)} == {State.PASSED}
