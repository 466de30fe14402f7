"""The test of a configuration, step by step: while it runs, and its findings."""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from connector import Account, Finding, State, Step, steps_of
from pages.shared.base import ago, plain
from pages.shared.configurations import keys

Kept = dict[str, Any]
"""A finding as plain values: step, state, sentence, advice."""


def kept(id: str) -> list[Kept]:
    """The findings of the last test; empty before the first test."""
    found: list[Kept] = st.session_state.get(keys.findings(id), [])
    return found


def failed_step(id: str) -> str:
    """The step at which the last test failed; empty when none failed."""
    return next((str(finding["step"]) for finding in kept(id) if finding["state"] == State.FAILED), "")


def standing(id: str, account: Callable[[], Account]) -> str:
    """When the last test was and how it ended; empty where it was not completed, or has failed."""
    found = kept(id)
    states = [finding["state"] for finding in found]
    if not found or State.FAILED in states or found[-1]["step"] != steps_of(account())[-1]:
        return ""
    limited = states.count(State.LIMITED)
    how = f"works, with {limited} warning{'s' if limited > 1 else ''}" if limited else "all checks passed"
    return f"Tested {ago(time.time() - st.session_state[keys.tested_at(id)])}, {how}"


def run(id: str, steps: list[Step], findings: Iterable[Finding]) -> None:
    """Run a test: draw each finding at once, and keep it."""
    found: list[Kept] = []
    st.session_state[keys.findings(id)] = found
    with st.container(border=True, gap="xsmall"):
        st.markdown("**Test**")
        done, running = st.container(gap=None), st.empty()
        running.status(_doing(steps[0]), type="step")
        for finding in findings:
            found.append(asdict(finding))
            _draw(done, found[-1])
            following = steps[steps.index(finding.step) + 1 :]
            if following and finding.state is not State.FAILED:
                running.status(_doing(following[0]), type="step")
    st.session_state[keys.tested_at(id)] = time.time()


def show(id: str, steps: list[Step]) -> None:
    """Draw the findings of the last test, and the steps that were not tested."""
    found = kept(id)
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown("**Test**", width="content")
            _verdict(found, steps)
            st.space("stretch")
            if st.button("Close", key=f"close:{id}", type="tertiary", icon=":material/close:"):
                del st.session_state[keys.findings(id)]
                st.rerun()
        done = st.container(gap=None)
        for finding in found:
            _draw(done, finding)
        tried = [finding["step"] for finding in found]
        for step in steps if not tried else steps[steps.index(tried[-1]) + 1 :]:
            done.expander(f":gray[{step} · not tested]", icon=":material/radio_button_unchecked:", type="step")


def _verdict(found: list[Kept], steps: list[Step]) -> None:
    states = [finding["state"] for finding in found]
    if State.FAILED in states:
        st.badge("Test failed", color="red")
    elif limited := states.count(State.LIMITED):
        st.badge(f"Works, with {limited} warning{'s' if limited > 1 else ''}", color="orange")
    elif not found or found[-1]["step"] != steps[-1]:
        st.badge("Not completed", color="gray")
    else:
        st.badge("All checks passed", color="green")


def _doing(step: Step) -> str:
    return f"{step} …"


def _draw(into: DeltaGenerator, finding: Kept) -> None:
    step, state = finding["step"], finding["state"]
    if state == State.PASSED:
        into.expander(f"{step} :gray[· {plain(finding['sentence'])}]", icon=":material/check_circle:", type="step")
        return
    icon = ":material/error:" if state == State.FAILED else ":material/warning:"
    with into.expander(f"**{step}**", expanded=True, icon=icon, type="step"):
        st.markdown(plain(finding["sentence"]))
        if finding["advice"]:
            st.markdown(f":material/arrow_forward:\u2002{plain(finding['advice'])}")
