"""The headers in the form of a configuration: typed like passwords, sent with each request, shown nowhere."""

import pytest
from streamlit.testing.v1 import AppTest

from db import SavedConfiguration
from pages.shared import base
from tests.pages.conftest import Workbench, choose_provider, everything, fill, labels, lines, press, said, say, visit
from tests.provider.answers import completion
from tests.provider.server import Reply

SECRET = "gateway-secret-93c1"
GATEWAY = "Ocp-Apim-Subscription-Key"


def type_header(at: AppTest, row: int, name: str, value: str, form: str = "new") -> AppTest:
    """Fill a row of the headers; the next row appears."""
    return fill(at, form, **{f"header_name:{row}": name, f"header_value:{row}": value}).run()


def new(workbench: Workbench, **fields: str) -> AppTest:
    own = {"display_name": "Mine", "endpoint": workbench.server.openai_endpoint, "model_default": "gpt-test"}
    return fill(visit("configurations", edit="new"), **{**own, "api_key": workbench.server.key, **fields}).run()


@pytest.fixture
def saved(workbench: Workbench) -> SavedConfiguration:
    return workbench.connect(headers={"X-Org": "org-1", "X-Gateway": SECRET})


def sent(workbench: Workbench, *names: str) -> list[str | None]:
    """The values of these headers in the next message."""
    say(visit("chat"), "Hello")
    return [workbench.server.requests[-1].headers.get(name) for name in names]


def test_headers_are_typed_row_by_row_and_sent_with_each_call(workbench: Workbench) -> None:
    at = type_header(new(workbench), 0, " X-Org ", "org-1")
    at = press(type_header(at, 1, "X-Gateway", f" {SECRET} "), "Save")
    assert lines(at.title) == ["Configurations"]
    assert sent(workbench, "x-org", "x-gateway") == ["org-1", SECRET]
    assert SECRET.encode() not in workbench.bytes_on_disk()
    for page in ("home", "configurations", "chat", "usage"):
        assert SECRET not in everything(visit(page))
    at = press(visit("configurations"), "Edit")
    assert SECRET not in everything(at)


def test_the_key_goes_into_the_header_that_the_form_names(workbench: Workbench) -> None:
    at = press(new(workbench, key_header=GATEWAY), "Save")
    assert f"key ••••{workbench.server.key[-4:]}" in said(at)
    workbench.server.next(Reply(200, completion("Hello")))
    assert sent(workbench, GATEWAY.lower(), "authorization") == [workbench.server.key, None]


def test_a_saved_header_is_kept_replaced_or_removed(workbench: Workbench, saved: SavedConfiguration) -> None:
    at = visit("configurations", edit=saved.id)
    values = [at.text_input(key=f"{saved.id}:header_value:{row}") for row in range(3)]
    assert [(each.value, each.placeholder) for each in values] == [("", "Leave empty to keep it")] * 2 + [("", "")]
    assert all(each.proto.type == each.proto.PASSWORD for each in values)
    at = press(type_header(at, 0, "X-Org", "org-2", saved.id), "Save")
    assert sent(workbench, "x-org", "x-gateway") == ["org-2", SECRET]
    at = press(type_header(visit("configurations", edit=saved.id), 0, "", "", saved.id), "Save")
    assert sent(workbench, "x-org", "x-gateway") == [None, SECRET]


def test_all_headers_can_be_removed(workbench: Workbench, saved: SavedConfiguration) -> None:
    at = visit("configurations", edit=saved.id)
    for row in (1, 0):
        at = type_header(at, row, "", "", saved.id)
    press(at.run(), "Save")
    assert sent(workbench, "x-org", "x-gateway") == [None, None]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("Host", "evil.example", "The header Host belongs to HTTP itself and cannot be set."),
        ("X Y", "1", "A header name has letters, digits, hyphens, underscores and dots only."),
        ("X-New", "", "Enter the value of the header X-New."),
        ("X-New", "typed-secret-0123é", "characters that no header can carry"),
        ("X-New", "••••0123", "the value is masked or shortened"),
    ],
)
def test_an_unusable_header_is_reported_below_the_headers(
    workbench: Workbench, name: str, value: str, sentence: str
) -> None:
    for at in (new(workbench), visit("configurations", edit=workbench.connect(display_name="Saved").id)):
        form = "".join(at.query_params["edit"])
        at = press(type_header(at, 0, name, value, form), "Save")
        assert sentence in said(at)
        assert "typed-secret" not in said(at)


def test_a_header_that_is_typed_twice_is_reported_at_once(workbench: Workbench) -> None:
    at = type_header(type_header(new(workbench), 0, "X-Org", "1"), 1, "X-Org", "2")
    assert "The header X-Org is there twice." in said(at)


def test_a_test_in_the_form_sends_typed_headers_and_stored_ones_to_the_saved_address_only(
    workbench: Workbench, saved: SavedConfiguration
) -> None:
    at = press(visit("configurations", edit=saved.id), "Test without saving")
    assert "All checks passed" in said(at) or "Works" in said(at)
    assert workbench.server.requests[-1].headers["x-gateway"] == SECRET
    before = len(workbench.server.requests)
    at = press(
        type_header(visit("configurations", edit=saved.id), 0, "X-Org", "org-2", saved.id), "Test without saving"
    )
    assert "Enter the key to test this address." in said(at)
    at = press(fill(at, saved.id, api_key=workbench.server.key), "Test without saving")
    assert "Enter all values to test this address." in said(at)
    assert len(workbench.server.requests) == before
    at = press(type_header(at, 1, "X-Gateway", "another-secret", saved.id), "Test without saving")
    assert workbench.server.requests[-1].headers["x-gateway"] == "another-secret"
    assert sent(workbench, "x-org", "x-gateway") == ["org-1", SECRET], "nothing was saved"


def test_another_host_asks_for_the_values_again(workbench: Workbench, saved: SavedConfiguration) -> None:
    elsewhere = {"endpoint": f"http://localhost:{workbench.server.port}/v1", "api_key": workbench.server.key}
    at = press(fill(visit("configurations", edit=saved.id), saved.id, **elsewhere), "Save")
    assert "The endpoint has another host now. Enter all values again." in said(at)


def test_the_code_of_a_call_names_the_variables_of_the_headers(workbench: Workbench, saved: SavedConfiguration) -> None:
    at = press(say(visit("chat"), "Hello"), "View code")
    assert "Put the values of the headers into HEADER_X_ORG, HEADER_X_GATEWAY." in said(at)
    assert SECRET not in everything(at)


def test_an_entra_token_has_no_key_header_but_other_headers(workbench: Workbench) -> None:
    at = choose_provider(visit("configurations", edit="new"), "AzureOpenAI")
    assert at.text_input(key="new:key_header").placeholder == "api-key"
    at.selectbox(key="new:key_type").select("Microsoft Entra token").run()
    assert "Key header" not in [each.label for each in at.text_input]
    assert "Header" in [each.label for each in at.text_input]


def test_a_pasted_command_fills_in_the_key_header(workbench: Workbench) -> None:
    command = f"curl https://apim.example.com/v1/chat/completions -H '{GATEWAY}: 0123456789abcdef'"
    at = fill(visit("configurations", edit="new"), pasted=command).run()
    assert at.text_input(key="new:key_header").value == GATEWAY
    assert "Filled in: key, provider, endpoint, key header." in said(at)
    assert at.text_input(key="new:api_key").value == "0123456789abcdef"
    assert "0123456789abcdef" not in said(at)


def test_the_activity_names_headers_and_shows_no_value(workbench: Workbench, saved: SavedConfiguration) -> None:
    at = type_header(visit("configurations", edit=saved.id), 1, "X-Gateway", "another-secret", saved.id)
    press(type_header(at, 2, "X-New", "new-secret", saved.id), "Save")
    details = base.database().audit.recent(base.person())[0].details
    assert details == ("Headers: X-Org, X-Gateway → X-Org, X-Gateway, X-New", "Header X-Gateway: value replaced")
    assert "Save" in labels(visit("configurations", edit=saved.id))
