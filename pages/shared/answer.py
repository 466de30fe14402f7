"""An answer on a page: while it is written, what it came to, and what it cost.

What a page keeps of its last answer is a plain dictionary in the session's state, so that it stays while one types on:
`call` (the number in the ledger, which knows the rest), `text`, `response` (as JSON) and `request` (as JSON).
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import streamlit as st

from connector import AnswerStream, CallStatus, ChatCompletionsRequest, ChatCompletionsResponse, Client, text_of
from db import Call, SavedConfiguration
from pages.shared import code, runtime
from pages.shared.words import count, dollars, plain, seconds

Kept = dict[str, Any]
# Seconds. Streamlit sends the whole text again with each update, so there are few of them; and it stops a script only
# where that draws something, so it draws now and then while nothing comes.
PAUSE, PATIENCE = 0.1, 0.5

_ENDINGS = {
    "length": ":orange[:material/content_cut: Cut off: the answer reached its token limit.]",
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
    return st.spinner(f"Waiting for {plain(configuration.display_name)}", show_time=True, width="content")


def write(
    configuration: SavedConfiguration, client: Client, request: ChatCompletionsRequest, into: Kept
) -> ChatCompletionsResponse:
    """Send, and draw the answer while it comes, with a way to stop it. `into` has what came, whatever happens.

    When the script is stopped, by any click, so is the call.
    """
    writer = _Writer(client, request, into)
    row, box = st.container(horizontal=True, vertical_alignment="center"), st.empty()
    writer.start()
    try:
        with row, waiting(configuration):
            # Its callback ends the call before the page is drawn again, so that the page knows how it ended.
            st.button("Stop", icon=":material/stop_circle:", type="tertiary", key="stop", on_click=writer.stop)
            while writer.is_alive():
                writer.news.wait(PATIENCE)
                writer.news.clear()
                box.markdown(into["text"])  # this is also where Streamlit stops a script
                writer.join(PAUSE)
        return writer.result()
    finally:
        writer.stop()


class _Writer(threading.Thread):
    """Reads an answer beside the script: one that waits for the provider itself could not be stopped."""

    def __init__(self, client: Client, request: ChatCompletionsRequest, into: Kept) -> None:
        super().__init__(daemon=True)
        self.news = threading.Event()
        self._client, self._request, self._into = client, request, into
        self._stream: AnswerStream | None = None
        self._failure: Exception | None = None
        self._is_stopped = False
        self._stopping = threading.Lock()

    def run(self) -> None:
        try:
            with self._client.stream(self._request) as self._stream:
                if self._is_stopped:  # before the provider began to answer
                    return
                for text in self._stream:
                    self._into["text"] += text
                    self.news.set()
        except Exception as error:
            self._failure = error
        finally:
            self.news.set()

    def stop(self) -> None:
        """Hang up on the provider and book the call; harmless when the answer has ended."""
        self._is_stopped = True
        # The old run of the script and the new one may both come here; the second has to wait until it is booked.
        with self._stopping:
            if self._stream is not None:
                self._stream.close()

    def result(self) -> ChatCompletionsResponse:
        if self._failure is not None:
            raise self._failure
        assert self._stream is not None  # noqa: S101 - a stream or a failure
        return self._stream.response


def show(answer: Kept) -> None:
    """Draw a kept answer again: text, trouble, and the line below."""
    if answer["text"]:
        st.markdown(answer["text"])
    call = call_of(answer)
    if not answer["text"] and call.status is CallStatus.DONE:
        empty()
    below(call, lambda: ChatCompletionsRequest.of_body(answer["request"]))


def call_of(answer: Kept) -> Call:
    """Its row in the ledger."""
    return runtime.database().calls.get(runtime.person(), answer["call"])


def below(
    call: Call,
    request: Callable[[], ChatCompletionsRequest] | None = None,
    *,
    actions: Callable[[], None] = lambda: None,
) -> None:
    """What stands under an answer: trouble, or how it ended, and the quiet line; with the request, also its code.

    `actions` draws what else can be done with it.
    """
    if call.error:
        st.error(plain(call.error), icon=":material/error:")
    else:
        ending(call)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        line(call)
        with st.container(horizontal=True, width="content", gap="small"):
            changes(call)
            actions()
            if request is not None:
                code.button(str(call.id), call.configuration_id, request)


def empty() -> None:
    """What stands where an answer has no text."""
    st.markdown(":gray[The model answered without any text.]")


def ending(call: Call) -> None:
    """A quiet sentence where an answer did not simply end."""
    words = _STATES.get(call.status) or _ENDINGS.get(call.finish_reason or "")
    if words:
        st.markdown(f":small[{words}]")
    if call.filtered:
        st.markdown(f":small[:orange[What it stopped: {plain(call.filtered)}.]]")


def line(call: Call) -> None:
    """What answered, how long it took, how many tokens it was and what they cost: the quiet line under every answer."""
    facts = [call.model_answered or call.model_asked]
    if call.time_to_first_token is not None:
        facts.append(f"first token {seconds(call.time_to_first_token)}")
    if call.duration is not None:
        facts.append(f"{seconds(call.duration)} in all")
    if call.total_tokens is None:
        facts.append("tokens not reported")
    else:
        facts.append(f"{count(call.prompt_tokens)} in, {count(call.completion_tokens)} out")
        facts.append(dollars(call.cost) if call.cost is not None else "no price known")
    if call.finish_reason not in (None, "stop"):
        facts.append(str(call.finish_reason))
    st.caption(plain("  ·  ".join(facts)), width="stretch")


def changes(call: Call) -> None:
    """What was changed in the request because its model does not take it."""
    if not call.adaptations:
        return
    number = len(call.adaptations)
    label = "1 parameter changed" if number == 1 else f"{number} parameters changed"
    with st.popover(label, type="tertiary", icon=":material/build:"):
        st.markdown("The model does not take all that was asked for. Sent instead, and remembered for it:")
        st.markdown("\n".join(f"- {plain(each)}" for each in call.adaptations))


def response(answer: Kept | None) -> ChatCompletionsResponse | None:
    """The response of a kept answer, None where there is none."""
    return ChatCompletionsResponse.construct(**answer["response"]) if answer and answer["response"] else None


def remember_response(answer: Kept, received: ChatCompletionsResponse) -> None:
    answer["response"] = received.model_dump(mode="json", exclude_unset=True)
    answer["text"] = text_of(received)
