"""What a use case needs of a model beyond text, and whether a configuration was seen not to give it."""

import re

import streamlit as st

from db import SavedConfiguration
from pages.shared import base
from pages.shared.account import picker
from pages.shared.base import plain

NEEDS = {"images": "pictures as input", "tools": "tools", "json": "JSON on demand"}
"""What the last line of a use case's docstring may name, in words."""

_SIGNS = {
    "images": r"image|vision|multimodal|picture|mmproj",
    "tools": r"\btools?\b|function",
    "json": r"json|response_format",
}
# "Support" alone also stands in "one of the supported types", "supports at most", and "contact support".
_NOT = re.compile(
    r"(not|n't)( \w+)? support|no support|unsupported|only supported|found that support|not a multimodal|mmproj|--jinja"
    r"|unknown|unrecogni[sz]ed|(not |un)available|not allowed|response_format\.type' must be",
    re.I,
)
# What is about the one picture that was sent, and not about pictures; or about one schema, and not about schemas.
_OF_ONE = re.compile(
    r"(your|unsupported) image|(image|picture)s? (format|type|size|file|data|url)s?\b|too (large|long|many)|larger"
    r"|corrupt|invalid schema",
    re.I,
)


def warn_if_unable(page: str, configuration: SavedConfiguration) -> None:
    """Say so where the configuration that is picked cannot do what this page needs, and offer another one."""
    needs = next((use_case.needs for use_case in base.use_cases() if use_case.name == page), ())
    why = _lacks(configuration, picker.current_model(), needs)
    if not why:
        return
    with st.container(border=True, gap="xsmall"):
        st.markdown(f":orange[:material/warning:]\u2002{plain(why)}")
        others = [
            each
            for each in picker.offered_configurations()
            if each.id != configuration.id and not _lacks(each, None, needs)
        ]
        for other in others[:3]:
            st.button(
                f"Use {plain(other.display_name)}",
                key=f"use:{other.id}",
                icon=":material/swap_horiz:",
                type="tertiary",
                on_click=picker.pick,
                args=(page, other.id),
            )
        if others:
            return
        if base.person().is_administrator:
            st.page_link(
                picker.CONFIGURATIONS_PAGE, label="Add another one", icon=":material/add:", query_params={"edit": "new"}
            )
        else:
            st.markdown(":small[Ask the administrator for one that does.]")


def _lacks(configuration: SavedConfiguration, model: str | None, needs: tuple[str, ...]) -> str:
    """A sentence that says what it lacks; empty where nobody saw that."""
    name = configuration.display_name
    for need in needs:
        if configuration.endpoint == base.demo_endpoint() and need != "json":
            return f"The built-in demo model takes no {NEEDS[need]}."
        pages = [use_case.name for use_case in base.use_cases() if need in use_case.needs]
        model = model or configuration.deployment_name or configuration.model_default
        for refusal in base.database().calls.refusals(base.person(), configuration.id, model, pages):
            if re.search(_SIGNS[need], refusal, re.I) and _NOT.search(refusal) and not _OF_ONE.search(refusal):
                return f"“{name}” did not take {NEEDS[need]} before. {refusal}"
    return ""
