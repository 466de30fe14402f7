"""The headers in the form of a configuration. Values start empty, like the key: stored values are kept or replaced."""

import streamlit as st

from connector import ApiType, KeyType
from db import SavedConfiguration
from pages.shared.base import problem
from pages.shared.configurations import keys

MOST = 20
"""Rows; the connector accepts no more headers."""


def draw(
    id: str, saved: SavedConfiguration | None, api_type: ApiType, key_type: KeyType, problems: dict[str, str]
) -> tuple[str, dict[str, str]]:
    """Draw the header of the key and the other headers. Returns both; an empty value keeps the stored one."""
    stored = saved.header_names if saved else ()
    st.session_state.setdefault(keys.field(id, "key_header"), saved.key_header if saved else "")
    for at, name in enumerate(stored):
        st.session_state.setdefault(keys.header_name(id, at), name)
    is_used = bool(
        stored or st.session_state[keys.field(id, "key_header")] or {"key_header", "headers"} & set(problems)
    )
    # Once open, it stays open: Streamlit would close it under the hands of a person who clears a field.
    is_open = st.session_state[keys.field(id, "headers_open")] = is_used or st.session_state.get(
        keys.field(id, "headers_open"), False
    )
    with st.expander("Headers", icon=":material/http:", expanded=is_open):
        st.markdown(
            ":small[:gray[For gateways. Values are encrypted like the key and never shown again. To remove a header, "
            "clear its name.]]"
        )
        key_header = _key_header(id, api_type, problems) if key_type is KeyType.API_KEY else ""
        headers = _rows(id, stored)
        problem(problems.get("headers"))
    return key_header, headers


def _key_header(id: str, api_type: ApiType, problems: dict[str, str]) -> str:
    usual = "api-key" if api_type is ApiType.AZURE_OPENAI else "Authorization"
    name = st.text_input(
        "Key header",
        key=keys.field(id, "key_header"),
        placeholder=usual,
        help=f"The header in which the provider expects the key. Empty: {usual}. Gateways use names such as "
        "Ocp-Apim-Subscription-Key or x-api-key.",
    )
    problem(problems.get("key_header"))
    return str(name)


def _rows(id: str, stored: tuple[str, ...]) -> dict[str, str]:
    """Draw a row for each header, and an empty one."""
    filled = [at for at in range(MOST) if st.session_state.get(keys.header_name(id, at), "").strip()]
    last = max([len(stored) - 1, *filled])  # a row of a stored header stays, also when it was cleared
    headers: dict[str, str] = {}
    for at in range(min(last + 2, MOST)):
        name, value = _row(id, at, stored)
        if name in headers:
            problem(f"The header {name} is there twice.")
        elif name:
            headers[name] = value
    return headers


def _row(id: str, at: int, stored: tuple[str, ...]) -> tuple[str, str]:
    one, two = st.columns(2)
    with one:
        name = st.text_input("Header", key=keys.header_name(id, at), placeholder="OpenAI-Organization").strip()
    with two:
        value = st.text_input(
            "Value",
            type="password",
            key=keys.header_value(id, at),
            live="0ms",  # as for the key
            placeholder="Leave empty to keep it" if name in stored else "",
        )
    return name, value.strip()
