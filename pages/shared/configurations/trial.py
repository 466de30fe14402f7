"""The test and the provider's list of models for the form of a configuration, saved or not."""

from dataclasses import dataclass, field

import streamlit as st
from pydantic import SecretStr

from connector import Account, Configuration, KeyType, steps_of
from db import SavedConfiguration
from pages.shared import base
from pages.shared.base import problem
from pages.shared.configurations import examination, keys

UNNAMED = "New configuration"
WHERE_THE_KEY_GOES = ("api_type", "key_type", "endpoint", "deployment_name", "api_version", "key_header")


@dataclass(frozen=True)
class Typed:
    """What is in the fields of a form."""

    fields: dict[str, str]
    """Those of an account, by name, without its headers."""
    key: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    """Name -> value; an empty value keeps the stored one."""

    def configuration(self, display_name: str) -> Configuration:
        """The configuration with the typed key. Raises `InvalidConfiguration`."""
        secrets = {"headers": self.headers, "api_key": SecretStr(self.key)}
        return Configuration(**{**self.fields, "display_name": display_name, **secrets})  # type: ignore[arg-type]  # as typed

    def calls_like(self, saved: SavedConfiguration) -> bool:
        """Whether a call with these values and one with the saved values are the same, but for the model."""
        is_address = all(self.fields.get(n, getattr(saved, n)).strip() == getattr(saved, n) for n in WHERE_THE_KEY_GOES)
        return is_address and not self.key.strip() and not self.changes_headers(saved)

    def changes_headers(self, saved: SavedConfiguration) -> bool:
        """Whether a header would be added, replaced or removed."""
        return tuple(self.headers) != saved.header_names or any(self.headers.values())


def test(id: str, saved: SavedConfiguration | None, typed: Typed, *, is_begun: bool) -> None:
    """Test the values in the form. The findings are shown until the values change."""
    name = keys.form(id)
    if is_begun:
        st.session_state.pop(keys.problems(id), None)
        try:
            subject = _subject(saved, typed)
            if isinstance(subject, Configuration):
                steps, findings = steps_of(subject), base.examine_typed(subject)
            else:
                steps = steps_of(subject.account)
                findings = base.examine(subject, model=typed.fields.get("model_default") or None)
            st.session_state[keys.field(id, "tested")] = (typed.fields, typed.headers)
            examination.run(name, steps, findings)
        except base.InvalidConfiguration as error:
            st.session_state[keys.problems(id)] = error.problems
        except base.CannotOpen as error:
            st.session_state[keys.problems(id)] = {"api_key": str(error)}
        st.rerun()
    if examination.kept(name) and _is_tested(id, typed):
        try:
            named = {**typed.fields, "display_name": UNNAMED}
            examination.show(name, steps_of(Account(**named)))  # type: ignore[arg-type]  # as typed
        except base.InvalidConfiguration:
            return


def has_passed(id: str, typed: Typed) -> bool:
    """Whether exactly these values have passed the test."""
    return _is_tested(id, typed) and bool(examination.standing(keys.form(id), lambda: typed.configuration(UNNAMED)))


def _is_tested(id: str, typed: Typed) -> bool:
    return bool(st.session_state.get(keys.field(id, "tested")) == (typed.fields, typed.headers))


def suggest_models(id: str, saved: SavedConfiguration | None, typed: Typed) -> None:
    """Draw the models that the provider lists, on request."""
    if st.button("List models", icon=":material/list:", type="tertiary"):
        try:
            subject = _subject(saved, typed)
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


def _subject(saved: SavedConfiguration | None, typed: Typed) -> Configuration | SavedConfiguration:
    """The configuration to test: the typed values with the typed key, or the saved values with the stored key.

    Never the stored key with an address that is only typed. Raises `InvalidConfiguration`.
    """
    if saved is not None and typed.calls_like(saved):
        return saved
    if not typed.key.strip() and typed.fields["key_type"] != KeyType.ENTRA_IDENTITY:
        to_this_address = " to test this address. The stored key is only sent to the saved address." if saved else "."
        raise base.InvalidConfiguration({"api_key": f"Enter the key{to_this_address}"})
    if saved is not None and not all(typed.headers[name] for name in saved.header_names if name in typed.headers):
        raise base.InvalidConfiguration(
            {"headers": "Enter all values to test this address. Stored values are only sent to the saved address."}
        )
    return typed.configuration(typed.fields["display_name"].strip() or UNNAMED)
