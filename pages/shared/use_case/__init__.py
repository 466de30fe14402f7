"""Floor 5: the three doors of a use case, and what they are made of."""

from pages.shared.use_case.doors import (
    API_REFERENCE,
    PROMPT_ENGINEERING,
    TEXT_GENERATION,
    advanced,
    begin,
    columns,
    forget,
    head,
    is_writing,
    last,
    quoted,
    show,
    unquoted,
    with_history,
    without_history,
)

__all__ = [
    "API_REFERENCE",
    "PROMPT_ENGINEERING",
    "TEXT_GENERATION",
    "advanced",
    "begin",
    "columns",
    "forget",
    "head",
    "is_writing",
    "last",
    "quoted",
    "show",
    "unquoted",
    "with_history",
    "without_history",
]
