"""Streams as gateways and small servers really send them: no text is lost, none is doubled."""

import json
import threading
from typing import Any

import pytest

from connector import (
    AnswerInterrupted,
    CallReport,
    CallStatus,
    Client,
    Message,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    UnreadableAnswer,
    text_of,
)
from tests.connector.conftest import REQUEST
from tests.provider.answers import chunk, completion, usage
from tests.provider.server import Chunks, ProviderServer, Reply

LAST = chunk(finish_reason="stop")


def delta(*, finish_reason: str | None = None, message: Any = None, **fields: Any) -> dict[str, Any]:
    """A chunk whose delta has these fields, and whose choice has a message where one is given."""
    choice: dict[str, Any] = {"index": 0, "delta": fields, "finish_reason": finish_reason}
    return chunk(choices=[choice if message is None else {**choice, "message": message}])


def told(client: Client, *kinds: str) -> tuple[list[str], Any]:
    """The joined text of each kind that the stream returns, and the message of its response."""
    stream = client.stream(REQUEST)
    pieces = list(stream.deltas())
    message = stream.response.choices[0].message
    return ["".join(text for _, kind, text in pieces if kind == wanted) for wanted in kinds], message


# -- characters


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([r"\ud83d", r"\ude00"], "😀"),
        (["Hi ", r"a\ud83d", r"\ude00b", "!"], "Hi a😀b!"),
        ([r"\ud83d", "", r"\ude00\ud83d", r"\ude01"], "😀😁"),
        ([r"\ud83d", "x"], "\ufffdx"),
        ([r"x\ude00"], "x\ufffd"),
        (["x", r"\ud83d"], "x\ufffd"),
        ([r"\ud83d\ud83d", r"\ude00"], "\ufffd😀"),
    ],
)
@pytest.mark.parametrize("name", ["content", "reasoning_content"])
def test_halves_of_a_character_are_joined_and_a_lone_half_is_replaced(
    server: ProviderServer, client: Client, pieces: list[str], text: str, name: str
) -> None:
    events = [f'data: {{"choices": [{{"index": 0, "delta": {{"{name}": "{piece}"}}}}]}}\n\n' for piece in pieces]
    server.next(Chunks([*events, LAST]))
    shown, message = told(client, "content", "reasoning")
    assert "".join(shown) == getattr(message, name) == text


def test_a_complete_answer_with_half_a_character_is_an_answer(server: ProviderServer, client: Client) -> None:
    whole = json.dumps(completion("AB😀CD")).replace("AB\\ud83d\\ude00CD", r"AB\ud83dCD")
    server.next(Reply(200, whole), Reply(200, whole))
    assert client.execute_without_history("Hi") == "AB\ufffdCD"
    assert "".join(client.stream(REQUEST)) == "AB\ufffdCD"


@pytest.mark.parametrize(("sent", "text"), [(b"a\xffb", "a\ufffdb"), (b"a\nb", "a\nb"), (b"a\x00b", "a\x00b")])
def test_bytes_that_json_does_not_allow_are_replaced_or_kept(
    server: ProviderServer, client: Client, sent: bytes, text: str
) -> None:
    start = b'{"choices": [{"index": 0, "message": {"content": "'
    server.next(Reply(200, start + sent + b'"}, "finish_reason": "stop"}]}'))
    assert client.execute_without_history("Hi") == text


# -- the same text twice


@pytest.mark.parametrize("names", [("reasoning", "reasoning_content"), ("reasoning_content", "reasoning")])
def test_reasoning_in_two_fields_is_returned_once(
    server: ProviderServer, client: Client, names: tuple[str, str]
) -> None:
    both = [delta(**dict.fromkeys(names, text)) for text in ("Let ", "me see.")]
    server.next(Chunks([delta(**{names[0]: "Hm. "}), *both, chunk("Hi"), LAST]))
    shown, message = told(client, "reasoning", "content")
    assert shown == ["Hm. Let me see.", "Hi"]
    assert getattr(message, names[0]) == "Hm. Let me see."


WHOLE = {"role": "assistant", "content": "Hello there", "reasoning": "Hm", "refusal": None}


@pytest.mark.parametrize(
    "last",
    [
        delta(message=WHOLE, finish_reason="stop"),
        delta(message=WHOLE),
        chunk(choices=[{"index": 0, "message": WHOLE, "finish_reason": "stop"}]),
        chunk(choices=[{"index": 0, "delta": None, "message": WHOLE, "finish_reason": None}]),
        delta(message={**WHOLE, "reasoning": None, "reasoning_content": "Hm"}, finish_reason="stop"),
        delta(message={"content": "Hello there\n".strip()}, finish_reason="stop"),
        delta(message={"content": [{"type": "text", "text": "Hello there"}]}, finish_reason="stop"),
        delta(content="Hello there", finish_reason="stop"),
    ],
    ids=range(8),
)
def test_an_answer_that_is_repeated_at_the_end_is_not_doubled(
    server: ProviderServer, client: Client, last: dict[str, Any]
) -> None:
    server.next(Chunks([delta(reasoning="H"), delta(reasoning="m"), chunk("Hel"), chunk("lo "), chunk("there"), last]))
    shown, message = told(client, "reasoning", "content")
    assert shown == ["Hm", "Hello there"]
    assert (message.content, message.reasoning) == ("Hello there", "Hm")


def test_what_a_last_message_has_more_than_the_deltas_is_kept(server: ProviderServer, client: Client) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"content": "Hello there", "tool_calls": [call], "annotations": [{"type": "url_citation"}]}
    server.next(Chunks([chunk("Hel"), chunk("lo"), delta(message=message, finish_reason="stop")]))
    shown, message = told(client, "content", "tool_call")
    assert shown == ["Hello there", "{}"]
    assert [each.id for each in message.tool_calls] == ["c1"]
    assert message.to_dict()["annotations"] == [{"type": "url_citation"}]


@pytest.mark.parametrize("role", ["delta", "message"])
@pytest.mark.parametrize(
    "text", ["Hello there, how are you?", "I", "Ünd 👍", "1, 10, 100", "\n\nHello", "Hahaha, haha!"]
)
@pytest.mark.parametrize("name", ["content", "reasoning"])
def test_a_stream_that_sends_the_whole_text_each_time_is_read(
    server: ProviderServer, client: Client, text: str, name: str, role: str
) -> None:
    steps = [text[:end] for end in range(1, len(text), 2)]
    choices = [{"index": 0, role: {name: step}, "finish_reason": None} for step in steps]
    last = {"index": 0, role: {name: text}, "finish_reason": "stop"}
    server.next(Chunks([chunk(choices=[choice]) for choice in (*choices, last)]))
    shown, message = told(client, "content", "reasoning")
    assert "".join(shown) == getattr(message, name) == text


@pytest.mark.parametrize(
    "pieces",
    [
        ["ha", "ha", "ha"],
        ["ha", "haha", "ha"],
        ["no", " no", " no no", " no no no"],
        ["1", "10", "\n", "100"],
        ["I", "It", " is"],
        ["-", "--", "-", "---"],
        ["line\n", "line\n", "line\n"],
        ["a", "b", "ab", "ab"],
        ["\n", "\n\n", "x"],
        ["-", "--", "---", " a b", " a", " b"],
        ["1", "10", "100", "0", "1"],
        ["0", "00", "000", "1", " 0", "0"],
        ["   ", "    x"],
        ["word "] * 9,
    ],
)
def test_pieces_that_resemble_earlier_ones_are_all_kept(
    server: ProviderServer, client: Client, pieces: list[str]
) -> None:
    server.next(Chunks([*map(chunk, pieces), LAST]))
    shown, message = told(client, "content")
    assert shown == [message.content] == ["".join(pieces)]


def test_a_word_that_is_repeated_is_returned_while_the_stream_goes_on(server: ProviderServer, client: Client) -> None:
    gate = threading.Event()
    server.next(Chunks([*[chunk("word ")] * 5, gate, LAST]))
    pieces = iter(client.stream(REQUEST))
    came = ""
    while came != "word " * 5:
        came += next(pieces)
    gate.set()
    assert list(pieces) == []


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["Hi", "Hi you", "Hi you", "Hi you all"], "Hi you all"),
        (["Hello", "Hello", "Hello you"], "Hello you"),
        (["Hello ", "there ", "all", "Hello there all"], "Hello there all"),
        (["Once ", "upon a ", "time", "Once upon a time", "Once upon a time"], "Once upon a time"),
    ],
)
def test_a_whole_text_that_is_repeated_is_not_doubled(
    server: ProviderServer, client: Client, pieces: list[str], text: str
) -> None:
    server.next(Chunks([*map(chunk, pieces), LAST]))
    shown, message = told(client, "content")
    assert shown == [message.content] == [text]


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk("<think>\nhm"), chunk("</think>\n\nHi"), delta(message={"content": "Hi", "reasoning_content": "hm"})],
        [
            delta(reasoning_content="h"),
            delta(reasoning_content="m "),
            chunk("Hi"),
            delta(message={"content": "Hi", "reasoning": "hm"}),
        ],
        [
            delta(reasoning="h"),
            delta(reasoning_content="h"),
            delta(reasoning="m"),
            delta(reasoning_content="m"),
            chunk("Hi"),
        ],
    ],
    ids=range(3),
)
def test_reasoning_that_is_sent_again_elsewhere_is_returned_once(
    server: ProviderServer, client: Client, chunks: list[Any]
) -> None:
    server.next(Chunks([*chunks, LAST]))
    (reasoning, content), message = told(client, "reasoning", "content")
    assert (reasoning.strip(), content, message.content) == ("hm", "Hi", "Hi")


def test_a_second_block_of_reasoning_is_text_in_the_pieces_and_in_the_response(
    server: ProviderServer, client: Client
) -> None:
    server.next(Chunks([chunk("<think>a</think>\n\n<think>b</think>Hi"), LAST]))
    shown, message = told(client, "reasoning", "content")
    assert shown == [message.reasoning_content, message.content] == ["a", "<think>b</think>Hi"]


@pytest.mark.parametrize("content", [{"type": "text", "text": "Hello"}, ["Hel", "lo"], [{"text": "Hel"}, "lo"]])
def test_content_of_another_form_is_read(server: ProviderServer, client: Client, content: Any) -> None:
    choices = [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]
    server.next(Reply(200, completion("x", choices=choices)), Chunks([delta(content=content), LAST]))
    assert client.execute_without_history("Hi") == "Hello"
    assert "".join(client.stream(REQUEST)) == "Hello"


def test_messages_in_pieces_after_a_delta_without_text_are_all_read(server: ProviderServer, client: Client) -> None:
    pieces = [chunk(choices=[{"index": 0, "message": {"content": each}}]) for each in ("Hel", "lo ", "you")]
    server.next(Chunks([delta(role="assistant", content=""), *pieces, LAST]))
    assert "".join(client.stream(REQUEST)) == "Hello you"


# -- tool calls


def calls_of(message: Any) -> list[tuple[str, str]]:
    return [(each.function.name, each.function.arguments) for each in message.tool_calls or []]


def piece(**call: Any) -> dict[str, Any]:
    return delta(tool_calls=[call])


F, G = ({"name": name, "arguments": f'{{"{name}": 1}}'} for name in "fg")


@pytest.mark.parametrize(
    "chunks",
    [
        [piece(index=0, id="", function=F), piece(index=0, id="", function=G)],
        [piece(index=0, function=F), piece(index=0, function=G)],
        [piece(function=F), piece(function=G)],
        [delta(tool_calls=[{"index": 0, "function": F}, {"index": 0, "function": G}])],
        [delta(tool_calls=[{"function": F}, {"function": G}], content=None)],
        [piece(index="0", id="", function=F), piece(index="1", id="", function=G)],
        [
            piece(index=0, id="", function={"name": "f", "arguments": ""}),
            piece(index=0, id="", function={"name": "", "arguments": '{"f"'}),
            piece(index=0, id="", function={"arguments": ": 1}"}),
            piece(index=0, id="", function={"name": "g", "arguments": ""}),
            piece(index=0, id="", function={"arguments": '{"g": 1}'}),
        ],
        [
            piece(index=0, id="", function={"name": "f", "arguments": {"f": 1}}),
            piece(index=0, id="", function={"name": "g", "arguments": {"g": 1}}),
        ],
    ],
    ids=range(8),
)
def test_parallel_calls_without_ids_and_numbers_are_separated(
    server: ProviderServer, client: Client, chunks: list[Any]
) -> None:
    server.next(Chunks([*chunks, chunk(finish_reason="tool_calls")]))
    (arguments,), message = told(client, "tool_call")
    assert calls_of(message) == [("f", '{"f": 1}'), ("g", '{"g": 1}')]
    assert arguments == '{"f": 1}{"g": 1}'
    assert [each.id for each in message.tool_calls] == ["call_1", "call_2"]


def test_two_equal_functions_with_other_arguments_are_two_calls(server: ProviderServer, client: Client) -> None:
    cities = [{"name": "f", "arguments": f'{{"city": "{city}"}}'} for city in ("Köln", "Bonn")]
    server.next(Chunks([*(piece(index=0, id="", function=each) for each in cities), chunk(finish_reason="tool_calls")]))
    _, message = told(client)
    assert [arguments for _, arguments in calls_of(message)] == ['{"city": "Köln"}', '{"city": "Bonn"}']


def test_a_name_in_pieces_or_in_each_piece_is_one_name(server: ProviderServer, client: Client) -> None:
    for names in (["get_", "weather", ""], ["get_weather"] * 3, ["get_", "get_we", "get_weather"]):
        texts = ["", "", "{}"]
        parts = [piece(index=0, function={"name": n, "arguments": t}) for n, t in zip(names, texts, strict=True)]
        server.next(Chunks([*parts, chunk(finish_reason="tool_calls")]))
        _, message = told(client)
        assert calls_of(message) == [("get_weather", "{}")]


def test_two_equal_calls_in_one_delta_are_two(server: ProviderServer, client: Client) -> None:
    server.next(Chunks([delta(tool_calls=[{"function": F}, {"function": F}]), chunk(finish_reason="tool_calls")]))
    _, message = told(client)
    assert calls_of(message) == [("f", '{"f": 1}')] * 2


NONE = {"name": "f", "arguments": "{}"}
OTHER = {"name": "g", "arguments": "{}"}


@pytest.mark.parametrize(
    ("chunks", "calls"),
    [
        ([piece(index=0, function=NONE), piece(index=0, function=NONE)], "ff"),
        ([piece(function=NONE), piece(function=NONE)], "ff"),
        ([piece(index=0, id="", function={**NONE, "arguments": {}})] * 2, "ff"),
        ([piece(index=0, function=NONE), piece(index=0, function=OTHER)], "fg"),
        ([piece(function={**NONE, "arguments": {}}), piece(function={**OTHER, "arguments": {}})], "fg"),
        ([piece(index=0, id="c", function=NONE), piece(index=0, id="c", function=OTHER)], "fg"),
        ([piece(index=0, id="c", function=NONE), piece(index=1, id="c", function=OTHER)], "fg"),
        ([delta(tool_calls=[{"id": "c", "function": NONE}, {"id": "c", "function": OTHER}])], "fg"),
        ([piece(index=0, function=NONE), piece(index=0, id="c", type="function", function=OTHER)], "fg"),
        ([piece(index=0, id="c", function=NONE)] * 2, "f"),
    ],
    ids=range(10),
)
def test_calls_without_arguments_or_with_one_id_are_separated(
    server: ProviderServer, client: Client, chunks: list[Any], calls: str
) -> None:
    server.next(Chunks([*chunks, chunk(finish_reason="tool_calls")]))
    _, message = told(client)
    assert calls_of(message) == [(name, "{}") for name in calls]
    assert len({each.id for each in message.tool_calls}) == len(calls)


def test_the_next_call_of_a_function_begins_where_the_arguments_of_the_last_were_complete(
    server: ProviderServer, client: Client
) -> None:
    parts = [{"name": "f", "arguments": ""}, {"arguments": '{"f"'}, {"arguments": ": 1}"}]
    more = [{"name": "f", "arguments": ""}, {"arguments": '{"f"'}, {"arguments": ": 2}"}]
    server.next(Chunks([*(piece(index=0, function=each) for each in parts + more), LAST]))
    _, message = told(client)
    assert calls_of(message) == [("f", '{"f": 1}'), ("f", '{"f": 2}')]


def test_calls_with_one_id_in_a_whole_answer_get_ids_of_their_own(server: ProviderServer, client: Client) -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": each} for each in (F, G)]}
    choices = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]
    server.next(Reply(200, completion("x", choices=choices)))
    calls = client.call_api(REQUEST).choices[0].message.tool_calls
    assert [each.id for each in calls or []] == ["c", "call_1"]


@pytest.mark.parametrize(
    ("received", "whole"),
    [
        ('{"f": 1}', [{"id": "c1", "type": "function", "function": F}, {"id": "c2", "function": G}]),
        ('{"f"', [{"id": "c1", "type": "function", "function": F}, {"id": "c2", "function": G}]),
        ('{"f": 1}', [{"id": "x1", "function": {**F, "arguments": '{"f":1}'}}, {"id": "x2", "function": G}]),
        ('{"f":', [{"id": "x1", "function": F}, {"id": "x2", "function": G}]),
        ('{"f": 1}', [{"function": {"name": name, "arguments": {name: 1}}} for name in "fg"]),
        ('{"f": 1}', [{"index": 1, "id": "c2", "function": G}]),
    ],
    ids=range(6),
)
def test_a_call_that_only_the_whole_message_at_the_end_has_is_kept(
    server: ProviderServer, client: Client, received: str, whole: list[Any]
) -> None:
    first = piece(index=0, id="c1", function={"name": "f", "arguments": received})
    last = delta(message={"role": "assistant", "content": None, "tool_calls": whole}, finish_reason="tool_calls")
    server.next(Chunks([first, last]))
    (arguments,), message = told(client, "tool_call")
    assert [name for name, _ in calls_of(message)] == ["f", "g"]
    assert [json.loads(text) for _, text in calls_of(message)] == [{"f": 1}, {"g": 1}]
    assert arguments == "".join(text for _, text in calls_of(message))


@pytest.mark.parametrize("first", ["{}", {}])
def test_an_empty_object_before_the_arguments_is_a_placeholder(
    server: ProviderServer, client: Client, first: Any
) -> None:
    parts = [piece(index=0, id="c1", function={"name": "f", "arguments": first})]
    parts += [piece(index=0, function={"arguments": text}) for text in ('{"ci', 'ty": 1}')]
    server.next(Chunks([*parts, LAST]))
    (arguments,), message = told(client, "tool_call")
    assert calls_of(message) == [("f", '{"city": 1}')] == [("f", arguments)]


def test_a_new_id_without_a_name_continues_the_call(server: ProviderServer, client: Client) -> None:
    parts = [piece(index=0, id="a-1", function={"name": "f", "arguments": ""})]
    parts += [
        piece(index=0, id=f"a-{n}", function={"arguments": text}) for n, text in enumerate(('{"ci', 'ty": 1}'), 2)
    ]
    server.next(Chunks([*parts, LAST]))
    _, message = told(client)
    assert calls_of(message) == [("f", '{"city": 1}')]


def test_a_call_that_is_repeated_at_the_end_is_not_doubled(server: ProviderServer, client: Client) -> None:
    whole = piece(index=0, id="c1", type="function", function={"name": "f", "arguments": '{"f": 1}'})
    server.next(
        Chunks(
            [
                piece(index=0, id="c1", function={"name": "f", "arguments": '{"f"'}),
                *[piece(index=0, function={"arguments": ": 1}"}), whole, LAST],
            ]
        )
    )
    (arguments,), message = told(client, "tool_call")
    assert arguments == '{"f": 1}'
    assert calls_of(message) == [("f", '{"f": 1}')]


def test_arguments_that_are_an_object_become_a_text(server: ProviderServer, client: Client) -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": {"city": "Köln", "n": [1]}}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    body = completion("x", choices=[{"index": 0, "message": message, "finish_reason": "tool_calls"}])
    server.next(Reply(200, body), Reply(200, body))
    whole = client.call_api(REQUEST).choices[0].message
    (arguments,), streamed = told(client, "tool_call")
    assert calls_of(whole) == calls_of(streamed) == [("f", '{"city": "Köln", "n": [1]}')] == [("f", arguments)]
    assert [each.id for each in whole.tool_calls or []] == ["call_1"]


@pytest.mark.parametrize("place", ["call", "function"])
def test_unknown_fields_of_a_call_are_sent_back(server: ProviderServer, client: Client, place: str) -> None:
    more: dict[str, Any] = {"extra_content": {"google": {"thought_signature": "AbC="}}}
    function = {"name": "f", "arguments": "{}", **(more if place == "function" else {})}
    call = {"id": "c1", "type": "function", "function": function, **(more if place == "call" else {})}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    body = completion("x", choices=[{"index": 0, "message": message, "finish_reason": "tool_calls"}])
    server.next(Reply(200, body), Chunks([piece(index=0, **call), LAST]))
    whole = client.call_api(REQUEST).choices[0].message
    _, streamed = told(client)
    assert [Message.of_answer(each).body()["tool_calls"] for each in (whole, streamed)] == [[call], [call]]


# -- other events


@pytest.mark.parametrize(
    "other",
    [
        'event: tool.progress\ndata: {"tool": "terminal", "status": "running", "id": "x", "model": "y"}\n\n',
        'event: ping\ndata: {"message": "still thinking"}\n\n',
        "event: ping\ndata: 12\n\n",
        "event: heartbeat\ndata: not json\n\n",
        'data: {"type": "status", "message": "Searching the web"}\n\n',
        'data: {"message": "keep-alive"}\n\n',
        'data: {"detail": "queued"}\n\n',
        'event: status\ndata: {"detail": [{"msg": "queued"}]}\n\n',
        'event: tool.progress\ndata: {"tool": "ls", "error": "no such file", "status": "failed"}\n\n',
        'data: {"error": null, "message": ""}\n\n',
    ],
)
def test_an_event_of_the_server_s_own_is_no_part_of_the_answer(
    server: ProviderServer, client: Client, reports: list[CallReport], other: str
) -> None:
    server.next(Chunks([other, chunk("Hel"), other, chunk("lo"), LAST, other]))
    stream = client.stream(REQUEST)
    assert "".join(stream) == text_of(stream.response) == "Hello"
    assert (stream.response.id, stream.response.model) == ("chatcmpl-test", "gpt-test")
    assert (reports[0].status, reports[0].skipped_events) == (CallStatus.DONE, 0)


def two_in_one(*texts: str) -> str:
    return "data: " + "".join(json.dumps(chunk(text)) for text in texts) + "\n\n"


@pytest.mark.parametrize(
    "event",
    [
        two_in_one("Hel", "lo"),
        f"data: data: {json.dumps(chunk('Hello'))}\n\n",
        f"data: {json.dumps(chunk(choices={'index': 0, 'delta': {'content': 'Hello'}}))}\n\n",
    ],
    ids=["two in one", "wrapped twice", "a choice instead of a list"],
)
def test_a_chunk_in_an_odd_wrapping_is_read(
    server: ProviderServer, client: Client, reports: list[CallReport], event: str
) -> None:
    server.next(Chunks([event, LAST]))
    assert "".join(client.stream(REQUEST)) == "Hello"
    assert reports[0].skipped_events == 0


def test_a_status_of_its_own_beside_no_choices_is_an_error(server: ProviderServer, client: Client) -> None:
    failed = {"id": "x", "choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}
    server.next(Chunks([failed]), Reply(200, failed))
    for ask in (lambda: list(client.stream(REQUEST)), lambda: client.call_api(REQUEST)):
        with pytest.raises(QuotaExceeded, match="insufficient balance"):
            ask()


def test_a_status_of_its_own_that_is_fine_is_no_error(server: ProviderServer, client: Client) -> None:
    fine: Any = {"base_resp": {"status_code": 0, "status_msg": ""}}
    server.next(Chunks([chunk("Hello", **fine), chunk(choices=[], usage=COUNTS, **fine), LAST]))
    assert "".join(client.stream(REQUEST)) == "Hello"


@pytest.mark.parametrize("name", ["code", "status", "status_code", "statusCode"])
@pytest.mark.parametrize("place", ["error", "bare"])
def test_the_status_of_an_error_inside_a_stream_is_read(
    server: ProviderServer, client: Client, name: str, place: str
) -> None:
    said = {"message": "Slow down", "type": "too_many_requests_error", name: 429}
    server.next(Chunks([{"error": said} if place == "error" else said]))
    with pytest.raises(RateLimited) as caught:
        list(client.stream(REQUEST))
    assert caught.value.status == 429


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize(
    ("event", "words"),
    [
        ('data: {"detail": "The worker died."}\n\n', "The worker died."),
        ('data: {"detail": [{"loc": ["body"], "msg": "The worker died."}]}\n\n', "reports a server error"),
        ('data: {"message": "The worker died."}\n\n', "The worker died."),
        ('data: {"object": "error", "message": "The worker died.", "code": 500}\n\n', "The worker died."),
        ('event: error\ndata: {"message": "The worker died."}\n\n', "The worker died."),
        ('data: {"type": "error", "error": {"message": "The worker died."}}\n\n', "The worker died."),
        ('data: {"error": true, "message": "The worker died."}\n\n', "The worker died."),
        ('data: {"error": "Bad Gateway", "message": "The worker died."}\n\n', "The worker died."),
        ("event: error\ndata: The worker died.\n\n", "The worker died."),
        ('event: error\ndata: {"choices": [], "message": "The worker died."}\n\n', "The worker died."),
        (r'data: {"error": {"message": "The worker died. \ud83d"}}' + "\n\n", "The worker died."),
    ],
)
def test_an_error_inside_a_stream_is_reported_in_any_form(
    server: ProviderServer, client: Client, reports: list[CallReport], event: str, words: str, begun: bool
) -> None:
    server.next(Chunks([chunk("Hel"), event] if begun else [event]))
    stream = client.stream(REQUEST)
    with pytest.raises(ProviderUnavailable, match=words):
        list(stream)
    assert text_of(stream.response) == ("Hel" if begun else "")
    assert reports[0].status is (CallStatus.INTERRUPTED if begun else CallStatus.FAILED)


def test_an_error_inside_a_choice_is_an_error(server: ProviderServer, client: Client) -> None:
    died = {"code": 502, "message": "The worker died."}
    cut: dict[str, Any] = {"index": 0, "finish_reason": "error", "error": died}
    server.next(Chunks([chunk("Hel"), chunk(choices=[{**cut, "delta": {"content": "lo"}}])]))
    stream = client.stream(REQUEST)
    with pytest.raises(ProviderUnavailable, match="The worker died"):
        list(stream)
    assert text_of(stream.response) == "Hello"
    server.next(Reply(200, completion("x", choices=[{**cut, "message": {"content": ""}}])))
    with pytest.raises(ProviderUnavailable, match="The worker died"):
        client.call_api(REQUEST)


def test_a_chunk_with_text_and_an_error_loses_no_text(server: ProviderServer, client: Client) -> None:
    server.next(Chunks([chunk("Hel"), {**chunk("lo"), "error": {"message": "Boom."}}]))
    stream, got = client.stream(REQUEST), list[str]()
    with pytest.raises(ProviderUnavailable, match="Boom"):
        got.extend(stream)
    assert text_of(stream.response) == "Hello"


# -- forms of the body


def lines(*chunks: Any) -> str:
    return "".join(f"data: {json.dumps(each)}\n\n" for each in chunks) + "data: [DONE]\n\n"


STREAM = lines(chunk("Hel", role="assistant"), chunk("lo"), LAST)
OBJECT = json.dumps(completion("Hello"))
BODIES = {
    "a stream": STREAM,
    "a stream after blank lines": "\n\n" + STREAM,
    "a stream after a comment": ": processing\n\n" + STREAM,
    "a stream after a byte order mark": "\ufeff" + STREAM,
    "a stream of one complete answer": lines(completion("Hello")),
    "a stream without blank lines": STREAM.replace("\n\n", "\n"),
    "a stream without its last line end": STREAM.rstrip(),
    "lines of JSON": "\n".join(json.dumps(each) for each in (chunk("Hel"), chunk("lo"), LAST)),
    "JSON": OBJECT,
    "JSON after blanks and a byte order mark": "\ufeff  \n" + OBJECT,
    "JSON and a final mark": OBJECT + "\n\ndata: [DONE]\n\n",
    "JSON and a bare mark": OBJECT + "[DONE]",
    "one chunk": json.dumps(chunk("Hello", finish_reason="stop")),
    "one chunk in lines": json.dumps(chunk("Hello", finish_reason="stop"), indent=2),
    "a list of one answer": f"[{OBJECT}]",
    "a stream with a quoted mark": STREAM.replace("[DONE]", '"[DONE]"'),
}


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", "text/plain; charset=utf-8", ""])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_an_answer_is_read_whatever_its_content_type_says_and_whatever_was_requested(
    server: ProviderServer, client: Client, reports: list[CallReport], body: str, content_type: str
) -> None:
    server.next(*[Reply(200, body, content_type=content_type)] * 2)
    assert text_of(client.call_api(REQUEST)) == "Hello"
    assert "".join(client.stream(REQUEST)) == "Hello"
    assert [each.status for each in reports] == [CallStatus.DONE] * 2
    assert reports[0].time_to_first_token is None


@pytest.mark.parametrize("body", [lines(chunk("Hel"))[: -len("data: [DONE]\n\n")], lines()[:0], "data: {}\n\n"])
def test_a_cut_stream_is_no_answer_where_none_was_requested(
    server: ProviderServer, client: Client, reports: list[CallReport], body: str
) -> None:
    server.next(Reply(200, body))
    with pytest.raises((AnswerInterrupted, UnreadableAnswer)):
        client.call_api(REQUEST)
    assert text_of(reports[0].response) == "Hel" if "Hel" in body and reports[0].response else True


def test_the_last_event_needs_no_blank_line(server: ProviderServer, client: Client) -> None:
    for end in ("", "\n", "\r\n"):
        event = f"data: {json.dumps(chunk('lo', finish_reason='stop'))}{end}"
        server.next(Chunks([chunk("Hel"), event], done=False))
        assert "".join(client.stream(REQUEST)) == "Hello"


def test_a_large_event_may_arrive_in_small_pieces(server: ProviderServer, client: Client) -> None:
    event = f"data: {json.dumps(chunk('x' * 300_000, finish_reason='stop'))}\n\n".encode()
    server.next(Chunks([event[at : at + 1000] for at in range(0, len(event), 1000)]))
    assert "".join(client.stream(REQUEST)) == "x" * 300_000


# -- usage


COUNTS = usage(3, "one two")


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop", "usage": COUNTS}])],
        [chunk(choices=[{"index": 0, "delta": {"content": ""}, "usage": COUNTS}]), LAST],
        [{**LAST, "x_groq": {"id": "req", "usage": COUNTS}}],
        [LAST, f"event: usage\ndata: {json.dumps({'usage': COUNTS})}\n\n"],
        [LAST, f"event: token_usage\ndata: {json.dumps({'input_tokens': 3, 'output_tokens': 2})}\n\n"],
        [LAST, f"event: usage\ndata: {json.dumps({'type': 'usage', **COUNTS})}\n\n"],
        [{**LAST, "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}}],
        [chunk("", usage={"input_tokens": 3, "output_tokens": 0}), {**LAST, "usage": {"output_tokens": 2}}],
        [
            {**chunk(""), "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}},
            {**LAST, "usage": COUNTS},
        ],
        [{**LAST, "usage": COUNTS}, chunk(choices=[], usage={"prompt_tokens": 0, "completion_tokens": 0})],
        [
            chunk("", usage={"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}),
            {**LAST, "usage": {"completion_tokens": 2}},
        ],
    ],
    ids=range(11),
)
def test_token_counts_are_found_in_unusual_places(
    server: ProviderServer, client: Client, reports: list[CallReport], chunks: list[Any]
) -> None:
    server.next(Chunks([chunk("Hello"), *chunks]))
    list(client.stream(REQUEST))
    assert reports[0].usage is not None
    assert (reports[0].usage.prompt_tokens, reports[0].usage.completion_tokens) == (3, 2)


# -- other fields in pieces


def test_fields_that_come_in_pieces_are_joined(server: ProviderServer, client: Client) -> None:
    """Thousands of pieces of audio, and of any other text, in objects and in lists."""
    letters = [chr(97 + number % 26) * 40 for number in range(2000)]
    said = [
        delta(
            audio={"id": "a1", "data": each, "expires_at": number},
            mood=each[:1],
            notes=[{"index": 0, "type": "text", "text": each}],
            marks=[number],
        )
        for number, each in enumerate(letters)
    ]
    server.next(Chunks([*said, LAST]))
    _, message = told(client)
    whole = "".join(letters)
    assert message.audio.to_dict() == {"id": "a1", "data": whole, "expires_at": 1999}
    assert message.mood == whole[::40]
    assert message.notes == [{"index": 0, "type": "text", "text": whole}]
    assert message.marks == list(range(2000))


def test_what_was_received_of_other_fields_can_be_read_while_more_comes(server: ProviderServer, client: Client) -> None:
    server.next(Chunks([delta(content="x", audio={"id": "a1", "transcript": each}) for each in "abc"] + [LAST]))
    stream = client.stream(REQUEST)
    seen = []
    for _ in stream:
        audio: Any = stream.response.choices[0].message.audio
        seen.append(audio)
    assert [audio.transcript for audio in seen] == ["a", "ab", "abc"]


# -- reasoning at the start of the text


@pytest.mark.parametrize(
    ("text", "reasoning", "content"),
    [
        ("<think>Let me see.</think>Hello", "Let me see.", "Hello"),
        ("\n<think>\nLet me\n\nsee.\n</think>\n\nHello\n", "Let me\n\nsee.\n", "Hello\n"),
        ("<think>\n\n</think>\n\nHello", "", "Hello"),
        ("<think>Never closed", "Never closed", ""),
        ("<think>a < b </thin> c</think>{}", "a < b </thin> c", "{}"),
        ("<think>One</think>Two <think>three</think>", "One", "Two <think>three</think>"),
        ("Say <think>no</think>", "", "Say <think>no</think>"),
        ("<thinking hard>", "", "<thinking hard>"),
        ("<thin", "", "<thin"),
        ("  Hello", "", "  Hello"),
    ],
)
def test_reasoning_between_think_marks_at_the_start_is_separated(
    server: ProviderServer, client: Client, text: str, reasoning: str, content: str
) -> None:
    for cut in (1, 3, len(text)):
        pieces = [text[at : at + cut] for at in range(0, len(text), cut)]
        server.next(Chunks([*map(chunk, pieces), LAST]))
        shown, message = told(client, "reasoning", "content")
        assert shown == [reasoning, content]
        assert (getattr(message, "reasoning_content", ""), message.content or "") == (reasoning, content)
    server.next(Reply(200, completion(text)))
    whole = client.call_api(REQUEST).choices[0].message
    assert (getattr(whole, "reasoning_content", ""), whole.content) == (reasoning, content)
    assert Message.of_answer(whole).body() == {"role": "assistant", "content": content}


@pytest.mark.parametrize(
    ("text", "reasoning", "content"),
    [
        ("Let me see.\n</think>\n\nHello", "Let me see.\n", "Hello"),
        ("Let me see.</think>Hello", "Let me see.", "Hello"),
        ("\n\nOne\n\nTwo\n</think>\n\nHello\n", "One\n\nTwo\n", "Hello\n"),
        ("Hm?\n```\nx = 1\n```\n</think>\n```\ny = 2\n```", "Hm?\n```\nx = 1\n```\n", "```\ny = 2\n```"),
        ("</think>\n\nHello", "", "Hello"),
        ("Let me see.\n</think>\n\n", "Let me see.\n", ""),
        ("The mark </think> ends it", "", "The mark </think> ends it"),
        ("Write `</think>`", "", "Write `</think>`"),
        ("```\nx\n</think>\n```\nDone", "", "```\nx\n</think>\n```\nDone"),
        ("One.\n</think>\nTwo.\n</think>\nThree", "", "One.\n</think>\nTwo.\n</think>\nThree"),
        ("Say <think>\nno.\n</think>\n", "", "Say <think>\nno.\n</think>\n"),
    ],
)
def test_reasoning_whose_opening_mark_is_in_the_prompt_is_separated_in_the_response(
    server: ProviderServer, client: Client, text: str, reasoning: str, content: str
) -> None:
    server.next(Chunks([*map(chunk, text), LAST]), Reply(200, completion(text)))
    _, streamed = told(client)
    whole = client.call_api(REQUEST).choices[0].message
    for message in (streamed, whole):
        assert (getattr(message, "reasoning_content", ""), message.content or "") == (reasoning, content)


def test_a_closing_mark_beside_separated_reasoning_is_text(server: ProviderServer, client: Client) -> None:
    text = "Done.\n</think>\nHello"
    whole = {"role": "assistant", "content": text, "reasoning": "Hm"}
    choices = [{"index": 0, "message": whole, "finish_reason": "stop"}]
    server.next(Chunks([delta(reasoning="Hm"), chunk(text), LAST]), Reply(200, completion("x", choices=choices)))
    _, streamed = told(client)
    assert streamed.content == client.call_api(REQUEST).choices[0].message.content == text


def test_reasoning_in_parts_of_the_content_is_separated(server: ProviderServer, client: Client) -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    parts = [thinking, {"type": "text", "text": "Hello"}]
    server.next(
        Chunks([delta(content=[thinking]), delta(content=parts[1:]), LAST]),
        Reply(
            200,
            completion(
                "x", choices=[{"index": 0, "message": {"role": "assistant", "content": parts}, "finish_reason": "stop"}]
            ),
        ),
    )
    shown, _ = told(client, "reasoning", "content")
    whole = client.call_api(REQUEST).choices[0].message
    assert shown == [getattr(whole, "reasoning_content", ""), whole.content] == ["Hm.", "Hello"]


def test_parts_of_reasoning_details_are_joined_by_their_number(server: ProviderServer, client: Client) -> None:
    def detail(index: int, text: str) -> dict[str, Any]:
        return {"type": "reasoning.text", "index": index, "text": text, "format": "x-v1"}

    server.next(
        Chunks(
            [
                delta(reasoning_details=[detail(0, "Let ")]),
                delta(reasoning_details=[detail(0, "me.")]),
                *[delta(reasoning_details=[detail(1, "Yes.")]), chunk("Hi"), LAST],
            ]
        )
    )
    _, message = told(client)
    assert message.reasoning_details == [detail(0, "Let me."), detail(1, "Yes.")]
