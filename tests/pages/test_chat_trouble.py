"""Failures in the chat: no typed text is lost, and failed messages are not sent again."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from db import PersonRole
from pages.shared import base
from tests.pages.conftest import CANNOT_OPEN, Workbench, answered, everything, labels, lines, press, said, say, visit
from tests.pages.test_chat import answer_of, sent, spoken, turns
from tests.provider.answers import chunk, completion, error
from tests.provider.server import Chunks, Drop, Reply

DOWN = Reply(501, error("The server had an error."))
NO_TEXT = "The model returned no text."


@pytest.fixture
def at(workbench: Workbench) -> AppTest:
    workbench.connect()
    return visit("chat")


def offered(at: AppTest) -> str:
    """The text that was put back into the input."""
    proto = at.chat_input[0].proto
    return str(proto.value) if proto.set_value else ""


def statuses(workbench: Workbench) -> list[tuple[str, str]]:
    return workbench.sql("SELECT messages.status, calls.status FROM messages JOIN calls ON calls.id = call_id")


def nothing_is_stored(workbench: Workbench) -> bool:
    tables = ("chat_sessions", "messages", "calls")
    return all(workbench.sql(f"SELECT count(*) FROM {table}") == [(0,)] for table in tables)


# -- the provider fails


def test_a_failed_call_shows_the_reason_and_the_message_stands_once(workbench: Workbench, at: AppTest) -> None:
    workbench.server.next(DOWN)
    say(at, "One")
    (sentence,) = lines(at.error)
    assert "It says: “The server had an error.”" in sentence
    assert spoken(at)[0] == ("user", "One")
    assert offered(at) == ""
    assert "Send again" in labels(at)
    assert statuses(workbench) == [("failed", "failed")]
    assert workbench.sql("SELECT role, content FROM messages") == [("user", "One"), ("assistant", "")]
    assert workbench.sql("SELECT error FROM calls") == [(sentence,)]


def test_a_message_that_failed_is_not_sent_with_the_next_message(workbench: Workbench, at: AppTest) -> None:
    say(at, "One")
    workbench.server.next(DOWN)
    say(at, "Two")
    say(at, "Two again")
    assert sent(workbench) == [*turns("One"), ("user", "Two again")]
    say(at, "Three")
    assert sent(workbench) == [*turns("One", "Two again"), ("user", "Three")]


def test_a_failed_message_is_still_shown_when_the_chat_is_opened_again(workbench: Workbench, at: AppTest) -> None:
    workbench.server.next(DOWN)
    say(at, "One")
    again = visit("chat", chat=str(at.query_params["chat"]))
    assert spoken(again)[0] == ("user", "One")
    assert lines(again.error) == lines(at.error)
    assert offered(again) == ""


def test_a_failed_message_is_sent_again_by_a_button(workbench: Workbench, at: AppTest) -> None:
    workbench.server.next(DOWN)
    say(at, "One")
    answered(press(at, "Send again"))
    assert spoken(at) == turns("One")
    assert sent(workbench) == [("user", "One")]
    assert len(workbench.server.requests) == 2
    assert "Ask again" in labels(at)


def test_a_connection_that_breaks_before_the_answer_is_reported(workbench: Workbench, at: AppTest) -> None:
    say(at, "Before")
    workbench.server.next(Drop(), Drop())  # the first meets the kept connection, which is replaced
    say(at, "One")
    assert len(lines(at.error)) == 1
    assert "Send again" in labels(at)
    assert statuses(workbench) == [("complete", "done"), ("failed", "failed")]


def test_an_answer_that_was_cut_off_is_kept_and_sent_with_the_next_message(workbench: Workbench, at: AppTest) -> None:
    workbench.server.next(Chunks([chunk("Half an "), chunk("answer")], then="close"))
    say(at, "One")
    assert spoken(at) == [("user", "One"), ("assistant", "Half an answer")]
    assert len(lines(at.error)) == 1
    assert statuses(workbench) == [("interrupted", "interrupted")]
    say(at, "Two")
    assert sent(workbench) == [("user", "One"), ("assistant", "Half an answer"), ("user", "Two")]


def test_the_error_for_a_wrong_key_does_not_contain_the_key(workbench: Workbench, at: AppTest) -> None:
    key = workbench.server.key
    workbench.server.next(Reply(401, error(f"Incorrect API key provided: {key}")))
    say(at, "One")
    assert len(lines(at.error)) == 1
    assert key not in everything(at)
    assert key.encode() not in workbench.bytes_on_disk()


# -- nothing was sent


def test_a_key_that_cannot_be_opened_is_reported_and_nothing_is_stored(workbench: Workbench, at: AppTest) -> None:
    workbench.break_keys()
    say(at, "One")
    assert lines(at.error) == [CANNOT_OPEN]
    assert offered(at) == "One"
    assert workbench.server.requests == []
    assert nothing_is_stored(workbench)


def test_a_missing_model_is_reported_and_nothing_is_stored(workbench: Workbench) -> None:
    workbench.connect(model_default="")
    at = say(visit("chat"), "One")
    assert lines(at.error) == ["Name a model: “OpenAI” has no default model."]
    assert offered(at) == "One"
    assert workbench.server.requests == []
    assert nothing_is_stored(workbench)
    at.sidebar.text_input[0].set_value("gpt-test")
    say(at, "One")
    assert lines(at.error) == []
    assert spoken(at) == turns("One")


def test_a_database_error_is_reported_and_the_text_is_kept(workbench: Workbench, at: AppTest) -> None:
    workbench.sql("CREATE TRIGGER full BEFORE INSERT ON messages BEGIN SELECT RAISE(FAIL, 'no'); END")
    say(at, "One")
    assert lines(at.error) == [REFUSED]
    assert offered(at) == "One"
    assert workbench.server.requests == []


def test_the_chat_is_shown_and_the_text_is_kept_until_the_database_file_is_back(
    workbench: Workbench, at: AppTest
) -> None:
    say(at, "One")
    aside = workbench.path.rename(workbench.path.with_name("aside.db"))
    say(at, "Two")
    assert lines(at.error) == [
        "The database file that DATABASE_URL names was deleted or moved while it was in use. Nothing was saved. "
        "Put it back and try again."
    ]
    assert (offered(at), spoken(at)) == ("Two", turns("One"))
    assert len(workbench.bodies()) == 1
    aside.rename(workbench.path)
    say(at, "Two")
    assert spoken(at) == turns("One", "Two")


def test_an_error_is_not_shown_in_another_chat(workbench: Workbench, at: AppTest) -> None:
    say(at, "One")
    workbench.break_keys()
    say(at, "Two")
    assert lines(at.error) == [CANNOT_OPEN]
    assert lines(press(at, "New chat").error) == []


def test_a_message_for_a_configuration_deleted_meanwhile_is_not_sent_to_another_configuration(
    workbench: Workbench, at: AppTest
) -> None:
    azure = workbench.connect("Azure with a key")
    at.run().sidebar.selectbox[0].set_value(azure.id).run()
    say(at, "One")
    workbench.sql("DELETE FROM configurations WHERE id = ?", azure.id)
    say(at, "For Azure alone")
    assert len(workbench.server.requests) == 1
    assert len(lines(at.error) + lines(at.warning)) == 1
    assert offered(at) == "For Azure alone"
    say(at, "For whoever is picked now")
    assert workbench.server.requests[-1].path == "/v1/chat/completions"


# -- unknown chats


def test_an_unknown_chat_shows_a_warning_and_a_new_chat(workbench: Workbench) -> None:
    workbench.connect()
    at = visit("chat", chat="0" * 32)
    assert lines(at.warning) == ["This chat does not exist, or belongs to somebody else. This is a new chat."]
    assert (lines(at.title), at.query_params) == (["Chat"], {})
    say(at, "One")
    assert sent(workbench) == [("user", "One")]


def test_the_chat_of_another_person_counts_as_unknown(workbench: Workbench, at: AppTest) -> None:
    say(at, "My secret")
    other = base.database().people.add(base.person(), "Somebody", PersonRole.USER)
    workbench.sql("UPDATE chat_sessions SET owner_id = ?", other.id)
    foreign = visit("chat", chat=str(at.query_params["chat"]))
    assert lines(foreign.warning) == ["This chat does not exist, or belongs to somebody else. This is a new chat."]
    assert "My secret" not in everything(foreign)
    say(foreign, "One")
    assert sent(workbench) == [("user", "One")]
    assert workbench.sql("SELECT count(*) FROM messages WHERE content = 'My secret'") == [(1,)]


# -- incomplete answers


@pytest.mark.parametrize(
    ("finish_reason", "hint"),
    [
        ("length", "The answer was cut off: it reached the token limit."),
        ("content_filter", "The provider's content filter removed a part of the answer."),
    ],
)
def test_the_page_says_why_an_answer_is_incomplete(
    workbench: Workbench, at: AppTest, finish_reason: str, hint: str
) -> None:
    workbench.server.next(answer_of("Half", finish_reason=finish_reason))
    say(at, "One")
    assert hint in said(at.chat_message[1])
    assert finish_reason in lines(at.chat_message[1].caption)[0]
    assert hint not in said(say(at, "Two").chat_message[3])
    assert workbench.sql("SELECT finish_reason FROM calls") == [(finish_reason,), ("stop",)]


def test_an_unknown_finish_reason_is_shown_unchanged(workbench: Workbench, at: AppTest) -> None:
    workbench.server.next(answer_of("Half", finish_reason="weird_new"))
    assert "weird_new" in said(say(at, "One").chat_message[1])


@pytest.mark.parametrize("finish_reason", ["stop", "content_filter"])
def test_the_page_says_that_an_answer_has_no_text(workbench: Workbench, at: AppTest, finish_reason: str) -> None:
    workbench.server.next(answer_of(finish_reason=finish_reason))
    say(at, "One")
    assert NO_TEXT in said(at.chat_message[1])
    assert "None" not in said(at)
    assert statuses(workbench) == [("complete", "done")]


def test_an_answer_without_text_is_not_sent_back_to_the_provider(workbench: Workbench, at: AppTest) -> None:
    workbench.server.next(answer_of())
    say(say(at, "One"), "Two")
    assert sent(workbench) == [("user", "Two")]


def test_tokens_that_were_not_reported_are_shown_as_not_reported(workbench: Workbench, at: AppTest) -> None:
    workbench.server.next(Chunks([chunk("Hello"), chunk(finish_reason="stop")]))
    say(at, "One")
    (line,) = lines(at.chat_message[1].caption)
    assert line.endswith("tokens not reported")
    assert workbench.sql("SELECT total_tokens FROM calls") == [(None,)]


def test_an_answer_that_is_not_streamed_is_shown_too(workbench: Workbench, at: AppTest) -> None:
    workbench.server.next(Reply(200, completion("All at once.")))
    assert spoken(say(at, "One")) == [("user", "One"), ("assistant", "All at once.")]


# -- clicks, which run before the page is drawn


REFUSED = (
    "The database refused this (error SQLITE_CONSTRAINT_TRIGGER). Nothing was saved. Try again; if it happens again, "
    "tell the administrator."
)


def refuse(workbench: Workbench, what: str) -> None:
    """Make the database refuse changes of this kind."""
    workbench.sql(f"CREATE TRIGGER refused BEFORE {what} BEGIN SELECT RAISE(FAIL, 'no'); END")


def retitle(at: AppTest) -> AppTest:
    return next(field for field in at.text_input if field.label == "Title").set_value("Another name").run()


def instruct(at: AppTest) -> AppTest:
    return next(area for area in at.text_area if area.label == "System prompt").set_value("Be brief.").run()


@pytest.mark.parametrize("act", [retitle, instruct, lambda at: press(at, "Delete chat")])
def test_a_change_that_the_database_refuses_is_reported_and_the_page_stays_usable(
    workbench: Workbench, at: AppTest, act: Callable[[AppTest], AppTest]
) -> None:
    say(at, "One")
    refuse(workbench, "UPDATE ON chat_sessions")
    act(at)
    assert not at.exception
    assert lines(at.toast) == [REFUSED]
    assert spoken(at) == turns("One")


@pytest.mark.parametrize("act", [retitle, instruct, lambda at: press(at, "Send")])
def test_a_chat_deleted_in_another_tab_is_reported_and_breaks_nothing(
    workbench: Workbench, at: AppTest, act: Callable[[AppTest], AppTest]
) -> None:
    press(say(at, "One"), "Edit")
    ((id,),) = workbench.sql("SELECT id FROM chat_sessions")
    base.database().chat_sessions.delete(base.person(), id)
    act(at)
    assert not at.exception
    assert lines(at.toast) == ["This chat no longer exists."]


def test_a_chat_whose_restoring_failed_can_be_restored_later(workbench: Workbench, at: AppTest) -> None:
    say(at, "One")
    press(at, "Delete chat")
    refuse(workbench, "UPDATE ON chat_sessions")
    press(at, "Undo")
    workbench.sql("DROP TRIGGER refused")
    press(at, "Undo")
    assert spoken(at) == turns("One")


def test_a_text_is_kept_in_the_input_when_the_configurations_cannot_be_read(workbench: Workbench, at: AppTest) -> None:
    workbench.sql("ALTER TABLE configurations RENAME TO gone")
    at.chat_input[0].set_value("One").run()
    workbench.sql("ALTER TABLE gone RENAME TO configurations")
    assert not at.exception
    assert offered(at.run()) == "One"


def test_an_invalid_stored_configuration_leaves_the_chat_usable(workbench: Workbench, at: AppTest) -> None:
    say(at, "One")
    workbench.sql("UPDATE configurations SET endpoint = 'ftp://nowhere'")
    at = visit("chat", chat=str(at.query_params["chat"]))
    assert spoken(at) == turns("One")
    say(at, "Two")
    assert len(lines(at.error)) == 1
    assert offered(at) == "Two"


def test_a_double_click_on_ask_again_sends_one_request(workbench: Workbench, at: AppTest) -> None:
    say(at, "One")
    ((id,),) = workbench.sql("SELECT id FROM messages WHERE role = 'assistant'")
    workbench.sql("UPDATE chat_sessions SET lease_until = 9999999999999")  # the first click's answer
    press(at, "Ask again")
    assert lines(at.error) == []
    assert workbench.sql("SELECT id FROM messages WHERE role = 'assistant'") == [(id,)]


def test_after_a_failure_the_page_asks_for_the_pictures_again(workbench: Workbench, at: AppTest) -> None:
    workbench.break_keys()
    at.chat_input[0].upload("cat.png", b"\x89PNG\r\n\x1a\n...", "image/png").set_value("Look").run()
    assert lines(at.error) == [f"{CANNOT_OPEN} Attach the pictures again."]
    assert offered(at) == "Look"


def test_a_damaged_picture_leaves_the_chat_readable(workbench: Workbench, at: AppTest) -> None:
    at.chat_input[0].upload("cat.png", b"\x89PNG\r\n\x1a\nno picture at all", "image/png").set_value("Look").run()
    answered(at)
    assert lines(at.error) == []
    assert "This picture is damaged and cannot be shown." in said(at)
    assert said(at.chat_message[1]).startswith("Answer 0 to: ")
