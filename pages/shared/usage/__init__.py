"""Feature: the totals and tables of the usage page."""

from pages.shared.usage.tables import TITLES, is_empty, table, totals

__all__ = [
    "TITLES",
    "is_empty",
    "table",
    "totals",
]
