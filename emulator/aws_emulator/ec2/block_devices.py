"""Block device mappings: reading them from requests, checking them, showing them.

Limits from the EC2 API reference, EbsBlockDevice: gp3 1-65,536 GiB, 3,000-80,000 IOPS, 125-2,000 MiB/s.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Final

from aws_emulator.api.operations import ApiError
from aws_emulator.ec2.model import BlockDevice, Image, Snapshot

_SIZES: Final = {
    "standard": (1, 1024),
    "gp2": (1, 16384),
    "gp3": (1, 65536),
    "io1": (4, 16384),
    "io2": (4, 65536),
    "st1": (125, 16384),
    "sc1": (125, 16384),
}
_IOPS: Final = {"gp3": (3000, 80000), "io1": (100, 64000), "io2": (100, 256000)}
_THROUGHPUT: Final = (125, 2000)
_INITIALIZATION_RATE: Final = (100, 300)
_EMULATED: Final = frozenset(
    {
        "DeleteOnTermination",
        "Encrypted",
        "Iops",
        "KmsKeyId",
        "SnapshotId",
        "Throughput",
        "VolumeInitializationRate",
        "VolumeSize",
        "VolumeType",
    }
)


def overlay(
    base: Iterable[BlockDevice],
    mappings: Iterable[Mapping[str, Any]] | None,
    snapshots: Mapping[str, Snapshot],
) -> list[BlockDevice]:
    """The devices of an image with a launch's mappings laid over them.

    Raises:
        ApiError: for a mapping that EC2 would refuse.
    """
    devices = {device.device_name: dataclasses.replace(device) for device in base}
    for device in devices.values():
        # An image may leave to its volumes what their type makes of them.
        check_performance(device, {})
    for mapping in mappings or ():
        name = _device_name(mapping)
        if "NoDevice" in mapping:
            devices.pop(name, None)
            continue
        devices[name] = _changed(devices.get(name), name, mapping.get("Ebs", {}), snapshots)
    return list(devices.values())


def _changed(
    before: BlockDevice | None, name: str, ebs: Mapping[str, Any], snapshots: Mapping[str, Snapshot]
) -> BlockDevice:
    _refuse_unemulated(ebs)
    if before is not None and ebs.get("SnapshotId", before.snapshot_id) != before.snapshot_id:
        raise ApiError("InvalidBlockDeviceMapping", f"snapshotId can only be modified on EBS devices: {name}")
    device = dataclasses.replace(before) if before else BlockDevice(device_name=name)
    device.snapshot_id = ebs.get("SnapshotId", device.snapshot_id)
    snapshot = require_snapshot(device.snapshot_id, snapshots) if device.snapshot_id else None
    device.volume_type = ebs.get("VolumeType", device.volume_type)
    device.volume_size = ebs.get(
        "VolumeSize", device.volume_size if before else snapshot.size if snapshot else 0
    )
    _encrypt(device, ebs, snapshot)
    device.delete_on_termination = ebs.get("DeleteOnTermination", device.delete_on_termination)
    check_performance(device, ebs)
    _set_initialization_rate(device, ebs)
    if device.volume_size == 0:
        raise ApiError("MissingParameter", "The request must contain the parameter size or snapshotId")
    if snapshot is not None and device.volume_size < snapshot.size:
        raise ApiError(
            "InvalidBlockDeviceMapping",
            f"Volume of size {device.volume_size}GB is smaller than snapshot '{snapshot.snapshot_id}', "
            f"expect size >= {snapshot.size}GB",
        )
    return device


def _encrypt(device: BlockDevice, ebs: Mapping[str, Any], snapshot: Snapshot | None) -> None:
    """Say whether a device is encrypted and with which key (EC2 API reference, EbsBlockDevice)."""
    if "KmsKeyId" in ebs and not ebs.get("Encrypted"):
        raise ApiError(
            "InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted to be set."
        )
    of_snapshot = snapshot is not None and snapshot.encrypted
    if of_snapshot and ebs.get("Encrypted") is False:
        raise ApiError(
            "InvalidParameter",
            f"The snapshot of {device.device_name} is encrypted, and so must its volume be.",
        )
    device.encrypted = ebs.get("Encrypted", of_snapshot or device.encrypted)
    device.key_arn = ebs.get("KmsKeyId", snapshot.key_arn if snapshot is not None else device.key_arn)


def _set_initialization_rate(device: BlockDevice, ebs: Mapping[str, Any]) -> None:
    """Take the rate at which a volume is read from its snapshot (EC2 API reference, EbsBlockDevice): 100 to 300 MiB/s,
    only for volumes that have one.
    """
    rate = ebs.get("VolumeInitializationRate")
    if rate is None:
        return
    low, high = _INITIALIZATION_RATE
    if not low <= rate <= high:
        raise ApiError(
            "InvalidParameterValue",
            f"Value ({rate}) for parameter VolumeInitializationRate is invalid. It must be between {low} and {high}.",
        )
    if device.snapshot_id is None:
        raise ApiError(
            "InvalidParameterCombination",
            "The parameter VolumeInitializationRate is supported only for volumes that are created from a snapshot.",
        )
    device.initialization_rate = rate


def check_performance(device: BlockDevice, ebs: Mapping[str, Any]) -> None:
    """Check size, IOPS and throughput of a device and set what the volume type makes of them.

    Raises:
        ApiError: `InvalidParameterValue` or `InvalidParameterCombination`.
    """
    kind = device.volume_type
    if kind not in _SIZES:
        raise ApiError("InvalidParameterValue", f"Invalid volume type: {kind}")
    low, high = _SIZES[kind]
    if device.volume_size and not low <= device.volume_size <= high:
        raise ApiError(
            "InvalidParameterValue",
            f"Volume size must be between {low} and {high} GiB for a volume of type {kind}.",
        )
    _check_iops(device, ebs)
    if "Throughput" in ebs and kind != "gp3":
        raise ApiError(
            "InvalidParameterCombination", f"The parameter throughput is not supported for {kind} volumes."
        )
    throughput = ebs.get("Throughput", device.throughput or 125)
    if not _THROUGHPUT[0] <= throughput <= _THROUGHPUT[1]:
        raise ApiError(
            "InvalidParameterValue", f"Throughput must be between {_THROUGHPUT[0]} and {_THROUGHPUT[1]}."
        )
    device.throughput = throughput if kind == "gp3" else None


def _check_iops(device: BlockDevice, ebs: Mapping[str, Any]) -> None:
    kind = device.volume_type
    if kind not in _IOPS:
        if "Iops" in ebs:
            raise ApiError(
                "InvalidParameterCombination", f"The parameter iops is not supported for {kind} volumes."
            )
        device.iops = max(100, min(16000, device.volume_size * 3)) if kind == "gp2" else None
        return
    low, high = _IOPS[kind]
    iops = ebs.get("Iops", device.iops if (device.iops or 0) >= low else None)
    if iops is None and kind != "gp3":
        raise ApiError("MissingParameter", f"The parameter iops must be specified for {kind} volumes.")
    device.iops = iops or low
    if not low <= device.iops <= high:
        raise ApiError(
            "InvalidParameterValue", f"Volume iops must be between {low} and {high} for {kind} volumes."
        )


def from_registration(
    mappings: Iterable[Mapping[str, Any]] | None, root: str | None, snapshots: Mapping[str, Snapshot]
) -> list[BlockDevice]:
    """The devices of RegisterImage, which must name completed snapshots.

    What was not given of IOPS and throughput the image does not have (a recorded call with gp3); its volumes do.

    Raises:
        ApiError: `InvalidParameter`, `InvalidBlockDeviceMapping`, `InvalidSnapshotID.NotFound` or
            `InvalidSnapshot.NotCompleted`.
    """
    devices = []
    for mapping in mappings or ():
        if "NoDevice" in mapping or "VirtualName" in mapping:
            continue
        ebs = mapping.get("Ebs", {})
        if "VolumeInitializationRate" in ebs:
            # No image has one: it is of a launch, or of a launch template (EBS user guide, Initialize volumes).
            raise ApiError(
                "InvalidParameterCombination",
                "The parameter VolumeInitializationRate is not supported for the block devices of an image.",
            )
        if {"Encrypted", "KmsKeyId"} & set(ebs) and "SnapshotId" in ebs:
            raise ApiError(
                "InvalidParameter",
                "You cannot specify the encrypted flag if specifying a snapshot id in a block device mapping.",
            )
        device = _changed(None, _device_name(mapping), ebs, snapshots)
        if device.snapshot_id:
            device.encrypted = snapshots[device.snapshot_id].encrypted
        device.iops, device.throughput = ebs.get("Iops"), ebs.get("Throughput")
        devices.append(device)
    if root is None or not any(each.device_name == root and each.snapshot_id for each in devices):
        raise ApiError("InvalidBlockDeviceMapping", "No root snapshot specified in device mapping.")
    return devices


def require_snapshot(snapshot_id: str, snapshots: Mapping[str, Snapshot]) -> Snapshot:
    """A completed snapshot for use in a mapping.

    Raises:
        ApiError: `InvalidSnapshotID.NotFound` or `InvalidSnapshot.NotCompleted`.
    """
    snapshot = snapshots.get(snapshot_id)
    if snapshot is None:
        raise ApiError("InvalidSnapshotID.NotFound", f"The snapshot ID '{snapshot_id}' does not exist")
    if snapshot.state != "completed":
        raise ApiError("IncorrectState", f"Snapshot is in invalid state - {snapshot.state}")
    return snapshot


def for_new_image(
    devices: Iterable[BlockDevice], mappings: Iterable[Mapping[str, Any]] | None
) -> list[BlockDevice]:
    """The instance's devices as CreateImage's mappings change them: only DeleteOnTermination can change.

    Raises:
        ApiError: `InvalidParameterValue` for any other change of an existing mapping.
    """
    found = {device.device_name: dataclasses.replace(device, initialization_rate=None) for device in devices}
    for mapping in mappings or ():
        name = _device_name(mapping)
        if "NoDevice" in mapping:
            found.pop(name, None)
            continue
        device, ebs = found.get(name), mapping.get("Ebs", {})
        refused = sorted(set(ebs) - {"DeleteOnTermination"})
        if device is None or refused:
            what = ", ".join(refused) or "a device that the instance does not have"
            raise ApiError(
                "InvalidParameterValue",
                f"The mapping of {name} cannot change {what}; CreateImage changes only DeleteOnTermination",
            )
        device.delete_on_termination = ebs.get("DeleteOnTermination", device.delete_on_termination)
    return list(found.values())


def shown_for_image(image: Image) -> list[dict[str, Any]]:
    """The mappings as DescribeImages shows them; those of a pending image lack snapshot and size."""
    shown = []
    for device in image.devices:
        ebs: dict[str, Any] = {
            "DeleteOnTermination": device.delete_on_termination,
            "VolumeType": device.volume_type,
            "Encrypted": device.encrypted,
        }
        if device.volume_type in _IOPS and device.iops is not None:
            ebs["Iops"] = device.iops
        if device.throughput is not None:
            ebs["Throughput"] = device.throughput
        if image.state != "pending":
            ebs["VolumeSize"] = device.volume_size
            ebs["SnapshotId"] = device.snapshot_id
        shown.append({"DeviceName": device.device_name, "Ebs": ebs})
    return shown


def _device_name(mapping: Mapping[str, Any]) -> str:
    name = mapping.get("DeviceName")
    if not name:
        raise ApiError("MissingParameter", "The request must contain the parameter deviceName")
    return str(name)


def _refuse_unemulated(ebs: Mapping[str, Any]) -> None:
    ignored = sorted(set(ebs) - _EMULATED)
    if ignored:
        raise ApiError(
            "EmulatorUnsupportedParameter", f"the emulator does not emulate {', '.join(ignored)} in Ebs", 501
        )
