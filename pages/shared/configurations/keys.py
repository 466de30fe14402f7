"""The keys under which the session of a browser keeps forms and tests of configurations.

`id` is the id of a configuration, or NEW for one that is not saved yet.
"""

import streamlit as st

NEW = "new"
MADE_DEFAULT = "made_default"
"""The id of the configuration that has become the default by itself, and of the one before."""


def field(id: str, name: str) -> str:
    """A value of the form, by the name of its field."""
    return f"{id}:{name}"


def header_name(id: str, at: int) -> str:
    """The name in a row of the headers."""
    return field(id, f"header_name:{at}")


def header_value(id: str, at: int) -> str:
    """The value in a row of the headers."""
    return field(id, f"header_value:{at}")


def problems(id: str) -> str:
    """Field -> sentence: what was wrong when the form was last saved or tested."""
    return f"problems:{id}"


def conflict(id: str) -> str:
    """The sentence about a change that somebody else saved meanwhile."""
    return f"conflict:{id}"


def findings(subject: str) -> str:
    """The findings of the last test. `subject` is the id of a card, or `form` of an id."""
    return f"findings:{subject}"


def tested_at(subject: str) -> str:
    """When the last test ended, in seconds since 1970."""
    return f"tested_at:{subject}"


def form(id: str) -> str:
    """The subject of the test of a form, which is not that of the card with the same id."""
    return f"form:{id}"


def fields_of(id: str) -> dict[str, object]:
    """The values of a form by the names of their fields."""
    prefix = field(id, "")
    return {
        str(key).removeprefix(prefix): value for key, value in st.session_state.items() if str(key).startswith(prefix)
    }


def forget(id: str) -> None:
    """Delete all that the session keeps of a form."""
    for name in fields_of(id):
        del st.session_state[field(id, name)]
    for key in (problems(id), conflict(id), findings(form(id)), tested_at(form(id))):
        st.session_state.pop(key, None)
