"""Floor 5: the three doors of a use case, and what they are made of."""

from pages.shared.account import API_REFERENCE, PROMPT_ENGINEERING, TEXT_GENERATION, columns, head
from pages.shared.use_case.doors import advanced, with_history, without_history
from pages.shared.use_case.parts import begin, forget, is_writing, last, show
from pages.shared.use_case.prompts import quoted, unquoted
from pages.shared.use_case.tool_calls import with_tools
from pages.shared.use_case.wire import draw_wire

__all__ = [
    "API_REFERENCE",
    "PROMPT_ENGINEERING",
    "TEXT_GENERATION",
    "advanced",
    "begin",
    "columns",
    "draw_wire",
    "forget",
    "head",
    "is_writing",
    "last",
    "quoted",
    "show",
    "unquoted",
    "with_history",
    "with_tools",
    "without_history",
]
