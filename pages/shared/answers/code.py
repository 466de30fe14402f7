"""View code: the request of a page as code to take away, without a key in it."""

from collections.abc import Callable

import streamlit as st

from connector import ChatCompletionsRequest, connector_code, curl_command, key_variable, sdk_code
from db import SavedConfiguration
from pages.shared import base


def button(key: str, configuration_id: str | None, request: Callable[[], ChatCompletionsRequest]) -> None:
    """Opens the code of a request, which is made up only then; nothing where its configuration was deleted."""
    saved = {each.id: each for each in base.configurations()}
    if configuration_id not in saved:
        return
    if st.button("View code", key=f"code:{key}", icon=":material/code:", type="tertiary"):
        drawer(saved[configuration_id], request())


@st.dialog("View code", width="medium", position="right")
def drawer(saved: SavedConfiguration, request: ChatCompletionsRequest) -> None:
    """The code in a drawer beside the page."""
    draw(saved, request)


def draw(saved: SavedConfiguration, request: ChatCompletionsRequest) -> None:
    """The three ways to send a request, in tabs."""
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
        st.caption(f"The model writes one choice at a time: run it {asked.n} times for as many.")
    if variable := key_variable(configuration):
        st.caption(f"The key is not in it: put it into the environment variable {variable}.")
    else:
        st.caption("The identity of the machine that it runs on signs in.")


def as_sent(saved: SavedConfiguration, request: ChatCompletionsRequest) -> ChatCompletionsRequest:
    """The request with all that was learnt about what its model takes."""
    learnt = base.database().adaptations.of(base.person(), saved.id)
    body = learnt.body(saved.account, request)
    if body["model"] == saved.model_default:  # stands with the configuration
        del body["model"]
    return ChatCompletionsRequest.of_body(body)
