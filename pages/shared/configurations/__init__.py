"""Feature: the list of configurations, the form of one, and the audit log."""

from pages.shared.configurations.activity import draw_activity
from pages.shared.configurations.cards import only_for_administrators, overview
from pages.shared.configurations.form import draw_form

__all__ = [
    "draw_activity",
    "draw_form",
    "only_for_administrators",
    "overview",
]
