"""A model's text in the browser: the same while it is written and in the end, without marks of Streamlit."""

import threading
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, expect

from tests.e2e.conftest import App, Visitor
from tests.provider.answers import chunk, usage
from tests.provider.server import Chunks, ProviderServer

pytestmark = pytest.mark.browser

TEXT = r"""Not :red[red], :key:, :material/home:, :streamlit: or a -> b; US$100 and US$200, or 50$ to 60$.
`:material/home:`

The function \( f(x) = x^2 \) has the integral
\[
\int_{1}^{3} x^2 \, dx = \frac{26}{3}
\]
as one sees, $a_1$ and \[ \sqrt{x} \] too.

# Heading 1
### Heading 3

| left | right | centre |
|:-----|------:|:------:|
| a<br>b | 12 | `x` |
| **bold** | 3 | ![pic](https://evil.example/x.png) |

1. First item
2. Second item with *emphasis*
   - nested
   - another

   ```python
   def f(x):
       return "text" + g(42)  # comment
   ```
3. Third

- loose

- items

> A quote with ~~struck~~ text
> over two lines

- [x] done
- [ ] open

![A picture](https://evil.example/pixel.png?d=1) and <b>raw</b> https://example.com/a_b.

***

Line one\
line two
same line

    indented code

End."""
BLOCKS = """root => [...root.children].map(each => {
  const [top, box] = [root.getBoundingClientRect().top, each.getBoundingClientRect()];
  return [Math.round(box.top - top), Math.round(box.height)];
})"""


def words(part: Locator) -> list[str]:
    """The lines of a part of the page as a person reads them."""
    return [line.strip() for line in part.inner_text().splitlines() if line.strip()]


def test_an_answer_looks_the_same_while_it_is_written_and_in_the_end(
    context: BrowserContext, shared_app: App, scripted: ProviderServer
) -> None:
    visitor, end = Visitor(context.new_page(), shared_app), threading.Event()
    pieces: list[Any] = [chunk(TEXT[at : at + 7]) for at in range(0, len(TEXT), 7)]
    scripted.next(Chunks([*pieces, end, chunk(finish_reason="stop"), chunk(choices=[], usage=usage(3, TEXT))]))
    visitor.open("chat")
    visitor.say("Go on")
    live = visitor.page.get_by_label("Answer being written")
    expect(live.get_by_text("End.")).to_be_visible()
    expect(live.locator(".katex")).to_have_count(4)
    visitor.page.evaluate("document.fonts.ready.then(() => true)")  # those of the formulas
    was_read, was_there = words(live), live.evaluate(BLOCKS)
    assert live.locator(".keyword").all_inner_texts() == ["def", "return"]
    end.set()
    final = visitor.page.get_by_test_id("stChatMessage").last.get_by_test_id("stMarkdownContainer").first
    expect(final.get_by_text("End.")).to_be_visible()
    visitor.settle()
    expect(final.locator(".katex")).to_have_count(4)
    expect(final.locator(".keyword")).to_have_count(2)
    assert words(final) == was_read
    assert final.evaluate(BLOCKS) == was_there
    assert was_read[0].startswith(
        "Not :red[red], :key:, :material/home:, :streamlit: or a -> b; US$100 and US$200, or 50$ to"
    )
    picture = final.get_by_role("link", name="A picture (https://evil.example/pixel.png?d=1)")
    expect(picture).to_have_attribute("href", "https://evil.example/pixel.png?d=1")
    assert final.locator("img").count() == 0
    assert not [address for address in visitor.asked if "evil" in address]
