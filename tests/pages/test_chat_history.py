"""The preview of a request (earlier messages, tokens, cost), and the branches of a chat."""

import json
import re

import pytest
from streamlit.testing.v1 import AppTest

from connector import Price
from pages.shared import base
from pages.shared.chat import export
from tests.pages.conftest import Workbench, answered, lines, press, said, say, visit
from tests.pages.test_chat import answer_of, listed, sent, spoken, turns
from tests.provider.answers import chunk, error, usage
from tests.provider.server import Chunks, Hang, Reply

FILTERED = {"hate": {"filtered": False, "severity": "safe"}, "self_harm": {"filtered": True, "severity": "medium"}}


@pytest.fixture
def at(workbench: Workbench) -> AppTest:
    workbench.connect()
    return visit("chat")


def summary(at: AppTest) -> str:
    """The line above the input."""
    return next(line for line in lines(at.caption) if line.startswith("Sends "))


def system(at: AppTest, text: str) -> AppTest:
    return next(area for area in at.text_area if area.label == "System prompt").set_value(text).run()


def first_version(at: AppTest) -> AppTest:
    return at.menu_button[0].click("Version 1").run()


# -- number of earlier messages


def test_the_person_can_reduce_the_number_of_earlier_turns_that_are_sent(workbench: Workbench, at: AppTest) -> None:
    for prompt in ("One", "Two", "Three"):
        say(at, prompt)
    press(at, "Preview request").slider[0].set_value(1).run()
    assert summary(at.run()).startswith("Sends 2 earlier messages with yours, leaves out 2 of 3 turns")
    announced = json.loads(press(at, "Preview request").json[0].value)
    assert "The oldest 2 of 3 turns are left out, as chosen above." in said(at)
    say(at, "your next message")
    assert workbench.bodies()[-1]["messages"] == announced
    assert sent(workbench) == [*turns("Three"), ("user", "your next message")]
    assert workbench.sql("SELECT earlier_sent FROM messages WHERE role = 'assistant'") == [(0,), (2,), (4,), (2,)]


def test_with_zero_earlier_turns_the_system_prompt_is_still_sent(workbench: Workbench, at: AppTest) -> None:
    system(at, "Be brief.")
    say(at, "One")
    press(at, "Preview request").slider[0].set_value(0).run()
    assert summary(at.run()).startswith("Sends your message alone, leaves out 1 of 1 turns")
    say(at, "Two")
    assert sent(workbench) == [("system", "Be brief."), ("user", "Two")]
    again = visit("chat", chat=str(at.query_params["chat"]))
    assert summary(again).startswith("Sends your message alone")
    say(press(at, "New chat"), "Three")
    assert sent(workbench) == [("user", "Three")]


def test_turns_that_do_not_fit_into_the_context_window_are_left_out_and_the_page_says_so(
    workbench: Workbench, at: AppTest
) -> None:
    for prompt in ("A" * 400, "B" * 400):
        workbench.server.next(Chunks([chunk("C" * 400), chunk(finish_reason="stop")]))  # nobody tells the tokens
        say(at, prompt)
    workbench.server.next(
        Reply(400, error("This model's maximum context length is 300 tokens.", code="context_length_exceeded"))
    )
    say(at, "Too long?")
    assert "300 tokens" in said(at)
    assert "leaves out 1 of 2 turns" in summary(at)
    press(at, "Preview request")
    assert "1 more of the oldest turns are left out: they do not fit into the context window of 300 tokens." in said(at)
    say(at, "Now?")
    assert [content[:1] for _, content in sent(workbench)] == ["B", "C", "N"]


@pytest.mark.parametrize(
    ("limit", "left_out", "what"),
    [
        ("Input tokens exceed the configured limit of 301 tokens.", 1, "limit of the prompt of 301 tokens."),
        ("The model is loaded with context length of only 401 tokens.", 1, "context window of 401 tokens."),
        ("Input tokens exceed the configured limit of 401 tokens.", 0, ""),
    ],
)
def test_a_limit_of_the_prompt_leaves_no_room_for_the_answer_and_the_context_window_does(
    workbench: Workbench, at: AppTest, limit: str, left_out: int, what: str
) -> None:
    for prompt in ("A" * 400, "B" * 400):  # 100 tokens each, and as many in each answer
        workbench.server.next(Chunks([chunk("C" * 400), chunk(finish_reason="stop")]))
        say(at, prompt)
    workbench.server.next(Reply(400, error(limit, code="context_length_exceeded")))
    say(at, "Too long?")
    assert ("leaves out 1 of 2 turns" in summary(at)) == bool(left_out)
    press(at, "Preview request")
    assert (f"{left_out} more of the oldest turns are left out: they do not fit into the {what}" in said(at)) == bool(
        what
    )


# -- tokens and cost


def test_the_estimate_uses_the_token_counts_of_earlier_answers(workbench: Workbench, at: AppTest) -> None:
    saved = base.database().configurations.all(base.person())[0]
    base.database().configurations.change(base.person(), saved.id, {"price": Price(input=1000, output=0)})
    press(at, "Preview request")
    assert "estimated: 4.0 characters per token" in said(at)
    workbench.server.next(
        Chunks([chunk("b" * 10), chunk(finish_reason="stop"), chunk(choices=[], usage=usage(5, "b"))])
    )
    say(at, "a" * 10)
    assert summary(at) == "Sends 2 earlier messages with yours · about 10 tokens, $0.01"
    press(at, "Preview request")
    source = "measured with earlier calls of this model: 2.0 characters per token"
    assert f"About 10 tokens without your message, {source}." in said(at)
    assert "Sending this costs $0.01 (own price" in said(at)


def test_the_estimate_counts_the_system_prompt(workbench: Workbench, at: AppTest) -> None:
    workbench.server.next(
        Chunks([chunk("b" * 10), chunk(finish_reason="stop"), chunk(choices=[], usage=usage(5, "b"))])
    )
    say(at, "a" * 10)
    assert summary(at).endswith("about 10 tokens")
    assert summary(system(at, "s" * 20)).endswith("about 20 tokens")


# -- with and without history


def test_one_message_can_be_sent_with_and_without_history(workbench: Workbench, at: AppTest) -> None:
    say(at, "One")
    at.toggle[0].set_value(True)
    say(at, "Two")
    both = sorted((body["messages"] for body in workbench.bodies()[1:]), key=len)
    assert [[message["content"] for message in messages] for messages in both] == [
        ["Two"],
        ["One", "Answer 0 to: One", "Two"],
    ]
    assert "With 2 earlier messages" in said(at)
    assert "Without history" in said(at)
    assert workbench.sql("SELECT status, count(*) FROM calls GROUP BY status") == [("done", 3)]
    press(at, "Use this answer")
    assert "Without history" not in said(at)
    at.toggle[0].set_value(False)
    say(at, "Three")
    assert sent(workbench) == [*turns("One", "Two"), ("user", "Three")]


# -- branches


def test_ask_again_keeps_the_first_answer_as_another_version(workbench: Workbench, at: AppTest) -> None:
    say(at, "One")
    workbench.server.next(answer_of("Another one."))
    answered(press(at, "Ask again"))
    assert spoken(at) == [("user", "One"), ("assistant", "Another one.")]
    assert [menu.label for menu in at.menu_button] == ["Version 2 of 2"]
    first_version(at)
    assert spoken(at) == turns("One")
    say(at, "Two")
    assert sent(workbench) == [*turns("One"), ("user", "Two")]
    assert workbench.sql("SELECT count(*) FROM messages WHERE content = 'Another one.'") == [(1,)]


def test_an_edited_message_starts_a_new_branch_and_the_old_branch_is_kept(workbench: Workbench, at: AppTest) -> None:
    say(say(at, "One"), "Two")
    press(at, "Edit")
    next(area for area in at.text_area if area.label == "Your message").set_value("Uno")
    answered(press(at, "Send"))
    assert sent(workbench) == [("user", "Uno")]
    assert spoken(at) == turns("Uno")
    first_version(at)
    assert spoken(at) == turns("One", "Two")


def test_an_edit_that_cannot_be_sent_stays_in_its_field(workbench: Workbench, at: AppTest) -> None:
    say(at, "One")
    press(at, "Edit")
    next(area for area in at.text_area if area.label == "Your message").set_value("Uno")
    workbench.break_keys()
    press(at, "Send")
    assert len(lines(at.error)) == 1
    assert next(area for area in at.text_area if area.label == "Your message").value == "Uno"


# -- one at a time


def test_a_second_message_during_an_answer_is_refused_and_kept_in_the_input(workbench: Workbench, at: AppTest) -> None:
    workbench.server.next(Hang())
    at.chat_input[0].set_value("One").run()
    at.chat_input[0].set_value("Two").run()
    assert "An answer is still being written in this chat. Wait until it has ended, or stop it." in lines(at.error)
    assert at.chat_input[0].proto.value == "Two"
    answered(press(at, "Stop"))
    assert workbench.sql("SELECT content, status FROM messages") == [("One", "complete"), ("", "stopped")]
    say(at, "Two")
    assert sent(workbench) == [("user", "Two")]


# -- content filter, reasoning, pictures


def test_an_answer_that_the_content_filter_stopped_names_the_category(workbench: Workbench, at: AppTest) -> None:
    last = chunk(finish_reason="content_filter")
    last["choices"][0]["content_filter_results"] = FILTERED
    workbench.server.next(Chunks([chunk("Half"), last]))
    say(at, "One")
    assert "Filtered: self harm (medium)." in said(at.chat_message[1])


def test_a_prompt_that_the_content_filter_blocked_names_the_category(workbench: Workbench, at: AppTest) -> None:
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": FILTERED}
    refusal = error("Filtered.", code="content_filter")
    refusal["error"]["innererror"] = inner
    workbench.server.next(Reply(400, refusal))
    say(at, "One")
    assert "The content filter blocked this prompt (self harm: medium)" in lines(at.error)[0]


def test_reasoning_is_shown_separately_and_not_sent_back(workbench: Workbench, at: AppTest) -> None:
    thought = chunk()
    thought["choices"][0]["delta"]["reasoning_content"] = "Hm, let me see."
    workbench.server.next(Chunks([thought, chunk("Yes."), chunk(finish_reason="stop")]))
    say(at, "One")
    assert [box.label for box in at.expander] == ["Reasoning"]
    assert "Hm, let me see." in said(at.expander[0])
    say(at, "Two")
    assert sent(workbench) == [("user", "One"), ("assistant", "Yes."), ("user", "Two")]


def test_a_file_that_is_not_a_picture_is_refused_and_the_text_is_kept_in_the_input(
    workbench: Workbench, at: AppTest
) -> None:
    at.chat_input[0].upload("notes.png", b"just text", "image/png").set_value("Look").run()
    assert lines(at.error) == ["notes.png is not a picture that models accept. Choose a PNG, JPEG, GIF or WebP file."]
    assert at.chat_input[0].proto.value == "Look"
    assert workbench.server.requests == []


# -- export


def test_the_jsonl_export_contains_the_system_prompt(at: AppTest) -> None:
    say(system(at, "Be brief."), "One")
    jsonl = next(form for form in export.FORMS if form.label == "JSONL")
    written = export.write(jsonl, str(at.query_params["chat"]))
    messages = [(message["role"], message["content"]) for message in json.loads(written)["messages"]]
    assert messages == [("system", "Be brief."), *turns("One")]


# -- the list


def test_a_search_finds_titles_and_messages(workbench: Workbench, at: AppTest) -> None:
    workbench.server.next(answer_of("It is called 100%_sure."))
    say(at, "Apples")
    say(press(at, "New chat"), "Pears")
    search = next(field for field in at.text_input if field.label == "Search")

    def found(words: str) -> list[str]:
        search.set_value(words).run()
        return [re.sub(r"\W|primary", "", label) for label in listed(at)]

    assert found("apple") == ["Apples"]
    assert found("100%_s") == ["Apples"]
    assert found("1%s") == []
    assert "No matching chats." in said(at)
    assert len(found("")) == 2


def test_chats_are_listed_by_day(workbench: Workbench, at: AppTest) -> None:
    for number, title in enumerate(("Today's", "Yesterday's")):
        say(press(at, "New chat"), title)
        workbench.sql(
            "UPDATE chat_sessions SET changed_at = changed_at - ? WHERE title = ?", number * 86_400_000, title
        )
    days = [caption for caption in lines(visit("chat").caption) if caption in {"Today", "Yesterday"}]
    assert days == ["Today", "Yesterday"]


def test_undo_restores_a_deleted_chat(workbench: Workbench, at: AppTest) -> None:
    say(at, "One")
    press(at, "Delete chat")
    assert spoken(at) == []
    assert at.query_params == {}
    press(at, "Undo")
    assert spoken(at) == turns("One")


def test_a_chat_can_be_renamed(workbench: Workbench, at: AppTest) -> None:
    say(at, "One")
    next(field for field in at.text_input if field.label == "Title").set_value("Numbers").run()
    assert lines(at.title) == ["Numbers"]


def test_a_long_chat_shows_its_last_messages_and_the_earlier_messages_on_demand(
    workbench: Workbench, at: AppTest
) -> None:
    say(at, "The first")
    chat = str(at.query_params["chat"])
    ((last,),) = workbench.sql("SELECT max(id) FROM messages")
    for number in range(50):
        workbench.sql(
            "INSERT INTO messages (session_id, position, parent_id, role, content, reasoning, status, is_stop_asked, "
            "created_at) VALUES (?, ?, ?, ?, ?, '', 'complete', 0, 0)",
            *(chat, 3 + number, last + number, ["user", "assistant"][number % 2], f"Message {number}"),
        )
    workbench.sql("UPDATE chat_sessions SET last_message_id = (SELECT max(id) FROM messages)")
    again = visit("chat", chat=chat)
    assert len(again.chat_message) == 40
    assert "Sends 52 earlier messages" in summary(again)
    press(again, "Show earlier messages (12)")
    assert len(again.chat_message) == 52
    assert "The first" in said(again)


def test_the_request_preview_shows_pictures(workbench: Workbench, at: AppTest) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + b"x" * 3000
    at.chat_input[0].upload("cat.png", picture, "image/png").set_value("Look").run()
    answered(at)
    announced = json.loads(press(at, "Preview request").json[0].value)
    text, image = announced[0]["content"]
    assert (text, image["type"]) == ({"type": "text", "text": "Look"}, "image_url")
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert len(image["image_url"]["url"]) < 80
    assert "1 picture is sent, too; its tokens are known only after the call." in said(at)
