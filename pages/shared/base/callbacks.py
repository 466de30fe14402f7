"""Errors in callbacks, which run before the page and therefore outside the frame that shows errors."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import streamlit as st

from db import NotFound, StorageError
from pages.shared.base.formatting import plain

P = ParamSpec("P")


def reports_errors(act: Callable[P, None]) -> Callable[P, None]:
    """Make a callback show its `StorageError` or `NotFound` as a toast."""

    @wraps(act)
    def act_or_report(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            act(*args, **kwargs)
        except (StorageError, NotFound) as error:
            st.toast(plain(str(error)), icon=":material/error:", duration="long")

    return act_or_report
