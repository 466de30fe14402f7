"""The usage ledger as totals and tables; every number is a sum over calls."""

from datetime import date
from typing import TypeVar

import pandas as pd
import streamlit as st

from db import UsageGroup, UsageRow
from pages.shared import answers, base
from pages.shared.base import UNKNOWN, count, dollars, plain, unspreadsheet, zone

N = TypeVar("N", int, float)
TITLES = {
    UsageGroup.MODEL: "By model",
    UsageGroup.CONFIGURATION: "By configuration",
    UsageGroup.PAGE: "By page",
    UsageGroup.DAY: "By day",
}


def totals() -> None:
    """Draw the totals of all calls that this person may see."""
    rows = _rows(UsageGroup.MODEL)
    metrics = {
        "Calls": count(sum(row.calls for row in rows)),
        "Failed": count(sum(row.failed for row in rows)),
        "Prompt tokens": count(_sum([row.prompt_tokens for row in rows])),
        "Completion tokens": count(_sum([row.completion_tokens for row in rows])),
        "Total tokens": count(_sum([row.total_tokens for row in rows])),
        "Cost": dollars(_sum([row.cost for row in rows])),
    }
    with st.grid(6, min_column_width=150):
        for label, metric in metrics.items():
            st.metric(label, plain(metric), border=True)
    if unknown := sum(row.unknown for row in rows):
        missing = "has no token usage: it" if unknown == 1 else "have no token usage: they"
        ended = "was stopped" if unknown == 1 else "were stopped"
        st.caption(f"{unknown} of these calls {missing} failed, {ended}, or the provider reported none.")
    if unpriced := sum(row.unpriced for row in rows):
        subject, owner = ("1 call is", "its") if unpriced == 1 else (f"{unpriced} calls are", "their")
        st.caption(
            f"{subject} not included in the cost: the price of {owner} model is unknown. An administrator can enter a "
            "price in the configuration."
        )


def table(by: UsageGroup) -> None:
    """Draw a table with one row per model, configuration, page or day."""
    rows = _rows(by)
    frame = pd.DataFrame(
        {
            TITLES[by].removeprefix("By ").capitalize(): [_shown(by, row) for row in rows],
            "Calls": [row.calls for row in rows],
            "Failed": [row.failed for row in rows],
            # Nullable integers: an unknown number stays empty, because unknown is not 0.
            "Prompt": pd.array([row.prompt_tokens for row in rows], dtype="Int64"),
            "Completion": pd.array([row.completion_tokens for row in rows], dtype="Int64"),
            "Total": pd.array([row.total_tokens for row in rows], dtype="Int64"),
            "Cost": pd.array([row.cost for row in rows], dtype="Float64"),
        }
    )
    st.header(TITLES[by], anchor=False)
    name = str(frame.columns[0])
    st.dataframe(
        frame,
        hide_index=True,
        row_height=32,
        placeholder=UNKNOWN,
        column_config={
            name: st.column_config.Column(width=150, pinned=True),
            "Cost": st.column_config.NumberColumn(format="$%.4f", width=75),
        },
        alt=f"Calls and tokens {TITLES[by].lower()}",
        key=f"usage:{by}",
    )
    answers.download_csv(frame, f"usage-{by}")


def _shown(by: UsageGroup, row: UsageRow) -> str:
    if by is UsageGroup.PAGE:
        return base.title_of(str(row.group))
    if isinstance(row.group, date):
        return f"{row.group:%a} {row.group.day} {row.group:%b %Y}"
    return unspreadsheet(row.group)


def is_empty() -> bool:
    return not _rows(UsageGroup.MODEL)


def _rows(by: UsageGroup) -> list[UsageRow]:
    return base.database().usage.totals(base.person(), by, zone=zone())


def _sum(numbers: list[N | None]) -> N | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None
