"""Pictures in a message."""

import base64
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Literal, Protocol

import PIL.Image
import streamlit as st

from connector import ContentPart, Message
from db import Image

EXAMPLE = Path(__file__).parent / "example.png"

PICTURE_TYPES = ["png", "jpg", "jpeg", "gif", "webp"]
"""The types that providers accept, https://platform.openai.com/docs/guides/images-vision."""

_WIDEST = 1460
"""Pixels; Streamlit draws no picture wider."""

_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}


def draw_pictures(images: Iterable[Image]) -> None:
    """Draw the pictures small, side by side."""
    with st.container(horizontal=True, gap="small"):
        for image in images:
            _draw(image.data, 160, "A picture of this message")


def draw_sent_pictures(message: Message) -> None:
    """Draw the pictures of a message that was sent."""
    for part in message.content or ():
        if isinstance(part, dict) and part["type"] == "image_url":
            _draw(base64.b64decode(part["image_url"]["url"].partition(",")[2]), "stretch", "The picture that was sent")


def _draw(data: bytes, width: int | Literal["stretch"], alt: str) -> None:
    try:
        st.image(_as_url(data, _WIDEST if width == "stretch" else width), width=width, alt=alt)
    except Exception:  # the library may raise anything, and a damaged picture must not break the page
        st.caption("This picture is damaged and cannot be shown.")


def _as_url(data: bytes, width: int) -> str:
    """Return a data URL of the picture, reduced to this many pixels if it is wider.

    For bytes, Streamlit makes a file that the browser loads with a second request. It deletes the file as soon as the
    run of any page ends while this page is being drawn again, and a slow browser then shows a broken picture.
    """
    with PIL.Image.open(BytesIO(data)) as picture:
        media_type = PIL.Image.MIME[picture.format or ""]
        picture.load()  # raises an error if the picture is damaged
        if picture.width > width:
            reduced = BytesIO()
            picture.thumbnail((width, picture.height))
            picture.save(reduced, picture.format)
            data = reduced.getvalue()
    return _url_of(Image(media_type, data))


def choose_picture() -> tuple[tuple[Image, ...], str]:
    """Draw the choice of a picture: example, upload or camera. Returns it, or a sentence that says why not."""
    source = st.segmented_control("Picture", ["Example", "Upload", "Camera"], default="Example", required=True)
    file: Upload | None = None
    if source == "Upload":
        file = st.file_uploader("A picture", PICTURE_TYPES, label_visibility="collapsed")
    elif source == "Camera":
        file = st.camera_input("A picture", label_visibility="collapsed")
    if source == "Example":
        images, refusal = _example()
    elif file is None:
        return (), "Choose a picture first."
    else:
        images, refusal = read_pictures([file])
    if images and source != "Camera":  # the camera widget shows its picture itself
        _draw(images[0].data, "stretch", "The picture that will be sent")
    return images, refusal


def _example() -> tuple[tuple[Image, ...], str]:
    return (Image("image/png", EXAMPLE.read_bytes()),), ""


def picture_parts(images: Iterable[Image]) -> tuple[ContentPart, ...]:
    """Pictures as the parts of a message."""
    return tuple({"type": "image_url", "image_url": {"url": _url_of(image)}} for image in images)


def text_part(text: str) -> ContentPart:
    """A text as a part of a message that also has pictures."""
    return {"type": "text", "text": text}


def _url_of(image: Image) -> str:
    return f"data:{image.media_type};base64,{base64.b64encode(image.data).decode()}"


class Upload(Protocol):
    name: str

    def getvalue(self) -> bytes: ...


def read_pictures(files: Iterable[Upload]) -> tuple[tuple[Image, ...], str]:
    """The pictures in these files, and a sentence when a file is none. The first bytes decide, not the name."""
    images = []
    for file in files:
        data = file.getvalue()
        media_type = next((kind for start, kind in _BEGINNINGS.items() if data.startswith(start)), None)
        if media_type is None or (media_type == "image/webp" and data[8:12] != b"WEBP"):
            return (), f"{file.name} is not a picture that models accept. Choose a PNG, JPEG, GIF or WebP file."
        images.append(Image(media_type, data))
    return tuple(images), ""
