"""What an ended execution left: what goes, what stays and why, and what AWS is asked for."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.steps.account import Account, an_image, arn_of, image_id_of
from tests.unit.steps.leftovers import an_orphan_image, an_orphan_instance, an_orphan_snapshot, tags_of
from tests.unit.steps.test_image_removal import Slow

from ami_lifecycle.domain.decision import Blocked, Decision, RetireAction
from ami_lifecycle.domain.model import (
    TAG_APPLICATION,
    TAG_ENVIRONMENT,
    TAG_EXECUTION,
    Image,
    ImageState,
    InstanceState,
    UsageKind,
)
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.errors import (
    AccessDeniedError,
    CleanUpIncompleteError,
    ResourceNotVisibleError,
    ThrottledError,
)
from ami_lifecycle.steps.orphan_removal import RemovedOrphans

DENIED = AccessDeniedError("denied. Grant it.")
NAME = "comfyui-multitenant-prod"


def clean(account: Account, **options: Any) -> RemovedOrphans:
    return account.orphan_remover.remove(arn_of("gone"), **options)


def kept(image: Image, reason: str, *, blocked: bool = False) -> Decision:
    return Decision(image_id=image.image_id, action=RetireAction.KEEP, reason=reason, blocked=blocked)


def refused(resource: str) -> Blocked:
    return Blocked(resource=resource, error="AccessDeniedError", reason=str(DENIED))


def another(account: Account, number: int, **changes: Any) -> Image:
    values = {"name": f"{NAME}.candidate.{number}", "role": "candidate", "execution": "gone"}
    return account.world.images.add(an_image(number, **values | changes))


def test_all_that_is_the_executions_goes_and_is_told(account: Account) -> None:
    instance, image, snapshot = (
        an_orphan_instance(account),
        an_orphan_image(account),
        an_orphan_snapshot(account),
    )
    account.world.instances.add(
        instance.model_copy(update={"instance_id": "i-over", "state": InstanceState.TERMINATED})
    )
    for find in ("instances", "images"):
        getattr(account.world, find).calls.clear()
    cleaned = clean(account)
    assert cleaned == RemovedOrphans(
        terminated=(instance.instance_id,),
        deregistered=(image.image_id,),
        deleted_snapshots=(*image.snapshot_ids, snapshot.snapshot_id),
    )
    assert cleaned.removed_anything
    mine = {TAG_APPLICATION: "comfyui", TAG_EXECUTION: arn_of("gone")}
    assert [call.args for call in account.world.instances.called("find")] == [(mine,)]
    assert [call.args for call in account.world.images.called("find")] == [(mine,)]
    assert [call.args for call in account.world.images.called("find_snapshots")] == [(mine,)]
    assert [call.args for call in account.world.instances.called("terminate")] == [(instance.instance_id,)]
    assert clean(account) == RemovedOrphans()
    assert not RemovedOrphans().removed_anything


@pytest.mark.parametrize("field", ["terminated", "deregistered", "deleted_snapshots"])
def test_one_thing_is_something(field: str) -> None:
    assert RemovedOrphans.model_validate({field: ("x",)}).removed_anything


def test_what_is_held_back_is_not_asked_for(account: Account) -> None:
    instance, image, snapshot = (
        an_orphan_instance(account),
        an_orphan_image(account),
        an_orphan_snapshot(account),
    )
    held = frozenset({instance.instance_id, image.image_id, snapshot.snapshot_id, *image.snapshot_ids})
    assert clean(account, held_back=held) == RemovedOrphans()
    assert account.world.usage.calls == []
    assert account.world.images.called("images_of_snapshots") == []


def test_what_is_refused_is_told_and_the_others_go(account: Account) -> None:
    instance, image, snapshot = (
        an_orphan_instance(account),
        an_orphan_image(account),
        an_orphan_snapshot(account),
    )
    account.world.instances.fail("terminate", DENIED)
    account.world.images.fail("delete_snapshot", DENIED, skip=1)
    account.world.images.fail("deregister", DENIED)
    second = another(account, 8)
    cleaned = clean(account)
    assert cleaned.deregistered == (second.image_id,)
    assert cleaned.blocked == (
        refused(instance.instance_id),
        refused(image.image_id),
        refused(snapshot.snapshot_id),
    )


@pytest.mark.parametrize(
    ("port", "method"),
    [("instances", "terminate"), ("images", "deregister"), ("images", "images_of_snapshots")],
)
def test_what_fails_for_now_fails_the_clean_up_once_all_else_is_done(
    account: Account, port: str, method: str
) -> None:
    an_orphan_instance(account)
    image, snapshot = an_orphan_image(account), an_orphan_snapshot(account)
    getattr(account.world, port).fail(method, ThrottledError("slower"))
    with pytest.raises(ThrottledError):
        clean(account)
    world = account.world
    left = (
        not world.instances.all["i-0123456789abcdef0"].state.is_over,
        image.image_id in world.images.all,
        snapshot.snapshot_id in world.images.snapshots,
    )
    assert sum(left) == 1
    clean(account)
    assert snapshot.snapshot_id not in world.images.snapshots


def test_an_instance_that_is_not_shown_yet_is_cleaned_up_after_again(account: Account) -> None:
    an_orphan_instance(account)
    account.world.instances.fail("terminate", ResourceNotVisibleError("not yet"))
    with pytest.raises(ResourceNotVisibleError):
        clean(account)


def test_a_snapshot_that_ec2_still_counts_as_used_is_come_back_to(account: Account) -> None:
    image, other = an_orphan_image(account), an_orphan_snapshot(account)
    images = account.world.images
    images._made_of["ami-hidden"] = [other.snapshot_id]
    with pytest.raises(CleanUpIncompleteError, match=rf"^EC2 still counts {other.snapshot_id} as used"):
        clean(account)
    assert image.image_id not in images.all
    # Nothing was deregistered a moment ago, so that it is the Recycle Bin that keeps it.
    (found,) = clean(account).blocked
    assert (found.resource, found.error) == (other.snapshot_id, "RefusedError")
    assert found.reason == (
        f"EC2 counts {other.snapshot_id} as used, though no image shows it. One that is registered from it at this "
        "moment shows it soon. An image in the Recycle Bin keeps its snapshots (aws ec2 list-images-in-recycle-bin): "
        "exclude the service's images from the retention rule by their tags, or wait until it expires there; it is "
        "tried again later."
    )


def test_users_of_snapshots_that_are_refused_are_told_with_the_snapshots(account: Account) -> None:
    first = an_orphan_snapshot(account)
    second = an_orphan_snapshot(account, snapshot_id="snap-00000000000000bae")
    account.world.images.fail("images_of_snapshots", DENIED)
    assert clean(account).blocked == (refused(f"the users of {first.snapshot_id}, {second.snapshot_id}"),)


def test_images_for_which_there_is_no_time_are_left_to_the_next_attempt(account: Account) -> None:
    first, second = an_orphan_image(account), another(account, 8)
    account.world.images.hooks.append(Slow(account, "deregister", 100))
    deadline = account.world.clock.now() + timedelta(seconds=110)
    orphan_remover = dataclasses.replace(account.orphan_remover, deadline=deadline)
    with pytest.raises(CleanUpIncompleteError) as raised:
        orphan_remover.remove(arn_of("gone"))
    assert str(raised.value) == (
        "1 images were removed, and this function's time is over; the next attempt goes on with the other 1, of which "
        f"the first is {second.image_id}"
    )
    assert first.image_id not in account.world.images.all


# What stays.


def test_an_image_in_use_stays_with_its_reason_and_its_snapshots(account: Account) -> None:
    image = an_orphan_image(account)
    account.world.usage.use(image.image_id, UsageKind.LAUNCH_TEMPLATE, "lt-1")
    (decision,) = clean(account).kept
    assert (decision.image_id, decision.action, decision.blocked) == (image.image_id, RetireAction.KEEP, True)
    assert "lt-1" in decision.reason
    assert set(image.snapshot_ids) <= set(account.world.images.snapshots)
    (call,) = account.world.usage.called("usage_of")
    assert (call.args, call.kwargs) == (([image.image_id],), {"with_permissions": False})


def test_an_image_that_is_shared_stays_with_its_reason(account: Account) -> None:
    image = an_orphan_image(account)
    account.world.usage.use(image.image_id, UsageKind.LAUNCH_PERMISSION, "210987654321")
    assert clean(account).kept == (kept(image, "in use: launch permission 210987654321", blocked=True),)


def test_the_executions_own_instances_are_no_use_but_others_are(account: Account) -> None:
    image = an_orphan_image(account)
    own = an_orphan_instance(account)
    instances = account.world.instances
    instances.add(own.model_copy(update={"image_id": image.image_id, "state": InstanceState.STOPPED}))
    assert clean(account).deregistered == (image.image_id,)
    second = another(account, 8)
    instances.add(own.model_copy(update={"instance_id": "i-other", "image_id": second.image_id, "tags": {}}))
    (decision,) = clean(account).kept
    assert "i-other" in decision.reason


@pytest.mark.parametrize("state", [ImageState.FAILED, ImageState.PENDING, ImageState.INVALID])
def test_an_image_that_nobody_can_launch_goes_without_a_look_at_its_uses(
    account: Account, state: ImageState
) -> None:
    image = an_orphan_image(account, state=state)
    assert clean(account).deregistered == (image.image_id,)
    assert account.world.usage.calls == []


def test_an_image_that_failed_goes_beside_one_that_nobody_uses(account: Account) -> None:
    failed, other = an_orphan_image(account, state=ImageState.FAILED), another(account, 8)
    assert clean(account).deregistered == (failed.image_id, other.image_id)


def test_an_instance_of_the_execution_that_ec2_still_counts_is_no_use(account: Account) -> None:
    image, own = an_orphan_image(account), an_orphan_instance(account)
    arn = f"arn:aws:ec2:us-east-1:123456789012:instance/{own.instance_id}"
    account.world.usage.use(image.image_id, UsageKind.RUNNING_INSTANCE, arn)
    assert clean(account).deregistered == (image.image_id,)


def test_a_copy_stays_as_somebodys(account: Account) -> None:
    copy = an_orphan_image(account, name="AwsBackup_x", tags=tags_of("gone"))
    assert clean(account).kept == (
        kept(copy, "it carries our tags under the name AwsBackup_x, so it is somebody's copy"),
    )


def test_an_image_without_its_environment_stays(account: Account) -> None:
    image = an_orphan_image(account)
    tags = {key: value for key, value in image.tags.items() if key != TAG_ENVIRONMENT}
    account.world.images.add(image.model_copy(update={"tags": tags}))
    account.world.parameters.calls.clear()
    assert clean(account).kept == (
        kept(
            image,
            "somebody has removed its tag ami-lifecycle:environment, so nothing tells whether it is published",
        ),
    )
    assert account.world.parameters.calls == []


def test_the_live_image_stays_and_costs_no_look_at_its_uses(account: Account) -> None:
    live = account.live
    assert account.orphan_remover.remove(arn_of("long-ago")).kept == (kept(live, "`latest` names it"),)
    assert account.world.usage.calls == []


def test_an_image_that_latest_names_at_the_second_look_stays(account: Account) -> None:
    image, other = an_orphan_image(account), another(account, 8)
    name = f"{account.prefix}/latest"
    stored = account.world.parameters.all[name]
    account.world.parameters.set(name, image.image_id, "aws:ec2:image")
    account.world.parameters.replays[name] = [stored]
    account.world.usage.parameters = None
    cleaned = clean(account)
    assert cleaned.kept == (kept(image, "`latest` names it"),)
    assert cleaned.deregistered == (other.image_id,)


def test_a_second_look_that_is_refused_keeps_the_images(account: Account) -> None:
    image = an_orphan_image(account)
    account.world.parameters.fail("get", DENIED, skip=1, times=9)
    cleaned = clean(account)
    assert cleaned.blocked == (refused(f"{account.prefix}/latest"),)
    assert (cleaned.deregistered, image.image_id in account.world.images.all) == ((), True)


def test_where_nothing_is_due_latest_is_read_once(account: Account) -> None:
    image = an_orphan_image(account)
    account.world.usage.use(image.image_id, UsageKind.FLEET, "fleet-1")
    account.world.parameters.calls.clear()
    clean(account)
    assert [call.args for call in account.world.parameters.called("get")] == [(f"{account.prefix}/latest",)]


@pytest.mark.parametrize(
    ("published_by", "replaces", "latest", "status", "goes"),
    [
        ("gone", None, True, RecordStatus.LIVE, True),
        ("gone", "old", True, RecordStatus.LIVE, True),
        ("gone", None, False, RecordStatus.LIVE, True),
        ("gone", "old", False, RecordStatus.LIVE, False),
        ("other", None, True, RecordStatus.LIVE, False),
        ("gone", None, True, RecordStatus.SUPERSEDED, False),
    ],
)
@pytest.mark.parametrize("has_succeeded", [False, True])
def test_a_publication_that_was_interrupted_is_undone_by_its_owners_clean_up(
    account: Account,
    published_by: str,
    replaces: str | None,
    latest: bool,
    status: RecordStatus,
    goes: bool,
    has_succeeded: bool,
) -> None:
    image = an_orphan_image(account)
    account.record(image, status=status)
    name = f"{account.prefix}/history/{image.image_id}"
    account.change_record(
        image.image_id, published_by=arn_of(published_by), replaces=image_id_of(1) if replaces else None
    )
    if not latest:
        account.world.parameters.delete(f"{account.prefix}/latest")
    cleaned = clean(account, **({"has_succeeded": True} if has_succeeded else {}))
    if goes and not has_succeeded:
        assert cleaned.deregistered == (image.image_id,)
        assert name not in account.world.parameters.all
    else:
        assert cleaned.kept == (kept(image, "it was published; retirement decides about it"),)
        assert name in account.world.parameters.all


def test_a_record_that_cannot_be_read_keeps_its_image(account: Account) -> None:
    image = an_orphan_image(account)
    account.world.parameters.set(f"{account.prefix}/history/{image.image_id}", "{")
    assert clean(account).kept == (kept(image, "it was published; retirement decides about it"),)


def test_no_record_is_deleted_where_there_is_none(account: Account) -> None:
    an_orphan_image(account)
    clean(account)
    assert account.world.parameters.called("delete") == []


# Several environments.


def test_images_are_looked_at_by_environment_and_singly_where_together_is_refused(account: Account) -> None:
    first, second = an_orphan_image(account), another(account, 8)
    other = another(account, 9, environment="dev", name="comfyui-multitenant-dev.candidate.9")
    account.world.parameters.fail("get_each", DENIED, times=2)
    cleaned = clean(account)
    assert cleaned.deregistered == (second.image_id, other.image_id)
    assert cleaned.blocked == (refused(first.image_id),)
    prefix = f"{account.prefix}/history"
    assert [call.args[0] for call in account.world.parameters.called("get_each")] == [
        [f"{prefix}/{first.image_id}", f"{prefix}/{second.image_id}"],
        [f"{prefix}/{first.image_id}"],
        [f"{prefix}/{second.image_id}"],
        [f"/comfyui/ami/dev/history/{other.image_id}"],
    ]


def test_what_is_unsettled_is_ours_and_not_published(account: Account) -> None:
    orphan, copy = an_orphan_image(account), another(account, 8, name="AwsBackup_x", tags=tags_of("gone"))
    recorded = another(account, 9)
    account.record(recorded, status=RecordStatus.RETIRED)
    found = account.orphan_remover.orphaned_images([orphan, copy, recorded, account.live])
    assert ([each.image_id for each in found.done], found.blocked, found.transient) == (
        [orphan.image_id],
        [],
        [],
    )


def test_what_of_it_is_refused_or_fails_for_now_is_told(account: Account) -> None:
    orphan = an_orphan_image(account)
    account.world.parameters.fail("get_each", DENIED, times=2)
    assert account.orphan_remover.orphaned_images([orphan]).blocked == [refused(orphan.image_id)]
    slower = ThrottledError("slower")
    account.world.parameters.fail("get_each", slower)
    assert account.orphan_remover.orphaned_images([orphan]).transient == [slower]
    account.world.parameters.fail("get_each", DENIED)
    account.world.parameters.fail("get_each", slower)
    found = account.orphan_remover.orphaned_images([orphan])
    assert (found.done, found.blocked, found.transient) == ([], [], [slower])


def test_the_image_of_a_publication_that_was_interrupted_is_an_orphan(account: Account) -> None:
    image = an_orphan_image(account)
    account.record(image)
    assert account.orphan_remover.orphaned_images([image]).done == [image]
