"""The JSON of an answer, without what models put around it: a fence, a sentence, a byte order mark."""

import json
import re
from collections.abc import Iterator

from pages.shared.answers import parsed

_JSON = json.JSONDecoder()
_MOST = 50
"""Brackets that are tried: prose contains few, and each one can cost as much as the whole text."""


def json_texts(text: str) -> Iterator[str]:
    """Yield what may be the JSON of an answer, the most likely text first: the whole, a fenced block, JSON in prose."""
    text = text.strip().removeprefix("\ufeff").strip()
    yield text
    yield from (node.content for node in parsed.code_blocks(text))
    yield from sorted(_objects(text), key=len, reverse=True)


def _objects(text: str) -> Iterator[str]:
    """Yield each JSON object and list in prose; nothing after one that is broken, because its parts are no answer."""
    end = 0
    for bracket in [*re.finditer(r"\{|\[(?=\s*[{\[\"])", text)][:_MOST]:
        start = bracket.start()
        if start < end:
            continue
        try:
            _, end = _JSON.raw_decode(text, start)
        except json.JSONDecodeError as error:
            if text[start + 1 : error.pos].strip():
                return
        except (ValueError, RecursionError):
            return
        else:
            yield text[start:end]
