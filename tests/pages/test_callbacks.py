"""A callback that fails shows a sentence, and the page is drawn."""

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import lines

PAGE = """
import streamlit as st
from pages.shared import base

@base.reports_errors
def change():
    {act}

st.button("Change", on_click=change)
st.write("The rest of the page")
"""


def pressed(act: str) -> AppTest:
    """A page with one button, after it was pressed."""
    at = AppTest.from_string(PAGE.format(act=act)).run().button[0].click().run()
    assert not at.exception
    assert lines(at.markdown) == ["The rest of the page"]
    return at


def test_a_change_of_a_field_that_the_page_does_not_draw_any_more_is_ignored() -> None:
    """A browser that still shows another chat sends the fields of that chat, and Streamlit calls their callbacks."""
    assert not pressed("st.session_state['seen'] = base.entered('a field of another chat')").toast


def test_a_storage_error_is_shown_in_its_own_words() -> None:
    toast = pressed("raise base.StorageError('The database is in use. Nothing was saved. Try again.')").toast[0]
    assert toast.value.replace("\\", "") == "The database is in use. Nothing was saved. Try again."


def test_an_unexpected_error_is_logged_under_the_reference_that_the_person_sees(
    caplog: pytest.LogCaptureFixture,
) -> None:
    toast = pressed("{}['no such key']").toast[0]
    reference = toast.value.partition("the reference ")[2][:6]
    assert toast.value.startswith("An unexpected error occurred. Reload the page.")
    assert "no such key" not in toast.value
    assert f"reference {reference}" in caplog.text
