"""Errors in callbacks, which run before the page and therefore outside the frame that shows errors."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import streamlit as st

from db import NotFound, StorageError
from pages.shared.base.failures import log_failure, unexpected
from pages.shared.base.formatting import plain

P = ParamSpec("P")


class _WidgetIsGone(Exception):
    pass


def entered(key: str) -> Any:
    """Return the value of a widget to its own callback; end the callback when the page does not draw it any more.

    A browser that has not yet received the page of another chat sends the values of the widgets that it still shows.
    Streamlit takes them for changes and calls the callbacks, but keeps no values of widgets that were not drawn.
    """
    if key not in st.session_state:
        raise _WidgetIsGone
    return st.session_state[key]


def reports_errors(act: Callable[P, None]) -> Callable[P, None]:
    """Make a callback show its error as a toast, and go on drawing the page."""

    @wraps(act)
    def act_or_report(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            act(*args, **kwargs)
        except _WidgetIsGone:
            return
        except (StorageError, NotFound) as error:
            st.toast(plain(str(error)), icon=":material/error:", duration="long")
        except Exception as error:
            log_failure(error)
            st.toast(unexpected(error), icon=":material/error:", duration="long")

    return act_or_report
