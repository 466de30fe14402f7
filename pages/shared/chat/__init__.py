"""Floor 4: stored chats."""

from pages.shared.chat.conversation import draw_chat
from pages.shared.chat.rail import draw_drawer, draw_rail, draw_settings
from pages.shared.chat.stored import from_address, opened, title

__all__ = [
    "draw_chat",
    "draw_drawer",
    "draw_rail",
    "draw_settings",
    "from_address",
    "opened",
    "title",
]
