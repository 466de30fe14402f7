"""Which earlier messages are sent with a message."""

from dataclasses import dataclass

from connector import ContentPart, Message, Role
from db import Image, Said
from pages.shared import account, answers


@dataclass(frozen=True)
class Earlier:
    """The earlier messages that are sent with the next message, oldest first."""

    messages: tuple[Said, ...]
    turns: int
    """The number of turns in the chat."""
    unwanted: int = 0
    """Turns that are left out because the chat limits its history."""
    too_long: int = 0
    """Turns that are left out because they do not fit into the context window."""

    @property
    def characters(self) -> int:
        return sum(len(each.content) for each in self.messages)

    @property
    def sent(self) -> int:
        return self.turns - self.unwanted - self.too_long


def turns_of(said: tuple[Said, ...]) -> list[list[Said]]:
    """The messages grouped into turns. A question without any text in its answer is left out, with the answer."""
    turns: list[list[Said]] = []
    for message in said:
        if message.role is Role.USER:
            turns.append([])
        if turns:
            turns[-1].append(message)
    return [turn for turn in turns if any(each.role is Role.ASSISTANT and each.content for each in turn)]


def earlier(
    said: tuple[Said, ...], limit: int | None, measured: account.Measure | None, *, besides: str = ""
) -> Earlier:
    """The last `limit` turns, or all. The oldest are left out where they do not fit beside the text `besides`."""
    turns = turns_of(said)
    wanted = turns if limit is None else turns[len(turns) - min(limit, len(turns)) :]
    first = 0
    if measured is not None and measured.room is not None:
        lengths = [sum(len(each.content) for each in turn) for turn in wanted]
        left = sum(lengths) + len(besides)
        while first < len(wanted) and measured.tokens(left) > measured.room:
            left -= lengths[first]
            first += 1
    kept = tuple(message for turn in wanted[first:] for message in turn)
    return Earlier(kept, len(turns), len(turns) - len(wanted), first)


def messages(
    system_prompt: str, said: tuple[Said, ...], question: Said | None, images: dict[int, tuple[Image, ...]]
) -> tuple[Message, ...]:
    """The messages of a request, with their pictures."""
    system = (Message(role=Role.SYSTEM, content=system_prompt),) if system_prompt.strip() else ()
    spoken = (*said, question) if question else said
    return (*system, *(_message(each, images.get(each.id, ())) for each in spoken))


def _message(said: Said, images: tuple[Image, ...]) -> Message:
    if not images:
        return Message(role=said.role, content=said.content)
    text: tuple[ContentPart, ...] = ({"type": "text", "text": said.content},) if said.content else ()
    return Message(role=said.role, content=(*text, *answers.picture_parts(images)))
