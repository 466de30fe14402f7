"""The built-in model and its configuration: ``python -m demo`` starts both and the app, and stops them together.

Nothing imports this package but its tests: the workbench is whole without it.
"""
