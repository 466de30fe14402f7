"""What stands beside the form of a configuration: what one needs, what its model is known for, what was done to it."""

import streamlit as st

from connector import PROVIDERS, ApiType
from db import SavedConfiguration
from pages.shared import base
from pages.shared.base import plain, problem, when
from pages.shared.configurations import keys

NEWEST = 10  # entries of what was done


def draw(api_type: ApiType, saved: SavedConfiguration | None) -> None:
    """All of it; what is about a saved configuration only where there is one."""
    _hints(api_type)
    if saved:
        _retirement(saved)
        _learnt(saved)
        _history(saved)


def _hints(api_type: ApiType) -> None:
    provider = PROVIDERS[api_type]
    with st.container(border=True, gap="xsmall"):
        st.markdown("**What you need**")
        if api_type is ApiType.OPENAI:
            st.markdown(
                "1. Create an account and log in at [OpenAI](https://platform.openai.com/).\n"
                f"2. Create a secret key on the [API key page]({provider.key_page}).\n"
                "3. Copy the key and save it somewhere safe: it is shown once.\n\n"
                "Any server that speaks the OpenAI form works, too: llama.cpp, vLLM, Ollama or a gateway."
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
    """Which model answers, and until when, where the provider tells."""
    call = base.database().calls.latest(base.person(), saved.id)
    model = (call.model_answered if call else None) or saved.model_default
    if not model:
        return
    with st.container(border=True, gap="xsmall"):
        st.markdown("**Its model**")
        st.markdown(f"{'Answered last' if call and call.model_answered else 'Default'}: {plain(model)}")
        known = st.session_state.get(keys.field(saved.id, "retirement"))
        if known:
            st.markdown(f":small[:gray[{plain(known)}]]")
        elif st.button("When does it retire?", icon=":material/event:", type="tertiary"):
            try:
                days = {each.name: each.retires_on for each in base.models(saved)}
            except (base.ConnectorError, base.StorageError) as error:
                problem(str(error))
                return
            day = days.get(model)
            st.session_state[keys.field(saved.id, "retirement")] = (
                f"Retires on {day.day} {day:%B %Y}, its provider says." if day else "Its provider tells no day for it."
            )
            st.rerun()


def _learnt(saved: SavedConfiguration) -> None:
    """What its models were seen not to take, and a way to forget it."""
    learnt = base.database().adaptations.all(base.person(), saved.id)
    if not learnt:
        return
    with st.container(border=True, gap="xsmall"):
        st.markdown("**What was learnt about its models**")
        st.markdown(":small[:gray[Requests are changed so, because the provider refused them otherwise.]]")
        for each in learnt:
            st.markdown(f"{plain(each.model)}: {plain(each.adaptation.change)}")
            st.caption(plain(f"{when(each.learnt_at)}: {each.adaptation.why}"))
        if st.button("Forget it", icon=":material/restart_alt:", type="tertiary"):
            with base.changing() as database:
                database.adaptations.forget(base.person(), saved.id)
            st.toast("Forgotten. The next refusal is learnt anew.")
            st.rerun()


def _history(saved: SavedConfiguration) -> None:
    entries = base.database().audit.recent(base.person(), NEWEST, configuration_id=saved.id)
    if not entries:
        return
    with st.container(border=True, gap="xsmall"):
        st.markdown("**What was done**")
        for entry in entries:
            who = f"{when(entry.at)} · {plain(entry.person_name)}"
            st.markdown(f":small[{entry.action.capitalize()} :gray[· {who}]]")
            if entry.details:
                st.caption(plain("; ".join(entry.details)))
