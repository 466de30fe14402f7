"""Typed text inside a prompt, between triple quotes."""

import re


def quoted(text: str) -> str:
    """A typed text that is safe between triple quotes."""
    return text.replace('"""', "'''").strip()


def unquoted(prompt: str) -> list[str]:
    """The texts between triple quotes in a prompt."""
    return re.findall(r'"""(.*?)"""(?!")', prompt, re.DOTALL)  # the text may end with a quote of its own
