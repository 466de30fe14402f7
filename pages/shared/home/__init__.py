"""Feature: the parts of the home page."""

from pages.shared.home.gallery import cards
from pages.shared.home.setup import check_list
from pages.shared.home.standing import places

__all__ = [
    "cards",
    "check_list",
    "places",
]
