"""What people changed by hand, what had to wait, and how long history is kept."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.unit.steps.account import LONG_AGO, Account, an_image, arn_of
from tests.unit.steps.execution import Execution, converge, run, run_started
from tests.unit.steps.leftovers import (
    an_orphan_instance,
    findings,
    started,
)
from tests.unit.steps.promises import Promises
from tests.unit.steps.test_claim_races import holder_of

from ami_lifecycle.domain.execution import ExecutionStatus
from ami_lifecycle.domain.model import (
    TAG_DIGEST,
    TAG_ENVIRONMENT,
    ImageState,
    UsageKind,
)
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.domain.request import Action
from ami_lifecycle.errors import (
    AccessDeniedError,
    CleanUpIncompleteError,
    ThrottledError,
)

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
    repaired = {"reason": "metadata did not agree with latest", "release": arn_of("long-ago")}
    assert account.metadata == good.model_copy(update=repaired)
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
    assert account.live.belongs_to("comfyui", "prod")
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
    assert promises.at_rest() == []


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
    assert promises.at_rest() == []


def test_the_name_of_an_untagged_live_image_is_not_adopted() -> None:
    account = Account()
    untagged = an_image(1, name="comfyui-multitenant-prod-2024", environment=None)
    account.publish(untagged)
    promises = Promises(account.world)
    assert run(account, action=Action.RETIRE).outcome == "published"
    assert account.latest == untagged.image_id
    assert promises.at_rest() == []


# History is kept to its size.


@pytest.mark.parametrize("status", [RecordStatus.SUPERSEDED, RecordStatus.KEPT, RecordStatus.LIVE])
def test_only_records_of_retired_images_are_pruned(status: RecordStatus) -> None:
    account = Account({"publication": {"history_to_keep": 1}})
    account.publish(an_image(1, digest=account.push("one")))
    for number in (2, 3, 4):
        account.record(
            an_image(number, created=LONG_AGO - timedelta(days=number)), status=RecordStatus.RETIRED
        )
    other = account.world.images.add(an_image(5, created=LONG_AGO - timedelta(days=9)))
    account.record(other, status=status)
    assert "pruned 3 history records of retired images" in findings(account.sweeper.sweep())
    names = [name for name in account.world.parameters.all if "/history/" in name]
    assert {name.rsplit("/", 1)[1] for name in names} == {account.latest, other.image_id}


def test_pruning_takes_the_oldest_records_first_and_its_time() -> None:
    account = Account({"publication": {"history_to_keep": 1}})
    account.publish(an_image(1, digest=account.push("one")))
    # The older, the higher the number, so that neither ids nor names put them in this order.
    old = [an_image(number, created=LONG_AGO - timedelta(days=number)) for number in range(2, 52)]
    for image in old:
        account.record(image, status=RecordStatus.RETIRED)
    for left in (30, 10, 0):
        account.sweeper.sweep()
        names = [name for name in account.world.parameters.all if "/history/" in name]
        assert {name.rsplit("/", 1)[1] for name in names} == {
            account.latest,
            *(image.image_id for image in old[:left]),
        }


# One fault does not keep the sweep from the rest.


def test_a_fault_in_one_environment_is_reported_after_all_else_is_done(account: Account) -> None:
    account.push("two")
    account.world.environments.fail("get", ThrottledError("slower"))
    with pytest.raises(CleanUpIncompleteError, match="dev: ThrottledError: slower"):
        account.sweeper.sweep()
    assert [request.environment for request in started(account)] == ["prod"]


def test_a_fault_without_a_name_of_ours_is_reported_after_all_else_is_done(account: Account) -> None:
    account.push("two")
    account.world.environments.fail("get", ValueError("no such field"))
    with pytest.raises(CleanUpIncompleteError, match="dev: ValueError: no such field"):
        account.sweeper.sweep()
    assert [request.environment for request in started(account)] == ["prod"]


def test_an_image_whose_environment_tag_was_removed_is_left_alone(account: Account) -> None:
    image = an_image(5, name="comfyui-multitenant-prod.candidate.5", role="candidate", execution="gone")
    tags = {key: value for key, value in image.tags.items() if key != TAG_ENVIRONMENT}
    account.world.images.add(image.model_copy(update={"tags": tags}))
    account.world.executions.end(arn_of("gone"), ExecutionStatus.FAILED)
    account.sweeper.sweep()
    assert image.image_id in account.world.images.all


def test_a_missing_permission_is_reported_with_what_was_found(account: Account) -> None:
    an_orphan_instance(account)
    account.world.executions.end(arn_of("gone"))
    account.world.repository.fail("digest_of", AccessDeniedError("ecr:DescribeImages"), times=2)
    told = " ".join(findings(account.sweeper.sweep()))
    assert "removed what" in told
    assert "ecr:DescribeImages" in told
