"""The tuner: only what was set is sent, and the whole response is shown."""

import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import CANNOT_OPEN, Workbench, everything, go, lines, read, said, send, visit
from tests.provider.answers import completion, error
from tests.provider.server import Reply

ADVICE = "OpenAI recommends to alter temperature or top p, not both."
COST = "All choices are charged."
UNKNOWN = "–"


@pytest.fixture
def at(workbench: Workbench) -> AppTest:
    workbench.connect()
    return visit("tuner")


def tune(at: AppTest, **options: float) -> AppTest:
    for name, value in options.items():
        at.number_input(key=f"option:{name}").set_value(value)
    return at.run()


def prompts(at: AppTest, *, system: str, user: str) -> AppTest:
    at.text_area(key="tuner:system").set_value(system)
    return at.text_area(key="tuner:user").set_value(user).run()


def answered(workbench: Workbench, at: AppTest, answer: dict[str, Any]) -> AppTest:
    """Send the request, and receive this answer."""
    workbench.server.next(Reply(200, answer))
    return send(at, "Send")


def facts_of(at: AppTest) -> dict[str, str]:
    """The table of what the response says about itself, as a person reads it."""
    (table,) = at.table
    return {str(name): str(value).replace("\\", "") for name, value in table.value.iloc[:, 0].items()}


def choices(at: AppTest) -> list[tuple[str, str]]:
    """Caption and text of each choice, in their order on the page."""
    texts = [read(node) for node in at.main if node.type in ("caption", "markdown")]
    return [(text, texts[place + 1]) for place, text in enumerate(texts) if text.startswith("Choice ")]


# -- the request


def test_with_nothing_set_only_model_and_messages_are_sent(workbench: Workbench, at: AppTest) -> None:
    send(at, "Send")
    (body,) = workbench.bodies()
    assert set(body) == {"model", "messages"}
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert workbench.sql("SELECT page, operation, status FROM calls") == [("tuner", "call_api", "done")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0.0),
        ("temperature", 2.0),
        ("top_p", 0.0),
        ("n", 2),
        ("seed", 0),
        ("seed", -7),
        ("max_tokens", 1),
        ("max_completion_tokens", 5),
        ("frequency_penalty", -2.0),
        ("frequency_penalty", 0.0),
    ],
)
def test_a_parameter_is_sent_with_its_value(workbench: Workbench, at: AppTest, name: str, value: float) -> None:
    send(tune(at, **{name: value}), "Send")
    (body,) = workbench.bodies()
    assert set(body) == {"model", "messages", name}
    assert body[name] == value
    assert type(body[name]) is type(value)
    assert "1 of 14 parameters are sent." in said(at)


def test_a_cleared_parameter_is_no_longer_sent(workbench: Workbench, at: AppTest) -> None:
    send(tune(at, temperature=0.5), "Send")
    at.number_input(key="option:temperature").set_value(None)
    send(at, "Send")
    assert ["temperature" in body for body in workbench.bodies()] == [True, False]


def test_every_parameter_is_explained(at: AppTest) -> None:
    assert at.number_input
    assert all(field.help for field in at.number_input)


def test_temperature_and_top_p_together_give_a_warning_and_are_sent(workbench: Workbench, at: AppTest) -> None:
    assert ADVICE not in said(tune(at, temperature=0.5))
    assert ADVICE in said(tune(at, top_p=0.5))
    send(at, "Send")
    (body,) = workbench.bodies()
    assert (body["temperature"], body["top_p"]) == (0.5, 0.5)


def test_a_note_about_the_cost_is_shown_for_more_than_one_choice(at: AppTest) -> None:
    assert COST not in said(tune(at, n=1))
    assert COST in said(tune(at, n=2))


@pytest.mark.parametrize(
    ("system", "user", "roles"), [("Be kind.", "", ["system"]), (" ", "Hello", ["user"])], ids=["system", "user"]
)
def test_a_blank_prompt_is_left_out_of_the_request(
    workbench: Workbench, at: AppTest, system: str, user: str, roles: list[str]
) -> None:
    send(prompts(at, system=system, user=user), "Send")
    (body,) = workbench.bodies()
    assert [message["role"] for message in body["messages"]] == roles
    assert lines(at.warning) == []
    assert len(choices(at)) == 1


def test_two_blank_prompts_are_not_sent_and_stay_in_their_fields(workbench: Workbench, at: AppTest) -> None:
    send(prompts(tune(at, temperature=0.5), system=" ", user="\n"), "Send")
    assert lines(at.warning) == ["Write a prompt first: there is nothing to send."]
    assert [area.value for area in at.text_area] == [" ", "\n"]
    assert at.number_input(key="option:temperature").value == 0.5
    assert workbench.server.requests == []
    assert workbench.sql("SELECT count(*) FROM calls") == [(0,)]


# -- the response


def test_choices_are_shown_in_the_order_of_their_index(workbench: Workbench, at: AppTest) -> None:
    answer = completion("First", "Second")
    answer["choices"].reverse()
    answered(workbench, tune(at, n=2), answer)
    assert workbench.bodies()[0]["n"] == 2
    assert "2 choices" in lines(at.header)
    assert choices(at) == [("Choice 0", "First"), ("Choice 1", "Second")]


def test_a_table_shows_the_fields_of_the_response(workbench: Workbench, at: AppTest) -> None:
    assert facts_of(answered(workbench, at, completion("Two words"))) == {
        "Prompt tokens": "0",
        "Completion tokens": "2",
        "Total tokens": "2",
        "Model": "gpt-test",
        "Created": "2023-11-14 22:13:20 UTC",
        "System fingerprint": "fp_test",
        "Id": "chatcmpl-test",
    }


@pytest.mark.parametrize("absent", [True, False])
def test_values_that_were_not_reported_are_shown_as_a_dash(workbench: Workbench, at: AppTest, absent: bool) -> None:
    answer = completion("Hello", usage=None, system_fingerprint=None)
    if absent:
        del answer["usage"], answer["system_fingerprint"]
    table = facts_of(answered(workbench, at, answer))
    unknown = ["Prompt tokens", "Completion tokens", "Total tokens", "System fingerprint"]
    assert [table[name] for name in unknown] == [UNKNOWN] * 4
    assert "tokens not reported" in said(at)
    assert "None" not in said(at)
    assert workbench.sql("SELECT total_tokens, usage_source FROM calls") == [(None, "unknown")]


def test_the_requested_and_the_answering_model_are_both_shown_and_recorded(workbench: Workbench, at: AppTest) -> None:
    assert facts_of(send(at, "Send"))["Model"] == "gpt-test-2026-01-01"
    assert workbench.sql("SELECT model_asked, model_answered FROM calls") == [("gpt-test", "gpt-test-2026-01-01")]


def test_request_and_response_are_shown_unchanged(workbench: Workbench, at: AppTest) -> None:
    answer = completion("Größe 🙂", new_field={"of": ["tomorrow"]})
    answered(workbench, tune(at, seed=7), answer)
    request, response = (json.loads(code.value) for code in at.code)
    assert request == workbench.bodies()[0]
    assert response == answer


def test_the_page_says_that_the_model_returned_no_text(workbench: Workbench, at: AppTest) -> None:
    answer = completion("", choices=[{"index": 0, "message": {"role": "assistant"}, "finish_reason": "length"}])
    answered(workbench, at, answer)
    assert choices(at) == []
    assert "The model returned no text." in said(at)
    assert "The answer was cut off: it reached the token limit." in said(at)


def test_a_choice_without_text_is_shown_beside_a_choice_with_text(workbench: Workbench, at: AppTest) -> None:
    answered(workbench, at, completion("Yes.", ""))
    assert choices(at) == [("Choice 0", "Yes."), ("Choice 1", ":gray[No text.]")]


def test_the_page_links_to_an_explanation_of_tokens(workbench: Workbench, at: AppTest) -> None:
    (link,) = send(at, "Send").link_button
    assert (link.label, "managing-tokens" in link.proto.url) == ("Managing tokens", True)


# -- errors


def test_an_error_is_shown_and_the_parameters_stay(workbench: Workbench, at: AppTest) -> None:
    workbench.server.next(Reply(400, error("Unsupported value: temperature.", param="temperature")))
    send(prompts(tune(at, temperature=0.5, n=2), system="Be kind.", user="Hello"), "Send")
    (sentence,) = lines(at.error)
    assert "Unsupported value: temperature." in sentence
    assert workbench.sql("SELECT status, error FROM calls") == [("failed", sentence)]
    assert [at.number_input(key=f"option:{name}").value for name in ("temperature", "n")] == [0.5, 2]
    assert [area.value for area in at.text_area] == ["Be kind.", "Hello"]
    send(at, "Send")
    assert lines(at.error) == []
    assert workbench.bodies()[0] == workbench.bodies()[1]


def test_a_refused_key_that_the_provider_repeats_is_not_shown(workbench: Workbench, at: AppTest) -> None:
    key = workbench.server.key
    workbench.server.next(Reply(401, error(f"Incorrect API key provided: {key}.")))
    send(at, "Send")
    assert len(lines(at.error)) == 1
    assert key not in everything(at)


def test_a_key_that_cannot_be_opened_is_reported_and_no_call_is_recorded(workbench: Workbench, at: AppTest) -> None:
    workbench.break_keys()
    send(tune(at, temperature=0.5), "Send")
    assert lines(at.error) == [CANNOT_OPEN]
    assert at.number_input(key="option:temperature").value == 0.5
    assert workbench.sql("SELECT count(*) FROM calls") == [(0,)]


def test_a_missing_model_is_reported_and_no_call_is_recorded(workbench: Workbench) -> None:
    workbench.connect(model_default="")
    at = send(visit("tuner"), "Send")
    assert lines(at.warning) == ["Name a model: “OpenAI” has no default model."]
    assert workbench.server.requests == []


# -- state that is kept


def test_parameters_and_answer_stay_during_a_visit_to_another_page(workbench: Workbench, at: AppTest) -> None:
    answered(workbench, prompts(tune(at, temperature=0.5), system="", user="Hello"), completion("Kept."))
    go(go(at, "usage"), "tuner")
    assert at.number_input(key="option:temperature").value == 0.5
    assert [area.value for area in at.text_area] == ["", "Hello"]
    assert choices(at) == [("Choice 0", "Kept.")]
    assert len(workbench.server.requests) == 1


@pytest.mark.parametrize(
    ("name", "choice", "sent"),
    [
        ("presence_penalty", 0.0, 0.0),
        ("top_logprobs", 0, 0),
        ("verbosity", "low", "low"),
        ("reasoning_effort", "none", "none"),
        ("service_tier", "flex", "flex"),
        ("store", False, False),
        ("logprobs", True, True),
    ],
)
def test_the_newer_parameters_are_offered_and_sent(
    workbench: Workbench, name: str, choice: object, sent: object
) -> None:
    workbench.connect()
    at = visit("tuner")
    kind = "number_input" if isinstance(choice, int | float) and not isinstance(choice, bool) else "selectbox"
    getattr(at, kind)(key=f"option:{name}").set_value(choice).run()
    send(at, "Send")
    [received] = workbench.server.requests
    assert {key: value for key, value in received.body.items() if key not in ("messages", "model")} == {name: sent}
