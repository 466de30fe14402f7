"""Text of a person inside a prompt, between triple quotes."""

import re


def quoted(text: str) -> str:
    """A person's text, made fit to stand between triple quotes."""
    return text.replace('"""', "'''").strip()


def unquoted(prompt: str) -> list[str]:
    """What stands between triple quotes in a prompt."""
    return re.findall(r'"""(.*?)"""(?!")', prompt, re.DOTALL)  # the text may end with a quote of its own
