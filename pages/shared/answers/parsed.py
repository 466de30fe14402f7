"""A text of a model, parsed as Markdown: CommonMark with tables, struck text and formulas; HTML stays text."""

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.tree import SyntaxTreeNode

CODE = {"fence", "code_block"}
"""The types of a block of code."""
LONGEST_TEXT = 100_000
"""Characters. Parsing a longer text takes seconds, and so does drawing it."""
LONGEST, PART = 5_000, 1_000
"""Characters of a paragraph, and of the parts in which a longer one is parsed: marks that are never closed cost
quadratic time."""
MOST_LINES = 50
"""Lines of a formula, for the same reason."""

_CLOSING = {r"\(": r"\)", r"\[": r"\]", "$$": "$$", "$": "$"}
_OPENING = re.compile(r"\\[(\[]|\$(?![\s\d$])")
_MATHEMATICAL = re.compile(r"[\\^_={}]")  # a mark that no amount of money has


def tree(text: str) -> SyntaxTreeNode:
    """The blocks of a text. A formula is a node `formula` or, within a line, `formula_inline`."""
    return SyntaxTreeNode(_MARKDOWN.parse(text))


def most_formulas(text: str) -> int:
    """At most so many formulas are in a text; counted without parsing it."""
    return len(_OPENING.findall(text))


def code_blocks(text: str) -> list[SyntaxTreeNode]:
    """The blocks of code in a text, those in lists and quotes, too, in their order; none of a very long text."""
    return [] if len(text) > LONGEST_TEXT else [node for node in tree(text).walk() if node.type in CODE]


def language(node: SyntaxTreeNode) -> str:
    """The language of a block of code in lower case, empty when the model names none."""
    found = re.match(r"[\w+#.-]+", node.info.strip())
    return found[0].lower() if found else ""


def _formula(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    r"""A formula on lines of its own, between `\[` and `\]` or between two `$$`."""
    opening = _line(state, first)[:2]
    if opening not in {r"\[", "$$"} or state.is_code_block(first):
        return False
    lines = range(first, min(first + MOST_LINES, end))
    last = next((line for line in lines if _closes(state, line, opening, is_first=line == first)), -1)
    content = state.getLines(first, last + 1, state.blkIndent, False).strip()[2:-2].strip()
    if not content or _CLOSING[opening] in content:
        return False
    if not silent:
        state.push("formula", "", 0).content = content
        state.line = last + 1
    return True


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].rstrip()


def _closes(state: StateBlock, line: int, opening: str, *, is_first: bool) -> bool:
    return _line(state, line)[2 if is_first else 0 :].endswith(_CLOSING[opening])


def _formula_inline(state: StateInline, silent: bool) -> bool:
    r"""A formula within a line: `\(x\)`, `\[x\]`, `$x$`, `$$x$$`."""
    opening = next((each for each in _CLOSING if state.src.startswith(each, state.pos)), None)
    if opening is None:
        return False
    first, closing = state.pos + len(opening), _CLOSING[opening]
    last = state.src.find(closing, first, state.posMax)
    content = state.src[first:last] if last >= 0 else ""
    before, after = state.src[state.pos - 1 : state.pos], state.src[last + len(closing) :][:1]
    if not content.strip() or (opening.startswith("$") and not _is_no_amount(content, opening, before, after)):
        return False
    if not silent:
        token = state.push("formula_inline", "", 0)
        token.content, token.markup = content.strip(), opening
    state.pos = last + len(closing)
    return True


def _is_no_amount(content: str, opening: str, before: str, after: str) -> bool:
    """Whether what stands between dollar signs is a formula: `$x$`, but not `$5 and US$6` or `$$ to $$$`."""
    if _is_word(before) or _is_word(after) or (content != content.strip() and opening == "$"):
        return False
    return bool(_MATHEMATICAL.search(content)) or (content == content.strip() and not content[0].isdigit())


def _is_word(character: str) -> bool:
    return character == "$" or (character.isascii() and character.isalnum())


def _inline(state: StateCore) -> None:
    """Parse the text of each block, a long one in parts."""
    for token in state.tokens:
        if token.type == "inline":
            token.children = []
            for part in _cut(token.content):
                state.md.inline.parse(part, state.md, state.env, token.children)


def _cut(text: str) -> Iterator[str]:
    at = 0
    while len(text) > LONGEST and len(text) - at > PART:
        end = max(text.rfind(" ", at, at + PART), text.rfind("\n", at, at + PART)) + 1 or at + PART
        yield text[at:end]
        at = end
    yield text[at:]


def _made() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    interrupts = ["paragraph", "reference", "blockquote", "list"]
    markdown.block.ruler.before("fence", "formula", _formula, {"alt": interrupts})
    markdown.core.ruler.at("inline", _inline)
    markdown.inline.ruler.before("escape", "formula_inline", _formula_inline)
    return markdown


_MARKDOWN = _made()
