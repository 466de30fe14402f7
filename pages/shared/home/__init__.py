"""Feature: the parts of the home page."""
