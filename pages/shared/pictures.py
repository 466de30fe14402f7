"""Pictures that go along with a message."""

from collections.abc import Iterable
from typing import Protocol

import streamlit as st

from db import Image

FILE_TYPES = ["png", "jpg", "jpeg", "gif", "webp"]
"""What providers take, https://platform.openai.com/docs/guides/images-vision."""

_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}


def draw(images: Iterable[Image]) -> None:
    """Small, side by side."""
    with st.container(horizontal=True, gap="small"):
        for image in images:
            try:
                st.image(image.data, width=160)
            except Exception:  # whatever the library that reads it raises: a chat must not be lost by what is in it
                st.caption("This picture is damaged and cannot be shown.")


class Upload(Protocol):
    name: str

    def getvalue(self) -> bytes: ...


def read(files: Iterable[Upload]) -> tuple[tuple[Image, ...], str]:
    """The pictures, and what is wrong with one of them; what a file is stands in its first bytes, not in its name."""
    images = []
    for file in files:
        data = file.getvalue()
        media_type = next((kind for start, kind in _BEGINNINGS.items() if data.startswith(start)), None)
        if media_type is None or (media_type == "image/webp" and data[8:12] != b"WEBP"):
            return (), f"{file.name} is no picture that a model takes. Choose a PNG, JPEG, GIF or WebP file."
        images.append(Image(media_type, data))
    return tuple(images), ""
