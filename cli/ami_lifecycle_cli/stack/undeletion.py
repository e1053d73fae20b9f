"""Which retired image can be published again, and where its snapshots are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle.domain.registration import image_of
from ami_lifecycle.domain.release import release_name
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.domain.requests import make_request
from ami_lifecycle.errors import InvalidRequestError, RecordNotFoundError
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import iso_date
from ami_lifecycle_cli.stack.records import read_environment_live, read_history


@dataclass(frozen=True)
class Undeletion:
    """A planned undeletion; `snapshots` says of each until when it is in the bin, None for one that is there."""

    environment: str
    live_id: str | None
    record: HistoryRecord
    snapshots: Mapping[str, datetime | None]
    request: BuildRequest

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "environment": self.environment,
            "live": self.live_id,
            "to": self.record.ami_id,
            "release": self.record.release,
            "image_digest": self.record.image_digest,
            "commit_sha": self.record.commit_sha,
            "snapshots": [
                {"snapshot_id": snapshot_id, "in_bin_until": iso_date(until) if until else None}
                for snapshot_id, until in self.snapshots.items()
            ],
        }


def plan_undeletion(
    stack: Stack, environment: str, *, to: str | None, release: str | None, reason: str | None
) -> Undeletion:
    """Plan an undeletion.

    Raises:
        InvalidRequestError: the image is there still.
        RecordNotFoundError: there is no such image, or its snapshots are gone for good.
    """
    records = read_history(stack, environment).records
    wanted = [each for each in records if _is_meant(each, to, release)]
    if not wanted:
        named = to or (f"the release {release}" if release else "an image that was retired")
        raise RecordNotFoundError(
            f"history of {environment} has no record of {named}",
            hint=f"choose one of: ami-lifecycle history {environment}",
        )
    there = {image.image_id for image in stack.images.find_each([each.ami_id for each in wanted])}
    if to in there:
        raise InvalidRequestError(
            f"{to} is still there", hint=f"Publish it again: ami-lifecycle rollback {environment} --to {to}"
        )
    gone = sorted(
        (each for each in wanted if each.ami_id not in there),
        key=lambda each: each.status_since,
        reverse=True,
    )
    live = read_environment_live(stack, environment).value
    known, binned = _snapshots(stack, gone)
    for record in gone:
        snapshots = {each: binned.get(each) for each in record.snapshot_ids}
        is_whole = image_of(record) is not None and all(each in known or each in binned for each in snapshots)
        # The disks of a candidate whose successor by name is there have not gone.
        if is_whole and (to is not None or any(snapshots.values())):
            fields = {
                "environment": environment,
                "action": Action.UNDELETE,
                "trigger": Trigger.ROLLBACK,
                "publish_image_id": record.ami_id,
                "pin": True,
                **({"reason": reason} if reason is not None else {}),
            }
            return Undeletion(environment, live, record, snapshots, make_request(fields, "see --help"))
    tried = ", ".join(each.ami_id for each in gone[:3]) or "none"
    raise RecordNotFoundError(
        f"of the images of {environment} that are meant and gone ({tried}), none has its snapshots in the Recycle Bin",
        hint=f"Build one again: ami-lifecycle rollback {environment} --to AMI",
    )


def _is_meant(record: HistoryRecord, to: str | None, release: str | None) -> bool:
    if to is not None:
        return record.ami_id == to
    if release is not None:
        names = {record.release, (record.release or "").rsplit(":", 1)[-1]}
        return release in names | {release_name(record.release, record.image_digest)}
    return True


def _snapshots(stack: Stack, records: Sequence[HistoryRecord]) -> tuple[set[str], dict[str, datetime]]:
    """The snapshots of records that are there, and those in the bin with the date when they go for good."""
    wanted = list(dict.fromkeys(each for record in records for each in record.snapshot_ids))
    known = {each.snapshot_id for each in stack.images.find_each_snapshot(wanted)} if wanted else set()
    missing = [each for each in wanted if each not in known]
    return known, stack.images.snapshots_in_bin(missing) if missing else {}
