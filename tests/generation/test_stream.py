"""What a browser tab hears: pieces in order, each once, whatever the connection does; over HTTP, from a real server."""

import json
import random
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import Any, cast

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db import MessageStatus
from generation import Answers, Received, stream
from tests.generation.conftest import LAST, App, until
from tests.provider.answers import chunk
from tests.provider.server import Chunks, ProviderServer

HERE = "here"
GARBAGE = ("", ".", "..", "nobody", "nobody.0", "nobody.-1", "\0", "🙂.1", "a.b.c", "%", "a b.1", "x" * 2000)

Piece = tuple[str, str]
"""Kind and text."""


class Site:
    """Where the endpoint is."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.address = f"http://127.0.0.1:{port}/answers"

    @contextmanager
    def watch(self, *of: str) -> Iterator[Iterator[Any]]:
        """A connection and what comes on it: `here`, and lists."""
        with (
            httpx2.Client(timeout=120) as client,
            client.stream("GET", self.address, params=[("of", each) for each in of]) as response,
        ):
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["cache-control"] == "no-store"
            yield events(response)

    def all(self, *of: str) -> list[Any]:
        """Until the server ends it."""
        with self.watch(*of) as coming:
            return list(coming)

    def now(self, *of: str) -> Any:
        response = httpx2.get(self.address, params=[*(("of", each) for each in of), ("now", "")])
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.headers["cache-control"] == "no-store"
        return response.json()


def events(response: httpx2.Response) -> Iterator[Any]:
    lines = response.iter_lines()
    for line in lines:
        if line == "event:here":
            assert next(lines) == "data:"
            yield HERE
        elif line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[], Answers]], Site]]:
    """Serves the endpoint as `app.py` does."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def serve_it(answers: Callable[[], Answers]) -> Site:
        async def endpoint(request: Request) -> Response:
            return await stream(request, answers)

        app = Starlette(routes=[Route("/answers", endpoint)])
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, name="site")
        thread.start()
        running.append((server, thread))
        until(lambda: server.started)
        return Site(server.servers[0].sockets[0].getsockname()[1])

    yield serve_it
    for server, thread in running:
        server.should_exit = server.force_exit = True
        thread.join()


class Shelf:
    """Stands in for `Answers`, with text that a test adds itself."""

    def __init__(self) -> None:
        self.all: list[Received] = []

    def new(self) -> Received:
        self.all.append(Received())
        return self.all[-1]

    def received(self, key: str) -> Received | None:
        return next((each for each in self.all if each.key == key), None)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def site(serve: Callable[[Callable[[], Answers]], Site], shelf: Shelf) -> Site:
    return serve(lambda: cast(Answers, shelf))


@pytest.fixture
def app_site(serve: Callable[[Callable[[], Answers]], Site], app: App) -> Site:
    return serve(lambda: app.answers)


def together(pieces: list[Piece]) -> list[Piece]:
    """Neighbours of one kind as one."""
    return [(kind, "".join(text for _, text in each)) for kind, each in groupby(pieces, key=lambda piece: piece[0])]


def piece_of(event: list[Any]) -> Piece:
    _, _, text, *kind = event
    return (kind[0] if kind else "content"), text


def test_an_answer_is_sent_as_it_is_written_and_finishes_when_it_is_stored(
    server: ProviderServer, app: App, app_site: Site
) -> None:
    gates = [threading.Event(), threading.Event()]
    server.next(Chunks([chunk("Hel"), gates[0], chunk("lo\n\ndata:\u2028"), gates[1], chunk("!"), LAST]))
    turn = app.ask()
    with app_site.watch(app.answers.follow(app.me, turn.answer_id) + ".0") as coming:
        assert next(coming) == HERE
        assert next(coming) == [0, 1, "Hel"]
        gates[0].set()
        assert next(coming) == [0, 2, "lo\n\ndata:\u2028"]
        assert app.stored(turn).status is MessageStatus.WRITING
        gates[1].set()
        assert next(coming) == [0, 3, "!"]
        assert next(coming) == [0]
        assert app.stored(turn).status is MessageStatus.COMPLETE
        assert list(coming) == []


def test_the_first_event_shows_that_the_stream_is_not_buffered(site: Site, shelf: Shelf) -> None:
    """Though none has come yet: the browser else asks for them one by one."""
    with site.watch(shelf.new().key + ".0") as coming:
        assert next(coming) == HERE
        shelf.all[0].add("content", "Hel")
        assert next(coming) == [0, 1, "Hel"]


def test_a_late_client_receives_the_whole_text_in_one_event(site: Site, shelf: Shelf) -> None:
    received = shelf.new()
    for letter in "Hello":
        received.add("content", letter)
    with site.watch(f"{received.key}.0") as coming:
        assert [next(coming), next(coming)] == [HERE, [0, 5, "Hello"]]
    with site.watch(f"{received.key}.2") as coming:
        assert [next(coming), next(coming)] == [HERE, [0, 5, "llo"]]
    received.finish()
    assert site.all(f"{received.key}.0") == [HERE, [0, 5, "Hello"], [0]]
    assert site.all(f"{received.key}.5") == [HERE, [0]]


def test_the_text_up_to_an_end_number_was_sent_before_it(site: Site, shelf: Shelf) -> None:
    """Whoever is cut off behind an event comes back with its end."""
    received = shelf.new()
    for kind, text in (("reasoning", "Let me"), ("reasoning", " think."), ("content", "Hel"), ("content", "lo")):
        received.add(kind, text)
    received.finish()
    whole = site.all(f"{received.key}.0")
    assert [piece_of(event) for event in whole[1:-1]] == [("reasoning", "Let me think."), ("content", "Hello")]
    first = whole[1]
    assert [piece_of(event) for event in site.all(f"{received.key}.{first[1]}")[1:-1]] == [("content", "Hello")]


@pytest.mark.parametrize("rounds", [2, pytest.param(100, marks=pytest.mark.soak)])
@pytest.mark.parametrize("kinds", [("content",), ("reasoning", "content", "refusal")], ids=["text", "mixed"])
def test_a_client_that_reconnects_anywhere_receives_every_piece_once(
    site: Site, shelf: Shelf, kinds: tuple[str, ...], rounds: int
) -> None:
    for seed in range(rounds):
        dice = random.Random(seed)
        pieces = [(dice.choice(kinds), f"{number} ") for number in range(dice.randint(1, 80))]
        received = shelf.new()
        # The first ones are there when the connection comes, the others come while it is read.
        there = dice.randint(0, len(pieces))
        for piece in pieces[:there]:
            received.add(*piece)
        heard: list[Piece] = []
        end, came, is_over = 0, there, False
        while not is_over:
            with site.watch(f"{received.key}.{end}") as coming:
                assert next(coming) == HERE
                for _ in range(dice.randint(0, 4)):
                    if end == came < len(pieces) or dice.random() < 0.3:
                        more = dice.randint(1, 5)
                        for piece in pieces[came : came + more]:
                            received.add(*piece)
                        came = min(came + more, len(pieces))
                    if came == len(pieces):
                        received.finish()
                    event = next(coming)
                    if event == [0]:
                        is_over = True
                        break
                    assert event[1] >= end
                    end = event[1]
                    heard.append(piece_of(event))
        expected = together([(kind if kind == "reasoning" else "content", text) for kind, text in pieces])
        assert together(heard) == expected, seed


def test_an_unknown_key_is_finished_at_once(server: ProviderServer, app: App, app_site: Site) -> None:
    assert app_site.all("nobody.0") == [HERE, [0]]
    server.next(Chunks([chunk("Hello"), LAST]))
    turn = app.ask()
    while_it_was_written = app.answers.follow(app.me, turn.answer_id)
    assert app.answers.wait(turn.answer_id, 120)
    for key in (while_it_was_written, app.answers.follow(app.me, turn.answer_id)):
        assert app_site.all(f"{key}.0", "nobody.0") == [HERE, [0], [1]]


def test_two_answers_come_on_one_connection(server: ProviderServer, app: App, app_site: Site) -> None:
    gates = [[threading.Event(), threading.Event()] for _ in range(2)]
    received = []
    for n in range(2):
        server.next(Chunks([chunk(f"a{n}"), gates[n][0], chunk(f"b{n}"), gates[n][1], LAST]))
        received.append(app.received(app.ask()))
        until(lambda: received[-1].text("content"))
    keys = [each.key for each in received]
    with app_site.watch(f"{keys[0]}.0", f"{keys[1]}.1") as coming:
        assert [next(coming), next(coming)] == [HERE, [0, 1, "a0"]]
        gates[1][0].set()
        assert next(coming) == [1, 2, "b1"]
        gates[1][1].set()
        assert next(coming) == [1]
        gates[0][0].set()
        assert next(coming) == [0, 2, "b0"]
        gates[0][1].set()
        assert list(coming) == [[0]]


def test_the_same_answer_twice_on_one_connection_comes_twice(site: Site, shelf: Shelf) -> None:
    received = shelf.new()
    received.add("content", "Hello")
    received.finish()
    assert site.all(f"{received.key}.0", f"{received.key}.0") == [HERE, [0, 1, "Hello"], [0], [1, 1, "Hello"], [1]]


def test_without_streams_the_new_text_is_returned_as_a_list(site: Site, shelf: Shelf) -> None:
    received, other = shelf.new(), shelf.new()
    assert site.now(f"{received.key}.0") == []
    received.add("reasoning", "Hm.")
    received.add("content", "Hel")
    other.add("content", "Other")
    assert [piece_of(each) for each in site.now(f"{received.key}.0")] == [("reasoning", "Hm."), ("content", "Hel")]
    assert site.now(f"{received.key}.1", f"{other.key}.0", "nobody.0") == [[0, 2, "Hel"], [1, 1, "Other"], [2]]
    assert site.now(f"{received.key}.2") == []
    received.add("content", "lo")
    received.finish()
    assert site.now(f"{received.key}.2") == [[0, 3, "lo"], [0]]
    assert site.now(f"{received.key}.3") == [[0]]
    assert site.now() == []


def test_a_request_for_no_answers_finishes_at_once(site: Site) -> None:
    assert site.all() == [HERE]


def test_an_invalid_query_is_an_unknown_key(site: Site) -> None:
    for of in GARBAGE:
        assert site.all(of) == [HERE, [0]], of
        assert site.now(of) == [[0]], of


@pytest.mark.parametrize("start", ["", "x", "-1", "1e3", "٣", "²", "1_0", " 1", "9" * 9, "9" * 5000])
def test_an_invalid_start_means_the_beginning(site: Site, shelf: Shelf, start: str) -> None:
    received = shelf.new()
    received.add("content", "Hel")
    received.add("content", "lo")
    received.finish()
    assert site.all(f"{received.key}.{start}") == [HERE, [0, 2, "Hello"], [0]]


def test_a_connection_carries_at_most_twenty_answers(site: Site, shelf: Shelf) -> None:
    keys = [shelf.new().key for _ in range(30)]
    for received in shelf.all:
        received.finish()
    assert site.all(*(f"{key}.0" for key in keys)) == [HERE, *([n] for n in range(20))]


def test_all_clients_receive_the_same_text(site: Site, shelf: Shelf) -> None:
    received = shelf.new()
    pieces = [("content", f"{number} ") for number in range(300)]
    with ThreadPoolExecutor(20) as pool:
        watching = [pool.submit(site.all, f"{received.key}.0") for _ in range(20)]
        until(lambda: received._watchers)
        for piece in pieces:
            received.add(*piece)
        until(lambda: len(received._watchers) == 20)
        received.add("content", "The end.")
        received.finish()
        heard = [each.result() for each in watching]
    for each in heard:
        assert (each[0], each[-1]) == (HERE, [0])
        assert together([piece_of(event) for event in each[1:-1]]) == together([*pieces, ("content", "The end.")])
    until(lambda: not received._watchers)


def test_a_closed_connection_is_no_longer_watched(site: Site, shelf: Shelf) -> None:
    received = [shelf.new(), shelf.new()]
    for is_busy in (False, True):
        with site.watch(*(f"{each.key}.0" for each in received)) as coming:
            assert next(coming) == HERE
            until(lambda: all(len(each._watchers) == 1 for each in received))
            if is_busy:
                received[0].add("content", "Hello")
                assert next(coming)
        until(lambda: not any(each._watchers for each in received))
    received[0].add("content", "Nobody is there.")


def test_a_client_that_does_not_read_blocks_no_other(site: Site, shelf: Shelf) -> None:
    received = shelf.new()
    with socket.create_connection(("127.0.0.1", site.port)) as deaf:
        deaf.sendall(f"GET /answers?of={received.key}.0 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        until(lambda: received._watchers)
        with ThreadPoolExecutor(1) as pool:
            hearing = pool.submit(site.all, f"{received.key}.0")
            until(lambda: len(received._watchers) == 2)
            text = "x" * 100_000
            for _ in range(100):
                received.add("content", text)
            received.finish()
            assert together([piece_of(event) for event in hearing.result(20)[1:-1]]) == [("content", text * 100)]
    until(lambda: not received._watchers)


def test_answers_of_another_process_are_sent_in_the_same_way(
    server: ProviderServer, app: App, open_app: Callable[..., App], serve: Callable[[Callable[[], Answers]], Site]
) -> None:
    gate = threading.Event()
    server.next(Chunks([chunk("Hel"), gate, chunk("lo"), LAST]))
    turn = app.ask()
    until(lambda: app.stored(turn).content == "Hel")
    other = open_app()
    site = serve(partial(getattr, other, "answers"))
    with site.watch(other.answers.follow(other.me, turn.answer_id) + ".0") as coming:
        assert [next(coming), next(coming)] == [HERE, [0, 1, "Hel"]]
        gate.set()
        assert list(coming) == [[0, 2, "lo"], [0]]
        assert other.stored(turn).status is MessageStatus.COMPLETE
