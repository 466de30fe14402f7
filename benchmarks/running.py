"""The processes of the streaming benchmark: the provider, our app with a way in for the benchmark, a plain page."""

import json
import os
import resource
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from connector import ApiType, Configuration, KeyType
from db import Database
from demo.child import answers
from tests.provider.real_model import free_port

ROOT = Path(__file__).parents[1]
KEY = "sk-bench-0123456789"

APP = '''
"""The app as it is, and a way to begin a chat from outside of its pages: the benchmark's, and nobody else's."""

from pathlib import Path

import app as workbench
import streamlit as st
from connector import ChatCompletionsRequest
from db import NewChat, Question
from pages.shared import base
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route


def key_of(text):
    configuration = base.database().configurations.all(base.person())[0]
    turn = base.start_turn(
        configuration,
        ChatCompletionsRequest.of_prompts(text),
        page="chat",
        chat=NewChat(text),
        question=Question(text),
        model="",
        earlier_sent=0,
    )
    return base.answers().follow(base.person(), turn.answer_id)


async def begin(request):
    return JSONResponse(await run_in_threadpool(key_of, request.query_params["ask"]))


app = st.App(
    Path(workbench.__file__).parent / "pages" / "frame.py",
    routes=[Route("/begin", begin), Route("/answers", workbench.stream)],
    middleware=[Middleware(workbench.OnlyThisMachine)],
    lifespan=workbench.lifespan,
    on_script_error=base.log_failure,
)
'''

# What Streamlit's tutorial on chat apps comes to, with one client for all and Streamlit's own Stop.
PLAIN = """
import streamlit as st
from openai import OpenAI


@st.cache_resource
def client():
    return OpenAI(api_key="{key}", base_url="{endpoint}")


st.title("Plain")
messages = st.session_state.setdefault("messages", [])
for message in messages:
    with st.chat_message(message["role"]):
        st.markdown(message["content"])
question = st.chat_input("Write a message", submit_mode="stop")
if not messages:
    question = question or st.query_params.get("ask")
if question:
    messages.append({{"role": "user", "content": question}})
    with st.chat_message("user"):
        st.markdown(question)
    with st.chat_message("assistant"):
        stream = client().chat.completions.create(model="tokens", messages=messages, stream=True)
        messages.append({{"role": "assistant", "content": st.write_stream(stream)}})
"""


@dataclass(frozen=True)
class Running:
    """A server that answers, and what it has used up."""

    process: "subprocess.Popen[bytes]"
    port: int

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def cpu(self) -> float:
        """Seconds of all its threads so far."""
        # Behind the name in parentheses, which may hold anything.
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """MB that it holds now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize() / 2**20


@dataclass(frozen=True)
class Provider(Running):
    """The slow one."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def closed(self, tag: str, seconds: float) -> float | None:
        """When the reader of that answer hung up, in milliseconds since 1970; None when it did not come to that."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/closed") as answer:
                found = [each["at"] / 1e6 for each in json.load(answer) if each["tag"] == tag]
            if found:
                return float(found[0])
            time.sleep(0.05)
        return None


@contextmanager
def provider() -> Iterator[Provider]:
    command = [sys.executable, "-m", "benchmarks.slow_provider"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Provider(process, int(process.stdout.readline()))
        process.stdin.close()  # it ends itself


@contextmanager
def app(folder: Path, endpoint: str) -> Iterator[Running]:
    """Our app, on a database of its own with one configuration."""
    folder.mkdir()
    url = f"sqlite:///{folder}/workbench.db"
    database = Database(url)
    database.configurations.add(database.people.local(), account(endpoint))
    database.close()
    with _streamlit(folder / "with_begin.py", APP, ROOT, {"DATABASE_URL": url, "PYTHONPATH": str(ROOT)}) as running:
        yield running


def account(endpoint: str) -> Configuration:
    """The one account at the slow provider."""
    return Configuration(
        display_name="Slow",
        api_type=ApiType.OPENAI,
        key_type=KeyType.API_KEY,
        api_key=KEY,
        endpoint=endpoint,
        model_default="tokens",
    )


@contextmanager
def plain(folder: Path, endpoint: str) -> Iterator[Running]:
    """The plain page, with Streamlit's own settings."""
    folder.mkdir()
    with _streamlit(folder / "plain.py", PLAIN.format(key=KEY, endpoint=endpoint), folder, {}) as running:
        yield running


@contextmanager
def _streamlit(script: Path, text: str, folder: Path, environment: dict[str, str]) -> Iterator[Running]:
    script.write_text(text, encoding="utf-8")
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(script), f"--server.port={port}"]
    command += ["--server.headless=true", "--server.address=127.0.0.1", "--browser.gatherUsageStats=false"]
    command += ["--logger.level=warning"]
    process = subprocess.Popen(command, cwd=folder, env=os.environ | environment, stdout=subprocess.DEVNULL)
    try:
        while not answers(port, "/_stcore/health"):
            assert process.poll() is None, "it ended while starting"
            time.sleep(0.05)
        yield Running(process, port)
    finally:
        process.terminate()
        process.wait()
