"""Examines a configuration step by step, and says what to change.

    for finding in examine(configuration):
        print(finding.step, finding.state, finding.sentence, finding.advice)

Address and connection are checked without the key. Then come four real calls with a limit of a few tokens, in a form
that reasoning models also accept: one complete, one streamed, one with a JSON schema, one with a tool. In the last
three, a reasoning model gets a higher limit.
"""

from collections.abc import Callable, Iterator

import httpx2

from connector.adaptation import Adaptations
from connector.client import Client
from connector.configuration import Configuration
from connector.examination import Subject
from connector.finding import Finding, steps_of
from connector.report import CallReport
from connector.route import check_address, check_connection
from connector.transport import must_be, shared_http_client
from connector.trial import check_answer, check_schema, check_streaming, check_tools

PATIENCE = httpx2.Timeout(connect=10, read=60, write=30, pool=10)
"""Seconds, as in `transport.TIMEOUT`; shorter, since a person is waiting."""


def examine(
    configuration: Configuration,
    *,
    model: str | None = None,
    http_client: httpx2.Client | None = None,
    token: Callable[[], str] | None = None,
    learnt: Adaptations | None = None,
    on_call: Callable[[CallReport], None] | None = None,
    timeout: httpx2.Timeout = PATIENCE,
) -> Iterator[Finding]:
    """Check the steps of `steps_of` in turn and yield each finding as it is made. The first failure ends it.

    `model` is requested instead of the default model. The other arguments are as for `Client`, except that what was
    refused for good is asked again.
    """
    must_be(httpx2.Client, http_client)
    return _findings(configuration, model, http_client or shared_http_client(), token, learnt, on_call, timeout)


def _findings(
    configuration: Configuration,
    model: str | None,
    http_client: httpx2.Client,
    token: Callable[[], str] | None,
    learnt: Adaptations | None,
    on_call: Callable[[CallReport], None] | None,
    timeout: httpx2.Timeout,
) -> Iterator[Finding]:
    reports: list[CallReport] = []

    def keep(report: CallReport) -> None:
        reports.append(report)
        if on_call is not None:
            on_call(report)

    client = Client(
        configuration,
        http_client=http_client,
        on_call=keep,
        learnt=(Adaptations() if learnt is None else learnt).asking_again(),
        token=token,
        timeout=timeout,
        max_retries=1,
    )
    subject = Subject(configuration, client, http_client, model, timeout, reports)
    steps = steps_of(configuration)
    for check in (check_address, check_connection, check_answer):
        failed, passed = check(subject)
        for step in steps:
            if step in passed and (failed is None or steps.index(step) < steps.index(failed.step)):
                yield passed[step]
        if failed is not None:
            yield failed
            return
    yield check_streaming(subject)
    yield check_schema(subject)
    yield check_tools(subject)
