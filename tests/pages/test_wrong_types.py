"""A response with values of wrong types breaks no page, now or after a reload, and no log quotes it."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pages.conftest import Workbench, reply, send, use, visit
from tests.provider.answers import completion
from tests.provider.server import Reply

SECRET = "words-of-the-provider"
CALL = {"id": "c1", "type": "function", "function": {"name": "File", "arguments": "{}"}}
WHOLE = completion("Hello", "Other")
WHOLE["choices"][1]["message"] |= {"tool_calls": [CALL], "annotations": [], "reasoning": "Hm"}
WRONG: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 7.5, 2**70, 1706937715819, 1e308, "", SECRET, "17", [], [None], [SECRET], {}, {"a": SECRET}, [{}]]
)
PAGES = ["tuner", "operations", "function_calling", "analyse_text", "write_code"]


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with every key or index in it, however deep."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield node, key
        yield from places(value)


@st.composite
def responses(draw: st.DrawFn) -> dict[str, Any]:
    """A response in which up to three values are of a wrong type."""
    response = copy.deepcopy(WHOLE)
    for _ in range(draw(st.integers(1, 3))):
        node, key = draw(st.sampled_from([*places(response)]))
        node[key] = draw(WRONG)
    return response


def assert_drawn(page: str, response: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Assert that the page opens with this response, and that nothing of the response is logged."""
    caplog.clear()
    at = visit(page)
    assert not at.exception, response
    assert not [each.value for each in at.error if "unexpected" in each.value], response
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "changes",
    [
        {"created": 1706937715819},
        {"created": 1706937715.819},
        {"created": "1706937715"},
        {"created": 10**30},
        {"id": 4711},
        {"model": ["a"]},
        {"system_fingerprint": {"a": 1}},
        {"usage": {"prompt_tokens": "7", "completion_tokens": -1, "total_tokens": 10**30}},
        {"usage": "many"},
        {"object": None, "service_tier": 3},
    ],
)
def test_the_tuner_shows_a_response_with_a_wrong_value_also_after_a_reload(
    workbench: Workbench, changes: dict[str, Any]
) -> None:
    workbench.connect()
    workbench.server.next(Reply(200, completion("OK", **changes)))
    for at in (send(visit("tuner"), "Send"), visit("tuner")):
        assert not at.exception
        assert [each.value for each in at.error] == []
        assert len(at.table) == 1


@pytest.mark.parametrize("created", [1706937715819, 1706937715.819, "1706937715"])
def test_the_time_of_a_response_is_read_in_milliseconds_and_from_a_text(workbench: Workbench, created: object) -> None:
    workbench.connect()
    workbench.server.next(Reply(200, completion("OK", created=created)))
    at = send(visit("tuner"), "Send")
    assert "2024\\-02\\-03 05\\:21\\:55 UTC" in str(at.table[0].value)


def test_any_stored_response_is_drawn_by_every_page_that_draws_one(
    workbench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    workbench.connect()
    for page in PAGES:
        reply(workbench, "Hello") if page == "function_calling" else None
        use(visit(page))
    assert workbench.sql("SELECT count(*) FROM messages WHERE response IS NOT NULL") == [(len(PAGES) + 2,)]

    @given(response=responses(), page=st.sampled_from(PAGES))
    @settings(suppress_health_check=[HealthCheck.too_slow])
    def drawn(response: dict[str, Any], page: str) -> None:
        workbench.sql("UPDATE messages SET response = ?", json.dumps(response))
        assert_drawn(page, response, caplog)

    drawn()


def test_any_received_response_is_drawn_now_and_after_a_reload(
    workbench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    workbench.connect()

    @given(response=responses(), page=st.sampled_from(["tuner", "write_code"]))
    @settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
    def drawn(response: dict[str, Any], page: str) -> None:
        workbench.server.next(Reply(200, response))
        at = use(visit(page))
        assert not at.exception, response
        assert not [each.value for each in at.error if "unexpected" in each.value], response
        assert_drawn(page, response, caplog)

    drawn()
