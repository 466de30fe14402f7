"""How many tokens a prompt has for a model, and what it costs."""

from dataclasses import dataclass

from connector import Cost, TokenLimit, context_window, cost_of_prompt, token_limit_in
from db import SavedConfiguration, StoredMessage
from pages.shared import base

# A rough value for English text (platform.openai.com/tokenizer), used until calls of the model have given a better one.
CHARACTERS_PER_TOKEN = 4.0
MEASURED_MESSAGES = 10
"""How many of the last messages are searched for the model's name and the size of its context window."""
FOR_THE_ANSWER = 4096
"""Tokens of the context window that are kept free for the answer; at most a quarter of the window."""


@dataclass(frozen=True)
class Measure:
    """How a model counts tokens, and what they cost."""

    characters_per_token: float
    is_learnt: bool
    limit: TokenLimit | None
    """The context window, or the limit of the prompt alone; None when it is unknown."""
    url: str
    model: str
    configuration: SavedConfiguration

    @property
    def room(self) -> int | None:
        """The largest prompt in tokens; None when it is unknown."""
        if self.limit is None:
            return None
        for_the_answer = 0 if self.limit.is_for_the_prompt else min(FOR_THE_ANSWER, self.limit.tokens // 4)
        return self.limit.tokens - for_the_answer

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
    refusals = [call.error for call in reversed(calls) if call.model_asked == asked and call.error]
    limit = next((found for refusal in refusals if (found := token_limit_in(refusal))), None)
    if limit is None and (window := context_window(url, answered)):
        limit = TokenLimit(window, is_for_the_prompt=False)
    return Measure(learnt or CHARACTERS_PER_TOKEN, learnt is not None, limit, url, answered, configuration)
