"""View code: the request of an answer as code, without a key."""

from collections.abc import Callable

import streamlit as st

from connector import (
    ChatCompletionsRequest,
    connector_code,
    curl_command,
    header_variables,
    key_variable,
    sdk_code,
)
from db import SavedConfiguration
from pages.shared import base


def button(key: str, configuration_id: str | None, request: Callable[[], ChatCompletionsRequest]) -> None:
    """Draw the button that shows the code of a request. Draws nothing when the configuration was deleted."""
    saved = {each.id: each for each in base.configurations()}
    if configuration_id not in saved:
        return
    if st.button("View code", key=f"code:{key}", icon=":material/code:", type="tertiary"):
        drawer(saved[configuration_id], request())


@st.dialog("View code", width="medium", position="right")
def drawer(saved: SavedConfiguration, request: ChatCompletionsRequest) -> None:
    """Show the code in a dialog beside the page."""
    draw(saved, request)


def draw(saved: SavedConfiguration, request: ChatCompletionsRequest) -> None:
    """Draw the code for the connector, the SDK and curl, in tabs."""
    configuration = saved.account
    asked, request = request, as_sent(saved, request)
    mine, sdk, shell = st.tabs(["Connector", "OpenAI SDK", "curl"])
    with mine:
        st.code(connector_code(configuration, request), "python", wrap_lines=True)
    with sdk:
        st.code(sdk_code(configuration, request), "python", wrap_lines=True)
    with shell:
        st.code(curl_command(configuration, request), "bash", wrap_lines=True)
    if asked.n and not request.n:
        st.caption(f"The model returns one choice per call. Run the code {asked.n} times for {asked.n} choices.")
    if variable := key_variable(configuration):
        st.caption(f"The code contains no key. Put the key into the environment variable {variable}.")
    else:
        st.caption("The code signs in with the identity of the machine that runs it.")
    if variables := header_variables(configuration).values():
        st.caption(f"Put the values of the headers into {', '.join(variables)}.")


def as_sent(saved: SavedConfiguration, request: ChatCompletionsRequest) -> ChatCompletionsRequest:
    """The request with the changes that its model needs."""
    learnt = base.database().adaptations.of(base.person(), saved.id)
    body = learnt.body(saved.account, request)
    if body["model"] == saved.model_default:  # the configuration names it
        del body["model"]
    return ChatCompletionsRequest.of_body(body)
