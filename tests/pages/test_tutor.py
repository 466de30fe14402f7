"""The pages with a role: each request starts with the role, and each page has its own chats."""

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared.base import plain
from tests.pages.conftest import Workbench, answered, go, labels, press, use, visit


def system_prompt(at: AppTest) -> str:
    """The system prompt in the settings of the chat."""
    (field,) = [field for field in at.text_area if field.label == "System prompt"]
    return str(field.value)


@pytest.mark.parametrize(("page", "in_it"), [("tutor", "fractions"), ("game_character", "lighthouse")])
def test_the_role_is_the_first_message_of_every_request_and_the_chats_stay_on_their_page(
    workbench: Workbench, page: str, in_it: str
) -> None:
    workbench.connect()
    at = use(visit(page))
    answered(at.chat_input[0].set_value("And then?").run())
    first, second = workbench.bodies()
    for body in (first, second):
        assert body["messages"][0]["role"] == "system"
        assert in_it in body["messages"][0]["content"]
    assert len(second["messages"]) == 4
    title = workbench.sql("SELECT title FROM chat_sessions")[0][0]
    assert plain(title) in labels(visit(page))
    assert plain(title) not in labels(visit("chat"))


@pytest.mark.parametrize(("page", "chosen"), [("tutor", "chess openings"), ("game_character", "a ghost who")])
def test_the_chat_settings_show_the_role_as_the_system_prompt(workbench: Workbench, page: str, chosen: str) -> None:
    workbench.connect()
    at = visit(page)
    box = at.main.selectbox[0]
    box.set_value(next(option for option in box.options if chosen in option))
    at.run()
    assert chosen in system_prompt(at)
    at = use(at)
    prompt = workbench.bodies()[0]["messages"][0]["content"]
    assert chosen in prompt
    assert workbench.sql("SELECT system_prompt, page FROM chat_sessions") == [(prompt, page)]
    assert system_prompt(at) == prompt


@pytest.mark.parametrize(("page", "typed"), [("tutor", "knots"), ("game_character", "a cook who lost the salt")])
def test_a_role_can_be_typed(workbench: Workbench, page: str, typed: str) -> None:
    workbench.connect()
    at = visit(page)
    at.main.selectbox[0].options.append(typed)  # as a browser does
    at.main.selectbox[0].set_value(typed)
    at.run()
    at.main.selectbox[0].options.append(typed)
    use(at)
    assert typed in workbench.bodies()[0]["messages"][0]["content"]


@pytest.mark.parametrize("page", ["tutor", "game_character"])
def test_a_system_prompt_typed_on_the_chat_page_is_used_only_there(workbench: Workbench, page: str) -> None:
    workbench.connect()
    at = visit("chat")
    at.text_area(key="system:new:chat:field").set_value("Answer in Latin.").run()
    use(go(at, page))
    assert "Latin" not in str(workbench.bodies())
    at = use(go(at, "chat"))
    assert workbench.bodies()[-1]["messages"][0] == {"role": "system", "content": "Answer in Latin."}
    titles = dict(workbench.sql("SELECT page, title FROM chat_sessions"))
    assert plain(titles["chat"]) not in labels(go(at, page))


def test_a_new_subject_applies_to_the_next_chat_only(workbench: Workbench) -> None:
    workbench.connect()
    at = use(visit("tutor"))
    at = press(at, "New chat")
    at.main.selectbox[0].set_value("chess openings").run()
    use(at)
    systems = [body["messages"][0]["content"] for body in workbench.bodies()]
    assert ["fractions" in system for system in systems] == [True, False]
    assert ["chess" in system for system in systems] == [False, True]
    assert all("never change that" in system for system in systems)
