"""`Client` beside a bare HTTP POST, the bare SDK, LiteLLM and LangChain: one run, one local server, in turns, ratios.

    python -m benchmarks.connector_speed            prints the table and writes it to results.md
    python -m benchmarks.connector_speed --check    exits 1 where a row is missed or a contender is not there

Every contender does what its users do (contenders/), each in a process where it is alone; LiteLLM and LangChain in an
environment of their own, too, which `make bench` makes.
"""

import argparse
import datetime
import ipaddress
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks import results
from benchmarks.contender import Figures

ROOT = Path(__file__).parents[1]
ROUNDS = 7
DELAY = 0.020  # seconds each way
CHUNKS = 503  # of a stream: 500 with text, the role before them, the finish reason and the usage after
# LiteLLM fetches no price list and LangChain reports to no tracing service: only the local server is called.
ENVIRONMENT = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGSMITH_TRACING": "false"}
# Byte code is kept, ours as well as what pip made of the others' packages.
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)
Ask = Callable[[str, int], Figures]
"""Given the name of a measure and how often, what a contender takes for it."""


@dataclass(frozen=True)
class Entry:
    """A contender: its column, the line that imports it, and for a rival the package with an environment of its own."""

    title: str
    use: str = ""
    package: str = ""
    target: str = ""
    """What `make` makes that environment by: a file that is there once it is complete."""

    @property
    def python(self) -> str:
        return str((ROOT / self.target).with_name("bin") / "python") if self.target else sys.executable

    @property
    def is_missing(self) -> bool:
        return not (ROOT / self.target).exists()

    def versions(self) -> str:
        """Its own and its SDK's, which may be newer than ours."""
        script = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
        command = [self.python, "-c", script, self.package, "openai"]
        its, sdk = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return f"{self.package} {its} with openai {sdk}"


ENTRIES = {
    "bare": Entry("bare HTTP POST"),
    "sdk": Entry("bare SDK", "from openai import OpenAI"),
    "litellm": Entry("LiteLLM", "from litellm import completion", "litellm", ".venv-litellm/.bench"),
    "langchain": Entry(
        "LangChain", "from langchain_openai import ChatOpenAI", "langchain-openai", ".venv-langchain/.bench"
    ),
    "ours": Entry("Client", "from connector import Client"),
}
THERE = {name: entry for name, entry in ENTRIES.items() if not entry.is_missing}
RIVALS = {name: entry for name, entry in THERE.items() if entry.package}


NOTES = """
A row is reached when its bound holds and `Client` is ahead of LiteLLM and LangChain, which run in environments of their
own. LiteLLM has no client to make. The memory row has, in the SDK's column, `Client` after the smaller number of calls,
and LiteLLM and LangChain after that number too.
""".strip()


@dataclass(frozen=True)
class Row:
    """One line of the table: each contender's figure, and the bound on ours against the SDK's."""

    name: str
    figures: Mapping[str, float]
    unit: str
    bound: float
    is_rate: bool = False
    is_absolute: bool = False
    """The bound is one on our figure itself."""

    @property
    def ratio(self) -> float:
        return self.figures["ours"] / self.figures["sdk"]

    @property
    def is_reached(self) -> bool:
        """The bound holds, and no rival is as good."""
        figure = self.figures["ours"] if self.is_absolute else self.ratio
        rivals = [self.figures[name] for name in RIVALS if name in self.figures]
        if self.is_rate:
            return figure >= self.bound and all(self.figures["ours"] > theirs for theirs in rivals)
        return figure <= self.bound and all(self.figures["ours"] < theirs for theirs in rivals)

    def cells(self) -> list[str]:
        bound = f"{self.bound:g} {self.unit}" if self.is_absolute else f"{self.bound:g}"
        wanted = f"{'at least' if self.is_rate else 'at most'} {bound}"
        verdict = "yes" if self.is_reached else "NO"
        return [self.name, *(self._shown(name) for name in THERE), f"{self.ratio:.2f}", wanted, verdict]

    def _shown(self, contender: str) -> str:
        if contender not in self.figures:
            return "–"
        value = self.figures[contender]
        return f"{value:,.3g} {self.unit}" if value < 1000 else f"{value:,.0f} {self.unit}"


@contextmanager
def contender(name: str, base_url: str, count: int, certificate: str | None = None) -> Iterator[Ask]:
    """One of them with so many messages, in a process that ends when its stdin does."""
    command = [THERE[name].python, "-m", f"benchmarks.contenders.{name}", base_url, str(count)]
    environment = dict(ENVIRONMENT)
    if certificate and name == "ours":  # takes nothing from the environment
        command.append(certificate)
    elif certificate:
        environment["SSL_CERT_FILE"] = certificate
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        questions, answers = process.stdin, process.stdout

        def ask(measure: str, times: int) -> Figures:
            print(json.dumps([measure, times]), file=questions, flush=True)
            return tuple(json.loads(answers.readline()))

        yield ask


@contextmanager
def contenders(base_url: str, count: int, certificate: str | None = None) -> Iterator[dict[str, Ask]]:
    """All that are there."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(contender(name, base_url, count, certificate)) for name in THERE}


def interleaved(asks: Mapping[str, Ask], measure: str, times: int, times_of_rivals: int = 0) -> dict[str, list[float]]:
    """The median of each figure over the rounds; the contenders take turns, after a round that does not count."""
    found: dict[str, list[Figures]] = {name: [] for name in asks}
    for _ in range(ROUNDS + 1):
        for name, ask in asks.items():
            found[name].append(ask(measure, times_of_rivals if times_of_rivals and name in RIVALS else times))
    return {name: [statistics.median(each) for each in zip(*rounds[1:], strict=True)] for name, rounds in found.items()}


def row(
    name: str, found: dict[str, list[float]], figure: int, scale: float, unit: str, bound: float, **more: Any
) -> Row:
    return Row(name, {each: figures[figure] * scale for each, figures in found.items()}, unit, bound, **more)


def rows_of_calls(base_url: str) -> Iterator[Row]:
    with contenders(base_url, 2) as few:
        one = interleaved(few, "one_by_one", 100)
        many = interleaved(few, "in_threads", 640)
    with contenders(base_url, 100) as long:
        hundred = interleaved(long, "one_by_one", 25)
    for figure, what in enumerate(("time", "CPU")):
        yield row(f"one call, 2 messages: {what}", one, figure, 1e3, "ms", 0.75)
    for figure, what in enumerate(("time", "CPU")):
        yield row(f"the same, 32 threads: {what} per call", many, figure, 1e3, "ms", 0.75)
    for figure, what in enumerate(("time", "CPU")):
        yield row(f"one call, 100 messages: {what}", hundred, figure, 1e3, "ms", 0.15)


def rows_of_streams(base_url: str) -> Iterator[Row]:
    with contenders(base_url, 2) as few:
        assert {ask("chunks", 1) for ask in few.values()} == {(500,)}
        burst = interleaved(few, "streams", 5)
        threads = interleaved(few, "streams_in_threads", 64, times_of_rivals=32)  # 64 of LiteLLM's take 20 s a round
    yield row("CPU per streamed chunk, burst", burst, 1, 1e6 / CHUNKS, "µs", 0.15)
    rates = {name: [CHUNKS / wall] for name, (wall, _) in threads.items()}
    yield row("chunks per second, 32 streams in threads", rates, 0, 1, "", 8, is_rate=True)


def row_of_first_token(base_url: str, certificate: str) -> Row:
    with contenders(base_url, 2, certificate) as few:
        found = interleaved(few, "first_token", 1)
    return row("time to first token, second turn, TLS, 40 ms of round trip", found, 0, 1e3, "ms", 0.45)


def row_of_import() -> Row:
    def importing(entry: Entry) -> Ask:
        def ask(measure: str, times: int) -> Figures:
            start = time.perf_counter()
            subprocess.run([entry.python, "-c", entry.use], env=ENVIRONMENT, cwd=ROOT, check=True)
            return (time.perf_counter() - start,)

        return ask

    found = interleaved({name: importing(entry) for name, entry in THERE.items() if entry.use}, "import", 1)
    return row("import, whole process", found, 0, 1, "s", 1.1)


def row_of_construction(base_url: str) -> Row:
    with contenders(base_url, 2) as few:
        with_client = {name: ask for name, ask in few.items() if name not in ("bare", "litellm")}
        found = interleaved(with_client, "construction", 20)
    return row("a new client for another configuration", found, 0, 1e3, "ms", 1, is_absolute=True)


def row_of_memory(base_url: str, calls: int) -> Row:
    """Ours late against ours early, which stands in the SDK's column; the rivals' early."""
    figures = {}
    with contender("ours", base_url, 2) as ask:
        (figures["sdk"],) = ask("memory", calls // 10)
        (figures["ours"],) = ask("memory", calls - calls // 10)
    for name in RIVALS:
        with contender(name, base_url, 2) as ask:
            (figures[name],) = ask("memory", calls // 10)
    return Row(f"memory after {calls:,} calls against after {calls // 10:,}", figures, "MB", 1.05)


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
    parser = argparse.ArgumentParser(description="Client beside other ways to the same answer.")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a row is missed or a contender missing")
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
    head = ["", *(entry.title for entry in THERE.values()), "ratio to the SDK", "to reach", "reached"]
    body = results.table(head, [each.cells() for each in rows]) + "\n\n" + NOTES
    missing = [entry for entry in ENTRIES.values() if entry.is_missing]
    for entry in missing:
        body += f"\n{entry.title} is not compared: `make {entry.target}` makes its environment."
    print(body)
    packages, elsewhere = ["openai", "httpx2", "pydantic", "jiter"], [entry.versions() for entry in RIVALS.values()]
    results.write("Connector", "python -m benchmarks.connector_speed", body, packages, elsewhere)
    return 1 if options.check and (missing or not all(each.is_reached for each in rows)) else 0


if __name__ == "__main__":
    sys.exit(main())
