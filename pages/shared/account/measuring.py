"""How many tokens a prompt has for a model, and what it costs."""

import re
from dataclasses import dataclass

from connector import Cost, context_window, cost_of_prompt
from db import SavedConfiguration, StoredMessage
from pages.shared import base

# A rough value for English text (platform.openai.com/tokenizer), used until calls of the model have given a better one.
CHARACTERS_PER_TOKEN = 4.0
MEASURED_MESSAGES = 10
"""How many of the last messages are searched for the model's name and the size of its context window."""
FOR_THE_ANSWER = 4096
"""Tokens of the context window that are kept free for the answer; at most a quarter of the window."""

# "maximum context length is 8192 tokens", "the available context size (2048 tokens)"
_WINDOW = re.compile(r"context (?:length|size|window)(?: is)? \(?(\d[\d,]*) tokens", re.IGNORECASE)


@dataclass(frozen=True)
class Measure:
    """How a model counts tokens, and what they cost."""

    characters_per_token: float
    is_learnt: bool
    window: int | None
    """The context window in tokens; None when it is unknown."""
    url: str
    model: str
    configuration: SavedConfiguration

    @property
    def room(self) -> int | None:
        """The largest prompt in tokens; None when the context window is unknown."""
        return None if self.window is None else self.window - min(FOR_THE_ANSWER, self.window // 4)

    def tokens(self, characters: int) -> int:
        return round(characters / self.characters_per_token)

    def cost(self, tokens: int) -> Cost | None:
        return cost_of_prompt(self.url, self.model, tokens, self.configuration.price)


def measure(configuration: SavedConfiguration, model: str | None, messages: tuple[StoredMessage, ...]) -> Measure:
    """The measure of a model, from its earlier calls in `messages` and from the price list."""
    url = asked = ""
    try:
        about = configuration.account
        url = about.url
        asked = about.model_for(model)
    except (base.InvalidConfiguration, base.InvalidRequest):
        pass  # sending a message shows this error
    learnt = base.database().calls.characters_per_token(base.person(), configuration.id, asked)
    calls = [
        each.call
        for each in messages[-MEASURED_MESSAGES:]
        if each.call and each.call.configuration_id == configuration.id
    ]
    # The model that answered: on Azure, the model asked for is the name of a deployment.
    answered = next((call.model_answered for call in reversed(calls) if call.model_asked == asked), None) or asked
    reported = next((found[1] for call in reversed(calls) if (found := _WINDOW.search(call.error or ""))), None)
    window = int(reported.replace(",", "")) if reported else context_window(url, answered)
    return Measure(learnt or CHARACTERS_PER_TOKEN, learnt is not None, window, url, answered, configuration)
