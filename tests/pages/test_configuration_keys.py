"""A key is typed into the form and leaves only in requests: no page shows it, and the disk has only its ciphertext."""

import logging

import pytest
from streamlit.testing.v1 import AppTest

from connector import KeyType
from db import SavedConfiguration
from pages.shared import base
from tests.pages.conftest import (
    Workbench,
    choose_provider,
    everything,
    fill,
    lines,
    press,
    said,
    say,
    visit,
)

NEW_KEY = "sk-another-key-0123456789-wxyz"
OTHER_HOST = "The endpoint has another host now. Enter the key again."


@pytest.fixture
def saved(workbench: Workbench) -> SavedConfiguration:
    return workbench.connect()


def change(saved: SavedConfiguration, **fields: str) -> AppTest:
    """Open the form of a saved configuration, type, and save."""
    return press(fill(visit("configurations", edit=saved.id), saved.id, **fields), "Save")


def key_on_the_wire(workbench: Workbench) -> str:
    """The key that the next message is sent with."""
    say(visit("chat"), "Hello")
    return workbench.server.requests[-1].headers["authorization"].removeprefix("Bearer ")


# -- kept or replaced


@pytest.mark.parametrize("typed", ["", "   "])
def test_a_blank_key_keeps_the_old_one(workbench: Workbench, saved: SavedConfiguration, typed: str) -> None:
    at = change(saved, display_name="Renamed", api_key=typed)
    assert lines(at.title) == ["Configurations"]
    assert workbench.sql("SELECT display_name FROM configurations") == [("Renamed",)]
    assert workbench.key_of(saved) == workbench.server.key
    assert key_on_the_wire(workbench) == workbench.server.key


def test_a_new_key_replaces_the_old_one(workbench: Workbench, saved: SavedConfiguration) -> None:
    at = change(saved, api_key=f" {NEW_KEY} ")
    assert workbench.key_of(saved) == NEW_KEY
    assert key_on_the_wire(workbench) == NEW_KEY
    assert "key ••••wxyz" in said(at)


def test_an_address_at_another_host_needs_the_key_again(workbench: Workbench, saved: SavedConfiguration) -> None:
    before = workbench.sql("SELECT * FROM configurations")
    elsewhere = f"http://localhost:{workbench.server.port}/v1"
    at = change(saved, endpoint=elsewhere)
    assert OTHER_HOST in said(at)
    assert workbench.sql("SELECT * FROM configurations") == before
    press(fill(at, saved.id, api_key=NEW_KEY), "Save")
    assert workbench.sql("SELECT endpoint FROM configurations") == [(elsewhere,)]
    assert workbench.key_of(saved) == NEW_KEY


def test_a_host_that_was_changed_behind_the_app_is_named_and_can_be_corrected_without_the_key(
    workbench: Workbench, saved: SavedConfiguration
) -> None:
    workbench.sql("UPDATE configurations SET endpoint = 'http://evil.example/v1'")
    sentence = f"This key was entered for 127.0.0.1:{workbench.server.port}, the address now leads to evil.example."
    (shown,) = lines(say(visit("chat"), "Hello").error)
    assert shown.startswith(sentence)
    at = change(saved, display_name="Renamed")
    assert sentence in said(at)
    press(fill(at, saved.id, endpoint=workbench.server.openai_endpoint), "Save")
    assert workbench.server.requests == []
    assert key_on_the_wire(workbench) == workbench.server.key


def test_another_path_at_the_same_host_keeps_the_key(workbench: Workbench, saved: SavedConfiguration) -> None:
    change(saved, endpoint=f"{workbench.server.url}/gateway/v1/")
    assert key_on_the_wire(workbench) == workbench.server.key
    assert workbench.server.requests[-1].path == "/gateway/v1/chat/completions"


def test_a_deployment_is_ignored_after_a_change_to_openai(workbench: Workbench) -> None:
    saved = workbench.connect("Azure with a key", deployment_name="chat-test")
    at = choose_provider(visit("configurations", edit=saved.id), "OpenAI", saved.id)
    press(fill(at, saved.id, model_default="gpt-test"), "Save")
    say(visit("chat"), "Hello")
    (request,) = workbench.server.requests
    assert (request.path, request.query, request.body["model"]) == ("/v1/chat/completions", {}, "gpt-test")
    assert "chat-test" not in str(request)


# -- a stored key that cannot be opened


def test_with_a_lost_encryption_key_list_and_form_work_and_ask_for_the_key(
    workbench: Workbench, saved: SavedConfiguration
) -> None:
    workbench.break_keys()
    at = change(saved, display_name="Renamed")
    assert lines(at.title) == ["Configurations"]
    assert "cannot open the stored key of: Renamed." in said(at)
    assert "Key cannot be opened" in said(at)
    at = press(at, "Edit")
    assert at.text_input(key=f"{saved.id}:api_key").placeholder == "Cannot be opened; enter it again"
    at = press(fill(at, saved.id, api_key=NEW_KEY), "Save")
    assert "Key cannot be opened" not in said(at)
    assert key_on_the_wire(workbench) == NEW_KEY


def test_the_home_page_names_the_configurations_whose_keys_cannot_be_opened(
    workbench: Workbench, saved: SavedConfiguration
) -> None:
    say(visit("chat"), "Hello")
    assert "Encryption key" not in said(visit()), "all is set up"
    workbench.break_keys()
    at = visit()
    assert f"encryption.key: cannot open the stored key of {saved.display_name}." in said(at)
    assert lines(press(at, "Open Configurations").title) == ["Configurations"]


def test_changing_the_type_of_key_removes_the_old_key(workbench: Workbench) -> None:
    saved = workbench.connect("Azure with a key")
    at = visit("configurations", edit=saved.id)
    at.selectbox(key=f"{saved.id}:key_type").set_value(KeyType.ENTRA_TOKEN).run()
    assert at.text_input(key=f"{saved.id}:api_key").placeholder == ""
    assert "The stored key has another type. Enter a key of this type." in said(press(at, "Save"))
    press(fill(at, saved.id, api_key="a-token-0123456789"), "Save")
    assert workbench.key_of(saved) == "a-token-0123456789"


def test_two_configurations_with_one_key_are_sealed_differently(workbench: Workbench) -> None:
    workbench.connect(display_name="One")
    workbench.connect(display_name="Two")
    (one, two) = (sealed for (sealed,) in workbench.sql("SELECT sealed_key FROM configurations"))
    assert one != two


# -- never shown


def test_a_saved_key_is_on_no_page_and_in_no_session_state(
    workbench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    form = {"display_name": "Mine", "endpoint": workbench.server.openai_endpoint, "model_default": "gpt-test"}
    at = press(fill(visit("configurations", edit="new"), **form, api_key=NEW_KEY), "Save")
    assert lines(at.title) == ["Configurations"]
    assert NEW_KEY not in everything(at)
    assert NEW_KEY not in everything(press(at, "Edit"))
    assert NEW_KEY not in caplog.text


def test_no_element_contains_the_key_while_another_field_has_an_error(workbench: Workbench) -> None:
    at = press(fill(visit("configurations", edit="new"), api_key=NEW_KEY), "Save")
    assert "Enter a name." in said(at)
    assert NEW_KEY not in "\n".join(str(getattr(node, "proto", "")) for node in at)
    assert at.text_input(key="new:api_key").value == NEW_KEY


def test_leaving_the_form_discards_the_typed_key(workbench: Workbench) -> None:
    at = fill(visit("configurations", edit="new"), api_key=NEW_KEY).run()
    assert NEW_KEY not in everything(press(at, "Back to list"))


def test_the_form_never_shows_the_stored_key(workbench: Workbench, saved: SavedConfiguration) -> None:
    at = visit("configurations", edit=saved.id)
    field = at.text_input(key=f"{saved.id}:api_key")
    assert field.value == ""
    assert field.placeholder == f"Ends in {workbench.server.key[-4:]}; leave empty to keep it"
    assert field.proto.type == field.proto.PASSWORD
    assert workbench.server.key not in everything(at)


@pytest.mark.parametrize("page", ["home", "chat", "product_description", "tuner", "configurations", "usage"])
def test_no_page_shows_the_key_after_a_call(workbench: Workbench, saved: SavedConfiguration, page: str) -> None:
    say(visit("chat"), "Hello")
    assert workbench.server.key not in everything(visit(page))


def test_the_files_of_the_database_do_not_contain_the_key(workbench: Workbench, saved: SavedConfiguration) -> None:
    change(saved, api_key=NEW_KEY)
    running = workbench.bytes_on_disk()
    assert (workbench.path.parent / "workbench.db-wal").stat().st_size > 0
    base.stop()
    for stored in (running, workbench.bytes_on_disk()):
        assert b"configurations" in stored
        for key in (NEW_KEY, workbench.server.key):
            assert key.encode() not in stored
