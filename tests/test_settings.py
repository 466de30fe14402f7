"""What the environment decides: defaults, blanks, refusals."""

import pytest

from settings import InvalidSetting, Settings


def test_nothing_set_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings(
        database_url="sqlite:///data/workbench.db", encryption_key="", encryption_key_file="", demo_port=18080
    )


def test_what_is_set_is_taken_without_the_blanks_around_it() -> None:
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


def test_an_empty_encryption_key_is_a_mistake_and_not_a_wish_for_the_automatic_one() -> None:
    with pytest.raises(InvalidSetting, match="ENCRYPTION_KEY is set but empty"):
        Settings.from_environment({"ENCRYPTION_KEY": ""})


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "1.5", "١٨"])
def test_a_port_is_a_number_from_1_to_65535(port: str) -> None:
    with pytest.raises(InvalidSetting, match="DEMO_PORT must be a port from 1 to 65535"):
        Settings.from_environment({"DEMO_PORT": port})


def test_a_database_that_is_not_supported_yet_is_refused_without_its_password() -> None:
    with pytest.raises(InvalidSetting, match="DATABASE_URL must start with sqlite:///") as caught:
        Settings.from_environment({"DATABASE_URL": "postgresql://me:secret@host/x"})
    assert "secret" not in str(caught.value)
