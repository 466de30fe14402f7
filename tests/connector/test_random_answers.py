"""Whatever bytes a provider sends, a call ends with a response or with a ConnectorError, and with one report.

The mutations are random but the same in every run. No server here: thousands of answers go through httpx2's own
transport for tests.
"""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from connector import CallReport, Client, Configuration, ConnectorError, text_of
from tests.connector.conftest import REQUEST, all_that_shows
from tests.provider.answers import chunk, completion, error, usage

KEY = "0123456789abcdef0123456789abcdef"
SEEDS = pytest.mark.parametrize(("seed", "rounds"), [(0, 60), pytest.param(1, 2_000, marks=pytest.mark.soak)])
JUNK: list[Any] = [
    None,
    True,
    0,
    -1,
    2**70,
    1e308,
    float("nan"),
    "",
    "x",
    KEY,
    "\ud800",
    [],
    [None],
    ["x", 1],
    {},
    {"a": 1},
    {"_fields_set": 1},
    {"message": KEY},
    {"error": {"message": KEY}},
]
CALLS = [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
WHOLE = completion("Hello", "Other")
EVENTS = [
    chunk(choices=[], prompt_filter_results=[{"prompt_index": 0}]),
    chunk("Hel", role="assistant"),
    chunk(choices=[{"index": 1, "delta": {"tool_calls": CALLS, "reasoning": "Hm"}, "logprobs": {"content": [{}]}}]),
    chunk("lo", finish_reason="stop"),
    chunk(index=1, finish_reason="tool_calls"),
    chunk(choices=[], usage=usage(3, "Hello")),
]
REFUSED = error("Boom.", code="content_filter", param="messages")
REFUSED["error"]["innererror"] = {"content_filter_result": {"hate": {"filtered": True, "severity": "high"}}}


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with every key or index in it, however deep."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield node, key
        yield from places(node[key])


def bent(dice: random.Random, document: Any) -> Any:
    """A copy with one to three values replaced, removed, or added under a name that means something elsewhere."""
    document = json.loads(json.dumps(document))
    for _ in range(dice.randint(1, 3)):
        found = list(places(document))
        if not found:
            break
        container, key = dice.choice(found)
        junk = copy.deepcopy(dice.choice(JUNK))
        if dice.random() < 0.2 and isinstance(container, dict):
            del container[key]
        elif dice.random() < 0.2 and isinstance(container, dict):
            container[dice.choice(["_fields_set", "error", "message", "usage", "self", "index"])] = junk
        else:
            container[key] = junk
    return document


def garbled(dice: random.Random, data: bytes) -> bytes:
    """The same bytes with some flipped, cut out, doubled or put in."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(changed) + 1)
        span = dice.randint(1, 20)
        match dice.randrange(4):
            case 0:
                changed[at : at + 1] = dice.randbytes(1)
            case 1:
                del changed[at : at + span]
            case 2:
                changed[at:at] = changed[at : at + span]
            case _:
                changed[at:at] = dice.choice(
                    [b"\n", b"\r\n", b"\n\n", b"\xff", b"\x00", b"data:", b"data: [DONE]", b"{", b"]"]
                )
    return bytes(changed)


def in_pieces(dice: random.Random, data: bytes) -> list[bytes]:
    cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randint(0, 5)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def outcome(status: int, content_type: str, pieces: list[bytes]) -> None:
    """Make a whole call and a streamed one that get these bytes."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": content_type, "x-request-id": KEY}
        return httpx2.Response(status, headers=headers, stream=Pieces(pieces))

    reports: list[CallReport] = []
    configuration = Configuration(
        display_name="Mine",
        api_type="OpenAI",  # type: ignore[arg-type]
        endpoint="https://example.com/v1",
        api_key=KEY,
        model_default="gpt-test",
    )
    with httpx2.Client(transport=httpx2.MockTransport(answer)) as http_client:
        client = Client(configuration, http_client=http_client, on_call=reports.append, max_retries=0)
        shown, streams = [], []
        try:
            assert isinstance(text_of(client.call_api(REQUEST)), str)
        except ConnectorError as failure:
            shown.append(all_that_shows(failure))
        assert len(reports) == 1
        try:
            streams.append(client.stream(REQUEST))
            for index, kind, text in streams[0].deltas():
                assert isinstance(index, int)
                assert isinstance(text, str)
                assert kind in ("content", "reasoning", "refusal", "tool_call")
        except ConnectorError as failure:
            shown.append(all_that_shows(failure))
        assert len(reports) == 2
        assert all(isinstance(text_of(stream.response), str) for stream in streams)
        assert KEY not in "".join(shown)
    for report in reports:
        assert report.duration >= 0
        assert report.usage_source
        assert report.request_id is None or KEY not in report.request_id


class Pieces(httpx2.SyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.pieces)


def event_stream(events: list[Any]) -> bytes:
    return b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events) + b"data: [DONE]\n\n"


@SEEDS
def test_bent_chunks_end_in_a_response_or_a_connector_error(seed: int, rounds: int) -> None:
    dice = random.Random(seed)
    for _ in range(rounds):
        outcome(200, "text/event-stream", in_pieces(dice, event_stream(bent(dice, EVENTS))))


@SEEDS
def test_garbled_streams_end_in_a_response_or_a_connector_error(seed: int, rounds: int) -> None:
    dice = random.Random(seed)
    for _ in range(rounds):
        outcome(200, "text/event-stream", in_pieces(dice, garbled(dice, event_stream(EVENTS))))


@SEEDS
def test_random_bytes_end_in_a_connector_error(seed: int, rounds: int) -> None:
    dice = random.Random(seed)
    for _ in range(rounds):
        kind = dice.choice(["text/event-stream", "application/json", "text/html", ""])
        outcome(dice.choice([200, 200, 201, 302, 400, 429, 500]), kind, [dice.randbytes(dice.randrange(200))])


@SEEDS
def test_bent_answers_end_in_a_response_or_a_connector_error(seed: int, rounds: int) -> None:
    dice = random.Random(seed)
    for _ in range(rounds):
        outcome(200, "application/json", [json.dumps(bent(dice, WHOLE)).encode()])


@SEEDS
def test_bent_refusals_end_in_a_connector_error(seed: int, rounds: int) -> None:
    dice = random.Random(seed)
    for _ in range(rounds):
        status = dice.choice([200, 302, 400, 401, 403, 404, 418, 422, 429, 500, 503])
        outcome(status, "application/json", [json.dumps(bent(dice, REFUSED)).encode()])
