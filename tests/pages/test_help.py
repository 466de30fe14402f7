"""Help from the connector on the pages: code to copy, changes to requests, and the cost of a call."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from connector import Price
from db import SavedConfiguration
from pages.shared import base
from tests.connector.conftest import VERSION
from tests.pages.conftest import Workbench, everything, labels, lines, press, said, say, send, visit
from tests.provider.answers import completion, error
from tests.provider.server import ProviderServer, Reply

SENT = {
    "chat": lambda: say(say(visit("chat"), "What is a heap?"), 'And "$(a)" stack?'),
    "product_description": lambda: send(visit("product_description"), "Write description"),
    "tuner": lambda: tuned(temperature=0.2, max_tokens=50),
}
MAX_TOKENS = error(
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    param="max_tokens",
    code="unsupported_parameter",
)
TEMPERATURE = error(
    "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.",
    param="temperature",
    code="unsupported_value",
)


def tuned(**options: float) -> AppTest:
    at = visit("tuner")
    for name, value in options.items():
        at.number_input(key=f"option:{name}").set_value(value)
    return send(at, "Send")


def picky(body: dict[str, Any]) -> Reply | None:
    """Errors of a reasoning model."""
    if "max_tokens" in body:
        return Reply(400, MAX_TOKENS)
    return Reply(400, TEMPERATURE) if "temperature" in body else None


@pytest.fixture
def picky_server(server: ProviderServer) -> Iterator[ProviderServer]:
    server.objection = picky
    yield server
    server.objection = lambda body: None


GUIDE = "[How to write a prompt](https://platform.openai.com/docs/guides/prompt-engineering)"


def test_pages_with_a_prompt_field_link_to_a_prompting_guide(workbench: Workbench) -> None:
    workbench.connect()
    assert GUIDE in said(visit("product_description"))
    assert GUIDE in visit("tuner").text_area(key="tuner:system").help


# -- View code


def code_of(at: AppTest) -> list[str]:
    """The three ways that the drawer shows."""
    tabs = [tab.code[0].value for tab in at.tabs if tab.label in ("Connector", "OpenAI SDK", "curl")]
    assert len(tabs) == 3
    return tabs


@pytest.mark.parametrize("page", SENT)
def test_each_page_that_sends_shows_the_code_of_what_it_sent(
    workbench: Workbench, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workbench.connect()
    at = SENT[page]()
    asked = {name: value for name, value in workbench.bodies()[-1].items() if not name.startswith("stream")}
    at = press(at, "View code")
    connector, sdk, curl = code_of(at)
    assert workbench.server.key not in everything(at)
    assert "Put the key into the environment variable OPENAI_API_KEY" in said(at)
    monkeypatch.setenv("OPENAI_API_KEY", workbench.server.key)
    exec(connector, {})
    names: dict[str, Any] = {}
    exec(sdk, names)
    names["client"].close()
    subprocess.run(["bash"], input=curl, text=True, check=True, capture_output=True)
    assert workbench.bodies()[-3:] == [asked] * 3


def test_only_the_last_answer_of_a_chat_has_its_code(workbench: Workbench) -> None:
    workbench.connect()
    at = say(visit("chat"), "One")
    assert labels(say(at, "Two")).count("View code") == 1


def test_the_code_of_a_failed_request_is_shown_too(workbench: Workbench) -> None:
    workbench.connect()
    workbench.server.next(Reply(501, error("Down.")))
    assert "What is a heap?" in code_of(press(say(visit("chat"), "What is a heap?"), "View code"))[0]


@pytest.mark.parametrize("page", SENT)
def test_the_code_is_not_offered_after_its_configuration_was_deleted(workbench: Workbench, page: str) -> None:
    saved, _ = workbench.connect(), workbench.connect("Azure with a key")
    at = visit(page)
    at.sidebar.selectbox[0].select(saved.display_name).run()
    at = say(at, "One") if page == "chat" else send(at, at.button[0].label)
    assert "View code" in labels(at)
    base.database().configurations.delete(base.person(), saved.id)
    assert "View code" not in labels(at.run())


def test_the_code_for_azure_has_its_key_variable_and_address(workbench: Workbench) -> None:
    workbench.connect("Azure with a key")
    connector, sdk, curl = code_of(press(SENT["product_description"](), "View code"))
    assert all("AZURE_OPENAI_API_KEY" in code for code in (connector, sdk, curl))
    assert f'api_version="{VERSION}"' in sdk
    assert "execute_without_history" in connector


def test_the_code_works_where_the_request_was_changed(workbench: Workbench, picky_server: ProviderServer) -> None:
    workbench.connect()
    connector, _, curl = code_of(press(tuned(temperature=0.2, max_tokens=50), "View code"))
    assert "max_completion_tokens=50" in connector
    assert "temperature" not in connector + curl


# -- changes to the request


def test_changes_to_the_request_are_shown_below_the_answer(workbench: Workbench, picky_server: ProviderServer) -> None:
    workbench.connect()
    at = tuned(temperature=0.2, max_tokens=50)
    assert "max_tokens sent as max_completion_tokens: “Unsupported parameter: 'max_tokens'" in said(at)
    assert "temperature left out: “Unsupported value: 'temperature' does not support 0.2" in said(at)
    assert "2 parameters changed" in everything(at)
    raw = json.loads(next(code.value for code in at.code if '"messages"' in code.value))
    assert raw["max_completion_tokens"] == 50, "Raw shows what was sent"
    assert "1 parameter changed" in everything(tuned(temperature=0.2))


def test_later_requests_are_changed_before_sending_also_after_a_restart(
    workbench: Workbench, picky_server: ProviderServer
) -> None:
    workbench.connect()
    tuned(max_tokens=50)
    workbench.start()
    tuned(max_tokens=50)
    assert ["max_tokens" in body for body in workbench.bodies()] == [True, False, False]


def test_learnt_changes_are_shown_with_the_configuration_and_can_be_forgotten(
    workbench: Workbench, picky_server: ProviderServer
) -> None:
    saved = workbench.connect()
    tuned(max_tokens=50)
    at = visit("configurations", edit=saved.id)
    assert "gpt-test: max_tokens sent as max_completion_tokens" in said(at)
    assert "Use 'max_completion_tokens' instead." in said(at)
    press(at, "Forget limits")
    assert "max_tokens" not in said(at)
    assert base.database().adaptations.all(base.person(), saved.id) == []
    tuned(max_tokens=50)
    assert "max_tokens" in workbench.bodies()[-2]


def test_a_model_that_needs_another_api_is_asked_once_until_its_limits_are_forgotten(workbench: Workbench) -> None:
    saved = workbench.connect()
    words = "This model is only supported in v1/responses and not in v1/chat/completions."
    workbench.server.next(Reply(404, error(words, param="model")))
    for _ in range(2):
        assert "“gpt-test” is offered in another API only, v1/responses" in said(tuned())
    workbench.start()
    at = tuned()
    assert len(workbench.bodies()) == 1, "also after a restart"
    assert words in said(at)
    assert "Forget the limits of the model to send it." in said(at)
    at = visit("configurations", edit=saved.id)
    assert "gpt-test: all requests refused: the model needs v1/responses" in said(at)
    press(at, "Forget limits")
    tuned()
    assert len(workbench.bodies()) == 2


def test_error_texts_of_a_provider_are_not_formatted_as_markdown(workbench: Workbench) -> None:
    saved = workbench.connect()
    hostile = "![x](https://evil.example/x.png) 'top_p' **is** not supported"
    workbench.server.next(
        Reply(400, error(f"Unsupported parameter: 'top_p' {hostile}", param="top_p", code="unsupported_parameter"))
    )
    at = tuned(top_p=0.5)
    for page in (at, visit("configurations", edit=saved.id)):
        shown = "\n".join(str(each.value) for each in [*page.markdown, *page.caption])
        assert "![x](" not in shown
        assert "evil" in shown


# -- cost


def test_the_cost_is_shown_below_an_answer(workbench: Workbench) -> None:
    saved = workbench.connect()
    base.database().configurations.change(base.person(), saved.id, {"price": Price(input=1000, output=2000)})
    at = say(visit("chat"), "Say it in five words")
    assert lines(at.chat_message[1].caption)[0].endswith("5 in, 8 out  ·  $0.021")


def test_a_price_of_zero_is_not_an_unknown_price(workbench: Workbench) -> None:
    saved = workbench.connect()
    base.database().configurations.change(base.person(), saved.id, {"price": Price(input=0, output=0)})
    # The cost of the answer, and of the earlier messages of the next request.
    assert said(say(visit("chat"), "Hello")).count("$0.00") == 2
    workbench.server.next(Reply(200, completion("Hm.", usage=None)))
    assert "price" not in lines(tuned().caption)[1]


def price_typed(saved: SavedConfiguration, **prices: float | None) -> AppTest:
    at = visit("configurations", edit=saved.id)
    for name, value in prices.items():
        at.number_input(key=f"{saved.id}:price:{name}").set_value(value)
    return press(at, "Save")


def price_of(saved: SavedConfiguration) -> Price | None:
    return base.database().configurations.get(base.person(), saved.id).price


def test_an_own_price_can_be_entered_in_the_configuration(workbench: Workbench) -> None:
    saved = workbench.connect()
    at = price_typed(saved, input=2.5, output=10.0)
    assert lines(at.title) == ["Configurations"]
    kept = price_of(saved)
    assert kept
    assert (kept.input, kept.output, kept.cached_input, kept.per_request) == (2.5, 10, None, 0)
    at = visit("configurations", edit=saved.id)
    assert f"Own price, since {kept.since}" in [expander.label for expander in at.expander]
    press(at, "Save")
    assert price_of(saved) == kept
    price_typed(saved, input=None, output=None, per_request=None)
    assert price_of(saved) is None


def test_a_new_configuration_can_be_saved_with_its_price(workbench: Workbench) -> None:
    at = visit("configurations", edit="new")
    for name, value in {"display_name": "Mine", "endpoint": "http://localhost:1/v1", "api_key": "key"}.items():
        at.text_input(key=f"new:{name}").set_value(value)
    for name in ("input", "output"):
        at.number_input(key=f"new:price:{name}").set_value(1.0)
    press(at, "Save")
    [saved] = base.database().configurations.all(base.person())
    assert saved.price


def test_an_incomplete_price_shows_an_error_at_its_field_and_is_not_saved(workbench: Workbench) -> None:
    saved = workbench.connect()
    at = price_typed(saved, input=2.5)
    assert "Output is required." in said(at)
    assert at.number_input(key=f"{saved.id}:price:input").value == 2.5
    assert price_of(saved) is None
    assert base.database().configurations.get(base.person(), saved.id) == saved
