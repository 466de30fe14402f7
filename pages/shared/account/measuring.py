"""How many tokens a prompt has for a model, and what it costs."""

import re
from dataclasses import dataclass

from connector import Cost, context_window, cost_of_prompt
from db import SavedConfiguration, StoredMessage
from pages.shared import base

# How much of a prompt one token is, roughly, in English text (platform.openai.com/tokenizer); until a model told.
CHARACTERS_PER_TOKEN = 4.0
MEASURED_MESSAGES = 10
"""Messages whose calls tell what the model is and takes."""
FOR_THE_ANSWER = 4096
"""Tokens of the context window that are left free, or a quarter of it where that is less."""

# "maximum context length is 8192 tokens", "the available context size (2048 tokens)"
_WINDOW = re.compile(r"context (?:length|size|window)(?: is)? \(?(\d[\d,]*) tokens", re.IGNORECASE)


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
    except (base.InvalidConfiguration, base.InvalidRequest):
        pass  # what is wrong is told when a message is sent
    learnt = base.database().calls.characters_per_token(base.person(), configuration.id, asked)
    calls = [
        each.call
        for each in messages[-MEASURED_MESSAGES:]
        if each.call and each.call.configuration_id == configuration.id
    ]
    # The one that answered: on Azure the one that is asked is the name of a deployment.
    answered = next((call.model_answered for call in reversed(calls) if call.model_asked == asked), None) or asked
    told = next((found[1] for call in reversed(calls) if (found := _WINDOW.search(call.error or ""))), None)
    window = int(told.replace(",", "")) if told else context_window(url, answered)
    return Measure(learnt or CHARACTERS_PER_TOKEN, learnt is not None, window, url, answered, configuration)
