"""Images, mappings and snapshots: EC2's shapes to domain types, and back for RegisterImage."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from ami_lifecycle.adapters.tags import from_tags
from ami_lifecycle.domain.model import BlockDevice, Image, ImageState, Snapshot

# Volume types that take these numbers (EC2 API reference, EbsBlockDevice); EC2 refuses them on others.
IOPS_TYPES: Final = frozenset({"gp3", "io1", "io2"})
THROUGHPUT_TYPES: Final = frozenset({"gp3"})


def _device(mapping: Mapping[str, Any]) -> BlockDevice:
    ebs = mapping.get("Ebs") or {}
    return BlockDevice(
        device_name=mapping["DeviceName"],
        snapshot_id=ebs.get("SnapshotId"),
        volume_type=ebs.get("VolumeType"),
        volume_size=ebs.get("VolumeSize"),
        iops=ebs.get("Iops"),
        throughput=ebs.get("Throughput"),
        delete_on_termination=ebs.get("DeleteOnTermination"),
        encrypted=ebs.get("Encrypted"),
        virtual_name=mapping.get("VirtualName"),
    )


def to_image(image: Mapping[str, Any]) -> Image:
    """An image as DescribeImages shows it."""
    reason = image.get("StateReason") or {}
    created, deprecated = image.get("CreationDate"), image.get("DeprecationTime")
    return Image(
        image_id=image["ImageId"],
        name=image.get("Name", ""),
        state=ImageState(image["State"]),
        owner_id=image.get("OwnerId", ""),
        owner_alias=image.get("ImageOwnerAlias"),
        description=image.get("Description", ""),
        creation_date=datetime.fromisoformat(created) if created else None,
        architecture=image.get("Architecture", "x86_64"),
        virtualization_type=image.get("VirtualizationType", "hvm"),
        root_device_name=image.get("RootDeviceName", "/dev/sda1"),
        root_device_type=image.get("RootDeviceType", "ebs"),
        platform=image.get("Platform"),
        block_devices=tuple(_device(mapping) for mapping in image.get("BlockDeviceMappings", ())),
        ena_support=image.get("EnaSupport", False),
        sriov_net_support=image.get("SriovNetSupport"),
        boot_mode=image.get("BootMode"),
        tpm_support=image.get("TpmSupport"),
        imds_support=image.get("ImdsSupport"),
        platform_details=image.get("PlatformDetails"),
        usage_operation=image.get("UsageOperation"),
        state_reason=reason.get("Message") or reason.get("Code"),
        deregistration_protection=image.get("DeregistrationProtection"),
        deprecated_at=datetime.fromisoformat(deprecated) if deprecated else None,
        tags=from_tags(image.get("Tags", ())),
    )


def to_snapshot(snapshot: Mapping[str, Any]) -> Snapshot:
    """A snapshot as DescribeSnapshots shows it."""
    return Snapshot(
        snapshot_id=snapshot["SnapshotId"],
        state=snapshot["State"],
        description=snapshot.get("Description", ""),
        start_time=snapshot.get("StartTime"),
        data_bytes=snapshot.get("FullSnapshotSizeInBytes"),
        tags=from_tags(snapshot.get("Tags", ())),
    )


def _mapping(device: BlockDevice) -> dict[str, Any]:
    """One mapping for RegisterImage.

    Without `Encrypted` and `KmsKeyId`: EC2 refuses them, even as False, next to a snapshot id, and takes
    them from the snapshot (EC2 API reference, EbsBlockDevice).
    """
    if device.virtual_name is not None:
        return {"DeviceName": device.device_name, "VirtualName": device.virtual_name}
    ebs = {
        "SnapshotId": device.snapshot_id,
        "VolumeType": device.volume_type,
        "VolumeSize": device.volume_size,
        "DeleteOnTermination": device.delete_on_termination,
        "Iops": device.iops if device.volume_type in IOPS_TYPES else None,
        "Throughput": device.throughput if device.volume_type in THROUGHPUT_TYPES else None,
    }
    given = {key: value for key, value in ebs.items() if value is not None}
    if not given:
        return {"DeviceName": device.device_name, "NoDevice": ""}
    return {"DeviceName": device.device_name, "Ebs": given}


def registration_of(image: Image) -> dict[str, Any]:
    """Parameters of RegisterImage with all attributes of the image, except name, UEFI data and tags.

    RegisterImage inherits nothing; what is left out becomes i386, paravirtual, gp2, without enhanced
    networking (EC2 API reference, RegisterImage).
    """
    optional = {
        "Description": image.description or None,
        "SriovNetSupport": image.sriov_net_support,
        "BootMode": image.boot_mode,
        "TpmSupport": image.tpm_support,
        "ImdsSupport": image.imds_support,
    }
    return {
        "Architecture": image.architecture,
        "VirtualizationType": image.virtualization_type,
        "RootDeviceName": image.root_device_name,
        "EnaSupport": image.ena_support,
        "BlockDeviceMappings": [_mapping(device) for device in image.block_devices],
        **{key: value for key, value in optional.items() if value is not None},
    }
