"""A running answer can be stopped: the partial text is kept, and the connection to the provider is closed."""

import re
import threading

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import STOP, App, Visitor
from tests.provider.answers import chunk
from tests.provider.server import Chunks, ProviderServer

pytestmark = pytest.mark.browser


@pytest.fixture
def half_an_answer(provider: ProviderServer) -> Chunks:
    """An answer that sends its first words, and then nothing until the test ends."""
    return Chunks([chunk("Once upon", role="assistant"), chunk(" a time"), threading.Event(), chunk(" never")])


@pytest.mark.soak
def test_the_stop_button_stops_the_answer_of_a_use_case(
    app: App, visitor: Visitor, provider: ProviderServer, half_an_answer: Chunks
) -> None:
    page = visitor.page
    visitor.app.add_configuration(provider)
    provider.next(half_an_answer)
    visitor.open("product_description")
    page.get_by_role("button", name=re.compile("Write description")).click()
    expect(page.get_by_text("Once upon a time")).to_be_visible()
    page.get_by_role("button", name=STOP).click()
    assert provider.disconnected.wait(120)
    expect(page.get_by_text("Stopped. The partial text is kept.")).to_be_visible()
    expect(visitor.text("Once upon a time")).to_have_count(1)  # for a moment also where it was written
