"""Connect providers: list, add, edit, test and delete configurations. Administrators only."""

import streamlit as st

from pages.shared import configuration_form, configurations, runtime, use_case

if not runtime.person().is_administrator:
    raise runtime.NotAllowed("Only administrators see configurations. Ask one of them for what you need.")

editing = st.query_params.get("edit")
if editing is None:
    with use_case.head(
        "Configurations",
        "Accounts at OpenAI and Azure OpenAI. Keys are sealed; nobody can read them back, not even here.",
    ):
        if st.button("New configuration", type="primary", icon=":material/add:"):
            st.query_params["edit"] = "new"
            st.rerun()
    configurations.overview()
else:
    configuration_form.draw(editing)
