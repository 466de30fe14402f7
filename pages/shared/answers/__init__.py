"""Floor 3: one answer on a page, the shapes of its text, and the pictures of a message."""

from pages.shared.answers.answer import Draw, show, show_empty, show_footer, show_reasoning, show_writing
from pages.shared.answers.pictures import (
    PICTURE_TYPES,
    choose_picture,
    draw_pictures,
    draw_sent_pictures,
    picture_parts,
    read_pictures,
    text_part,
)
from pages.shared.answers.shape import checked, choices, code_blocks, document, json_of, records, word_count
from pages.shared.answers.shortened import in_part, shortened

__all__ = [
    "PICTURE_TYPES",
    "Draw",
    "checked",
    "choices",
    "choose_picture",
    "code_blocks",
    "document",
    "draw_pictures",
    "draw_sent_pictures",
    "in_part",
    "json_of",
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
