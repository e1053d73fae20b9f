"""What comes after an execution that was stopped."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.cli.samples import NOW, a_run, image_id

from ami_lifecycle.domain.environment import Claim, EnvironmentRecord
from ami_lifecycle.domain.request import Action, BuildRequest
from ami_lifecycle_cli.commands.stop import report
from ami_lifecycle_cli.stack import execution_stop
from ami_lifecycle_cli.stack.execution_stop import Stoppable, Stopped, wait_until_clean
from ami_lifecycle_cli.stack.runs import Run

MINE, BEHIND, BEFORE = (a_run(number, status="ABORTED" if number == 2 else "RUNNING") for number in (2, 3, 1))
OVER = replace(BEHIND, status="SUCCEEDED")
QUEUED_AGAIN = a_run(3, output={"status": "queued"})
HELD_BY = {
    run.arn: Claim(execution_arn=run.arn, number=1, action=Action.BUILD, claimed_at=NOW, lease_until=NOW)
    for run in (MINE, BEHIND)
}
IDLE = EnvironmentRecord(environment="prod")
WAITING = IDLE.model_copy(update={"queued_request": BuildRequest(environment="prod")})


def stopped_behind(
    monkeypatch: pytest.MonkeyPatch, records: list[EnvironmentRecord], listed: list[list[Run]]
) -> Run | None:
    """What is named as following the stopped execution; the last record and the last list last."""
    stack: Any = SimpleNamespace(environments=SimpleNamespace(get=lambda _environment: _next(records)))
    runs = SimpleNamespace(
        describe=lambda arn: MINE if arn == MINE.arn else BEHIND,
        queued_since=lambda _environment, since: [run for run in _next(listed) if run.started > since],
    )
    monkeypatch.setattr(execution_stop, "Runs", lambda _stack: runs)
    monkeypatch.setattr(execution_stop, "_remains_of", lambda *_: ())
    monkeypatch.setattr(execution_stop, "_PAUSE_SECONDS", 0.01)
    stopped = wait_until_clean(stack, Stoppable(MINE, "prod", None, None), 0.1)
    assert stopped.run == MINE
    return stopped.next


def _next(these: list[Any]) -> Any:
    return these.pop(0) if len(these) > 1 else these[0]


@pytest.mark.parametrize(
    ("holder", "listed", "expected"),
    [
        (BEHIND, [], BEHIND),
        # It was started, and has not claimed the environment yet.
        (None, [BEHIND], BEHIND),
        # It has come and gone between two looks.
        (None, [OVER], OVER),
        # It came to wait again, behind another one.
        (None, [QUEUED_AGAIN], None),
        (None, [BEFORE], None),
        (MINE, [], None),
        (None, [], None),
    ],
)
def test_what_was_queued_behind_is_named(
    monkeypatch: pytest.MonkeyPatch, holder: Run | None, listed: list[Run], expected: Run | None
) -> None:
    record = IDLE.model_copy(update={"claim": HELD_BY[holder.arn] if holder else None})
    assert stopped_behind(monkeypatch, [record], [listed]) == expected


def test_what_waits_is_started_a_moment_after_the_claim_was_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert stopped_behind(monkeypatch, [WAITING, WAITING, IDLE], [[BEHIND]]) == BEHIND
    # Where nothing starts it in the time that was given, nothing runs.
    assert stopped_behind(monkeypatch, [WAITING], [[]]) is None


def test_what_waited_is_looked_for_until_it_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert stopped_behind(monkeypatch, [WAITING, IDLE], [[], [], [OVER]]) == OVER
    # Where nothing waited, nothing is to come.
    assert stopped_behind(monkeypatch, [IDLE], [[], [OVER]]) is None


def test_the_command_says_how_what_followed_has_ended(capsys: pytest.CaptureFixture[str]) -> None:
    found, target = Stoppable(MINE, "prod", None, None), SimpleNamespace(as_json=False)
    for follows in (BEHIND, OVER):
        report(target, found, Stopped(MINE, (), follows))  # type: ignore[arg-type]  # all that it reads
    told = capsys.readouterr().out.splitlines()
    assert told[1::2] == [
        "Behind it waited run-3, which runs now.",
        f"Behind it waited run-3, which has ended: published, {image_id(3)}",
    ]
