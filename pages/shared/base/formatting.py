"""Numbers, times and text from outside, formatted for people."""

import json
import math
import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

UNKNOWN = "–"
_LAST_SECOND = 100_000_000_000
"""Of the year 5138; a larger timestamp is in milliseconds."""
# What Streamlit replaces behind a backslash, too: emoji and icons between colons, and arrows between blanks.
DIALECT = (
    r"(?P<colon>:(?=(?:[\w+-]*[A-Za-z][\w+-]*|1234|100|[+-]1):|material[/_]))"
    r"|(?P<arrow>(?<!\S)(?:<->|->|<-|--|>=|<=|~=)(?!\S))"
)
_MARKS = re.compile(rf"{DIALECT}|[\\`*_{{}}\[\]()#+\-.!|:$~<>]|&(?=#?\w+;)|(?<![^\n])=")


_FORMULA = re.compile(r"[\s\x00-\x20\u00ad\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")


def plain(text: str) -> str:
    """Text from outside, escaped for labels and Markdown, so that it is not formatted and loads no pictures."""
    return _MARKS.sub(escaped, text)


def escaped(found: re.Match[str]) -> str:
    """A mark of Markdown, or a match of `DIALECT`, so that it stays text.

    A backslash does not keep Streamlit from replacing its own sequences, but it replaces no sequence of which a part
    lies in an element of its own: a `:color` without a colour.
    """
    if found["colon"]:
        return r":color[\:]"
    if arrow := found["arrow"]:
        return rf"\{arrow[0]}:color[\{arrow[1]}]{arrow[2:] and chr(92) + arrow[2:]}"
    return rf"\{found[0]}"


def problem(sentence: str | None) -> None:
    """Draw what is wrong with the field above, in red; draws nothing for None or an empty sentence."""
    if sentence:
        st.markdown(f":small[:red[:material/error:\u2002{plain(sentence)}]]")


def unspreadsheet(text: str) -> str:
    """Text from outside, escaped for tables, where a spreadsheet would run a formula.

    A spreadsheet may ignore blanks, invisible characters and line breaks before a formula, and East Asian versions read
    full-width marks, https://owasp.org/www-community/attacks/CSV_Injection.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def count(number: object) -> str:
    """`1,204`; an en dash where it is unknown, or no count."""
    return f"{number:,}" if type(number) is int and 0 <= number < 10**15 else UNKNOWN


def seconds(number: float | None) -> str:
    """`0.4 s`, `38 ms`; an en dash where it is unknown."""
    if number is None:
        return UNKNOWN
    return f"{number * 1000:.0f} ms" if number < 0.1 else f"{number:.1f} s"


def ago(number: float) -> str:
    """A time in the past, by its seconds: `6 s ago`, `5 min ago`, `3 h ago`, `2 days ago`."""
    for unit, size in (("s", 60), ("min", 60), ("h", 24)):
        if number < size:
            return f"{max(0, int(number))} {unit} ago"
        number /= size
    return f"{int(number)} day{'s' if number >= 2 else ''} ago"


def dollars(amount: float | None) -> str:
    """`$1.20`, and two digits that count below ten cents, `$0.0009`; an en dash where it is unknown."""
    if amount is None:
        return UNKNOWN
    if amount == 0 or amount >= 0.1:
        return f"${amount:,.2f}"
    return f"${amount:.{1 - math.floor(math.log10(amount))}f}".rstrip("0")


def as_json(value: object) -> str:
    """A value as indented JSON. A half character, which cannot be drawn, becomes a question mark."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode(errors="replace").decode()


def zone() -> ZoneInfo:
    """The viewer's time zone; UTC when the browser reports none."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def moment(timestamp: object) -> str:
    """A Unix timestamp as `2023-11-14 22:13:20 UTC`; an en dash where it is unknown or impossible.

    In seconds, as the reference says, or in milliseconds, as some servers send it; a number, also as a text.
    """
    try:
        seconds = float(timestamp)  # type: ignore[arg-type]  # a server may send anything
        there = datetime.fromtimestamp(seconds / 1000 if seconds > _LAST_SECOND else seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return UNKNOWN
    return f"{there:%Y-%m-%d %H:%M:%S} UTC" if seconds > 0 else UNKNOWN


def day(time: datetime) -> str:
    """`Today`, `Yesterday`, `Monday` within a week, `23 Nov`, `Nov 2025`, in the viewer's zone."""
    there, today = time.astimezone(zone()), datetime.now(zone()).date()
    match (today - there.date()).days:
        case days if days <= 0:
            return "Today"
        case 1:
            return "Yesterday"
        case days if days < 7:
            return f"{there:%A}"
    return f"{there.day} {there:%b}" if there.year == today.year else f"{there:%b %Y}"


def when(time: datetime) -> str:
    """`today 09:14`, `23 Nov 09:14`, `23 Nov 2025`, in the viewer's zone."""
    there, now = time.astimezone(zone()), datetime.now(zone())
    if there.date() == now.date():
        return f"today {there:%H:%M}"
    return f"{there.day} {there:%b %H:%M}" if there.year == now.year else f"{there.day} {there:%b %Y}"
