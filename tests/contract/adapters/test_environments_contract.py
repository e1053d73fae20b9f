from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.contract.adapters.emulated_rig import EmulatedRig
from tests.contract.adapters.rig import Rig
from tests.fakes.clock import START

from ami_lifecycle.domain.environment import (
    Claim,
    EnvironmentRecord,
    FailedAttempts,
    LaunchProgress,
    Pin,
    UnusableBase,
)
from ami_lifecycle.domain.model import Role
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.errors import ClaimLostError, ServiceUnavailableError

DIGEST = "sha256:" + "a" * 64


def claim_of(rig: Rig, number: int = 1, **changes: Any) -> Claim:
    values: dict[str, Any] = {
        "execution_arn": f"arn:aws:states:us-east-1:123456789012:execution:build:{rig.name}-{number}",
        "number": number,
        "action": Action.BUILD,
        "digest": DIGEST,
        "claimed_at": START,
        "lease_until": START + timedelta(hours=6, microseconds=1),
    }
    return Claim(**(values | changes))


def request_for(rig: Rig, **changes: Any) -> BuildRequest:
    return BuildRequest(environment=rig.name, trigger=Trigger.QUEUED, **changes)


def claimed(rig: Rig, number: int = 1) -> Claim:
    claim = claim_of(rig, number)
    assert rig.environments.claim(rig.name, claim)
    return claim


def test_an_environment_without_a_record_is_free_and_empty(rig: Rig) -> None:
    assert rig.environments.get(rig.name) == EnvironmentRecord(environment=rig.name)


def test_a_claim_reads_back_as_it_was_written(rig: Rig) -> None:
    claim = claimed(rig)
    record = rig.environments.get(rig.name)
    assert record.claim == claim
    assert record.fencing == 1
    assert record.is_held_by(claim.execution_arn, 1)


def test_a_claimed_environment_is_not_claimed_by_another(rig: Rig) -> None:
    claim = claimed(rig)
    assert not rig.environments.claim(rig.name, claim_of(rig, 2))
    assert not rig.environments.claim(rig.name, claim_of(rig, 1, execution_arn="arn:of-another"))
    assert rig.environments.get(rig.name).claim == claim


def test_a_claim_that_is_repeated_is_recognised(rig: Rig) -> None:
    claim = claimed(rig)
    assert rig.environments.claim(rig.name, claim)
    assert rig.environments.get(rig.name).fencing == 1


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_claim_made_from_an_outdated_plan_is_refused(rig: Rig, number: int) -> None:
    first = claimed(rig)
    assert rig.environments.release(rig.name, first, revision=0)
    assert not rig.environments.claim(rig.name, claim_of(rig, number))
    assert rig.environments.claim(rig.name, claim_of(rig, 3))


def test_an_unusable_base_is_remembered_until_it_is_forgotten(rig: Rig) -> None:
    base = UnusableBase(image_id="ami-0123456789abcdef0", reason="its agent is too old", is_certain=True)
    claim = claimed(rig)
    rig.environments.record_unusable_base(rig.name, base)
    record = rig.environments.get(rig.name)
    assert (record.unusable_base, record.claim) == (base, claim)
    rig.environments.record_unusable_base(rig.name, None)
    rig.environments.record_unusable_base(rig.name, None)
    assert rig.environments.get(rig.name).unusable_base is None


def test_a_launch_goes_on_where_the_claim_says(rig: Rig) -> None:
    claim = claimed(rig)
    progress = LaunchProgress(role=Role.CANARY, position=7)
    rig.environments.remember_launch(rig.name, claim.execution_arn, 1, progress)
    found = rig.environments.enter(rig.name, claim.execution_arn, 1, START)
    assert found == claim.model_copy(update={"launching": progress})
    rig.environments.leave(rig.name, claim.execution_arn, 1)
    held = rig.environments.get(rig.name).claim
    assert held == found
    assert rig.environments.release(rig.name, held, revision=0)


@pytest.mark.parametrize(("arn", "number"), [("arn:of-another", 1), (None, 2)])
def test_only_the_holder_remembers_where_a_launch_goes_on(rig: Rig, arn: str | None, number: int) -> None:
    claim = claimed(rig)
    with pytest.raises(ClaimLostError):
        rig.environments.remember_launch(
            rig.name, arn or claim.execution_arn, number, LaunchProgress(role=Role.BUILDER, position=1)
        )
    assert rig.environments.get(rig.name).claim == claim


def test_a_request_queues_behind_its_holder(rig: Rig) -> None:
    claim = claimed(rig)
    request = request_for(rig, image_digest=DIGEST, fresh=True)
    assert rig.environments.queue(rig.name, request, behind=claim, revision=0)
    record = rig.environments.get(rig.name)
    assert record.queued_request == request
    assert record.revision == 1
    assert record.claim == claim


def test_a_request_does_not_overwrite_one_that_it_has_not_seen(rig: Rig) -> None:
    claim = claimed(rig)
    first, second = request_for(rig, image_digest=DIGEST), request_for(rig, force=True)
    assert rig.environments.queue(rig.name, first, behind=claim, revision=0)
    assert not rig.environments.queue(rig.name, second, behind=claim, revision=0)
    assert rig.environments.get(rig.name).queued_request == first
    assert rig.environments.queue(rig.name, second, behind=claim, revision=1)
    assert rig.environments.get(rig.name).queued_request == second


def test_a_request_that_is_queued_twice_counts_once(rig: Rig) -> None:
    claim = claimed(rig)
    request = request_for(rig, force=True)
    assert rig.environments.queue(rig.name, request, behind=claim, revision=0)
    assert rig.environments.queue(rig.name, request, behind=claim, revision=0)
    assert rig.environments.get(rig.name).revision == 1


def test_a_request_does_not_queue_behind_a_holder_that_is_gone(rig: Rig) -> None:
    claim = claimed(rig)
    rig.environments.release(rig.name, claim, revision=0)
    assert not rig.environments.queue(rig.name, request_for(rig), behind=claim, revision=0)
    assert rig.environments.get(rig.name).queued_request is None


def test_the_holder_is_busy_between_entering_and_leaving(rig: Rig) -> None:
    claim = claimed(rig)
    until = START + timedelta(seconds=30)
    rig.environments.enter(rig.name, claim.execution_arn, 1, until)
    busy = rig.environments.get(rig.name).claim
    assert busy == claim.model_copy(update={"busy_until": until})
    rig.environments.leave(rig.name, claim.execution_arn, 1)
    assert rig.environments.get(rig.name).claim == claim


def test_entering_tells_until_when_an_earlier_invocation_may_write(rig: Rig) -> None:
    claim = claimed(rig)
    earlier, later = START + timedelta(seconds=30), START + timedelta(seconds=60)
    assert rig.environments.enter(rig.name, claim.execution_arn, 1, earlier).busy_until is None
    assert rig.environments.enter(rig.name, claim.execution_arn, 1, earlier).busy_until is None, (
        "the same call again"
    )
    assert rig.environments.enter(rig.name, claim.execution_arn, 1, later).busy_until == earlier
    rig.environments.leave(rig.name, claim.execution_arn, 1, still_busy_until=earlier)
    assert rig.environments.get(rig.name).claim == claim.model_copy(update={"busy_until": earlier})


def test_a_request_can_queue_while_the_holder_writes(rig: Rig) -> None:
    claim = claimed(rig)
    rig.environments.enter(rig.name, claim.execution_arn, 1, START + timedelta(seconds=30))
    assert rig.environments.queue(rig.name, request_for(rig), behind=claim, revision=0)


def test_who_does_not_hold_the_environment_cannot_enter(rig: Rig) -> None:
    claim = claim_of(rig)
    with pytest.raises(ClaimLostError, match=rig.name):
        rig.environments.enter(rig.name, claim.execution_arn, 1, START)
    claimed(rig)
    with pytest.raises(ClaimLostError, match="arn:of-another"):
        rig.environments.enter(rig.name, "arn:of-another", 1, START)
    with pytest.raises(ClaimLostError):
        rig.environments.enter(rig.name, claim.execution_arn, 2, START)
    assert rig.environments.get(rig.name).claim == claim


def test_leaving_a_lost_claim_changes_nothing(rig: Rig) -> None:
    rig.environments.leave(rig.name, "arn:of-another", 1)
    claim = claimed(rig)
    rig.environments.enter(rig.name, claim.execution_arn, 1, START)
    rig.environments.leave(rig.name, "arn:of-another", 1)
    found = rig.environments.get(rig.name).claim
    assert found is not None
    assert found.busy_until == START


def test_a_release_frees_the_environment_and_keeps_what_is_wanted(rig: Rig) -> None:
    claim = claimed(rig)
    request = request_for(rig, force=True)
    rig.environments.queue(rig.name, request, behind=claim, revision=0)
    assert rig.environments.release(rig.name, claim, revision=1)
    record = rig.environments.get(rig.name)
    assert record.claim is None
    assert record.fencing == 2
    assert record.queued_request == request
    assert record.revision == 1


def test_a_release_that_is_repeated_is_recognised(rig: Rig) -> None:
    claim = claimed(rig)
    assert rig.environments.release(rig.name, claim, revision=0)
    assert rig.environments.release(rig.name, claim, revision=0)
    claimed(rig, 3)
    assert rig.environments.release(rig.name, claim, revision=0)
    assert rig.environments.get(rig.name).fencing == 3
    assert rig.environments.get(rig.name).claim == claim_of(rig, 3)


def test_a_release_does_not_pass_over_a_request_that_it_has_not_seen(rig: Rig) -> None:
    claim = claimed(rig)
    rig.environments.queue(rig.name, request_for(rig), behind=claim, revision=0)
    assert not rig.environments.release(rig.name, claim, revision=0)
    assert rig.environments.get(rig.name).claim == claim


def test_a_claim_is_not_released_while_its_holder_has_begun_to_write(rig: Rig) -> None:
    claim = claimed(rig)
    rig.environments.enter(rig.name, claim.execution_arn, 1, START)
    assert not rig.environments.release(rig.name, claim, revision=0)
    rig.environments.leave(rig.name, claim.execution_arn, 1)
    assert rig.environments.release(rig.name, claim, revision=0)


def test_what_is_wanted_is_forgotten_unless_more_has_come(rig: Rig) -> None:
    claim = claimed(rig)
    request = request_for(rig)
    rig.environments.queue(rig.name, request, behind=claim, revision=0)
    rig.environments.clear_queued_request(rig.name, revision=0)
    assert rig.environments.get(rig.name).queued_request == request
    rig.environments.clear_queued_request(rig.name, revision=1)
    rig.environments.clear_queued_request(rig.name, revision=1)
    assert rig.environments.get(rig.name).queued_request is None
    assert rig.environments.get(rig.name).revision == 1


def test_publications_are_counted_once_per_execution(rig: Rig) -> None:
    assert rig.environments.count_publication(rig.name, "arn:first") == 1
    assert rig.environments.count_publication(rig.name, "arn:first") == 1
    assert rig.environments.count_publication(rig.name, "arn:second") == 2
    assert rig.environments.get(rig.name).published_count == 2


def test_failures_are_remembered_until_they_are_cleared(rig: Rig) -> None:
    first, second = (
        FailedAttempts(digest=DIGEST, count=2, claim_number=7, error="CommandFailedError: no"),
        FailedAttempts(digest="sha256:" + "b" * 64, count=1),
    )
    rig.environments.record_failures(rig.name, ())
    rig.environments.record_failures(rig.name, (first,))
    assert rig.environments.get(rig.name).failures == (first,)
    rig.environments.record_failures(rig.name, (second, first))
    assert rig.environments.get(rig.name).failures == (second, first)
    rig.environments.record_failures(rig.name, ())
    assert rig.environments.get(rig.name).failures == ()


def test_since_when_a_rebuild_is_due_is_remembered_until_none_is(rig: Rig) -> None:
    rig.environments.note_rebuild(rig.name, None)
    rig.environments.note_rebuild(rig.name, START)
    assert rig.environments.get(rig.name).rebuild_due_since == START
    rig.environments.note_rebuild(rig.name, None)
    assert rig.environments.get(rig.name).rebuild_due_since is None


def test_an_environment_is_pinned_and_unpinned(rig: Rig) -> None:
    pin = Pin(image_id="ami-0123456789abcdef0", digest=None, at=START, reason="the new one is slow")
    rig.environments.set_pin(rig.name, None)
    rig.environments.set_pin(rig.name, pin)
    assert rig.environments.get(rig.name).pin == pin
    rig.environments.set_pin(rig.name, None)
    assert rig.environments.get(rig.name).pin is None


def test_the_environments_of_an_execution_are_found(rig: Rig) -> None:
    claim = claimed(rig)
    (record,) = rig.environments.held_by(claim.execution_arn)
    assert record == rig.environments.get(rig.name)
    assert rig.environments.held_by("arn:of-nobody") == []


LOST_RESPONSES: dict[str, Callable[[Rig], bool]] = {
    "claim": lambda rig: rig.environments.claim(rig.name, claim_of(rig)),
    "queue": lambda rig: rig.environments.queue(rig.name, request_for(rig), behind=claim_of(rig), revision=0),
    "release": lambda rig: rig.environments.release(rig.name, claim_of(rig), revision=0),
    "count_publication": lambda rig: rig.environments.count_publication(rig.name, "arn:first") == 1,
}


@pytest.mark.parametrize("write", list(LOST_RESPONSES))
def test_a_write_whose_response_was_lost_succeeds_when_it_is_tried_again(
    emulated: EmulatedRig, write: str
) -> None:
    if write in {"queue", "release"}:
        claimed(emulated)
    emulated.account.faults.add(
        {
            "kind": "error",
            "service": "dynamodb",
            "operation": "UpdateItem",
            "code": "InternalServerError",
            "status": 500,
            "when": "after",
        }
    )
    with pytest.raises(ServiceUnavailableError):
        LOST_RESPONSES[write](emulated)
    assert LOST_RESPONSES[write](emulated)
