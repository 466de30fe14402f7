"""An answer as it is written: what comes when, what is put together, and every way in which it ends."""

import json
import threading
import zlib
from contextlib import suppress
from typing import Any

import httpx2
import pytest

from connector import (
    AnswerInterrupted,
    CallReport,
    CallStatus,
    ChatCompletionsRequest,
    Client,
    ContentFiltered,
    KeyRefused,
    NoAnswerInTime,
    ProviderUnavailable,
    RateLimited,
    UnreadableAnswer,
    UsageSource,
    pooled_http_client,
    text_of,
)
from tests.connector.conftest import PATIENCE, REQUEST, account, each_form
from tests.provider.answers import UNFILTERED, chunk, completion, error, usage
from tests.provider.server import Chunks, ProviderServer, Reply

LAST = chunk(finish_reason="stop")


def delta(index: int = 0, *, finish_reason: str | None = None, **changes: Any) -> dict[str, Any]:
    """A chunk whose delta holds what is given."""
    return chunk(choices=[{"index": index, "delta": changes, "finish_reason": finish_reason}])


def test_a_piece_is_available_before_the_provider_sends_the_next(server: ProviderServer, client: Client) -> None:
    gate = threading.Event()
    server.next(Chunks([chunk("Hel"), gate, chunk("lo"), LAST]))
    with client.stream(REQUEST) as stream:
        pieces = iter(stream)
        assert next(pieces) == "Hel"
        assert not gate.is_set()
        assert text_of(stream.response) == "Hel"
        gate.set()
        assert list(pieces) == ["lo"]
    assert text_of(stream.response) == "Hello"


@each_form
def test_a_streamed_answer_equals_the_complete_answer(server: ProviderServer, form: str) -> None:
    client = Client(account(server, form))
    request = ChatCompletionsRequest.of_prompts("Ünd nun?\n\n👍", n=2)
    whole = client.call_api(request)
    with client.stream(request) as stream:
        assert "".join(stream) == text_of(whole)
    streamed = stream.response
    assert [(each.index, each.message.content, each.finish_reason) for each in streamed.choices] == [
        (each.index, each.message.content, each.finish_reason) for each in whole.choices
    ]
    assert streamed.usage == whole.usage
    assert (streamed.id, streamed.model, streamed.created) == (whole.id, whole.model, whole.created)
    assert (streamed.object, streamed.system_fingerprint) == ("chat.completion", "fp_test")
    assert streamed._request_id == "req-test-0002"


def test_interleaved_choices_are_separated(server: ProviderServer, client: Client) -> None:
    server.next(
        Chunks(
            [
                chunk("B1", index=1),
                chunk("A1", index=0),
                chunk("B2", index=1, finish_reason="stop"),
                chunk("A2", index=0),
                chunk(index=0, finish_reason="length"),
            ]
        )
    )
    stream = client.stream(REQUEST)
    assert list(stream.deltas()) == [
        (1, "content", "B1"),
        (0, "content", "A1"),
        (1, "content", "B2"),
        (0, "content", "A2"),
    ]
    choices = [(each.index, each.message.content, each.finish_reason) for each in stream.response.choices]
    assert choices == [(0, "A1A2", "length"), (1, "B1B2", "stop")]


def test_several_choices_in_one_chunk_are_read(server: ProviderServer, client: Client) -> None:
    both = [{"index": index, "delta": {"content": f"{index}"}, "finish_reason": "stop"} for index in (1, 0)]
    server.next(Chunks([chunk(choices=both)]))
    stream = client.stream(REQUEST)
    assert list(stream) == ["0"]
    assert [each.message.content for each in stream.response.choices] == ["0", "1"]


@pytest.mark.parametrize(
    "odd",
    [
        chunk(
            choices=[],
            prompt_filter_results=[{"prompt_index": 0, "content_filter_results": UNFILTERED}],
            id="",
            model="",
        ),
        chunk(choices=[{"index": 0, "content_filter_results": UNFILTERED, "finish_reason": None}], id=""),
        chunk(choices=[{"index": 0, "delta": None, "finish_reason": None}]),
        chunk(choices=[{"index": 0, "delta": {"role": "assistant", "content": None}, "finish_reason": None}]),
        chunk(choices=[{"delta": {"content": ""}}]),
        chunk(choices=[{"index": None, "delta": {"content": ""}}]),
        chunk(choices=None),
        {"id": "chatcmpl-test"},
        chunk("", obfuscation="xxxx", tomorrow=[1]),
        ": a comment\n\n",
        "\n\n\n",
        "data:\n\n",
        "event: ping\n\n",
        "id: 7\nretry: 10\n\n",
    ],
    ids=str,
)
def test_an_unusual_chunk_is_accepted_at_any_position(server: ProviderServer, client: Client, odd: Any) -> None:
    for place in range(4):
        chunks: list[Any] = [chunk("Hel"), chunk("lo"), LAST]
        chunks.insert(place, odd)
        server.next(Chunks(chunks))
        stream = client.stream(REQUEST)
        assert "".join(stream) == "Hello"
        assert (stream.response.id, stream.response.model) == ("chatcmpl-test", "gpt-test")
        assert [each.finish_reason for each in stream.response.choices] == ["stop"]


@pytest.mark.parametrize(
    ("chunks", "total"),
    [
        ([chunk("Hello", usage=usage(4, "one")), LAST], 5),
        ([chunk("Hello", finish_reason="stop", usage=usage(4, "one"))], 5),
        ([chunk("Hello", usage=usage(4, "")), LAST, chunk(choices=[], usage=usage(4, "one two"))], 6),
        ([LAST | {"usage": usage(4, "one")}, chunk(choices=[], usage=None)], 5),
        ([chunk("Hello"), LAST], None),
        ([chunk("Hello", usage={}), LAST], None),
        ([chunk("Hello", usage="many"), LAST], None),
        ([chunk("Hello", usage={"_fields_set": 1, "prompt_tokens": 3}), LAST], None),
    ],
)
def test_usage_is_found_in_any_chunk(
    server: ProviderServer, client: Client, reports: list[CallReport], chunks: list[Any], total: int | None
) -> None:
    server.next(Chunks(chunks))
    stream = client.stream(REQUEST)
    assert "".join(stream) in ("Hello", "")
    assert (reports[0].usage.total_tokens if reports[0].usage else None) == total
    assert reports[0].usage_source is (UsageSource.UNKNOWN if total is None else UsageSource.REPORTED)
    assert text_of(stream.response) == "".join(each["choices"][0]["delta"].get("content", "") for each in chunks[:1])


def test_with_done_a_finish_reason_for_one_choice_is_enough(
    server: ProviderServer, client: Client, reports: list[CallReport]
) -> None:
    server.next(Chunks([chunk("A"), chunk("B", index=1), LAST]))
    assert "".join(client.stream(REQUEST)) == "A"
    assert reports[0].status is CallStatus.DONE


def test_the_first_choice_may_end_long_before_the_second(server: ProviderServer, client: Client) -> None:
    server.next(
        Chunks([chunk("A"), LAST, chunk(choices=[], usage=usage(1, "a")), chunk("B", index=1, finish_reason="stop")])
    )
    stream = client.stream(REQUEST)
    assert list(stream) == ["A"]
    assert [each.message.content for each in stream.response.choices] == ["A", "B"]


def test_without_done_a_finish_reason_for_every_choice_is_enough(server: ProviderServer, client: Client) -> None:
    server.next(Chunks([chunk("Hello"), LAST], done=False))
    assert "".join(client.stream(REQUEST)) == "Hello"
    server.next(Chunks([chunk("A"), chunk("B", index=1), LAST], done=False))
    with pytest.raises(AnswerInterrupted):
        "".join(client.stream(REQUEST))


def test_a_later_annotation_does_not_remove_the_finish_reason(server: ProviderServer, client: Client) -> None:
    server.next(
        Chunks(
            [chunk("Hel"), chunk(finish_reason="content_filter"), chunk(choices=[{"index": 0, "finish_reason": None}])]
        )
    )
    stream = client.stream(REQUEST)
    assert list(stream) == ["Hel"]
    assert [each.finish_reason for each in stream.response.choices] == ["content_filter"]


def test_an_unknown_finish_reason_of_a_stream_is_kept(server: ProviderServer, client: Client) -> None:
    server.next(Chunks([chunk("Hello", finish_reason="weird_new")]))
    stream = client.stream(REQUEST)
    assert list(stream) == ["Hello"]
    assert [str(each.finish_reason) for each in stream.response.choices] == ["weird_new"]


def test_tool_calls_are_assembled(server: ProviderServer, client: Client) -> None:
    def part(index: int | None, **call: Any) -> dict[str, Any]:
        return delta(tool_calls=[{"index": index} | call])

    server.next(
        Chunks(
            [
                part(0, id="c1", type="function", function={"name": "weather", "arguments": ""}),
                part(0, function={"arguments": '{"city":'}),
                part(None, function={"arguments": ' "Köln"}'}),  # the one that was written last
                part(1, id="c2", type="function", function={"name": "time", "arguments": "{}"}),
                chunk(finish_reason="tool_calls"),
            ]
        )
    )
    stream = client.stream(REQUEST)
    arguments = [text for _, kind, text in stream.deltas() if kind == "tool_call"]
    assert "".join(arguments) == '{"city": "Köln"}{}'
    message = stream.response.choices[0].message
    assert message.content is None
    assert [each.model_dump() for each in message.tool_calls or []] == [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln"}'}},
        {"id": "c2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
    ]


def test_refusals_and_reasoning_are_separated_from_the_text(server: ProviderServer, client: Client) -> None:
    server.next(
        Chunks(
            [
                delta(reasoning_content="Let me "),
                delta(reasoning_content="think."),
                delta(refusal="I "),
                delta(refusal="won't."),
                chunk("Sorry", finish_reason="stop"),
            ]
        )
    )
    stream = client.stream(REQUEST)
    assert list(stream.deltas()) == [
        (0, "reasoning", "Let me "),
        (0, "reasoning", "think."),
        (0, "refusal", "I "),
        (0, "refusal", "won't."),
        (0, "content", "Sorry"),
    ]
    message = stream.response.choices[0].message
    assert (message.content, message.refusal) == ("Sorry", "I won't.")
    assert message.model_dump()["reasoning_content"] == "Let me think."


def test_log_probabilities_are_assembled(server: ProviderServer, client: Client) -> None:
    def token(text: str) -> dict[str, Any]:
        logprobs: Any = {
            "content": [{"token": text, "logprob": -0.5, "bytes": None, "top_logprobs": []}],
            "refusal": None,
        }
        return chunk(choices=[{"index": 0, "delta": {"content": text}, "logprobs": logprobs, "finish_reason": None}])

    server.next(Chunks([token("Hel"), token("lo"), LAST]))
    stream = client.stream(REQUEST)
    assert list(stream) == ["Hel", "lo"]
    logprobs = stream.response.choices[0].logprobs
    assert logprobs is not None
    assert [each.token for each in logprobs.content or []] == ["Hel", "lo"]


# -- bytes


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("space", ["", " "])
def test_lines_may_end_with_lf_or_crlf_and_have_a_blank_or_not(
    server: ProviderServer, client: Client, ending: str, space: str
) -> None:
    event = '{"choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}]}'
    server.next(Chunks([f"data:{space}{event}{ending}{ending}data:{space}[DONE]{ending}{ending}"], done=False))
    assert list(client.stream(REQUEST)) == ["Hello"]


def test_line_separators_inside_a_text_do_not_break_it(server: ProviderServer, client: Client) -> None:
    text = "a\u2028b\u2029c\u0085d"
    server.next(Chunks([f"data: {json.dumps(chunk(text, finish_reason='stop'), ensure_ascii=False)}\n\n"]))
    assert list(client.stream(REQUEST)) == [text]


def test_an_event_may_have_several_data_lines(server: ProviderServer, client: Client) -> None:
    server.next(Chunks(['event: message\ndata: {"choices": [{"delta":\ndata: {"content": "Hello"}}]}\n\n', LAST]))
    assert list(client.stream(REQUEST)) == ["Hello"]


def test_a_stream_may_be_split_anywhere(server: ProviderServer, client: Client) -> None:
    raw = 'data: {"choices": [{"index": 0, "delta": {"content": "ü👍"}}]}\n\n'.encode()
    for cut in range(1, len(raw)):
        server.next(Chunks([raw[:cut], raw[cut:], LAST]))
        assert list(client.stream(REQUEST)) == ["ü👍"]


def test_a_character_may_arrive_in_two_pieces(server: ProviderServer, client: Client) -> None:
    cut, gate = 'data: {"choices": [{"index": 0, "delta": {"content": "👍"}}]}\n\n'.encode(), threading.Event()
    half = cut.index("👍".encode()) + 2
    server.next(Chunks([b'data: {"choices": [{"delta": {"content": "A"}}]}\n\n' + cut[:half], gate, cut[half:], LAST]))
    pieces = iter(client.stream(REQUEST))
    assert next(pieces) == "A"  # so the first half has been read before the second is sent
    gate.set()
    assert list(pieces) == ["👍"]


def test_the_final_done_needs_no_line_end(server: ProviderServer, client: Client) -> None:
    for last in ("data: [DONE]", "data:[DONE]", "data: [DONE]\n", "data: [DONE]\r\n"):
        server.next(Chunks([chunk("A"), chunk("B", index=1), LAST, last], done=False))
        assert list(client.stream(REQUEST)) == ["A"], last


def test_nothing_is_read_after_done(server: ProviderServer, client: Client) -> None:
    server.next(Chunks([chunk("Hello"), LAST, "data: [DONE]\n\n", chunk("more"), "data: {broken\n\n"]))
    assert list(client.stream(REQUEST)) == ["Hello"]


# -- ends that are none


@pytest.mark.parametrize("then", ["end", "close", "reset"])
def test_a_stream_that_breaks_off_is_interrupted_and_its_partial_text_is_kept(
    server: ProviderServer, client: Client, reports: list[CallReport], then: Any
) -> None:
    gate = threading.Event()
    server.next(Chunks([chunk("Hel"), chunk("lo"), gate], done=False, then=then))
    stream = client.stream(REQUEST)
    pieces = iter(stream)
    assert [next(pieces), next(pieces)] == ["Hel", "lo"]
    gate.set()
    with pytest.raises(AnswerInterrupted, match="The partial text is kept; try again") as caught:
        next(pieces)
    assert text_of(stream.response) == "Hello"
    assert [each.finish_reason for each in stream.response.choices] == [None]
    assert caught.value.request_id == "req-test-0001"
    (report,) = reports
    assert report.status is CallStatus.INTERRUPTED
    assert report.error is caught.value
    assert text_of(report.response) == "Hello" if report.response else False
    assert list(stream) == []


@pytest.mark.parametrize("chunks", [[], [chunk(choices=[])], ['data: {"choices": [{"index": 0, "delta": {"con']])
def test_a_stream_without_an_answer_is_an_error(
    server: ProviderServer, client: Client, reports: list[CallReport], chunks: list[Any]
) -> None:
    server.next(Chunks(chunks, done=False))
    with pytest.raises(AnswerInterrupted):
        list(client.stream(REQUEST))
    assert reports[0].status is CallStatus.FAILED


@pytest.mark.parametrize("last", ["Hello", {"reasoning": "Hm"}, {"tool_calls": [{"function": {"name": "f"}}]}])
def test_an_answer_without_a_finish_reason_is_complete_when_done_is_received(
    server: ProviderServer, client: Client, reports: list[CallReport], last: Any
) -> None:
    server.next(Chunks([chunk(last) if isinstance(last, str) else delta(**last)]))
    stream = client.stream(REQUEST)
    assert [text for _, _, text in stream.deltas()] == ["Hello" if last == "Hello" else last.get("reasoning", "")]
    assert reports[0].status is CallStatus.DONE
    assert [each.finish_reason for each in stream.response.choices] == [None]


def test_done_without_any_text_is_an_interruption(server: ProviderServer, client: Client) -> None:
    server.next(Chunks([chunk(role="assistant")]))
    with pytest.raises(AnswerInterrupted):
        list(client.stream(REQUEST))


@pytest.mark.parametrize(
    ("event", "kind", "says"),
    [
        ('data: {"error": {"message": "Boom.", "code": "server_error"}}\n\n', ProviderUnavailable, "Boom."),
        ('event: error\ndata: {"error": {"message": "Boom.", "type": "x"}}\n\n', ProviderUnavailable, "Boom."),
        ('event: error\ndata: {"message": "Boom.", "code": 500}\n\n', ProviderUnavailable, "Boom."),
        ('data: {"error": "Boom."}\n\n', ProviderUnavailable, "Boom."),
        ('data: {"error": true}\n\n', ProviderUnavailable, "reports a server error"),
        ('data: {"error": {"code": 429, "message": "Slow."}, "choices": []}\n\n', RateLimited, "in a minute"),
        ('data: {"error": {"code": "rate_limit_exceeded"}}\n\n', RateLimited, "in a minute"),
        ('data: {"error": {"code": "invalid_api_key"}}\n\n', KeyRefused, "did not accept the key"),
        ('data: {"error": {"code": "content_filter"}}\n\n', ContentFiltered, "Rephrase it"),
    ],
    ids=lambda value: str(value)[:60],
)
@pytest.mark.parametrize("begun", [False, True])
def test_an_error_inside_a_stream_has_a_sentence_and_the_partial_text_is_kept(
    server: ProviderServer,
    client: Client,
    reports: list[CallReport],
    event: str | bytes,
    kind: type[Exception],
    says: str,
    begun: bool,
) -> None:
    server.next(Chunks([chunk("Hel"), event] if begun else [event]))
    stream = client.stream(REQUEST)
    with pytest.raises(kind, match=says) as caught:
        list(stream)
    assert text_of(stream.response) == ("Hel" if begun else "")
    (report,) = reports
    assert report.error is caught.value
    assert report.request_id == "req-test-0001"
    assert report.status is (CallStatus.INTERRUPTED if stream.response.choices else CallStatus.FAILED)


UNREADABLE = [
    "data: {broken\n\n",
    "data: null\n\n",
    "data: []\n\n",
    'data: "Hello"\n\n',
    'data: {"choices": ["Hello"]}\n\n',
    'data: {"choices": [{"index": "one", "delta": {}}]}\n\n',
    'data: {"choices": [{"delta": {"tool_calls": [{"index": "a"}]}}]}\n\n',
    'data: {"choices": [{"delta": "Hello"}]}\n\n',
    "data: " + "[" * 5000 + "\n\n",
]


@pytest.mark.parametrize("event", UNREADABLE, ids=lambda event: event[:60])
def test_an_event_that_cannot_be_read_costs_that_event_only(
    server: ProviderServer, client: Client, reports: list[CallReport], event: str
) -> None:
    for place in range(3):
        chunks: list[Any] = [chunk("Hel"), chunk("lo"), LAST]
        server.next(Chunks([*chunks[:place], event, *chunks[place:]]))
        stream = client.stream(REQUEST)
        assert "".join(stream) == text_of(stream.response) == "Hello"
        assert (reports[-1].status, reports[-1].skipped_events) == (CallStatus.DONE, 1)


@pytest.mark.parametrize("event", UNREADABLE, ids=lambda event: event[:60])
def test_a_stream_in_which_nothing_can_be_read_is_unreadable(
    server: ProviderServer, client: Client, reports: list[CallReport], event: str
) -> None:
    server.next(Chunks([event, event]))
    with pytest.raises(UnreadableAnswer, match="not a chat completion"):
        list(client.stream(REQUEST))
    assert (reports[0].status, reports[0].skipped_events) == (CallStatus.FAILED, 2)


def test_a_silent_stream_ends_after_the_timeout(server: ProviderServer, reports: list[CallReport]) -> None:
    for read in (0.2, 2, 20):  # where another program keeps the first word back for longer, it is asked for again
        client = Client(account(server), on_call=reports.append, timeout=httpx2.Timeout(None, read=read))
        server.next(Chunks([chunk("Hel"), threading.Event()]))
        with pytest.raises(NoAnswerInTime) as caught:
            list(stream := client.stream(REQUEST))
        if reports[-1].response:
            break
    assert "accepted the request but then sent nothing for" in str(caught.value)
    assert text_of(stream.response) == "Hel"
    assert reports[-1].status is CallStatus.INTERRUPTED
    assert server.disconnected.wait(120)


def test_the_complete_answer_of_a_server_that_does_not_stream_is_read(
    server: ProviderServer, client: Client, reports: list[CallReport]
) -> None:
    server.next(Reply(200, completion("Hello", "Other")))
    with client.stream(REQUEST) as stream:
        assert list(stream.deltas()) == [(0, "content", "Hello"), (1, "content", "Other")]
    assert stream.response.id == "chatcmpl-test"
    assert reports[0].status is CallStatus.DONE
    assert reports[0].time_to_first_token is None


@pytest.mark.parametrize("content_type", ["Text/Event-Stream", "text/event-stream;charset=utf-8"])
def test_the_type_of_a_stream_may_be_written_in_any_way(
    server: ProviderServer, client: Client, content_type: str
) -> None:
    server.next(Chunks([chunk("Hello"), LAST], headers={"content-type": content_type}))
    assert list(client.stream(REQUEST)) == ["Hello"]


# -- stopping


def test_closing_a_stream_closes_the_connection_and_keeps_the_partial_text(
    server: ProviderServer, client: Client, reports: list[CallReport]
) -> None:
    server.next(Chunks([chunk("Hel"), chunk("lo"), threading.Event(), chunk("never"), LAST]))
    stream = client.stream(REQUEST)
    pieces = iter(stream)
    assert next(pieces) == "Hel"
    stream.close()
    assert server.disconnected.wait(120)
    assert list(pieces) == []
    assert list(stream) == []
    assert text_of(stream.response) == "Hel"
    (report,) = reports
    assert (report.status, report.error) == (CallStatus.STOPPED, None)
    assert report.response is not None
    assert text_of(report.response) == "Hel"
    assert report.time_to_first_token is not None
    stream.close()
    assert len(reports) == 1


def test_leaving_the_loop_closes_the_connection(
    server: ProviderServer, client: Client, reports: list[CallReport]
) -> None:
    server.next(Chunks([chunk("Hel"), threading.Event()]))
    for piece in client.stream(REQUEST):
        assert piece == "Hel"
        break
    assert server.disconnected.wait(120)
    assert [each.status for each in reports] == [CallStatus.STOPPED]


def test_leaving_the_block_closes_the_connection_even_if_nothing_was_read(
    server: ProviderServer, client: Client, reports: list[CallReport]
) -> None:
    server.next(Chunks([chunk("Hel"), threading.Event()]), Chunks([chunk("Hel"), threading.Event()]))
    with client.stream(REQUEST):
        pass
    assert server.disconnected.wait(120)
    server.disconnected.clear()
    with suppress(ZeroDivisionError), client.stream(REQUEST) as stream:
        raise ZeroDivisionError(next(iter(stream)))
    assert server.disconnected.wait(120)
    assert [each.status for each in reports] == [CallStatus.STOPPED] * 2


def test_another_thread_may_stop_a_waiting_stream(
    server: ProviderServer, client: Client, reports: list[CallReport]
) -> None:
    server.next(Chunks([chunk("Hel"), threading.Event()]))
    stream = client.stream(REQUEST)
    first, got = threading.Event(), []

    def read() -> None:
        for piece in stream:
            got.append(piece)
            first.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert first.wait(120)
    stream.close()
    assert server.disconnected.wait(120)
    reader.join(120)
    assert not reader.is_alive()
    assert got == ["Hel"]
    assert [each.status for each in reports] == [CallStatus.STOPPED]


def test_closing_an_ended_stream_changes_nothing(
    server: ProviderServer, client: Client, reports: list[CallReport]
) -> None:
    with client.stream(REQUEST) as stream:
        "".join(stream)
    stream.close()
    assert [each.status for each in reports] == [CallStatus.DONE]
    assert Client(account(server), timeout=PATIENCE).execute_without_history("Still there?")
    assert not server.disconnected.is_set()


def test_a_compressed_stream_is_read(server: ProviderServer, client: Client) -> None:
    events = [f"data: {json.dumps(chunk(text))}\n\n".encode() for text in ("Com", "pressed")]
    packed = zlib.compressobj(wbits=31)
    pieces = [packed.compress(event) + packed.flush(zlib.Z_SYNC_FLUSH) for event in events]
    end = f"data: {json.dumps(chunk(finish_reason='stop'))}\n\ndata: [DONE]\n\n".encode()
    pieces.append(packed.compress(end) + packed.flush())
    server.next(Chunks(pieces, done=False, headers={"content-encoding": "gzip"}))
    assert "".join(client.stream(REQUEST)) == "Compressed"


def tool_piece(**call: Any) -> dict[str, Any]:
    return chunk(choices=[{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None, "logprobs": None}])


@pytest.mark.parametrize("index", [{}, {"index": 0}, {"index": None}])
def test_tool_calls_without_an_index_are_separated(
    server: ProviderServer, client: Client, index: dict[str, Any]
) -> None:
    server.next(
        Chunks(
            [
                tool_piece(id="t1", type="function", function={"name": "f", "arguments": ""}, **index),
                tool_piece(function={"name": "f", "arguments": "{}"}),
                tool_piece(id="t2", type="function", function={"name": "g", "arguments": "[]"}, **index),
                chunk(finish_reason="tool_calls"),
            ]
        )
    )
    with client.stream(REQUEST) as stream:
        list(stream)
    calls = [call.to_dict() for call in stream.response.choices[0].message.tool_calls or []]
    assert calls == [
        {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "t2", "type": "function", "function": {"name": "g", "arguments": "[]"}},
    ]


def test_custom_tools_and_the_old_function_call_are_assembled(server: ProviderServer, client: Client) -> None:
    old = {"index": 0, "finish_reason": None, "logprobs": None}
    server.next(
        Chunks(
            [
                tool_piece(index=0, id="t1", type="custom", custom={"name": "sql", "input": "SEL"}),
                tool_piece(index=0, custom={"input": "ECT"}),
                chunk(choices=[{**old, "delta": {"role": "x", "function_call": {"name": "f", "arguments": "{"}}}]),
                chunk(choices=[{**old, "delta": {"content": None, "function_call": {"arguments": "}"}}}]),
                chunk(finish_reason="function_call"),
            ]
        )
    )
    with client.stream(REQUEST) as stream:
        list(stream)
    message = stream.response.choices[0].message.to_dict()
    assert message["tool_calls"] == [{"id": "t1", "type": "custom", "custom": {"name": "sql", "input": "SELECT"}}]
    assert message["function_call"] == {"name": "f", "arguments": "{}"}


def test_other_fields_of_a_stream_are_in_the_response(server: ProviderServer, client: Client) -> None:
    filtered = {"hate": {"filtered": False, "severity": "safe"}}
    rest = {"index": 0, "finish_reason": None, "logprobs": None}
    server.next(
        Chunks(
            [
                chunk(choices=[], prompt_filter_results=[{"prompt_index": 0}]),
                chunk(choices=[{**rest, "delta": {"role": "assistant", "audio": {"id": "a1", "transcript": "Hel"}}}]),
                chunk(choices=[{**rest, "delta": {"content": None, "audio": {"transcript": "lo", "data": "AA"}}}]),
                chunk(choices=[{**rest, "delta": {"content": "See", "annotations": [{"type": "url_citation"}]}}]),
                chunk(choices=[{**rest, "delta": {}, "content_filter_results": filtered}]),
                chunk(finish_reason="stop"),
            ]
        )
    )
    with client.stream(REQUEST) as stream:
        assert list(stream) == ["See"]
    answer = stream.response.to_dict()
    assert answer["prompt_filter_results"] == [{"prompt_index": 0}]
    assert answer["choices"][0]["content_filter_results"] == filtered  # type: ignore[index]
    message = stream.response.choices[0].message.to_dict()
    assert message["audio"] == {"id": "a1", "transcript": "Hello", "data": "AA"}
    assert message["annotations"] == [{"type": "url_citation"}]


def test_content_in_parts_and_complete_messages_in_chunks_are_read(server: ProviderServer, client: Client) -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    rest = {"index": 0, "finish_reason": "stop", "logprobs": None}
    server.next(
        Chunks([chunk(choices=[{**rest, "delta": {"content": parts}}])]),
        Chunks([chunk(choices=[{**rest, "message": {"role": "assistant", "content": "Whole"}}])]),
        Reply(200, completion(choices=[{**rest, "message": {"role": "assistant", "content": parts}}])),
    )
    assert "".join(client.stream(REQUEST)) == "Hello"
    assert "".join(client.stream(REQUEST)) == "Whole"
    assert client.execute_without_history("Hello") == "Hello"


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_byte_order_mark_is_not_part_of_the_answer(server: ProviderServer, client: Client, cut: int) -> None:
    first = b"\xef\xbb\xbf" + f"data: {json.dumps(chunk('Hel'))}\n\n".encode()
    server.next(Chunks([first[:cut], first[cut:], chunk("lo", finish_reason="stop")]))
    assert "".join(client.stream(REQUEST)) == "Hello"
    server.next(Reply(200, b"\xef\xbb\xbf" + json.dumps(completion("Hello")).encode()))
    assert client.execute_without_history("Hello") == "Hello"


def test_a_refusal_and_tool_calls_of_a_server_that_does_not_stream_are_separated(
    server: ProviderServer, client: Client
) -> None:
    call = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "refusal": "No.", "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    server.next(Reply(200, completion(choices=[choice])))
    assert list(client.stream(REQUEST).deltas()) == [(0, "refusal", "No."), (0, "tool_call", "{}")]


def test_streams_that_are_dropped_unread_are_reported_and_free_their_connections(
    server: ProviderServer, reports: list[CallReport]
) -> None:
    with pooled_http_client() as http_client:
        client = Client(account(server), http_client=http_client, on_call=reports.append)
        for _ in range(210):  # more than there are connections
            client.stream(REQUEST)
        assert client.execute_without_history("Hello") == "Answer 0 to: Hello"
    assert [report.status for report in reports] == [CallStatus.STOPPED] * 210 + [CallStatus.DONE]


def test_a_call_that_is_cancelled_before_its_answer_begins_is_not_sent_again(server: ProviderServer) -> None:
    reports: list[CallReport] = []
    ended = threading.Event()

    def refuse(_: object) -> Reply:
        ended.set()  # somebody gives up while it is on its way
        return Reply(429, error("Slow down."), headers={"retry-after": "5"})

    server.objection = refuse
    client = Client(account(server, "OpenAI"), on_call=reports.append)
    with pytest.raises(AnswerInterrupted):
        client.stream(REQUEST, ended=ended)
    assert len(server.requests) == 1
    assert [(report.status, report.attempts) for report in reports] == [(CallStatus.STOPPED, 1)]


def test_the_event_of_a_call_is_set_when_it_has_ended(server: ProviderServer) -> None:
    ended = threading.Event()
    with Client(account(server, "OpenAI")).stream(REQUEST, ended=ended) as stream:
        assert not ended.is_set()
        "".join(stream)
        assert ended.is_set()
