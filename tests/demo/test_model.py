"""The built-in model is real: it answers, counts its tokens, and refuses a wrong key."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from demo import model
from demo.child import DemoFailed
from tests.provider.real_model import RealModel, free_port

pytestmark = pytest.mark.slow
ASKED: dict[str, Any] = {
    "model": model.NAME,
    "messages": [{"role": "user", "content": "Name a colour."}],
    "temperature": 0,
    "seed": 1,
    "max_tokens": 8,
}


@pytest.fixture(scope="module")
def real() -> Iterator[RealModel]:
    with RealModel() as running:
        yield running


def ask(real: RealModel, key: str, **changes: Any) -> httpx2.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx2.post(f"{real.base_url}/chat/completions", json=ASKED | changes, headers=headers, timeout=60)


def test_the_model_answers_with_text_and_tokens(real: RealModel) -> None:
    answer = ask(real, real.api_key).raise_for_status().json()
    assert answer["choices"][0]["message"]["content"].strip()
    assert answer["model"] == model.NAME
    assert answer["usage"]["prompt_tokens"] > 0
    assert 0 < answer["usage"]["completion_tokens"] <= 8


def test_the_model_repeats_its_answer_with_temperature_zero_and_a_seed(real: RealModel) -> None:
    first, second = (ask(real, real.api_key).json()["choices"][0]["message"]["content"] for _ in range(2))
    assert first == second


def test_the_model_answers_with_two_choices(real: RealModel) -> None:
    assert len(ask(real, real.api_key, n=2).raise_for_status().json()["choices"]) == 2


def test_a_wrong_key_is_refused(real: RealModel) -> None:
    answer = ask(real, "sk-wrong")
    assert answer.status_code == 401
    assert answer.json()["error"]["message"] == "Invalid API Key"


def test_a_port_in_use_is_reported(real: RealModel, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("sk-second")
    command = [sys.executable, "-m", "demo.model", "--port", str(real.port), "--key-file", str(key_file)]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "is the port in use" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_model_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("sk-orphan")
    command = [sys.executable, "-m", "demo.model", "--port", str(free_port()), "--key-file", str(key_file)]
    # What a process leaves behind when it is killed is the end of the pipes it held.
    ended = subprocess.run(command, input=b"", capture_output=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_a_model_that_cannot_start_is_reported(tmp_path: Path) -> None:
    with (
        model.child(free_port(), tmp_path / "no key") as child,
        pytest.raises(DemoFailed, match="ended while starting"),
    ):
        child.wait_until_it_answers(60)
