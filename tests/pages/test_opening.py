"""Every page opens, also when data is missing or broken."""

import logging
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared import base
from pages.shared.base import title_of
from tests.pages.conftest import (
    PAGES,
    SENDING,
    Workbench,
    assert_opens,
    doors_first,
    labels,
    lines,
    press,
    said,
    send,
    visit,
)
from tests.provider.answers import completion, error
from tests.provider.server import ProviderServer, Reply

TITLES = {name: title_of(name) for name in PAGES} | {
    "home": "Try chat completions on your own account",
    "configurations?edit=new": "New configuration",
}
each_page = pytest.mark.parametrize("address", doors_first(TITLES))
each_kind_of_page = pytest.mark.parametrize("address", doors_first(TITLES, others=pytest.mark.soak))
each_sending_page = pytest.mark.parametrize("page", doors_first(SENDING))
each_kind_of_sending_page = pytest.mark.parametrize("page", doors_first(SENDING, others=pytest.mark.soak))


def opened(address: str) -> AppTest:
    page, _, edit = address.partition("?edit=")
    return visit(page, **({"edit": edit} if edit else {}))


@each_kind_of_page
def test_a_page_opens_on_an_empty_database(workbench: Workbench, address: str) -> None:
    assert_opens(opened(address), TITLES[address])


@each_page
def test_a_page_opens_with_one_configuration(workbench: Workbench, address: str) -> None:
    workbench.connect()
    assert_opens(opened(address), TITLES[address])


@each_kind_of_page
def test_a_page_opens_with_many_configurations(workbench: Workbench, address: str) -> None:
    for form in ("OpenAI", "Azure with a key", "Azure with a token", "Azure v1 with a key"):
        workbench.connect(form)
    assert_opens(opened(address), TITLES[address])


@each_kind_of_page
def test_a_page_opens_with_a_stored_key_that_cannot_be_opened(workbench: Workbench, address: str) -> None:
    workbench.connect()
    workbench.break_keys()
    assert_opens(opened(address), TITLES[address])


@each_kind_of_page
def test_a_page_opens_for_a_user_without_administrator_rights(workbench: Workbench, address: str) -> None:
    workbench.connect()
    workbench.demote()
    at = opened(address)
    assert not at.exception
    assert "configurations" in address or lines(at.title) == [TITLES[address]]


@each_kind_of_page
def test_opening_a_page_sends_and_records_nothing(workbench: Workbench, address: str) -> None:
    workbench.connect()
    opened(address)
    assert workbench.server.requests == []
    assert workbench.sql("SELECT count(*) FROM calls") == [(0,)]


@pytest.fixture(scope="module")
def of_two_calls(tmp_path_factory: pytest.TempPathFactory, provider: ProviderServer) -> Path:
    """The folder of a database with a call that failed and one that reported no tokens."""
    folder = tmp_path_factory.mktemp("calls")
    workbench = Workbench(folder / "workbench.db", provider)
    workbench.start()
    workbench.connect()
    provider.next(Reply(501, error("Down.")), Reply(200, completion("OK", usage=None)))
    for _ in range(2):
        send(visit("tuner"), "Send")
    base.stop()
    return folder


@each_kind_of_page
def test_a_page_opens_after_a_call_failed_and_another_reported_no_tokens(
    workbench: Workbench, of_two_calls: Path, address: str
) -> None:
    base.stop()
    for name in (
        "workbench.db",
        "workbench.db-wal",
        "encryption.key",
    ):  # the log is there until SQLite has folded it in
        if (of_two_calls / name).exists():
            shutil.copy(of_two_calls / name, workbench.path.parent)
    workbench.start()
    assert workbench.sql("SELECT status, total_tokens FROM calls ORDER BY id") == [("failed", None), ("done", None)]
    assert_opens(opened(address), TITLES[address])


@each_sending_page
def test_without_a_configuration_a_page_that_sends_says_what_to_do_first(workbench: Workbench, page: str) -> None:
    at = visit(page)
    assert "No configuration available." in said(at)
    (link,) = [link.proto for link in at.page_link if link.proto.label == "Add a configuration"]
    assert (link.page, link.query_string) == ("configurations", "edit=new")


@each_kind_of_sending_page
def test_without_a_configuration_a_page_has_no_send_button(workbench: Workbench, page: str) -> None:
    at = visit(page)
    assert set(labels(at)) <= {"New chat", "Chats"}
    assert not at.chat_input
    assert not at.sidebar.selectbox


@each_kind_of_sending_page
def test_without_a_configuration_a_user_is_sent_to_the_administrator(workbench: Workbench, page: str) -> None:
    workbench.demote()
    at = visit(page)
    assert "Ask the administrator to add one." in said(at)
    assert not at.page_link


@each_sending_page
def test_with_a_configuration_a_page_has_exactly_one_way_to_send(workbench: Workbench, page: str) -> None:
    workbench.connect()
    at = visit(page)
    primary = [button for button in at.button if button.proto.type == "primary"]
    assert len(primary) + len(at.chat_input) == 1
    assert "No configuration available." not in said(at)


def test_pages_without_a_started_app_say_how_to_start_it() -> None:
    base.stop()
    at = visit()
    assert not at.exception
    assert lines(at.error) == ["Only the frame of the app was started. Start the app with: streamlit run app.py"]


@pytest.mark.parametrize("table", ["people", "configurations", "calls", "chat_sessions"])
def test_a_page_reports_a_database_error_in_a_sentence(workbench: Workbench, table: str) -> None:
    workbench.connect()
    workbench.sql(f"ALTER TABLE {table} RENAME TO lost")
    at = visit("usage" if table == "calls" else "chat")
    assert not at.exception
    assert lines(at.error) == [
        "The database refused this (error SQLITE_ERROR). The data could not be read; nothing was changed. Try again; "
        "if it happens again, tell the administrator."
    ]


def test_an_unexpected_error_shows_a_reference_that_is_in_the_log(
    workbench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    workbench.connect()
    press(visit("configurations"), "Test")
    workbench.sql("UPDATE calls SET adaptations = '{\"secret\"'")
    with caplog.at_level(logging.ERROR, logger="workbench"):
        at = visit("configurations")
    assert not at.exception
    (sentence,) = lines(at.error)
    assert "An unexpected error occurred." in sentence
    assert "secret" not in sentence
    (record,) = [record for record in caplog.records if record.name == "workbench"]
    reference = record.getMessage().removeprefix("reference ")
    assert len(reference) == 6
    assert f"the reference {reference}:" in sentence
