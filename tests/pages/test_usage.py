"""The usage page: every number on it is a sum over the rows of the file."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from connector import Price
from db import PersonRole
from pages.shared import base
from tests.pages.conftest import Workbench, labels, lines, press, said, say, send, visit
from tests.provider.answers import completion, error
from tests.provider.server import ProviderServer, Reply

COLUMNS = ["Calls", "Failed", "Prompt", "Completion", "Total", "Cost"]
SUMS = (
    "SELECT {group}, count(*), sum(status = 'failed'), sum(prompt_tokens), sum(completion_tokens), sum(total_tokens), "
    "sum(cost) FROM calls WHERE status != 'running' GROUP BY 1"
)
MODEL = "coalesce(model_answered, model_asked)"
PAGE = "upper(substr(page, 1, 1)) || replace(substr(page, 2), '_', ' ')"
EVENING = 1_772_407_800_000  # 2026-03-01 23:30 UTC, in milliseconds

Row = tuple[Any, ...]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory, provider: ProviderServer) -> Path:
    """Ten calls: two accounts, four pages, three models, one failure, one answer without its usage; one has a price."""
    folder = tmp_path_factory.mktemp("ledger")
    workbench = Workbench(folder / "workbench.db", provider)
    workbench.start()
    mine = workbench.connect(display_name="Ours")
    workbench.connect("Azure with a key", display_name="Theirs", deployment_name="chat-test")
    chat = say(say(visit("chat"), "Hello"), "A somewhat longer message this time")
    provider.next(Reply(501, error("Down.")))
    say(chat, "Fails")
    send(visit("product_description"), "Write description")
    at = visit("tuner")
    at.sidebar.selectbox[0].select("Theirs").run()
    at.number_input(key="option:n").set_value(2)
    send(at, "Send")
    provider.next(Reply(200, completion("Nobody knows.", model="gpt-other", usage=None)))
    send(at, "Send")
    base.database().configurations.change(base.person(), mine.id, {"price": Price(input=2.5, output=10)})
    press(visit("configurations"), "Test")
    base.stop()
    return folder


@pytest.fixture
def used(workbench: Workbench, ledger: Path) -> Workbench:
    """A workbench in which these calls were made."""
    base.stop()
    for file in ledger.iterdir():
        shutil.copy(file, workbench.path.parent)
    workbench.start()
    assert workbench.sql("SELECT count(*) FROM calls") == [(10,)]
    return workbench


def table(at: AppTest, by: str) -> dict[str, Row]:
    """One of the tables, by its first column; None where a cell is empty."""
    frames: list[pd.DataFrame] = [each.value for each in at.dataframe]
    (frame,) = [each for each in frames if list(each.columns) == [by.capitalize(), *COLUMNS]]
    rows = frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None)
    return {str(name): tuple(numbers) for name, *numbers in rows}


def sums(workbench: Workbench, group: str) -> dict[str, Row]:
    """The same sums, computed from the database file."""
    return {str(name): tuple(numbers) for name, *numbers in workbench.sql(SUMS.format(group=group))}


def metrics(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value.replace("\\", "") for metric in at.metric}


@pytest.mark.parametrize(("by", "group"), [("model", MODEL), ("configuration", "configuration_name"), ("page", PAGE)])
def test_each_table_has_the_sums_of_the_file(used: Workbench, by: str, group: str) -> None:
    expected = sums(used, group)
    assert len(expected) > 1
    assert table(visit("usage"), by) == expected


def test_the_days_of_utc_have_the_sums_of_the_file(used: Workbench) -> None:
    used.sql("UPDATE calls SET started_at = ? + min(id, 4) * 86400000", EVENING)
    by_day = list(sums(used, "date(started_at / 1000, 'unixepoch')").values())
    assert len(by_day) == 4
    assert list(table(visit("usage"), "day").values()) == by_day


def test_the_totals_are_those_of_all_rows(used: Workbench) -> None:
    ((calls, failed, prompt, completion_tokens, total, cost),) = used.sql(
        "SELECT count(*), sum(status = 'failed'), sum(prompt_tokens), sum(completion_tokens), sum(total_tokens), "
        "sum(cost) FROM calls"
    )
    assert total == prompt + completion_tokens
    assert metrics(visit("usage")) == {
        "Calls": f"{calls:,}",
        "Failed": f"{failed:,}",
        "Prompt tokens": f"{prompt:,}",
        "Completion tokens": f"{completion_tokens:,}",
        "Total tokens": f"{total:,}",
        "Cost": f"${cost:.5f}",
    }


def test_large_numbers_have_thousands_separators(used: Workbench) -> None:
    used.sql("UPDATE calls SET total_tokens = 1234567 WHERE id = 1")
    used.sql("UPDATE calls SET total_tokens = 0 WHERE id > 1")
    assert metrics(visit("usage"))["Total tokens"] == "1,234,567"


# -- unknown values


def test_the_page_says_how_many_calls_have_no_token_usage(used: Workbench) -> None:
    assert used.sql("SELECT count(*) FROM calls WHERE total_tokens IS NULL") == [(2,)]
    at = visit("usage")
    assert "2 of these calls have no token usage: they failed, were stopped, or" in said(at)
    assert table(at, "model")["gpt-other"] == (1, 0, None, None, None, None)
    assert "4 calls are not included in the cost: the price of their model is unknown." in said(at)


def test_totals_without_any_token_usage_are_a_dash(workbench: Workbench) -> None:
    workbench.connect()
    workbench.server.next(Reply(501, error("Down.")))
    send(visit("tuner"), "Send")
    at = visit("usage")
    unknown = dict.fromkeys(("Prompt tokens", "Completion tokens", "Total tokens", "Cost"), "–")
    assert metrics(at) == {"Calls": "1", "Failed": "1", **unknown}
    assert table(at, "page") == {"Tuner": (1, 1, None, None, None, None)}
    assert "1 of these calls has no token usage: it failed, was stopped, or" in said(at)


def test_a_reported_total_of_zero_tokens_is_a_zero(workbench: Workbench) -> None:
    workbench.connect()
    workbench.server.next(Reply(200, completion("")))
    send(visit("tuner"), "Send")
    at = visit("usage")
    assert metrics(at)["Total tokens"] == "0"
    assert "no token usage" not in said(at)
    assert "1 call is not included in the cost: the price of its model is unknown." in said(at)


def test_a_call_with_a_price_and_without_a_total_counts_as_priced(workbench: Workbench) -> None:
    saved = workbench.connect()
    base.database().configurations.change(base.person(), saved.id, {"price": Price(input=1, output=1)})
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    workbench.server.next(Reply(200, completion("Hm.", usage=usage)))
    send(visit("tuner"), "Send")
    at = visit("usage")
    assert "has no token usage" not in said(at)
    assert "not included in the cost" not in said(at)


# -- time zones and permissions


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("", "Sun 1 Mar 2026"),
        ("UTC", "Sun 1 Mar 2026"),
        ("America/Los_Angeles", "Sun 1 Mar 2026"),
        ("Europe/Berlin", "Mon 2 Mar 2026"),
        ("Asia/Kathmandu", "Mon 2 Mar 2026"),
        ("Not/AZone", "Sun 1 Mar 2026"),
    ],
)
def test_days_follow_the_time_zone_of_the_viewer(workbench: Workbench, zone: str, day: str) -> None:
    workbench.connect()
    press(visit("configurations"), "Test")
    workbench.sql("UPDATE calls SET started_at = ?", EVENING)
    assert list(table(visit("usage", zone=zone), "day")) == [day]


def test_days_are_in_chronological_order(used: Workbench) -> None:
    used.sql("UPDATE calls SET started_at = ? - id * 86400000", EVENING)
    assert list(table(visit("usage"), "day"))[:3] == ["Thu 19 Feb 2026", "Fri 20 Feb 2026", "Sat 21 Feb 2026"]


def test_a_user_sees_their_own_calls_and_an_administrator_sees_all_calls(used: Workbench) -> None:
    other = base.database().people.add(base.person(), "Somebody", PersonRole.USER)
    used.sql("UPDATE calls SET person_id = ? WHERE page = 'chat'", other.id)
    assert metrics(visit("usage"))["Calls"] == "10"
    used.demote()
    at = visit("usage")
    assert metrics(at)["Calls"] == "7"
    assert "Chat" not in table(at, "page")


def test_a_deleted_configuration_keeps_its_row(used: Workbench) -> None:
    before = table(visit("usage"), "configuration")
    ((id,),) = used.sql("SELECT id FROM configurations WHERE display_name = 'Theirs'")
    base.database().configurations.delete(base.person(), id)
    assert table(visit("usage"), "configuration") == before
    assert set(before) == {"Ours", "Theirs"}


# -- no calls yet


def test_before_the_first_call_the_page_says_what_to_do(workbench: Workbench) -> None:
    at = visit("usage")
    assert "No calls yet." in said(at)
    assert [link.proto.page for link in at.page_link] == ["chat"]
    assert not at.metric
    assert not at.dataframe


def test_a_running_call_is_not_counted(used: Workbench) -> None:
    used.sql("UPDATE calls SET status = 'running' WHERE id = 1")
    at = visit("usage")
    assert metrics(at)["Calls"] == "9"
    assert table(at, "page") == sums(used, PAGE)


def test_usage_keeps_the_tokens_of_a_deleted_chat(used: Workbench) -> None:
    before = metrics(visit("usage"))
    ((id,),) = used.sql("SELECT id FROM chat_sessions WHERE page = 'chat'")
    base.database().chat_sessions.delete(base.person(), id)
    assert metrics(visit("usage")) == before
    at = visit("chat", chat=id)
    assert labels(at) == ["Chats", "New chat", "Preview request"]
    assert len(lines(at.warning)) == 1
