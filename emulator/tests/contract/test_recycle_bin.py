"""The Recycle Bin: what goes in, what it looks like there, how it comes out."""

from __future__ import annotations

import pytest
from emulator.tests.contract.account import Account
from emulator.tests.contract.asserting import refused

DAY = 86_400


@pytest.fixture
def retaining(account: Account) -> Account:
    """An account with a rule for snapshots of one tag, for a week."""
    rule(account, 7)
    return account


def rule(account: Account, days: int, value: str = "ours", **changes: object) -> dict[str, object]:
    parameters = {
        "ResourceType": "EBS_SNAPSHOT",
        "ResourceTags": [{"ResourceTagKey": "owner", "ResourceTagValue": value}],
        "RetentionPeriod": {"RetentionPeriodValue": days, "RetentionPeriodUnit": "DAYS"},
        **changes,
    }
    answer: dict[str, object] = account.client("rbin").create_rule(**parameters)
    return answer


def a_snapshot(account: Account, owner: str = "ours") -> str:
    """A snapshot that no image is made of."""
    image_id = account.image(f"image-{len(account.state.images)}")
    snapshot_id = account.snapshot_of(image_id)
    account.ec2.create_tags(Resources=[snapshot_id], Tags=[{"Key": "owner", "Value": owner}])
    account.ec2.deregister_image(ImageId=image_id)
    return snapshot_id


def in_bin(account: Account) -> list[str]:
    pages = account.ec2.get_paginator("list_snapshots_in_recycle_bin").paginate()
    return [each["SnapshotId"] for page in pages for each in page["Snapshots"]]


def shown(account: Account, snapshot_id: str) -> list[str]:
    found = account.ec2.describe_snapshots(Filters=[{"Name": "snapshot-id", "Values": [snapshot_id]}])
    return [each["State"] for each in found["Snapshots"]]


def test_what_a_rule_retains_goes_into_the_bin_and_out_of_sight(retaining: Account) -> None:
    """EBS user guide, Considerations for Recycle Bin: it can only be viewed, restored, and tagged there."""
    snapshot_id = a_snapshot(retaining)
    retaining.ec2.delete_snapshot(SnapshotId=snapshot_id)
    assert shown(retaining, snapshot_id) == []
    (found,) = retaining.ec2.list_snapshots_in_recycle_bin()["Snapshots"]
    assert found["SnapshotId"] == snapshot_id
    assert found["VolumeId"].startswith("vol-")
    assert found["Description"].startswith("Created by CreateImage(")
    assert (found["RecycleBinExitTime"] - found["RecycleBinEnterTime"]).days == 7
    with refused("InvalidSnapshot.NotFound"):
        retaining.ec2.delete_snapshot(SnapshotId=snapshot_id)
    with refused("InvalidSnapshotID.NotFound"):
        retaining.register(snapshot_id, "another")


def test_what_no_rule_retains_is_gone(retaining: Account) -> None:
    """EBS user guide, Considerations for Recycle Bin."""
    snapshot_id = a_snapshot(retaining, owner="theirs")
    retaining.ec2.delete_snapshot(SnapshotId=snapshot_id)
    assert in_bin(retaining) == []
    with refused("InvalidSnapshot.NotFound"):
        retaining.ec2.restore_snapshot_from_recycle_bin(SnapshotId=snapshot_id)


def test_snapshots_that_go_with_their_image_go_into_the_bin_too(retaining: Account) -> None:
    """EC2 API reference, DeregisterImage: with DeleteAssociatedSnapshots they are deleted as by DeleteSnapshot."""
    image_id = retaining.image("going")
    snapshot_id = retaining.snapshot_of(image_id)
    retaining.ec2.create_tags(Resources=[snapshot_id], Tags=[{"Key": "owner", "Value": "ours"}])
    retaining.ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
    assert in_bin(retaining) == [snapshot_id]


def test_a_restored_snapshot_recovers_and_is_what_it_was(retaining: Account) -> None:
    """EBS user guide, Restore snapshots from the Recycle Bin: State is `recovering`; tags stay, and EC2's own goes."""
    snapshot_id = a_snapshot(retaining)
    before = retaining.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]
    retaining.ec2.delete_snapshot(SnapshotId=snapshot_id)
    answer = retaining.ec2.restore_snapshot_from_recycle_bin(SnapshotId=snapshot_id)
    assert (answer["SnapshotId"], answer["State"]) == (snapshot_id, "recovering")
    assert shown(retaining, snapshot_id) == ["recovering"]
    retaining.advance(retaining.durations.register)
    assert retaining.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0] == before
    assert in_bin(retaining) == []
    assert retaining.register(snapshot_id, "again")


def test_the_bin_is_emptied_when_the_days_are_over(retaining: Account) -> None:
    """Recycle Bin API reference, CreateRule, RetentionPeriod."""
    snapshot_id = a_snapshot(retaining)
    retaining.ec2.delete_snapshot(SnapshotId=snapshot_id)
    retaining.advance(7 * DAY - 1)
    assert in_bin(retaining) == [snapshot_id]
    retaining.advance(1)
    assert in_bin(retaining) == []
    with refused("InvalidSnapshot.NotFound"):
        retaining.ec2.restore_snapshot_from_recycle_bin(SnapshotId=snapshot_id)


def test_of_several_rules_the_longest_holds(retaining: Account) -> None:
    """EBS user guide, Considerations for Recycle Bin."""
    for days in (30, 2):
        rule(retaining, days)
    snapshot_id = a_snapshot(retaining)
    retaining.ec2.delete_snapshot(SnapshotId=snapshot_id)
    (found,) = retaining.ec2.list_snapshots_in_recycle_bin()["Snapshots"]
    assert (found["RecycleBinExitTime"] - found["RecycleBinEnterTime"]).days == 30


def test_the_bin_is_listed_in_pages_or_by_ids(retaining: Account) -> None:
    """EC2 API reference, ListSnapshotsInRecycleBin."""
    ids = [a_snapshot(retaining) for _ in range(7)]
    for snapshot_id in ids:
        retaining.ec2.delete_snapshot(SnapshotId=snapshot_id)
    first = retaining.ec2.list_snapshots_in_recycle_bin(MaxResults=5)
    assert len(first["Snapshots"]) == 5
    rest = retaining.ec2.list_snapshots_in_recycle_bin(NextToken=first["NextToken"])
    assert len(rest["Snapshots"]) == 2
    by_id = retaining.ec2.list_snapshots_in_recycle_bin(SnapshotIds=ids[:1])["Snapshots"]
    assert [each["SnapshotId"] for each in by_id] == ids[:1]


def test_a_dry_run_restores_nothing(retaining: Account) -> None:
    """EC2 API reference, RestoreSnapshotFromRecycleBin, DryRun."""
    snapshot_id = a_snapshot(retaining)
    retaining.ec2.delete_snapshot(SnapshotId=snapshot_id)
    with refused("DryRunOperation"):
        retaining.ec2.restore_snapshot_from_recycle_bin(SnapshotId=snapshot_id, DryRun=True)
    assert in_bin(retaining) == [snapshot_id]


def test_a_rule_has_1_to_365_days(account: Account) -> None:
    """Recycle Bin API reference, RetentionPeriod: 1 to 3650 by the model, of which snapshots have 365."""
    for days in (0, 366):
        with refused("ValidationException"):
            rule(account, days)
    made = rule(account, 365)
    assert made["Status"] == "available"
    assert str(made["RuleArn"]).endswith(str(made["Identifier"]))


def test_a_rule_for_something_else_is_refused_by_name(account: Account) -> None:
    """The emulator's bin takes snapshots; what it does not emulate it refuses."""
    with refused("EmulatorUnsupportedParameter"):
        rule(account, 7, ResourceType="EC2_IMAGE")
