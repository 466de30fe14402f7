"""What goes along with a message: how much of what was said before, about how many tokens that is, what it costs."""

import re
from dataclasses import dataclass

from connector import ContentPart, Cost, Message, Role, context_window, cost_of_prompt
from db import Image, Said, SavedConfiguration, StoredMessage
from pages.shared.answers import pictures
from pages.shared.base import runtime

# How much of a prompt one token is, roughly, in English text (platform.openai.com/tokenizer); until a model told.
CHARACTERS_PER_TOKEN = 4.0
RECENT = 10
"""Messages whose calls tell what the model is and takes."""
FOR_THE_ANSWER = 4096
"""Tokens of the context window that are left free, or a quarter of it where that is less."""

# "maximum context length is 8192 tokens", "the available context size (2048 tokens)"
_WINDOW = re.compile(r"context (?:length|size|window)(?: is)? \(?(\d[\d,]*) tokens", re.IGNORECASE)


@dataclass(frozen=True)
class Earlier:
    """What of a conversation goes along with the next message, oldest first."""

    messages: tuple[Said, ...]
    turns: int
    """How many turns there are."""
    unwanted: int = 0
    """How many of them are left out because no more were asked for."""
    too_long: int = 0
    """How many because they would not fit."""

    @property
    def characters(self) -> int:
        return sum(len(each.content) for each in self.messages)

    @property
    def sent(self) -> int:
        return self.turns - self.unwanted - self.too_long


@dataclass(frozen=True)
class Measure:
    """How long a text is for a model."""

    characters_per_token: float
    is_learnt: bool
    window: int | None
    """Tokens that fit in; None where nobody knows."""
    url: str
    model: str
    configuration: SavedConfiguration

    @property
    def room(self) -> int | None:
        """Tokens that a prompt may have."""
        return None if self.window is None else self.window - min(FOR_THE_ANSWER, self.window // 4)

    def tokens(self, characters: int) -> int:
        return round(characters / self.characters_per_token)

    def cost(self, tokens: int) -> Cost | None:
        return cost_of_prompt(self.url, self.model, tokens, self.configuration.price)


def measure(configuration: SavedConfiguration, model: str | None, messages: tuple[StoredMessage, ...]) -> Measure:
    """By what this model reported before, and what is known of it."""
    url = asked = ""
    try:
        about = configuration.account
        url = about.url
        asked = about.model_for(model)
    except (runtime.InvalidConfiguration, runtime.InvalidRequest):
        pass  # what is wrong is told when a message is sent
    learnt = runtime.database().calls.characters_per_token(runtime.person(), configuration.id, asked)
    calls = [each.call for each in messages[-RECENT:] if each.call and each.call.configuration_id == configuration.id]
    # The one that answered: on Azure the one that is asked is the name of a deployment.
    answered = next((call.model_answered for call in reversed(calls) if call.model_asked == asked), None) or asked
    told = next((found[1] for call in reversed(calls) if (found := _WINDOW.search(call.error or ""))), None)
    window = int(told.replace(",", "")) if told else context_window(url, answered)
    return Measure(learnt or CHARACTERS_PER_TOKEN, learnt is not None, window, url, answered, configuration)


def turns_of(said: tuple[Said, ...]) -> list[list[Said]]:
    """What was said, by turns. A question that got no word in answer is left out, with that answer."""
    turns: list[list[Said]] = []
    for message in said:
        if message.role is Role.USER:
            turns.append([])
        if turns:
            turns[-1].append(message)
    return [turn for turn in turns if any(each.role is Role.ASSISTANT and each.content for each in turn)]


def earlier(said: tuple[Said, ...], limit: int | None, measured: Measure | None, *, besides: str = "") -> Earlier:
    """The last `limit` turns, or all; the oldest of them are left out where they would not fit beside `besides`."""
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
    """The messages of a request, pictures among them."""
    system = (Message(role=Role.SYSTEM, content=system_prompt),) if system_prompt.strip() else ()
    spoken = (*said, question) if question else said
    return (*system, *(_message(each, images.get(each.id, ())) for each in spoken))


def _message(said: Said, images: tuple[Image, ...]) -> Message:
    if not images:
        return Message(role=said.role, content=said.content)
    text: tuple[ContentPart, ...] = ({"type": "text", "text": said.content},) if said.content else ()
    return Message(role=said.role, content=(*text, *pictures.parts(images)))
