"""Images: names, states, block devices, registration, deregistration."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from emulator.tests.contract.account import ACCOUNT, Account, Server
from emulator.tests.contract.asserting import refused

from aws_emulator.durations import Durations


def test_two_images_cannot_have_one_name(account: Account) -> None:
    """EC2 names the image that has the name (hashicorp/packer issue 880; recorded calls)."""
    first = account.image("comfyui")
    with refused("InvalidAMIName.Duplicate") as refusal:
        account.pending_image("comfyui")
    assert refusal.message == f"AMI name comfyui is already in use by AMI {first}"
    assert refusal.status == 400


def test_a_pending_image_has_its_name_already(account: Account) -> None:
    """The name is taken when CreateImage answers."""
    instance_id = account.stopped()
    account.pending_image("comfyui", InstanceId=instance_id)
    with refused("InvalidAMIName.Duplicate"):
        account.pending_image("comfyui", InstanceId=instance_id)


@pytest.mark.parametrize("way", ["RegisterImage", "CopyImage"])
def test_the_name_rule_holds_for_every_way_to_make_an_image(account: Account, way: str) -> None:
    """EC2 API reference, CreateRestoreImageTask: unique in the Region for the account."""
    image_id = account.image("comfyui")
    snapshot_id = account.snapshot_of(image_id)
    with refused("InvalidAMIName.Duplicate"):
        if way == "RegisterImage":
            account.register(snapshot_id, "comfyui")
        else:
            account.ec2.copy_image(Name="comfyui", SourceImageId=image_id, SourceRegion="us-east-1")


def test_a_name_is_free_as_soon_as_its_image_is_deregistered(account: Account) -> None:
    """packer's force_deregister deregisters and creates under the same name at once (packer issue 2221)."""
    image_id = account.image("comfyui")
    account.ec2.deregister_image(ImageId=image_id)
    assert account.register(account.state.images[image_id].snapshot_ids[0], "comfyui") != image_id


@pytest.mark.parametrize("name", ["ab", "x" * 129, "com*fyui", "comfyui:prod"])
def test_a_name_that_ec2_does_not_take_is_malformed(account: Account, name: str) -> None:
    """EC2 API reference, CreateImage: 3-128 characters of a limited set."""
    with refused("InvalidAMIName.Malformed"):
        account.pending_image(name)


def test_an_image_is_pending_until_it_is_available(account: Account) -> None:
    """EC2 API reference, CreateImage: the answer is an id; the state goes from pending to available."""
    image_id = account.pending_image()
    assert account.described(image_id)["State"] == "pending"
    account.advance(account.durations.image - 1)
    assert account.described(image_id)["State"] == "pending"
    account.advance(1)
    assert account.described(image_id)["State"] == "available"


def test_a_pending_image_shows_no_snapshots(account: Account) -> None:
    """Recorded calls: the first describes after CreateImage lack SnapshotId and VolumeSize."""
    image_id = account.pending_image()
    (mapping,) = account.described(image_id)["BlockDeviceMappings"]
    assert not {"SnapshotId", "VolumeSize"} & set(mapping["Ebs"])
    account.advance(account.durations.image)
    (mapping,) = account.described(image_id)["BlockDeviceMappings"]
    assert mapping["Ebs"]["SnapshotId"].startswith("snap-")
    assert mapping["Ebs"]["VolumeSize"] == 8


def test_snapshots_are_tagged_from_the_start_and_complete_before_the_image(account: Account) -> None:
    """EC2 user guide, Create an AMI: the snapshot's description names the instance and the image."""
    tags = [{"Key": "owner", "Value": "test"}]
    instance_id = account.stopped()
    image_id = account.pending_image(
        InstanceId=instance_id,
        TagSpecifications=[
            {"ResourceType": "image", "Tags": tags},
            {"ResourceType": "snapshot", "Tags": tags},
        ],
    )
    filters = [{"Name": "tag:owner", "Values": ["test"]}]
    (snapshot,) = account.ec2.describe_snapshots(Filters=filters)["Snapshots"]
    assert (snapshot["State"], snapshot["Progress"]) == ("pending", "0%")
    assert snapshot["Description"] == f"Created by CreateImage({instance_id}) for {image_id}"
    account.advance(account.durations.image * 0.9)
    (snapshot,) = account.ec2.describe_snapshots(Filters=filters)["Snapshots"]
    assert snapshot["State"] == "completed"
    assert account.described(image_id)["State"] == "pending"


def test_create_image_tags_only_images_and_snapshots(account: Account) -> None:
    """EC2 API reference, CreateImage: any other resource type fails."""
    with refused("InvalidParameterValue") as refusal:
        account.pending_image(
            TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "a", "Value": "b"}]}]
        )
    assert "'volume' is not a valid taggable resource type" in refusal.message


@pytest.mark.parametrize("change", ["stop_instances", "terminate_instances"])
def test_an_image_of_an_instance_on_its_way_is_refused(account: Account, change: str) -> None:
    """hashicorp/packer pull request 9579: Instance is not in state 'running' or 'stopped'."""
    instance_id = account.running()
    getattr(account.ec2, change)(InstanceIds=[instance_id])
    with refused("InvalidParameterValue") as refusal:
        account.pending_image(InstanceId=instance_id)
    assert "is not in state 'running' or 'stopped'" in refusal.message


def test_create_image_reboots_a_running_instance_unless_told_not_to(account: Account) -> None:
    """EC2 API reference, CreateImage: NoReboot is false by default."""
    instance_id = account.running()
    account.pending_image("quiet", InstanceId=instance_id, NoReboot=True)
    assert account.state.instances[instance_id].agent_online
    account.pending_image("rebooted", InstanceId=instance_id)
    assert not account.state.instances[instance_id].agent_online
    account.advance(account.durations.agent_online)
    assert account.state.instances[instance_id].agent_online


def test_create_image_cannot_change_the_size_of_a_volume(account: Account) -> None:
    """EC2 API reference, CreateImage: only DeleteOnTermination can change."""
    mapping = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 100}}
    with refused("InvalidParameterValue"):
        account.pending_image(BlockDeviceMappings=[mapping])


def test_a_bigger_root_volume_makes_a_slower_image_when_told_so(server: Server) -> None:
    """image_per_gib: time is proportional to what is on the volume (EC2 user guide, EBS snapshots)."""
    slow = Account(server, Durations(image=10, image_per_gib=2))
    mapping = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 50}}
    image_id = slow.pending_image(InstanceId=slow.stopped(BlockDeviceMappings=[mapping]))
    slow.advance(109)
    assert slow.described(image_id)["State"] == "pending"
    slow.advance(1)
    assert slow.described(image_id)["State"] == "available"


def test_an_image_can_fail_and_says_why(account: Account) -> None:
    """EC2 API reference, CreateImage: pending to failed, with a StateReason; its snapshots stay."""
    account.faults.add(
        {"kind": "image_fails", "name": "comfyui*", "reason": "Server.InternalError: disk on fire"}
    )
    image_id = account.image("comfyui-prod")
    image = account.described(image_id)
    assert image["State"] == "failed"
    assert image["StateReason"] == {
        "Code": "Server.InternalError",
        "Message": "Server.InternalError: disk on fire",
    }
    assert len(account.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 1
    states = [event["State"] for event in account.events_of("EC2 AMI State Change")]
    assert states == ["failed"]


def test_state_changes_of_images_are_events(account: Account) -> None:
    """EC2 user guide, Monitor AMI events using Amazon EventBridge."""
    image_id = account.image()
    account.ec2.deregister_image(ImageId=image_id)
    details = account.events_of("EC2 AMI State Change")
    assert [each["State"] for each in details] == ["available", "deregistered"]
    assert set(details[0]) == {"RequestId", "ImageId", "State", "ErrorMessage"}
    event = next(each for each in account.events if each["detail-type"] == "EC2 AMI State Change")
    assert event["source"] == "aws.ec2"
    assert event["resources"] == [f"arn:aws:ec2:us-east-1::image/{image_id}"]


def test_completed_snapshots_are_events(account: Account) -> None:
    """EBS user guide, EventBridge events: snapshot_id is an ARN without an account."""
    image_id = account.image()
    (detail,) = account.events_of("EBS Snapshot Notification")
    assert detail["event"] == "createSnapshot"
    assert detail["result"] == "succeeded"
    assert detail["snapshot_id"] == f"arn:aws:ec2::us-east-1:snapshot/{account.snapshot_of(image_id)}"


def test_deregistering_keeps_the_snapshots(account: Account) -> None:
    """EC2 API reference, DeregisterImage: DeleteAssociatedSnapshots is false by default."""
    image_id = account.image()
    snapshot_id = account.snapshot_of(image_id)
    answer = account.ec2.deregister_image(ImageId=image_id)
    assert answer["Return"] is True
    assert answer["DeleteSnapshotResults"] == []
    assert account.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]


def test_deregistering_can_delete_the_snapshots(account: Account) -> None:
    """EC2 API reference, DeregisterImage: one result for each snapshot."""
    image_id = account.image()
    snapshot_id = account.snapshot_of(image_id)
    answer = account.ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
    assert answer["DeleteSnapshotResults"] == [{"SnapshotId": snapshot_id, "ReturnCode": "success"}]
    with refused("InvalidSnapshot.NotFound"):
        account.ec2.describe_snapshots(SnapshotIds=[snapshot_id])


def test_a_shared_snapshot_is_skipped_when_an_image_goes(account: Account) -> None:
    """EC2 user guide, Deregister an AMI: snapshots that other AMIs use are not deleted."""
    image_id = account.image()
    snapshot_id = account.snapshot_of(image_id)
    account.register(snapshot_id)
    answer = account.ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
    assert answer["DeleteSnapshotResults"] == [{"SnapshotId": snapshot_id, "ReturnCode": "skipped"}]


def test_a_snapshot_that_a_disabled_image_uses_is_skipped_too(account: Account) -> None:
    """EC2 user guide, Disable an AMI: the snapshots of a disabled AMI cannot be deleted."""
    image_id = account.image()
    snapshot_id = account.snapshot_of(image_id)
    other = account.register(snapshot_id)
    account.ec2.disable_image(ImageId=other)
    answer = account.ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
    assert answer["DeleteSnapshotResults"] == [{"SnapshotId": snapshot_id, "ReturnCode": "skipped"}]
    assert account.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]


@pytest.mark.parametrize(("status", "code"), [(400, "client-error"), (500, "internal-error")])
def test_an_image_goes_even_if_its_snapshot_cannot_be_deleted(
    account: Account, status: int, code: str
) -> None:
    """EC2 API reference, DeregisterImage: the call succeeds, and the result of each snapshot says what failed."""
    image_id = account.image()
    snapshot_id = account.snapshot_of(image_id)
    account.faults.add({"kind": "error", "operation": "DeleteSnapshot", "code": "Failed", "status": status})
    answer = account.ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
    assert answer["DeleteSnapshotResults"] == [{"SnapshotId": snapshot_id, "ReturnCode": code}]
    assert account.ec2.describe_images(ImageIds=[image_id])["Images"] == []
    assert account.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]


def test_an_answer_that_is_lost_within_a_deregistration_has_deleted_the_snapshot(account: Account) -> None:
    image_id = account.image()
    snapshot_id = account.snapshot_of(image_id)
    account.faults.add(
        {"kind": "error", "operation": "DeleteSnapshot", "code": "Failed", "status": 500, "when": "after"}
    )
    answer = account.ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
    assert answer["DeleteSnapshotResults"] == [{"SnapshotId": snapshot_id, "ReturnCode": "internal-error"}]
    with refused("InvalidSnapshot.NotFound"):
        account.ec2.describe_snapshots(SnapshotIds=[snapshot_id])


def test_a_snapshot_behind_two_devices_is_deleted_once(account: Account) -> None:
    """EC2 API reference, DeregisterImage: one result for each snapshot."""
    snapshot_id = account.snapshot_of(first := account.image())
    devices = [{"DeviceName": name, "Ebs": {"SnapshotId": snapshot_id}} for name in ("/dev/sda1", "/dev/sdf")]
    image_id = account.register(snapshot_id, BlockDeviceMappings=devices)
    account.ec2.deregister_image(ImageId=first)
    answer = account.ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
    assert answer["DeleteSnapshotResults"] == [{"SnapshotId": snapshot_id, "ReturnCode": "success"}]


def test_an_image_with_an_empty_device_is_copied(account: Account) -> None:
    """EC2 API reference, EbsBlockDevice: a device of a size and of no snapshot is an empty volume."""
    snapshot_id = account.snapshot_of(account.image())
    devices = [
        {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot_id}},
        {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 9}},
    ]
    source = account.register(snapshot_id, BlockDeviceMappings=devices)
    request = {"Name": "copy", "SourceImageId": source, "SourceRegion": "us-east-1"}
    copied = account.ec2.copy_image(**request)["ImageId"]
    account.advance(account.durations.image)
    root, empty = account.described(copied)["BlockDeviceMappings"]
    assert root["Ebs"]["SnapshotId"] != snapshot_id
    assert (empty["Ebs"]["VolumeSize"], "SnapshotId" in empty["Ebs"]) == (9, False)


def test_a_snapshot_that_the_caller_may_not_delete_stays_and_its_image_goes(account: Account) -> None:
    """EC2 API reference, DeleteSnapshotReturnCode: missing-permissions."""
    image_id = account.image()
    snapshot_id = account.snapshot_of(image_id)
    account.undeletable_snapshots.add(snapshot_id)
    answer = account.ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
    assert answer["DeleteSnapshotResults"] == [
        {"SnapshotId": snapshot_id, "ReturnCode": "missing-permissions"}
    ]
    assert account.ec2.describe_images(ImageIds=[image_id])["Images"] == []
    assert account.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]


def test_a_deregistered_image_is_unavailable_the_second_time_and_not_described(account: Account) -> None:
    """Recorded calls: InvalidAMIID.Unavailable; a describe by id succeeds with an empty list."""
    image_id = account.image()
    account.ec2.deregister_image(ImageId=image_id)
    with refused("InvalidAMIID.Unavailable") as refusal:
        account.ec2.deregister_image(ImageId=image_id)
    assert refusal.message == f"The image ID '{image_id}' is no longer available"
    assert account.ec2.describe_images(ImageIds=[image_id])["Images"] == []


def test_deregistering_a_pending_image_leaves_snapshots_that_finish(account: Account) -> None:
    """The snapshots of an abandoned CreateImage complete and stay: they leak unless somebody looks."""
    image_id = account.pending_image()
    account.ec2.deregister_image(ImageId=image_id)
    account.advance(account.durations.image)
    (snapshot,) = account.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert snapshot["State"] == "completed"


def test_unknown_and_malformed_image_ids_differ(account: Account) -> None:
    """EC2 error codes: InvalidAMIID.NotFound and InvalidAMIID.Malformed."""
    with refused("InvalidAMIID.NotFound"):
        account.ec2.describe_images(ImageIds=["ami-0123456789abcdef0"])
    with refused("InvalidAMIID.Malformed"):
        account.ec2.describe_images(ImageIds=["ami-xyz"])


def test_a_protected_image_is_not_deregistered(account: Account) -> None:
    """EC2 user guide, Protect an AMI from deregistration."""
    image_id = account.image()
    account.ec2.enable_image_deregistration_protection(ImageId=image_id)
    with refused("OperationNotPermitted"):
        account.ec2.deregister_image(ImageId=image_id)
    account.ec2.disable_image_deregistration_protection(ImageId=image_id)
    assert account.ec2.deregister_image(ImageId=image_id)["Return"] is True


def test_a_deprecation_date_is_rounded_to_the_minute_and_can_be_taken_away(account: Account) -> None:
    """EC2 API reference, EnableImageDeprecation."""
    image_id = account.image()
    now = account.clock.now().replace(second=0, microsecond=0)
    for seconds, minutes in ((29, 5), (31, 6)):
        account.ec2.enable_image_deprecation(
            ImageId=image_id, DeprecateAt=now + timedelta(minutes=5, seconds=seconds)
        )
        shown = datetime.fromisoformat(account.described(image_id)["DeprecationTime"])
        assert shown == now + timedelta(minutes=minutes)
    account.ec2.disable_image_deprecation(ImageId=image_id)
    assert "DeprecationTime" not in account.described(image_id)


def test_a_deprecation_date_is_neither_past_nor_too_far_ahead(account: Account) -> None:
    """EC2 API reference, EnableImageDeprecation: ten years, and for public images two after their creation."""
    image_id = account.image()
    now = account.clock.now()
    for at in (now - timedelta(minutes=1), now + timedelta(days=3_700)):
        with refused("InvalidParameterValue"):
            account.ec2.enable_image_deprecation(ImageId=image_id, DeprecateAt=at)
    account.ec2.enable_image_deprecation(ImageId=image_id, DeprecateAt=now + timedelta(days=3_600))
    account.ec2.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": [{"Group": "all"}]})
    with refused("InvalidParameterValue"):
        account.ec2.enable_image_deprecation(ImageId=image_id, DeprecateAt=now + timedelta(days=800))
    account.ec2.enable_image_deprecation(ImageId=image_id, DeprecateAt=now + timedelta(days=700))


def test_the_owner_finds_a_deprecated_image_and_launches_it(account: Account) -> None:
    """EC2 user guide, Deprecate an Amazon EC2 AMI: owners always see theirs; launches by id go on."""
    image_id = account.image()
    account.ec2.enable_image_deprecation(
        ImageId=image_id, DeprecateAt=account.clock.now() + timedelta(minutes=2)
    )
    account.advance(600)
    found = account.ec2.describe_images(Owners=["self"])["Images"]
    assert image_id in {image["ImageId"] for image in found}
    assert account.launch(ImageId=image_id)


def test_a_cooldown_protects_for_another_day(account: Account) -> None:
    """EC2 user guide: with a cooldown, deregistration is possible 24 hours after protection was disabled."""
    image_id = account.image()
    account.ec2.enable_image_deregistration_protection(ImageId=image_id, WithCooldown=True)
    account.ec2.disable_image_deregistration_protection(ImageId=image_id)
    with refused("OperationNotPermitted"):
        account.ec2.deregister_image(ImageId=image_id)
    account.advance(24 * 3600)
    assert account.ec2.deregister_image(ImageId=image_id)["Return"] is True


def test_a_disabled_image_is_hidden_unshared_and_not_launched(account: Account) -> None:
    """EC2 user guide, Disable an AMI; its snapshots still cannot be deleted."""
    image_id = account.image()
    snapshot_id = account.snapshot_of(image_id)
    account.ec2.modify_image_attribute(
        ImageId=image_id, LaunchPermission={"Add": [{"UserId": "111122223333"}]}
    )
    account.ec2.disable_image(ImageId=image_id)
    assert account.ec2.describe_images(Owners=["self"])["Images"] == []
    assert account.described(image_id, IncludeDisabled=True)["State"] == "disabled"
    assert (
        account.ec2.describe_image_attribute(ImageId=image_id, Attribute="launchPermission")[
            "LaunchPermissions"
        ]
        == []
    )
    with refused("InvalidAMIID.Unavailable"):
        account.launch(ImageId=image_id)
    with refused("InvalidSnapshot.InUse"):
        account.ec2.delete_snapshot(SnapshotId=snapshot_id)
    account.ec2.enable_image(ImageId=image_id)
    assert account.launch(ImageId=image_id)


def test_the_mapping_is_no_attribute_that_can_be_read(account: Account) -> None:
    """Recorded calls: AuthFailure to the owner, too; DescribeImages shows it."""
    with refused("AuthFailure") as refusal:
        account.ec2.describe_image_attribute(ImageId=account.image(), Attribute="blockDeviceMapping")
    assert refusal.message == "Unauthorized attempt to access restricted resource"


def test_nothing_but_zeros_is_no_id_of_an_image(account: Account) -> None:
    """Recorded calls: Malformed of an image, NotFound of a snapshot."""
    with refused("InvalidAMIID.Malformed"):
        account.ec2.describe_images(ImageIds=["ami-00000000000000000"])
    with refused("InvalidSnapshotID.NotFound"):
        account.register("snap-00000000000000000")


def test_attributes_can_be_read_and_few_can_be_changed(account: Account) -> None:
    """EC2 API reference, ModifyImageAttribute: description, imdsSupport and launchPermission only."""
    image_id = account.image()
    account.ec2.modify_image_attribute(ImageId=image_id, Description={"Value": "golden"})
    account.ec2.modify_image_attribute(ImageId=image_id, ImdsSupport={"Value": "v2.0"})
    assert account.described(image_id)["Description"] == "golden"
    assert account.described(image_id)["ImdsSupport"] == "v2.0"
    for attribute in ("uefiData", "tpmSupport", "sriovNetSupport", "bootMode", "lastLaunchedTime"):
        assert (
            account.ec2.describe_image_attribute(ImageId=image_id, Attribute=attribute)["ImageId"] == image_id
        )
    for attribute, member, empty in (
        ("kernel", "KernelId", {}),
        ("ramdisk", "RamdiskId", {}),
        ("productCodes", "ProductCodes", []),
    ):
        assert account.ec2.describe_image_attribute(ImageId=image_id, Attribute=attribute)[member] == empty
    with refused("InvalidParameterValue"):
        account.ec2.modify_image_attribute(ImageId=image_id, Attribute="name", Value="other")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "InvalidParameterCombination"),
        ({"LaunchPermission": {}}, "InvalidParameterCombination"),
        (
            {"Description": {"Value": "must not apply"}, "ImdsSupport": {"Value": "v2.0"}},
            "InvalidParameterCombination",
        ),
        (
            {"Description": {"Value": "must not apply"}, "LaunchPermission": {"Add": [{"Group": "all"}]}},
            "InvalidParameterCombination",
        ),
        ({"Attribute": "description", "Value": ""}, "MissingParameter"),
        ({"ImdsSupport": {"Value": ""}}, "MissingParameter"),
        ({"LaunchPermission": {"Add": [{"UserId": "123"}]}}, "InvalidAMIAttributeItemValue"),
    ],
)
def test_a_call_changes_one_attribute_to_a_value(account: Account, asked: dict[str, Any], code: str) -> None:
    """radkawar/stackd, testdata/aws/ec2/images_controls.json: modify-..."""
    image_id = account.image()
    before = account.described(image_id)
    with refused(code):
        account.ec2.modify_image_attribute(ImageId=image_id, **asked)
    assert account.described(image_id) == before


def test_somebody_elses_image_cannot_be_changed(account: Account) -> None:
    """EC2 error codes: AuthFailure."""
    with refused("AuthFailure"):
        account.ec2.deregister_image(ImageId=account.ubuntu)


def test_copying_is_idempotent_by_its_token_and_makes_own_snapshots(account: Account) -> None:
    """EC2 API reference, CopyImage: ClientToken; new snapshots."""
    source = account.image()
    request = {"Name": "copy", "SourceImageId": source, "SourceRegion": "us-east-1", "ClientToken": "once"}
    first = account.ec2.copy_image(**request)["ImageId"]
    assert account.ec2.copy_image(**request)["ImageId"] == first
    with refused("IdempotentParameterMismatch"):
        account.ec2.copy_image(**request | {"Name": "other"})
    account.advance(account.durations.image)
    assert account.snapshot_of(first) != account.snapshot_of(source)


def test_a_dry_run_says_so_with_a_token_that_is_known_too(account: Account) -> None:
    """EC2 API reference, Common query parameters: DryRun makes no request; it is no parameter of the token's."""
    copy = {
        "Name": "copy",
        "SourceImageId": account.image(),
        "SourceRegion": "us-east-1",
        "ClientToken": "once",
    }
    template = {
        "LaunchTemplateName": "fleet",
        "LaunchTemplateData": {"InstanceType": "t3.large"},
        "ClientToken": "once",
    }
    for call, request in (
        (account.launch, {"ClientToken": "once"}),
        (account.ec2.copy_image, copy),
        (account.ec2.create_launch_template, template),
    ):
        first = call(**request)
        with refused("DryRunOperation"):
            call(**request, DryRun=True)
        again = call(**request, DryRun=False)
        for answer in (first, again):
            if isinstance(answer, dict):
                del answer["ResponseMetadata"]
        assert again == first


def test_images_are_filtered_by_what_ec2_knows_and_nothing_is_ignored(account: Account) -> None:
    """EC2 API reference, DescribeImages: filters; an unknown one is InvalidParameterValue."""
    instance_id = account.stopped()
    image_id = account.image("comfyui-prod.1", InstanceId=instance_id)
    other = account.image("comfyui-dev.1", InstanceId=instance_id)
    account.ec2.create_tags(Resources=[image_id], Tags=[{"Key": "environment", "Value": "prod"}])
    for name, value in (
        ("name", "comfyui-prod*"),
        ("tag:environment", "prod"),
        ("tag-key", "environ*"),
        ("block-device-mapping.snapshot-id", account.snapshot_of(image_id)),
        ("image-id", image_id),
    ):
        found = account.ec2.describe_images(Owners=["self"], Filters=[{"Name": name, "Values": [value]}])[
            "Images"
        ]
        assert [each["ImageId"] for each in found] == [image_id], name
    found = account.ec2.describe_images(Filters=[{"Name": "source-instance-id", "Values": [instance_id]}])[
        "Images"
    ]
    assert {each["ImageId"] for each in found} == {image_id, other}
    with refused("InvalidParameterValue"):
        account.ec2.describe_images(Filters=[{"Name": "colour", "Values": ["red"]}])


def test_owners_select_own_and_public_images(account: Account) -> None:
    """EC2 API reference, DescribeImages: Owners self or account ids."""
    image_id = account.image()
    assert [each["ImageId"] for each in account.ec2.describe_images(Owners=["self"])["Images"]] == [image_id]
    everything = {each["ImageId"] for each in account.ec2.describe_images()["Images"]}
    assert everything == {image_id, account.ubuntu}
    assert account.described(account.ubuntu)["OwnerId"] != ACCOUNT


def test_pages_of_images_are_complete_and_have_a_least_size(account: Account) -> None:
    """Recorded calls: at least 5, and not together with ids."""
    snapshot_id = account.snapshot_of(account.image("first"))
    names = {"first"} | {
        account.described(account.register(snapshot_id, f"image-{index}"))["Name"] for index in range(11)
    }
    paginator = account.ec2.get_paginator("describe_images")
    pages = list(paginator.paginate(Owners=["self"], PaginationConfig={"PageSize": 5}))
    assert [len(page["Images"]) for page in pages] == [5, 5, 2]
    assert {image["Name"] for page in pages for image in page["Images"]} == names
    with refused("InvalidParameterValue") as refusal:
        account.ec2.describe_images(Owners=["self"], MaxResults=1)
    assert refusal.message == "Invalid value '1' for maxResults. Expecting a value greater than 5."
    with refused("InvalidParameterCombination"):
        account.ec2.describe_images(ImageIds=[account.ubuntu], MaxResults=5)


def test_a_new_image_can_be_invisible_for_a_while(server: Server) -> None:
    """EC2 developer guide, Eventual consistency: an id may be NotFound right after its creation."""
    slow = Account(server, Durations(consistency=3))
    slow.advance(3)
    instance_id = slow.launch()
    with refused("InvalidInstanceID.NotFound"):
        slow.instance(instance_id)
    slow.advance(3)
    assert slow.instance(instance_id)["InstanceId"] == instance_id


def test_a_deprecated_image_of_others_is_hidden_unless_asked_for(account: Account) -> None:
    """EC2 user guide, Deprecate an AMI: owners still see theirs."""
    image_id = account.image()
    account.ec2.enable_image_deprecation(ImageId=image_id, DeprecateAt="2026-03-02T00:00:00Z")
    account.advance(48 * 3600)
    assert account.described(image_id)["DeprecationTime"] == "2026-03-02T00:00:00.000Z"
    account.state.images[account.ubuntu].deprecation_time = account.state.images[image_id].deprecation_time
    assert account.ec2.describe_images(Owners=["099720109477"])["Images"] == []
    assert account.ec2.describe_images(Owners=["099720109477"], IncludeDeprecated=True)["Images"]


def test_launch_permissions_are_reset(account: Account) -> None:
    """EC2 API reference, ResetImageAttribute: of launchPermission only; it removes all of them."""
    image_id = account.image()
    account.ec2.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": [{"Group": "all"}]})
    assert account.described(image_id)["Public"] is True
    with refused("InvalidRequest"):
        account.ec2.reset_image_attribute(ImageId=image_id, Attribute="description")
    account.ec2.reset_image_attribute(ImageId=image_id, Attribute="launchPermission")
    assert account.described(image_id)["Public"] is False


def test_a_deprecation_is_cancelled(account: Account) -> None:
    """EC2 user guide, Deprecate an AMI: its owner sees the date until the deprecation is cancelled."""
    image_id = account.image()
    account.ec2.enable_image_deprecation(ImageId=image_id, DeprecateAt="2030-01-01T00:00:00Z")
    assert account.described(image_id)["DeprecationTime"].startswith("2030-01-01")
    account.ec2.disable_image_deprecation(ImageId=image_id)
    assert "DeprecationTime" not in account.described(image_id)
