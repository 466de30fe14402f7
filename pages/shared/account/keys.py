"""The keys under which the session of a browser keeps the account of a page. `page` is the address of the page."""

PAGE = "page"
"""The address of the page that is being drawn."""


def configuration(page: str, replaced: int) -> str:
    """The id of the configuration that is chosen in the picker; `replaced` counts the pickers before this one."""
    return f"configuration:{page}:{replaced}" if replaced else f"configuration:{page}"


def replaced(page: str) -> str:
    """How often the picker was replaced, because its configuration was deleted or switched off."""
    return f"replaced:{page}"


def is_gone(page: str) -> str:
    """Whether the configuration of the page was deleted or switched off since its last run."""
    return f"gone:{page}"


def model(page: str, configuration_id: str) -> str:
    """The name in the field of the model."""
    return f"model:{page}:{configuration_id}"


def followed(page: str) -> str:
    """The id of the chat whose configuration was chosen when it was opened."""
    return f"followed:{page}"
