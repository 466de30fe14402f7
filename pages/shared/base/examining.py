"""Testing a configuration, and listing the models of its provider."""

from collections.abc import Iterator
from dataclasses import replace

import connector
from connector import Adaptations, CallReport, Configuration, Finding, OfferedModel, State, models_of, steps_of
from db import CallStart, SavedConfiguration
from pages.shared.base.run import person
from pages.shared.base.runtime import database, http_client
from pages.shared.base.sending import note_accepted


def examine(saved: SavedConfiguration, *, model: str | None = None) -> Iterator[Finding]:
    """Test a saved configuration. Yields each finding as soon as it is known.

    The calls of the test are recorded, and the audit log notes the test. Raises `StorageError` before anything is sent
    when the key cannot be opened.
    """
    opened = database().configurations.open(person(), saved.id, is_test=True)
    return _examine(opened, saved.id, database().adaptations.of(person(), saved.id), model)


def examine_typed(configuration: Configuration) -> Iterator[Finding]:
    """Test a configuration that is not saved yet, with the key that was typed. Administrators only."""
    person().must_be_administrator()
    return _examine(configuration, None, Adaptations(), None)


def _examine(opened: Configuration, id: str | None, learnt: Adaptations, model: str | None) -> Iterator[Finding]:
    who, store = person(), database()
    # The first call shows whether the configuration works, the others show what else it can do.
    test = CallStart("configurations", "test", id, opened.display_name, "")
    starts = iter([test])

    def book(report: CallReport) -> None:
        start = next(starts, replace(test, operation="probe"))
        store.calls.add(who, replace(start, model_asked=str(report.request.get("model", ""))), report)
        if id is not None:
            note_accepted(store, who, id, opened, report)

    finding = None
    try:
        for finding in connector.examine(opened, model=model, http_client=http_client(), learnt=learnt, on_call=book):
            yield finding
    finally:  # also when the person leaves the page during the test
        store.audit.tested(who, opened.display_name, *_outcome(opened, id, finding), configuration_id=id)


def _outcome(opened: Configuration, id: str | None, last: Finding | None) -> list[str]:
    outcome = "Cancelled"
    if last and last.state is State.FAILED:
        outcome = f"Failed: {last.step.lower()}"
    elif last and last.step == steps_of(opened)[-1]:
        outcome = "Passed"
    return [outcome] if id else [outcome, f"Not saved yet: {opened.origin}"]


def models(saved: SavedConfiguration) -> list[OfferedModel]:
    """The models that the provider of a saved configuration lists now. Raises `ConnectorError` and `StorageError`."""
    return models_of(database().configurations.open(person(), saved.id, is_test=True), http_client=http_client())


def models_typed(configuration: Configuration) -> list[OfferedModel]:
    """The same for a configuration that is not saved yet, with the key that was typed. Administrators only."""
    person().must_be_administrator()
    return models_of(configuration, http_client=http_client())
