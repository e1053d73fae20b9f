"""The order of an environment's publications, and which of them were rolled back."""

from __future__ import annotations

from collections.abc import Sequence

from ami_lifecycle.domain.record import HistoryRecord


def publication_number(record: HistoryRecord) -> int:
    """The number of the newest publication of an image; 0 for one from before records began."""
    number = record.workflow_run_number
    return int(number) if number.isdecimal() else 0


def publication_order(record: HistoryRecord) -> tuple[int, str]:
    """Sorts records by publication: its number, then the image's age."""
    return publication_number(record), record.creation_date


def lineage_key(record: HistoryRecord) -> str:
    """The key by which images are the same rollback target: the Docker image."""
    return record.image_digest or record.ami_id


def lineage(records: Sequence[HistoryRecord]) -> list[HistoryRecord]:
    """One record for each Docker image, the newest publication first.

    One that was published twice is represented by its newest publication.
    """
    newest: dict[str, HistoryRecord] = {}
    for record in sorted(records, key=publication_order):
        newest[lineage_key(record)] = record
    return sorted(newest.values(), key=publication_order, reverse=True)


def live_before(
    records: Sequence[HistoryRecord], live_id: str | None, live_digest: str | None
) -> list[HistoryRecord]:
    """The records that were live before the live image, the newest publication first, without rolled back ones.

    Without a live image, all of them.
    """
    order = lineage(records)
    keys = [lineage_key(record) for record in order]
    live = live_digest or live_id or ""
    older = order[keys.index(live) + 1 :] if live in keys else order
    return [record for record in older if not record.rolled_back]


def rolled_back_by(records: Sequence[HistoryRecord], live_id: str, target: str) -> list[HistoryRecord]:
    """The records that a rollback from the live image to the target skips.

    Those are the live image and all that were published between: whoever goes two steps back does not want the
    step between either. Who goes on to what was left before goes back from nothing.

    Args:
        target: the digest of the Docker image, or the id of an image that has none.
    """
    order = lineage(records)
    keys = [lineage_key(record) for record in order]
    if target not in keys or order[keys.index(target)].rolled_back:
        return []
    live = next((lineage_key(record) for record in records if record.ami_id == live_id), None)
    start = keys.index(live) if live in keys else 0
    return [record for record in order[start : keys.index(target)] if not record.rolled_back]
