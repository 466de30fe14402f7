"""The form of a configuration: its fields, its help, and what it says of what was typed."""

import pytest
from streamlit.testing.v1 import AppTest

from connector import ApiType, KeyType
from tests.connector.conftest import VERSION
from tests.pages.conftest import Workbench, choose_provider, fill, lines, press, said, visit

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
    return [field.label for field in at.text_input]


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
    assert fields(at) == ["Name", "Endpoint", "Default model", "API key"]
    assert not at.selectbox


def test_azure_has_a_deployment_a_version_and_no_model(workbench: Workbench) -> None:
    at = new("AzureOpenAI")
    assert fields(at) == ["Name", "Endpoint", "Deployment name", "API version", "API key"]
    assert at.selectbox(key="new:key_type").options == [
        "API key",
        "Microsoft Entra token",
        "Microsoft Entra identity",
    ]


def test_the_providers_are_called_by_their_captions(workbench: Workbench) -> None:
    at = visit("configurations", edit="new")
    assert at.segmented_control(key="new:api_type").options == ["OpenAI", "Azure OpenAI"]
    assert at.segmented_control(key="new:api_type").value == ApiType.OPENAI


def test_the_key_field_is_a_token_field_for_who_signs_in_with_one(workbench: Workbench) -> None:
    at = new("AzureOpenAI")
    at.selectbox(key="new:key_type").set_value(KeyType.ENTRA_TOKEN).run()
    assert fields(at)[-1] == "Token"
    at.selectbox(key="new:key_type").set_value(KeyType.API_KEY).run()
    assert fields(at)[-1] == "API key"
    at.selectbox(key="new:key_type").set_value(KeyType.ENTRA_IDENTITY).run()
    assert fields(at)[-1] == "API version"
    assert "this machine's own Microsoft Entra identity signs in" in " ".join(each.value for each in at.markdown)


def test_a_saved_configuration_fills_its_form_except_for_the_key(workbench: Workbench) -> None:
    saved = workbench.connect("Azure with a token")
    at = visit("configurations", edit=saved.id)
    assert [field.value for field in at.text_input] == [saved.display_name, saved.endpoint, "gpt-test", VERSION, ""]
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


# -- what helps


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
def test_the_form_links_to_where_a_key_is_from_and_to_the_reference(
    workbench: Workbench, api_type: str, links: list[str]
) -> None:
    text = said(new(api_type))
    for link in links:
        assert f"]({link})" in text


def test_the_form_tells_how_to_find_a_deployment(workbench: Workbench) -> None:
    at = new("AzureOpenAI")
    assert "Azure portal, Deployments" in at.text_input(key="new:deployment_name").help


def test_the_form_shows_the_address_that_will_be_called(workbench: Workbench) -> None:
    at = new("AzureOpenAI", **GOOD["AzureOpenAI"]).run()
    root = "https://your-resource-name.openai.azure.com/openai/deployments"
    assert [code.value for code in at.code] == [f"POST {root}/my-dep.1/chat/completions?api-version={VERSION}"]


def test_an_address_that_is_not_azures_is_warned_of_and_saved(workbench: Workbench) -> None:
    at = new("AzureOpenAI", **GOOD["AzureOpenAI"] | {"endpoint": "https://gateway.example"}).run()
    assert NOT_AZURE in "\n".join(lines(at.warning))
    press(at, "Save")
    assert workbench.sql("SELECT endpoint FROM configurations") == [("https://gateway.example",)]


@pytest.mark.parametrize("api_type", GOOD)
def test_a_usual_address_is_not_warned_of(workbench: Workbench, api_type: str) -> None:
    assert not new(api_type, **GOOD[api_type]).run().warning


# -- what cannot be saved


def test_all_that_is_wrong_is_told_at_once_and_stays_as_it_was_typed(workbench: Workbench) -> None:
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
def test_a_field_that_cannot_work_is_refused_in_place(
    workbench: Workbench, api_type: str, field: str, value: str
) -> None:
    at = press(new(api_type, **GOOD[api_type] | {field: value}), "Save")
    assert len(problems(at)) == 1
    assert at.text_input(key=f"new:{field}").value == value
    assert rows(workbench) == 0
    press(fill(at, **{field: GOOD[api_type][field]}), "Save")
    assert rows(workbench) == 1


def test_a_name_that_is_taken_is_refused_in_whatever_case(workbench: Workbench) -> None:
    workbench.connect(display_name="Straße")
    at = press(new("OpenAI", **GOOD["OpenAI"] | {"display_name": " STRASSE "}), "Save")
    assert problems(at) == ["Another configuration has this name already."]
    assert rows(workbench) == 1


# -- leaving it


def test_leaving_the_form_forgets_what_was_typed(workbench: Workbench) -> None:
    at = press(new("OpenAI", display_name="Draft", api_key=""), "Save")
    assert problems(at)
    at = press(press(at, "Back to the list"), "New configuration")
    assert problems(at) == []
    assert at.text_input(key="new:display_name").value == ""
    assert rows(workbench) == 0


def test_the_address_of_a_configuration_that_is_gone_shows_the_list(workbench: Workbench) -> None:
    at = visit("configurations", edit="0" * 32)
    assert lines(at.title) == ["Configurations"]
    assert at.query_params == {}


def test_saving_what_somebody_else_deleted_meanwhile_shows_the_list(workbench: Workbench) -> None:
    saved = workbench.connect()
    at = fill(visit("configurations", edit=saved.id), saved.id, display_name="Renamed")
    workbench.sql("DELETE FROM configurations")
    assert lines(press(at, "Save").title) == ["Configurations"]
    assert rows(workbench) == 0
