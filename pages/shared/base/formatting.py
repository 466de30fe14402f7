"""Numbers, times and text from outside, formatted for people."""

import math
import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

UNKNOWN = "–"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|:$~<>])")


def plain(text: str) -> str:
    """Text from outside, escaped for labels and Markdown, so that it is not formatted and loads no pictures."""
    return _MARKDOWN.sub(r"\\\1", text)


def problem(sentence: str | None) -> None:
    """Draw what is wrong with the field above, in red; draws nothing for None or an empty sentence."""
    if sentence:
        st.markdown(f":small[:red[:material/error:\u2002{plain(sentence)}]]")


def unspreadsheet(text: str) -> str:
    """Text from outside, escaped for downloaded tables, where a spreadsheet would run a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def count(number: int | None) -> str:
    """`1,204`; an en dash where it is unknown."""
    return UNKNOWN if number is None else f"{number:,}"


def seconds(number: float | None) -> str:
    """`0.4 s`, `38 ms`; an en dash where it is unknown."""
    if number is None:
        return UNKNOWN
    return f"{number * 1000:.0f} ms" if number < 0.1 else f"{number:.1f} s"


def dollars(amount: float | None) -> str:
    """`$1.20`, and two digits that count below ten cents, `$0.0009`; an en dash where it is unknown."""
    if amount is None:
        return UNKNOWN
    if amount == 0 or amount >= 0.1:
        return f"${amount:,.2f}"
    return f"${amount:.{1 - math.floor(math.log10(amount))}f}".rstrip("0")


def zone() -> ZoneInfo:
    """The viewer's time zone; UTC when the browser reports none."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def moment(timestamp: int | None) -> str:
    """A Unix timestamp in seconds as `2023-11-14 22:13:20 UTC`; an en dash where there is none."""
    return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d %H:%M:%S} UTC" if timestamp else UNKNOWN


def when(time: datetime) -> str:
    """`today 09:14`, `23 Nov 09:14`, `23 Nov 2025`, in the viewer's zone."""
    there, now = time.astimezone(zone()), datetime.now(zone())
    if there.date() == now.date():
        return f"today {there:%H:%M}"
    return f"{there.day} {there:%b %H:%M}" if there.year == now.year else f"{there.day} {there:%b %Y}"
