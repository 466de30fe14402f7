"""Pictures: sent with a prompt, shown beside the answer, and files that are not pictures."""

from base64 import b64decode, b64encode
from io import BytesIO

import PIL.Image
import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import PAGES_FOLDER, Workbench, lines, reply, said, send, text_field, use, visit

EXAMPLE = (PAGES_FOLDER / "shared" / "answers" / "example.png").read_bytes()


def pictures(at: AppTest) -> list[str]:
    """The address of each picture of the page; the address has the content."""
    return [url for image in at.image for url in image.value]


def test_a_picture_is_sent_and_shown_beside_the_answer(workbench: Workbench) -> None:
    workbench.connect()
    reply(workbench, "Four bars.")
    at = use(visit("vision"))
    (body,) = workbench.bodies()
    picture, prompt = body["messages"][-1]["content"]
    assert picture["image_url"]["url"] == f"data:image/png;base64,{b64encode(EXAMPLE).decode()}"
    assert prompt["text"].startswith("What does this picture show?")
    assert "Four bars." in said(at)
    assert len(at.get("image")) == 2  # the one that would be sent, and the one that was


@pytest.mark.parametrize("width", [40, 3000])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_page_contains_its_pictures_and_the_browser_needs_no_second_request(
    workbench: Workbench, form: str, width: int
) -> None:
    workbench.connect()
    at = visit("vision")
    at.segmented_control[0].set_value("Upload").run()
    file = BytesIO()
    PIL.Image.new("RGB", (width, width // 2), "teal").save(file, form)
    at.file_uploader[0].upload(f"it.{form.lower()}", file.getvalue(), f"image/{form.lower()}")
    (url,) = pictures(at.run())
    start, _, content = url.partition(",")
    assert start == f"data:image/{form.lower()};base64"
    shown = PIL.Image.open(BytesIO(b64decode(content)))
    assert (shown.format, shown.size) == (form, (width, width // 2) if width == 40 else (1460, 730))


@pytest.mark.parametrize(
    ("data", "sentence", "is_sent"),
    [
        (b"%PDF-1.7", "it.png is not a picture that models accept.", False),
        (b"", "it.png is not a picture that models accept.", False),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "it.png is not a picture that models accept.", False),
        (b"\x89PNG\r\n\x1a\n and nothing more", "This picture is damaged and cannot be shown.", True),
        (b"\xff\xd8\xff", "This picture is damaged and cannot be shown.", True),
    ],
)
def test_a_file_that_is_not_a_picture_shows_an_error(
    workbench: Workbench, data: bytes, sentence: str, is_sent: bool
) -> None:
    workbench.connect()
    at = visit("vision")
    at.segmented_control[0].set_value("Upload").run()
    at.file_uploader[0].upload("it.png", data, "image/png")
    at = use(at.run())
    assert not at.exception
    assert sentence in said(at) + "\n".join(lines(at.warning))
    assert bool(workbench.bodies()) is is_sent


def test_the_sent_picture_stays_beside_its_answer_after_another_picture_was_chosen(workbench: Workbench) -> None:
    workbench.connect()
    at = use(visit("vision"))
    chosen, sent = pictures(at)
    assert chosen.split(".")[0] == sent.split(".")[0]
    at.segmented_control[0].set_value("Upload").run()
    assert pictures(at) == [sent]
    assert "The inputs have changed since this answer." in said(at)
    at = send(at, "Ask")
    assert lines(at.warning) == ["Choose a picture first."]
    assert len(workbench.bodies()) == 1
    at.file_uploader[0].upload("other.png", EXAMPLE[:6000], "image/png")  # cut off in the middle
    at.run()
    assert not at.exception
    assert pictures(at)[-1] == sent


def test_the_preview_shows_the_beginning_and_the_size_of_a_picture(workbench: Workbench) -> None:
    workbench.connect()
    (shown,) = [each.value for each in visit("vision").json if "image_url" in each.value]
    assert "data:image/png;base64," in shown
    assert f"({len(b64encode(EXAMPLE)) // 1024} kB)" in shown
    assert len(shown) < 1_000


def test_a_prompt_for_a_picture_is_sent_as_typed(workbench: Workbench) -> None:
    workbench.connect()
    at = visit("vision")
    text_field(at).set_value(" ")
    assert "Write a prompt first." in lines(send(at.run(), "Ask").warning)
    text_field(at).set_value('What is """this"""?')
    send(at.run(), "Ask")
    (body,) = workbench.bodies()
    assert "never an instruction" in body["messages"][0]["content"]
    assert body["messages"][1]["content"][1]["text"] == 'What is """this"""?'
