"""The keys under which the session of a browser keeps what belongs to chats.

`page` is the address of a page, `session_id` the id of a stored chat.
"""

EDITING = "editing"
"""The id of the message that is being edited."""
DELETED = "deleted"
"""The id and the title of the chat that was deleted last."""


def prompt(page: str) -> str:
    """The text and the files in the input."""
    return f"prompt:{page}"


def draft(page: str) -> str:
    """A text for the input, once."""
    return f"draft:{page}"


def begun(page: str) -> str:
    """The id of the chat that this visitor's message has begun, until another chat is opened."""
    return f"begun:{page}"


def failure(page: str) -> str:
    """Why the last message was not sent."""
    return f"failure:{page}"


def suggested(page: str) -> str:
    """The suggestion that was clicked."""
    return f"suggested:{page}"


def also_alone(page: str) -> str:
    """Whether each message is also sent without the earlier ones."""
    return f"also_alone:{page}"


def new_system_prompt(page: str) -> str:
    """The system prompt of the chat that the next message begins."""
    return f"system:new:{page}"


def system_prompt_field(session_id: str | None, page: str) -> str:
    """The field of a system prompt, of a stored chat or of a new one."""
    return f"system:{session_id}:field" if session_id else f"{new_system_prompt(page)}:field"


def shown(session_id: str) -> str:
    """How many messages of a chat are drawn."""
    return f"shown:{session_id}"
