"""Recorded streams that are cut, repeated, reordered and mutated: no text that came is lost, none is doubled, and each
call is reported once.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
from hypothesis import given
from hypothesis import strategies as st

from connector import CallReport, Client, Configuration, ConnectorError
from tests.connector.conftest import REQUEST
from tests.provider.answers import chunk, usage

# Words that no other word begins with, so that no piece resembles an earlier one.
WORDS = st.lists(st.sampled_from(["Hello", " there", "\n", "😀", "Ünd", "$5", "{}", "<b>", " 12"]), max_size=12)
FOREIGN = st.sampled_from(
    [
        b": keep-alive\n\n",
        b"event: ping\ndata: {}\n\n",
        b'event: progress\ndata: {"message": "Searching", "id": "other"}\n\n',
        b'data: {"type": "status", "message": "Searching"}\n\n',
        b"data: {broken\n\n",
        b"data: null\n\n",
        b'data: {"choices": []}\n\n',
        b'data: {"choices": [{"index": 0, "delta": {"content": 5}}]}\n\n',
        b'data: {"choices": [{"index": 0, "delta": {"role": "assistant"}, "logprobs": 3}]}\n\n',
        b'data: {"choices": ["x"]}\n\n',
        b"data: {}\n\n",
    ]
)


class Pieces(httpx2.SyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.pieces)


def read(pieces: list[bytes]) -> tuple[dict[tuple[int, str], str], Any, CallReport]:
    """The text that came of each choice and kind, the choices of the response, and the only report."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Pieces(pieces))

    reports: list[CallReport] = []
    configuration = Configuration.model_validate(
        {
            "display_name": "Mine",
            "api_type": "OpenAI",
            "endpoint": "https://example.com/v1",
            "api_key": "sk-example-0123456789",
            "model_default": "gpt-test",
        }
    )
    came: dict[tuple[int, str], str] = {}
    with httpx2.Client(transport=httpx2.MockTransport(answer)) as http_client:
        stream = Client(configuration, http_client=http_client, on_call=reports.append, max_retries=0).stream(REQUEST)
        try:
            for index, kind, text in stream.deltas():
                came[index, kind] = came.get((index, kind), "") + text
        except ConnectorError:
            pass
    (report,) = reports
    return came, stream.response.choices, report


def event(data: Any) -> bytes:
    return b"data: %s\n\n" % json.dumps(data).encode()


def recorded(answers: list[tuple[list[str], list[str]]]) -> list[list[bytes]]:
    """The events of each choice: its reasoning, its text, its end."""

    def part(index: int, **delta: str) -> bytes:
        return event(chunk(choices=[{"index": index, "delta": delta, "finish_reason": None}]))

    return [
        [
            *(part(index, reasoning_content=word) for word in reasoning),
            *(part(index, content=word) for word in words),
            event(chunk(index=index, finish_reason="stop")),
        ]
        for index, (reasoning, words) in enumerate(answers)
    ]


def merged(data: st.DataObject, streams: list[list[bytes]]) -> list[bytes]:
    """The events of all choices in a random order that keeps the order of each choice."""
    rest, events = [list(each) for each in streams], list[bytes]()
    while any(rest):
        chosen = data.draw(st.sampled_from([each for each in rest if each]))
        events.append(chosen.pop(0))
    return events


def texts(answers: list[tuple[list[str], list[str]]]) -> dict[tuple[int, str], str]:
    kinds = {
        (index, kind): "".join(words)
        for index, each in enumerate(answers)
        for kind, words in zip(("reasoning", "content"), each, strict=True)
    }
    return {key: text for key, text in kinds.items() if text}


def of_response(choices: Any) -> dict[tuple[int, str], str]:
    found = {}
    for choice in choices:
        found[choice.index, "reasoning"] = getattr(choice.message, "reasoning_content", None)
        found[choice.index, "content"] = choice.message.content
    return {key: text for key, text in found.items() if text}


ANSWERS = st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=2)


@given(st.data(), ANSWERS)
def test_foreign_and_broken_events_and_interleaved_choices_cost_no_text(
    data: st.DataObject, answers: list[tuple[list[str], list[str]]]
) -> None:
    events = merged(data, recorded(answers))
    for _ in range(data.draw(st.integers(0, 4))):
        events.insert(data.draw(st.integers(0, len(events))), data.draw(FOREIGN))
    body = b"".join([*events, event(chunk(choices=[], usage=usage(1, "x"))), b"data: [DONE]\n\n"])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    came, choices, report = read(pieces)
    assert came == of_response(choices) == texts(answers)
    assert report.error is None


@given(st.data(), ANSWERS)
def test_of_a_stream_that_is_cut_anywhere_all_complete_events_are_kept(
    data: st.DataObject, answers: list[tuple[list[str], list[str]]]
) -> None:
    events = merged(data, recorded(answers))
    end = data.draw(st.integers(0, len(events) - 1))
    rest = events[end][: data.draw(st.integers(0, len(events[end]) - 3))]
    came, choices, report = read([*events[:end], rest])
    whole, _, _ = read([*events[:end], b"data: [DONE]\n\n"])
    assert came == of_response(choices) == whole
    assert report.error is not None or any(choice.finish_reason for choice in choices)


@given(st.data(), st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=1))
def test_what_a_server_repeats_is_not_doubled(data: st.DataObject, answers: list[tuple[list[str], list[str]]]) -> None:
    (stream,) = recorded(answers)
    said = {kind: "".join(words) for kind, words in zip(("reasoning_content", "content"), answers[0], strict=True)}
    message = {"role": "assistant", **said, "reasoning": said["reasoning_content"]}
    repeats = [
        event(chunk(choices=[{"index": 0, "delta": {}, "message": message, "finish_reason": "stop"}])),
        event(chunk(choices=[{"index": 0, "message": message, "finish_reason": None}])),
        event(chunk(finish_reason="stop")),
        event(chunk(choices=[], usage=usage(1, "x"))),
    ]
    more = data.draw(st.lists(st.sampled_from(repeats), max_size=3))
    came, choices, report = read([*stream, *more, b"data: [DONE]\n\n"])
    assert came == of_response(choices) == texts(answers)
    assert report.error is None


@given(st.text(st.characters(codec="utf-16-le"), max_size=12), st.data())
def test_a_text_that_is_cut_between_any_two_units_of_utf_16_is_whole(text: str, data: st.DataObject) -> None:
    units = text.encode("utf-16-le")
    codes = [int.from_bytes(units[at : at + 2], "little") for at in range(0, len(units), 2)]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(codes)), max_size=4)))
    parts = [codes[start:end] for start, end in zip([0, *cuts], [*cuts, len(codes)], strict=True)]
    escaped = ["".join(f"\\u{code:04x}" for code in part) for part in parts]
    # After a start that no piece can repeat.
    events = [
        f'data: {{"choices": [{{"index": 0, "delta": {{"content": "{each}"}}}}]}}\n\n'
        for each in ["\\u0001\\u0002", *escaped]
    ]
    came, choices, _ = read([each.encode() for each in (*events, "data: [DONE]\n\n")])
    assert came == of_response(choices) == {(0, "content"): "\x01\x02" + text}
