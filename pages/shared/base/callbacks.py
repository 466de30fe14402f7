"""What a click does before the page is drawn anew: the frame, which tells what goes wrong, is not there yet."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import streamlit as st

from db import NotFound, StorageError
from pages.shared.base.formatting import plain

P = ParamSpec("P")


def reports_errors(act: Callable[P, None]) -> Callable[P, None]:
    """A callback that says why it was not done, where the database or somebody else is in the way."""

    @wraps(act)
    def act_or_tell(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            act(*args, **kwargs)
        except (StorageError, NotFound) as error:
            st.toast(plain(str(error)), icon=":material/error:", duration="long")

    return act_or_tell
