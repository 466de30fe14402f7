"""What a use case needs of a model beyond text, and whether the provider of a configuration has refused that."""

import re

import streamlit as st

from db import SavedConfiguration
from pages.shared import base
from pages.shared.account import picker
from pages.shared.base import plain

NEEDS = {"images": "image input", "tools": "tool calls", "json": "structured output"}
"""Need, as the last line of a use case's docstring names it -> the words for it on the screen."""

_SIGNS = {
    "images": r"image|vision|multimodal|picture|mmproj",
    "tools": r"\btools?\b|function",
    "json": r"json|response_format",
}
# "Support" alone is no sign: it also occurs in "one of the supported types", "supports at most" and "contact support".
_NOT = re.compile(
    r"(not|n't)( \w+)? support|no support|unsupported|only supported|found that support|not a multimodal|mmproj|--jinja"
    r"|unknown|unrecogni[sz]ed|(not |un)available|not allowed|response_format\.type' must be",
    re.I,
)
# These refusals concern the one picture or the one schema that was sent, and not pictures or schemas in general.
_OF_ONE = re.compile(
    r"(your|unsupported) image|(image|picture)s? (format|type|size|file|data|url)s?\b|too (large|long|many)|larger"
    r"|corrupt|invalid schema",
    re.I,
)


def warn_if_unable(page: str, configuration: SavedConfiguration) -> None:
    """Warn when the selected configuration lacks what this page needs, and offer other configurations."""
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
                picker.CONFIGURATIONS_PAGE,
                label="Add a configuration",
                icon=":material/add:",
                query_params={"edit": "new"},
            )
        else:
            st.markdown(":small[Ask the administrator for a configuration that supports it.]")


def _lacks(configuration: SavedConfiguration, model: str | None, needs: tuple[str, ...]) -> str:
    """A sentence that says what the configuration lacks; empty when no refusal is known."""
    name = configuration.display_name
    for need in needs:
        if configuration.endpoint == base.demo_endpoint() and need != "json":
            return f"The built-in demo model does not support {NEEDS[need]}."
        pages = [use_case.name for use_case in base.use_cases() if need in use_case.needs]
        model = model or configuration.deployment_name or configuration.model_default
        for refusal in base.database().calls.refusals(base.person(), configuration.id, model, pages):
            if re.search(_SIGNS[need], refusal, re.I) and _NOT.search(refusal) and not _OF_ONE.search(refusal):
                return f"“{name}” has refused {NEEDS[need]} before. {refusal}"
    return ""
