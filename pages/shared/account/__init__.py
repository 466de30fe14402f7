"""Floor 2: the account that a page sends to, and the head of a page, which says when that is the demo model."""

from pages.shared.account.ability import NEEDS, warn_if_unable
from pages.shared.account.layout import API_REFERENCE, PROMPT_ENGINEERING, TEXT_GENERATION, columns, head
from pages.shared.account.measuring import MEASURED_MESSAGES, Measure, measure
from pages.shared.account.picker import (
    CONFIGURATIONS_PAGE,
    current_configuration,
    current_model,
    draw_guidance,
    draw_picker,
    enter,
    offered_configurations,
    page_name,
    picked_configuration,
)

__all__ = [
    "API_REFERENCE",
    "CONFIGURATIONS_PAGE",
    "MEASURED_MESSAGES",
    "NEEDS",
    "PROMPT_ENGINEERING",
    "TEXT_GENERATION",
    "Measure",
    "columns",
    "current_configuration",
    "current_model",
    "draw_guidance",
    "draw_picker",
    "enter",
    "head",
    "measure",
    "offered_configurations",
    "page_name",
    "picked_configuration",
    "warn_if_unable",
]
