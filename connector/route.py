"""The first part of an examination: the address, and the connection to its host. The key is not sent."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx2

from connector.endpoint import read_endpoint
from connector.examination import Checked, Subject
from connector.failures import explain
from connector.finding import Finding, State, Step, a_failure, a_pass, steps_of
from connector.sentences import redacted

_OTHER_OPERATIONS = {"responses", "completions", "embeddings", "models", "generate", "chat", "messages"}
_BEHIND_A_PROXY = "If this machine reaches the internet through a proxy only, set OUTGOING_PROXY."
# By the reason of a `ConnectionFailed`: its step, and what to do beyond the advice of the error.
_OBSTACLES = {
    "name": (Step.NAME, _BEHIND_A_PROXY),
    "refused": (Step.CONNECTION, "Also check OUTGOING_PROXY if it is set."),
    "certificate": (Step.CERTIFICATE, "OUTGOING_CA_FILE can contain it."),
    "expired": (Step.CERTIFICATE, ""),
    "other_name": (Step.CERTIFICATE, ""),
    "no_tls": (Step.CERTIFICATE, ""),
}


def check_address(subject: Subject) -> Checked:
    """Check the address by itself, without any network traffic."""
    url, endpoint = subject.configuration.url, read_endpoint(subject.configuration.endpoint)
    host, path = urlsplit(url).hostname or "", urlsplit(url).path
    base = endpoint.azure_root if subject.is_azure else endpoint.base_url
    failed = limited = None
    if "your-resource-name" in host or "<" in url:
        failed = "This is still the example's address.", "Enter the address of your own resource."
    elif subject.is_azure and host == "api.openai.com":
        failed = "This is the address of OpenAI itself.", "Choose OpenAI as the provider, or enter Azure's address."
    elif not subject.is_azure and host.endswith(".openai.azure.com") and "/openai/v1/" not in path:
        failed = "This is the address of an Azure resource.", "Choose Azure OpenAI as the provider."
    elif base.rpartition("/")[2].lower() in _OTHER_OPERATIONS:
        limited = (
            f"Calls go to {url}, which looks like another operation's address.",
            "Enter the address of the resource alone."
            if subject.is_azure
            else "Enter it without the operation, as a rule up to /v1.",
        )
    elif url.startswith("http:") and not _is_local(host):
        limited = f"Key and prompts travel to {subject.host} unencrypted.", "Enter the address with https://."
    if failed:
        return Finding(Step.ADDRESS, State.FAILED, *failed), {}
    found = Finding(Step.ADDRESS, State.LIMITED, *limited) if limited else a_pass(Step.ADDRESS, f"Calls go to {url}.")
    return None, {Step.ADDRESS: found}


def check_connection(subject: Subject) -> Checked:
    """Connect to the host, without the key."""
    before = {
        Step.NAME: a_pass(Step.NAME, f"{subject.host} was found."),
        Step.CONNECTION: a_pass(Step.CONNECTION, f"{subject.host} answers."),
        Step.CERTIFICATE: a_pass(Step.CERTIFICATE, "The certificate is trusted on this machine."),
    }
    is_plain = subject.origin.startswith("http:")
    wants_tls = False
    try:
        with subject.http_client.stream("GET", f"{subject.origin}/", **subject.brief_options()) as response:
            if is_plain and response.status_code == 400:
                wants_tls = b"HTTPS" in next(response.iter_bytes(2000), b"").upper()
    except httpx2.ProxyError as error:
        said = redacted(error, subject.configuration)
        sentence = "The proxy refused to connect" + (f": “{said}”." if said else ".")
        advice = "Check OUTGOING_PROXY, and whether the proxy allows this host."
        return a_failure(Step.CONNECTION, sentence, advice), {}
    except (httpx2.RemoteProtocolError, httpx2.ReadError):
        wants_tls = is_plain and _speaks_tls(subject)
    except (httpx2.DecodingError, httpx2.ReadTimeout):
        pass  # the host was reached; it may answer nothing but its API
    except Exception as error:
        return _why_not_reached(subject, error), before
    if wants_tls:
        sentence = f"{subject.host} does not speak plain http at this port."
        return a_failure(Step.CONNECTION, sentence, "Enter the address with https:// instead of http://."), before
    return None, before


def _speaks_tls(subject: Subject) -> bool:
    """Whether a server that closes http connections answers https, with a trusted certificate or not."""
    try:
        subject.http_client.get(f"https{subject.origin.removeprefix('http')}/", **subject.brief_options())
    except httpx2.ConnectError as error:
        return explain(error, subject.configuration, "").reason in ("certificate", "expired", "other_name")
    except httpx2.HTTPError:
        return False
    return True


def _why_not_reached(subject: Subject, error: Exception) -> Finding:
    failure = explain(error, subject.configuration, "")
    step, addition = _OBSTACLES.get(failure.reason, (Step.CONNECTION, _BEHIND_A_PROXY))
    if step not in steps_of(subject.configuration):  # the certificate of a proxy
        step = Step.CONNECTION
    return a_failure(step, failure.sentence, f"{failure.advice} {addition}".strip())


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".internal"))
