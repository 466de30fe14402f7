"""Which configuration a page uses, and how configurations are shown and edited."""

import streamlit as st

from connector import PROVIDERS, ApiType, Configuration, origin_of, steps_of
from db import Call, SavedConfiguration
from pages.shared import examination, runtime
from pages.shared.words import plain, seconds, when

PAGE = "manage/configurations.py"


def picker(page_name: str) -> None:
    """The picker in the sidebar, remembered for each page, with the model where the provider lets one choose."""
    saved = {each.id: each for each in runtime.database().configurations.all(runtime.person())}
    if not saved:
        return
    _follow_chat(page_name, saved)
    key = _key(page_name)
    if st.session_state.get(key, next(iter(saved))) not in saved:
        # What came with this run, a message or a press on Send, was meant for it and goes to no other account. A picker
        # of another key takes its place: the browser would go on showing and sending the old one's choice.
        st.session_state[f"replaced:{page_name}"] = st.session_state.get(f"replaced:{page_name}", 0) + 1
        if prompt := st.session_state.get(f"prompt:{page_name}"):
            st.session_state[f"draft:{page_name}"] = prompt
        st.session_state[f"gone:{page_name}"] = True
        st.rerun()
    if st.session_state.pop(f"gone:{page_name}", False):
        st.warning("The configuration of this page was deleted. Nothing was sent; this is another one.")
    chosen = st.selectbox(
        "Configuration",
        list(saved),
        format_func=lambda id: saved[id].display_name,
        key=key,
        persist_state="session",
        help="The account this page sends to. Each page remembers its own.",
    )
    configuration = saved[chosen]
    if configuration.api_type is ApiType.OPENAI:
        st.text_input(
            "Model",
            key=f"model:{page_name}:{chosen}",
            persist_state="session",
            placeholder=configuration.model_default or "for example gpt-6-luna",
            help="Leave it empty for the configuration's default model.",
        )


def _key(page_name: str) -> str:
    replaced = st.session_state.get(f"replaced:{page_name}", 0)
    return f"configuration:{page_name}{f':{replaced}' if replaced else ''}"


def _follow_chat(page_name: str, saved: dict[str, SavedConfiguration]) -> None:
    """A chat that is opened goes on with the account and the model that it was held with."""
    chat_id = st.query_params.get("chat")
    if not chat_id or st.session_state.get(f"followed:{page_name}") == chat_id:
        return
    st.session_state[f"followed:{page_name}"] = chat_id
    try:
        chat = runtime.database().chat_sessions.get(runtime.person(), chat_id)
    except runtime.NotFound:
        return
    if chat.configuration_id in saved:
        st.session_state[_key(page_name)] = chat.configuration_id
        st.session_state[f"model:{page_name}:{chat.configuration_id}"] = chat.model
    else:
        st.warning("The configuration of this chat was deleted. It goes on with the one that is picked here.")


def current() -> SavedConfiguration | None:
    """What the picker says on this page; None while there is no configuration at all."""
    saved = runtime.database().configurations.all(runtime.person())
    chosen = st.session_state.get(_key(page_name()))
    return next((each for each in saved if each.id == chosen), saved[0] if saved else None)


def current_model() -> str | None:
    """The model typed under the picker, None for the default."""
    configuration = current()
    return st.session_state.get(f"model:{page_name()}:{configuration.id}") or None if configuration else None


def page_name() -> str:
    """The address of the page that is being drawn; the frame notes it."""
    return str(st.session_state["page"])


def without_key(saved: SavedConfiguration) -> Configuration:
    """What can be told of a configuration without opening its key: the address, the code that calls it."""
    fields = {name: getattr(saved, name) for name in Configuration.model_fields if name != "api_key"}
    return Configuration(**fields, api_key="none")


def guidance() -> None:
    """What a page says while there is no configuration."""
    with st.container(border=True):
        st.markdown("**Nothing to send to yet.** A configuration holds the address and the key of an account.")
        if runtime.person().is_administrator:
            st.page_link(PAGE, label="Add a configuration", icon=":material/add:", query_params={"edit": "new"})
        else:
            st.markdown("Ask the administrator to add one.")


def demo_line() -> None:
    """The standing line of the pages that send, while they send to the built-in model."""
    configuration = current() if _key(page_name()) in st.session_state else None
    if configuration is None or configuration.endpoint != runtime.demo_endpoint():
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.markdown(
            ":small[:gray[:material/info: This is the built-in demo model: tiny, and often wrong. "
            "For real answers connect a provider.]]",
            width="content",
        )
        if runtime.person().is_administrator:
            st.page_link(PAGE, label="Configurations", icon=":material/arrow_forward:", icon_position="right")


def overview() -> None:
    """All configurations as cards, with their state; another page can place it too. Administrators only."""
    saved = runtime.database().configurations.all(runtime.person())
    latest = runtime.database().calls.latest_by_configuration(runtime.person())
    if not saved:
        with st.container(border=True):
            st.markdown(
                "**No configuration yet.** You need an account at OpenAI or Azure OpenAI: its endpoint and a key. "
                "Without one, `make demo` brings a small model of its own."
            )
    for configuration in saved:
        _card(configuration, latest.get(configuration.id))


def _card(configuration: SavedConfiguration, call: Call | None) -> None:
    findings = examination.kept(configuration.id)
    why = call.error if call and not findings else None
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        with st.container(gap="xxsmall", width=420):
            st.markdown(
                f"**{plain(configuration.display_name)}** :gray-badge[{PROVIDERS[configuration.api_type].caption}]"
            )
            key = f"key ••••{configuration.key_hint}" if configuration.key_hint else "key ••••"
            answering = configuration.deployment_name or configuration.model_default or "no default model"
            st.caption(plain(f"{_host(configuration.endpoint)} · {answering} · {key}"))
        with st.container(gap="xxsmall", width=230):
            icon, state = _state(call, examination.failed_step(configuration.id))
            st.markdown(f"{icon}\u2002{state}")
            st.caption(when(call.started_at) if call else "–")
        st.space("stretch")
        with st.container(horizontal=True, width="content"):
            is_tested = st.button("Test", key=f"test:{configuration.id}")
            if st.button("Edit", key=f"edit:{configuration.id}"):
                st.query_params["edit"] = configuration.id
                st.rerun()
    steps = steps_of(without_key(configuration))
    if is_tested:
        try:
            examination.run(configuration.id, steps, runtime.examine(configuration))
        except runtime.StorageError as error:
            why = str(error)
        else:
            st.rerun()
    elif findings:
        examination.show(configuration.id, steps)
    if why:
        st.markdown(f":small[:red[:material/error:\u2002{plain(why)}]]")


def _host(endpoint: str) -> str:
    try:
        return origin_of(endpoint).partition("://")[2].removesuffix(":443").removesuffix(":80")
    except runtime.InvalidConfiguration:
        return endpoint


def _state(call: Call | None, failed_step: str) -> tuple[str, str]:
    if failed_step:
        return ":red[:material/error:]", f"Test failed: {failed_step.lower()}"
    if call is None:
        return ":gray[:material/remove:]", "Not used yet"
    if call.error:
        return ":red[:material/error:]", call.error_kind.replace("_", " ").capitalize() if call.error_kind else "Failed"
    return ":green[:material/check_circle:]", f"Answered in {seconds(call.duration)}"
