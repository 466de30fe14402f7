"""Floor 1: the database, the person, sending, testing, errors, and how values are written."""

from connector import ConnectorError, InvalidConfiguration, InvalidRequest
from db import CannotOpen, ChangedMeanwhile, NotAllowed, NotFound, StillWriting, StorageError, Turn
from pages.shared.base.callbacks import entered, reports_errors
from pages.shared.base.catalogue import USE_CASE_GROUPS, UseCase, Visibility, page, page_of, title_of, use_cases
from pages.shared.base.copy_button import draw_copy_button
from pages.shared.base.examining import examine, examine_typed, models, models_typed
from pages.shared.base.failures import log_failure, unexpected
from pages.shared.base.formatting import (
    DIALECT,
    UNKNOWN,
    ago,
    as_json,
    count,
    day,
    dollars,
    escaped,
    moment,
    plain,
    problem,
    seconds,
    unspreadsheet,
    when,
    zone,
)
from pages.shared.base.run import changing, configurations, one_run, person, this_run
from pages.shared.base.runtime import answers, database, demo_endpoint, is_started, start, stop
from pages.shared.base.sending import start_alone, start_turn
from pages.shared.base.shutdown import Shutdown

__all__ = [
    "DIALECT",
    "UNKNOWN",
    "USE_CASE_GROUPS",
    "CannotOpen",
    "ChangedMeanwhile",
    "ConnectorError",
    "InvalidConfiguration",
    "InvalidRequest",
    "NotAllowed",
    "NotFound",
    "Shutdown",
    "StillWriting",
    "StorageError",
    "Turn",
    "UseCase",
    "Visibility",
    "ago",
    "answers",
    "as_json",
    "changing",
    "configurations",
    "count",
    "database",
    "day",
    "demo_endpoint",
    "dollars",
    "draw_copy_button",
    "entered",
    "escaped",
    "examine",
    "examine_typed",
    "is_started",
    "log_failure",
    "models",
    "models_typed",
    "moment",
    "one_run",
    "page",
    "page_of",
    "person",
    "plain",
    "problem",
    "reports_errors",
    "seconds",
    "start",
    "start_alone",
    "start_turn",
    "stop",
    "this_run",
    "title_of",
    "unexpected",
    "unspreadsheet",
    "use_cases",
    "when",
    "zone",
]
