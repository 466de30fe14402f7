"""Removes prompts and keys from what a provider says, in whatever spelling it repeats them.

Providers repeat what they were sent in other case, with other white space and quotes, escaped once or several times,
and in pieces. Both sides are therefore folded before they are compared: case, accents, white space, quotes and
backslashes do not count, and an escaped character counts as the character itself.
"""

import html
import re
from base64 import b64encode
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from itertools import groupby
from string import punctuation
from typing import Any
from unicodedata import category, normalize

import jiter

PROMPT = "[prompt]"
KEY = "[key]"
SHORTEST = 4
"""Characters of a sent text that is masked where it stands as words; fewer may be any word."""
RUN = 15
"""Characters of a piece of a sent text that is masked anywhere; with white space between them, about 20."""
MOST_READ = 10_000
"""Characters of a provider's text that are searched. The rest is dropped: far fewer are shown."""
_PROBE = RUN // 2
_STEP = RUN - _PROBE + 1
"""Each piece of `RUN` characters contains a probe that begins at a multiple of this."""
_SHORTEST_KEY = 8
_LOOKS_LIKE_A_KEY = re.compile(r"\b(sk-|gsk_|xai-|AIza|hf_|nvapi-|pplx-|Bearer\s+|eyJ)[\w.*+/=…-]{6,}")
_ESCAPED = re.compile(
    # Possessive and only at the first backslash, since a prompt may have a million of them.
    r"(?<!\\)(?:\\++(?:u(d[89ab][0-9a-f]{2})\\++u(d[c-f][0-9a-f]{2})|u000(1[0-9a-f]{4})|u([0-9a-f]{4})"
    r"|u\{([0-9a-f]{1,5})\}|[abfnrtv])|((?:\\++x[0-9a-f]{2})+))"
    r"|((?:%[0-9a-f]{2})+)|(&(?:#x?[0-9a-f]{1,7}|[a-z][a-z0-9]{1,30});)",
    re.IGNORECASE,
)
_OFTEN = 4
"""How many kinds of escapes may be inside each other: `%2520` is a blank that was escaped twice."""
_UNSEEN = {"Mn", "Me", "Cf"}
"""Besides white space: accents and other marks on a letter, and characters without width."""
_UNCOUNTED = "\\\"'`+"
"""Besides white space: backslashes, quotes, and the plus that forms have for a blank."""
_BASE64 = re.compile(r"[\w+/=-]{10,}")
_HIDDEN = re.compile(r"[\[(<]?(?:[*•·…]+|\.{2,}|x{4,}|#{3,})[\])>]?", re.IGNORECASE)
"""What stands in place of the middle of a key."""
_MOST_SHOWN = 64
_LEAST_SHOWN = 4
"""Characters at both ends of a key together that are recognised beside a hidden middle."""
# Values of these are words of the API, which a provider must be able to say. A value of several words is a text.
_OWN_WORDS = {
    *("model", "role", "type", "required", "reasoning_effort", "verbosity", "service_tier", "prompt_cache_retention"),
    *(
        "title",
        "modalities",
        "tool_choice",
        "function_call",
        "detail",
        "format",
        "voice",
        "mode",
        "ttl",
        "search_context_size",
    ),
}
_OF_THE_PERSON = {"metadata", "arguments"}
"""Objects whose names are chosen by the person, too."""


class Sent:
    """The texts of a request: what a provider's text must not repeat."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body

    @property
    def names(self) -> Collection[str]:
        """The parameters of the request."""
        return self._body.keys()

    @property
    def fields_of_messages(self) -> set[str]:
        """The names of all fields in its messages, at any depth."""
        return set(_fields_in(self._body.get("messages")))

    @cached_property
    def texts(self) -> set[str]:
        """All texts that are long enough to be recognised, folded. Computed when a provider has said something."""
        folded = (_folded(text) for text in _texts_in(self._body))
        trimmed = (text.strip(punctuation) or text for text in folded)
        return {text for text in trimmed if len(text) >= SHORTEST}


NOTHING = Sent({})


def masked(words: str, keys: Iterable[str], sent: Sent = NOTHING) -> str:
    """Return a provider's text with `[prompt]` and `[key]` instead of what was sent; at most its first 10,000
    characters.
    """
    if not words:
        return ""
    text = words[:MOST_READ]
    if sent.texts:
        said = _Folding(text)
        said.cover(_repeated(said, sent.texts))
        if len(words) > MOST_READ:  # a text that was cut here is not recognised
            said.cover([(max(0, len(said.letters) - RUN), len(said.letters))])
        text = said.with_covered(PROMPT)
    keys = tuple(keys)
    for key in keys:
        text = _without_key(text, key)
    text = _LOOKS_LIKE_A_KEY.sub(KEY, text)
    for key in keys:
        text = _without_ends_of(key, text)
    return text


def quoted_in(words: str, sent: Sent) -> list[tuple[int, int]]:
    """Return where a provider's text repeats what was sent: the begin and the end of each part."""
    if not sent.texts:
        return []
    said = _Folding(words[:MOST_READ])
    said.cover(_repeated(said, sent.texts))
    return said.covered()


# -- what was sent


def _texts_in(value: object, name: str = "") -> Iterator[str]:
    """Yield the texts of a JSON value, also those in JSON that is sent as a text, such as the arguments of a call."""
    if isinstance(value, str):
        if name not in _OWN_WORDS or not re.fullmatch(r"[\w./:-]*", value):
            yield value
            yield from _texts_in(_json_in(value), "arguments")
    elif isinstance(value, Mapping):
        is_free = name in _OF_THE_PERSON
        for each, inner in value.items():
            if is_free:
                yield str(each)
            yield from _texts_in(inner, name if is_free else str(each))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts_in(inner, name)


def _fields_in(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from value
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    for each in inner:
        yield from _fields_in(each)


def _json_in(text: str) -> object:
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return jiter.from_json(text.encode())
    except ValueError:
        return None


# -- folding


def _folded(text: str) -> str:
    """Return the characters that count. Fast, because a prompt may have megabytes."""
    for _ in range(_OFTEN):
        if not any(sign in text for sign in "\\%&"):
            break
        text = _ESCAPED.sub(_unescaped, text)
    text = "".join(_seen(text).casefold().split())
    for sign in _UNCOUNTED:
        text = text.replace(sign, "")
    return text


def _seen(text: str) -> str:
    """Return the letters without their accents, and in their usual form: `é` and `e` with an accent are the same."""
    if text.isascii():
        return text
    return "".join(letter for letter in normalize("NFKD", text) if category(letter) not in _UNSEEN)


def _unescaped(found: re.Match[str]) -> str:
    match found.lastindex:
        case None:
            return ""  # white space, which does not count
        case 2:  # the two halves of a character
            halves = chr(int(found[1], 16)) + chr(int(found[2], 16))
            return halves.encode("utf-16", "surrogatepass").decode("utf-16")
        case 6:
            return _of_bytes(bytes.fromhex(re.sub(r"\\+x", "", found[6], flags=re.IGNORECASE)))
        case 7:
            return _of_bytes(bytes.fromhex(found[7].replace("%", "")))
        case 8:
            return html.unescape(found[8])
        case group:
            return chr(int(found[group], 16))


def _of_bytes(content: bytes) -> str:
    """Return the text that was escaped byte by byte; a single byte may also be the number of a character."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


class _Folding:
    """A provider's text with the characters that count and where they stand, so that they can be replaced."""

    def __init__(self, text: str) -> None:
        self._text = text
        counted = [
            (letter, start, end)
            for said, start, end in _characters(text)
            for letter in _seen(said).casefold()
            if not letter.isspace() and letter not in _UNCOUNTED
        ]
        self.letters = "".join(letter for letter, _, _ in counted)
        self._places = [(start, end) for _, start, end in counted]
        self._covered = [False] * len(counted)

    def stand_as_words(self, start: int, end: int) -> bool:
        """Whether neither end of these letters is inside a word."""
        return not (self._is_inside_a_word(start) or self._is_inside_a_word(end))

    def _is_inside_a_word(self, at: int) -> bool:
        if not 0 < at < len(self.letters) or self._places[at - 1][1] != self._places[at][0]:
            return False
        # Letters without case, such as Chinese ones, are written without spaces between the words.
        return all(each.islower() or each.isdigit() or each == "_" for each in self.letters[at - 1 : at + 1])

    def cover(self, spans: Iterable[tuple[int, int]]) -> None:
        """Mark letters that must not be shown."""
        for start, end in spans:
            self._covered[start:end] = [True] * (end - start)

    def with_covered(self, mask: str) -> str:
        """Return the text with the mask in place of each covered part."""
        parts, shown = [], 0
        for start, end in self.covered():
            parts += [self._text[shown:start], mask]
            shown = end
        return "".join([*parts, self._text[shown:]])

    def covered(self) -> list[tuple[int, int]]:
        """Return where the covered parts of the text begin and end."""
        groups = groupby(range(len(self.letters)), key=self._covered.__getitem__)
        covered = [list(group) for is_covered, group in groups if is_covered]
        return [(self._places[each[0]][0], self._places[each[-1]][1]) for each in covered]


def _characters(text: str) -> list[tuple[str, int, int]]:
    """Return the characters of a text, escaped ones as what they mean, with where they begin and end."""
    characters = [(letter, at, at + 1) for at, letter in enumerate(text)]
    for _ in range(_OFTEN):
        escaped = "".join(letter for letter, _, _ in characters)
        if not _ESCAPED.search(escaped):
            break
        characters = list(_unescaped_once(escaped, characters))
    return characters


def _unescaped_once(text: str, characters: list[tuple[str, int, int]]) -> Iterator[tuple[str, int, int]]:
    shown = 0
    for found in _ESCAPED.finditer(text):
        start, end = found.span()
        yield from characters[shown:start]
        yield from ((letter, characters[start][1], characters[end - 1][2]) for letter in _unescaped(found))
        shown = end
    yield from characters[shown:]


# -- what is repeated


def _repeated(said: _Folding, texts: set[str]) -> Iterator[tuple[int, int]]:
    """Yield which letters repeat a whole text as words, or a piece of a text."""
    for text in texts:
        yield from (span for span in _occurrences(text, said.letters) if said.stand_as_words(*span))
    pieces = _pieces(texts, said.letters)
    yield from ((at, at + RUN) for at in range(len(said.letters)) if said.letters[at : at + RUN] in pieces)


def _occurrences(text: str, letters: str) -> Iterator[tuple[int, int]]:
    at = letters.find(text)
    while at >= 0:
        yield at, at + len(text)
        at = letters.find(text, at + 1)


def _pieces(texts: set[str], letters: str) -> set[str]:
    """Return the pieces of `RUN` characters of the texts that may also stand in `letters`."""
    probes = {letters[at : at + _PROBE] for at in range(len(letters) - _PROBE + 1)}
    surroundings = {
        text[max(0, at - RUN + _PROBE) : at + RUN]
        for text in texts
        if len(text) >= RUN
        for at in range(0, len(text), _STEP)
        if text[at : at + _PROBE] in probes
    }
    return {each[at : at + RUN] for each in surroundings for at in range(len(each) - RUN + 1)}


def _without_key(text: str, key: str) -> str:
    if len(key) < _SHORTEST_KEY:  # a local server may have the key "x" or "token", which is part of max_tokens
        return re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", KEY, text) if key else text
    encoded, folded = _looks_of(key)
    text = _BASE64.sub(lambda found: KEY if any(each in _alphabet(found[0]) for each in encoded) else found[0], text)
    letters = _folded(text)
    if any(folded[at : at + _PROBE] in letters for at in range(0, len(folded), _STEP)):  # hardly ever
        said = _Folding(text)
        said.cover([*_occurrences(folded, said.letters), *_repeated(said, {folded})])
        text = said.with_covered(KEY)
    return text


def _without_ends_of(key: str, text: str) -> str:
    """Mask the key where only its middle is hidden: `abcd****wxyz`, `abc...xyz`, `****wxyz`."""
    if len(key) < _SHORTEST_KEY:
        return text
    key, said = key.casefold(), text.casefold()
    if len(said) != len(text):  # a letter has no small form of the same length
        said = text
    parts, shown = [], 0
    for found in _HIDDEN.finditer(text):
        start, end = found.span()
        sizes = range(min(len(key), _MOST_SHOWN), 0, -1)
        head = next((size for size in sizes if said.endswith(key[:size], shown, start)), 0)
        tail = next((size for size in sizes if said.startswith(key[-size:], end)), 0)
        if head + tail >= _LEAST_SHOWN:
            parts += [text[shown : start - head], KEY]
            shown = end + tail
    return "".join([*parts, text[shown:]])


@lru_cache(maxsize=64)
def _looks_of(key: str) -> tuple[list[str], str]:
    """Return how a key looks in base64, and folded. The id of each call is compared with them."""
    return _in_base64(key), _folded(key)


def _in_base64(key: str) -> list[str]:
    """Return how the key looks in base64 behind 0, 1 and 2 other characters, without what depends on its neighbours."""
    looks = []
    for before, mixed in ((0, 0), (1, 2), (2, 3)):
        encoded = b64encode(b" " * before + key.encode()).decode()
        looks.append(_alphabet(encoded[mixed : (before + len(key.encode())) * 8 // 6]))
    return looks


def _alphabet(encoded: str) -> str:
    """Fold the two alphabets of base64, and the case, which a server may have changed."""
    return encoded.casefold().replace("-", "+").replace("_", "/")
