"""What comes after an execution that was stopped."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.cli.samples import NOW, a_run

from ami_lifecycle.domain.environment import Claim, EnvironmentRecord
from ami_lifecycle.domain.request import Action, BuildRequest
from ami_lifecycle_cli.stack import execution_stop
from ami_lifecycle_cli.stack.execution_stop import Stoppable, wait_until_clean
from ami_lifecycle_cli.stack.runs import Run

MINE, BEHIND, BEFORE = (a_run(number, status="ABORTED" if number == 2 else "RUNNING") for number in (2, 3, 1))


def stopped_behind(
    monkeypatch: pytest.MonkeyPatch, records: list[EnvironmentRecord], running: list[Run]
) -> str | None:
    """What is named as running behind the stopped execution; the last record lasts."""
    left = list(records)
    environments = SimpleNamespace(get=lambda _environment: left.pop(0) if len(left) > 1 else left[0])
    stack: Any = SimpleNamespace(environments=environments)
    runs = SimpleNamespace(describe=lambda _arn: MINE, running=lambda _environment: running)
    monkeypatch.setattr(execution_stop, "Runs", lambda _stack: runs)
    monkeypatch.setattr(execution_stop, "_left_of", lambda *_: ())
    monkeypatch.setattr(execution_stop, "_PAUSE_SECONDS", 0.01)
    stopped = wait_until_clean(stack, Stoppable(MINE, "prod", None, None), 0.1)
    assert stopped.run == MINE
    return stopped.next_arn


@pytest.mark.parametrize(
    ("holder", "running", "expected"),
    [
        (BEHIND, [], BEHIND.arn),
        # It was started, and has not claimed the environment yet.
        (None, [BEHIND, BEFORE], BEHIND.arn),
        (None, [BEFORE], None),
        (MINE, [], None),
        (None, [], None),
    ],
)
def test_what_was_queued_behind_is_named(
    monkeypatch: pytest.MonkeyPatch, holder: Run | None, running: list[Run], expected: str | None
) -> None:
    claim = holder and Claim(
        execution_arn=holder.arn, number=1, action=Action.BUILD, claimed_at=NOW, lease_until=NOW
    )
    record = EnvironmentRecord(environment="prod", claim=claim or None)
    assert stopped_behind(monkeypatch, [record], running) == expected


def test_what_waits_is_started_a_moment_after_the_claim_was_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    idle = EnvironmentRecord(environment="prod")
    waiting = idle.model_copy(update={"queued_request": BuildRequest(environment="prod")})
    assert stopped_behind(monkeypatch, [waiting, waiting, idle], [BEHIND]) == BEHIND.arn
    # Where nothing starts it in the time that was given, nothing runs.
    assert stopped_behind(monkeypatch, [waiting], []) is None
