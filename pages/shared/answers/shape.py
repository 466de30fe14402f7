"""Shapes of an answer: JSON, an editable table, code, a document, choices side by side."""

import json
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import pandas as pd
import streamlit as st
from pydantic import BaseModel, ValidationError

from connector import ChatCompletionsRequest, ChatCompletionsResponse, text_of
from pages.shared.base import plain, unspreadsheet

M = TypeVar("M", bound=BaseModel)
_FENCE = re.compile(
    r"^ {0,3}(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^`\n]*\n(.*?)(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
_SUFFIXES = {"python": "py", "javascript": "js", "typescript": "ts", "bash": "sh", "csharp": "cs", "rust": "rs"}


def json_of(response: ChatCompletionsResponse) -> Any:
    """The JSON object or list of an answer. When it is neither, draws a warning and the text, and returns None."""
    text = text_of(response)
    found = None
    try:
        found = json.loads(text)
        json.dumps(found, ensure_ascii=False).encode()  # a lone surrogate like "\ud800" cannot be shown
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict | list):  # a quoted text is JSON, too, but not a result
        _broken(
            text, "The answer is not JSON. Send the request again, or pick a model that supports structured output."
        )
        return None
    return found


def checked(response: ChatCompletionsResponse, kind: type[M]) -> M | None:
    """The answer as an object of this class. When it does not match, draws a warning and the text, and returns None."""
    text = text_of(response)
    problems = []
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        problems = [
            _sentence(each["loc"], each["msg"]) for each in error.errors(include_url=False, include_input=False)
        ]
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
        safe = edited.map(lambda value: unspreadsheet(value) if isinstance(value, str) else value)
        _download("CSV", safe.to_csv(index=False), f"{name}.csv", "text/csv")
        _download("JSON", edited.to_json(orient="records", indent=2), f"{name}.json", "application/json")


def _cell(value: Any) -> Any:
    """A value for a table cell: a list or an object becomes its JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def code_blocks(text: str, name: str) -> None:
    """Draw a text with blocks of code. Each block can be copied and downloaded."""
    at = 0
    for number, block in enumerate(_FENCE.finditer(text), start=1):
        _prose(text[at : block.start()])
        at = block.end()
        language = block[2].lower()
        st.code(block[3].rstrip("\n"), language=language or None, wrap_lines=True)
        suffix = _SUFFIXES.get(language, language if language.isalnum() else "") or "txt"
        _download("Download", block[3], f"{name}-{number}.{suffix}", "text/plain")
    _prose(text[at:])


def _prose(text: str) -> None:
    if text.strip():
        st.markdown(text)


def choices(response: ChatCompletionsResponse, _request: ChatCompletionsRequest | None = None) -> None:
    """Draw all choices of a response side by side, by index."""
    with st.grid(3, min_column_width=170):
        for choice in sorted(response.choices, key=lambda choice: choice.index or 0):
            with st.container(border=True, height="stretch", gap="xsmall"):
                st.caption(f"Choice {choice.index}")
                text = (choice.message.content or choice.message.refusal) if choice.message else None
                st.markdown(text or ":gray[No text.]")
                st.space("stretch")
                st.caption(plain(choice.finish_reason or "no finish reason"))


def document(text: str, name: str) -> None:
    """Draw a text in Markdown, with a download."""
    st.markdown(text)
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
