"""Encrypted volumes, snapshots and images, and the keys that EBS uses with a caller's rights."""

from __future__ import annotations

from typing import Any

from emulator.tests.contract.account import Account
from emulator.tests.contract.asserting import refused

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def root(**ebs: Any) -> list[dict[str, Any]]:
    return [{"DeviceName": "/dev/sda1", "Ebs": ebs}]


def encrypted_image(account: Account) -> str:
    mappings = root(Encrypted=True, KmsKeyId=KEY)
    return account.image(InstanceId=account.stopped(BlockDeviceMappings=mappings))


def test_a_key_is_named_only_for_what_is_encrypted(account: Account) -> None:
    """EC2 API reference, EbsBlockDevice: with KmsKeyId, Encrypted must be true."""
    for ebs in ({}, {"Encrypted": False}):
        with refused("InvalidParameterDependency"):
            account.launch(BlockDeviceMappings=root(KmsKeyId=KEY, **ebs))


def test_what_is_made_of_an_encrypted_volume_is_encrypted_with_its_key(account: Account) -> None:
    """EBS user guide, EBS encryption: snapshots of encrypted volumes, and volumes of these, are encrypted."""
    image_id = encrypted_image(account)
    assert account.described(image_id)["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    snapshot_id = account.snapshot_of(image_id)
    (snapshot,) = account.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    assert (snapshot["Encrypted"], snapshot["KmsKeyId"]) == (True, KEY)
    again = account.register(snapshot_id, "again")
    assert account.described(again)["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    account.launch(ImageId=again)
    volumes = account.ec2.describe_volumes(Filters=[{"Name": "snapshot-id", "Values": [snapshot_id]}])
    assert {(each["Encrypted"], each["KmsKeyId"]) for each in volumes["Volumes"]} == {(True, KEY)}


def test_an_encrypted_snapshot_makes_no_plain_volume(account: Account) -> None:
    """EC2 API reference, EbsBlockDevice: encryption cannot be removed by a launch."""
    with refused("InvalidParameter"):
        account.launch(ImageId=encrypted_image(account), BlockDeviceMappings=root(Encrypted=False))


def test_a_registration_takes_encryption_from_the_snapshot(account: Account) -> None:
    """EC2 API reference, EbsBlockDevice: neither Encrypted nor KmsKeyId beside a snapshot's id."""
    snapshot_id = account.snapshot_of(encrypted_image(account))
    for ebs in ({"Encrypted": True}, {"KmsKeyId": KEY}):
        with refused("InvalidParameter"):
            account.register(snapshot_id, "again", BlockDeviceMappings=root(SnapshotId=snapshot_id, **ebs))


def test_an_account_encrypts_by_default_with_its_default_key(account: Account) -> None:
    """EBS user guide, Encryption by default: what names no key gets the default one."""
    assert account.ec2.get_ebs_default_kms_key_id()["KmsKeyId"] == "alias/aws/ebs"
    account.ec2.modify_ebs_default_kms_key_id(KmsKeyId=KEY)
    plain = account.launch()
    account.ec2.enable_ebs_encryption_by_default()
    assert account.ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is True
    default, named = (
        account.launch(),
        account.launch(BlockDeviceMappings=root(Encrypted=True, KmsKeyId="other")),
    )
    keys = {
        each["Attachments"][0]["InstanceId"]: each.get("KmsKeyId")
        for each in account.ec2.describe_volumes()["Volumes"]
    }
    assert (keys[plain], keys[default], keys[named]) == (None, KEY, "other")


def test_a_launch_with_a_key_that_cannot_be_used_succeeds_and_ends_at_once(account: Account) -> None:
    """EC2 user guide, Troubleshoot instance termination issues: Client.InternalError, for want of a KMS key."""
    account.unusable_keys[KEY] = "Client.InternalError: Client error on launch"
    plain, locked = account.launch(), account.launch(BlockDeviceMappings=root(Encrypted=True, KmsKeyId=KEY))
    assert account.instance(locked)["State"]["Name"] == "pending"
    account.advance(account.durations.instance_running)
    account.advance(account.durations.terminate)
    assert account.instance(plain)["State"]["Name"] == "running"
    ended = account.instance(locked)
    assert (ended["State"]["Name"], ended["StateReason"]["Code"]) == ("terminated", "Client.InternalError")


def test_an_image_of_a_key_that_cannot_be_used_launches_with_no_other_key(account: Account) -> None:
    """Re-encryption reads the snapshot with its own key first (EBS user guide, EBS encryption)."""
    image_id = encrypted_image(account)
    account.unusable_keys[KEY] = "Client.InternalError: Client error on launch"
    locked = account.launch(ImageId=image_id, BlockDeviceMappings=root(Encrypted=True, KmsKeyId="other"))
    account.advance(account.durations.instance_running)
    account.advance(account.durations.terminate)
    assert account.instance(locked)["State"]["Name"] == "terminated"


def test_the_settings_of_encryption_are_taken_back(account: Account) -> None:
    """EC2 API reference, DisableEbsEncryptionByDefault and ResetEbsDefaultKmsKeyId."""
    account.ec2.enable_ebs_encryption_by_default()
    account.ec2.modify_ebs_default_kms_key_id(KmsKeyId=KEY)
    assert account.ec2.disable_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    assert account.ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    assert account.ec2.reset_ebs_default_kms_key_id()["KmsKeyId"] == "alias/aws/ebs"
    assert account.ec2.get_ebs_default_kms_key_id()["KmsKeyId"] == "alias/aws/ebs"
