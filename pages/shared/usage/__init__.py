"""Feature: the tables of the usage page."""
