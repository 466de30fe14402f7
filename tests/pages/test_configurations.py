"""The configurations page: the list, its cards and their actions, and who may see it."""

import pytest
from streamlit.testing.v1 import AppTest

from connector import steps_of
from pages.shared import base
from tests.connector.conftest import VERSION
from tests.pages.conftest import (
    CANNOT_OPEN,
    DEMO,
    Workbench,
    choose_provider,
    everything,
    fill,
    labels,
    lines,
    press,
    said,
    say,
    visit,
)
from tests.provider.answers import completion, error
from tests.provider.server import ProviderServer, Reply

WAY = Reply(404)  # to the request that looks whether the host is there
FORMS = ("OpenAI", "Azure with a key", "Azure with a token", "Azure v1 with a key", "Azure v1 with a token")


def steps_shown(at: AppTest) -> list[str]:
    """The labels of the steps of a test."""
    return [expander.label for expander in at.expander]


def authorisation(server: ProviderServer) -> dict[str, str]:
    """The credential of the last request."""
    headers = server.requests[-1].headers
    return {name: headers[name] for name in ("authorization", "api-key") if name in headers}


def add(api_type: str = "OpenAI", key_type: str = "", **fields: str) -> AppTest:
    """Fill the form of a new configuration and save it."""
    at = choose_provider(visit("configurations", edit="new"), api_type)
    if key_type:
        at.selectbox(key="new:key_type").select(key_type).run()
    return press(fill(at, **fields), "Save")


# -- adding


def test_an_openai_account_is_added_and_used_at_once(workbench: Workbench) -> None:
    server = workbench.server
    at = add(display_name="  Mine ", endpoint=server.openai_endpoint, model_default="gpt-test", api_key=server.key)
    assert lines(at.title) == ["Configurations"]
    assert at.query_params == {}
    columns = "display_name, api_type, key_type, endpoint, deployment_name, api_version, model_default"
    assert workbench.sql(f"SELECT {columns} FROM configurations") == [
        ("Mine", "OpenAI", "ApiKey", server.openai_endpoint, "", "", "gpt-test")
    ]
    say(visit("chat"), "Hello")
    assert server.requests[-1].path == "/v1/chat/completions"
    assert server.requests[-1].query == {}
    assert authorisation(server) == {"authorization": f"Bearer {server.key}"}


def test_an_added_configuration_survives_a_restart(workbench: Workbench) -> None:
    server = workbench.server
    add(display_name="Mine", endpoint=server.openai_endpoint, model_default="gpt-test", api_key=server.key)
    workbench.start()
    assert "Tested " in said(press(visit("configurations"), "Test"))
    assert authorisation(server) == {"authorization": f"Bearer {server.key}"}


@pytest.mark.parametrize(
    ("key_type", "caption", "stored"),
    [("key", "API key", "ApiKey"), ("token", "Microsoft Entra token", "EntraToken")],
)
def test_an_azure_account_is_added_with_a_key_or_a_token(
    workbench: Workbench, key_type: str, caption: str, stored: str
) -> None:
    server = workbench.server
    secret = {"key": server.key, "token": server.entra_token}[key_type]
    address = {"endpoint": server.azure_endpoint, "deployment_name": "gpt-test", "api_version": VERSION}
    add("AzureOpenAI", caption, display_name="Ours", **address, api_key=secret)
    columns = "api_type, key_type, endpoint, deployment_name, api_version, model_default"
    assert workbench.sql(f"SELECT {columns} FROM configurations") == [
        ("AzureOpenAI", stored, server.azure_endpoint, "gpt-test", VERSION, "")
    ]
    say(visit("chat"), "Hello")
    assert server.requests[-1].path == "/openai/deployments/gpt-test/chat/completions"
    assert server.requests[-1].query == {"api-version": VERSION}
    expected = {"key": {"api-key": secret}, "token": {"authorization": f"Bearer {secret}"}}
    assert authorisation(server) == expected[key_type]


COPIED = {
    "as in the manual": "/openai/deployments/",
    "without its last slash": "/openai/deployments",
    "the resource alone": "/",
    "a whole target address": "/openai/deployments/gpt-test/chat/completions?api-version=2023-05-15",
}


@pytest.mark.parametrize("path", COPIED.values(), ids=COPIED.keys())
def test_an_azure_address_is_stored_as_typed_and_called_correctly(workbench: Workbench, path: str) -> None:
    server = workbench.server
    own = {"endpoint": f"{server.url}{path}", "deployment_name": "gpt-test", "api_version": VERSION}
    add("AzureOpenAI", display_name="Ours", **own, api_key=server.key)
    assert workbench.sql("SELECT endpoint FROM configurations") == [(own["endpoint"],)]
    say(visit("chat"), "Hello")
    (request,) = server.requests
    assert (request.path, request.query) == ("/openai/deployments/gpt-test/chat/completions", {"api-version": VERSION})


def test_a_key_in_the_query_of_an_endpoint_is_not_stored(workbench: Workbench) -> None:
    server = workbench.server
    endpoint = f"{server.openai_endpoint}?api-key=sk-in-the-query-93c1&api-version=v1#sk-in-the-query-93c1"
    add(display_name="Mine", endpoint=endpoint, model_default="gpt-test", api_key=server.key)
    assert workbench.sql("SELECT endpoint FROM configurations") == [(f"{server.openai_endpoint}?api-version=v1",)]
    assert b"sk-in-the-query-93c1" not in workbench.bytes_on_disk()
    say(visit("chat"), "Hello")
    assert server.requests[-1].query == {}


# -- the list


def test_the_list_has_a_card_for_every_row(workbench: Workbench) -> None:
    for form in FORMS:
        workbench.connect(form)
    text = said(visit("configurations"))
    for form in FORMS:
        assert f"**{form}** :gray-badge[{'OpenAI' if form == 'OpenAI' else 'Azure OpenAI'}]" in text
    at = visit("configurations")
    assert labels(at) == ["New configuration", *["Test", "Edit"] * len(FORMS)]
    assert [menu.label for menu in at.menu_button] == ["More"] * len(FORMS)


def test_a_card_shows_the_host_and_the_end_of_the_key(workbench: Workbench) -> None:
    workbench.connect(model_default="")
    at = visit("configurations")
    assert f"127.0.0.1:{workbench.server.port} · no default model · key ••••{workbench.server.key[-4:]}" in said(at)
    assert "Not used yet" in said(at)
    assert workbench.server.key not in everything(at)


def test_the_empty_list_says_how_to_add_a_configuration(workbench: Workbench) -> None:
    at = visit("configurations")
    assert "You need an account at OpenAI or Azure OpenAI: its endpoint and a key." in said(at)
    assert "[OpenAI](https://platform.openai.com/), [Azure OpenAI](https://oai.azure.com/)" in said(at)
    assert lines(press(at, "New configuration").title) == ["New configuration"]


def test_a_name_is_shown_as_it_was_typed(workbench: Workbench) -> None:
    workbench.connect(display_name="![x](http://evil/?d=1) *b* :red[c]")
    at = visit("configurations")
    (card,) = [element.value for element in at.markdown if "gray-badge" in element.value]
    assert r"\!\[x\]\(http\://evil/?d=1\) \*b\* \:red\[c\]" in card


def names(at: AppTest) -> list[str]:
    """Of the cards, from top to bottom."""
    return [text[2:].partition("**")[0] for text in lines(at.markdown) if ":gray-badge[" in text]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("Name", ["A", "B", "C"]),
        ("Provider", ["A", "C", "B"]),
        ("Last used", ["C", "A", "B"]),
        ("Last changed", ["B", "C", "A"]),
    ],
)
def test_the_person_chooses_the_order_of_the_list(workbench: Workbench, order: str, expected: list[str]) -> None:
    workbench.connect("Azure with a key", display_name="A")
    workbench.connect("Azure with a key", display_name="C")
    workbench.connect(display_name="B")
    for name in ("A", "C"):
        at = visit("chat")
        at.sidebar.selectbox[0].select(name).run()
        say(at, "Hello")
    for number, name in enumerate(("A", "C", "B")):
        workbench.sql("UPDATE configurations SET changed_at = changed_at + ? WHERE display_name = ?", number, name)
    workbench.sql("UPDATE calls SET started_at = started_at - 3600000 * id")  # as if the clock had been set back
    at = visit("configurations")
    assert names(at) == ["A", "B", "C"]
    assert names(at.segmented_control(key="sorted_by").set_value(order).run()) == expected


def test_an_invalid_stored_row_does_not_break_the_list(workbench: Workbench) -> None:
    saved, _ = workbench.connect(display_name="Ruined"), workbench.connect(display_name="Whole")
    workbench.sql("UPDATE configurations SET endpoint = 'ftp://nowhere' WHERE id = ?", saved.id)
    at = visit("configurations")
    assert (names(at), lines(at.error)) == (["Ruined", "Whole"], [])
    at = press(at, "Test")
    assert "The endpoint must start with https:// or http://." in said(at)
    assert names(at) == ["Ruined", "Whole"]
    assert lines(press(at, "Edit").title) == ["Ruined"]


# -- actions of a card


def more(at: AppTest, what: str, *, nth: int = 0) -> AppTest:
    """Choose in the menu behind More."""
    return at.menu_button[nth].click(what).run()


def test_a_copy_has_the_same_key_and_a_new_name_and_opens_for_editing(workbench: Workbench) -> None:
    saved = workbench.connect()
    at = more(visit("configurations"), "Duplicate")
    assert lines(at.title) == ["OpenAI (copy)"]
    assert workbench.server.key not in everything(at)
    copy = next(each for each in base.database().configurations.all(base.person()) if each.id != saved.id)
    assert (copy.endpoint, copy.model_default, copy.key_hint) == (saved.endpoint, saved.model_default, saved.key_hint)
    assert workbench.key_of(copy) == workbench.server.key
    assert lines(more(visit("configurations"), "Duplicate").title) == ["OpenAI (copy 2)"]


def test_copying_a_configuration_whose_key_cannot_be_opened_is_refused(workbench: Workbench) -> None:
    workbench.connect()
    workbench.break_keys()
    at = more(visit("configurations"), "Duplicate")
    assert lines(at.toast) == ["The key cannot be opened. Enter it again before you duplicate the configuration."]
    assert names(at) == ["OpenAI"]


def test_pages_begin_with_the_default(workbench: Workbench) -> None:
    workbench.connect(display_name="A")
    workbench.connect(display_name="B")
    assert visit("chat").sidebar.selectbox[0].value != "B"
    at = more(visit("configurations"), "Make default", nth=1)
    assert said(at).count("Default]") == 1
    assert "**B** :gray-badge[OpenAI] :blue-badge[Default]" in said(at)
    say(visit("chat"), "Hello")
    assert workbench.sql("SELECT configuration_name FROM calls") == [("B",)]
    more(at, "Make default", nth=0)
    assert workbench.sql("SELECT display_name FROM configurations WHERE is_default") == [("A",)]


def test_a_disabled_configuration_is_not_offered_until_it_is_enabled_again(workbench: Workbench) -> None:
    workbench.connect(display_name="A")
    workbench.connect(display_name="B")
    at = more(visit("configurations"), "Switch off")
    assert "**A** :gray-badge[OpenAI] :orange-badge[Switched off]" in said(at)
    assert visit("chat").sidebar.selectbox[0].options == ["B"]
    assert "Tested " in said(press(at, "Test")), "an administrator may test it all the same"
    more(visit("configurations"), "Switch on")
    assert visit("chat").sidebar.selectbox[0].options == ["A", "B"]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["My *one*"], "“My *one*” is switched off."),
        (["A", "B"], "All of them are switched off."),
    ],
)
def test_with_all_configurations_disabled_the_pages_say_so_and_lead_to_them(
    workbench: Workbench, names: list[str], sentence: str
) -> None:
    for name in names:
        saved = workbench.connect(display_name=name)
        base.database().configurations.set_enabled(base.person(), saved.id, False)
    for page in ("chat", "translate", "operations", "tuner"):
        at = visit(page)
        assert f"**No configuration available.** {sentence}" in said(at)
        (link,) = [link.proto for link in at.page_link if link.proto.label == "Open Configurations"]
        assert (link.page, link.query_string) == ("configurations", "")
        assert not at.exception
    home = visit()
    assert "No configuration is switched on: no page can send." in said(home)
    assert lines(press(home, "Open Configurations").title) == ["Configurations"]
    workbench.demote()
    assert "Ask the administrator to switch one on." in said(visit("chat"))
    assert "Open Configurations" not in labels(visit())


def test_an_open_page_sends_nothing_to_a_configuration_disabled_meanwhile(workbench: Workbench) -> None:
    workbench.connect(display_name="A")
    workbench.connect(display_name="B")
    at = visit("chat")
    more(visit("configurations"), "Switch off")
    at = say(at, "Meant for A")
    assert "The configuration of this page was deleted or switched off. Nothing was sent" in said(at)
    assert workbench.server.requests == []


def test_a_configuration_is_deleted_only_after_confirmation(workbench: Workbench) -> None:
    workbench.connect()
    at = more(visit("configurations"), "Delete")
    assert "Its chats and its usage stay." in said(at)
    assert workbench.sql("SELECT count(*) FROM configurations") == [(1,)]
    assert {"Delete configuration", "Cancel"} <= set(labels(at))


def test_chats_and_usage_of_a_deleted_configuration_stay_readable(workbench: Workbench) -> None:
    saved = workbench.connect(display_name="Gone")
    chat = say(visit("chat"), "Remember me").query_params["chat"]
    base.database().configurations.delete(base.person(), saved.id)
    text = said(visit("chat", chat=chat[0] if isinstance(chat, list) else chat))
    assert "Remember me" in text
    assert "Answer 0 to: Remember me" in text
    assert "No configuration available." in text
    assert "Gone" in str(visit("usage").dataframe[1].value.to_dict())


def test_the_overview_can_be_placed_on_another_page(workbench: Workbench) -> None:
    workbench.connect(display_name="A")
    workbench.connect(display_name="B")

    def another_page() -> None:
        import streamlit as st

        from pages.shared import base, configurations

        try:
            configurations.overview()
        except base.NotAllowed as error:
            st.error(str(error))

    at = AppTest.from_function(another_page).run()
    assert names(at) == ["A", "B"]
    assert "Tested " in said(press(at, "Test"))
    workbench.demote()
    at = at.run()
    assert lines(at.error) == ["Only administrators can see configurations. Ask an administrator for help."]
    assert names(at) == []


# -- activity


def test_the_activity_list_shows_changes_without_secrets(workbench: Workbench) -> None:
    server = workbench.server
    at = add(display_name="Mine", endpoint=server.openai_endpoint, model_default="gpt-test", api_key=server.key)
    at = press(at, "Test")
    at = press(at, "Edit")
    id = at.query_params["edit"][0] if isinstance(at.query_params["edit"], list) else at.query_params["edit"]
    at = press(fill(at, id, model_default="gpt-other", api_key="sk-replaced-0123456789"), "Save")
    base.database().configurations.delete(base.person(), id)
    frame = at.run().dataframe[0].value
    done = [tuple(row) for row in frame[["Who", "Action", "Configuration", "Details"]].itertuples(index=False)]
    assert done == [
        ("Local administrator", "Deleted", "Mine", "–"),
        ("Local administrator", "Changed", "Mine", "Default model: gpt-test → gpt-other; Key: replaced"),
        ("Local administrator", "Tested", "Mine", "Passed"),
        ("Local administrator", "Created", "Mine", "–"),
    ]
    assert server.key not in frame.to_csv()
    assert "sk-replaced-0123456789" not in frame.to_csv()


def test_the_form_lists_the_activity_of_its_configuration(workbench: Workbench) -> None:
    saved, other = workbench.connect(), workbench.connect("Azure with a key")
    base.database().configurations.change(base.person(), saved.id, {"model_default": "gpt-2"})
    base.database().configurations.change(base.person(), other.id, {"deployment_name": "another"})
    text = said(visit("configurations", edit=saved.id))
    assert "Default model: gpt-test → gpt-2" in text
    assert "another" not in text


# -- the test of a card


@pytest.mark.parametrize("form", FORMS)
def test_a_connection_test_shows_the_result_of_each_step(workbench: Workbench, form: str) -> None:
    saved = workbench.connect(form)
    at = press(visit("configurations"), "Test")
    assert "Tested " in said(at)
    assert "Works, with 2 warnings" in said(at), "this server neither keeps to a schema nor calls tools"
    steps = steps_of(saved.account)
    assert [label.split(" :gray[")[0].strip("*") for label in steps_shown(at)] == steps
    booked = workbench.sql("SELECT page, operation, status FROM calls ORDER BY id")
    assert booked == [("configurations", kind, "done") for kind in ("test", "probe", "probe", "probe")]
    assert labels(press(at, "Close")) == ["New configuration", "Test", "Edit"]
    assert steps_shown(at) == []


def test_the_error_of_a_failed_test_does_not_contain_the_key(workbench: Workbench) -> None:
    workbench.connect()
    key = workbench.server.key
    workbench.server.next(WAY, Reply(401, error(f"Incorrect API key provided: {key}.", code="invalid_api_key")))
    at = press(visit("configurations"), "Test")
    ((status, kind, sentence),) = workbench.sql("SELECT status, error_kind, error FROM calls")
    assert (status, kind) == ("failed", "key_refused")
    assert "did not accept the key (401)." in said(at)
    assert "Copy the complete key again from the provider of this address." in said(at)
    assert "Test failed: key" in said(at)
    assert "Test failed" in said(at)
    assert ":gray[Answer · not tested]" in steps_shown(at)
    assert key not in everything(at) + sentence
    assert "Key refused" in said(visit("configurations")), "for the next visitor, too"


def test_a_card_shows_the_state_of_the_last_call_of_its_configuration(workbench: Workbench) -> None:
    workbench.connect()
    workbench.connect("Azure with a key")
    workbench.server.next(WAY, Reply(501, error("Down.")))
    at = press(visit("configurations"), "Test", nth=1)
    assert workbench.sql("SELECT configuration_name FROM calls") == [("OpenAI",)]
    assert said(at).count("Not used yet") == 1
    assert said(press(at, "Test", nth=1)).count("Tested ") == 1


def test_a_test_reports_a_key_that_cannot_be_opened(workbench: Workbench) -> None:
    workbench.connect()
    workbench.break_keys()
    at = press(visit("configurations"), "Test")
    assert CANNOT_OPEN in said(at)
    assert workbench.server.requests == []
    assert workbench.sql("SELECT count(*) FROM calls") == [(0,)]


def test_a_test_reports_a_missing_model(workbench: Workbench) -> None:
    workbench.connect(model_default="")
    at = press(visit("configurations"), "Test")
    assert "No model is set." in said(at)
    assert "Enter a default model. This server has chat-test, gpt-test." in said(at)
    assert workbench.bodies() == [None, None]
    assert "Test failed: deployment or model" in said(at)


def test_an_empty_answer_passes_the_test(workbench: Workbench) -> None:
    workbench.connect()
    workbench.server.next(WAY, Reply(200, completion("")))
    assert "Tested " in said(press(visit("configurations"), "Test"))


# -- permissions


@pytest.mark.parametrize("edit", ["", "new"])
def test_a_user_sees_a_refusal_instead_of_the_configurations(workbench: Workbench, edit: str) -> None:
    workbench.connect(display_name="Ours")
    workbench.demote()
    at = visit("configurations", **({"edit": edit} if edit else {}))
    assert "Only administrators can see configurations. Ask an administrator for help." in lines(at.error)
    assert "Ours" not in everything(at)
    assert not at.text_input


def test_an_open_form_saves_nothing_after_its_administrator_became_a_user(workbench: Workbench) -> None:
    saved = workbench.connect(display_name="Ours")
    before = workbench.sql("SELECT * FROM configurations")
    at = visit("configurations", edit=saved.id)
    at.text_input(key=f"{saved.id}:display_name").set_value("Mine")
    workbench.demote()
    press(at, "Save")
    assert not at.exception
    assert workbench.sql("SELECT * FROM configurations") == before


def test_a_user_may_use_what_an_administrator_has_set_up(workbench: Workbench) -> None:
    workbench.connect()
    workbench.demote()
    at = say(visit("chat"), "Hello")
    assert "Answer 0 to: Hello" in said(at)
    assert workbench.server.key not in everything(at)


# -- the first provider, and what was picked


def _tested_and_saved(workbench: Workbench) -> AppTest:
    server = workbench.server
    typed = {"endpoint": server.openai_endpoint, "model_default": "gpt-test", "api_key": server.key}
    at = press(fill(visit("configurations", edit="new"), display_name="Mine", **typed), "Test without saving")
    return press(at, "Save")


def test_the_first_provider_that_passed_its_test_becomes_the_default_and_that_can_be_undone(
    workbench: Workbench,
) -> None:
    workbench.connect(display_name="Built-in", endpoint=DEMO)
    at = _tested_and_saved(workbench)
    assert "**Mine** has passed its test and is the default now" in said(at)
    assert visit("chat").sidebar.selectbox[0].value == _id_of("Mine")
    at = press(at, "Undo")
    assert "is the default now" not in said(at)
    assert visit("chat").sidebar.selectbox[0].value == _id_of("Built-in")


def test_a_provider_that_was_changed_after_its_test_does_not_become_the_default(workbench: Workbench) -> None:
    workbench.connect(display_name="Built-in", endpoint=DEMO)
    server = workbench.server
    typed = {"endpoint": server.openai_endpoint, "model_default": "gpt-test", "api_key": server.key}
    at = press(fill(visit("configurations", edit="new"), display_name="Mine", **typed), "Test without saving")
    at = press(fill(at, endpoint="http://127.0.0.1:9/v1"), "Save")
    assert "is the default now" not in said(at)
    assert visit("chat").sidebar.selectbox[0].value == _id_of("Built-in")


def test_a_further_provider_does_not_become_the_default(workbench: Workbench) -> None:
    workbench.connect()
    assert "is the default now" not in said(_tested_and_saved(workbench))


def test_a_provider_that_was_not_tested_does_not_become_the_default(workbench: Workbench) -> None:
    workbench.connect(display_name="Built-in", endpoint=DEMO)
    server = workbench.server
    add(display_name="Mine", endpoint=server.openai_endpoint, model_default="gpt-test", api_key=server.key)
    assert visit("chat").sidebar.selectbox[0].value == _id_of("Built-in")


def test_what_was_picked_on_a_page_is_picked_at_the_next_visit_of_this_page(workbench: Workbench) -> None:
    first, second = workbench.connect(display_name="A"), workbench.connect(display_name="B")
    at = visit("translate")
    assert at.sidebar.selectbox[0].value == first.id
    at.sidebar.selectbox[0].set_value(second.id).run()
    at.sidebar.text_input[0].set_value("chat-test").run()
    again = visit("translate")  # a reload is a new session
    assert (again.sidebar.selectbox[0].value, again.sidebar.text_input[0].value) == (second.id, "chat-test")
    assert visit("chat").sidebar.selectbox[0].value == first.id
    workbench.sql("DELETE FROM configurations WHERE id = ?", second.id)
    assert visit("translate").sidebar.selectbox[0].value == first.id


def _id_of(name: str) -> str:
    return next(each.id for each in base.database().configurations.all(base.person()) if each.display_name == name)
