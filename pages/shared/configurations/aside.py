"""The notes beside the form of a configuration: prerequisites, model, limits, activity."""

import streamlit as st

from connector import PROVIDERS, ApiType
from db import SavedConfiguration
from pages.shared import base
from pages.shared.base import plain, problem, when
from pages.shared.configurations import keys

NEWEST = 10  # entries of the audit log


def draw(api_type: ApiType, saved: SavedConfiguration | None) -> None:
    """Draw the notes; those about a saved configuration only when there is one."""
    _hints(api_type)
    if saved:
        _retirement(saved)
        _learnt(saved)
        _history(saved)


def _hints(api_type: ApiType) -> None:
    provider = PROVIDERS[api_type]
    with st.container(border=True, gap="xsmall"):
        st.markdown("**Prerequisites**")
        if api_type is ApiType.OPENAI:
            st.markdown(
                "1. Create an account and log in at [OpenAI](https://platform.openai.com/).\n"
                f"2. Create a secret key on the [API key page]({provider.key_page}).\n"
                "3. Copy the key and save it somewhere safe: it is shown once.\n\n"
                "Any server with an OpenAI-compatible API works, too: llama.cpp, vLLM, Ollama or a gateway."
            )
        else:
            st.markdown(
                "1. Open your resource at [Azure OpenAI](https://oai.azure.com/) and copy its endpoint.\n"
                "2. Take the deployment name from **Deployments**; it is not the model's name.\n"
                "3. Take a key of the resource, or generate a Microsoft Entra token "
                f"([instructions]({provider.key_page}))."
            )
        st.markdown(f"[{provider.caption} API reference]({provider.reference})")


def _retirement(saved: SavedConfiguration) -> None:
    """Draw the model, and the date of its retirement when the provider lists one."""
    call = base.database().calls.latest(base.person(), saved.id)
    model = (call.model_answered if call else None) or saved.model_default
    if not model:
        return
    with st.container(border=True, gap="xsmall"):
        st.markdown("**Model**")
        st.markdown(f"{'Last used' if call and call.model_answered else 'Default'}: {plain(model)}")
        known = st.session_state.get(keys.field(saved.id, "retirement"))
        if known:
            st.markdown(f":small[:gray[{plain(known)}]]")
        elif st.button("Check retirement", icon=":material/event:", type="tertiary"):
            try:
                days = {each.name: each.retires_on for each in base.models(saved)}
            except (base.ConnectorError, base.StorageError) as error:
                problem(str(error))
                return
            day = days.get(model)
            st.session_state[keys.field(saved.id, "retirement")] = (
                f"Retires on {day.day} {day:%B %Y}, according to the provider."
                if day
                else "The provider gives no retirement date."
            )
            st.rerun()


def _learnt(saved: SavedConfiguration) -> None:
    """Draw the parameters that its models refused, and a button to forget them."""
    learnt = base.database().adaptations.all(base.person(), saved.id)
    if not learnt:
        return
    with st.container(border=True, gap="xsmall"):
        st.markdown("**Model limits**")
        st.markdown(":small[:gray[The provider has refused other requests; they are changed, or not sent.]]")
        for each in learnt:
            st.markdown(f"{plain(each.model)}: {plain(each.adaptation.change)}")
            st.caption(plain(f"{when(each.learnt_at)}: {each.adaptation.why}"))
        if st.button("Forget limits", icon=":material/restart_alt:", type="tertiary"):
            with base.changing() as database:
                database.adaptations.forget(base.person(), saved.id)
            st.toast("Limits forgotten. They are learned again from the next refusal.")
            st.rerun()


def _history(saved: SavedConfiguration) -> None:
    entries = base.database().audit.recent(base.person(), NEWEST, configuration_id=saved.id)
    if not entries:
        return
    with st.container(border=True, gap="xsmall"):
        st.markdown("**Activity**")
        for entry in entries:
            who = f"{when(entry.at)} · {plain(entry.person_name)}"
            st.markdown(f":small[{entry.action.capitalize()} :gray[· {who}]]")
            if entry.details:
                st.caption(plain("; ".join(entry.details)))
