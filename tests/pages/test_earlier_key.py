"""A key that was replaced can be put back, on the card and in the form, until a call or a test accepts the new one."""

import pytest
from pydantic import SecretStr
from streamlit.testing.v1 import AppTest

from db import SavedConfiguration
from pages.shared import base
from tests.pages.conftest import Workbench, fill, labels, lines, press, said, say, send, text_field, visit

WRONG = "sk-wrong-key-0123456789"
PUT_BACK = "Put the earlier key back"


@pytest.fixture
def replaced(workbench: Workbench) -> SavedConfiguration:
    """A working configuration whose key was replaced with a wrong one."""
    saved = workbench.connect()
    return base.database().configurations.change(base.person(), saved.id, {}, SecretStr(WRONG))


def card(workbench: Workbench) -> AppTest:
    return visit("configurations")


def form(saved: SavedConfiguration) -> AppTest:
    return visit("configurations", edit=saved.id)


def test_a_key_that_was_not_replaced_has_no_earlier_one(workbench: Workbench) -> None:
    saved = workbench.connect()
    assert PUT_BACK not in labels(visit("configurations")) + labels(form(saved))


@pytest.mark.parametrize("place", ["card", "form"])
def test_a_button_puts_the_earlier_key_back(workbench: Workbench, replaced: SavedConfiguration, place: str) -> None:
    at = say(visit("chat"), "Hello")
    assert "did not accept the key" in said(at)
    at = visit("configurations") if place == "card" else form(replaced)
    assert "The earlier key of “OpenAI” is kept until the provider accepts the new one." in said(at)
    at = press(at, PUT_BACK)
    assert lines(at.toast) == ["The earlier key is back."]
    assert PUT_BACK not in labels(at)
    assert workbench.key_of(replaced) == workbench.server.key
    assert "Key: the earlier key was put back" in said(form(replaced))
    assert "Answer" in said(say(visit("chat"), "Hello"))


def test_the_form_goes_on_after_the_earlier_key_was_put_back(
    workbench: Workbench, replaced: SavedConfiguration
) -> None:
    at = fill(form(replaced), replaced.id, display_name="Renamed").run()
    at = press(press(at, PUT_BACK), "Save")
    assert lines(at.title) == ["Configurations"]
    assert workbench.sql("SELECT display_name FROM configurations") == [("Renamed",)]
    assert workbench.key_of(replaced) == workbench.server.key


@pytest.mark.parametrize("way", ["chat", "translate", "tuner", "test"])
def test_an_accepted_call_discards_the_earlier_key(workbench: Workbench, way: str) -> None:
    saved = workbench.connect(api_key=WRONG)
    saved = base.database().configurations.change(base.person(), saved.id, {}, SecretStr(workbench.server.key))
    assert PUT_BACK in labels(form(saved))
    if way == "test":
        press(visit("configurations"), "Test")
    elif way == "chat":
        say(visit("chat"), "Hello")
    else:
        at = visit(way)
        text_field(at).set_value("Hello")
        send(at, {"translate": "Translate", "tuner": "Send"}[way])
    assert PUT_BACK not in labels(form(saved)) + labels(visit("configurations"))


def test_a_refused_test_keeps_the_earlier_key(workbench: Workbench, replaced: SavedConfiguration) -> None:
    press(visit("configurations"), "Test")
    assert PUT_BACK in labels(visit("configurations"))


def test_a_button_that_comes_too_late_says_so(workbench: Workbench, replaced: SavedConfiguration) -> None:
    at = visit("configurations")
    base.database().configurations.put_earlier_key_back(base.person(), replaced.id)
    at = press(at, PUT_BACK)
    assert not at.exception
    assert PUT_BACK not in labels(at.run())
