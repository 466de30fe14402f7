"""A first day: set up, test, chat, come back, a use case, the tuner, and the usage of all calls.

Once against the real built-in model, once against a server in Azure's form; a recorder stands between.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import expect

from demo import model as built_in
from tests.e2e.conftest import App, Visitor
from tests.provider.real_model import RealModel
from tests.provider.recorder import Exchange, Recorder
from tests.provider.server import ProviderServer

pytestmark = pytest.mark.browser

TESTED = 4
"""Calls of one test of a configuration: an answer, a stream, structured output, a tool."""


@dataclass(frozen=True)
class Account:
    """The values that a person types into the form, and the request they lead to."""

    recorder: Recorder
    provider: str
    fields: dict[str, str]
    path: str
    authorisation: tuple[str, str]
    model: str
    key: str = field(repr=False)

    def sent(self, count: int) -> list[Exchange]:
        """The requests and answers that the recorder has seen so far."""
        assert len(self.recorder.exchanges) == count
        for exchange in self.recorder.exchanges:
            assert exchange.path == self.path
            assert exchange.headers[self.authorisation[0]] == self.authorisation[1]
            assert exchange.body["model"] == self.model
            assert exchange.status == 200
        return self.recorder.exchanges


# How long the real model goes on is up to it: on a slow machine, longer than any other answer.
@pytest.fixture(params=[pytest.param("real model", marks=pytest.mark.soak), "Azure"])
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    if request.param == "real model":
        model: RealModel = request.getfixturevalue("model")
        with Recorder(model.port) as recorder:
            yield Account(
                recorder,
                provider="OpenAI",
                fields={"Endpoint": f"{recorder.url}/v1", "Default model": built_in.NAME},
                path="/v1/chat/completions",
                authorisation=("authorization", f"Bearer {model.api_key}"),
                model=built_in.NAME,
                key=model.api_key,
            )
    else:
        server: ProviderServer = request.getfixturevalue("provider")
        with Recorder(server.port) as recorder:
            yield Account(
                recorder,
                provider="Azure OpenAI",
                # The form that the seed's document shows.
                fields={
                    "Endpoint": f"{recorder.url}/openai/deployments/",
                    "Deployment name": "gpt-test",
                    "API version": "2024-10-21",
                },
                path="/openai/deployments/gpt-test/chat/completions?api-version=2024-10-21",
                authorisation=("api-key", server.key),
                model="gpt-test",
                key=server.key,
            )


@pytest.fixture
def app(new_app: App) -> App:
    """An app that is stopped and started again."""
    return new_app


def test_a_first_day(app: App, visitor: Visitor, account: Account) -> None:
    add_by_hand_and_test(visitor, account)
    two_turns(visitor, account)
    found_again_after_a_reload_and_a_restart(visitor, app)
    product_description(visitor, account)
    two_choices(visitor, account)
    usage(visitor, account)
    nothing_secret(visitor, app, account)


def add_by_hand_and_test(visitor: Visitor, account: Account) -> None:
    page = visitor.page
    visitor.open()
    expect(page.get_by_text("An OpenAI or Azure OpenAI account: an endpoint and a key.")).to_be_visible()
    visitor.press("Add a configuration")
    expect(page.get_by_role("heading", level=1)).to_have_text("New configuration")
    page.get_by_test_id("stMain").get_by_role("radio", name=account.provider, exact=True).click()
    visitor.fill("Name", "Mine")
    for label, text in account.fields.items():
        visitor.fill(label, text)
    expect(page.get_by_test_id("stCode")).to_contain_text(f"POST {account.recorder.url}{account.path}")
    visitor.fill("API key", account.key)
    visitor.save()
    expect(page.get_by_text("Not used yet")).to_be_visible()
    visitor.press("Test")
    expect(page.get_by_text(re.compile("all checks passed|works, with"))).to_be_visible()
    account.sent(TESTED)


def two_turns(visitor: Visitor, account: Account) -> None:
    page = visitor.page
    visitor.go("Chat")
    for turn, text in enumerate(("Name a colour.", "And another one?"), start=1):
        visitor.say(text)
        expect(page.get_by_text(re.compile(r"in all"))).to_have_count(turn)
    first, second = (exchange.body for exchange in account.sent(TESTED + 2)[TESTED:])
    assert first["messages"] == [{"role": "user", "content": "Name a colour."}]
    answer = second["messages"][1]
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "user"]
    assert answer["content"].strip()
    assert second["messages"][2]["content"] == "And another one?"
    assert first["stream"] is True


def found_again_after_a_reload_and_a_restart(visitor: Visitor, app: App) -> None:
    page = visitor.page
    messages = page.get_by_test_id("stChatMessage")
    expect(messages.last.get_by_text("View code")).to_be_visible()
    said = messages.all_inner_texts()
    assert len(said) == 4
    page.reload()
    expect(messages.last.get_by_text("View code")).to_be_visible()
    expect(messages).to_have_count(4)
    assert messages.all_inner_texts() == said
    app.__exit__()
    app.__enter__()
    visitor.open("chat")
    expect(page.get_by_text("No messages yet")).to_be_visible()
    visitor.press("Name a colour.")
    expect(messages).to_have_count(4)
    assert messages.all_inner_texts() == said


def product_description(visitor: Visitor, account: Account) -> None:
    page = visitor.page
    visitor.go("Product description")
    visitor.fill("Product", "Trailhead 20 backpack")
    preview = page.get_by_test_id("stExpander").get_by_test_id("stCode")
    expect(preview.last).to_contain_text("Trailhead 20 backpack")
    shown = [code.strip() for code in preview.all_inner_texts()]
    visitor.press("Write description")
    expect(page.get_by_text(re.compile("in all"))).to_be_visible()
    sent = account.sent(TESTED + 3)[-1].body
    assert [message["content"] for message in sent["messages"]] == shown
    assert "colour" not in str(sent), "nothing of the chat goes along"


def two_choices(visitor: Visitor, account: Account) -> None:
    page = visitor.page
    visitor.go("Tuner")
    options = {"Temperature": "0", "Choices (n)": "2", "Seed": "7", "Max tokens": "16"}
    for label, value in options.items():
        visitor.fill(label, value)
    visitor.fill("User", "Name a city.")
    visitor.press("Send")
    expect(page.get_by_role("heading", name="2 choices")).to_be_visible()
    sent = account.sent(TESTED + 4)[-1].body
    parameters: dict[str, Any] = {name: value for name, value in sent.items() if name not in {"messages", "model"}}
    assert parameters == {"temperature": 0, "n": 2, "seed": 7, "max_tokens": 16}
    for index in (0, 1):
        expect(page.get_by_text(f"Choice {index}", exact=True)).to_be_visible()


def usage(visitor: Visitor, account: Account) -> None:
    page = visitor.page
    reported = [exchange.usage for exchange in account.sent(TESTED + 4)]
    visitor.go("Usage")
    expected = {"Calls": TESTED + 4}
    for label, name in (("Prompt", "prompt_tokens"), ("Completion", "completion_tokens"), ("Total", "total_tokens")):
        expected[f"{label} tokens"] = sum(each[name] for each in reported if each)
    assert all(reported)
    for label, number in expected.items():
        metric = page.get_by_test_id("stMetric").filter(has_text=label)
        expect(metric.get_by_test_id("stMetricValue")).to_have_text(f"{number:,}")
    # The table is a picture; what a screen reader reads lies behind it.
    table = page.get_by_label("Calls and tokens by page", exact=True).locator("table")
    expect(table.locator("tbody tr")).to_have_count(4)
    rows = [row.locator("td").all_text_contents() for row in table.locator("tbody tr").all()]
    totals = {row[0]: int(row[-2]) for row in rows}
    tokens = [each["total_tokens"] for each in reported if each]
    assert totals == {
        "Configurations": sum(tokens[:TESTED]),
        "Chat": tokens[TESTED] + tokens[TESTED + 1],
        "Product description": tokens[TESTED + 2],
        "Tuner": tokens[TESTED + 3],
    }


def nothing_secret(visitor: Visitor, app: App, account: Account) -> None:
    assert account.key.encode() not in b"".join(visitor.received)
    assert account.key not in visitor.page.content()
    assert account.key not in app.log.read_text(encoding="utf-8")
    for file in app.database.parent.iterdir():
        assert account.key.encode() not in file.read_bytes(), file.name
