"""Making and ending images (EC2 API reference: CreateImage, RegisterImage, CopyImage, DeregisterImage)."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.ec2.block_devices import for_new_image, from_registration
from aws_emulator.ec2.image_views import ImageViews
from aws_emulator.ec2.instances import Instances
from aws_emulator.ec2.model import BlockDevice, Image, Snapshot
from aws_emulator.ec2.snapshots import Snapshots
from aws_emulator.ec2.state import refuse_dry_run, supported, tags_for

_NAME: Final = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}")
_SNAPSHOT_FAILED: Final = "Client.InvalidSnapshot.Error"
# Snapshots complete some time before the image that is made of them is available.
_SNAPSHOT_SHARE: Final = 0.85


class Images(ImageViews, Snapshots, Instances):
    """Creating, registering, copying and deregistering images."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._copy_tokens: dict[str, tuple[str, str]] = {}

    def seed_image(
        self,
        name: str,
        *,
        owner_id: str,
        owner_alias: str | None = None,
        architecture: str = "x86_64",
        root_gib: int = 8,
        boot_mode: str | None = "uefi-preferred",
        public: bool = True,
        content: Mapping[str, Any] | None = None,
        description: str | None = None,
    ) -> str:
        """Put an available image into the account's view, as its owner would have shared it; returns its id."""
        with self.lock:
            image = Image(
                **self.stamp(),
                image_id=self.new_id("ami"),
                owner_id=owner_id,
                owner_alias=owner_alias,
                name=name,
                description=description,
                state="available",
                architecture=architecture,
                virtualization_type="hvm",
                root_device_name="/dev/sda1",
                ena_support=True,
                sriov_net_support="simple",
                boot_mode=boot_mode,
                imds_support=None,
                launch_permissions=[{"Group": "all"}] if public else [{"UserId": self.account_id}],
            )
            snapshot = self.add_snapshot(
                volume_id="vol-ffffffff",
                size=root_gib,
                description=f"Root of {name}",
                owner_id=owner_id,
                content=dict(content or {}),
                boot_mode=boot_mode,
            )
            self.complete_snapshot(snapshot)
            image.devices = [
                BlockDevice(device_name="/dev/sda1", snapshot_id=snapshot.snapshot_id, volume_size=root_gib)
            ]
            self.images[image.image_id] = image
            return image.image_id

    @operation("ec2", "CreateImage")
    def create_image(self, request: Request) -> Response:
        """Create an image of a running or stopped instance; a running one is rebooted by default."""
        with self.lock:
            parameters = supported(
                request,
                "InstanceId",
                "Name",
                "Description",
                "NoReboot",
                "BlockDeviceMappings",
                "TagSpecifications",
            )
            (instance,) = self.require_instances([parameters["InstanceId"]])
            self._require_free_name(parameters["Name"])
            tags = tags_for(parameters.get("TagSpecifications"), ("image", "snapshot"))
            if instance.state not in {"running", "stopped"}:
                raise ApiError(
                    "InvalidParameterValue",
                    f"Invalid value '{instance.instance_id}' for instanceId. Instance is not in state 'running' or "
                    "'stopped'",
                )
            volumes = {name: self.volumes[volume_id] for name, volume_id in instance.volumes.items()}
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
                snapshot = self.add_snapshot(
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
            self.images[image.image_id] = image
            if instance.state == "running" and not parameters.get("NoReboot"):
                self.reboot(instance)
            self._finish_later(request, image)
            return {"ImageId": image.image_id}

    @operation("ec2", "CopyImage")
    def copy_image(self, request: Request) -> Response:
        """Copy an image within the Region, into snapshots of its own; once for a client token."""
        with self.lock:
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
            token, fingerprint = parameters.get("ClientToken"), json.dumps(dict(parameters), sort_keys=True)
            if token in self._copy_tokens:
                return self._copied_before(self._copy_tokens[token], fingerprint)
            if parameters["SourceRegion"] != self.region:
                raise ApiError(
                    "EmulatorUnsupportedParameter", "the emulator copies images within one Region", 501
                )
            source = self.require_image(parameters["SourceImageId"])
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
                self._copy_snapshot(device, image, source, tags["snapshot"])
            self.images[image.image_id] = image
            if token:
                self._copy_tokens[token] = (fingerprint, image.image_id)
            self._finish_later(request, image)
            return {"ImageId": image.image_id}

    def _copied_before(self, known: tuple[str, str], fingerprint: str) -> Response:
        if known[0] != fingerprint:
            raise ApiError(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
            )
        return {"ImageId": known[1]}

    def _copy_snapshot(
        self, device: BlockDevice, image: Image, source: Image, tags: Mapping[str, str]
    ) -> None:
        original = self.snapshots[device.snapshot_id or ""]
        snapshot = self.add_snapshot(
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
        with self.lock:
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
            root = parameters.get("RootDeviceName")
            devices = from_registration(parameters.get("BlockDeviceMappings"), root, self.snapshots)
            self._require_own_snapshots(devices)
            refuse_dry_run(request)
            image = Image(
                **self.stamp(),
                image_id=self.new_id("ami"),
                owner_id=self.account_id,
                name=parameters["Name"],
                description=parameters.get("Description"),
                architecture=parameters.get("Architecture", "i386"),
                virtualization_type=parameters.get("VirtualizationType", "paravirtual"),
                root_device_name=root,
                devices=devices,
                ena_support=parameters.get("EnaSupport", False),
                sriov_net_support=parameters.get("SriovNetSupport"),
                boot_mode=parameters.get("BootMode"),
                tpm_support=parameters.get("TpmSupport"),
                imds_support=parameters.get("ImdsSupport"),
                uefi_data=parameters.get("UefiData"),
                tags=tags["image"],
            )
            self.images[image.image_id] = image
            self.later(self.durations.register, lambda: self._complete(image, request.request_id))
            return {"ImageId": image.image_id}

    def _require_own_snapshots(self, devices: list[BlockDevice]) -> None:
        for device in devices:
            if device.snapshot_id and self.snapshots[device.snapshot_id].owner_id != self.account_id:
                raise ApiError("InvalidParameterValue", f"Snapshot does not belong to {self.account_id}")

    def _require_free_name(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise ApiError(
                "InvalidAMIName.Malformed",
                "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', "
                "'.', '-', '/' and '_'",
            )
        for image in self.images.values():
            if image.name == name and image.owner_id == self.account_id and image.state != "deregistered":
                raise ApiError(
                    "InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image.image_id}"
                )

    def _image_like(self, source: Image, name: str, description: str | None) -> Image:
        return Image(
            **self.stamp(),
            image_id=self.new_id("ami"),
            owner_id=self.account_id,
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
        seconds = self.durations.image + self.durations.image_per_gib * size
        snapshots = [self.snapshots[snapshot_id] for snapshot_id in image.snapshot_ids]
        if self.faults.snapshot(image.name) is not None:
            for snapshot in snapshots:
                self.later(seconds * _SNAPSHOT_SHARE, partial(setattr, snapshot, "state", "error"))
            reason = f"{_SNAPSHOT_FAILED}: the snapshot {image.snapshot_ids[0]} failed"
            self.later(seconds, lambda: self._fail(image, request.request_id, reason))
            return
        for snapshot in snapshots:
            self.complete_snapshot_later(snapshot, seconds * _SNAPSHOT_SHARE)
        fault = self.faults.image(image.name)
        if fault is None:
            self.later(seconds, lambda: self._complete(image, request.request_id))
        else:
            self.later(seconds, lambda: self._fail(image, request.request_id, fault.reason))

    def _complete(self, image: Image, request_id: str) -> None:
        if image.state == "pending":
            image.state = "available"
            self.notify_image(image, request_id)

    def _fail(self, image: Image, request_id: str, reason: str) -> None:
        if image.state == "pending":
            image.state = "failed"
            image.state_reason = (reason.partition(":")[0], reason)
            self.notify_image(image, request_id, reason)

    @operation("ec2", "DeregisterImage")
    def deregister_image(self, request: Request) -> Response:
        """Deregister an image at once; its snapshots stay unless their deletion is asked for."""
        with self.lock:
            parameters = supported(request, "ImageId", "DeleteAssociatedSnapshots")
            image = self.require_own_image(parameters["ImageId"])
            if image.deregistration_protection != "disabled":
                raise ApiError(
                    "OperationNotPermitted",
                    f"The image '{image.image_id}' has deregistration protection and cannot be deregistered",
                )
            refuse_dry_run(request)
            image.state = "deregistered"
            self.notify_image(image, request.request_id)
            wanted = image.snapshot_ids if parameters.get("DeleteAssociatedSnapshots") else []
            return {
                "Return": True,
                "DeleteSnapshotResults": [
                    {"SnapshotId": snapshot_id, "ReturnCode": self._delete_with_image(snapshot_id)}
                    for snapshot_id in wanted
                ],
            }

    def _delete_with_image(self, snapshot_id: str) -> str:
        snapshot: Snapshot | None = self.snapshots.get(snapshot_id)
        if snapshot is None:
            return "client-error"
        if self.images_using(snapshot_id):
            return "skipped"
        self.remove_snapshot(snapshot)
        return "success"
