"""All configurations as cards, with their state and actions."""

from collections.abc import Callable
from contextlib import suppress

import streamlit as st

from connector import PROVIDERS, origin_of, steps_of
from db import Call, SavedConfiguration
from pages.shared import account, base
from pages.shared.base import UNKNOWN, plain, seconds, when
from pages.shared.configurations import earlier_key, examination, keys

SORTED_BY: dict[str, Callable[[SavedConfiguration, Call | None], tuple[str, float]]] = {
    "Name": lambda saved, call: ("", 0),
    "Provider": lambda saved, call: (saved.api_type.caption, 0),
    "Last used": lambda saved, call: ("", -call.id if call else 0),  # the clock may have been set back
    "Last changed": lambda saved, call: ("", -saved.changed_at.timestamp()),
}
"""Rows come sorted by name, and equal rows keep that order."""


def only_for_administrators() -> None:
    """Raise `NotAllowed` for everybody else."""
    if not base.person().is_administrator:
        raise base.NotAllowed("Only administrators can see configurations. Ask an administrator for help.")


def overview() -> None:
    """Draw all configurations as cards with their state, on any page. Administrators only."""
    only_for_administrators()
    saved = base.database().configurations.all(base.person())
    latest = base.database().calls.latest_by_configuration(base.person())
    if not saved:
        with st.container(border=True):
            st.markdown(
                "**No configuration yet.** You need an account at OpenAI or Azure OpenAI: its endpoint and a key. "
                "Without an account, `make demo` starts a small built-in model.\n\n"
                "Accounts: [OpenAI](https://platform.openai.com/), [Azure OpenAI](https://oai.azure.com/)."
            )
    unreadable_keys(saved)
    _undo_default(saved)
    for configuration in _sorted(saved, latest):
        _card(configuration, latest.get(configuration.id))


def _undo_default(saved: list[SavedConfiguration]) -> None:
    """Say that the first provider has become the default, as long as it is, and offer to undo that."""
    made, before = st.session_state.get(keys.MADE_DEFAULT, ("", ""))
    default = next((each for each in saved if each.id == made and each.is_default), None)
    if default is None:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{plain(default.display_name)}** has passed its test and is the default now: pages start with it."
        )
        st.button("Undo", icon=":material/undo:", type="tertiary", on_click=_make_default_again, args=(before,))


@base.reports_errors
def _make_default_again(id: str) -> None:
    with suppress(base.NotFound), base.changing() as database:  # it was deleted meanwhile
        database.configurations.make_default(base.person(), id)
    del st.session_state[keys.MADE_DEFAULT]


def unreadable_keys(saved: list[SavedConfiguration]) -> None:
    """Warn about configurations whose stored key the encryption key does not open."""
    names = [each.display_name for each in saved if not each.is_key_readable]
    if names:
        source = base.database().encryption_keys.source
        st.warning(
            f"The encryption key ({plain(source)}) cannot open the stored key of: {plain(', '.join(names))}. Set the "
            "key that sealed it and restart, or edit the configuration and enter its API key again.",
            icon=":material/key_off:",
        )


def _sorted(saved: list[SavedConfiguration], latest: dict[str, Call]) -> list[SavedConfiguration]:
    if len(saved) < 2:
        return saved
    chosen = st.segmented_control("Sort by", list(SORTED_BY), default="Name", required=True, key="sorted_by")
    order = SORTED_BY[chosen or "Name"]
    return sorted(saved, key=lambda each: order(each, latest.get(each.id)))


def _card(configuration: SavedConfiguration, call: Call | None) -> None:
    findings = examination.kept(configuration.id)
    why = call.error if call and not findings else None
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        with st.container(gap="xxsmall", width=420):
            st.markdown(f"**{plain(configuration.display_name)}** {_badges(configuration)}")
            key = f"key ••••{configuration.key_hint}" if configuration.key_hint else "key ••••"
            answering = configuration.deployment_name or configuration.model_default or "no default model"
            st.caption(plain(f"{_host(configuration.endpoint)} · {answering} · {key}"))
            if call and call.cost is None and call.total_tokens is not None:
                model = call.model_answered or call.model_asked
                st.caption(plain(f"No price is known for {model}. Edit the configuration to enter your own."))
        with st.container(gap="xxsmall", width=230):
            icon, state = _state(configuration, call)
            st.markdown(f"{icon}\u2002{state}")
            st.caption(when(call.started_at) if call else UNKNOWN)
        st.space("stretch")
        with st.container(horizontal=True, width="content", vertical_alignment="center"):
            is_tested = st.button("Test", key=f"test:{configuration.id}")
            if st.button("Edit", key=f"edit:{configuration.id}"):
                edit(configuration.id)
            _more(configuration)
    try:
        if is_tested:
            examination.run(configuration.id, steps_of(configuration.account), base.examine(configuration))
            st.rerun()
        if findings:
            examination.show(configuration.id, steps_of(configuration.account))
    # InvalidConfiguration: the row was not written by this program.
    except (base.StorageError, base.InvalidConfiguration) as error:
        why = str(error)
    if why:
        st.markdown(f":small[:red[:material/error:\u2002{plain(why)}]]")
    if earlier_key.offer(configuration, "card"):
        st.rerun()


def _badges(configuration: SavedConfiguration) -> str:
    badges = [f":gray-badge[{PROVIDERS[configuration.api_type].caption}]"]
    if configuration.is_default:
        badges.append(":blue-badge[Default]")
    if not configuration.is_enabled:
        badges.append(":orange-badge[Switched off]")
    return " ".join(badges)


def edit(id: str) -> None:
    """Go to the form of a configuration, from any page."""
    st.switch_page(account.CONFIGURATIONS_PAGE, query_params={"edit": id})


def _more(configuration: SavedConfiguration) -> None:
    """Draw the menu of the less frequent actions, and run the chosen one."""
    who = base.person()
    switch = "Switch off" if configuration.is_enabled else "Switch on"
    options = ["Duplicate", switch, "Delete"]
    if configuration.is_enabled and not configuration.is_default:
        options.insert(1, "Make default")
    chosen = st.menu_button("More", options, type="tertiary", key=f"more:{configuration.id}")
    try:
        if chosen == "Duplicate":
            with base.changing() as database:
                duplicate = database.configurations.duplicate(who, configuration.id)
            edit(duplicate.id)
        elif chosen == "Make default":
            with base.changing() as database:
                database.configurations.make_default(who, configuration.id)
        elif chosen == switch:
            with base.changing() as database:
                database.configurations.set_enabled(who, configuration.id, not configuration.is_enabled)
        elif chosen == "Delete":
            confirm_delete(configuration)
    except base.CannotOpen:
        st.toast(
            "The key cannot be opened. Enter it again before you duplicate the configuration.",
            icon=":material/key_off:",
        )
        return
    except base.NotFound:
        st.toast("Somebody else deleted this configuration.", icon=":material/info:")
    if chosen and chosen != "Delete":
        st.rerun()


@st.dialog("Delete this configuration?")
def confirm_delete(saved: SavedConfiguration, leave: Callable[[], None] = lambda: None) -> None:
    """Ask before deleting; `leave` is called after the deletion."""
    st.markdown(
        f"**{plain(saved.display_name)}** and its key will be deleted. Its chats and its usage stay. You cannot "
        "undo this. To keep the configuration without using it, switch it off."
    )
    with st.container(horizontal=True):
        if st.button("Delete configuration", type="primary"):
            with suppress(base.NotFound), base.changing() as database:  # somebody else was first
                database.configurations.delete(base.person(), saved.id)
            leave()
            st.rerun()
        if st.button("Cancel"):
            st.rerun()


def _host(endpoint: str) -> str:
    try:
        return origin_of(endpoint).partition("://")[2].removesuffix(":443").removesuffix(":80")
    except base.InvalidConfiguration:
        return endpoint


def _state(configuration: SavedConfiguration, call: Call | None) -> tuple[str, str]:
    if not configuration.is_key_readable:
        return ":red[:material/key_off:]", "Key cannot be opened"
    if failed_step := examination.failed_step(configuration.id):
        return ":red[:material/error:]", f"Test failed: {failed_step.lower()}"
    if tested := examination.standing(configuration.id, lambda: configuration.account):  # of an invalid row it raises
        return ":green[:material/check_circle:]", tested
    if call is None:
        return ":gray[:material/remove:]", "Not used yet"
    if call.error:
        return ":red[:material/error:]", call.error_kind.replace("_", " ").capitalize() if call.error_kind else "Failed"
    first = call.time_to_first_token
    words = f"Answered in {seconds(call.duration)}" if first is None else f"First token after {seconds(first)}"
    return ":green[:material/check_circle:]", words
