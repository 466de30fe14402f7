"""The form of one configuration. Its key field is never filled: a stored key is kept, or replaced, and never shown."""

from typing import Any

import streamlit as st
from pydantic import SecretStr

from connector import PROVIDERS, Account, ApiType, Configuration, KeyType, Price, fields_of, origin_of, read_endpoint
from db import SavedConfiguration
from pages.shared import account, base
from pages.shared.base import plain, problem
from pages.shared.configurations import aside, cards, keys, trial

PRICES = [name for name in Price.model_fields if name != "since"]
FILLED = {
    "api_type": "provider",
    "endpoint": "endpoint",
    "deployment_name": "deployment name",
    "api_version": "API version",
    "model_default": "default model",
}


def draw_form(id: str) -> None:
    """The form for the configuration with this id, or for a new one."""
    saved = None if id == keys.NEW else _saved(id)
    if saved is None and id != keys.NEW:
        _begin_anew(id)
    if saved and keys.field(id, "display_name") not in st.session_state:
        st.session_state[keys.field(id, "version")] = saved.version  # what is typed from here on is typed over this
    with account.head(
        saved.display_name if saved else "New configuration",
        "Where an account is, and the key that opens it. The key is sealed before it is stored.",
    ):
        if st.button("Back to the list", icon=":material/arrow_back:", type="tertiary"):
            _leave()
            st.rerun()
    left, right = st.columns([3, 2], gap="large")
    with left:
        fields, key = _fields(id, saved)
        _will_call(fields)
        price = _price(id, saved)
        with st.container(horizontal=True, vertical_alignment="center"):
            is_saved = st.button("Save", type="primary")
            is_tested = st.button("Test", help="Tests what stands here, saved or not.")
            st.space("stretch")
            if saved and st.button("Delete", icon=":material/delete:", type="tertiary"):
                cards.confirm_delete(saved, _leave)
        _conflict(id, fields, key, price)
        if is_saved:
            _save(id, fields, key, price)
        trial.test(id, saved, fields, key, is_begun=is_tested)
    with right:
        aside.draw(ApiType(fields["api_type"]), saved)


def _saved(id: str) -> SavedConfiguration | None:
    try:
        return base.database().configurations.get(base.person(), id)
    except base.NotFound:
        return None


def _begin_anew(id: str) -> None:
    """It was deleted under somebody's hands: what they typed is taken along into the form of a new one."""
    if keys.field(id, "display_name") not in st.session_state:
        st.toast("This configuration does not exist any more.", icon=":material/info:")
        st.query_params.clear()
        st.rerun()
    for name, value in keys.fields_of(id).items():
        st.session_state[keys.field(keys.NEW, name)] = value
    st.toast("This configuration was deleted meanwhile. Saved, this becomes a new one.", icon=":material/info:")
    keys.forget(id)
    st.query_params["edit"] = keys.NEW
    st.rerun()


def _fields(id: str, saved: SavedConfiguration | None) -> tuple[dict[str, str], str]:
    """What is typed into the fields, and into the key's."""
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
    else:
        help = "Used when a call names no model. Any name may stand here."
        fields["model_default"] = _text(id, saved, "model_default", placeholder="gpt-6-luna", help=help)
    below_the_model = st.container()
    key_type, key = _key(id, saved, api_type, fields["endpoint"])
    fields["key_type"] = str(key_type)
    if api_type is ApiType.OPENAI:
        with below_the_model:
            trial.suggest_models(id, saved, fields, key)
    return fields, key


def _text(id: str, saved: SavedConfiguration | None, name: str, default: str = "", **options: Any) -> str:
    """One field, and what is wrong with it."""
    # Not as the widget's own default: what is set in the session's state, too, would be warned of.
    st.session_state.setdefault(keys.field(id, name), getattr(saved, name, default))
    value = st.text_input(str(Configuration.model_fields[name].title), key=keys.field(id, name), **options)
    problem(_problems(id).get(name))
    return str(value)


def _problems(id: str) -> dict[str, str]:
    """What was wrong with the fields when they were last saved or tried."""
    found: dict[str, str] = st.session_state.get(keys.problems(id), {})
    return found


def _paste(id: str) -> None:
    """One field that takes any address and fills the others."""
    st.text_input(
        "Paste anything",
        key=keys.field(id, "pasted"),
        placeholder="An address from a portal, a manual or a wiki: it fills the fields below",
        on_change=_take_pasted,
        args=(id,),
    )
    problem(st.session_state.get(keys.field(id, "paste_problem")))
    if filled := st.session_state.get(keys.field(id, "filled")):
        st.markdown(f":small[:gray[:material/check:\u2002Filled in: {filled}. The key is never taken from there.]]")


# The browser may still send what stood in a form that was left a moment ago: what these read may be gone.
def _take_pasted(id: str) -> None:
    pasted = str(st.session_state.get(keys.field(id, "pasted"), ""))
    st.session_state[keys.field(id, "paste_problem")] = st.session_state[keys.field(id, "filled")] = ""
    if not pasted.strip():
        return
    try:
        found = fields_of(pasted)
    except base.InvalidConfiguration as error:
        st.session_state[keys.field(id, "paste_problem")] = str(error)
        return
    for name, value in found.items():
        st.session_state[keys.field(id, name)] = ApiType(value) if name == "api_type" else value
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
        help="Any form that a portal or a manual shows; what will be called stands below.",
    )
    if provider.default_endpoint and typed.strip() != provider.default_endpoint:
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.markdown(f":small[:gray[Default] `{provider.default_endpoint}`]", width="content")
            st.button("Apply", type="tertiary", on_click=_apply_default_endpoint, args=(id, provider.default_endpoint))
    return typed


def _apply_default_endpoint(id: str, endpoint: str) -> None:
    st.session_state[keys.field(id, "endpoint")] = endpoint


def _offer_default_endpoint(id: str) -> None:
    """The other provider's default endpoint takes the place of one that was only a default itself."""
    defaults = {provider.default_endpoint for provider in PROVIDERS.values()}
    typed, api_type = (st.session_state.get(keys.field(id, name)) for name in ("endpoint", "api_type"))
    if api_type is not None and typed is not None and typed.strip() in defaults:
        st.session_state[keys.field(id, "endpoint")] = PROVIDERS[api_type].default_endpoint


def _key(id: str, saved: SavedConfiguration | None, api_type: ApiType, endpoint: str) -> tuple[KeyType, str]:
    """What signs in, and what is typed for it."""
    key_types = PROVIDERS[api_type].key_types
    one, two = st.columns(2)
    with one:
        key_type = key_types[0]
        if len(key_types) > 1:
            st.session_state.setdefault(keys.field(id, "key_type"), saved.key_type if saved else key_types[0])
            key_type = st.selectbox(
                "Signs in with", key_types, format_func=lambda each: each.caption, key=keys.field(id, "key_type")
            )
    with two if len(key_types) > 1 else one:
        if key_type is KeyType.ENTRA_IDENTITY:
            st.markdown(
                ":small[:gray[No key: this machine's own Microsoft Entra identity signs in. It needs the role "
                "Cognitive Services OpenAI User, and the package azure-identity.]]"
            )
            problem(_problems(id).get("key_type"))
            return key_type, ""
        key = st.text_input(
            "API key" if key_type is KeyType.API_KEY else "Token",
            type="password",
            key=keys.field(id, "api_key"),
            # Else Streamlit 1.67 forgets a password that is left with the Tab key, which leads to its eye button.
            live="0ms",
            placeholder=_key_placeholder(saved, key_type, endpoint),
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
    """The address that will be called, as soon as it can be told."""
    try:
        url = Account(**{**fields, "display_name": trial.UNNAMED}).url  # type: ignore[arg-type]
    except base.InvalidConfiguration:
        return
    st.markdown(":gray[Will call]")
    st.code(f"POST {url}", language=None, wrap_lines=True)
    host = read_endpoint(fields["endpoint"]).origin.partition("://")[2].partition(":")[0]
    if fields["api_type"] == ApiType.AZURE_OPENAI and not host.endswith((".azure.com", ".azure.us", ".azure.cn")):
        st.warning(
            "This does not look like an Azure OpenAI address, which ends in openai.azure.com. It can be saved all the "
            "same, for a gateway for example.",
            icon=":material/info:",
        )


def _price(id: str, saved: SavedConfiguration | None) -> dict[str, float]:
    """The fields of one's own price; those that were filled in."""
    price = saved.price if saved else None
    typed: dict[str, float | None] = {}
    label = f"Own price, since {price.since}" if price else "Own price"
    with st.expander(label, icon=":material/payments:", expanded=bool(set(PRICES) & set(_problems(id)))):
        st.markdown(
            ":small[:gray[US dollars for a million tokens. Empty: the list price of the model that answers, where "
            "there is one. It counts for calls from now on.]]"
        )
        for start in (0, 2):
            for column, name in zip(st.columns(2), PRICES[start : start + 2], strict=True):
                field = Price.model_fields[name]
                # Not as the widget's own default: one with a default cannot be emptied.
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


def _save(id: str, fields: dict[str, str], key: str, prices: dict[str, float]) -> None:
    who = base.person()
    for key_of_last in (keys.problems(id), keys.conflict(id)):
        st.session_state.pop(key_of_last, None)
    try:
        price = Price(**prices) if prices else None  # type: ignore[arg-type]  # it checks itself
        if id == keys.NEW:
            configuration = Configuration(**{**fields, "api_key": SecretStr(key)})  # type: ignore[arg-type]  # as typed
            with base.changing() as database:
                database.configurations.add(who, configuration, price)
        else:
            api_key = SecretStr(key) if key.strip() else None
            version = st.session_state[keys.field(id, "version")]
            with base.changing() as database:
                database.configurations.change(who, id, {**fields, "price": price}, api_key, version=version)
    except base.InvalidConfiguration as error:
        st.session_state[keys.problems(id)] = error.problems
    except base.ChangedMeanwhile as error:
        st.session_state[keys.conflict(id)] = str(error)
    except base.NotFound:
        pass  # the form says so when it is drawn again
    else:
        _leave()
    st.rerun()


def _conflict(id: str, fields: dict[str, str], key: str, prices: dict[str, float]) -> None:
    """Somebody else was first: theirs or mine, decided by whoever reads this."""
    sentence = st.session_state.get(keys.conflict(id))
    saved = _saved(id) if sentence else None
    if sentence is None or saved is None:
        return
    with st.container(border=True):
        st.warning(plain(sentence), icon=":material/group:")
        if overwritten := _differences(saved, fields, key, prices):
            st.markdown(f"Saved over it, yours changes {plain('; '.join(overwritten))}.")
        with st.container(horizontal=True):
            if st.button("Show theirs", help="Forgets what was typed here."):
                keys.forget(id)
                st.rerun()
            if st.button("Save mine over it"):
                st.session_state[keys.field(id, "version")] = saved.version
                _save(id, fields, key, prices)


def _differences(saved: SavedConfiguration, fields: dict[str, str], key: str, prices: dict[str, float]) -> list[str]:
    """What saving the form would change in what is stored now, whoever put it there."""
    titles = {name: str(field.title) for name, field in Configuration.model_fields.items()}
    found = [
        f"{titles[name]}: {getattr(saved, name) or 'none'} → {typed.strip() or 'none'}"
        for name, typed in fields.items()
        if typed.strip() != getattr(saved, name)
    ]
    own = saved.price.model_dump(include=set(PRICES), exclude_none=True) if saved.price else {}
    if {name: float(value) for name, value in own.items()} != prices:
        found.append("the own price")
    return [*found, "the key"] if key.strip() else found


def _leave() -> None:
    """Back to the list; what was typed is forgotten, the key above all."""
    keys.forget(st.query_params.get("edit", ""))
    st.query_params.clear()
