"""Feature: the list of configurations and the form of one."""
