"""The notification of an execution's end: sent with patience, and what cannot be sent is told, never raised."""

from __future__ import annotations

import logging

import pytest
from tests.fakes import FakeClock, FakeNotifier

from ami_lifecycle.domain.decision import Blocked
from ami_lifecycle.domain.outcomes import Outcome
from ami_lifecycle.errors import AccessDeniedError, ThrottledError
from ami_lifecycle.steps.notification import send_notification


def send(notifier: FakeNotifier, clock: FakeClock) -> tuple[Blocked, ...]:
    outcomes: list[Outcome] = []
    return send_notification(notifier, clock, "subject", {"outcome": "x"}, outcomes)


def test_both_ways_are_used_once() -> None:
    notifier, clock = FakeNotifier(), FakeClock()
    assert send(notifier, clock) == ()
    assert [(call.method, call.args) for call in notifier.calls] == [
        ("notify", ("subject", {"outcome": "x"})),
        ("announce", ([],)),
    ]
    assert clock.pauses == []


@pytest.mark.parametrize(
    ("times", "pauses", "sent"),
    [(1, [1], True), (2, [1, 2], True), (3, [1, 2, 4], True), (4, [1, 2, 4], False)],
)
def test_what_fails_for_now_is_sent_again_three_times(
    times: int, pauses: list[int], sent: bool, caplog: pytest.LogCaptureFixture
) -> None:
    notifier, clock = FakeNotifier(), FakeClock()
    notifier.fail("notify", ThrottledError("slower"), times=times)
    told = send(notifier, clock)
    assert clock.pauses == pauses
    assert (len(notifier.sent) == 1) is sent
    failed = Blocked(resource="notification", error="ThrottledError", reason="slower")
    assert told == (() if sent else (failed,))
    said = [(record.levelno, record.getMessage()) for record in caplog.records]
    line = "notification could not be sent: ThrottledError: slower"
    assert said == ([] if sent else [(logging.ERROR, line)])


def test_what_is_refused_is_not_sent_again_and_keeps_the_other_way_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    notifier, clock = FakeNotifier(), FakeClock()
    notifier.fail("announce", AccessDeniedError("no. Grant events:PutEvents."))
    assert send(notifier, clock) == (
        Blocked(resource="events", error="AccessDeniedError", reason="no. Grant events:PutEvents."),
    )
    assert (clock.pauses, len(notifier.sent)) == ([], 1)
    assert [record.getMessage() for record in caplog.records] == [
        "events could not be sent: AccessDeniedError: no. Grant events:PutEvents."
    ]
