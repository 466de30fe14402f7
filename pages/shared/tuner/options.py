"""The parameters of a request as a form, derived from the fields of `ChatCompletionsRequest`."""

from typing import Any

import streamlit as st

from connector import ChatCompletionsRequest, bounds_of, choices_of

GROUPS = {
    "Sampling": (":material/casino:", ("temperature", "top_p", "n", "seed")),
    "Length": (":material/content_cut:", ("max_tokens", "max_completion_tokens", "verbosity")),
    "Penalties": (":material/balance:", ("frequency_penalty", "presence_penalty")),
    "Reasoning": (":material/psychology:", ("reasoning_effort",)),
    "Service": (":material/dns:", ("service_tier", "store", "logprobs", "top_logprobs")),
}
OPEN = {"Sampling", "Length"}
# The largest exact integer in JavaScript; a browser refuses larger ones.
_LARGEST = 2**53 - 1


def form() -> dict[str, Any]:
    """Draw the parameters; returns those that were set, by their names in the request."""
    options: dict[str, Any] = {}
    for title, (icon, names) in GROUPS.items():
        with st.expander(title, icon=icon, expanded=title in OPEN):
            for start in range(0, len(names), 2):
                for column, name in zip(st.columns(2), names[start : start + 2], strict=False):
                    options[name] = _field(column, name)
    options = {name: value for name, value in options.items() if value is not None}
    parameters = sum(len(names) for _, names in GROUPS.values())
    st.caption(
        f"{len(options)} of {parameters} parameters are sent. A grey value is the provider's default and is not sent."
    )
    _advice(options)
    return options


def _field(column: Any, name: str) -> Any:
    field = ChatCompletionsRequest.model_fields[name]
    if not choices_of(field):
        return _number(column, name)
    return column.selectbox(
        field.title or name,
        choices_of(field),
        index=None,
        format_func=lambda choice: {True: "yes", False: "no"}.get(choice, choice),
        placeholder=_default_there(name),
        help=field.description,
        key=f"option:{name}",
        persist_state="session",
    )


def _default_there(name: str) -> str:
    extra = ChatCompletionsRequest.model_fields[name].json_schema_extra
    nothing = "not set" if choices_of(ChatCompletionsRequest.model_fields[name]) else "none"  # a choice may be "none"
    default = extra.get("default_there", nothing) if isinstance(extra, dict) else nothing
    return {True: "yes", False: "no"}[default] if isinstance(default, bool) else str(default)


def _number(column: Any, name: str) -> float | int | None:
    field = ChatCompletionsRequest.model_fields[name]
    least, most = bounds_of(field)
    is_whole = "int" in str(field.annotation)
    kind = int if is_whole else float
    value: float | int | None = column.number_input(
        field.title or name,
        min_value=None if least is None else kind(max(least, -_LARGEST)),
        max_value=None if most is None else kind(min(most, _LARGEST)),
        value=None,
        step=1 if is_whole else 0.1,
        format=None if is_whole else "%g",
        placeholder=_default_there(name),
        help=field.description,
        key=f"option:{name}",
        persist_state="session",
    )
    return value


def _advice(options: dict[str, Any]) -> None:
    if "temperature" in options and "top_p" in options:
        st.info("Both are sent. OpenAI recommends to alter temperature or top p, not both.", icon=":material/info:")
    if options.get("n", 1) > 1:
        st.info("All choices are charged. Keep 1 to keep the cost low.", icon=":material/info:")
