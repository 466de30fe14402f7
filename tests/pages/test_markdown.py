"""A model's text is drawn as Markdown: what Streamlit would add to it is escaped, and a browser loads no picture."""

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import ENDLESS

SCRIPT = """
import sys
from pages.shared import answers
answers.draw_markdown({text!r})
"""


def drawn(text: str) -> AppTest:
    """A page with this text of a model."""
    at = AppTest.from_string(SCRIPT.format(text=text), default_timeout=ENDLESS).run()
    assert not at.exception
    return at


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("A **bold** word, `code` and it's fine.", "A **bold** word, `code` and it's fine."),
        (":red[x] :blue-badge[y]", r"\:red\[x\] \:blue-badge\[y\]"),
        (":key: :+1: :material/home: :streamlit:", "{0}key: {0}+1: {0}material/home: {0}streamlit:"),
        ("at 12:30:45 o'clock", "at 12:30:45 o'clock"),
        ("`:material/home:`", "`:material`:color[]`/home:`"),
        ("a -> b <-> c -- d >= e", r"a \-:color[\>] b \<:color[\-]\> c \-:color[\-] d \>:color[\=] e"),
        ("US$100 and US$200, or 50$ to 60$", r"US\$100 and US\$200, or 50\$ to 60\$"),
        ("**$1.50**, $119.6 billion and $117.2", r"**\$1.50**, \$119.6 billion and \$117.2"),
        ("between $5 (or A$) and $$ to $$$", r"between \$5 (or A\$) and \$\$ to \$\$\$"),
        (r"\(x^2\) and $y_1$, \[z\]", r"$$x^2$$ and $$y_1$$, $$\displaystyle z$$"),
        ("So\n\\[\nx = 1\n\\]\nholds.", "So\n\n$$$\nx = 1\n$$$\n\nholds."),
        ("$$\nx\n$$", "$$$\nx\n$$$"),
        (r"\[ not closed", r"\[ not closed"),
        ("<b>a</b> &lt; <br>", r"\<b>a\</b> \< \<br>"),
        ("![p](https://e.example/p.png)", "[p (https://e.example/p.png)](<https://e.example/p.png>)"),
        ("![][1]\n\n[1]: https://e.example/p", r"[https://e.example/p](<https://e.example/p>)"),
        ("[![b](c)](d)", "[b (c)](<d>)"),
        ("[x](javascript:alert(1))", r"\[x\](javascript:alert(1))"),
        ("Look: https://e.example/a_b(c).", r"Look: [https://e.example/a\_b(c)](<https://e.example/a_b(c)>)."),
        ("|a|b|\n|:-|-:|\n|x<br/>y|`p\\|q`|", "| a | b |\n| :--- | ---: |\n| x&#10;y | `p\\|q` |"),
        (
            "1. a\n   - b\n\n     ```py\n     c\n     ```\n2. d",
            "1. a\n\n   - b\n\n     ```py\n     c\n     ```\n\n2. d",
        ),
        ("- [x] a\n- [ ] b", "- [x] a\n- [ ] b"),
        ("    four\n", "```\nfour\n```"),
        ("a\\\nb  \nc", "a\\\nb\\\nc"),
        ("1986\\. x\n\\- y", "1986\\. x\n\\- y"),
    ],
)
def test_markdown_is_drawn_and_the_dialect_is_not(text: str, source: str) -> None:
    (markdown,) = drawn(text).markdown
    assert markdown.value == source.format(r":color[\:]") if "{0}" in source else source


def test_code_with_the_start_of_an_icon_is_drawn_unchanged() -> None:
    at = drawn('Before\n\n```python\nst.Page("a.py", icon=":material/home:")\n```\n\nAfter')
    assert [each.value for each in at.markdown] == ["Before", "After"]
    assert [(each.value, each.language) for each in at.code] == [('st.Page("a.py", icon=":material/home:")', "python")]


def test_only_the_first_formulas_of_a_text_are_drawn_as_formulas() -> None:
    (markdown,) = drawn(r"\(x\) " * 1_000).markdown
    assert (markdown.value.count("$$x$$"), markdown.value.count("`x`")) == (150, 850)


def test_a_very_long_text_is_drawn_without_formatting() -> None:
    text = "**a** " * 50_000 + "end"
    assert [each.value for each in drawn(text).text] == [text]


@pytest.mark.parametrize(
    "nasty", ["[a](b", "![", "**a ", "`a", "\\(", "$a ", "\\[\n", "$$a\n", "> ", "- ", "|a|\n|-|\n", "<br>"]
)
def test_a_looping_model_does_not_stop_the_page(nasty: str) -> None:
    at = drawn(nasty * (5_000 // len(nasty)))
    assert len(at.markdown) == 1
