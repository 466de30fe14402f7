"""Unexpected errors: a log entry with its reference."""

import logging
import secrets


def log_failure(error: BaseException) -> bool:
    """Log an unexpected error under a reference that the person can quote.

    Returns False, so that Streamlit shows its own message, too.
    """
    logging.getLogger("workbench").error("reference %s", reference(error), exc_info=error)
    return False


def reference(error: BaseException) -> str:
    """Six characters that identify an error on the screen and in the log."""
    known = getattr(error, "workbench_reference", None)
    if known is None:
        known = secrets.token_hex(3)
        error.workbench_reference = known  # type: ignore[attr-defined]
    return str(known)


def unexpected(error: BaseException) -> str:
    """The sentence for an error that the log has the details of."""
    return (
        "An unexpected error occurred. Reload the page. If it happens again, give the administrator "
        f"the reference {reference(error)}: the log has the details."
    )
