"""An answer on a page: while it is written, what it came to, and what it cost.

What a page keeps of its last answer is a plain dictionary in the session's state, so that it stays while one types on:
`call` (the number in the ledger, which knows the rest), `text`, `response` (as JSON) and `request` (as JSON).
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import streamlit as st

from connector import AnswerStream, CallStatus, ChatCompletionsResponse, text_of
from db import Call, SavedConfiguration
from pages.shared import runtime
from pages.shared.words import count, plain, seconds

Kept = dict[str, Any]

_ENDINGS = {
    "length": ":orange[:material/content_cut: Cut off: the most tokens for an answer were reached.]",
    "content_filter": ":orange[:material/filter_alt: The provider's content filter left something out.]",
    "tool_calls": ":gray[:material/build: The model asked for a tool instead of answering.]",
}
_STATES = {
    CallStatus.STOPPED: ":orange[:material/stop_circle: Stopped. What came until then is kept.]",
    CallStatus.INTERRUPTED: ":orange[:material/link_off: Cut off before its end. What came until then is kept.]",
    CallStatus.RUNNING: ":gray[:material/pending: Still being written.]",
}


def kept(page: str) -> Kept | None:
    """The last answer of this page, None before the first."""
    return st.session_state.get(f"answer:{page}")


def keep(page: str, call: int, request: dict[str, Any]) -> Kept:
    """Begin a new answer of this page; it is changed in place while it grows."""
    fresh: Kept = {"call": call, "text": "", "response": None, "request": request}
    st.session_state[f"answer:{page}"] = fresh
    return fresh


def forget(page: str) -> None:
    st.session_state.pop(f"answer:{page}", None)


def waiting(configuration: SavedConfiguration) -> AbstractContextManager[None]:
    """Says at once what is waited for, and for how long already."""
    return st.spinner(f"Waiting for {plain(configuration.display_name)}", show_time=True)


def write(stream: AnswerStream, into: Kept) -> None:
    """Draw an answer while it comes. Whatever interrupts the script, `into` holds what was there, and the call ends."""
    st.write_stream(_coalesced(_remembered(stream, into)))


def _remembered(stream: AnswerStream, into: Kept) -> Iterator[str]:
    # Only the plain dictionary is touched here: a script that is being stopped may not touch the session's state.
    for text in stream:
        into["text"] += text
        yield text


def _coalesced(pieces: Iterable[str], every: float = 0.1) -> Iterator[str]:
    """The same text in fewer pieces: Streamlit sends the whole text again with each of them."""
    waiting, last = "", 0.0
    for piece in pieces:
        waiting += piece
        if time.monotonic() - last >= every:
            yield waiting
            waiting, last = "", time.monotonic()
    if waiting:
        yield waiting


def show(answer: Kept) -> None:
    """Draw a kept answer again: text, trouble, and the line below."""
    if answer["text"]:
        st.markdown(answer["text"])
    call = call_of(answer)
    if not answer["text"] and call.status is CallStatus.DONE:
        empty()
    below(call)


def call_of(answer: Kept) -> Call:
    """Its row in the ledger."""
    return runtime.database().calls.get(runtime.person(), answer["call"])


def below(call: Call) -> None:
    """What stands under an answer: trouble, or how it ended, and the quiet line."""
    if call.error:
        st.error(plain(call.error), icon=":material/error:")
    else:
        ending(call)
    line(call)


def empty() -> None:
    """What stands where an answer has no text."""
    st.markdown(":gray[The model answered without any text.]")


def ending(call: Call) -> None:
    """A quiet sentence where an answer did not simply end."""
    words = _STATES.get(call.status) or _ENDINGS.get(call.finish_reason or "")
    if words:
        st.markdown(f":small[{words}]")


def line(call: Call) -> None:
    """What answered, how long it took, how many tokens it was: the quiet line under every answer."""
    facts = [call.model_answered or call.model_asked]
    if call.time_to_first_token is not None:
        facts.append(f"first token {seconds(call.time_to_first_token)}")
    if call.duration is not None:
        facts.append(f"{seconds(call.duration)} in all")
    if call.total_tokens is None:
        facts.append("tokens not reported")
    else:
        facts.append(f"{count(call.prompt_tokens)} in, {count(call.completion_tokens)} out")
    if call.finish_reason not in (None, "stop"):
        facts.append(str(call.finish_reason))
    st.caption(plain("  ·  ".join(facts)))


def response(answer: Kept | None) -> ChatCompletionsResponse | None:
    """The response of a kept answer, None where there is none."""
    return ChatCompletionsResponse.construct(**answer["response"]) if answer and answer["response"] else None


def remember_response(answer: Kept, received: ChatCompletionsResponse) -> None:
    answer["response"] = received.model_dump(mode="json", exclude_unset=True)
    answer["text"] = text_of(received)
