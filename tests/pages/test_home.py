"""The home page: completed and open setup steps, and all use cases."""

import ast

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import PageLink

from pages.shared import account, base
from pages.shared.base import title_of
from tests.pages.conftest import (
    DEMO,
    PAGES,
    PAGES_FOLDER,
    USE_CASES,
    Workbench,
    labels,
    lines,
    press,
    read,
    said,
    say,
    send,
    use,
    visit,
)
from tests.provider.answers import error
from tests.provider.server import Reply


def steps(at: AppTest) -> dict[str, bool]:
    """The lines of the check list, and whether they are ticked off."""
    found = {}
    for line in lines(at.markdown):
        icon, _, title = line.partition("\u2002")
        if title:
            found[title.strip("*")] = "check_circle" in icon
    return found


def addresses(at: AppTest) -> set[str]:
    return {link.proto.page for link in at.page_link}


def first_sentence(use_case: str) -> str:
    source = (PAGES_FOLDER / PAGES[use_case]).read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]


@pytest.mark.parametrize("use_case", USE_CASES)
def test_every_use_case_has_a_card_with_its_sentence_and_a_link(workbench: Workbench, use_case: str) -> None:
    at = visit()
    assert use_case in addresses(at)
    assert first_sentence(use_case) in said(at)


def test_the_two_examples_of_the_first_day_are_among_them() -> None:
    assert {"chat", "product_description"} <= set(USE_CASES)


def test_every_link_of_the_home_page_leads_to_a_page(workbench: Workbench) -> None:
    at = visit()
    assert at.page_link
    for address in addresses(at):
        there = visit(address)
        assert not there.exception
        assert lines(there.title) == [title_of(address)]


def test_the_home_page_says_what_the_product_does_not_include(workbench: Workbench) -> None:
    assert "no embeddings, speech or image generation" in said(visit())


def test_on_an_empty_workbench_the_steps_for_provider_and_first_answer_are_open(workbench: Workbench) -> None:
    at = visit()
    assert steps(at) == {"Encryption key": True, "Provider": False, "First answer": False}
    assert "1 of 3 done" in said(at)
    assert labels(at) == ["Add a configuration"]


def test_the_check_list_names_the_source_of_the_encryption_key(workbench: Workbench) -> None:
    assert "encryption.key" in said(visit())
    assert (workbench.path.parent / "encryption.key").exists()


def test_the_button_of_the_check_list_opens_the_form_of_a_new_configuration(workbench: Workbench) -> None:
    at = press(visit(), "Add a configuration")
    assert lines(at.title) == ["New configuration"]
    assert at.query_params == {"edit": "new"}


def test_with_a_provider_the_next_step_is_a_first_answer(workbench: Workbench) -> None:
    workbench.connect()
    at = visit()
    assert steps(at) == {"Encryption key": True, "Provider": True, "First answer": False}
    assert labels(at) == ["Open Chat"]
    assert lines(press(at, "Open Chat").title) == ["Chat"]


def test_the_check_list_disappears_when_all_steps_are_done(workbench: Workbench) -> None:
    workbench.connect()
    say(visit("chat"), "Hello")
    at = visit()
    assert steps(at) == {}
    assert labels(at) == []
    assert addresses(at) == {*USE_CASES, "tuner", "usage"}


def test_after_the_first_answer_the_home_page_suggests_pages_that_have_not_been_tried(workbench: Workbench) -> None:
    workbench.connect()
    assert "Try next" not in said(visit())
    say(visit("chat"), "Hello")
    assert "Try next" in said(visit())
    use(visit("operations"))
    assert "See what history adds" not in said(visit())
    use(visit("tuner"))
    assert "Try next" not in said(visit())


def test_the_test_of_a_configuration_is_no_first_answer(workbench: Workbench) -> None:
    workbench.connect()
    press(visit("configurations"), "Test")
    assert steps(visit())["First answer"] is False


def test_a_failed_call_does_not_complete_the_step_of_the_first_answer(workbench: Workbench) -> None:
    workbench.connect()
    workbench.server.next(Reply(501, error("Down.")))
    say(visit("chat"), "Hello")
    assert steps(visit()).get("First answer") is False


def test_the_built_in_model_does_not_complete_the_provider_step(workbench: Workbench) -> None:
    workbench.connect(endpoint=DEMO)
    at = visit()
    assert steps(at) == {
        "Encryption key": True,
        "Built-in demo model": True,
        "Provider": False,
        "First answer": False,
    }
    assert "Tiny, and often wrong." in said(at)


def test_a_page_that_sends_to_the_built_in_model_says_so(workbench: Workbench) -> None:
    workbench.connect(endpoint=DEMO)
    assert "This is the built-in demo model" in said(visit("chat"))
    assert "This is the built-in demo model" not in said(visit())


def test_a_user_sees_no_link_to_the_configurations(workbench: Workbench) -> None:
    workbench.demote()
    at = visit()
    assert steps(at)["Provider"] is False
    assert labels(at) == []
    assert "configurations" not in addresses(at)


def test_the_cards_are_grouped_and_name_the_abilities_they_need(workbench: Workbench) -> None:
    found: dict[str, list[str]] = {}
    needs: dict[str, str] = {}
    for node in visit().main:
        if node.type == "header":
            found[read(node)] = []
        elif isinstance(node, PageLink) and found:
            found[list(found)[-1]].append(node.proto.page)
        elif read(node).startswith("Needs a model with "):
            needs[found[list(found)[-1]][-1]] = read(node).removeprefix("Needs a model with ")
    found = {group: pages for group, pages in found.items() if group != "Set up"}
    assert list(found) == ["Talk", "Write", "Understand", "Structure", "Tools", "See"]
    for use_case in base.use_cases():
        assert use_case.name in found[base.USE_CASE_GROUPS[use_case.group]]
        assert needs.get(use_case.name, "") == " and ".join(account.NEEDS[need] for need in use_case.needs)
    assert sum(map(len, found.values())) == len(USE_CASES)
    assert (needs["vision"], needs["function_calling"]) == ("image input", "tool calls")


def test_the_home_page_shows_the_last_chats_and_the_calls_of_this_month(workbench: Workbench) -> None:
    workbench.connect()
    assert not visit().metric
    for text in ("One", "Two", "Three *stars*", "Four", "Five"):
        say(visit("chat"), text)
    say(visit("tutor"), "A lesson")
    workbench.server.next(Reply(501, error("Down.")))
    send(visit("translate"), "Translate")
    at = visit()
    chats = [link.proto for link in at.page_link if "chat=" in link.proto.query_string]
    assert [link.label for link in chats] == ["Five", "Four", "Three \\*stars\\*", "Two"]
    (newest,) = workbench.sql("SELECT id FROM chat_sessions WHERE title = 'Five'")[0]
    assert chats[0].query_string == f"chat={newest}"
    assert {metric.label: metric.value for metric in at.metric} == {"Calls": "7", "Cost": "–"}


def test_a_use_case_alone_adds_no_chat_to_the_home_page(workbench: Workbench) -> None:
    workbench.connect()
    send(visit("translate"), "Translate")
    at = visit()
    assert "No chats yet." in said(at)
    assert at.metric[0].value == "1"
