"""Calls and tokens, by model, configuration, page and day."""

import streamlit as st

from pages.shared import usage, use_case

use_case.head("Usage", "All calls of this workbench, with the tokens that the provider reported.")
if usage.is_empty():
    with st.container(border=True):
        st.markdown("**No calls yet.** Send a prompt to see its tokens and cost here.")
        st.page_link("showcase/chat.py", label="Open Chat", icon=":material/chat:")
    st.stop()

usage.totals()
with st.grid(2, min_column_width=380, gap="medium"):
    for group in usage.TITLES:
        with st.container():
            usage.table(group)
