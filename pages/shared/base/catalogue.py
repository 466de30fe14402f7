"""The use cases of the showcase: one per file of `pages/showcase/`, read from its docstring.

The first line of the docstring is its sentence on the home page; the last one says where it stands and how it looks:
`Group: write. Icon: sell.` The title is the file's name.
"""

import ast
import re
from copy import copy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import streamlit as st
from streamlit.navigation.page import StreamlitPage

Visibility = Literal["visible", "hidden"]
FOLDER = Path(__file__).parents[2] / "showcase"
USE_CASE_GROUPS = {
    "talk": "Talk",
    "write": "Write",
    "understand": "Understand",
    "structure": "Structure",
    "tools": "Tools",
    "see": "See",
}
IN_SIDEBAR = (
    "chat",
    "product_description",
    "complexity_reduction",
    "json_mode",
    "json_demo_data",
    "function_calling",
    "vision",
)
"""The examples of the original, in its order; all others are cards on the home page."""

_LAST_LINE = re.compile(r"Group: (\w+)\. Icon: (\w+)\.(?: Needs: ([\w, ]+)\.)?")


@dataclass(frozen=True)
class UseCase:
    """One card on the home page."""

    name: str
    """The file's stem, which is also the page's address."""
    title: str
    sentence: str
    group: str
    icon: str
    needs: tuple[str, ...]
    """What a model must support beyond text; see `account.NEEDS`."""


@cache
def use_cases() -> tuple[UseCase, ...]:
    """All use cases: those of the sidebar first, the others by title."""
    found = [_read(path) for path in FOLDER.glob("[!_]*.py")]
    order = {name: place for place, name in enumerate(IN_SIDEBAR)}
    return tuple(sorted(found, key=lambda use_case: (order.get(use_case.name, len(order)), use_case.title)))


def page_of(use_case: UseCase) -> StreamlitPage:
    """The page of a use case, for the navigation."""
    visibility: Visibility = "visible" if use_case.name in IN_SIDEBAR else "hidden"
    return page(f"showcase/{use_case.name}.py", use_case.title, use_case.icon, visibility=visibility)


def page(
    script: str, title: str, icon: str, *, visibility: Visibility = "visible", default: bool = False
) -> StreamlitPage:
    """A page for the navigation of one run; `script` is its path below `pages`."""
    return copy(_page(script, title, icon, visibility, default))  # Streamlit notes in it that it was run


@cache
def _page(script: str, title: str, icon: str, visibility: Visibility, default: bool) -> StreamlitPage:
    """Made once: Streamlit looks for the file of each page that it makes, which took a sixth of the time of a run."""
    return st.Page(script, title=title, icon=icon, visibility=visibility, default=default)


def _read(path: Path) -> UseCase:
    lines = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines() or [""]
    place = _LAST_LINE.search(lines[-1])
    return UseCase(
        name=path.stem,
        title=title_of(path.stem),
        sentence=lines[0],
        group=place[1] if place else "write",
        icon=f":material/{place[2] if place else 'description'}:",
        needs=tuple(place[3].split(", ")) if place and place[3] else (),
    )


def title_of(name: str) -> str:
    """The title of a page: `json_mode` is "JSON mode"."""
    return name.replace("_", " ").capitalize().replace("Json", "JSON")
