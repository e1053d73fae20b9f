"""Snapshots: what keeps them, and how they go."""

from __future__ import annotations

from emulator.tests.contract.account import Account
from emulator.tests.contract.asserting import refused


def test_a_snapshot_in_use_is_not_deleted_and_all_its_images_are_named(account: Account) -> None:
    """Recorded calls: InvalidSnapshot.InUse with every image that uses it."""
    first = account.image()
    snapshot_id = account.snapshot_of(first)
    second = account.register(snapshot_id)
    with refused("InvalidSnapshot.InUse") as refusal:
        account.ec2.delete_snapshot(SnapshotId=snapshot_id)
    assert refusal.message == f"The snapshot {snapshot_id} is currently in use by {first}, {second}"
    account.ec2.deregister_image(ImageId=first)
    with refused("InvalidSnapshot.InUse"):
        account.ec2.delete_snapshot(SnapshotId=snapshot_id)
    account.ec2.deregister_image(ImageId=second)
    account.ec2.delete_snapshot(SnapshotId=snapshot_id)
    with refused("InvalidSnapshot.NotFound") as refusal:
        account.ec2.delete_snapshot(SnapshotId=snapshot_id)
    assert refusal.message == f"The snapshot '{snapshot_id}' does not exist."


def test_a_dry_run_does_not_reveal_that_a_snapshot_is_in_use(account: Account) -> None:
    """Recorded calls: DryRunOperation for a snapshot in use."""
    snapshot_id = account.snapshot_of(account.image())
    with refused("DryRunOperation"):
        account.ec2.delete_snapshot(SnapshotId=snapshot_id, DryRun=True)


def test_a_pending_snapshot_goes_when_it_has_completed(account: Account) -> None:
    """EBS user guide, Delete a snapshot: deletion of a pending one takes effect on completion."""
    instance_id = account.running()
    volume_id = account.instance(instance_id)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    snapshot = account.ec2.create_snapshot(VolumeId=volume_id, Description="by hand")
    assert snapshot["State"] == "pending"
    account.ec2.delete_snapshot(SnapshotId=snapshot["SnapshotId"])
    assert account.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    account.advance(account.durations.snapshot)
    assert account.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_snapshots_are_filtered_and_paged(account: Account) -> None:
    """EC2 API reference, DescribeSnapshots."""
    instance_id = account.running()
    volume_id = account.instance(instance_id)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    made = [
        account.ec2.create_snapshot(VolumeId=volume_id, Description=f"number {index}")["SnapshotId"]
        for index in range(6)
    ]
    for name, value, expected in (
        ("description", "number 3", made[3:4]),
        ("snapshot-id", made[2], made[2:3]),
        ("volume-id", volume_id, made),
        ("status", "completed", []),
    ):
        found = account.ec2.describe_snapshots(OwnerIds=["self"], Filters=[{"Name": name, "Values": [value]}])
        assert [each["SnapshotId"] for each in found["Snapshots"]] == expected, name
    pages = account.ec2.get_paginator("describe_snapshots").paginate(PaginationConfig={"PageSize": 5})
    assert [each["SnapshotId"] for page in pages for each in page["Snapshots"]] == made
    with refused("InvalidParameterValue"):
        account.ec2.describe_snapshots(Filters=[{"Name": "size", "Values": ["8"]}])
