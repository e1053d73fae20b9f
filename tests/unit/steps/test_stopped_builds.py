"""An execution that is stopped while its function is at work, and the sweep in the same moment.

Stopping an execution does not stop the function that it has called (Step Functions developer guide,
StopExecution): that goes on and writes what it was about to write.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from tests.fakes import Call, Faulty
from tests.unit.steps.account import Account, an_image, arn_of
from tests.unit.steps.execution import Execution, converge
from tests.unit.steps.leftovers import an_orphan_image, findings
from tests.unit.steps.promises import Promises
from tests.unit.steps.test_claim_races import holder_of
from tests.unit.steps.test_faults import CALLS, SCENES

from ami_lifecycle.domain.execution import ExecutionStatus
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.errors import CleanUpIncompleteError


class Stop:
    """Stops an execution before one of its calls, and lets the sweep run; then the call is made after all."""

    def __init__(self, account: Account, arn: str, number: int) -> None:
        self.account = account
        self.arn = arn
        self.number = number
        self.struck = False
        self._is_sweeping = False
        self._seen = 0

    def before(self, port: Faulty, call: Call) -> None:
        if self._is_sweeping or self.struck:
            return
        self._seen += 1
        if self._seen <= self.number:
            return
        self.struck = self._is_sweeping = True
        self.account.world.executions.end(self.arn, ExecutionStatus.ABORTED)
        with suppress(CleanUpIncompleteError):
            self.account.sweeper.sweep()
        self._is_sweeping = False

    def after(self, port: Faulty, call: Call) -> None:
        """The function goes on."""


def is_of_publishing(call: str) -> bool:
    """Whether a call is one that makes or moves what others see; the others are tried in virtual time."""
    return call.startswith(("FakeParameters", "FakeEnvironments", "FakeImages"))


EVERY_CALL = [
    pytest.param(name, number, id=f"{name}-{number}-{call}")
    for name, calls in CALLS.items()
    for number, call in enumerate(calls)
    if is_of_publishing(call)
]


def records_say_live(account: Account) -> list[str]:
    """Ids of the images whose records say live."""
    names = [name.rsplit("/", 1)[1] for name in account.world.parameters.all if "/history/" in name]
    records = {name: account.history(name) for name in names}
    return sorted(name for name, record in records.items() if record and record.status is RecordStatus.LIVE)


@pytest.mark.parametrize(("name", "number"), EVERY_CALL)
def test_a_stopped_execution_and_the_sweep_leave_one_truth(name: str, number: int) -> None:
    scene = SCENES[name]()
    account = scene.account
    promises = Promises(account.world)
    execution = Execution(account)
    stop = Stop(account, execution.arn, number)
    account.world.watch(stop)
    assert execution.run(scene.request).outcome == "aborted"
    assert stop.struck
    # Nothing of it may have been taken away under the function: no write of `latest` may come too late.
    assert promises.broken == []
    if account.latest is not None:
        assert account.latest in account.world.images.all
    account.world.clock.advance(120)
    account.world.settle()
    converge(account)
    assert promises.broken == []
    assert promises.leaks() == []
    # What a person has stopped is not built again, so the first build may have published nothing.
    assert records_say_live(account) == ([account.latest] if account.latest else [])
    assert account.latest is None or account.metadata.ami_id == account.latest
    for name_of_record in account.world.parameters.all:
        image_id = name_of_record.rpartition("/history/")[2]
        record = account.history(image_id)
        if record is not None and image_id not in account.world.images.all:
            assert record.status is RecordStatus.RETIRED


def test_what_an_ended_execution_holds_the_claim_for_is_no_orphan_yet() -> None:
    account = Account()
    account.publish(an_image(1, digest=account.push("one")))
    image = an_orphan_image(account)
    claim = holder_of(account, "gone")
    busy_until = account.deadline
    account.world.environments.enter("prod", arn_of("gone"), claim.number, busy_until)
    account.world.executions.end(arn_of("gone"), ExecutionStatus.ABORTED)
    with pytest.raises(CleanUpIncompleteError, match="ClaimBusyError"):
        account.sweeper.sweep()
    assert image.image_id in account.world.images.all, "a function of it may still publish the image"
    account.world.clock.advance(120)
    assert any("the claim of" in finding for finding in findings(account.sweeper.sweep()))
    assert image.image_id not in account.world.images.all
