"""Snapshots and volumes (EC2 API reference: CreateSnapshot, DeleteSnapshot, DescribeSnapshots, ...)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.ec2.filters import Values, page, select
from aws_emulator.ec2.model import Snapshot, Volume
from aws_emulator.ec2.requests import (
    refuse_dry_run,
    require_id,
    supported,
    tag_list,
    tags_for,
)
from aws_emulator.ec2.store import Ec2Store
from aws_emulator.gateway.wire.scalars import iso8601

_SNAPSHOT_FILTERS: Final[Mapping[str, Values]] = {
    "description": lambda each: [each.description],
    "encrypted": lambda each: [str(each.encrypted).lower()],
    "owner-id": lambda each: [each.owner_id],
    "progress": lambda each: [_progress(each)],
    "snapshot-id": lambda each: [each.snapshot_id],
    "start-time": lambda each: [iso8601(each.created)],
    "status": lambda each: [each.state],
    "volume-id": lambda each: [each.volume_id],
    "volume-size": lambda each: [str(each.size)],
}
_VOLUME_FILTERS: Final[Mapping[str, Values]] = {
    "attachment.delete-on-termination": lambda each: [str(each.device.delete_on_termination).lower()],
    "attachment.device": lambda each: [each.instance_id and each.device.device_name],
    "attachment.instance-id": lambda each: [each.instance_id],
    "attachment.status": lambda each: [each.instance_id and "attached"],
    "availability-zone": lambda each: [each.zone],
    "encrypted": lambda each: [str(each.device.encrypted).lower()],
    "size": lambda each: [str(each.device.volume_size)],
    "snapshot-id": lambda each: [each.device.snapshot_id],
    "status": lambda each: [each.state],
    "volume-id": lambda each: [each.volume_id],
    "volume-type": lambda each: [each.device.volume_type],
}


class Snapshots:
    """The operations on snapshots and volumes."""

    def __init__(self, store: Ec2Store) -> None:
        self._store = store

    def complete(self, snapshot: Snapshot) -> None:
        """Complete a snapshot; one whose deletion was asked for meanwhile goes away."""
        snapshot.state, snapshot.completed = "completed", self._store.clock.now()
        if snapshot.deletion_requested:
            self._discard(snapshot)

    def complete_later(self, snapshot: Snapshot, seconds: float) -> None:
        """Complete a snapshot after some seconds, with EBS's event."""

        def complete() -> None:
            self.complete(snapshot)
            self._notify(snapshot)

        self._store.later(seconds, complete)

    def _notify(self, snapshot: Snapshot) -> None:
        arn = f"arn:aws:ec2::{self._store.region}:snapshot/{snapshot.snapshot_id}"
        self._store.bus.emit(
            "aws.ec2",
            "EBS Snapshot Notification",
            {
                "event": "createSnapshot",
                "result": "succeeded",
                "cause": "",
                "request-id": "",
                "snapshot_id": arn,
                "source": f"arn:aws:ec2::{self._store.region}:volume/{snapshot.volume_id}",
                "startTime": iso8601(snapshot.created),
                "endTime": iso8601(self._store.clock.now()),
            },
            [arn],
        )

    def remove(self, snapshot: Snapshot) -> None:
        """Delete a snapshot; a pending one only when it has completed."""
        if snapshot.state == "pending":
            snapshot.deletion_requested = True
        else:
            self._discard(snapshot)

    def _discard(self, snapshot: Snapshot) -> None:
        if self._store.snapshots.pop(snapshot.snapshot_id, None) is not None:
            self._store.bin.take(snapshot, self._store.clock.now())

    @operation("ec2", "CreateSnapshot")
    def create_snapshot(self, request: Request) -> Response:
        """Begin a snapshot of a volume."""
        with self._store.lock:
            parameters = supported(request, "VolumeId", "Description", "TagSpecifications")
            volume = self._require_volume(parameters["VolumeId"])
            tags = tags_for(parameters.get("TagSpecifications"), ("snapshot",))
            refuse_dry_run(request)
            snapshot = self._store.add_snapshot(
                volume_id=volume.volume_id,
                size=volume.device.volume_size,
                description=parameters.get("Description", ""),
                content=copy.deepcopy(volume.content),
                boot_mode=volume.boot_mode,
                encrypted=volume.device.encrypted,
                key_arn=volume.device.key_arn,
                tags=tags["snapshot"],
            )
            self.complete_later(snapshot, self._store.durations.snapshot)
            return _shown_snapshot(snapshot)

    @operation("ec2", "DeleteSnapshot")
    def delete_snapshot(self, request: Request) -> Response:
        """Delete a snapshot that no image uses. A dry run does not look whether one does."""
        with self._store.lock:
            snapshot_id = supported(request, "SnapshotId")["SnapshotId"]
            snapshot = self._require_snapshot(snapshot_id)
            refuse_dry_run(request)
            images = self._store.images_using(snapshot_id)
            if images:
                raise ApiError(
                    "InvalidSnapshot.InUse",
                    f"The snapshot {snapshot_id} is currently in use by {', '.join(images)}",
                )
            self.remove(snapshot)
            return {}

    def _require_snapshot(self, snapshot_id: str) -> Snapshot:
        require_id("snap", snapshot_id, "InvalidSnapshotID")
        snapshot = self._store.snapshots.get(snapshot_id)
        if snapshot is None or snapshot.owner_id != self._store.account_id:
            raise ApiError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
        return snapshot

    @operation("ec2", "DescribeSnapshots")
    def describe_snapshots(self, request: Request) -> Response:
        """Describe snapshots by id, owner and filters, in pages."""
        with self._store.lock:
            parameters = supported(
                request,
                "Filters",
                "MaxResults",
                "NextToken",
                "OwnerIds",
                "RestorableByUserIds",
                "SnapshotIds",
            )
            ids = parameters.get("SnapshotIds")
            snapshots = (
                [self._require_snapshot(each) for each in dict.fromkeys(ids)]
                if ids
                else list(self._store.snapshots.values())
            )
            snapshots = [each for each in snapshots if each.owner_id == self._store.account_id]
            owners = {
                self._store.account_id if each == "self" else each for each in parameters.get("OwnerIds", ())
            }
            if owners:
                snapshots = [each for each in snapshots if each.owner_id in owners]
            shown, token = page(
                select(snapshots, parameters.get("Filters"), _SNAPSHOT_FILTERS), parameters, ids="SnapshotIds"
            )
            return {"Snapshots": [_shown_snapshot(each) for each in shown], "NextToken": token}

    @operation("ec2", "DescribeVolumes")
    def describe_volumes(self, request: Request) -> Response:
        """Describe volumes by id and filters, in pages."""
        with self._store.lock:
            parameters = supported(request, "Filters", "MaxResults", "NextToken", "VolumeIds")
            ids = parameters.get("VolumeIds")
            volumes = (
                [self._require_volume(each) for each in dict.fromkeys(ids)]
                if ids
                else self._store.volumes.values()
            )
            shown, token = page(
                select(volumes, parameters.get("Filters"), _VOLUME_FILTERS), parameters, ids="VolumeIds"
            )
            return {"Volumes": [_shown_volume(each) for each in shown], "NextToken": token}

    @operation("ec2", "DeleteVolume")
    def delete_volume(self, request: Request) -> Response:
        """Delete a volume that is not attached."""
        with self._store.lock:
            volume = self._require_volume(supported(request, "VolumeId")["VolumeId"])
            refuse_dry_run(request)
            if volume.instance_id is not None:
                raise ApiError(
                    "VolumeInUse", f"Volume {volume.volume_id} is currently attached to {volume.instance_id}"
                )
            del self._store.volumes[volume.volume_id]
            return {}

    def _require_volume(self, volume_id: str) -> Volume:
        require_id("vol", volume_id, "InvalidVolumeID")
        if volume_id not in self._store.volumes:
            raise ApiError("InvalidVolume.NotFound", f"The volume '{volume_id}' does not exist.")
        return self._store.volumes[volume_id]


def _progress(snapshot: Snapshot) -> str:
    return "100%" if snapshot.state == "completed" else "0%"


def _shown_snapshot(snapshot: Snapshot) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "SnapshotId": snapshot.snapshot_id,
        "VolumeId": snapshot.volume_id,
        "State": snapshot.state,
        "StartTime": snapshot.created,
        "Progress": _progress(snapshot),
        "OwnerId": snapshot.owner_id,
        "Description": snapshot.description,
        "VolumeSize": snapshot.size,
        "Encrypted": snapshot.encrypted,
        "Tags": tag_list(snapshot.tags),
        "StorageTier": "standard",
    }
    if snapshot.key_arn is not None:
        shown["KmsKeyId"] = snapshot.key_arn
    if snapshot.completed is not None:
        shown["CompletionTime"] = snapshot.completed
        shown["FullSnapshotSizeInBytes"] = snapshot.data_bytes
    return shown


def _shown_volume(volume: Volume) -> dict[str, Any]:
    attachments = []
    if volume.instance_id is not None:
        attachments.append(
            {
                "VolumeId": volume.volume_id,
                "InstanceId": volume.instance_id,
                "Device": volume.device.device_name,
                "State": "attached",
                "AttachTime": volume.attached,
                "DeleteOnTermination": volume.device.delete_on_termination,
            }
        )
    return {
        "VolumeId": volume.volume_id,
        "Size": volume.device.volume_size,
        "SnapshotId": volume.device.snapshot_id or "",
        "AvailabilityZone": volume.zone,
        "State": volume.state,
        "CreateTime": volume.created,
        "Attachments": attachments,
        "Encrypted": volume.device.encrypted,
        **({"KmsKeyId": volume.device.key_arn} if volume.device.key_arn else {}),
        "VolumeType": volume.device.volume_type,
        "Iops": volume.device.iops,
        "Throughput": volume.device.throughput,
        "VolumeInitializationRate": volume.device.initialization_rate,
        "MultiAttachEnabled": False,
        "Tags": tag_list(volume.tags),
    }
