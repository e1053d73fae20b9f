from __future__ import annotations

import pytest
from tests.contract.adapters.emulated_rig import EmulatedRig
from tests.contract.adapters.rig import Rig, available_image

from ami_lifecycle.domain.model import UsageKind

KINDS = [
    UsageKind.LAUNCH_TEMPLATE,
    UsageKind.LAUNCH_CONFIGURATION,
    UsageKind.LAUNCH_PERMISSION,
    UsageKind.RUNNING_INSTANCE,
]


def test_an_image_that_nothing_uses_has_no_uses(rig: Rig) -> None:
    image_id = available_image(rig)
    (usage,) = rig.usage.usage_of([image_id])
    assert usage.image_id == image_id
    assert usage.uses == ()


def test_no_images_have_no_usage(rig: Rig) -> None:
    assert rig.usage.usage_of([]) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_use_is_found_once_and_names_the_user(rig: Rig, kind: UsageKind) -> None:
    image_id = available_image(rig)
    user = rig.use(image_id, kind)
    (usage,) = rig.usage.usage_of([image_id])
    (use,) = usage.uses
    assert use.kind is kind
    assert user in use.resource


@pytest.mark.parametrize("kind", [UsageKind.LAUNCH_PERMISSION, UsageKind.LAUNCH_TEMPLATE])
def test_launch_permissions_can_be_asked_for_apart(rig: Rig, kind: UsageKind) -> None:
    image_id = available_image(rig)
    rig.use(image_id, kind)
    is_permission = kind is UsageKind.LAUNCH_PERMISSION
    (others,) = rig.usage.usage_of([image_id], with_permissions=False)
    assert [use.kind for use in others.uses] == ([] if is_permission else [kind])
    permissions = rig.usage.permissions_of(image_id)
    assert [use.kind for use in permissions.uses] == ([kind] if is_permission else [])


def test_permissions_of_an_image_that_is_not_shown_are_not_known(emulated: EmulatedRig) -> None:
    (use,) = emulated.usage.permissions_of("ami-0ffffffffffffffff").uses
    assert use.kind is UsageKind.UNKNOWN


def test_usage_comes_in_the_order_asked_and_only_for_its_image(rig: Rig) -> None:
    used = available_image(rig, f"{rig.name}-used")
    free = available_image(rig, f"{rig.name}-free")
    rig.use(used, UsageKind.LAUNCH_TEMPLATE)
    usages = rig.usage.usage_of([free, used])
    assert [usage.image_id for usage in usages] == [free, used]
    assert [len(usage.uses) for usage in usages] == [0, 1]


def test_what_cannot_be_read_is_an_unknown_use_of_every_image(rig: Rig) -> None:
    first = available_image(rig, f"{rig.name}-first")
    second = available_image(rig, f"{rig.name}-second")
    rig.break_usage()
    for usage in rig.usage.usage_of([first, second]):
        (use,) = usage.uses
        assert use.kind is UsageKind.UNKNOWN
        assert "ec2:DescribeImageReferences" in use.resource


def test_an_old_version_of_a_launch_template_is_a_use(emulated: EmulatedRig) -> None:
    image_id = available_image(emulated)
    ec2 = emulated.account.client("ec2")
    emulated.use(image_id, UsageKind.LAUNCH_TEMPLATE)
    for _ in range(12):
        ec2.create_launch_template_version(
            LaunchTemplateName=emulated.name, LaunchTemplateData={"ImageId": emulated.base_image_id}
        )
    (usage,) = emulated.usage.usage_of([image_id])
    assert [use.kind for use in usage.uses] == [UsageKind.LAUNCH_TEMPLATE]


def test_a_terminated_instance_is_no_use(emulated: EmulatedRig) -> None:
    image_id = available_image(emulated)
    instance_id = emulated.use(image_id, UsageKind.RUNNING_INSTANCE)
    emulated.account.client("ec2").terminate_instances(InstanceIds=[instance_id])
    (usage,) = emulated.usage.usage_of([image_id])
    assert usage.uses == ()


def test_more_images_than_one_call_takes_are_all_looked_up(emulated: EmulatedRig) -> None:
    images = [available_image(emulated, f"{emulated.name}-{number}") for number in range(2)]
    foreign = [f"ami-{number:017x}" for number in range(1, 11)]
    emulated.use(images[1], UsageKind.LAUNCH_TEMPLATE)
    usages = emulated.usage.usage_of([images[0], *foreign, images[1]])
    assert [usage.image_id for usage in usages] == [images[0], *foreign, images[1]]
    assert [use.kind for use in usages[-1].uses] == [UsageKind.LAUNCH_TEMPLATE]
