"""The use cases as cards, and the search among them."""

import streamlit as st

from pages.shared import account, base


def cards() -> None:
    """Draw the use cases in their groups, filtered by the search."""
    search = st.text_input(
        "Search use cases",
        key="search:use_cases",
        placeholder="Search use cases",
        label_visibility="collapsed",
        icon=":material/search:",
    )
    wanted = search.casefold().split()
    found = [each for each in base.use_cases() if all(word in _text_of(each) for word in wanted)]
    if not found:
        st.markdown(":gray[No matching use cases. Try fewer words, or one of these: table, picture, translate.]")
    for group, title in base.USE_CASE_GROUPS.items():
        of_group = [use_case for use_case in found if use_case.group == group]
        if not of_group:
            continue
        st.header(title, anchor=False)
        with st.grid(4, gap="small", min_column_width=210):
            for use_case in of_group:
                _card(use_case)


def _text_of(use_case: base.UseCase) -> str:
    needs = " ".join(account.NEEDS[need] for need in use_case.needs)
    group = base.USE_CASE_GROUPS[use_case.group]
    return f"{use_case.title} {use_case.sentence} {needs} {group}".casefold()


def _card(use_case: base.UseCase) -> None:
    with st.container(border=True, height="stretch", gap="xxsmall"):
        st.page_link(f"showcase/{use_case.name}.py", label=f"**{use_case.title}**", icon=use_case.icon)
        # page_link has a padding of its own.
        with st.container(horizontal=True, gap=None, wrap=False):
            st.space("xsmall")
            with st.container(gap="xxsmall"):
                st.caption(use_case.sentence)
                if use_case.needs:
                    needs = " and ".join(account.NEEDS[need] for need in use_case.needs)
                    st.caption(f"Needs a model with {needs}")
