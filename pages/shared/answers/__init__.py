"""Floor 3: one answer on a page, the shapes of its text, and the pictures of a message."""

from pages.shared.answers.answer import Draw, has_shape, show, show_empty, show_footer, show_reasoning, show_writing
from pages.shared.answers.markdown import MOST_FORMULAS, draw_markdown
from pages.shared.answers.parsed import most_formulas
from pages.shared.answers.pictures import (
    PICTURE_TYPES,
    choose_picture,
    draw_pictures,
    draw_sent_pictures,
    picture_parts,
    read_pictures,
    text_part,
)
from pages.shared.answers.shape import (
    checked,
    choices,
    code_blocks,
    document,
    download_csv,
    json_of,
    records,
    word_count,
)
from pages.shared.answers.shortened import in_part, shortened

__all__ = [
    "MOST_FORMULAS",
    "PICTURE_TYPES",
    "Draw",
    "checked",
    "choices",
    "choose_picture",
    "code_blocks",
    "document",
    "download_csv",
    "draw_markdown",
    "draw_pictures",
    "draw_sent_pictures",
    "has_shape",
    "in_part",
    "json_of",
    "most_formulas",
    "picture_parts",
    "read_pictures",
    "records",
    "shortened",
    "show",
    "show_empty",
    "show_footer",
    "show_reasoning",
    "show_writing",
    "text_part",
    "word_count",
]
