"""The test and the provider's list of models for the form of a configuration, saved or not."""

import streamlit as st
from pydantic import SecretStr

from connector import Account, Configuration, KeyType, steps_of
from db import SavedConfiguration
from pages.shared import base
from pages.shared.base import problem
from pages.shared.configurations import examination, keys

UNNAMED = "New configuration"
WHERE_THE_KEY_GOES = ("api_type", "key_type", "endpoint", "deployment_name", "api_version")


def test(id: str, saved: SavedConfiguration | None, fields: dict[str, str], key: str, *, is_begun: bool) -> None:
    """Test the values in the form. The findings are shown until the values change."""
    name = keys.form(id)
    if is_begun:
        st.session_state.pop(keys.problems(id), None)
        try:
            subject = _subject(saved, fields, key)
            if isinstance(subject, Configuration):
                steps, findings = steps_of(subject), base.examine_typed(subject)
            else:
                steps = steps_of(subject.account)
                findings = base.examine(subject, model=fields.get("model_default") or None)
            st.session_state[keys.field(id, "tested")] = dict(fields)
            examination.run(name, steps, findings)
        except base.InvalidConfiguration as error:
            st.session_state[keys.problems(id)] = error.problems
        except base.CannotOpen as error:
            st.session_state[keys.problems(id)] = {"api_key": str(error)}
        st.rerun()
    if examination.kept(name) and st.session_state.get(keys.field(id, "tested")) == fields:
        try:
            named = {**fields, "display_name": UNNAMED}
            examination.show(name, steps_of(Account(**named)))  # type: ignore[arg-type]  # as typed
        except base.InvalidConfiguration:
            return


def suggest_models(id: str, saved: SavedConfiguration | None, fields: dict[str, str], key: str) -> None:
    """Draw the models that the provider lists, on request."""
    if st.button("List models", icon=":material/list:", type="tertiary"):
        try:
            subject = _subject(saved, fields, key)
            offered = base.models_typed(subject) if isinstance(subject, Configuration) else base.models(subject)
        except base.InvalidConfiguration as error:
            st.session_state[keys.problems(id)] = error.problems
            st.rerun()
        except (base.ConnectorError, base.StorageError) as error:
            problem(str(error))
            return
        st.session_state[keys.field(id, "models")] = {
            each.name: f"{each.name} · retires {each.retires_on}" if each.retires_on else each.name for each in offered
        }
    models: dict[str, str] = st.session_state.get(keys.field(id, "models"), {})
    if models:
        st.selectbox(
            "Provider's models",
            list(models),
            index=None,
            format_func=lambda name: models[name],
            placeholder=f"{len(models)} models; type to search",
            key=keys.field(id, "model_picked"),
            on_change=_take_model,
            args=(id,),
        )
    elif keys.field(id, "models") in st.session_state:
        st.markdown(":small[:gray[The provider lists no models. You can type any name.]]")


@base.reports_errors
def _take_model(id: str) -> None:
    if picked := base.entered(keys.field(id, "model_picked")):
        st.session_state[keys.field(id, "model_default")] = picked


def _subject(saved: SavedConfiguration | None, fields: dict[str, str], key: str) -> Configuration | SavedConfiguration:
    """The configuration to test: the typed values with the typed key, or the saved values with the stored key.

    Never the stored key with an address that is only typed. Raises `InvalidConfiguration`.
    """
    if key.strip() or fields["key_type"] == KeyType.ENTRA_IDENTITY:
        named = {**fields, "display_name": fields["display_name"].strip() or UNNAMED}
        return Configuration(**{**named, "api_key": SecretStr(key)})  # type: ignore[arg-type]  # as typed
    if saved is None:
        raise base.InvalidConfiguration({"api_key": "Enter the key."})
    if any(fields.get(name, getattr(saved, name)).strip() != getattr(saved, name) for name in WHERE_THE_KEY_GOES):
        raise base.InvalidConfiguration(
            {"api_key": "Enter the key to test this address. The stored key is only sent to the saved address."}
        )
    return saved
