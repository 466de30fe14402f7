"""A model's text is Markdown, but Streamlit draws a dialect: colours, icons, emoji, amounts as formulas, pictures.

The text is parsed as Markdown and written again, so that Streamlit draws what the model wrote and no more.
`live_answer.js` draws the same Markdown while an answer is written.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby

import streamlit as st
from markdown_it.tree import SyntaxTreeNode

from pages.shared.answers import parsed
from pages.shared.base import DIALECT, escaped

MOST_FORMULAS = 150
"""Formulas that are drawn in a text or a chat. A browser needs about 4 ms for each; the others are drawn as code."""

_TEXT = re.compile(rf"{DIALECT}|[\\`*_\[\]<$~|]|&(?=#?\w+;)|:(?=[^\W\d_]|:)")
_LINE_START = re.compile(r"^(\d{1,9})(?=[.)](?:\s|$))|^(?=[-+#=>]|:-)", re.MULTILINE)
_ADDRESS = re.compile(r"((?<![A-Za-z])https?://[!#-;=?-Z_a-z~]+)")
_LINE_BREAK = re.compile(r"\s*\\<br\s*/?>\s*", re.IGNORECASE)
_BARE_PIPE = re.compile(r"(?<!\\)((?:\\\\)*)\|")
_TASK = re.compile(r"\\\[([ xX])\\\](?=\s)")
_ALIGNMENTS = {"text-align:left": ":---", "text-align:right": "---:", "text-align:center": ":---:"}
_SHOWN_ADDRESS = 100
"""Characters of the address of a picture that are shown: an address can hold the whole picture."""


def draw_markdown(text: str, formulas: int = MOST_FORMULAS) -> None:
    """Draw a model's text, a very long one without formatting. After so many formulas, the others are drawn as code."""
    if len(text) > parsed.LONGEST_TEXT:
        st.text(text)
        return
    for part, language in _parts(text, formulas):
        if language is None:
            st.markdown(part)
        else:
            st.code(part, language or None)


@lru_cache(maxsize=500)
def _parts(text: str, formulas: int) -> tuple[tuple[str, str | None], ...]:
    """The text in Streamlit's Markdown. A block of code that Streamlit would change comes alone, with its language."""
    writer = _Writer(formulas)
    parts: list[tuple[str, str | None]] = []
    for is_changed, nodes in groupby(parsed.tree(text).children, _is_changed):
        if is_changed:
            parts += [(node.content.rstrip("\n"), parsed.language(node)) for node in nodes]
        else:
            parts.append(("\n".join(writer.blocks(list(nodes))), None))
    return tuple(parts)


def _is_changed(node: SyntaxTreeNode) -> bool:
    """Whether a node is a block of code with the start of an icon: Streamlit replaces it inside code, too."""
    return node.type in parsed.CODE and ":material/" in node.content


class _Writer:
    """Writes parsed Markdown, and escapes each character that Streamlit would take for a mark of its own."""

    def __init__(self, formulas: int) -> None:
        self._formulas = formulas

    def blocks(self, nodes: Sequence[SyntaxTreeNode]) -> list[str]:
        """The lines of these blocks."""
        lines: list[str] = []
        for before, node in zip([None, *nodes], nodes, strict=False):
            is_close = before is not None and before.type == "paragraph" and before.hidden and node.type != "table"
            lines += [*([""] if before and not is_close else []), *self._block(node)]
        return lines

    def _block(self, node: SyntaxTreeNode) -> list[str]:
        match node.type:
            case "heading":
                return [f"{'#' * int(node.tag[1])} {self._text(node)}".replace("\n", " ")]
            case "blockquote":
                return [f"> {line}".rstrip() for line in self.blocks(node.children)] or [">"]
            case "bullet_list" | "ordered_list":
                return self._list(node)
            case "table":
                return self._table(node)
            case "fence" | "code_block":
                return _fenced(node.content.removesuffix("\n"), "`", parsed.language(node))
            case "formula":
                return _fenced(node.content, "$") if self._is_drawn() else _fenced(node.content, "`", "latex")
            case "hr":
                return ["***"]
            case _:
                return _LINE_START.sub(r"\1\\", self._text(node)).split("\n")

    def _list(self, node: SyntaxTreeNode) -> list[str]:
        first = int(node.attrs.get("start", 1))
        is_loose = any(each.type == "paragraph" and not each.hidden for item in node.children for each in item.children)
        lines: list[str] = []
        for number, item in enumerate(node.children, first):
            mark = f"{number}{node.markup}" if node.type == "ordered_list" else node.markup
            inner = self.blocks(item.children) or [""]
            inner[0] = _TASK.sub(r"[\1]", inner[0]) if _TASK.match(inner[0]) else inner[0]
            indent = " " * (len(mark) + 1)
            lines += [""] if is_loose and lines else []
            lines += [f"{mark} {inner[0]}".rstrip(), *(f"{indent}{line}".rstrip() for line in inner[1:])]
        return lines

    def _table(self, node: SyntaxTreeNode) -> list[str]:
        rows = [row.children for part in node.children for row in part.children]
        lines = [f"| {' | '.join(map(self._cell, row))} |" for row in rows]
        alignments = [_ALIGNMENTS.get(str(cell.attrs.get("style")), "---") for cell in rows[0]]
        return [lines[0], f"| {' | '.join(alignments)} |", *lines[1:]]

    def _cell(self, node: SyntaxTreeNode) -> str:
        """The text of a cell. A cell cannot hold a line break; the style of the page shows a line feed as one."""
        return _LINE_BREAK.sub("&#10;", _BARE_PIPE.sub(r"\1\\|", self._text(node)))

    def _text(self, node: SyntaxTreeNode) -> str:
        text = ""
        for child in node.children:
            if child.type in {"link", "image"} and text.endswith("!"):
                text = text[:-1] + r"\!"  # otherwise the link would become a picture
            text += self._inline(child)
        return text

    def _inline(self, node: SyntaxTreeNode) -> str:
        match node.type:
            case "text":
                return _escaped(node.content) if _is_in_link(node) else _with_links(node.content)
            case "softbreak":
                return "\n"
            case "hardbreak":
                return "\\\n"
            case "code_inline":
                return _code(node.content)
            case "formula_inline":
                return self._formula(node)
            case "link":
                return _link(self._text(node), str(node.attrs["href"]))
            case "image":
                return _image(node)
            case _:
                return f"{node.markup}{self._text(node)}{node.markup}"

    def _formula(self, node: SyntaxTreeNode) -> str:
        if not self._is_drawn():
            return _code(node.content)
        style = r"\displaystyle " if node.markup in {r"\[", "$$"} else ""
        return _within(f"{style}{node.content}", "$", 2)

    def _is_drawn(self) -> bool:
        self._formulas -= 1
        return self._formulas >= 0


def _is_in_link(node: SyntaxTreeNode) -> bool:
    return node.parent is not None and (node.parent.type == "link" or _is_in_link(node.parent))


def _escaped(text: str) -> str:
    return _TEXT.sub(escaped, text)


def _with_links(text: str) -> str:
    """A text in which each address is a link, without the punctuation behind it."""
    return "".join(_linked(part) if n % 2 else _escaped(part) for n, part in enumerate(_ADDRESS.split(text)))


def _linked(address: str) -> str:
    bare = address.rstrip("?!.,:;*_~')")
    bare += ")" if "(" in bare and address[len(bare) :].startswith(")") else ""
    return _link(_escaped(bare), bare) + _escaped(address[len(bare) :])


def _link(text: str, address: str) -> str:
    return f"[{text}](<{address.replace('&', '&amp;')}>)"


def _image(node: SyntaxTreeNode) -> str:
    """A picture as a link with its address: the browser loads nothing that nobody clicked."""
    address = str(node.attrs["src"])
    shown = address if len(address) <= _SHOWN_ADDRESS else f"{address[:_SHOWN_ADDRESS]}…"
    text = _escaped(f"{node.content} ({shown})" if node.content else shown)
    return text if _is_in_link(node) else _link(text, address)


def _code(content: str) -> str:
    """A span of code. It is split where Streamlit would put an icon."""
    return ":color[]".join(_within(part, "`", 1) for part in re.split(r"(?<=:material)(?=/)", content))


def _within(content: str, mark: str, least: int) -> str:
    """A span between two runs of this mark that are longer than each run of it inside."""
    content = f" {content} " if content.strip() and (content[0] in f"{mark} " or content[-1] in f"{mark} ") else content
    run = mark * _longer(content, mark, least)
    return f"{run}{content}{run}"


def _fenced(content: str, mark: str, language: str = "") -> list[str]:
    fence = mark * _longer(content, mark, 3)
    return [f"{fence}{language}", *content.split("\n"), fence]


def _longer(content: str, mark: str, least: int) -> int:
    return max([least, *(len(run) + 1 for run in re.findall(rf"{re.escape(mark)}+", content))])
