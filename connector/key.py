"""Cleans a key that was typed or pasted, and says why a text cannot be a key.

Local servers accept any key, and their manuals name dummies: `EMPTY`, `ollama`, `lm-studio`, `sk-no-key-required`,
`token-abc123`, `-`. These, and short words such as `x`, `token` or `secret`, are keys. Refused are only texts that
stand for a key: masks, names of variables, the placeholders of manuals, and the words that programs write for a missing
value.
"""

import re

LONGEST = 4096
"""Characters of an API key."""
LONGEST_TOKEN = 16_384
"""Characters of a Microsoft Entra token, which lists the roles and groups of its owner."""

_QUOTES = "\"'`´‘’‚“”„«»‹›"
_SCHEME = re.compile(rf"^(?:authorization[{_QUOTES}]?\s*:\s*[{_QUOTES}]?)?bearer\s+", re.IGNORECASE)

_MASK = re.compile(
    r"""
    \*{2,} | ^\*$ | \#{3,} | \.{3,} | […•●∙·▪■█◦○∗＊]
    | ^(?:[a-z]{2,6}[-_])* (?: x{4,} | x{3}$ )      # sk-xxxx, XXXX6789
    | x{6,}                                         # in the middle; a random key has six in a row once in ten million
    """,
    re.IGNORECASE | re.VERBOSE,
)
_PLACEHOLDER = re.compile(
    r"""
    <[^<>]*> | \{[^{}]*\} | \[[^\[\]]*\] | \$\(                       # <key>, ${KEY}, os.environ["KEY"], $(cat key)
    | (?-i: ^\$[A-Z][A-Z0-9_]*$ )                                     # $KEY
    | (?-i: (?:^|[.$:%]) (?:[A-Z0-9]+_)+ (?:KEY|TOKEN|SECRET) %?$ )   # YOUR_API_KEY, $env:OPENAI_API_KEY
    | (?:^|[-_.]) your (?: [-_.] | [a-z]*(?:key|token|secret) | $ )   # your-key, sk-your-secret, yourApiKey
    | ^(?:insert|replace|paste|enter|put)[-_] | [-_]here$             # INSERT_KEY, key-goes-here
    | (?:^|[^a-z0-9]) redacted (?:$|[^a-z0-9])
    | ^(?:none|null|nil|undefined|bearer)$
    """,
    re.IGNORECASE | re.VERBOSE,
)
_IS_MASKED = "This is a masked or shortened key. Copy the complete key from the provider."
_IS_PLACEHOLDER = (
    "This is a placeholder, not a key. Enter the key itself. A server that requires no key accepts any word, for "
    "example not-needed."
)
_HAS_BLANKS = "The key contains blanks, line breaks or characters that no key has. Copy it again."


def cleaned_key(text: str) -> str:
    """Return a key without the blanks and quotes around it and without a leading `Bearer`."""
    return _SCHEME.sub("", _unquoted(text)).strip(_QUOTES + " \t\r\n")


def _unquoted(text: str) -> str:
    # In a line of JSON or of code, a comma or a semicolon follows the quote.
    return re.sub(rf"(?<=[{_QUOTES}])[,;]$", "", text.strip()).strip(_QUOTES).strip()


def problem_of_key(key: str, longest: int = LONGEST) -> str:
    """Return why no request can carry this key, or why it cannot be a key; empty if it may be one.

    Masks: `****`, `sk-...6789`, `XXXX`. Placeholders: `YOUR_API_KEY`, `<key>`, `None`, `Bearer`.
    """
    if not key:
        return "Enter the key."
    if len(key) > longest:
        return f"The key is longer than {longest:,} characters. Copy the key alone."
    if is_masked(key):
        return _IS_MASKED
    if _PLACEHOLDER.search(key):
        return _IS_PLACEHOLDER
    # A line break would end the header, and the SDK would fail with the key in its error.
    return "" if re.fullmatch(r"[\x21-\x7e]+", key) else _HAS_BLANKS


def is_masked(text: str) -> bool:
    """Whether a text shows that parts of it are hidden."""
    return bool(_MASK.search(text))
