"""Consistency of history with `latest`: one rule for the publication that writes records and the sweep that checks
them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from ami_lifecycle.domain.record import HistoryRecord, RecordStatus


class Correction(NamedTuple):
    """The correct status of a record."""

    image_id: str
    status: RecordStatus
    reason: str
    superseded_by: str | None


def doubtful(live: str, records: Mapping[str, HistoryRecord]) -> list[str]:
    """Ids of the other images whose records say that they exist."""
    return [
        image_id
        for image_id, record in records.items()
        if image_id != live and record.status is not RecordStatus.RETIRED
    ]


def corrections(
    live: str, records: Mapping[str, HistoryRecord], missing: Collection[str]
) -> list[Correction]:
    """Corrections of the records that contradict `latest` or the images.

    The record of the image that `latest` names says live, and no other does: whoever was stopped in the midst
    of a publication leaves two of them, or none. Of an image that is gone, history says that it is retired,
    whoever removed it. What a record says of an image that is there and is not live (superseded, kept,
    about to be retired) is the retirement's to say.

    Args:
        live: what `latest` names, or is about to name.
        records: those that can be read, by image id.
        missing: those of the `doubtful` images that do not exist any more.
    """
    found = []
    own = records.get(live)
    if own is None or own.status is not RecordStatus.LIVE:
        found.append(Correction(live, RecordStatus.LIVE, "`latest` names it", None))
    for image_id in doubtful(live, records):
        record = records[image_id]
        if image_id in missing:
            reason = "the image does not exist any more"
            found.append(Correction(image_id, RecordStatus.RETIRED, reason, record.superseded_by))
        elif record.status is RecordStatus.LIVE:
            reason = (
                f"`latest` names {live}: the publication of this image was interrupted, or undone by hand"
            )
            found.append(Correction(image_id, RecordStatus.SUPERSEDED, reason, live))
    return found
