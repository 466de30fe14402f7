"""The form of one configuration. Its key field starts empty: a stored key is kept or replaced, and never shown."""

from typing import Any

import streamlit as st
from pydantic import SecretStr

from connector import (
    PROVIDERS,
    Account,
    ApiType,
    Configuration,
    KeyType,
    Price,
    fields_of,
    key_in,
    origin_of,
    read_endpoint,
)
from db import Database, SavedConfiguration
from pages.shared import account, base
from pages.shared.base import plain, problem
from pages.shared.configurations import aside, cards, earlier_key, headers, keys, trial
from pages.shared.configurations.trial import Typed

PRICES = [name for name in Price.model_fields if name != "since"]
FILLED = {
    "api_type": "provider",
    "endpoint": "endpoint",
    "deployment_name": "deployment name",
    "api_version": "API version",
    "model_default": "default model",
    "key_header": "key header",
    "api_key": "key",
}


def draw_form(id: str) -> None:
    """Draw the form for the configuration with this id, or for a new one."""
    saved = None if id == keys.NEW else _saved(id)
    if saved is None and id != keys.NEW:
        _begin_anew(id)
    if saved and keys.field(id, "display_name") not in st.session_state:
        st.session_state[keys.field(id, "version")] = saved.version  # the version that the changes are based on
    with account.head(
        saved.display_name if saved else "New configuration",
        "The address of an account and its key. The key is encrypted before it is stored.",
    ):
        if st.button("Back to list", icon=":material/arrow_back:", type="tertiary"):
            _leave()
            st.rerun()
    left, right = st.columns([3, 2], gap="large")
    with left:
        typed = _fields(id, saved)
        _will_call(typed.fields)
        price = _price(id, saved)
        with st.container(horizontal=True, vertical_alignment="center"):
            is_saved = st.button("Save", type="primary")
            is_tested = st.button("Test without saving", help="Tests the values in this form.")
            st.space("stretch")
            if saved and st.button("Delete", icon=":material/delete:", type="tertiary"):
                cards.confirm_delete(saved, _leave)
        _conflict(id, typed, price)
        if is_saved:
            _save(id, typed, price)
    with right:
        trial.test(id, saved, typed, is_begun=is_tested)
        aside.draw(ApiType(typed.fields["api_type"]), saved)


def _saved(id: str) -> SavedConfiguration | None:
    try:
        return base.database().configurations.get(base.person(), id)
    except base.NotFound:
        return None


def _begin_anew(id: str) -> None:
    """The configuration was deleted while its form was open: move the typed values into the form of a new one."""
    if keys.field(id, "display_name") not in st.session_state:
        st.toast("This configuration no longer exists.", icon=":material/info:")
        st.query_params.clear()
        st.rerun()
    for name, value in keys.fields_of(id).items():
        st.session_state[keys.field(keys.NEW, name)] = value
    st.toast("Somebody else deleted this configuration. Saving this form creates a new one.", icon=":material/info:")
    keys.forget(id)
    st.query_params["edit"] = keys.NEW
    st.rerun()


def _fields(id: str, saved: SavedConfiguration | None) -> Typed:
    """Draw the fields. Returns their values."""
    _paste(id)
    st.session_state.setdefault(keys.field(id, "api_type"), saved.api_type if saved else ApiType.OPENAI)
    chosen = st.segmented_control(
        "Provider",
        list(ApiType),
        format_func=lambda each: PROVIDERS[each].caption,
        required=True,
        key=keys.field(id, "api_type"),
        on_change=_offer_default_endpoint,
        args=(id,),
    )
    api_type = ApiType(chosen or ApiType.OPENAI)
    fields = {
        "api_type": str(api_type),
        "display_name": _text(id, saved, "display_name", placeholder="MyConfiguration"),
        "endpoint": _endpoint(id, saved, api_type),
    }
    if api_type is ApiType.AZURE_OPENAI:
        one, two = st.columns(2)
        with one:
            help = "Azure portal, Deployments: the name you chose, not the name of the model."
            fields["deployment_name"] = _text(id, saved, "deployment_name", help=help)
        with two:
            help = "YYYY-MM-DD, or v1 for Azure's v1 API."
            fields["api_version"] = _text(id, saved, "api_version", placeholder="2024-10-21", help=help)
    key_type, key = _key(id, saved, api_type, fields["endpoint"])
    fields["key_type"] = str(key_type)
    if saved and earlier_key.offer(saved, "form"):
        st.session_state[keys.field(id, "version")] += 1  # by this change, which the form need not report as another's
        st.rerun()
    if api_type is ApiType.OPENAI:
        help = "Used for calls that name no model. Any name is accepted."
        fields["model_default"] = _text(id, saved, "model_default", placeholder="gpt-6-luna", help=help)
    below_the_model = st.container()
    fields["key_header"], own_headers = headers.draw(id, saved, api_type, key_type, _problems(id))
    typed = Typed(fields, key, own_headers)
    if api_type is ApiType.OPENAI:
        with below_the_model:
            trial.suggest_models(id, saved, typed)
    return typed


def _text(id: str, saved: SavedConfiguration | None, name: str, default: str = "", **options: Any) -> str:
    """Draw a text field, and its problem below it."""
    # Not as the widget's default: Streamlit warns when the session's state has a value, too.
    st.session_state.setdefault(keys.field(id, name), getattr(saved, name, default))
    label = str(Configuration.model_fields[name].title)
    value = st.text_input(label, key=keys.field(id, name), on_change=_forget_problem, args=(id, name), **options)
    problem(_problems(id).get(name))
    return str(value)


def _problems(id: str) -> dict[str, str]:
    """Field -> problem, from the last time the form was saved or tested."""
    found: dict[str, str] = st.session_state.get(keys.problems(id), {})
    return found


def _forget_problem(id: str, name: str) -> None:
    """The field has changed, so what was wrong with it may be right now."""
    _problems(id).pop(name, None)


def _paste(id: str) -> None:
    """Draw a field that reads any pasted text and fills the other fields."""
    st.text_input(
        "Paste anything",
        key=keys.field(id, "pasted"),
        placeholder="An address, a key or a command from a portal, a manual or a wiki: it fills the fields below",
        on_change=_take_pasted,
        args=(id,),
    )
    problem(st.session_state.get(keys.field(id, "paste_problem")))
    if filled := st.session_state.get(keys.field(id, "filled")):
        st.markdown(f":small[:gray[:material/check:\u2002Filled in: {filled}.]]")


@base.reports_errors
def _take_pasted(id: str) -> None:
    """Fill the fields with what was pasted. A key goes into its field and is not shown here, also beside an error."""
    pasted = str(base.entered(keys.field(id, "pasted")))
    st.session_state[keys.field(id, "paste_problem")] = st.session_state[keys.field(id, "filled")] = ""
    if not pasted.strip():
        return
    found: dict[str, str] = {}
    if key := key_in(pasted):
        found["api_key"] = key
    try:
        found |= fields_of(pasted)
    except base.InvalidConfiguration as error:
        if not key:
            st.session_state[keys.field(id, "paste_problem")] = str(error)
            return
    for name, value in found.items():
        st.session_state[keys.field(id, name)] = ApiType(value) if name == "api_type" else value
        _forget_problem(id, name)
    st.session_state[keys.field(id, "filled")] = ", ".join(FILLED[name] for name, value in found.items() if value)
    st.session_state[keys.field(id, "pasted")] = ""


def _endpoint(id: str, saved: SavedConfiguration | None, api_type: ApiType) -> str:
    provider = PROVIDERS[api_type]
    typed = _text(
        id,
        saved,
        "endpoint",
        default=provider.default_endpoint,
        placeholder=provider.endpoint_example,
        help="Any form that a portal or a manual shows. The request URL is shown below.",
    )
    if provider.default_endpoint and typed.strip() != provider.default_endpoint:
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.markdown(f":small[:gray[Default] `{provider.default_endpoint}`]", width="content")
            st.button("Apply", type="tertiary", on_click=_apply_default_endpoint, args=(id, provider.default_endpoint))
    return typed


def _apply_default_endpoint(id: str, endpoint: str) -> None:
    st.session_state[keys.field(id, "endpoint")] = endpoint


@base.reports_errors
def _offer_default_endpoint(id: str) -> None:
    """Fill in the default endpoint of the chosen provider, when the field holds only the other provider's default."""
    defaults = {provider.default_endpoint for provider in PROVIDERS.values()}
    typed, api_type = (base.entered(keys.field(id, name)) for name in ("endpoint", "api_type"))
    if typed.strip() in defaults:
        st.session_state[keys.field(id, "endpoint")] = PROVIDERS[api_type].default_endpoint


def _key(id: str, saved: SavedConfiguration | None, api_type: ApiType, endpoint: str) -> tuple[KeyType, str]:
    """Draw the type of key and its field. Returns both values."""
    key_types = PROVIDERS[api_type].key_types
    one, two = st.columns(2)
    with one:
        key_type = key_types[0]
        if len(key_types) > 1:
            st.session_state.setdefault(keys.field(id, "key_type"), saved.key_type if saved else key_types[0])
            key_type = st.selectbox(
                "Sign-in", key_types, format_func=lambda each: each.caption, key=keys.field(id, "key_type")
            )
    with two if len(key_types) > 1 else one:
        if key_type is KeyType.ENTRA_IDENTITY:
            st.markdown(
                ":small[:gray[No key needed: the Microsoft Entra identity of this machine signs in. It needs the role "
                "Cognitive Services OpenAI User and the package azure-identity.]]"
            )
            problem(_problems(id).get("key_type"))
            return key_type, ""
        key = st.text_input(
            "API key" if key_type is KeyType.API_KEY else "Token",
            type="password",
            key=keys.field(id, "api_key"),
            # Without it, Streamlit 1.67 loses a password when the Tab key moves on to the eye button.
            live="0ms",
            placeholder=_key_placeholder(saved, key_type, endpoint),
            on_change=_forget_problem,
            args=(id, "api_key"),
        )
        problem(_problems(id).get("api_key"))
    return key_type, str(key)


def _key_placeholder(saved: SavedConfiguration | None, key_type: KeyType, endpoint: str) -> str:
    if saved is None or saved.key_type is not key_type:
        return ""
    if not _leads_to_the_same_host(saved.endpoint, endpoint):
        return "Enter the key of this address"
    if not saved.is_key_readable:
        return "Cannot be opened; enter it again"
    return f"Ends in {saved.key_hint}; leave empty to keep it" if saved.key_hint else "Leave empty to keep it"


def _leads_to_the_same_host(one: str, other: str) -> bool:
    try:
        return origin_of(one) == origin_of(other)
    except base.InvalidConfiguration:
        return False


def _will_call(fields: dict[str, str]) -> None:
    """Draw the request URL, as soon as the fields are valid."""
    try:
        url = Account(**{**fields, "display_name": trial.UNNAMED}).url  # type: ignore[arg-type]
    except base.InvalidConfiguration:
        return
    st.markdown(":gray[Request URL]")
    st.code(f"POST {url}", language=None, wrap_lines=True)
    host = read_endpoint(fields["endpoint"]).origin.partition("://")[2].partition(":")[0]
    if fields["api_type"] == ApiType.AZURE_OPENAI and not host.endswith((".azure.com", ".azure.us", ".azure.cn")):
        st.warning(
            "This does not look like an Azure OpenAI address, which ends in openai.azure.com. You can save it "
            "anyway, for example for a gateway.",
            icon=":material/info:",
        )


def _price(id: str, saved: SavedConfiguration | None) -> dict[str, float]:
    """Draw the fields of the own price. Returns those that are filled in."""
    price = saved.price if saved else None
    typed: dict[str, float | None] = {}
    label = f"Own price, since {price.since}" if price else "Own price"
    with st.expander(label, icon=":material/payments:", expanded=bool(set(PRICES) & set(_problems(id)))):
        st.markdown(
            ":small[:gray[US dollars per million tokens. Leave a field empty to use the list price of the model. "
            "Prices apply to calls from now on.]]"
        )
        for start in (0, 2):
            for column, name in zip(st.columns(2), PRICES[start : start + 2], strict=True):
                field = Price.model_fields[name]
                # Not as the widget's default: a number field with a default cannot be emptied.
                st.session_state.setdefault(keys.field(id, f"price:{name}"), getattr(price, name, None))
                with column:
                    typed[name] = st.number_input(
                        field.title or name,
                        min_value=0.0,
                        value=None,
                        format="%g",
                        placeholder="not set",
                        help=field.description,
                        key=keys.field(id, f"price:{name}"),
                    )
                    problem(_problems(id).get(name))
    return {name: value for name, value in typed.items() if value is not None}


def _save(id: str, typed: Typed, prices: dict[str, float]) -> None:
    who = base.person()
    for key_of_last in (keys.problems(id), keys.conflict(id)):
        st.session_state.pop(key_of_last, None)
    try:
        price = Price(**prices) if prices else None  # type: ignore[arg-type]  # it checks itself
        if id == keys.NEW:
            configuration = typed.configuration(typed.fields["display_name"])
            with base.changing() as database:
                added = database.configurations.add(who, configuration, price)
                if trial.has_passed(id, typed):
                    _make_default(database, added)
        else:
            api_key = SecretStr(typed.key) if typed.key.strip() else None
            version = st.session_state[keys.field(id, "version")]
            fields = {**typed.fields, "headers": typed.headers, "price": price}
            with base.changing() as database:
                database.configurations.change(who, id, fields, api_key, version=version)
    except base.InvalidConfiguration as error:
        st.session_state[keys.problems(id)] = error.problems
    except base.ChangedMeanwhile as error:
        st.session_state[keys.conflict(id)] = str(error)
    except base.NotFound:
        pass  # the next run of the form says so
    else:
        _leave()
    st.rerun()


def _make_default(database: Database, added: SavedConfiguration) -> None:
    """Make the first provider the default, where only the built-in model was before."""
    who = base.person()
    others = [each for each in database.configurations.all(who) if each.id != added.id]
    if others and all(each.endpoint == base.demo_endpoint() for each in others):
        database.configurations.make_default(who, added.id)
        st.session_state[keys.MADE_DEFAULT] = added.id, others[0].id


def _conflict(id: str, typed: Typed, prices: dict[str, float]) -> None:
    """Somebody else saved first: let the person discard their own changes or overwrite."""
    sentence = st.session_state.get(keys.conflict(id))
    saved = _saved(id) if sentence else None
    if sentence is None or saved is None:
        return
    with st.container(border=True):
        st.warning(plain(sentence), icon=":material/group:")
        if overwritten := _differences(saved, typed, prices):
            st.markdown(f"Saving will overwrite these changes: {plain('; '.join(overwritten))}.")
        with st.container(horizontal=True):
            if st.button("Show theirs", help="Discards your changes."):
                keys.forget(id)
                st.rerun()
            if st.button("Overwrite"):
                st.session_state[keys.field(id, "version")] = saved.version
                _save(id, typed, prices)


def _differences(saved: SavedConfiguration, typed: Typed, prices: dict[str, float]) -> list[str]:
    """What saving the form would change in the stored configuration."""
    titles = {name: str(field.title) for name, field in Configuration.model_fields.items()}
    found = [
        f"{titles[name]}: {getattr(saved, name) or 'none'} → {value.strip() or 'none'}"
        for name, value in typed.fields.items()
        if value.strip() != getattr(saved, name)
    ]
    if typed.changes_headers(saved):
        found.append("the headers")
    own = saved.price.model_dump(include=set(PRICES), exclude_none=True) if saved.price else {}
    if {name: float(value) for name, value in own.items()} != prices:
        found.append("the own price")
    return [*found, "the key"] if typed.key.strip() else found


def _leave() -> None:
    """Go back to the list, and forget the typed values, above all the key."""
    keys.forget(st.query_params.get("edit", ""))
    st.query_params.clear()
