"""The choice of configuration and model in the sidebar. Each page remembers its own."""

import streamlit as st

from connector import ApiType
from db import ChatSession, Pick, SavedConfiguration
from pages.shared import base
from pages.shared.account import keys
from pages.shared.base import plain

CONFIGURATIONS_PAGE = "manage/configurations.py"


def draw_picker(page_name: str, chat: ChatSession | None = None) -> None:
    """Draw the choice of configuration, and of model where the provider has several. Each page remembers its own.

    When `chat` is opened, its configuration and model are chosen.
    """
    saved = {each.id: each for each in offered_configurations()}
    if not saved:
        return
    _follow_chat(page_name, chat, saved)
    key = _key(page_name)
    if key not in st.session_state:
        _start(page_name, key, saved)
    if st.session_state[key] not in saved:
        # A message or a click that came with this run was meant for the missing configuration, and must not go to
        # another account. The picker gets a new key, because the browser would keep the old choice under the old key.
        st.session_state[keys.replaced(page_name)] = st.session_state.get(keys.replaced(page_name), 0) + 1
        st.session_state[keys.is_gone(page_name)] = True
        st.rerun()
    if st.session_state.pop(keys.is_gone(page_name), False):
        st.warning(
            "The configuration of this page was deleted or switched off. Nothing was sent. Another configuration is "
            "selected now."
        )
    chosen = st.selectbox(
        "Configuration",
        list(saved),
        format_func=lambda id: saved[id].display_name,
        key=key,
        persist_state="session",
        help="The account this page sends to. Each page remembers its own.",
        on_change=_keep,
        args=(page_name,),
    )
    configuration = saved[chosen]
    if configuration.api_type is ApiType.OPENAI:
        st.text_input(
            "Model",
            key=keys.model(page_name, chosen),
            persist_state="session",
            placeholder=configuration.model_default or "for example gpt-6-luna",
            help="Leave it empty for the configuration's default model.",
            on_change=_keep,
            args=(page_name,),
        )


def _start(page_name: str, key: str, saved: dict[str, SavedConfiguration]) -> None:
    """Choose what this person has picked last on the page, else the first configuration."""
    pick = base.database().picks.of(base.person(), page_name)
    if pick and pick.configuration_id in saved:
        st.session_state[key] = pick.configuration_id
        st.session_state.setdefault(keys.model(page_name, pick.configuration_id), pick.model)
    else:
        st.session_state[key] = _first(list(saved.values())).id


@base.reports_errors
def _keep(page_name: str) -> None:
    """Keep what is picked now, for the next visit."""
    chosen = str(base.entered(_key(page_name)))
    model = str(st.session_state.get(keys.model(page_name, chosen), ""))
    with base.changing() as database:
        database.picks.keep(base.person(), page_name, Pick(chosen, model))


def _key(page_name: str) -> str:
    return keys.configuration(page_name, st.session_state.get(keys.replaced(page_name), 0))


def _follow_chat(page_name: str, chat: ChatSession | None, saved: dict[str, SavedConfiguration]) -> None:
    """Choose the configuration and the model of a chat, once when it is opened."""
    if chat is None or st.session_state.get(keys.followed(page_name)) == chat.id:
        return
    st.session_state[keys.followed(page_name)] = chat.id
    if chat.configuration_id in saved:
        st.session_state[_key(page_name)] = chat.configuration_id
        st.session_state[keys.model(page_name, chat.configuration_id)] = chat.model
    else:
        st.warning(
            "The configuration of this chat was deleted or switched off. The chat continues with the one selected here."
        )


def current_configuration() -> SavedConfiguration | None:
    """The configuration that is selected on this page; None when none is available."""
    saved = offered_configurations()
    chosen = st.session_state.get(_key(page_name()))
    return next((each for each in saved if each.id == chosen), _first(saved) if saved else None)


def pick(page: str, id: str) -> None:
    """Select another configuration for a page. Only for callbacks, which run before the picker is drawn."""
    st.session_state[_key(page)] = id


def picked_configuration() -> SavedConfiguration | None:
    """The configuration that was selected when the page was last drawn; None when it is no longer available."""
    chosen = st.session_state.get(_key(page_name()))
    return next((each for each in offered_configurations() if each.id == chosen), None)


def offered_configurations() -> list[SavedConfiguration]:
    """The configurations that are switched on."""
    return [each for each in base.configurations() if each.is_enabled]


def _first(saved: list[SavedConfiguration]) -> SavedConfiguration:
    """The configuration that a page starts with: the default, else the first by name."""
    return next((each for each in saved if each.is_default), saved[0])


def current_model() -> str | None:
    """The model typed below the picker; None for the configuration's default."""
    configuration = current_configuration()
    return st.session_state.get(keys.model(page_name(), configuration.id)) or None if configuration else None


def enter(page: str) -> None:
    """Remember the address of the page that is being drawn, for `page_name`."""
    st.session_state[keys.PAGE] = page


def page_name() -> str:
    """The address of the page that is being drawn."""
    return str(st.session_state[keys.PAGE])


def draw_guidance() -> None:
    """Say why no configuration is available, and lead to the page where one is added or switched on."""
    off = base.configurations()
    why = "A configuration holds the address and the key of an account."
    if off:
        why = f"“{plain(off[0].display_name)}” is switched off." if len(off) == 1 else "All of them are switched off."
    with st.container(border=True):
        st.markdown(f"**No configuration available.** {why}")
        if not base.person().is_administrator:
            st.markdown(f"Ask the administrator to {'switch one on' if off else 'add one'}.")
        elif off:
            st.page_link(CONFIGURATIONS_PAGE, label="Open Configurations", icon=":material/toggle_on:")
        else:
            to_form = {"edit": "new"}
            st.page_link(CONFIGURATIONS_PAGE, label="Add a configuration", icon=":material/add:", query_params=to_form)


def draw_demo_line() -> None:
    """Say that the page sends to the built-in demo model, when it does."""
    configuration = current_configuration() if _key(page_name()) in st.session_state else None
    if configuration is None or configuration.endpoint != base.demo_endpoint():
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.markdown(
            ":small[:gray[:material/info: This is the built-in demo model: tiny, and often wrong. "
            "For real answers connect a provider.]]",
            width="content",
        )
        if base.person().is_administrator:
            st.page_link(
                CONFIGURATIONS_PAGE, label="Configurations", icon=":material/arrow_forward:", icon_position="right"
            )
