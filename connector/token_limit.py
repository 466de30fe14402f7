"""The limit on tokens that a refusal states."""

from dataclasses import dataclass

from connector.wordings import INPUT_LIMIT, WINDOW, Quoted, named_by


@dataclass(frozen=True)
class TokenLimit:
    """How much a model takes."""

    tokens: int
    is_for_the_prompt: bool
    """Whether the answer has room of its own. Otherwise prompt and answer share the tokens."""


def token_limit_in(words: str) -> TokenLimit | None:
    """Return the limit that these words of a provider state, or an error that quotes them; None without one."""
    return stated_limit(words, ())


def stated_limit(words: str, quoted: Quoted) -> TokenLimit | None:
    """Return the limit that these words state outside of the prompt, which they repeat where `quoted` says."""
    for wordings, is_for_the_prompt in ((INPUT_LIMIT, True), (WINDOW, False)):
        for stated in named_by(wordings, words, None, quoted):
            return TokenLimit(int(stated.replace(",", "")), is_for_the_prompt)
    return None
