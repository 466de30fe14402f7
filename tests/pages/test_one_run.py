"""A run of a page reads each value once, and again after a change."""

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared import base, chat
from tests.pages.conftest import Workbench, say, visit


def names() -> list[str]:
    return [each.display_name for each in base.configurations()]


def test_a_value_is_read_once_in_a_run(workbench: Workbench) -> None:
    with base.one_run():
        assert names() == []
        workbench.connect(display_name="Saved by somebody else")
        assert names() == []
    assert names() == ["Saved by somebody else"]


def test_outside_a_run_a_value_is_read_each_time(workbench: Workbench) -> None:
    assert names() == []
    workbench.connect(display_name="New")
    assert names() == ["New"]


def test_a_run_inside_a_run_shares_its_values(workbench: Workbench) -> None:
    with base.one_run():
        assert names() == []
        workbench.connect()
        with base.one_run():
            assert names() == []
        assert names() == []


def test_a_change_is_seen_by_the_next_read_of_the_same_run(workbench: Workbench) -> None:
    saved = workbench.connect(display_name="Before")
    with base.one_run():
        assert names() == ["Before"]
        with base.changing() as database:
            database.configurations.change(base.person(), saved.id, {"display_name": "After"})
        assert names() == ["After"]


def test_after_a_change_that_failed_values_are_read_again(workbench: Workbench) -> None:
    with base.one_run():
        assert names() == []
        workbench.connect(display_name="There")
        with pytest.raises(base.NotFound), base.changing() as database:
            database.configurations.delete(base.person(), "nowhere")
        assert names() == ["There"]


def test_a_change_of_a_chat_is_seen_by_the_next_read_of_the_same_run(workbench: Workbench) -> None:
    workbench.connect()
    at = say(visit("chat"), "Before")
    session_id = str(at.query_params["chat"])
    with base.one_run():
        assert chat.title(session_id) == "Before"
        with base.changing() as database:
            database.chat_sessions.update(base.person(), session_id, title="After")
        assert chat.title(session_id) == "After"


def test_a_deleted_answer_is_gone_in_the_same_run(workbench: Workbench) -> None:
    workbench.connect()

    def page() -> None:
        import streamlit as st

        from connector import ChatCompletionsRequest
        from pages.shared import account, base, use_case

        account.enter("translate")
        with base.one_run():
            before = use_case.last()
            if before is None:
                use_case.begin(ChatCompletionsRequest.of_prompts("Hello"), "call_api")
            elif not use_case.is_writing():
                use_case.forget()
            after = use_case.last()
            st.text(f"{before is not None} {after is not None}")

    at = AppTest.from_function(page).run()
    assert at.text[0].value == "False True"
    answer = base.database().lone_answers.last(base.person(), "translate")
    assert answer
    assert base.answers().wait(answer.id, 10)
    assert at.run().text[0].value == "True False"
