"""Connect providers: list, add, edit, test, copy, switch off and delete configurations. Administrators only."""

import streamlit as st

from pages.shared import configurations, use_case

configurations.only_for_administrators()
editing = st.query_params.get("edit")
if editing is None:
    with use_case.head(
        "Configurations",
        "Accounts at OpenAI and Azure OpenAI. Keys are stored encrypted and are never shown again.",
    ):
        if st.button("New configuration", type="primary", icon=":material/add:"):
            st.query_params["edit"] = "new"
            st.rerun()
    configurations.overview()
    configurations.draw_activity()
else:
    configurations.draw_form(editing)
