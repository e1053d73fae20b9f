"""Creation and deregistration of images (EC2 API reference: CreateImage, RegisterImage, CopyImage,
DeregisterImage).
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.ec2.block_devices import for_new_image, from_registration
from aws_emulator.ec2.image_views import notify_image, require_image, require_own_image
from aws_emulator.ec2.instance_views import require_instances
from aws_emulator.ec2.instances import Instances
from aws_emulator.ec2.model import BlockDevice, Image
from aws_emulator.ec2.requests import ClientTokens, refuse_dry_run, supported, tags_for
from aws_emulator.ec2.snapshots import Snapshots
from aws_emulator.ec2.store import Ec2Store

_NAME: Final = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}")
_SNAPSHOT_FAILED: Final = "Client.InvalidSnapshot.Error"
# Snapshots complete some time before the image that is made of them is available.
_SNAPSHOT_SHARE: Final = 0.85
_SERVER_ERRORS: Final = 500


class Images:
    """Creating, registering, copying and deregistering images.

    Args:
        instances: reboots the instance of which an image is created.
        snapshots: completes the snapshots of new images and deletes those of deregistered ones.
        may_delete_snapshot: whether a caller's rights include the deletion of a snapshot.
    """

    def __init__(
        self,
        store: Ec2Store,
        instances: Instances,
        snapshots: Snapshots,
        may_delete_snapshot: Callable[[str, str], bool],
    ) -> None:
        self._store = store
        self._instances = instances
        self._snapshots = snapshots
        self._may_delete_snapshot = may_delete_snapshot
        self._copy_tokens = ClientTokens[Image]()

    @operation("ec2", "CreateImage")
    def create_image(self, request: Request) -> Response:
        """Create an image of a running or stopped instance; a running one is rebooted by default."""
        with self._store.lock:
            parameters = supported(
                request,
                "InstanceId",
                "Name",
                "Description",
                "NoReboot",
                "BlockDeviceMappings",
                "TagSpecifications",
            )
            (instance,) = require_instances(self._store, [parameters["InstanceId"]])
            self._require_free_name(parameters["Name"])
            tags = tags_for(parameters.get("TagSpecifications"), ("image", "snapshot"))
            if instance.state not in {"running", "stopped"}:
                raise ApiError(
                    "InvalidParameterValue",
                    f"Invalid value '{instance.instance_id}' for instanceId. Instance is not in state 'running' or "
                    "'stopped'",
                )
            volumes = {name: self._store.volumes[volume_id] for name, volume_id in instance.volumes.items()}
            devices = for_new_image(
                (each.device for each in volumes.values()), parameters.get("BlockDeviceMappings")
            )
            refuse_dry_run(request)
            image = self._image_like(instance.image, parameters["Name"], parameters.get("Description"))
            image.source_instance_id = instance.instance_id
            image.source_image_id = instance.image.image_id
            image.tags = tags["image"]
            for device in devices:
                volume = volumes[device.device_name]
                snapshot = self._store.add_snapshot(
                    volume_id=volume.volume_id,
                    size=device.volume_size,
                    description=f"Created by CreateImage({instance.instance_id}) for {image.image_id}",
                    content=copy.deepcopy(volume.content),
                    boot_mode=volume.boot_mode or image.boot_mode,
                    encrypted=device.encrypted,
                    key_arn=device.key_arn,
                    tags=dict(tags["snapshot"]),
                )
                device.snapshot_id = snapshot.snapshot_id
            image.devices = devices
            self._store.images[image.image_id] = image
            if instance.state == "running" and not parameters.get("NoReboot"):
                self._instances.reboot(instance)
            self._finish_later(request, image)
            return {"ImageId": image.image_id}

    @operation("ec2", "CopyImage")
    def copy_image(self, request: Request) -> Response:
        """Copy an image within the Region, into snapshots of its own; once for a client token."""
        with self._store.lock:
            parameters = supported(
                request,
                "ClientToken",
                "CopyImageTags",
                "Description",
                "Encrypted",
                "Name",
                "SourceImageId",
                "SourceRegion",
                "TagSpecifications",
            )
            if (known := self._copy_tokens.known(request, parameters)) is not None:
                return {"ImageId": known.image_id}
            if parameters["SourceRegion"] != self._store.region:
                raise ApiError(
                    "EmulatorUnsupportedParameter", "the emulator copies images within one Region", 501
                )
            source = require_image(self._store, parameters["SourceImageId"])
            if source.state not in {"available", "disabled"}:
                raise ApiError(
                    "InvalidAMIID.Unavailable", f"The image ID '{source.image_id}' is not available"
                )
            self._require_free_name(parameters["Name"])
            tags = tags_for(parameters.get("TagSpecifications"), ("image", "snapshot"))
            refuse_dry_run(request)
            image = self._image_like(
                source, parameters["Name"], parameters.get("Description", source.description)
            )
            image.source_image_id = source.image_id
            copied = source.tags if parameters.get("CopyImageTags") else {}
            image.tags = dict(copied) | tags["image"]
            image.devices = [dataclasses.replace(device) for device in source.devices]
            for device in image.devices:
                if device.snapshot_id:
                    self._copy_snapshot(device, image, source, tags["snapshot"])
            self._store.images[image.image_id] = image
            self._copy_tokens.remember(parameters, image)
            self._finish_later(request, image)
            return {"ImageId": image.image_id}

    def _copy_snapshot(
        self, device: BlockDevice, image: Image, source: Image, tags: Mapping[str, str]
    ) -> None:
        original = self._store.snapshots[device.snapshot_id or ""]
        snapshot = self._store.add_snapshot(
            volume_id="vol-ffffffff",
            size=original.size,
            description=f"Copied for DestinationAmi {image.image_id} from SourceAmi {source.image_id} for "
            f"SourceSnapshot {original.snapshot_id}.",
            content=copy.deepcopy(original.content),
            boot_mode=original.boot_mode,
            encrypted=original.encrypted,
            key_arn=original.key_arn,
            tags=dict(tags),
        )
        device.snapshot_id = snapshot.snapshot_id

    @operation("ec2", "RegisterImage")
    def register_image(self, request: Request) -> Response:
        """Register an image of snapshots; it inherits nothing and has EC2's defaults for what is not given."""
        with self._store.lock:
            parameters = supported(
                request,
                "Architecture",
                "BlockDeviceMappings",
                "BootMode",
                "Description",
                "EnaSupport",
                "ImdsSupport",
                "Name",
                "RootDeviceName",
                "SriovNetSupport",
                "TagSpecifications",
                "TpmSupport",
                "UefiData",
                "VirtualizationType",
            )
            self._require_free_name(parameters["Name"])
            tags = tags_for(parameters.get("TagSpecifications"), ("image",))
            root, ena = parameters.get("RootDeviceName"), parameters.get("EnaSupport", False)
            devices = from_registration(parameters.get("BlockDeviceMappings"), root, self._store.snapshots)
            self._require_own_snapshots(devices)
            refuse_dry_run(request)
            image = Image(
                **self._store.stamp(),
                image_id=self._store.new_id("ami"),
                owner_id=self._store.account_id,
                name=parameters["Name"],
                description=parameters.get("Description"),
                architecture=parameters.get("Architecture", "i386"),
                virtualization_type=parameters.get("VirtualizationType", "paravirtual"),
                root_device_name=root,
                devices=devices,
                ena_support=ena,
                # Recorded calls: EC2 adds it to an image with ENA, and to none without.
                sriov_net_support=parameters.get("SriovNetSupport", "simple" if ena else None),
                boot_mode=parameters.get("BootMode"),
                tpm_support=parameters.get("TpmSupport"),
                imds_support=parameters.get("ImdsSupport"),
                uefi_data=parameters.get("UefiData"),
                tags=tags["image"],
            )
            self._store.images[image.image_id] = image
            self._store.later(
                self._store.durations.register, lambda: self._complete(image, request.request_id)
            )
            return {"ImageId": image.image_id}

    def _require_own_snapshots(self, devices: list[BlockDevice]) -> None:
        for device in devices:
            if (
                device.snapshot_id
                and self._store.snapshots[device.snapshot_id].owner_id != self._store.account_id
            ):
                raise ApiError(
                    "InvalidParameterValue", f"Snapshot does not belong to {self._store.account_id}"
                )

    def _require_free_name(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise ApiError(
                "InvalidAMIName.Malformed",
                "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', "
                "'.', '-', '/' and '_'",
            )
        for image in self._store.images.values():
            if (
                image.name == name
                and image.owner_id == self._store.account_id
                and image.state != "deregistered"
            ):
                raise ApiError(
                    "InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image.image_id}"
                )

    def _image_like(self, source: Image, name: str, description: str | None) -> Image:
        return Image(
            **self._store.stamp(),
            image_id=self._store.new_id("ami"),
            owner_id=self._store.account_id,
            name=name,
            description=description,
            architecture=source.architecture,
            virtualization_type=source.virtualization_type,
            root_device_name=source.root_device_name,
            ena_support=source.ena_support,
            sriov_net_support=source.sriov_net_support,
            boot_mode=source.boot_mode,
            tpm_support=source.tpm_support,
            imds_support=source.imds_support,
            uefi_data=source.uefi_data,
            platform_details=source.platform_details,
            usage_operation=source.usage_operation,
        )

    def _finish_later(self, request: Request, image: Image) -> None:
        size = image.root.volume_size if image.root else 0
        seconds = self._store.durations.image + self._store.durations.image_per_gib * size
        snapshots = [self._store.snapshots[snapshot_id] for snapshot_id in image.snapshot_ids]
        if self._store.faults.snapshot(image.name) is not None:
            for snapshot in snapshots:
                self._store.later(seconds * _SNAPSHOT_SHARE, partial(setattr, snapshot, "state", "error"))
            reason = f"{_SNAPSHOT_FAILED}: the snapshot {image.snapshot_ids[0]} failed"
            self._store.later(seconds, lambda: self._fail(image, request.request_id, reason))
            return
        for snapshot in snapshots:
            self._snapshots.complete_later(snapshot, seconds * _SNAPSHOT_SHARE)
        fault = self._store.faults.image(image.name)
        if fault is None:
            self._store.later(seconds, lambda: self._complete(image, request.request_id))
        else:
            self._store.later(seconds, lambda: self._fail(image, request.request_id, fault.reason))

    def _complete(self, image: Image, request_id: str) -> None:
        if image.state == "pending":
            image.state = "available"
            notify_image(self._store, image, request_id)

    def _fail(self, image: Image, request_id: str, reason: str) -> None:
        if image.state == "pending":
            image.state = "failed"
            image.state_reason = (reason.partition(":")[0], reason)
            notify_image(self._store, image, request_id, reason)

    @operation("ec2", "DeregisterImage")
    def deregister_image(self, request: Request) -> Response:
        """Deregister an image at once; its snapshots stay unless their deletion is asked for."""
        with self._store.lock:
            parameters = supported(request, "ImageId", "DeleteAssociatedSnapshots")
            image = require_own_image(self._store, parameters["ImageId"])
            if image.deregistration_protection != "disabled":
                raise ApiError(
                    "OperationNotPermitted",
                    f"The image '{image.image_id}' has deregistration protection and cannot be deregistered",
                )
            refuse_dry_run(request)
            image.state = "deregistered"
            notify_image(self._store, image, request.request_id)
            # Two devices can be of one snapshot.
            snapshots_to_delete = (
                dict.fromkeys(image.snapshot_ids) if parameters.get("DeleteAssociatedSnapshots") else {}
            )
            return {
                "Return": True,
                "DeleteSnapshotResults": [
                    {"SnapshotId": snapshot_id, "ReturnCode": self._delete_with_image(snapshot_id, request)}
                    for snapshot_id in snapshots_to_delete
                ],
            }

    def _delete_with_image(self, snapshot_id: str, request: Request) -> str:
        """Delete a snapshot of a deregistered image; the call succeeds even if that fails."""
        snapshot = self._store.snapshots.get(snapshot_id)
        if snapshot is None:
            return "client-error"
        if self._store.images_using(snapshot_id):
            return "skipped"
        if not self._may_delete_snapshot(request.caller, snapshot_id):
            return "missing-permissions"
        inner = dataclasses.replace(
            request, operation="DeleteSnapshot", parameters={"SnapshotId": snapshot_id}
        )
        fault = self._store.faults.error_within(inner)
        if fault is not None:
            if fault.when == "after":
                self._snapshots.remove(snapshot)
            return "internal-error" if fault.status >= _SERVER_ERRORS else "client-error"
        self._snapshots.remove(snapshot)
        return "success"
