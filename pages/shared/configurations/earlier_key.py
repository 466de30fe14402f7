"""The key that was replaced: kept until the provider accepts the new one, and put back by a button until then."""

import streamlit as st

from db import SavedConfiguration
from pages.shared import base
from pages.shared.base import plain


def offer(saved: SavedConfiguration, place: str) -> bool:
    """Draw a button that puts the earlier key back, as long as there is one. Returns whether it did.

    `place` tells the buttons of one page apart.
    """
    if not saved.has_earlier_key:
        return False
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        sentence = f"The earlier key of “{saved.display_name}” is kept until the provider accepts the new one."
        st.markdown(f":small[:gray[{plain(sentence)}]]", width="content")
        label = "Put the earlier key back"
        if not st.button(label, icon=":material/undo:", type="tertiary", key=f"earlier_key:{place}:{saved.id}"):
            return False
    try:
        with base.changing() as database:
            database.configurations.put_earlier_key_back(base.person(), saved.id)
    except (base.CannotOpen, base.ChangedMeanwhile, base.NotFound) as error:
        st.toast(plain(str(error)), icon=":material/info:")
        return False
    st.toast("The earlier key is back.", icon=":material/undo:")
    return True
