"""The form of a configuration: its fields, its help, and its errors."""

import pytest
from streamlit.testing.v1 import AppTest

from connector import ApiType, KeyType, Price
from pages.shared import base
from tests.connector.conftest import VERSION
from tests.pages.conftest import CANNOT_OPEN, Workbench, choose_provider, fill, go, labels, lines, press, said, visit

OPENAI_DEFAULT = "https://api.openai.com/v1"
SEED_ENDPOINT = "https://your-resource-name.openai.azure.com/openai/deployments/"
NOT_AZURE = "This does not look like an Azure OpenAI address"
GOOD = {
    "OpenAI": {"display_name": "Mine", "endpoint": OPENAI_DEFAULT, "api_key": "sk-good-key-1234"},
    "AzureOpenAI": {
        "display_name": "Mine",
        "endpoint": SEED_ENDPOINT,
        "deployment_name": "my-dep.1",
        "api_version": VERSION,
        "api_key": "0123456789abcdef",
    },
}


def new(api_type: str = "OpenAI", **fields: str) -> AppTest:
    """The form of a new configuration, filled in."""
    return fill(choose_provider(visit("configurations", edit="new"), api_type), **fields)


def fields(at: AppTest) -> list[str]:
    """The labels of the text fields, without those of the headers."""
    return [field.label for field in at.text_input if field.label not in ("Key header", "Header", "Value")]


def endpoint(at: AppTest) -> str:
    return str(at.text_input(key="new:endpoint").value)


def problems(at: AppTest) -> list[str]:
    """The sentences in red below the fields, from top to bottom."""
    marked = [text for text in lines(at.markdown) if text.startswith(":small[:red[:material/error:")]
    return [text.partition("\u2002")[2].removesuffix("]]") for text in marked]


def rows(workbench: Workbench) -> int:
    return int(workbench.sql("SELECT count(*) FROM configurations")[0][0])


# -- the fields of each provider


def test_openai_has_a_default_model_and_no_deployment(workbench: Workbench) -> None:
    at = new("OpenAI")
    assert fields(at) == ["Paste anything", "Name", "Endpoint", "API key", "Default model"]
    assert not at.selectbox


def test_azure_has_a_deployment_a_version_and_no_model(workbench: Workbench) -> None:
    at = new("AzureOpenAI")
    assert fields(at) == ["Paste anything", "Name", "Endpoint", "Deployment name", "API version", "API key"]
    assert at.selectbox(key="new:key_type").options == [
        "API key",
        "Microsoft Entra token",
        "Microsoft Entra identity",
    ]


def test_the_providers_have_captions(workbench: Workbench) -> None:
    at = visit("configurations", edit="new")
    assert at.segmented_control(key="new:api_type").options == ["OpenAI", "Azure OpenAI"]
    assert at.segmented_control(key="new:api_type").value == ApiType.OPENAI


def test_the_key_field_becomes_a_token_field_for_entra_sign_in(workbench: Workbench) -> None:
    at = new("AzureOpenAI")
    at.selectbox(key="new:key_type").set_value(KeyType.ENTRA_TOKEN).run()
    assert fields(at)[-1] == "Token"
    at.selectbox(key="new:key_type").set_value(KeyType.API_KEY).run()
    assert fields(at)[-1] == "API key"
    at.selectbox(key="new:key_type").set_value(KeyType.ENTRA_IDENTITY).run()
    assert fields(at)[-1] == "API version"
    assert "the Microsoft Entra identity of this machine signs in" in " ".join(each.value for each in at.markdown)


def test_a_saved_configuration_fills_its_form_except_for_the_key(workbench: Workbench) -> None:
    saved = workbench.connect("Azure with a token")
    at = visit("configurations", edit=saved.id)
    assert [field.value for field in at.text_input][:6] == [
        "",
        saved.display_name,
        saved.endpoint,
        "gpt-test",
        VERSION,
        "",
    ]
    assert fields(at)[-1] == "Token"


def test_the_default_endpoint_goes_with_the_provider(workbench: Workbench) -> None:
    at = visit("configurations", edit="new")
    seen = [endpoint(at)]
    for api_type in ("AzureOpenAI", "OpenAI"):
        choose_provider(at, api_type)
        seen.append(endpoint(at))
    assert seen == [OPENAI_DEFAULT, "", OPENAI_DEFAULT]


def test_an_endpoint_that_was_typed_stays_when_the_provider_changes(workbench: Workbench) -> None:
    at = new("OpenAI", endpoint="https://gateway.example/v1")
    for api_type in ("AzureOpenAI", "OpenAI"):
        assert endpoint(choose_provider(at, api_type)) == "https://gateway.example/v1"


# -- help


@pytest.mark.parametrize(
    ("api_type", "links"),
    [
        (
            "OpenAI",
            [
                "https://platform.openai.com/account/api-keys",
                "https://platform.openai.com/docs/api-reference/chat",
            ],
        ),
        (
            "AzureOpenAI",
            [
                "https://learn.microsoft.com/en-gb/azure/ai-services/openai/how-to/managed-identity",
                "https://learn.microsoft.com/en-gb/azure/ai-services/openai/reference",
            ],
        ),
    ],
)
def test_the_form_links_to_the_key_page_and_the_reference(
    workbench: Workbench, api_type: str, links: list[str]
) -> None:
    text = said(new(api_type))
    for link in links:
        assert f"]({link})" in text


def test_the_form_explains_how_to_find_a_deployment(workbench: Workbench) -> None:
    at = new("AzureOpenAI")
    assert "Azure portal, Deployments" in at.text_input(key="new:deployment_name").help


def test_the_form_shows_the_address_that_will_be_called(workbench: Workbench) -> None:
    at = new("AzureOpenAI", **GOOD["AzureOpenAI"]).run()
    root = "https://your-resource-name.openai.azure.com/openai/deployments"
    assert [code.value for code in at.code] == [f"POST {root}/my-dep.1/chat/completions?api-version={VERSION}"]


def test_an_address_outside_azure_gives_a_warning_and_is_saved(workbench: Workbench) -> None:
    at = new("AzureOpenAI", **GOOD["AzureOpenAI"] | {"endpoint": "https://gateway.example"}).run()
    assert NOT_AZURE in "\n".join(lines(at.warning))
    press(at, "Save")
    assert workbench.sql("SELECT endpoint FROM configurations") == [("https://gateway.example",)]


@pytest.mark.parametrize("api_type", GOOD)
def test_a_usual_address_gives_no_warning(workbench: Workbench, api_type: str) -> None:
    assert not new(api_type, **GOOD[api_type]).run().warning


# -- what cannot be saved


def test_all_errors_of_the_form_are_shown_at_once_and_the_typed_text_stays(workbench: Workbench) -> None:
    wrong = {
        "display_name": " ",
        "endpoint": "ftp://here",
        "deployment_name": "my/dep",
        "api_version": "2024-13-40",
        "api_key": " ",
    }
    at = press(new("AzureOpenAI", **wrong), "Save")
    assert problems(at) == [
        "Enter a name.",
        "The endpoint must start with https:// or http://.",
        "A deployment name has letters, digits, hyphens, underscores and dots only.",
        "The API version looks like 2024-10-21 or 2025-04-01-preview, or is v1.",
        "Enter the key.",
    ]
    assert {name: at.text_input(key=f"new:{name}").value for name in wrong} == wrong
    assert lines(at.title) == ["New configuration"]
    assert rows(workbench) == 0


BAD = [
    ("OpenAI", "display_name", ""),
    ("OpenAI", "endpoint", ""),
    ("OpenAI", "endpoint", "ftp://here"),
    ("OpenAI", "endpoint", "javascript:alert(1)"),
    ("OpenAI", "api_key", ""),
    ("OpenAI", "api_key", "two\nlines"),
    ("AzureOpenAI", "deployment_name", ""),
    ("AzureOpenAI", "deployment_name", "my/dep"),
    ("AzureOpenAI", "deployment_name", "../../x"),
    ("AzureOpenAI", "deployment_name", "d?a=b"),
    ("AzureOpenAI", "api_version", ""),
    ("AzureOpenAI", "api_version", "2024-2-1"),
    ("AzureOpenAI", "api_version", "15-05-2023"),
    ("AzureOpenAI", "api_version", "2024-13-40"),
    ("AzureOpenAI", "api_version", "2024-02-15preview"),
]


@pytest.mark.parametrize(("api_type", "field", "value"), BAD)
def test_an_invalid_field_shows_its_error_below_the_field(
    workbench: Workbench, api_type: str, field: str, value: str
) -> None:
    at = press(new(api_type, **GOOD[api_type] | {field: value}), "Save")
    assert len(problems(at)) == 1
    assert at.text_input(key=f"new:{field}").value == value
    assert rows(workbench) == 0
    press(fill(at, **{field: GOOD[api_type][field]}), "Save")
    assert rows(workbench) == 1


def test_a_name_that_is_in_use_is_refused_in_upper_and_lower_case(workbench: Workbench) -> None:
    workbench.connect(display_name="Straße")
    at = press(new("OpenAI", **GOOD["OpenAI"] | {"display_name": " STRASSE "}), "Save")
    assert problems(at) == ["Another configuration has this name already."]
    assert rows(workbench) == 1


# -- leaving the form


def test_leaving_the_form_discards_the_typed_text(workbench: Workbench) -> None:
    at = press(new("OpenAI", display_name="Draft", api_key=""), "Save")
    assert problems(at)
    at = press(press(at, "Back to list"), "New configuration")
    assert problems(at) == []
    assert at.text_input(key="new:display_name").value == ""
    assert rows(workbench) == 0


def test_the_address_of_a_deleted_configuration_shows_the_list(workbench: Workbench) -> None:
    at = visit("configurations", edit="0" * 32)
    assert lines(at.title) == ["Configurations"]
    assert at.query_params == {}


@pytest.mark.parametrize("is_saved", [True, False])
def test_saving_a_configuration_that_was_deleted_meanwhile_creates_a_new_configuration(
    workbench: Workbench, is_saved: bool
) -> None:
    saved = workbench.connect("Azure with a key")
    typed = {"display_name": "Renamed", "deployment_name": "mine", "api_key": "the-key-again"}
    at = visit("configurations", edit=saved.id)
    at.selectbox(key=f"{saved.id}:key_type").set_value(KeyType.ENTRA_TOKEN).run()
    at.number_input(key=f"{saved.id}:price:input").set_value(1.5)
    at.number_input(key=f"{saved.id}:price:output").set_value(3)
    fill(at, saved.id, **typed)
    workbench.sql("DELETE FROM configurations")
    at = press(at, "Save") if is_saved else at.run()
    assert lines(at.title) == ["New configuration"]
    assert lines(at.toast) == ["Somebody else deleted this configuration. Saving this form creates a new one."]
    press(at, "Save")
    (new,) = base.database().configurations.all(base.person())
    assert (new.display_name, new.endpoint, new.deployment_name) == ("Renamed", saved.endpoint, "mine")
    assert (new.api_version, new.key_type, new.price and new.price.input) == (VERSION, KeyType.ENTRA_TOKEN, 1.5)
    assert saved.id not in str(at.session_state.to_dict())


def test_late_events_of_a_closed_form_break_nothing(workbench: Workbench) -> None:
    """Its callbacks run before the page, where no frame catches their errors."""

    def late() -> None:
        from pages.shared.configurations import form as configuration_form
        from pages.shared.configurations import trial as configuration_trial

        configuration_form._take_pasted("gone")
        configuration_form._offer_default_endpoint("gone")
        configuration_trial._take_model("gone")

    assert not AppTest.from_function(late).run().exception


# -- two administrators at once


def test_the_second_of_two_administrators_sees_the_conflict_and_decides(workbench: Workbench) -> None:
    saved = workbench.connect()
    first, second = (visit("configurations", edit=saved.id) for _ in range(2))
    press(fill(first, saved.id, display_name="Theirs", model_default="gpt-theirs"), "Save")
    second = press(fill(second, saved.id, display_name="Mine"), "Save")
    assert lines(second.warning) == [
        "Local administrator changed “Theirs” meanwhile (Name: OpenAI → Theirs; Default model: gpt-test → gpt-theirs). "
        "Your changes are not saved yet."
    ]
    overwritten = "Name: Theirs → Mine; Default model: gpt-theirs → gpt-test"
    assert f"Saving will overwrite these changes: {overwritten}." in said(second)
    assert second.text_input(key=f"{saved.id}:display_name").value == "Mine"
    assert workbench.sql("SELECT display_name FROM configurations") == [("Theirs",)]
    press(second, "Overwrite")
    assert workbench.sql("SELECT display_name, model_default FROM configurations") == [("Mine", "gpt-test")]


def test_the_conflict_lists_all_changes_that_saving_would_overwrite(workbench: Workbench) -> None:
    saved = workbench.connect()
    at = fill(visit("configurations", edit=saved.id), saved.id, api_key="sk-mine-0123456789")
    changes: list[dict[str, object]] = [{"model_default": "gpt-2"}, {"price": Price(input=1, output=2)}]
    for change in changes:
        base.database().configurations.change(base.person(), saved.id, change)
    at = press(at, "Save")
    assert "(Own price: changed)" in said(at)
    assert "Saving will overwrite these changes: Default model: gpt-2 → gpt-test; the own price; the key." in said(at)
    assert "sk-mine-0123456789" not in said(at)


def test_the_second_administrator_can_discard_their_own_changes(workbench: Workbench) -> None:
    saved = workbench.connect()
    first, second = (visit("configurations", edit=saved.id) for _ in range(2))
    press(fill(first, saved.id, display_name="Theirs"), "Save")
    second = press(press(fill(second, saved.id, display_name="Mine"), "Save"), "Show theirs")
    assert second.text_input(key=f"{saved.id}:display_name").value == "Theirs"
    assert not second.warning
    press(fill(second, saved.id, model_default="gpt-both"), "Save")
    assert workbench.sql("SELECT display_name, model_default FROM configurations") == [("Theirs", "gpt-both")]


def test_a_form_that_is_opened_again_edits_the_values_that_are_stored_now(workbench: Workbench) -> None:
    saved = workbench.connect()
    at = go(visit("configurations", edit=saved.id), "usage")
    base.database().configurations.change(base.person(), saved.id, {"display_name": "Theirs"})
    at.query_params["edit"] = saved.id
    at = at.switch_page("manage/configurations.py").run()
    press(fill(at, saved.id, model_default="gpt-mine"), "Save")
    assert workbench.sql("SELECT display_name, model_default FROM configurations") == [("Theirs", "gpt-mine")]


# -- the default endpoint


def test_apply_fills_in_the_default_endpoint(workbench: Workbench) -> None:
    at = fill(new("OpenAI"), endpoint="https://gateway.example/v1").run()
    assert f"Default] `{OPENAI_DEFAULT}`" in said(at)
    at = press(at, "Apply")
    assert endpoint(at) == OPENAI_DEFAULT
    assert "Apply" not in labels(at)
    assert "Apply" not in labels(new("AzureOpenAI"))


# -- paste anything


PASTED = {
    "a target address of the Azure portal": (
        "https://res.openai.azure.com/openai/deployments/gpt4/chat/completions?api-version=2024-10-21",
        {"api_type": "AzureOpenAI", "deployment_name": "gpt4", "api_version": "2024-10-21"},
    ),
    "a line of a wiki": ("Our server: http://llm.example:8000/v1/chat/completions (ask Ann)", {"api_type": "OpenAI"}),
}


@pytest.mark.parametrize(("text", "fields"), PASTED.values(), ids=PASTED.keys())
def test_pasted_text_fills_the_fields(workbench: Workbench, text: str, fields: dict[str, str]) -> None:
    at = fill(visit("configurations", edit="new"), pasted=text, display_name="Mine").run()
    shown = {"api_type": str(at.segmented_control(key="new:api_type").value)}
    shown |= {name: str(at.text_input(key=f"new:{name}").value) for name in fields if name != "api_type"}
    assert shown == fields
    assert ("Request URL" in said(at), at.text_input(key="new:pasted").value) == (True, "")
    assert "Filled in: " in said(at)
    assert at.text_input(key="new:display_name").value == "Mine"


def test_pasted_text_without_an_address_is_reported_and_stays(workbench: Workbench) -> None:
    at = fill(visit("configurations", edit="new"), pasted="nothing of use").run()
    assert len(problems(at)) == 1
    assert at.text_input(key="new:pasted").value == "nothing of use"
    assert endpoint(at) == OPENAI_DEFAULT
    assert problems(fill(at, pasted="").run()) == []


@pytest.mark.parametrize(
    "text",
    ["{key}", "curl {endpoint}/chat/completions -H 'Authorization: Bearer {key}'", "OPENAI_API_KEY={key}\n"],
    ids=["bare", "curl", "variable"],
)
def test_a_pasted_key_goes_into_its_field_and_disappears_from_the_other(
    workbench: Workbench, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    key, endpoint = workbench.server.key, workbench.server.openai_endpoint
    at = visit("configurations", edit="new")
    fill(at, display_name="Mine", endpoint=endpoint, model_default="gpt-test")
    fill(at, pasted=text.format(key=key, endpoint=endpoint)).run()
    assert (at.text_input(key="new:pasted").value, at.text_input(key="new:api_key").value) == ("", key)
    assert problems(at) == []
    assert key not in said(at)
    assert key not in caplog.text
    press(at, "Save")
    (saved,) = base.database().configurations.all(base.person())
    assert workbench.key_of(saved) == key


def test_what_was_wrong_with_a_field_disappears_when_it_is_changed(workbench: Workbench) -> None:
    at = press(fill(visit("configurations", edit="new"), display_name=""), "Save")
    assert "Enter the key." in said(at)
    assert "Enter the key." not in said(fill(at, api_key="sk-0123456789").run())


# -- the provider's models


def test_the_person_can_pick_a_model_from_the_provider_s_list(workbench: Workbench) -> None:
    saved = workbench.connect(model_default="")
    at = press(visit("configurations", edit=saved.id), "List models")
    options = at.selectbox(key=f"{saved.id}:model_picked").options
    assert "gpt-test" in options
    at.selectbox(key=f"{saved.id}:model_picked").select("gpt-test").run()
    assert at.text_input(key=f"{saved.id}:model_default").value == "gpt-test"
    press(fill(at, saved.id, model_default="any-other"), "Save")
    assert workbench.sql("SELECT model_default FROM configurations") == [("any-other",)]


def test_models_are_listed_with_the_key_that_is_typed(workbench: Workbench) -> None:
    server = workbench.server
    at = fill(visit("configurations", edit="new"), endpoint=server.openai_endpoint, api_key=server.key).run()
    at = press(at, "List models")
    assert "gpt-test" in at.selectbox(key="new:model_picked").options
    at = press(fill(at, api_key="sk-wrong-key-0123456789"), "List models")
    assert any("key" in sentence for sentence in problems(at))
    assert "sk-wrong-key-0123456789" not in said(at)


def test_the_retirement_date_is_shown_when_the_provider_gives_it(workbench: Workbench) -> None:
    saved, other = workbench.connect("Azure with a key"), workbench.connect()
    press(visit("configurations", edit=saved.id), "Test without saving")
    at = visit("configurations", edit=saved.id)
    assert "Last used: gpt-test-2026-01-01" in said(at)
    assert "Retires on 1 March 2027, according to the provider." in said(press(at, "Check retirement"))
    at = press(visit("configurations", edit=other.id), "Check retirement")
    assert "The provider gives no retirement date." in said(at)


# -- Test


def test_a_new_configuration_is_tested_with_the_typed_key(workbench: Workbench) -> None:
    server = workbench.server
    typed = {"endpoint": server.openai_endpoint, "model_default": "gpt-test", "api_key": server.key}
    at = press(fill(visit("configurations", edit="new"), display_name="Mine", **typed), "Test without saving")
    assert "Works, with 2 warnings" in said(at)
    assert rows(workbench) == 0
    assert at.text_input(key="new:api_key").value == server.key
    assert workbench.sql("SELECT page, operation, configuration_id, configuration_name FROM calls LIMIT 1") == [
        ("configurations", "test", None, "Mine")
    ]
    (entry,) = base.database().audit.recent(base.person())
    assert (entry.action, entry.details) == ("tested", ("Passed", f"Not saved yet: {server.url}"))
    at = fill(at, endpoint="https://elsewhere.example/v1").run()
    assert "Works, with 2 warnings" not in said(at), "it was about another address"


def test_a_saved_configuration_is_tested_with_its_stored_key_and_the_typed_model(workbench: Workbench) -> None:
    saved = workbench.connect()
    at = press(fill(visit("configurations", edit=saved.id), saved.id, model_default="chat-test"), "Test without saving")
    assert "Works, with 2 warnings" in said(at)
    assert {body["model"] for body in workbench.bodies() if body} == {"chat-test"}
    assert workbench.sql("SELECT DISTINCT configuration_id FROM calls") == [(saved.id,)]
    assert workbench.sql("SELECT model_default FROM configurations") == [("gpt-test",)]


@pytest.mark.parametrize("button", ["Test without saving", "List models"])
def test_a_stored_key_is_never_sent_to_an_address_that_is_not_saved(workbench: Workbench, button: str) -> None:
    saved = workbench.connect()
    elsewhere = f"http://localhost:{workbench.server.port}/v1"
    at = fill(visit("configurations", edit=saved.id), saved.id, endpoint=elsewhere).run()
    assert at.text_input(key=f"{saved.id}:api_key").placeholder == "Enter the key of this address"
    at = press(at, button)
    assert problems(at) == ["Enter the key to test this address. The stored key is only sent to the saved address."]
    assert workbench.server.requests == []


def test_errors_of_the_form_are_shown_before_a_test_sends_anything(workbench: Workbench) -> None:
    at = press(
        fill(visit("configurations", edit="new"), endpoint="ftp://here", api_key="sk-typed-0123"), "Test without saving"
    )
    assert problems(at) == ["The endpoint must start with https:// or http://."]
    at = press(fill(visit("configurations", edit="new")), "Test without saving")
    assert problems(at) == ["Enter the key."]
    assert workbench.server.requests == []


def test_a_test_with_a_key_that_cannot_be_opened_asks_for_the_key(workbench: Workbench) -> None:
    saved = workbench.connect()
    workbench.break_keys()
    at = press(visit("configurations", edit=saved.id), "Test without saving")
    assert problems(at) == [CANNOT_OPEN]
    assert at.text_input(key=f"{saved.id}:api_key").placeholder == "Cannot be opened; enter it again"
