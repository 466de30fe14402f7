"""Answers with a shape (JSON, tables, code, texts), and answers without the expected shape."""

import json
from typing import Any

import pytest
from streamlit import config
from streamlit.runtime.media_file_storage import MediaFileKind
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import (
    Workbench,
    lines,
    read,
    reply,
    said,
    send,
    text_field,
    use,
    visit,
)
from tests.provider.answers import chunk
from tests.provider.server import Chunks


def downloads(at: AppTest) -> list[str]:
    """The address of each offered download."""
    return [str(button.proto.url) for button in at.download_button]


def file(content: str, media_type: str, name: str) -> str:
    """The address of a download with this content: the address is a hash of the content."""
    storage = MemoryMediaFileStorage("/mock/media")
    id = storage.load_and_get_id(content.encode(), media_type, MediaFileKind.DOWNLOADABLE, name)
    return str(storage.get_url(id))


def as_json(rows: list[dict[str, Any]]) -> str:
    """These records as JSON in the format of a table's download."""
    return json.dumps(rows, indent=2).replace('": ', '":')


def test_a_translation_is_shown_beside_the_original_that_was_sent(workbench: Workbench) -> None:
    workbench.connect()
    at = visit("translate")
    text_field(at).set_value("Good morning").run()
    reply(workbench, "Goeden morgen")
    at = send(at, "Translate")
    at = text_field(at).set_value("Good night").run()
    assert [text.value for text in at.main.text] == ["Good morning"]
    assert "Goeden morgen" in said(at)


def test_a_simplified_text_shows_its_word_count_and_the_requested_count(workbench: Workbench) -> None:
    workbench.connect()
    at = visit("complexity_reduction")
    text_field(at).set_value("One two three four five six").run()
    reply(workbench, "Just three words")
    assert "3 words (40 requested); the original has 6." in said(send(at, "Simplify"))
    at = at.number_input[0].set_value(None).run()
    reply(workbench, "Just three words")
    assert "3 words; the original has 6." in said(send(at, "Simplify"))
    assert "about" not in workbench.bodies()[-1]["messages"][-1]["content"]


def test_json_becomes_a_table(workbench: Workbench) -> None:
    workbench.connect()
    reply(workbench, {"finished": 1932, "parts": ["a", "b"]})
    at = send(visit("json_mode"), "Find")
    (frame,) = [each.value for each in at.dataframe]
    assert frame.to_dict("records") == [
        {"name": "finished", "value": "1932"},
        {"name": "parts", "value": "['a', 'b']"},
    ]
    assert [body["response_format"] for body in workbench.bodies()] == [{"type": "json_object"}]


FACTS = '{"chip": "M1", "years": [2020]}'


@pytest.mark.parametrize(
    "answer",
    [
        f"```json\n{FACTS}\n```",
        f"Here it is [1]:\n\n```json\n{FACTS}\n```\nAnything else?",
        f"\ufeff{FACTS}",
        f"Sure! {FACTS} I hope this helps.",
        f"- the facts\n\n    ~~~\n    {FACTS}\n    ~~~\n",
        f"Not {{this}}, but\n{FACTS}",
    ],
)
def test_json_in_a_wrapping_is_read(workbench: Workbench, answer: str) -> None:
    workbench.connect()
    reply(workbench, answer)
    (frame,) = send(visit("json_mode"), "Find").dataframe
    assert frame.value.to_dict("records") == [{"name": "chip", "value": "M1"}, {"name": "years", "value": "[2020]"}]


def test_json_without_a_finish_reason_is_read(workbench: Workbench) -> None:
    workbench.connect()
    workbench.server.next(Chunks([chunk(FACTS[:9]), chunk(FACTS[9:])]))
    assert len(send(visit("json_mode"), "Find").dataframe) == 1


def test_records_in_a_wrapping_are_validated(workbench: Workbench) -> None:
    workbench.connect()
    row = {"name": "Ada", "job": "Buyer", "city": "Delft", "salary": 48200}
    reply(workbench, f"Here you are:\n```\n{json.dumps({'employees': [row]})}\n```")
    assert use(visit("json_demo_data")).data_editor[-1].value.to_dict("records") == [row]


@pytest.mark.parametrize("value", ["=1+1", " =1", "\r=1", "\u00a0@x", "\u200b+1", "\uff1d1", "\uff0b1", "\t", "-1"])
def test_a_cell_of_a_download_is_never_a_formula(workbench: Workbench, value: str) -> None:
    workbench.connect()
    reply(workbench, {"a": value, "ü": '漢 "b", c'})
    at = send(visit("json_mode"), "Find")
    csv = f'\ufeff"name","value"\n"a","\'{value}"\n"ü","漢 ""b"", c"\n'
    assert downloads(at)[0] == file(csv, "text/csv", "facts.csv")


def test_the_toolbar_of_a_table_offers_no_download_of_unguarded_cells() -> None:
    assert config.get_option("client.disableDataExport") is True


@pytest.mark.parametrize(
    ("page", "answer", "sentence"),
    [
        ("json_mode", "Sure! Here it is", "The answer is not JSON."),
        ("json_mode", "[" * 100_000, "The answer is not JSON."),
        pytest.param("json_mode", '"hello"', "The answer is not JSON.", marks=pytest.mark.soak),
        ("json_mode", "null", "The answer is not JSON."),
        ("json_mode", 'Here: {"a": {"b": 1}, "c": ', "The answer is not JSON."),
        pytest.param("json_mode", "As in [1] and [2].", "The answer is not JSON.", marks=pytest.mark.soak),
        ("json_mode", '{"a": NaN}', "The answer is not JSON."),
        pytest.param("json_mode", '{"a": 1e999}', "The answer is not JSON.", marks=pytest.mark.soak),
        ("json_mode", '{"half a character": "\\ud800"}', "The answer is not JSON."),
        ("json_mode", "", ""),
        ("json_demo_data", "Sure!", "The answer does not match its schema. Invalid JSON"),
        ("json_demo_data", '{"employees": [{"name": "A"}]}', "employees, 1, job: Field required."),
        pytest.param(
            "json_demo_data", '{"employees": 7}', "employees: Input should be a valid array.", marks=pytest.mark.soak
        ),
        ("analyse_text", "{}", "summary: Field required."),
        pytest.param(
            "natural_language_interface",
            '{"commands": [], "remark": 1}',
            "remark: Input should be a valid string.",
            marks=pytest.mark.soak,
        ),
        ("natural_language_interface", '{"commands": [{"device": "door"}], "remark": ""}', "commands, 1, device:"),
    ],
)
def test_an_answer_of_the_wrong_shape_shows_an_error_beside_the_text(
    workbench: Workbench, page: str, answer: str, sentence: str
) -> None:
    workbench.connect()
    reply(workbench, answer)
    at = use(visit(page))
    assert not at.exception
    assert sentence in "\n".join(read(each) for each in at.warning)
    if answer:
        assert answer in [code.value for code in at.main.code]


def test_records_are_validated_against_the_sent_schema_and_existing_records_are_sent(
    workbench: Workbench,
) -> None:
    workbench.connect()
    rows = [{"name": "=SUM(A1)", "job": "Buyer", "city": "Delft", "salary": 48200}]
    reply(workbench, {"employees": rows})
    at = use(visit("json_demo_data"))
    (body,) = workbench.bodies()
    assert body["response_format"]["type"] == "json_schema"
    assert body["response_format"]["json_schema"]["name"] == "Employees"
    assert '"name":"Marit Vos"' in body["messages"][-1]["content"]
    assert "1 records, each checked" in said(at)
    assert downloads(at) == [
        file('\ufeff"name","job","city","salary"\n"\'=SUM(A1)","Buyer","Delft","48200"\n', "text/csv", "employees.csv"),
        file(as_json(rows), "application/json", "employees.json"),
    ]


@pytest.mark.parametrize(
    ("answer", "blocks", "prose"),
    [
        ("```python\nprint(1)\n```\nIt prints.", [("print(1)", "python")], "It prints."),
        ("Before\n~~~\na\n~~~\nand\n```sql\nSELECT 1", [("a", ""), ("SELECT 1", "sql")], "Before"),
        ("Only words.", [], "Only words."),
        ("Run ```a``` first.\n```b``` then.\nAnd rest.", [], "And rest."),
        ("````markdown\n```\nx\n```\n````\n  ```\n  y\n  ```", [("```\nx\n```", "markdown"), ("y", "")], ""),
        ("```go\n```\nNothing.", [("", "go")], "Nothing."),
        (
            "1. Make it:\n\n   ```python\n   import os\n   print(os.name)\n   ```\n\n"
            "2. Run it.\n\n    ```sh\n    ls\n    ```\n    Good.",
            [("import os\nprint(os.name)", "python"), ("ls", "sh")],
            "Good.",
        ),
        ("Indented:\n\n    x = 1\n\n        y\n\nEnd", [("x = 1\n\n    y", "")], "End"),
        ("> ```\n> a\n> ```\n\n\t- b", [("a", ""), ("- b", "")], ""),
    ],
)
def test_code_is_shown_with_its_language(
    workbench: Workbench, answer: str, blocks: list[tuple[str, str]], prose: str
) -> None:
    workbench.connect()
    reply(workbench, answer)
    at = use(visit("write_code"))
    found = [(code.value, code.language or "") for code in at.columns[1].code]
    assert found == [(text, language or "plaintext") for text, language in blocks] or found == blocks
    assert prose in said(at)
    assert len(at.get("download_button")) == len(blocks)


def test_the_operations_show_request_and_response_as_transferred(workbench: Workbench) -> None:
    workbench.connect()
    at = use(visit("operations"))
    shown = [json.loads(code.value) for code in at.main.code]
    sent = sorted(workbench.bodies(), key=lambda body: (len(body["messages"]), body.get("n", 0)))
    requests = sorted(
        (each for each in shown if "messages" in each), key=lambda body: (len(body["messages"]), body.get("n", 0))
    )
    assert requests == sent
    assert [len(body["messages"]) for body in sent] == [2, 2, 4]
    assert len([each for each in shown if each.get("object") == "chat.completion"]) == 3
    assert "Choice 1" in said(at)
    operations = workbench.sql("SELECT operation FROM calls ORDER BY operation")
    assert [operation for (operation,) in operations] == [
        "call_api",
        "execute_with_history",
        "execute_without_history",
    ]


def test_a_text_that_ends_with_a_quote_is_shown_whole(workbench: Workbench) -> None:
    workbench.connect()
    at = visit("translate")
    text_field(at).set_value('"" She said "no"')
    at.run()
    assert [text.value for text in send(at, "Translate").main.text] == ['"" She said "no"']


def test_a_word_count_within_the_text_is_not_taken_for_the_requested_count(workbench: Workbench) -> None:
    workbench.connect()
    at = visit("complexity_reduction")
    text_field(at).set_value("In about 7 words, that is it.")
    at.number_input[0].set_value(None)
    at.run()
    reply(workbench, "That is it.")
    assert "3 words; the original has 7." in said(send(at, "Simplify"))


def test_a_summary_shows_its_word_count_and_that_of_the_sent_text(workbench: Workbench) -> None:
    workbench.connect()
    at = visit("summarise")
    text_field(at).set_value("one two\n\nthree  four " * 400)
    at.run()
    reply(workbench, "It *counts*.")
    at = send(at, "Summarise")
    text_field(at).set_value("other")
    at.run()
    assert "It *counts*." in lines(at.markdown)
    assert "2 words instead of 1,600." in lines(at.caption)


def test_downloads_of_a_table_contain_its_edits(workbench: Workbench) -> None:
    workbench.connect()
    commands: list[dict[str, Any]] = [
        {"device": "light", "room": "@kitchen", "action": "set", "value": 30},
        {"device": "blinds", "room": "upstairs", "action": "down", "value": None},
    ]
    reply(workbench, {"commands": commands, "remark": "![x](https://evil.example/x.png)"})
    at = use(visit("natural_language_interface"))
    assert "\\!\\[x\\]" in at.columns[1].markdown[0].value
    edited = {"edited_rows": {1: {"room": "=HYPERLINK(1)"}}, "added_rows": [], "deleted_rows": []}
    at.session_state[str(at.data_editor[0].key)] = edited
    at.run()
    commands[1]["room"] = "=HYPERLINK(1)"
    light, blinds = '"light","\'@kitchen","set","30"', '"blinds","\'=HYPERLINK(1)","down",""'
    csv = f'\ufeff"device","room","action","value"\n{light}\n{blinds}\n'
    assert downloads(at) == [
        file(csv, "text/csv", "commands.csv"),
        file(as_json(commands), "application/json", "commands.json"),
    ]


def test_each_code_block_is_a_download_named_by_its_language(workbench: Workbench) -> None:
    workbench.connect()
    reply(workbench, "```python\nprint('ä')\n```\nor\n```c++\nint a;\n```\nor\n```\n1\n")
    assert downloads(use(visit("write_code"))) == [
        file("print('ä')\n", "text/plain", "code-1.py"),
        file("int a;\n", "text/plain", "code-2.txt"),
        file("1\n", "text/plain", "code-3.txt"),
    ]


def test_a_draft_can_be_downloaded_unchanged(workbench: Workbench) -> None:
    workbench.connect()
    reply(workbench, "# Heating\n\n*Repaired* on Friday.")
    at = use(visit("draft_document"))
    assert "# Heating\n\n*Repaired* on Friday." in lines(at.markdown)
    assert downloads(at) == [file("# Heating\n\n*Repaired* on Friday.", "text/markdown", "draft.md")]


def test_an_analysis_names_tone_themes_and_names(workbench: Workbench) -> None:
    workbench.connect()
    names = [{"name": "Anna de Vries", "kind": "person"}]
    reply(workbench, {"summary": "A *review*.", "tone": "mixed", "themes": [], "names": names})
    at = use(visit("analyse_text"))
    assert lines(at.columns[1].markdown)[:3] == ["A *review*.", "**Tone** mixed", "**Themes** none"]
    assert at.data_editor[0].value.to_dict("records") == names
    assert workbench.bodies()[0]["response_format"]["json_schema"]["strict"] is True


def test_a_question_is_sent_with_the_articles_of_the_knowledge_base(workbench: Workbench) -> None:
    workbench.connect()
    at = visit("knowledge_base")
    at.main.text_area[0].set_value("Doors. They open at nine.")
    at.main.text_input[0].set_value("When?")
    at.run()
    reply(workbench, "At nine, says the article on doors.")
    assert "At nine, says the article on doors." in lines(send(at, "Ask").markdown)
    system, prompt = workbench.bodies()[0]["messages"]
    assert "from nothing else" in system["content"]
    assert prompt["content"] == 'Articles: """Doors. They open at nine."""\nQuestion: """When?"""'


def test_the_operations_show_a_changed_request_beside_the_answered_request(workbench: Workbench) -> None:
    workbench.connect()
    at = visit("operations")
    assert lines(at.caption).count("Will be sent") == 3
    at = use(at)
    assert lines(at.caption).count("Will be sent") == 0
    text_field(at).set_value("What else?")
    at.run()
    assert lines(at.caption).count("Will be sent") == 3
    shown = [json.loads(code.value) for code in at.main.code]
    questions = [each["messages"][-1]["content"] for each in shown if "messages" in each]
    assert questions.count("What else?") == 3
    assert len(questions) == 6
