"""The history records of an environment, and which of their images still exist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ami_lifecycle.domain.first_boot import recorded_first_boot
from ami_lifecycle.domain.gates import GateName
from ami_lifecycle.domain.lineage import publication_order
from ami_lifecycle.domain.model import Image, ImageState
from ami_lifecycle.domain.planning import Live
from ami_lifecycle.domain.preflight import data_type_finding
from ami_lifecycle.domain.record import HistoryRecord, Metadata
from ami_lifecycle.domain.release import release_of_record
from ami_lifecycle.domain.scans import recorded_scan
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import iso_date, parse_date, shown


@dataclass(frozen=True)
class History:
    """All readable records of an environment, the newest publication first, and the names of the unreadable."""

    records: tuple[HistoryRecord, ...]
    unreadable: tuple[str, ...] = ()

    def of(self, image_id: str) -> HistoryRecord | None:
        """The record of one image."""
        return next((record for record in self.records if record.ami_id == image_id), None)


def read_history(stack: Stack, environment: str) -> History:
    """Read the history of an environment."""
    published = stack.published(environment)
    loaded = published.read_history()
    readable = [record for record in loaded.values() if record is not None]
    # Records from before releases say none; it is told from all of them.
    named = [
        record.model_copy(update={"release": release_of_record(record, readable)}) for record in readable
    ]
    records = sorted(named, key=publication_order, reverse=True)
    unreadable = sorted(
        published.names.record(image_id) for image_id, record in loaded.items() if record is None
    )
    return History(tuple(records), tuple(unreadable))


def record_as_json(record: Metadata) -> dict[str, Any]:
    """A record in plain values; its number is a number, its dates have one form, and one never written is null."""
    fields = record.model_dump()
    number = str(fields["workflow_run_number"])
    fields["workflow_run_number"] = int(number) if number.isdecimal() else None
    for name in ("creation_date", "base_created", "verified_at", "status_since", "soaking_since"):
        if name in fields:
            fields[name] = iso_date(parse_date(fields[name]))
    return fields


def first_boot_as_json(record: Metadata | None) -> dict[str, Any] | None:
    """The record's first boot at an initialization rate; None without one."""
    found = recorded_first_boot(record.facts) if record else None
    if record is None or found is None:
        return None
    return {
        **found.model_dump(),
        "seconds_to_healthy": record.facts.get("boot_to_healthy_seconds"),
    }


def first_boot_text(record: Metadata | None) -> str | None:
    """The same as text."""
    found = recorded_first_boot(record.facts) if record else None
    if record is None or found is None:
        return None
    healthy = record.facts.get("boot_to_healthy_seconds")
    return (
        f"{f'{healthy} s to healthy, ' if healthy is not None else ''}{shown('data_bytes', found.data_bytes)} of data "
        f"whole after {found.initialization_seconds} s at {found.initialization_rate} MiB/s; "
        f"{found.cents_per_launch} cents a launch, {found.launches_at_once} launches at once"
    )


def scan_text(record: Metadata | None) -> str | None:
    """What the vulnerability scan had found when the image was published; None where nobody asked for one."""
    found = recorded_scan(record.gates.get(GateName.SCAN.value)) if record else None
    return found.text if found else None


def read_environment_live(stack: Stack, environment: str) -> Live:
    """The live image."""
    return stack.published(environment).read_live(stack.account_id, stack.images, stack.clock)


def data_type_of_latest(stack: Stack, environment: str) -> str | None:
    """What consumers of `latest` cannot do because of its data type, in words; None if nothing."""
    published = stack.published(environment)
    stored = published.read_latest()
    return data_type_finding(published.names.latest, stored.data_type, stored.value) if stored else None


def published_since(record: HistoryRecord | None) -> datetime | None:
    """Since when the record's image is live."""
    return parse_date(record.status_since) if record else None


def is_launchable(image: Image | None) -> bool:
    """Whether an image exists and can be launched."""
    return image is not None and image.state is ImageState.AVAILABLE


def is_passing_name(record: HistoryRecord, records: Sequence[HistoryRecord]) -> bool:
    """Whether the record is of a candidate whose disks are published under the canonical name, too."""
    return any(
        other.ami_id == record.superseded_by
        and other.image_digest == record.image_digest
        # The canonical image gets another number when it is published again.
        and (
            other.workflow_run_number == record.workflow_run_number
            or (record.snapshot_ids and other.snapshot_ids == record.snapshot_ids)
        )
        for other in records
    )
