"""Which release an image is of: the execution that made its disks (docs/decisions/0008)."""

from __future__ import annotations

from collections.abc import Sequence

from ami_lifecycle.domain.model import TAG_EXECUTION, TAG_RELEASE, Image
from ami_lifecycle.domain.naming import run_id
from ami_lifecycle.domain.record import HistoryRecord, Metadata


def release_of(image: Image) -> str | None:
    """ARN of the release's execution; of an image from before the tag, the one that made or registered it."""
    return image.tags.get(TAG_RELEASE) or image.tags.get(TAG_EXECUTION) or None


def release_of_record(record: Metadata, records: Sequence[HistoryRecord]) -> str | None:
    """The release that a record is of, from what it or other records of the same disks say.

    Of records from before releases, the oldest is the candidate's, which the execution that made it has published.
    """
    own = [record] if isinstance(record, HistoryRecord) else []
    same = [each for each in records if each.snapshot_ids and each.snapshot_ids == record.snapshot_ids] or own
    recorded = (each.release for each in (record, *same) if each.release)
    oldest = min(same, key=lambda each: each.creation_date, default=None)
    return next(recorded, None) or (oldest.published_by if oldest else None)


def release_name(release: str | None, digest: str | None) -> str | None:
    """What people call a release: as its candidate was named, and its instances say in `build.json`."""
    return run_id(release, digest or None) if release else None
