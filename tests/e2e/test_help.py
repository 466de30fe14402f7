"""In a real browser: the steps of a connection test, changes to a request, and the code of a request."""

import re
import threading
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import App, Visitor
from tests.provider.answers import chunk, completion, error
from tests.provider.server import Chunks, ProviderServer, Reply

pytestmark = pytest.mark.browser


def test_a_test_shows_each_step_as_soon_as_it_ends(app: App, visitor: Visitor, provider: ProviderServer) -> None:
    page, gate = visitor.page, threading.Event()
    app.add_configuration(provider)
    visitor.open("configurations")
    invalid_path = Reply(404)
    held = Chunks([chunk("O", role="assistant"), gate, chunk("K", finish_reason="stop")])
    provider.next(invalid_path, Reply(200, completion("OK")), held)
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.get_by_text("The answer came within")).to_be_visible()
    expect(page.get_by_text("Streaming with usage …")).to_be_visible()
    assert page.get_by_text("Structured output (JSON schema)").count() == 0
    gate.set()
    expect(page.get_by_text("Works, with 3 warnings", exact=True)).to_be_visible()
    expect(page.get_by_text("Streaming works but reports no token usage.")).to_be_visible()
    expect(page.get_by_text("Streaming with usage …")).to_have_count(0)


@pytest.mark.soak
def test_a_failed_test_names_the_step_and_what_to_do(app: App, visitor: Visitor, provider: ProviderServer) -> None:
    page = visitor.page
    app.add_configuration(provider, model="gpt-tset")
    visitor.open("configurations")
    visitor.press("Test")
    expect(page.get_by_text("There is no model “gpt-tset” at")).to_be_visible()
    expect(page.get_by_text("Choose another model. This server has gpt-test, and others.")).to_be_visible()
    expect(page.get_by_text("Tools · not tested")).to_be_visible()
    visitor.press("Close")
    expect(page.get_by_text("Tools · not tested")).to_have_count(0)


@pytest.fixture
def picky(provider: ProviderServer) -> ProviderServer:
    """A model that refuses `temperature`."""

    def objection(body: dict[str, Any]) -> Reply | None:
        words = "Unsupported parameter: 'temperature' is not supported with this model."
        refusal = error(words, param="temperature", code="unsupported_parameter")
        return Reply(400, refusal) if "temperature" in body else None

    provider.objection = objection
    return provider


@pytest.mark.soak
def test_a_changed_request_is_reported_learnt_and_included_in_the_code(
    app: App, visitor: Visitor, picky: ProviderServer
) -> None:
    page = visitor.page
    app.add_configuration(picky)
    visitor.open("tuner")
    temperature = page.get_by_role("spinbutton", name="Temperature")
    temperature.fill("0.2")
    temperature.press("Tab")
    visitor.settle()
    visitor.press("Send")
    page.get_by_role("button", name="1 parameter changed").click()
    expect(page.get_by_text("temperature left out: “Unsupported parameter: 'temperature'")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="View code").click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_text("execute_without_history", exact=False).first).to_be_visible()
    drawer.get_by_role("tab", name="curl").click()
    expect(drawer.get_by_text(re.compile(r"authorization: Bearer \$OPENAI_API_KEY")).first).to_be_visible()
    assert picky.key.encode() not in b"".join(visitor.received)
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    expect(temperature).to_have_value("0.2")
    visitor.go("Configurations")
    visitor.press("Edit")
    expect(page.get_by_text("gpt-test: temperature left out")).to_be_visible()
    visitor.press("Forget limits")
    expect(page.get_by_text("gpt-test: temperature left out")).to_have_count(0)
