"""Feature: the parameters of a request as a form."""

from pages.shared.tuner.options import form

__all__ = [
    "form",
]
