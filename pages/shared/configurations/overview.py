"""All configurations as cards, with their state and what can be done with them; and what was done, by whom."""

from collections.abc import Callable
from contextlib import suppress

import pandas as pd
import streamlit as st

from connector import PROVIDERS, origin_of, steps_of
from db import AuditEntry, Call, SavedConfiguration
from pages.shared.account import picker
from pages.shared.base import runtime
from pages.shared.base.formatting import UNKNOWN, plain, seconds, unspreadsheet, when, zone
from pages.shared.configurations import examination

SORTED_BY: dict[str, Callable[[SavedConfiguration, Call | None], tuple[str, float]]] = {
    "Name": lambda saved, call: ("", 0),
    "Provider": lambda saved, call: (saved.api_type.caption, 0),
    "Last used": lambda saved, call: ("", -call.started_at.timestamp() if call else 0),
    "Last changed": lambda saved, call: ("", -saved.changed_at.timestamp()),
}
"""They come by name, and stay so where nothing else tells them apart."""
NEWEST = 100  # entries of what was done


def only_for_administrators() -> None:
    """Raises `NotAllowed` for everybody else."""
    if not runtime.person().is_administrator:
        raise runtime.NotAllowed("Only administrators see configurations. Ask one of them for what you need.")


def overview() -> None:
    """All configurations as cards, with their state; another page can place it too. Administrators only."""
    only_for_administrators()
    saved = runtime.database().configurations.all(runtime.person())
    latest = runtime.database().calls.latest_by_configuration(runtime.person())
    if not saved:
        with st.container(border=True):
            st.markdown(
                "**No configuration yet.** You need an account at OpenAI or Azure OpenAI: its endpoint and a key. "
                "Without one, `make demo` brings a small model of its own.\n\n"
                "Accounts: [OpenAI](https://platform.openai.com/), [Azure OpenAI](https://oai.azure.com/)."
            )
    unreadable_keys(saved)
    for configuration in _sorted(saved, latest):
        _card(configuration, latest.get(configuration.id))


def unreadable_keys(saved: list[SavedConfiguration]) -> None:
    """Says whose keys the encryption key does not open."""
    names = [each.display_name for each in saved if not each.is_key_readable]
    if names:
        source = runtime.database().encryption_keys.source
        st.warning(
            f"The encryption key ({plain(source)}) does not open the stored key of: {plain(', '.join(names))}. Set the "
            "one that sealed it and start again, or edit the configuration and enter its key again.",
            icon=":material/key_off:",
        )


def _sorted(saved: list[SavedConfiguration], latest: dict[str, Call]) -> list[SavedConfiguration]:
    if len(saved) < 2:
        return saved
    chosen = st.segmented_control("Sorted by", list(SORTED_BY), default="Name", required=True, key="sorted_by")
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
            examination.run(configuration.id, steps_of(configuration.account), runtime.examine(configuration))
            st.rerun()
        if findings:
            examination.show(configuration.id, steps_of(configuration.account))
    except (runtime.StorageError, runtime.InvalidConfiguration) as error:  # the latter: not written by this program
        why = str(error)
    if why:
        st.markdown(f":small[:red[:material/error:\u2002{plain(why)}]]")


def _badges(configuration: SavedConfiguration) -> str:
    badges = [f":gray-badge[{PROVIDERS[configuration.api_type].caption}]"]
    if configuration.is_default:
        badges.append(":blue-badge[Default]")
    if not configuration.is_enabled:
        badges.append(":orange-badge[Switched off]")
    return " ".join(badges)


def edit(id: str) -> None:
    """Go to the form of this configuration, from whatever page."""
    st.switch_page(picker.CONFIGURATIONS, query_params={"edit": id})


def _more(configuration: SavedConfiguration) -> None:
    """What is done less often, behind one button."""
    books, who = runtime.database().configurations, runtime.person()
    switch = "Switch off" if configuration.is_enabled else "Switch on"
    options = ["Duplicate", switch, "Delete"]
    if configuration.is_enabled and not configuration.is_default:
        options.insert(1, "Make it the default")
    chosen = st.menu_button("More", options, type="tertiary", key=f"more:{configuration.id}")
    try:
        if chosen == "Duplicate":
            edit(books.duplicate(who, configuration.id).id)
        elif chosen == "Make it the default":
            books.make_default(who, configuration.id)
        elif chosen == switch:
            books.set_enabled(who, configuration.id, not configuration.is_enabled)
        elif chosen == "Delete":
            confirm_delete(configuration)
    except runtime.CannotOpen:
        st.toast("Its key cannot be opened. Enter it again before it is copied.", icon=":material/key_off:")
        return
    except runtime.NotFound:
        st.toast("This configuration was deleted meanwhile.", icon=":material/info:")
    if chosen and chosen != "Delete":
        st.rerun()


@st.dialog("Delete this configuration?")
def confirm_delete(saved: SavedConfiguration, leave: Callable[[], None] = lambda: None) -> None:
    """Ask first; `leave` is called once it is deleted."""
    st.markdown(
        f"**{plain(saved.display_name)}** and its key are deleted. Its chats and its usage stay readable. "
        "This cannot be undone; it can also be switched off."
    )
    with st.container(horizontal=True):
        if st.button("Delete it", type="primary"):
            with suppress(runtime.NotFound):  # somebody else was first
                runtime.database().configurations.delete(runtime.person(), saved.id)
            leave()
            st.rerun()
        if st.button("Keep it"):
            st.rerun()


def _host(endpoint: str) -> str:
    try:
        return origin_of(endpoint).partition("://")[2].removesuffix(":443").removesuffix(":80")
    except runtime.InvalidConfiguration:
        return endpoint


def _state(configuration: SavedConfiguration, call: Call | None) -> tuple[str, str]:
    if not configuration.is_key_readable:
        return ":red[:material/key_off:]", "Key cannot be opened"
    if failed_step := examination.failed_step(configuration.id):
        return ":red[:material/error:]", f"Test failed: {failed_step.lower()}"
    if call is None:
        return ":gray[:material/remove:]", "Not used yet"
    if call.error:
        return ":red[:material/error:]", call.error_kind.replace("_", " ").capitalize() if call.error_kind else "Failed"
    return ":green[:material/check_circle:]", f"Answered in {seconds(call.duration)}"


def history() -> None:
    """Who did what to configurations, and when."""
    entries = runtime.database().audit.recent(runtime.person(), NEWEST)
    if not entries:
        return
    st.header("What was done", anchor=False)
    st.dataframe(
        pd.DataFrame([_line(entry) for entry in entries]),
        hide_index=True,
        row_height=32,
        column_config={"When": st.column_config.DatetimeColumn(format="D MMM YYYY HH:mm:ss", width=165)},
        alt="Who did what to configurations, and when",
        key="history",
    )


def _line(entry: AuditEntry) -> dict[str, object]:
    return {
        "When": entry.at.astimezone(zone()).replace(tzinfo=None),
        "Who": unspreadsheet(entry.person_name),
        "Did": entry.action.capitalize(),
        "Configuration": unspreadsheet(entry.configuration_name) or UNKNOWN,
        "Details": unspreadsheet("; ".join(entry.details)) or UNKNOWN,
    }
