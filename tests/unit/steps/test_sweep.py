"""What ended executions left, and what events missed: orphans, claims, lost pushes, failed digests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.steps.account import Account, an_image, arn_of
from tests.unit.steps.execution import Execution, converge, run, run_started
from tests.unit.steps.leftovers import (
    ENDED,
    GOING_ON,
    a_clean_up,
    an_orphan_image,
    an_orphan_instance,
    an_orphan_snapshot,
    findings,
    started,
    tags_of,
)
from tests.unit.steps.promises import Promises
from tests.unit.steps.test_claim_races import holder_of

from ami_lifecycle.domain.environment import FailedAttempts, Pin
from ami_lifecycle.domain.execution import ExecutionStatus
from ami_lifecycle.domain.model import (
    TAG_APPLICATION,
    TAG_DIGEST,
    TAG_EXECUTION,
    InstanceState,
    UsageKind,
)
from ami_lifecycle.domain.request import BuildRequest
from ami_lifecycle.domain.result import SweepResult
from ami_lifecycle.errors import (
    CleanUpIncompleteError,
    ServiceUnavailableError,
)


def test_a_sweep_of_an_environment_in_order_finds_nothing_and_changes_nothing(account: Account) -> None:
    before = dict(account.world.parameters.all)
    assert account.sweeper.sweep() == SweepResult()
    assert account.world.parameters.all == before
    assert started(account) == []


@pytest.mark.parametrize("status", ENDED)
def test_orphans_of_an_ended_execution_are_removed(account: Account, status: ExecutionStatus) -> None:
    instance, image, snapshot = (
        an_orphan_instance(account),
        an_orphan_image(account),
        an_orphan_snapshot(account),
    )
    account.world.executions.end(arn_of("gone"), status)
    promises = Promises(account.world)
    (finding,) = findings(account.sweeper.sweep())
    assert promises.at_rest() == []
    for removed in (instance.instance_id, image.image_id, *image.snapshot_ids, snapshot.snapshot_id):
        assert removed in finding


@pytest.mark.parametrize("status", GOING_ON)
def test_what_belongs_to_a_running_execution_is_left_alone(account: Account, status: ExecutionStatus) -> None:
    instance, image = an_orphan_instance(account), an_orphan_image(account)
    account.world.executions.statuses[arn_of("gone")] = status
    account.sweeper.sweep()
    assert account.world.instances.all[instance.instance_id].state is InstanceState.RUNNING
    assert image.image_id in account.world.images.all


def test_what_belongs_to_a_forgotten_execution_goes_when_that_cannot_run_any_more(account: Account) -> None:
    instance = an_orphan_instance(account, "forgotten")
    account.sweeper.sweep()
    assert account.world.instances.all[instance.instance_id].state is InstanceState.RUNNING
    account.world.clock.advance(timedelta(hours=31).total_seconds())
    account.sweeper.sweep()
    assert account.world.instances.all[instance.instance_id].state.is_over


def test_an_orphan_image_that_somebody_uses_is_kept(account: Account) -> None:
    image = an_orphan_image(account)
    account.world.usage.use(image.image_id, UsageKind.LAUNCH_TEMPLATE, "lt-1")
    account.world.executions.end(arn_of("gone"))
    promises = Promises(account.world)
    account.sweeper.sweep()
    assert image.image_id in account.world.images.all
    assert promises.broken == []


def test_an_image_that_latest_names_only_by_another_index_is_kept(account: Account) -> None:
    image = an_orphan_image(account)
    latest = f"arn:aws:ssm:us-east-1:123456789012:parameter{account.prefix}/latest"
    account.world.usage.use(image.image_id, UsageKind.LATEST, latest)
    result = account.build_cleaner.clean_up(a_clean_up())
    assert [decision.image_id for decision in result.kept] == [image.image_id]
    assert image.image_id in account.world.images.all


def test_an_orphan_image_whose_use_cannot_be_read_is_kept_until_it_can(account: Account) -> None:
    image = an_orphan_image(account)
    account.world.executions.end(arn_of("gone"))
    account.world.usage.unreadable = "ec2:DescribeImageReferences"
    account.sweeper.sweep()
    assert image.image_id in account.world.images.all
    account.world.usage.unreadable = None
    account.sweeper.sweep()
    assert image.image_id not in account.world.images.all


def test_an_image_in_use_whose_record_was_deleted_is_kept(account: Account) -> None:
    old = account.world.images.add(an_image(2, name="comfyui-multitenant-prod.candidate.2"))
    account.world.usage.use(old.image_id, UsageKind.LAUNCH_TEMPLATE, "lt-1")
    account.world.executions.end(arn_of("long-ago"), ExecutionStatus.SUCCEEDED)
    promises = Promises(account.world)
    converge(account, rounds=2)
    assert old.image_id in account.world.images.all
    assert promises.broken == []


@pytest.mark.parametrize(
    "changes",
    [
        {"description": "Copied for DestinationAmi ami-1"},
        {"tags": {TAG_APPLICATION: "other", TAG_EXECUTION: arn_of("gone")}},
        {"tags": {}},
    ],
    ids=["copied", "other-application", "untagged"],
)
def test_a_snapshot_that_is_not_ours_is_left_alone(account: Account, changes: dict[str, Any]) -> None:
    snapshot = an_orphan_snapshot(account, **changes)
    account.world.executions.end(arn_of("gone"))
    converge(account, rounds=2)
    assert account.world.images.snapshots[snapshot.snapshot_id] == snapshot


def test_a_copy_of_an_image_with_our_tags_is_left_alone(account: Account) -> None:
    copy = an_orphan_image(account, name="AwsBackup_comfyui", tags=tags_of("gone"))
    account.world.executions.end(arn_of("gone"))
    converge(account, rounds=2)
    assert copy.image_id in account.world.images.all
    assert set(copy.snapshot_ids) <= set(account.world.images.snapshots)


def test_a_snapshot_that_an_untagged_image_is_made_of_is_left_alone(account: Account) -> None:
    snapshot = an_orphan_snapshot(account)
    account.world.images.add(
        an_image(6, name="by hand", environment=None, snapshot_ids=(snapshot.snapshot_id,))
    )
    account.world.executions.end(arn_of("gone"))
    converge(account, rounds=2)
    assert snapshot.snapshot_id in account.world.images.snapshots


# Claims of executions that ended without a clean-up.


@pytest.mark.parametrize("status", ENDED)
def test_the_claim_of_an_ended_execution_is_removed(account: Account, status: ExecutionStatus) -> None:
    holder_of(account, "dead", digest=account.push("two"))
    account.world.executions.end(arn_of("dead"), status)
    assert "the claim" in findings(account.sweeper.sweep())[0]
    record = account.world.environments.get("prod")
    assert record.claim is None
    assert record.fencing == 2


@pytest.mark.parametrize("status", GOING_ON)
def test_the_claim_of_a_running_execution_is_kept(account: Account, status: ExecutionStatus) -> None:
    claim = holder_of(account, "alive")
    account.world.executions.statuses[arn_of("alive")] = status
    account.sweeper.sweep()
    assert account.world.environments.get("prod").claim == claim


def test_a_claim_that_is_busy_is_removed_when_its_function_is_dead(account: Account) -> None:
    claim = holder_of(account, "dead")
    busy_until = account.world.clock.now() + timedelta(seconds=65)
    account.world.environments.enter("prod", claim.execution_arn, claim.number, busy_until)
    account.world.executions.end(arn_of("dead"))
    with pytest.raises(CleanUpIncompleteError, match="ClaimBusyError"):
        account.sweeper.sweep()
    assert account.world.environments.get("prod").claim is not None
    account.world.clock.advance(65)
    account.sweeper.sweep()
    assert account.world.environments.get("prod").claim is None


def test_the_sweep_counts_the_environments_for_which_a_request_waits(account: Account) -> None:
    assert account.sweeper.sweep().waiting == ()
    wanted = BuildRequest(environment="prod", force=True)
    account.world.environments.queue("prod", wanted, behind=holder_of(account, "alive"), revision=0)
    assert account.sweeper.sweep().waiting == ("prod",)


def test_a_queued_request_whose_starter_died_is_started_once(account: Account) -> None:
    wanted = BuildRequest(environment="prod", image_digest=account.world.repository.push(None, "two"))
    claim = holder_of(account, "dead")
    account.world.environments.queue("prod", wanted, behind=claim, revision=0)
    account.world.environments.release("prod", claim, revision=1)
    for _ in range(3):
        account.sweeper.sweep()
    assert started(account) == [wanted]
    assert account.world.environments.get("prod").queued_request is None


def test_a_request_that_was_started_and_not_forgotten_is_not_started_again(account: Account) -> None:
    wanted = BuildRequest(environment="prod", force=True)
    claim = holder_of(account, "dead")
    account.world.environments.queue("prod", wanted, behind=claim, revision=0)
    account.world.environments.fail("clear_queued_request", ServiceUnavailableError("no answer"))
    account.world.executions.end(arn_of("dead"))
    with pytest.raises(CleanUpIncompleteError):
        account.sweeper.sweep()
    run_started(account)
    converge(account, rounds=2)
    assert started(account) == [wanted]


# Digests that no event reported.


def test_a_digest_whose_push_was_lost_is_built(account: Account) -> None:
    digest = account.push("two")
    converge(account)
    assert account.live.tags[TAG_DIGEST] == digest
    assert [request.trigger.value for request in started(account)] == ["reconcile"]


def test_several_sweeps_of_one_hour_start_one_build(account: Account) -> None:
    account.push("two")
    for _ in range(4):
        account.sweeper.sweep()
    assert len(started(account)) == 1


def test_a_digest_that_fails_is_built_so_often_and_no_more(account: Account) -> None:
    account.push("two")
    account.verification_fails = True
    converge(account, rounds=8)
    assert len(started(account)) == 3
    assert account.latest == an_image(1).image_id
    assert Promises(account.world).leaks() == []


def test_an_environment_whose_digest_is_not_published_is_counted_until_it_is(account: Account) -> None:
    digest = account.push("bad")
    account.world.environments.record_failures("prod", [FailedAttempts(digest=digest, count=3)])
    given_up = account.sweeper.sweep()
    assert given_up.unpublished == ("prod",)
    (finding,) = given_up.findings
    assert not finding.repaired
    assert f"{digest}, which is not published: its build has failed 3 times" in finding.finding
    holder_of(account, "building", digest=digest)
    assert account.sweeper.sweep().unpublished == ("prod",)
    account.world.executions.end(arn_of("building"), ExecutionStatus.FAILED)
    run(account, "forced", force=True)
    assert account.sweeper.sweep().unpublished == ()


def test_a_pinned_environment_is_not_counted_as_unpublished(account: Account) -> None:
    account.push("two")
    pin = Pin(image_id=account.latest or "", at=account.world.clock.now())
    account.world.environments.set_pin("prod", pin)
    assert account.sweeper.sweep().unpublished == ()


def test_a_corrected_digest_is_built_after_others_failed(account: Account) -> None:
    account.push("two")
    account.verification_fails = True
    converge(account, rounds=5)
    account.verification_fails = False
    digest = account.push("three")
    converge(account)
    assert account.live.tags[TAG_DIGEST] == digest
    assert account.world.environments.get("prod").failure_of(digest, None) is None


def test_a_build_that_a_person_stopped_is_not_started_again(account: Account) -> None:
    holder_of(account, "stopped", digest=account.push("two"))
    account.world.executions.end(arn_of("stopped"), ExecutionStatus.ABORTED)
    Execution(account, "stopped").clean_up(status="ABORTED")
    converge(account)
    assert started(account) == []


def test_a_build_that_a_person_stopped_is_not_started_again_when_only_the_sweep_saw_it(
    account: Account,
) -> None:
    holder_of(account, "stopped", digest=account.push("two"))
    account.world.executions.end(arn_of("stopped"), ExecutionStatus.ABORTED)
    converge(account)
    assert started(account) == []


def test_a_pinned_environment_is_left_as_it_is(account: Account) -> None:
    account.push("two")
    pin = Pin(image_id=an_image(1).image_id, at=account.world.clock.now())
    account.world.environments.set_pin("prod", pin)
    converge(account)
    assert started(account) == []


def test_an_environment_that_nobody_pushed_to_is_left_alone() -> None:
    account = Account()
    assert account.sweeper.sweep() == SweepResult()
