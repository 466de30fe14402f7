"""Feature: the parameters of a request as a form."""
