"""The last nets: what ended executions left, what events missed, what people changed by hand."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.steps.account import LONG_AGO, MACHINE, Account, an_image, arn_of
from tests.unit.steps.execution import Execution, converge, run, run_started
from tests.unit.steps.promises import Promises
from tests.unit.steps.test_claim_races import holder_of

from ami_lifecycle.contracts import Action, BuildRequest, CleanUpInput, RecordStatus, SweepResult
from ami_lifecycle.domain.environment import Pin
from ami_lifecycle.domain.model import (
    TAG_APPLICATION,
    TAG_DIGEST,
    TAG_ENVIRONMENT,
    TAG_EXECUTION,
    Image,
    ImageState,
    Instance,
    InstanceState,
    Snapshot,
    UsageKind,
)
from ami_lifecycle.errors import (
    AccessDeniedError,
    ClaimBusyError,
    CleanUpIncompleteError,
    ResourceNotVisibleError,
    ServiceUnavailableError,
    ThrottledError,
)
from ami_lifecycle.ports import ExecutionStatus

ENDED = [
    ExecutionStatus.SUCCEEDED,
    ExecutionStatus.FAILED,
    ExecutionStatus.TIMED_OUT,
    ExecutionStatus.ABORTED,
]
GOING_ON = [ExecutionStatus.RUNNING, ExecutionStatus.PENDING_REDRIVE]


@pytest.fixture
def account() -> Account:
    """An environment whose image holds the digest of its tag: nothing to do."""
    account = Account()
    account.publish(an_image(1, digest=account.push("one")))
    return account


def findings(result: SweepResult) -> list[str]:
    return [finding.finding for finding in result.findings]


def started(account: Account) -> list[BuildRequest]:
    return [found.request for found in account.world.executions.started]


def tags_of(execution: str) -> dict[str, str]:
    return {
        TAG_APPLICATION: "comfyui",
        TAG_ENVIRONMENT: "prod",
        TAG_EXECUTION: arn_of(execution),
        "Name": "comfyui-multitenant-prod",
    }


def an_orphan_instance(account: Account, execution: str = "gone") -> Instance:
    return account.world.instances.add(
        Instance(
            instance_id="i-0123456789abcdef0",
            state=InstanceState.RUNNING,
            launch_time=account.world.clock.now(),
            tags=tags_of(execution),
        )
    )


def an_orphan_image(account: Account, execution: str = "gone", **changes: Any) -> Image:
    name = "comfyui-multitenant-prod.candidate.orphan"
    values: dict[str, Any] = {
        "name": name,
        "role": "candidate",
        "execution": execution,
        "created": account.world.clock.now(),
    }
    return account.world.images.add(an_image(5, **values | changes))


def an_orphan_snapshot(account: Account, execution: str = "gone", **changes: Any) -> Snapshot:
    values = {
        "snapshot_id": "snap-00000000000000bad",
        "state": "completed",
        "description": "Created by CreateImage(i-0123456789abcdef0) for ami-0123456789abcdef0",
        "start_time": account.world.clock.now(),
        "tags": tags_of(execution),
    }
    snapshot = Snapshot.model_validate(values | changes)
    account.world.images.snapshots[snapshot.snapshot_id] = snapshot
    return snapshot


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
    assert promises.leaks_of() == []
    assert promises.broken == []
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


def test_a_queued_request_whose_starter_died_is_started_once(account: Account) -> None:
    wanted = BuildRequest(environment="prod", image_digest=account.world.repository.push(None, "two"))
    claim = holder_of(account, "dead")
    account.world.environments.queue("prod", wanted, behind=claim, revision=0)
    account.world.environments.release("prod", claim, revision=1)
    for _ in range(3):
        account.sweeper.sweep()
    assert started(account) == [wanted]
    assert account.world.environments.get("prod").wanted is None


def test_a_request_that_was_started_and_not_forgotten_is_not_started_again(account: Account) -> None:
    wanted = BuildRequest(environment="prod", force=True)
    claim = holder_of(account, "dead")
    account.world.environments.queue("prod", wanted, behind=claim, revision=0)
    account.world.environments.fail("clear_wanted", ServiceUnavailableError("no answer"))
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
    assert Promises(account.world).leaks_of() == []


def test_a_corrected_digest_is_built_after_others_failed(account: Account) -> None:
    account.push("two")
    account.verification_fails = True
    converge(account, rounds=5)
    account.verification_fails = False
    digest = account.push("three")
    converge(account)
    assert account.live.tags[TAG_DIGEST] == digest
    assert account.world.environments.get("prod").failed is None


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


# Records and parameters that people or interruptions spoiled.


@pytest.mark.parametrize(
    "spoiled",
    [
        None,
        "",
        "{not json",
        "[]",
        '{"ami_id": "ami-0123456789abcdef0"}',
        '{"schema_version": 99}',
    ],
    ids=["missing", "empty", "broken", "list", "short", "other-schema"],
)
def test_metadata_that_cannot_be_read_is_repaired_from_history(account: Account, spoiled: str | None) -> None:
    good = account.metadata
    name = f"{account.prefix}/metadata"
    if spoiled is None:
        del account.world.parameters.all[name]
    else:
        account.world.parameters.set(name, spoiled)
    promises = Promises(account.world)
    converge(account, rounds=2)
    assert account.metadata == good.model_copy(update={"reason": "metadata did not agree with latest"})
    assert [request.action for request in started(account)] == [Action.PUBLISH]
    assert promises.broken == []


def test_metadata_of_another_image_is_repaired(account: Account) -> None:
    other = account.metadata_of(an_image(9))
    account.world.parameters.set(f"{account.prefix}/metadata", other.model_dump_json())
    converge(account, rounds=2)
    assert account.metadata.ami_id == account.latest


def test_metadata_is_repaired_from_tags_where_history_is_spoiled_too(account: Account) -> None:
    account.world.parameters.set(f"{account.prefix}/metadata", "{")
    account.world.parameters.set(f"{account.prefix}/history/{account.latest}", "{")
    converge(account, rounds=2)
    assert account.metadata.ami_id == account.latest
    assert account.metadata.image_digest == account.live.tags[TAG_DIGEST]
    assert account.metadata.verified_at is None


def test_a_repair_that_comes_behind_a_build_does_not_bring_the_old_image_back() -> None:
    account = Account({"retirement": {"keep_previous": 1}})
    old = account.publish(an_image(1, digest=account.push("one")))
    account.world.parameters.set(f"{account.prefix}/metadata", "{")
    account.sweeper.sweep()
    digest = account.push("two")
    holder_of(account, "building", digest=digest)
    (repair,) = account.world.executions.started
    assert Execution(account, repair.name).run(repair.request).outcome == "queued"
    account.world.executions.end(arn_of("building"), ExecutionStatus.FAILED)
    converge(account)
    assert account.live.tags[TAG_DIGEST] == digest
    assert old.image_id in account.world.images.all
    assert [request.action for request in started(account)].count(Action.PUBLISH) == 1


def test_a_history_record_that_cannot_be_read_is_reported_and_left(account: Account) -> None:
    name = f"{account.prefix}/history/ami-00000000000000bad"
    account.world.parameters.set(name, "{")
    (finding,) = account.sweeper.sweep().findings
    assert name in finding.finding
    assert not finding.repaired
    assert account.world.parameters.all[name].value == "{"


@pytest.mark.parametrize("value", ["ami-0ffffffffffffffff", "nonsense", an_image(7).image_id])
def test_a_latest_that_cannot_be_launched_is_reported_and_replaced_by_a_build(
    account: Account, value: str
) -> None:
    account.world.images.add(an_image(7, name="not yet", environment=None, state=ImageState.PENDING))
    account.world.parameters.set(f"{account.prefix}/latest", value)
    result = account.sweeper.sweep()
    assert any(value in finding.finding and not finding.repaired for finding in result.findings)
    run_started(account)
    assert account.live.tags[TAG_DIGEST] == account.world.repository.tags["comfyui"]["prod-latest"]


def test_a_latest_of_another_environments_image_is_replaced_by_a_build(account: Account) -> None:
    digest = account.world.repository.tags["comfyui"]["prod-latest"]
    dev = Account(world=account.world, environment="dev")
    dev.push("one")
    foreign = dev.publish(an_image(8, name="comfyui-multitenant-dev", environment="dev", digest=digest))
    account.world.parameters.set(f"{account.prefix}/latest", foreign.image_id)
    converge(account)
    assert account.live.is_ours("comfyui", "prod")
    assert account.world.images.all[foreign.image_id] == foreign


def test_an_image_that_a_person_replaced_by_hand_keeps_its_record_and_its_place() -> None:
    account = Account({"retirement": {"keep_previous": 1}})
    for number, content in enumerate(("one", "two")):
        account.push(content)
        run(account, f"e{number}")
    (old,) = [image for image in account.own_images() if image.image_id != account.latest]
    replaced = account.live
    account.world.parameters.set(f"{account.prefix}/latest", old.image_id)
    account.push("one")
    promises = Promises(account.world)
    converge(account, rounds=2)
    assert account.latest == old.image_id
    assert replaced.image_id in account.world.images.all
    assert account.history(replaced.image_id) is not None
    assert promises.broken == []


def test_a_latest_that_was_deleted_is_published_again_by_a_build(account: Account) -> None:
    del account.world.parameters.all[f"{account.prefix}/latest"]
    converge(account)
    assert account.live.tags[TAG_DIGEST] == account.world.repository.tags["comfyui"]["prod-latest"]
    assert [image.image_id for image in account.own_images()] == [account.latest]


# Retirement and adoption that had to wait.


def test_an_image_that_is_free_at_last_is_retired_and_its_name_adopted(account: Account) -> None:
    old = account.live
    account.world.usage.use(old.image_id, UsageKind.LAUNCH_TEMPLATE, "lt-1")
    account.push("two")
    run(account)
    assert account.live.name != "comfyui-multitenant-prod"
    converge(account, rounds=2)
    assert started(account) == [], "it is in use still"
    account.world.usage.free(old.image_id)
    promises = Promises(account.world)
    converge(account, rounds=2)
    assert [request.action for request in started(account)] == [Action.RETIRE]
    assert account.live.name == "comfyui-multitenant-prod"
    assert [image.image_id for image in account.own_images()] == [account.latest]
    assert promises.broken == []
    assert promises.leaks_of() == []


def test_an_unverified_live_candidate_adopts_its_name_though_verification_is_on_now() -> None:
    account = Account()
    candidate = an_image(
        1, name="comfyui-multitenant-prod.candidate.1", role="candidate", digest=account.push("one")
    )
    account.publish(candidate, verified=False)
    account.world.executions.end(arn_of("long-ago"), ExecutionStatus.SUCCEEDED)
    promises = Promises(account.world)
    converge(account, rounds=3)
    assert account.live.name == "comfyui-multitenant-prod"
    assert account.metadata.verified_at is None
    assert len(started(account)) == 1
    assert promises.broken == []
    assert promises.leaks_of() == []


def test_the_name_of_an_untagged_live_image_is_not_adopted() -> None:
    account = Account()
    untagged = an_image(1, name="comfyui-multitenant-prod-2024", environment=None)
    account.publish(untagged)
    promises = Promises(account.world)
    assert run(account, action=Action.RETIRE).outcome == "published"
    assert account.latest == untagged.image_id
    assert promises.leaks_of() == []
    assert promises.broken == []


# History is kept to its size.


@pytest.mark.parametrize("status", [RecordStatus.SUPERSEDED, RecordStatus.KEPT, RecordStatus.LIVE])
def test_only_records_of_retired_images_are_pruned(status: RecordStatus) -> None:
    account = Account({"publication": {"history_to_keep": 1}})
    account.publish(an_image(1, digest=account.push("one")))
    for number in (2, 3, 4):
        account.record(
            an_image(number, created=LONG_AGO - timedelta(days=number)), status=RecordStatus.RETIRED
        )
    other = an_image(5, created=LONG_AGO - timedelta(days=9))
    account.record(other, status=status)
    assert findings(account.sweeper.sweep()) == ["pruned 3 history records of retired images"]
    names = [name for name in account.world.parameters.all if "/history/" in name]
    assert {name.rsplit("/", 1)[1] for name in names} == {account.latest, other.image_id}


def test_pruning_takes_its_time(account: Account) -> None:
    account = Account({"publication": {"history_to_keep": 1}})
    account.publish(an_image(1, digest=account.push("one")))
    for number in range(2, 52):
        account.record(an_image(number, created=LONG_AGO - timedelta(days=1)), status=RecordStatus.RETIRED)
    for _ in range(3):
        account.sweeper.sweep()
    assert len([name for name in account.world.parameters.all if "/history/" in name]) == 1


# One fault does not keep the sweep from the rest.


def test_a_fault_in_one_environment_is_reported_after_all_else_is_done(account: Account) -> None:
    account.push("two")
    account.world.environments.fail("get", ThrottledError("slower"))
    with pytest.raises(CleanUpIncompleteError, match="dev: ThrottledError: slower"):
        account.sweeper.sweep()
    assert [request.environment for request in started(account)] == ["prod"]


def test_a_missing_permission_is_reported_with_what_was_found(account: Account) -> None:
    an_orphan_instance(account)
    account.world.executions.end(arn_of("gone"))
    account.world.repository.fail("digest_of", AccessDeniedError("ecr:DescribeImages"), times=2)
    with pytest.raises(CleanUpIncompleteError) as raised:
        account.sweeper.sweep()
    assert "removed what" in str(raised.value)
    assert "ecr:DescribeImages" in str(raised.value)


# The clean-up of one execution.


def a_clean_up(name: str = "gone", **changes: str) -> CleanUpInput:
    values = {"execution_arn": arn_of(name), "state_machine_arn": MACHINE}
    return CleanUpInput.model_validate(values | changes)


def test_a_clean_up_can_be_repeated_any_number_of_times(account: Account) -> None:
    an_orphan_instance(account)
    an_orphan_image(account)
    first = account.build_cleaner.clean_up(a_clean_up())
    assert first.terminated
    assert first.deregistered
    assert first.deleted_snapshots
    again = account.build_cleaner.clean_up(a_clean_up())
    assert (again.terminated, again.deregistered, again.deleted_snapshots) == ((), (), ())


def test_a_clean_up_of_an_execution_that_made_nothing_removes_nothing(account: Account) -> None:
    images, snapshots = dict(account.world.images.all), dict(account.world.images.snapshots)
    account.build_cleaner.clean_up(a_clean_up("made-nothing"))
    assert (account.world.images.all, account.world.images.snapshots) == (images, snapshots)


def test_the_published_image_of_an_execution_survives_its_clean_up(account: Account) -> None:
    result = account.build_cleaner.clean_up(a_clean_up("long-ago"))
    assert [decision.image_id for decision in result.kept] == [account.latest]
    assert account.live.state is ImageState.AVAILABLE


def test_an_instance_that_ec2_does_not_show_yet_is_waited_for(account: Account) -> None:
    instance = an_orphan_instance(account)
    account.world.instances.fail("terminate", ResourceNotVisibleError("not shown yet"))
    with pytest.raises(ResourceNotVisibleError):
        account.build_cleaner.clean_up(a_clean_up())
    account.build_cleaner.clean_up(a_clean_up())
    assert account.world.instances.all[instance.instance_id].state.is_over


def test_a_clean_up_from_outside_waits_for_a_function_that_may_still_write(account: Account) -> None:
    claim = holder_of(account, "gone")
    account.world.environments.enter(
        "prod", claim.execution_arn, claim.number, account.world.clock.now() + timedelta(seconds=65)
    )
    with pytest.raises(ClaimBusyError):
        account.build_cleaner.clean_up(a_clean_up(status="ABORTED"))
    assert account.world.environments.get("prod").claim is not None
    account.world.clock.advance(65)
    assert account.build_cleaner.clean_up(a_clean_up(status="ABORTED")).released == ("prod",)


def test_the_failures_of_a_digest_are_counted_in_a_row(account: Account) -> None:
    digest = account.push("two")
    account.verification_fails = True
    counted = []
    for number, content in enumerate(("two", "two", "three")):
        account.push(content)
        assert run(account, f"e{number}").outcome == "failed"
        failed = account.world.environments.get("prod").failed
        assert failed is not None
        counted.append((failed.digest == digest, failed.count))
    assert counted == [(True, 1), (True, 2), (False, 1)]


def test_a_failure_is_counted_once_however_often_its_clean_up_is_repeated(account: Account) -> None:
    holder_of(account, "gone", digest=account.push("two"))
    account.world.environments.fail("release", ServiceUnavailableError("no answer"), times=3)
    for _ in range(3):
        with pytest.raises(ServiceUnavailableError):
            account.build_cleaner.clean_up(a_clean_up())
    account.build_cleaner.clean_up(a_clean_up())
    failed = account.world.environments.get("prod").failed
    assert failed is not None
    assert failed.count == 1


def test_people_are_told_once_of_a_failure(account: Account) -> None:
    account.push("two")
    account.verification_fails = True
    ended = run(account)
    account.build_cleaner.clean_up(a_clean_up("e1", status="FAILED", error=ended.error))
    ((subject, message),) = account.world.notifier.sent
    assert "VerificationFailedError" in subject
    assert message["outcome"] == "Build Failed"
    assert "no container runs" in message["cause"]
    assert json.dumps(message)
    assert len(subject) <= 100


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT"])
def test_people_are_told_of_an_end_that_no_execution_reported(account: Account, status: str) -> None:
    account.build_cleaner.clean_up(a_clean_up(status=status))
    assert len(account.world.notifier.sent) == 1
