"""A provider on this machine, accounts at it in every form, and a client whose reports are kept."""

import asyncio
import copy
import pickle
import traceback
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, TypeVar

import httpx2
import pytest

from connector import ApiType, CallReport, ChatCompletionsRequest, Client, Configuration, KeyType
from tests.provider.server import ProviderServer

T = TypeVar("T")
VERSION = "2024-10-21"
REQUEST = ChatCompletionsRequest.of_prompts("What is it?")
PATIENCE = httpx2.Timeout(None)
"""A client that waits for ever: what should be hung up on is not hung up on because its time is over."""
FORMS = ("OpenAI", "Azure with a key", "Azure with a token", "Azure v1 with a key", "Azure v1 with a token")
each_form = pytest.mark.parametrize("form", FORMS)


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, from a thread of its own: after browser tests, a loop runs in that of the tests."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def account(server: ProviderServer, form: str = "OpenAI", **changes: Any) -> Configuration:
    """A working configuration for this form of the server."""
    is_token = form.endswith("token")
    fields: dict[str, Any] = {
        "display_name": form,
        "api_type": ApiType.OPENAI if form == "OpenAI" else ApiType.AZURE_OPENAI,
        "key_type": KeyType.ENTRA_TOKEN if is_token else KeyType.API_KEY,
        "api_key": server.entra_token if is_token else server.key,
    }
    if form == "OpenAI":
        fields |= {"endpoint": server.openai_endpoint, "model_default": "gpt-test"}
    elif "v1" in form:
        fields |= {"endpoint": server.azure_v1_endpoint, "deployment_name": "gpt-test"}
    else:
        fields |= {"endpoint": server.azure_endpoint, "deployment_name": "gpt-test", "api_version": VERSION}
    return Configuration(**fields | changes)


def all_that_shows(error: BaseException) -> str:
    """Everything that a log, a pickle, a copy or a debugger shows of an error and of whatever led to it."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is not None and each not in seen:
            seen.append(each)
            todo += [each.__cause__, each.__context__]
    shown = [text for each in seen for text in (str(each), repr(each), repr(each.args), repr(vars(each)))]
    shown += traceback.format_exception(error)
    shown += [pickle.dumps(error).decode("latin-1"), repr(vars(copy.deepcopy(error)))]
    return "\n".join(shown)


@pytest.fixture(scope="session")
def afterwards() -> Iterator[Callable[[Callable[[], object]], object]]:
    """Does later what nobody needs to wait for; what fails there fails at the end."""
    with ThreadPoolExecutor(4) as pool:
        done: list[Future[object]] = []
        yield lambda work: done.append(pool.submit(work))
        for each in done:
            each.result()


@pytest.fixture
def server(afterwards: Callable[[Callable[[], object]], object]) -> Iterator[ProviderServer]:
    """Whatever a test makes of the answers, each request must be one that the provider's description allows."""
    open_server = ExitStack()
    running = open_server.enter_context(ProviderServer())
    running._http.socket.listen(128)  # its queue of 5 resets connections when 32 threads come at once
    yield running
    afterwards(open_server.close)  # takes 50 ms
    assert running.violations == []


@pytest.fixture
def reports() -> list[CallReport]:
    return []


@pytest.fixture
def client(server: ProviderServer, reports: list[CallReport]) -> Client:
    """At the server's OpenAI form; its reports go to `reports`; it tries once."""
    return Client(account(server), on_call=reports.append, timeout=PATIENCE, max_retries=0)
