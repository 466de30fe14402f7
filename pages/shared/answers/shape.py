"""Shapes of an answer: JSON, an editable table, code, a document, choices side by side."""

import csv
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeVar

import pandas as pd
import streamlit as st
from pydantic import BaseModel, ValidationError

from connector import ChatCompletionsRequest, ChatCompletionsResponse, text_of
from pages.shared.answers import parsed
from pages.shared.answers.markdown import draw_markdown
from pages.shared.answers.wrapped import json_texts
from pages.shared.base import plain, unspreadsheet

M = TypeVar("M", bound=BaseModel)
_SUFFIXES = {"python": "py", "javascript": "js", "typescript": "ts", "bash": "sh", "csharp": "cs", "rust": "rs"}


def json_of(response: ChatCompletionsResponse) -> Any:
    """The JSON object or list of an answer. When it has none, draws a warning and the text, and returns None."""
    text = text_of(response)
    for each in json_texts(text):
        with suppress(ValueError, RecursionError):
            found = json.loads(each)
            json.dumps(found, ensure_ascii=False, allow_nan=False).encode()  # a browser reads no NaN, no half character
            if isinstance(found, dict | list):  # a quoted text is JSON, too, but not a result
                return found
    _broken(text, "The answer is not JSON. Send the request again, or pick a model that supports structured output.")
    return None


def checked(response: ChatCompletionsResponse, kind: type[M]) -> M | None:
    """The answer as an object of this class. When it does not match, draws a warning and the text, and returns None."""
    text = text_of(response)
    problems: list[str] = []
    for each in json_texts(text):
        try:
            return kind.model_validate_json(each)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            if not problems or found[0]["type"] != "json_invalid":  # what is JSON has the problems that help
                problems = [_sentence(each["loc"], each["msg"]) for each in found]
    more = f" And {len(problems) - 5} more." if len(problems) > 5 else ""
    _broken(text, f"The answer does not match its schema. {' '.join(problems[:5])}{more} Send the request again.")
    return None


def _sentence(place: Sequence[int | str], message: str) -> str:
    where = ", ".join(f"{part + 1}" if isinstance(part, int) else part for part in place)
    return f"{where}: {message}." if where else f"{message}."


def _broken(text: str, sentence: str) -> None:
    st.warning(plain(sentence), icon=":material/data_object:")
    st.code(text or " ", language=None, wrap_lines=True)


def records(rows: Sequence[dict[str, Any]], name: str) -> None:
    """Draw rows as an editable table, with downloads of the edited rows. `name` is the stem of the file names."""
    frame = pd.DataFrame([{column: _cell(value) for column, value in row.items()} for row in rows])
    frame = frame.convert_dtypes()  # without it, an integer beside an empty cell becomes 30.0
    edited = st.data_editor(
        frame, num_rows="dynamic", hide_index=True, row_height=32, key=f"records:{name}:{hash(repr(rows))}"
    )
    with st.container(horizontal=True, gap="small"):
        download_csv(edited, name)
        _download("JSON", edited.to_json(orient="records", indent=2), f"{name}.json", "application/json")


def download_csv(frame: pd.DataFrame, name: str) -> None:
    """Draw the download of a table. Excel recognises UTF-8 by the byte order mark, and no cell is a formula."""
    text = frame.map(_safe).rename(columns=_safe).to_csv(index=False, quoting=csv.QUOTE_ALL)
    _download("CSV", f"\ufeff{text}", f"{name}.csv", "text/csv")


def _safe(value: Any) -> Any:
    return unspreadsheet(value) if isinstance(value, str) else value


def _cell(value: Any) -> Any:
    """A value for a table cell: a list or an object becomes its JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def code_blocks(text: str, name: str) -> None:
    """Draw a text with blocks of code. Each block can be copied and downloaded."""
    lines, at = re.sub(r"\r\n?", "\n", text).split("\n"), 0
    for number, block in enumerate(parsed.code_blocks(text), start=1):
        first, last = block.map or (at, at)
        _prose(lines[at:first])
        at = last
        language = parsed.language(block)
        st.code(block.content.rstrip("\n"), language=language or None, wrap_lines=True)
        suffix = _SUFFIXES.get(language, language if language.isalnum() else "") or "txt"
        _download("Download", block.content, f"{name}-{number}.{suffix}", "text/plain")
    _prose(lines[at:])


def _prose(lines: list[str]) -> None:
    """Draw the lines between two blocks of code, without the indentation of the list that the block before is in."""
    text = "\n".join(lines).strip("\n")
    if text.strip():
        indent = len(text) - len(text.lstrip(" "))
        draw_markdown(re.sub(rf"^ {{0,{indent}}}", "", text, flags=re.MULTILINE))


def choices(response: ChatCompletionsResponse, _request: ChatCompletionsRequest | None = None) -> None:
    """Draw all choices of a response side by side, by index."""
    with st.grid(3, min_column_width=170):
        for choice in sorted(response.choices, key=lambda choice: choice.index or 0):
            with st.container(border=True, height="stretch", gap="xsmall"):
                st.caption(f"Choice {choice.index}")
                text = (choice.message.content or choice.message.refusal) if choice.message else None
                if text:
                    draw_markdown(str(text))
                else:
                    st.markdown(":gray[No text.]")
                st.space("stretch")
                st.caption(plain(choice.finish_reason or "no finish reason"))


def document(text: str, name: str) -> None:
    """Draw a text in Markdown, with a download."""
    draw_markdown(text)
    _download("Markdown", text, f"{name}.md", "text/markdown")


def _download(label: str, text: str, file_name: str, media_type: str) -> None:
    st.download_button(
        label,
        text,
        file_name=file_name,
        mime=media_type,
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
        key=f"download:{file_name}",
    )


def word_count(text: str) -> int:
    """The number of words in a text."""
    return len(text.split())
