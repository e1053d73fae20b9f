"""RegisterImage: it starts from nothing, and takes only snapshots that it can use."""

from __future__ import annotations

import pytest
from emulator.tests.contract.account import Account
from emulator.tests.contract.asserting import refused


def test_registering_starts_from_nothing(account: Account) -> None:
    """EC2 API reference, RegisterImage: i386, paravirtual; recorded calls: gp2, no EnaSupport, no BootMode."""
    snapshot_id = account.snapshot_of(account.image())
    image_id = account.register(snapshot_id, Architecture=None, VirtualizationType=None, EnaSupport=None)
    image = account.described(image_id)
    assert (image["Architecture"], image["VirtualizationType"]) == ("i386", "paravirtual")
    assert image["BlockDeviceMappings"][0]["Ebs"]["VolumeType"] == "gp2"
    assert not {"EnaSupport", "BootMode", "ImdsSupport", "SourceInstanceId", "Tags"} & set(image)


def test_what_is_not_given_of_a_disk_is_left_to_the_volumes(account: Account) -> None:
    """Recorded calls: of gp3 without Iops the image shows neither Iops nor Throughput, a volume 3,000 and 125."""
    snapshot_id = account.snapshot_of(account.image())
    ebs = {"SnapshotId": snapshot_id, "VolumeType": "gp3"}
    image_id = account.register(snapshot_id, BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": ebs}])
    shown = account.described(image_id)["BlockDeviceMappings"][0]["Ebs"]
    assert not {"Iops", "Throughput"} & set(shown)
    account.launch(ImageId=image_id)
    volume = account.ec2.describe_volumes(Filters=[{"Name": "snapshot-id", "Values": [snapshot_id]}])[
        "Volumes"
    ][0]
    assert (volume["Iops"], volume["Throughput"]) == (3000, 125)


def test_what_is_given_of_a_disk_the_image_shows(account: Account) -> None:
    snapshot_id = account.snapshot_of(account.image())
    ebs = {"SnapshotId": snapshot_id, "VolumeType": "gp3", "Iops": 4000, "Throughput": 200}
    image_id = account.register(snapshot_id, BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": ebs}])
    shown = account.described(image_id)["BlockDeviceMappings"][0]["Ebs"]
    assert (shown["Iops"], shown["Throughput"]) == (4000, 200)


@pytest.mark.parametrize(("ena", "sriov"), [(True, "simple"), (None, None)])
def test_an_image_with_ena_has_the_older_networking_too(
    account: Account, ena: bool | None, sriov: str | None
) -> None:
    """Recorded calls: EC2 adds SriovNetSupport by itself; of an image without EnaSupport it shows none."""
    image_id = account.register(account.snapshot_of(account.image()), EnaSupport=ena)
    assert account.described(image_id).get("SriovNetSupport") == sriov


def test_a_registered_image_is_available_after_about_a_second(account: Account) -> None:
    """Recorded calls: available 10 ms after RegisterImage; EC2 user guide lists `failed` as possible."""
    snapshot_id = account.snapshot_of(account.image())
    image_id = account.register(snapshot_id)
    assert account.described(image_id)["State"] == "available"
    assert account.events_of("EC2 AMI State Change")[-1]["ImageId"] == image_id


def test_registering_with_the_encrypted_flag_is_refused_even_when_false(account: Account) -> None:
    """Recorded calls: InvalidParameter for Encrypted together with SnapshotId."""
    snapshot_id = account.snapshot_of(account.image())
    mapping = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot_id, "Encrypted": False}}
    with refused("InvalidParameter") as refusal:
        account.register(snapshot_id, BlockDeviceMappings=[mapping])
    assert "You cannot specify the encrypted flag" in refusal.message


def test_registering_without_the_root_snapshot_is_refused(account: Account) -> None:
    """Recorded calls: InvalidBlockDeviceMapping, No root snapshot specified in device mapping."""
    snapshot_id = account.snapshot_of(account.image())
    with refused("InvalidBlockDeviceMapping"):
        account.register(snapshot_id, RootDeviceName="/dev/xvda")


def test_registering_an_unknown_snapshot_is_refused(account: Account) -> None:
    """Recorded calls: InvalidSnapshotID.NotFound here, InvalidSnapshot.NotFound in DescribeSnapshots."""
    with refused("InvalidSnapshotID.NotFound"):
        account.register("snap-0123456789abcdef0")
    with refused("InvalidSnapshot.NotFound"):
        account.ec2.describe_snapshots(SnapshotIds=["snap-0123456789abcdef0"])


def test_registering_a_pending_snapshot_is_refused(account: Account) -> None:
    """The strict reading: CreateVolume refuses it with IncorrectState, and RegisterImage is not recorded."""
    account.pending_image()
    (snapshot,) = account.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    with refused("IncorrectState"):
        account.register(snapshot["SnapshotId"])


def test_somebody_elses_snapshot_cannot_be_registered(account: Account) -> None:
    """Recorded calls: InvalidParameterValue, Snapshot does not belong to."""
    with refused("InvalidParameterValue"):
        account.register(account.snapshot_of(account.ubuntu))
