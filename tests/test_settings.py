"""Settings from the environment: defaults, blanks, refusals."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from settings import InvalidSetting, Settings

ROOT = Path(__file__).parents[1]


def test_without_variables_the_settings_are_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings(
        database_url="sqlite:///data/workbench.db", encryption_key="", encryption_key_file="", demo_port=18080
    )


def test_values_are_read_without_surrounding_blanks() -> None:
    environment = {
        "DATABASE_URL": " sqlite:///elsewhere/x.db ",
        "ENCRYPTION_KEY": " one,two\n",
        "ENCRYPTION_KEY_FILE": " keys.txt ",
        "OUTGOING_PROXY": " http://proxy:3128 ",
        "OUTGOING_CA_FILE": " ca.pem ",
        "DEMO_PORT": " 18081 ",
        "OPENAI_API_KEY": "sk-nobody-asked",
    }
    assert Settings.from_environment(environment) == Settings(
        "sqlite:///elsewhere/x.db", "one,two", "keys.txt", "http://proxy:3128", "ca.pem", 18081
    )


@pytest.mark.parametrize(
    "name", ["DATABASE_URL", "ENCRYPTION_KEY_FILE", "OUTGOING_PROXY", "OUTGOING_CA_FILE", "DEMO_PORT"]
)
def test_an_empty_variable_counts_as_not_set(name: str) -> None:
    assert Settings.from_environment({name: " "}) == Settings()


@pytest.mark.parametrize("key", ["", " \n"])
def test_an_empty_encryption_key_is_refused_and_not_replaced_by_an_automatic_key(key: str) -> None:
    with pytest.raises(InvalidSetting, match="ENCRYPTION_KEY is set but empty"):
        Settings.from_environment({"ENCRYPTION_KEY": key})


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "+1", "1.5", "1_8", "0x12", "١٨", "²", "9" * 5000])
def test_a_port_is_a_number_from_1_to_65535(port: str) -> None:
    with pytest.raises(InvalidSetting, match="DEMO_PORT must be a port number from 1 to 65535"):
        Settings.from_environment({"DEMO_PORT": port})


@pytest.mark.parametrize("url", ["mysql://me:secret@host/x", "secret.db", "sqlite://secret", "file:secret"])
def test_a_database_that_is_not_supported_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidSetting, match="DATABASE_URL must start with sqlite:///") as caught:
        Settings.from_environment({"DATABASE_URL": url})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["ENCRYPTION_KEY", "OUTGOING_PROXY"])
def test_secrets_are_not_in_the_text_that_a_log_would_show(name: str) -> None:
    settings = Settings.from_environment({name: "http://me:very-secret@proxy:3128"})
    assert "very-secret" not in f"{settings} {settings!r}"


def test_only_the_passed_variables_are_read() -> None:
    code = "from settings import Settings; print(Settings.from_environment({}) == Settings())"
    environment = {
        "DATABASE_URL": "sqlite:///elsewhere.db",
        "ENCRYPTION_KEY": "one",
        "ENCRYPTION_KEY_FILE": "keys.txt",
        "OUTGOING_PROXY": "http://proxy:3128",
        "OUTGOING_CA_FILE": "ca.pem",
        "DEMO_PORT": "18081",
    }
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert (run.stdout, run.stderr) == ("True\n", "")
