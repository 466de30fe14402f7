"""Each use case that the built-in model supports, once, against the real model."""

import json
from collections.abc import Iterator

import pytest

from connector import ApiType, CallStatus, Configuration
from pages.shared import base
from tests.generation.conftest import until
from tests.pages.conftest import Workbench, labels, lines, press, said, visit
from tests.provider.real_model import RealModel

pytestmark = pytest.mark.slow
SERVED = [use_case.name for use_case in base.use_cases() if not {"images", "tools"} & set(use_case.needs)]
ENOUGH = 12
"""Characters after which an answer has begun; a small model can go on for long."""


@pytest.fixture(scope="module")
def real() -> Iterator[RealModel]:
    with RealModel() as running:
        yield running


def connect(real: RealModel) -> None:
    base.database().configurations.add(
        base.person(),
        Configuration(
            display_name="Built-in",
            api_type=ApiType.OPENAI,
            endpoint=real.base_url,
            api_key=real.api_key,
            model_default=real.name,
        ),
    )


def _written(workbench: Workbench) -> list[str]:
    return [content for (content,) in workbench.sql("SELECT content FROM messages WHERE role = 'assistant'")]


def _has_ended(workbench: Workbench) -> bool:
    return not workbench.sql("SELECT 1 FROM messages WHERE status = 'writing'")


@pytest.mark.parametrize(
    "page", [page if page in {"chat", "translate"} else pytest.param(page, marks=pytest.mark.soak) for page in SERVED]
)
def test_a_use_case_is_answered_by_the_built_in_model(workbench: Workbench, real: RealModel, page: str) -> None:
    connect(real)
    at = visit(page)
    if at.chat_input:
        at.chat_input[0].set_value("Name three colours.").run()
    else:
        press(at, next(button.label for button in at.button if button.proto.type == "primary"))
    until(lambda: all(len(content) >= ENOUGH for content in _written(workbench)) or _has_ended(workbench), 120)
    while "Stop" in labels(at.run()):
        press(at, "Stop")
    assert all(_written(workbench))
    statuses = {status for (status,) in workbench.sql("SELECT status FROM calls")}
    assert statuses <= {CallStatus.DONE, CallStatus.STOPPED}
    assert not at.exception
    assert lines(at.error) == []
    assert real.name in said(at)


@pytest.mark.soak
def test_the_built_in_model_returns_valid_json(workbench: Workbench, real: RealModel) -> None:
    """Its grammar guarantees JSON up to the point where the answer is cut off."""
    connect(real)
    at = visit("natural_language_interface")
    press(at, "Make commands")
    until(lambda: _has_ended(workbench), 120)
    ((content, reason),) = workbench.sql("SELECT content, finish_reason FROM messages")
    assert content.startswith("{")
    if reason == "stop":
        assert set(json.loads(content)) == {"commands", "remark"}
