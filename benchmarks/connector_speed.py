"""`Client` beside the bare SDK and a bare HTTP POST, in one run on one local server, interleaved, as ratios.

    python -m benchmarks.connector_speed            prints the table and writes it to results.md
    python -m benchmarks.connector_speed --check    exits 1 where a ratio is missed

Every contender does what its users do: the SDK client is made once and used again, its stream is read chunk by chunk;
`Client` is used with its checks, its retries and its reports on.
"""

import argparse
import datetime
import ipaddress
import json
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from openai import OpenAI
from pydantic import SecretStr

from benchmarks import results
from connector import (
    ApiType,
    CallReport,
    ChatCompletionsRequest,
    Client,
    Configuration,
    Message,
    Role,
    pooled_http_client,
)

ROUNDS = 7
KEY = "sk-bench-0123456789"
MODEL = "gpt-bench"
DELAY = 0.020  # seconds each way
Call = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One line of the table: each contender's figure, and the bound on ours against the SDK's."""

    name: str
    bare: float | None
    sdk: float
    ours: float
    unit: str
    bound: float
    is_rate: bool = False
    is_absolute: bool = False
    """The bound is one on our figure itself."""

    @property
    def ratio(self) -> float:
        return self.ours / self.sdk

    @property
    def is_reached(self) -> bool:
        figure = self.ours if self.is_absolute else self.ratio
        return figure >= self.bound if self.is_rate else figure <= self.bound

    def cells(self) -> list[str]:
        def shown(value: float | None) -> str:
            return (
                "–" if value is None else f"{value:,.3g} {self.unit}" if value < 1000 else f"{value:,.0f} {self.unit}"
            )

        bound = f"{self.bound:g} {self.unit}" if self.is_absolute else f"{self.bound:g}"
        wanted = f"{'at least' if self.is_rate else 'at most'} {bound}"
        verdict = "yes" if self.is_reached else "NO"
        return [self.name, shown(self.bare), shown(self.sdk), shown(self.ours), f"{self.ratio:.2f}", wanted, verdict]


class Contenders:
    """The three, each as one call without history and one stream, against one base URL."""

    def __init__(self, base_url: str, messages: list[dict[str, str]], verify: str | None = None) -> None:
        context = ssl.create_default_context(cafile=verify) if verify else True
        self._bare = httpx2.Client(verify=context, timeout=60, headers={"authorization": f"Bearer {KEY}"})
        self._url = f"{base_url}/chat/completions"
        self._messages: Any = messages
        http_client = httpx2.Client(verify=context, timeout=60) if verify else None
        self._sdk = OpenAI(base_url=base_url, api_key=KEY, http_client=http_client)
        self.reports: list[CallReport] = []
        self._configuration = Configuration(
            display_name="Bench",
            api_type=ApiType.OPENAI,
            endpoint=base_url,
            api_key=SecretStr(KEY),
            model_default=MODEL,
        )
        self._http_client = pooled_http_client(ca_file=verify) if verify else None
        self._client = Client(self._configuration, http_client=self._http_client, on_call=self.reports.append)

    def _request(self) -> ChatCompletionsRequest:
        return ChatCompletionsRequest(
            messages=tuple(Message(role=Role(each["role"]), content=each["content"]) for each in self._messages)
        )

    def bare(self) -> object:
        answer = self._bare.post(self._url, json={"model": MODEL, "messages": self._messages}).json()
        return answer["choices"][0]["message"]["content"]

    def sdk(self) -> object:
        answer = self._sdk.chat.completions.create(model=MODEL, messages=self._messages)
        return answer.choices[0].message.content

    def ours(self) -> object:
        self.reports.clear()
        return self._client.call_api(self._request()).choices[0].message.content

    def bare_stream(self) -> int:
        body = {"model": MODEL, "messages": self._messages, "stream": True}
        with self._bare.stream("POST", self._url, json=body) as response:
            events = (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: {"))
            return sum(1 for event in events if event["choices"] and event["choices"][0]["delta"].get("content"))

    def sdk_stream(self) -> int:
        stream = self._sdk.chat.completions.create(
            model=MODEL, messages=self._messages, stream=True, stream_options={"include_usage": True}
        )
        with stream:
            return sum(1 for chunk in stream if chunk.choices and chunk.choices[0].delta.content)

    def our_stream(self) -> int:
        self.reports.clear()
        with self._client.stream(self._request()) as stream:
            return sum(1 for _ in stream)


def timed(call: Call, times: int) -> tuple[float, float]:
    """Seconds of wall clock and of CPU for one call, over so many."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        call()
    return (time.perf_counter() - wall) / times, (time.process_time() - cpu) / times


def interleaved(calls: dict[str, Call], measure: Callable[[Call], tuple[float, ...]]) -> dict[str, list[float]]:
    """The median of each figure over the rounds; the contenders take turns, after a round that does not count."""
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in calls}
    for _ in range(ROUNDS + 1):
        for name, call in calls.items():
            found[name].append(measure(call))
    return {name: [statistics.median(each) for each in zip(*rounds[1:], strict=True)] for name, rounds in found.items()}


def rows_of_calls(base_url: str) -> Iterator[Row]:
    few = Contenders(base_url, messages(2))
    calls: dict[str, Call] = {"bare": few.bare, "sdk": few.sdk, "ours": few.ours}
    one = interleaved(calls, lambda call: timed(call, 100))
    for figure, name in enumerate(("time", "CPU")):
        yield row(f"one call, 2 messages: {name}", one, figure, 1e3, "ms", 0.75)
    with ThreadPoolExecutor(32) as threads:

        def in_threads(call: Call) -> tuple[float, float]:
            wall, cpu = time.perf_counter(), time.process_time()
            list(threads.map(lambda _: call(), range(640)))
            return (time.perf_counter() - wall) / 640, (time.process_time() - cpu) / 640

        many = interleaved(calls, in_threads)
    for figure, name in enumerate(("time", "CPU")):
        yield row(f"the same, 32 threads: {name} per call", many, figure, 1e3, "ms", 0.75)
    long = Contenders(base_url, messages(100))
    hundred = interleaved({"bare": long.bare, "sdk": long.sdk, "ours": long.ours}, lambda call: timed(call, 25))
    for figure, name in enumerate(("time", "CPU")):
        yield row(f"one call, 100 messages: {name}", hundred, figure, 1e3, "ms", 0.15)


def rows_of_streams(base_url: str) -> Iterator[Row]:
    few = Contenders(base_url, messages(2))
    assert few.bare_stream() == few.sdk_stream() == few.our_stream() == 500
    streams: dict[str, Call] = {"bare": few.bare_stream, "sdk": few.sdk_stream, "ours": few.our_stream}
    burst = interleaved(streams, lambda call: timed(call, 5))
    yield row("CPU per streamed chunk, burst", burst, 1, 1e6 / 503, "µs", 0.15)
    with ThreadPoolExecutor(32) as threads:

        def chunks_per_second(call: Call) -> tuple[float]:
            start = time.perf_counter()
            list(threads.map(lambda _: call(), range(64)))
            return (64 * 503 / (time.perf_counter() - start),)

        rates = interleaved(streams, chunks_per_second)
    yield row("chunks per second, 32 streams in threads", rates, 0, 1, "", 8, is_rate=True)


def row(
    name: str, found: dict[str, list[float]], figure: int, scale: float, unit: str, bound: float, **more: Any
) -> Row:
    bare = found["bare"][figure] * scale if "bare" in found else None
    return Row(name, bare, found["sdk"][figure] * scale, found["ours"][figure] * scale, unit, bound, **more)


def row_of_first_token(base_url: str, certificate: str) -> Row:
    """The second turn of a conversation: the first one has just been read to its end."""
    few = Contenders(base_url, messages(2), verify=certificate)

    def sdk() -> float:
        for _ in few._sdk.chat.completions.create(model=MODEL, messages=few._messages, stream=True):
            pass
        start = time.perf_counter()
        with few._sdk.chat.completions.create(model=MODEL, messages=few._messages, stream=True) as stream:
            next(chunk for chunk in stream if chunk.choices and chunk.choices[0].delta.content)
            return time.perf_counter() - start

    def ours() -> float:
        for _ in few._client.stream(few._request()):
            pass
        start = time.perf_counter()
        with few._client.stream(few._request()) as stream:
            next(iter(stream))
            return time.perf_counter() - start

    found = interleaved({"sdk": sdk, "ours": ours}, lambda call: (call(),))  # type: ignore[arg-type, return-value]
    return row("time to first token, second turn, TLS, 40 ms of round trip", found, 0, 1e3, "ms", 0.45)


def row_of_import() -> Row:
    def seconds(module: str) -> tuple[float]:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
        return (time.perf_counter() - start,)

    modules: dict[str, Call] = {"sdk": lambda: "openai", "ours": lambda: "connector"}
    found = interleaved(modules, lambda module: seconds(str(module())))
    return row("import, whole process", found, 0, 1, "s", 1.1)


def row_of_construction(base_url: str) -> Row:
    numbers = iter(range(10**9))

    def ours() -> object:
        configuration = Configuration(
            display_name=f"Bench {next(numbers)}",
            api_type=ApiType.OPENAI,
            endpoint=base_url,
            api_key=SecretStr(KEY),
        )
        return Client(configuration)

    calls: dict[str, Call] = {"sdk": lambda: OpenAI(base_url=base_url, api_key=KEY), "ours": ours}
    found = interleaved(calls, lambda call: timed(call, 20))
    return row("a new client for another configuration", found, 0, 1e3, "ms", 1, is_absolute=True)


MEMORY = """
import resource, sys
from benchmarks.connector_speed import Contenders, messages
few = Contenders(sys.argv[1], messages(2))
def used():
    return int(open('/proc/self/statm').read().split()[1])
for number in range(1, int(sys.argv[2]) + 1):
    few.ours()
    if number in (int(sys.argv[2]) // 10, int(sys.argv[2])):
        print(used(), flush=True)
"""


def row_of_memory(base_url: str, calls: int) -> Row:
    run = subprocess.run(
        [sys.executable, "-c", MEMORY, base_url, str(calls)], capture_output=True, text=True, check=True
    )
    early, late = (int(line) * resource.getpagesize() / 2**20 for line in run.stdout.split())
    return Row(f"memory after {calls:,} calls against after {calls // 10:,}", None, early, late, "MB", 1.05)


def messages(count: int) -> list[dict[str, str]]:
    roles = ["system", *["user", "assistant"] * count]
    return [{"role": roles[number], "content": f"Message {number}: what is it? " * 4} for number in range(count)]


@contextmanager
def server(*options: str) -> Iterator[str]:
    """A benchmark server; gives its port."""
    command = [sys.executable, "-m", "benchmarks.server", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


def certificate_in(folder: Path) -> str:
    """A certificate of its own for 127.0.0.1, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "certificate.pem"
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return str(file)


def main() -> int:
    parser = argparse.ArgumentParser(description="Client beside the bare SDK and a bare HTTP POST.")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a ratio is missed")
    parser.add_argument("--calls", type=int, default=100_000, help="calls of the memory row")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, server() as port:
        base_url = f"http://127.0.0.1:{port}/v1"
        rows = [*rows_of_calls(base_url), *rows_of_streams(base_url)]
        certificate = certificate_in(Path(folder))
        with server("--tls", certificate, "--delay", str(DELAY)) as far:
            rows.append(row_of_first_token(f"https://127.0.0.1:{far}/v1", certificate))
        rows += [row_of_import(), row_of_construction(base_url)]
        if options.calls:
            rows.append(row_of_memory(base_url, options.calls))
    head = ["", "bare HTTP POST", "bare SDK", "Client", "ratio to the SDK", "to reach", "reached"]
    body = results.table(head, [each.cells() for each in rows])
    print(body)
    results.write("Connector", "python -m benchmarks.connector_speed", body, ["openai", "httpx2", "pydantic", "jiter"])
    return 1 if options.check and not all(each.is_reached for each in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
