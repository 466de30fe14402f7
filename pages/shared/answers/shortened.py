"""Long messages and texts, shortened for the screen."""

from typing import Any

MUCH = 20_000
"""Characters of a long text that are shown; a browser needs seconds for a million."""


def shortened(body: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a message with its long texts and pictures shortened."""
    content = body.get("content")
    if isinstance(content, str):
        return body | {"content": in_part(content)}
    return body | {"content": [_shortened(part) for part in content]} if content else body


def in_part(text: str) -> str:
    """The beginning and the end of a long text, with the number of characters left out."""
    if len(text) <= MUCH:
        return text
    left_out = f"[… {len(text) - MUCH:,} more characters are sent here …]"
    return f"{text[: MUCH // 2]}\n{left_out}\n{text[-MUCH // 2 :]}"


def _shortened(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "text":
        return part | {"text": in_part(part["text"])}
    url = part["image_url"]["url"]
    return part | {"image_url": {"url": f"{url[:40]}… ({len(url) // 1024:,} kB)"}}
