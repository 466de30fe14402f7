"""The chat: earlier messages are sent with each request, stored, and found again."""

import json

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import ChatMessage, Text

from pages.shared import base
from tests.pages.conftest import Workbench, go, lines, press, read, said, say, visit
from tests.provider.answers import chunk, usage
from tests.provider.server import Chunks

STORED = "SELECT role, content, status FROM messages ORDER BY position"
THREE = ["One", "Two", "Three"]


def spoken(at: AppTest) -> list[tuple[str, str]]:
    """Who said what on the page, without the lines below an answer."""
    return [(message.name, first_line(message)) for message in at.chat_message]


def listed(at: AppTest) -> list[str]:
    """The chats in the list."""
    return [button.label for button in at.button if str(button.key).startswith("rail:chat:")]


def first_line(message: ChatMessage) -> str:
    return said(message).splitlines()[0] if said(message) else ""


def turns(*prompts: str) -> list[tuple[str, str]]:
    """The conversation that these prompts make with the provider's own answers."""
    return [turn for prompt in prompts for turn in (("user", prompt), ("assistant", f"Answer 0 to: {prompt}"))]


def sent(workbench: Workbench, request: int = -1) -> list[tuple[str, str]]:
    """The messages of a request as they arrived."""
    return [(message["role"], message["content"]) for message in workbench.bodies()[request]["messages"]]


def answer_of(*contents: str, finish_reason: str = "stop") -> Chunks:
    """An answer in these pieces that ends for this reason."""
    last = chunk(finish_reason=finish_reason)
    return Chunks([*(chunk(text) for text in contents), last, chunk(choices=[], usage=usage(3, *contents))])


@pytest.fixture
def at(workbench: Workbench) -> AppTest:
    """The chat, with an account to send to."""
    workbench.connect()
    return visit("chat")


def test_the_third_request_carries_all_earlier_turns_in_order(workbench: Workbench, at: AppTest) -> None:
    for prompt in THREE:
        say(at, prompt)
    assert [sent(workbench, request) for request in range(3)] == [
        [("user", "One")],
        [*turns("One"), ("user", "Two")],
        [*turns("One", "Two"), ("user", "Three")],
    ]
    assert spoken(at) == turns(*THREE)


def test_every_message_is_stored(workbench: Workbench, at: AppTest) -> None:
    for prompt in THREE:
        say(at, prompt)
    assert workbench.sql(STORED) == [(*turn, "complete") for turn in turns(*THREE)]
    assert workbench.sql("SELECT page, operation, status FROM calls") == [("chat", "execute_with_history", "done")] * 3
    joined = "SELECT role FROM messages JOIN calls ON calls.id = call_id"
    assert workbench.sql(joined) == [("assistant",)] * 3


def test_a_chat_is_found_again_by_its_address_after_a_restart(workbench: Workbench, at: AppTest) -> None:
    assert at.query_params == {}
    say(say(at, "One"), "Two")
    assert [at.query_params["chat"]] == [id for (id,) in workbench.sql("SELECT id FROM chat_sessions")]
    base.stop()
    workbench.start()
    again = visit("chat", chat=str(at.query_params["chat"]))
    assert lines(again.title) == ["One"]
    assert spoken(again) == turns("One", "Two")
    say(again, "Three")
    assert sent(workbench) == [*turns("One", "Two"), ("user", "Three")]
    assert workbench.sql("SELECT count(*) FROM chat_sessions") == [(1,)]


def test_the_request_preview_shows_the_messages_that_are_sent(workbench: Workbench, at: AppTest) -> None:
    say(at, "One")
    announced = json.loads(press(at, "Preview request").json[0].value)
    assert "Sends 2 earlier messages with yours" in said(at)
    say(at, "your next message")
    assert workbench.bodies()[-1]["messages"] == announced


def test_a_new_chat_sends_no_messages_of_the_previous_chat(workbench: Workbench, at: AppTest) -> None:
    say(at, "One")
    press(at, "New chat")
    assert at.query_params == {}
    assert spoken(at) == []
    say(at, "Two")
    assert sent(workbench) == [("user", "Two")]
    assert workbench.sql("SELECT title FROM chat_sessions ORDER BY created_at") == [("One",), ("Two",)]


def test_an_earlier_chat_is_opened_from_the_list(workbench: Workbench, at: AppTest) -> None:
    say(press(say(at, "One"), "New chat"), "Two")
    assert listed(at) == [":primary[**Two**]", "One"]
    press(at, "One")
    assert spoken(at) == turns("One")
    assert lines(at.title) == ["One"]
    assert listed(at) == ["Two", ":primary[**One**]"]


def test_a_chat_continues_after_a_visit_to_another_page(workbench: Workbench, at: AppTest) -> None:
    chat = str(say(at, "One").query_params["chat"])
    go(at, "usage")
    at.query_params["chat"] = chat
    say(at.switch_page("showcase/chat.py").run(), "Two")
    assert sent(workbench) == [*turns("One"), ("user", "Two")]


@pytest.mark.parametrize("blank", [" ", "\n\n"])
def test_a_blank_message_is_not_sent(workbench: Workbench, at: AppTest, blank: str) -> None:
    say(at, blank)
    assert workbench.server.requests == []
    assert workbench.sql("SELECT count(*) FROM chat_sessions") == [(0,)]


# -- how it looks


def test_a_user_message_is_shown_as_plain_text(workbench: Workbench, at: AppTest) -> None:
    written = '# *Bold* <script>alert(1)</script> ![x](http://evil/?d=1) :red[no] """ 🙂\nsecond line'
    workbench.server.next(answer_of("Fine."))
    say(at, written)
    assert sent(workbench) == [("user", written)]
    assert [element.value for element in at.chat_message[0] if isinstance(element, Text)] == [written]
    assert not [element for element in at.chat_message[0] if element.type == "markdown"]
    assert not [element for element in at.main if getattr(element, "allow_html", False)]


def test_an_answer_is_shown_as_markdown_without_html(workbench: Workbench, at: AppTest) -> None:
    text = "```python\nprint(1)\n```\n\n<b onclick=alert(1)>bold</b>"
    workbench.server.next(answer_of(text))
    say(at, "Code, please")
    first = at.chat_message[1].markdown[0]
    assert (read(first), first.allow_html) == (text, False)


def test_model_tokens_and_price_are_shown_below_an_answer(workbench: Workbench, at: AppTest) -> None:
    say(at, "Say it in five words")
    (line,) = lines(at.chat_message[1].caption)
    assert line.startswith("gpt-test-2026-01-01  ·  ")
    assert line.endswith("5 in, 8 out")
    assert said(visit("configurations")).count("No price is known for gpt-test-2026-01-01") == 1


def test_a_duration_below_a_tenth_of_a_second_is_shown_in_milliseconds(workbench: Workbench, at: AppTest) -> None:
    say(at, "One")
    workbench.sql("UPDATE calls SET time_to_first_token = 0.038, duration = 0.1")
    again = visit("chat", chat=str(at.query_params["chat"]))
    assert "first token 38 ms  ·  0.1 s in all" in lines(again.chat_message[1].caption)[0]


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 59 + "…"),
        ("\n  First line\nsecond line", "First line"),
    ],
)
def test_the_title_of_a_chat_is_its_first_line_cut_at_sixty_characters(
    workbench: Workbench, at: AppTest, prompt: str, title: str
) -> None:
    say(at, prompt)
    assert workbench.sql("SELECT title FROM chat_sessions") == [(title,)]
    assert lines(at.title) == [title]


# -- the configuration and the model


def test_a_typed_model_name_is_sent(workbench: Workbench, at: AppTest) -> None:
    at.sidebar.text_input[0].set_value("chat-test")
    say(at, "One")
    assert workbench.bodies()[0]["model"] == "chat-test"
    assert "chat-test-2026-01-01" in said(at)


@pytest.mark.parametrize(("form", "fields"), [("OpenAI", ["Model"]), ("Azure with a key", [])])
def test_a_model_can_be_chosen_at_openai_only(workbench: Workbench, form: str, fields: list[str]) -> None:
    workbench.connect(form)
    assert [field.label for field in visit("chat").sidebar.text_input] == fields


def test_each_page_remembers_its_configuration(workbench: Workbench, at: AppTest) -> None:
    azure = workbench.connect("Azure with a key")
    picked = at.run().sidebar.selectbox[0].options
    assert picked == ["Azure with a key", "OpenAI"]
    at.sidebar.selectbox[0].set_value(azure.id).run()
    go(at, "tuner").sidebar.selectbox[0].select("OpenAI").run()
    assert go(at, "chat").sidebar.selectbox[0].value == azure.id
    say(at, "One")
    assert workbench.server.requests[-1].path.startswith("/openai/deployments/")
    press(go(at, "tuner"), "Send")
    assert workbench.server.requests[-1].path == "/v1/chat/completions"


def test_a_chat_continues_with_another_configuration(workbench: Workbench, at: AppTest) -> None:
    azure = workbench.connect("Azure with a key")
    say(at, "One")
    at.sidebar.selectbox[0].set_value(azure.id).run()
    say(at, "Two")
    assert workbench.server.requests[-1].path.startswith("/openai/deployments/")
    assert sent(workbench) == [*turns("One"), ("user", "Two")]


def test_a_chat_stays_readable_when_its_configuration_is_deleted(workbench: Workbench, at: AppTest) -> None:
    say(at, "One")
    ((id,),) = workbench.sql("SELECT id FROM configurations")
    workbench.connect(display_name="Other")
    base.database().configurations.delete(base.person(), id)
    again = visit("chat", chat=str(at.query_params["chat"]))
    assert spoken(again) == turns("One")
    say(again, "Two")
    assert sent(workbench) == [*turns("One"), ("user", "Two")]


def test_an_opened_chat_continues_with_its_own_configuration_and_model(workbench: Workbench) -> None:
    workbench.connect("OpenAI", display_name="A first one")
    own = workbench.connect("OpenAI", display_name="Its own")
    at = visit("chat")
    at.selectbox(key="configuration:chat").set_value(own.id).run()
    at.text_input(key=f"model:chat:{own.id}").set_value("chat-test").run()
    at.chat_input(key="prompt:chat").set_value("One").run()
    chat = str(at.query_params["chat"])
    again = visit("chat", chat=chat)  # a reload is a new session
    assert again.selectbox(key="configuration:chat").value == own.id
    again.chat_input(key="prompt:chat").set_value("Two").run()
    assert [received.body["model"] for received in workbench.server.requests] == ["chat-test", "chat-test"]
