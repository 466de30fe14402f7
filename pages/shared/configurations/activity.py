"""The audit log of configurations as a table."""

import pandas as pd
import streamlit as st

from db import AuditEntry
from pages.shared import base
from pages.shared.base import UNKNOWN, unspreadsheet, zone

NEWEST = 100
"""Entries that are listed."""


def draw_activity() -> None:
    """Who did what to configurations, and when."""
    entries = base.database().audit.recent(base.person(), NEWEST)
    if not entries:
        return
    st.header("Activity", anchor=False)
    st.dataframe(
        pd.DataFrame([_line(entry) for entry in entries]),
        hide_index=True,
        row_height=32,
        column_config={"When": st.column_config.DatetimeColumn(format="D MMM YYYY HH:mm:ss", width=165)},
        alt="Who did what to configurations, and when",
        key="history",
    )


def _line(entry: AuditEntry) -> dict[str, object]:
    return {
        "When": entry.at.astimezone(zone()).replace(tzinfo=None),
        "Who": unspreadsheet(entry.person_name),
        "Action": entry.action.capitalize(),
        "Configuration": unspreadsheet(entry.configuration_name) or UNKNOWN,
        "Details": unspreadsheet("; ".join(entry.details)) or UNKNOWN,
    }
