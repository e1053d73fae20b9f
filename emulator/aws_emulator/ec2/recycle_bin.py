"""Listing and restoring snapshots in the Recycle Bin (EC2 API reference; EBS user guide, Recycle Bin)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.ec2.bin import IN_BIN_TAG, Binned
from aws_emulator.ec2.filters import page
from aws_emulator.ec2.model import Snapshot
from aws_emulator.ec2.requests import refuse_dry_run, require_id, supported
from aws_emulator.ec2.store import Ec2Store

# Recycle Bin API reference, CreateRule.
_LONGEST_DAYS: Final = 365
_MOST_TAGS: Final = 50


class RecycleBin:
    """The operations on rules, and on snapshots in the bin."""

    def __init__(self, store: Ec2Store) -> None:
        self._store = store

    @operation("rbin", "CreateRule")
    def create_rule(self, request: Request) -> Response:
        """Create a retention rule of tag level for snapshots; it holds at once (Recycle Bin API reference)."""
        with self._store.lock:
            parameters = supported(request, "Description", "ResourceTags", "ResourceType", "RetentionPeriod")
            kind, period = parameters["ResourceType"], parameters["RetentionPeriod"]
            tags = {
                each["ResourceTagKey"]: each.get("ResourceTagValue", "")
                for each in parameters.get("ResourceTags") or ()
            }
            days = period["RetentionPeriodValue"]
            if kind != "EBS_SNAPSHOT":
                raise ApiError("EmulatorUnsupportedParameter", "the emulator's bin takes snapshots", 501)
            if not 1 <= days <= _LONGEST_DAYS or not 1 <= len(tags) <= _MOST_TAGS:
                raise ApiError("ValidationException", "a rule has 1 to 365 days, and 1 to 50 tags")
            self._store.bin.add_rule(tags, days)
            identifier = f"rule{len(self._store.bin.rules):07d}"
            return {
                "Identifier": identifier,
                "RuleArn": f"arn:aws:rbin:{self._store.region}:{self._store.account_id}:rule/{identifier}",
                "ResourceType": kind,
                "ResourceTags": parameters["ResourceTags"],
                "RetentionPeriod": dict(period),
                "Status": "available",
            }

    @operation("ec2", "ListSnapshotsInRecycleBin")
    def list_snapshots_in_recycle_bin(self, request: Request) -> Response:
        """List what is in the bin, in pages."""
        with self._store.lock:
            parameters = supported(request, "MaxResults", "NextToken", "SnapshotIds")
            content = self._store.bin.content(self._store.clock.now())
            for snapshot_id in parameters.get("SnapshotIds") or ():
                self._require(snapshot_id, content)
            wanted = parameters.get("SnapshotIds") or list(content)
            shown, token = page([content[each] for each in wanted], parameters, ids="SnapshotIds")
            return {
                "Snapshots": [
                    {
                        "SnapshotId": each.snapshot.snapshot_id,
                        "RecycleBinEnterTime": each.entered,
                        "RecycleBinExitTime": each.exits,
                        "Description": each.snapshot.description,
                        "VolumeId": each.snapshot.volume_id,
                    }
                    for each in shown
                ],
                "NextToken": token,
            }

    @operation("ec2", "RestoreSnapshotFromRecycleBin")
    def restore_snapshot_from_recycle_bin(self, request: Request) -> Response:
        """Take a snapshot out of the bin; it can be used a moment later."""
        with self._store.lock:
            content = self._store.bin.content(self._store.clock.now())
            snapshot = self._require(supported(request, "SnapshotId")["SnapshotId"], content).snapshot
            refuse_dry_run(request)
            del content[snapshot.snapshot_id]
            del snapshot.tags[IN_BIN_TAG]
            snapshot.state = "recovering"
            self._store.snapshots[snapshot.snapshot_id] = snapshot
            self._store.later(self._store.durations.register, lambda: _recover(snapshot))
            return {
                "SnapshotId": snapshot.snapshot_id,
                "Description": snapshot.description,
                "Encrypted": snapshot.encrypted,
                "OwnerId": snapshot.owner_id,
                "Progress": "100%",
                "StartTime": snapshot.created,
                "State": "recovering",
                "VolumeId": snapshot.volume_id,
                "VolumeSize": snapshot.size,
            }

    @staticmethod
    def _require(snapshot_id: str, content: Mapping[str, Binned]) -> Binned:
        require_id("snap", snapshot_id, "InvalidSnapshotID")
        if snapshot_id not in content:
            raise ApiError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
        return content[snapshot_id]


def _recover(snapshot: Snapshot) -> None:
    if snapshot.state == "recovering":
        snapshot.state = "completed"
