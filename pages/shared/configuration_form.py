"""The form of one configuration. Its key field is never filled: a stored key is kept, or replaced, and never shown."""

from typing import Any

import streamlit as st
from pydantic import SecretStr

from connector import PROVIDERS, ApiType, Configuration, KeyType, Price, read_endpoint
from db import SavedConfiguration
from pages.shared import runtime, use_case
from pages.shared.words import plain, when

NEW = "new"
PRICES = [name for name in Price.model_fields if name != "since"]


def draw(id: str) -> None:
    """The form for the configuration with this id, or for a new one."""
    saved = None if id == NEW else _saved(id)
    if saved is None and id != NEW:
        st.toast("This configuration was deleted meanwhile.", icon=":material/info:")
        st.query_params.clear()
        st.rerun()
    with use_case.head(
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
            if st.button("Save", type="primary"):
                _save(id, saved, fields, key, price)
            st.space("stretch")
            if saved and st.button("Delete", icon=":material/delete:", type="tertiary"):
                _confirm_delete(saved)
    with right:
        _hints(ApiType(fields["api_type"]))
        if saved:
            _learnt(saved)


def _saved(id: str) -> SavedConfiguration | None:
    try:
        return runtime.database().configurations.get(runtime.person(), id)
    except runtime.NotFound:
        return None


def _fields(id: str, saved: SavedConfiguration | None) -> tuple[dict[str, str], str]:
    problems: dict[str, str] = st.session_state.get(f"problems:{id}", {})

    def text(name: str, label: str, default: str = "", **options: Any) -> str:
        # Not as the widget's own default: what is set in the session's state, too, would be warned of.
        st.session_state.setdefault(f"{id}:{name}", getattr(saved, name, default))
        value = st.text_input(label, key=f"{id}:{name}", **options)
        _problem(problems, name)
        return str(value)

    api_type = st.segmented_control(
        "Provider",
        list(ApiType),
        default=saved.api_type if saved else ApiType.OPENAI,
        format_func=lambda each: PROVIDERS[each].caption,
        required=True,
        key=f"{id}:api_type",
        on_change=_offer_default_endpoint,
        args=(id,),
    )
    provider = PROVIDERS[api_type]
    fields = {"api_type": str(api_type), "display_name": text("display_name", "Name", placeholder="MyConfiguration")}
    fields["endpoint"] = text(
        "endpoint",
        "Endpoint",
        default=provider.default_endpoint,
        placeholder=provider.endpoint_example,
        help="Any form that a portal or a manual shows; what will be called stands below.",
    )
    if api_type is ApiType.AZURE_OPENAI:
        one, two = st.columns(2)
        with one:
            fields["deployment_name"] = text(
                "deployment_name",
                "Deployment name",
                help="Azure portal, Deployments: the name you chose, not the name of the model.",
            )
        with two:
            fields["api_version"] = text(
                "api_version", "API version", placeholder="2024-10-21", help="YYYY-MM-DD, or v1 for Azure's v1 API."
            )
    else:
        fields["model_default"] = text(
            "model_default", "Default model", placeholder="gpt-6-luna", help="Used when a call names no model."
        )
    one, two = st.columns(2)
    with one:
        key_type = provider.key_types[0]
        if len(provider.key_types) > 1:
            key_type = st.selectbox(
                "Signs in with",
                provider.key_types,
                index=provider.key_types.index(saved.key_type) if saved and saved.key_type in provider.key_types else 0,
                format_func=lambda each: each.caption,
                key=f"{id}:key_type",
            )
        fields["key_type"] = str(key_type)
    with two if len(provider.key_types) > 1 else one:
        if key_type is KeyType.ENTRA_IDENTITY:
            st.markdown(
                ":small[:gray[No key: this machine's own Microsoft Entra identity signs in. It needs the role "
                "Cognitive Services OpenAI User, and the package azure-identity.]]"
            )
            _problem(problems, "key_type")
            return fields, ""
        key = st.text_input(
            "API key" if key_type is KeyType.API_KEY else "Token",
            type="password",
            key=f"{id}:api_key",
            # Else Streamlit 1.67 forgets a password that is left with the Tab key, which leads to its eye button.
            live="0ms",
            placeholder=_key_placeholder(saved),
        )
        _problem(problems, "api_key")
    return fields, key


def _offer_default_endpoint(id: str) -> None:
    """The other provider's default endpoint takes the place of one that was only a default itself."""
    defaults = {provider.default_endpoint for provider in PROVIDERS.values()}
    if st.session_state[f"{id}:endpoint"].strip() in defaults:
        st.session_state[f"{id}:endpoint"] = PROVIDERS[st.session_state[f"{id}:api_type"]].default_endpoint


def _key_placeholder(saved: SavedConfiguration | None) -> str:
    if saved is None:
        return ""
    return f"Ends in {saved.key_hint}; leave empty to keep it" if saved.key_hint else "Leave empty to keep it"


def _problem(problems: dict[str, str], name: str) -> None:
    if name in problems:
        st.markdown(f":small[:red[:material/error:\u2002{plain(problems[name])}]]")


def _will_call(fields: dict[str, str]) -> None:
    """The address that will be called, as soon as it can be told."""
    try:
        # The address does not depend on the key: any will do here.
        url = Configuration(**{**fields, "display_name": "any", "api_key": SecretStr("any")}).url  # type: ignore[arg-type]
    except runtime.InvalidConfiguration:
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
    problems: dict[str, str] = st.session_state.get(f"problems:{id}", {})
    typed: dict[str, float | None] = {}
    label = f"Own price, since {price.since}" if price else "Own price"
    with st.expander(label, icon=":material/payments:", expanded=bool(set(PRICES) & set(problems))):
        st.markdown(
            ":small[:gray[US dollars for a million tokens. Empty: the list price of the model that answers, where "
            "there is one. It counts for calls from now on.]]"
        )
        for start in (0, 2):
            for column, name in zip(st.columns(2), PRICES[start : start + 2], strict=True):
                field = Price.model_fields[name]
                # Not as the widget's own default: one with a default cannot be emptied.
                st.session_state.setdefault(f"{id}:price:{name}", getattr(price, name, None))
                with column:
                    typed[name] = st.number_input(
                        field.title or name,
                        min_value=0.0,
                        value=None,
                        format="%g",
                        placeholder="not set",
                        help=field.description,
                        key=f"{id}:price:{name}",
                    )
                    _problem(problems, name)
    return {name: value for name, value in typed.items() if value is not None}


def _learnt(saved: SavedConfiguration) -> None:
    """What its models were seen not to take, and a way to forget it."""
    learnt = runtime.database().adaptations.all(runtime.person(), saved.id)
    if not learnt:
        return
    with st.container(border=True, gap="xsmall"):
        st.markdown("**What was learnt about its models**")
        st.markdown(":small[:gray[Requests are changed so, because the provider refused them otherwise.]]")
        for each in learnt:
            st.markdown(f"{plain(each.model)}: {plain(each.adaptation.change)}")
            st.caption(plain(f"{when(each.learnt_at)}: {each.adaptation.why}"))
        if st.button("Forget it", icon=":material/restart_alt:", type="tertiary"):
            runtime.database().adaptations.forget(runtime.person(), saved.id)
            st.toast("Forgotten. The next refusal is learnt anew.")
            st.rerun()


def _save(
    id: str, saved: SavedConfiguration | None, fields: dict[str, str], key: str, prices: dict[str, float]
) -> None:
    configurations, who = runtime.database().configurations, runtime.person()
    try:
        price = Price(**prices) if prices else None  # type: ignore[arg-type]  # it checks itself
        if saved is None:
            configuration = Configuration(**{**fields, "api_key": SecretStr(key)})  # type: ignore[arg-type]  # as typed
            saved = configurations.add(who, configuration)
        else:
            saved = configurations.change(who, id, fields, SecretStr(key) if key.strip() else None)
        before = saved.price and saved.price.model_dump(exclude={"since"})
        if before != (price and price.model_dump(exclude={"since"})):
            configurations.set_price(who, saved.id, price)
    except runtime.InvalidConfiguration as error:
        st.session_state[f"problems:{id}"] = error.problems
    except runtime.CannotOpen as error:
        st.session_state[f"problems:{id}"] = {"api_key": str(error)}
    else:
        _leave()
    st.rerun()


@st.dialog("Delete this configuration?")
def _confirm_delete(saved: SavedConfiguration) -> None:
    st.markdown(
        f"**{plain(saved.display_name)}** and its key are deleted. Its chats and its usage stay readable. "
        "This cannot be undone."
    )
    with st.container(horizontal=True):
        if st.button("Delete it", type="primary"):
            runtime.database().configurations.delete(runtime.person(), saved.id)
            _leave()
            st.rerun()
        if st.button("Keep it"):
            st.rerun()


def _leave() -> None:
    """Back to the list; what was typed is forgotten, the key above all."""
    id = st.query_params.get("edit", "")
    for name in [name for name in st.session_state if str(name).startswith((f"{id}:", f"problems:{id}"))]:
        del st.session_state[name]
    st.query_params.clear()


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
