"""The rate at which volumes are initialized: its range, its quota, and what it does to a start.

EC2 API reference, EbsBlockDevice; EBS user guide, Initialize Amazon EBS volumes.
"""

from __future__ import annotations

from typing import Any

import pytest
from emulator.tests.contract.account import Account
from emulator.tests.contract.asserting import refused

from aws_emulator.durations import Durations


def root(**ebs: Any) -> list[dict[str, Any]]:
    return [{"DeviceName": "/dev/sda1", "Ebs": ebs}]


def launched_at(account: Account, rate: int, **parameters: Any) -> str:
    return account.launch(BlockDeviceMappings=root(VolumeInitializationRate=rate), **parameters)


@pytest.mark.parametrize("rate", [0, 99, 301])
def test_a_rate_outside_its_range_is_refused(account: Account, rate: int) -> None:
    with refused("InvalidParameterValue"):
        launched_at(account, rate)


def test_a_volume_shows_its_rate(account: Account) -> None:
    instance_id = launched_at(account, 100)
    (volume,) = account.ec2.describe_volumes(
        Filters=[{"Name": "attachment.instance-id", "Values": [instance_id]}]
    )["Volumes"]
    assert volume["VolumeInitializationRate"] == 100


def test_an_empty_volume_takes_no_rate(account: Account) -> None:
    mapping = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 8, "VolumeInitializationRate": 100}}
    with refused("InvalidParameterCombination"):
        account.launch(BlockDeviceMappings=[mapping])


def test_no_image_carries_a_rate(account: Account) -> None:
    instance_id = launched_at(account, 300)
    account.advance(account.durations.instance_running)
    account.ec2.stop_instances(InstanceIds=[instance_id])
    account.advance(account.durations.stop)
    image_id = account.image(InstanceId=instance_id)
    assert "VolumeInitializationRate" not in account.described(image_id)["BlockDeviceMappings"][0]["Ebs"]
    snapshot_id = account.described(image_id)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    with refused("InvalidParameterCombination"):
        account.register(
            snapshot_id,
            "again",
            BlockDeviceMappings=root(SnapshotId=snapshot_id, VolumeInitializationRate=300),
        )
    again = account.launch(ImageId=image_id)
    assert account.state.root_volume(account.state.instances[again]).device.initialization_rate is None


def test_a_launch_above_the_quota_of_the_region_fails_until_earlier_volumes_are_initialized(
    account: Account,
) -> None:
    """16 volumes at 300 are 4,800 of the 5,000 MiB/s; a volume counts for its data divided by its rate."""
    for _ in range(16):
        launched_at(account, 300)
    with refused("ResourceLimitExceeded") as refusal:
        launched_at(account, 300)
    assert "5000 MiB/s" in refusal.message
    launched_at(account, 200)
    account.launch()
    account.advance(8 * 1024 / 300 + 1)
    launched_at(account, 300)


def test_a_launch_of_several_instances_counts_as_several(account: Account) -> None:
    with refused("ResourceLimitExceeded"):
        launched_at(account, 300, MinCount=17, MaxCount=17)
    assert not account.state.instances


def test_the_quota_can_be_another_and_its_refusal_another(account: Account) -> None:
    """The guide names no code for it, so whoever is tested must understand more than one."""
    account.faults.add({"kind": "initialization", "limit": 100, "code": "VolumeLimitExceeded"})
    launched_at(account, 100)
    with refused("VolumeLimitExceeded"):
        launched_at(account, 100)


def test_a_refusal_that_is_used_up_leaves_the_quota_of_the_region(account: Account) -> None:
    account.faults.add({"kind": "initialization", "limit": 100, "code": "VolumeLimitExceeded", "times": 1})
    with refused("VolumeLimitExceeded"):
        launched_at(account, 200)
    launched_at(account, 200)
    with refused("ResourceLimitExceeded") as refusal:
        launched_at(account, 300, MinCount=17, MaxCount=17)
    assert "5000 MiB/s" in refusal.message


def test_a_quota_can_be_raised(account: Account) -> None:
    account.faults.add({"kind": "initialization", "limit": 5100})
    launched_at(account, 300, MinCount=17, MaxCount=17)
    with refused("ResourceLimitExceeded") as refusal:
        launched_at(account, 100)
    assert "5100 MiB/s" in refusal.message


def test_the_size_of_a_snapshot_is_that_of_its_data(account: Account) -> None:
    """EC2 API reference, Snapshot: FullSnapshotSizeInBytes is of the blocks that were written."""
    instance_id = account.stopped()
    account.state.content_of(account.state.instances[instance_id])["data_bytes"] = 3 * 2**30
    image_id = account.image(InstanceId=instance_id)
    snapshot_id = account.described(image_id)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    (snapshot,) = account.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    assert snapshot["FullSnapshotSizeInBytes"] == 3 * 2**30


def test_the_first_read_of_a_disk_is_faster_at_a_rate(account: Account) -> None:
    """EBS user guide, Initialize volumes: until its blocks are there, a volume is slow; the default rate fluctuates."""
    assert Durations().first_read(None) == 0
    durations = Durations(first_read_mib=900, default_initialization=5)
    assert (durations.first_read(None), durations.first_read(300)) == (180, 3)
    account.state.durations = durations
    slow, fast = account.launch(), launched_at(account, 300)
    account.advance(durations.agent_online + 3)
    online = {each: account.state.instances[each].agent_online for each in (slow, fast)}
    assert online == {slow: False, fast: True}
    account.advance(177)
    assert account.state.instances[slow].agent_online
