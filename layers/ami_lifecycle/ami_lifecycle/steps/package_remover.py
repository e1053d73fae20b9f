"""Removal of package lists: a list lives as long as history names its release."""

from __future__ import annotations

from dataclasses import dataclass

from ami_lifecycle.domain.package_list import package_key
from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle.ports import PackageLists
from ami_lifecycle.steps.published_records import PublishedRecords


@dataclass
class PackageRemover:
    """Forgets images of one environment, each with what only it names.

    Attributes:
        history: all records of the environment, by image id, None for one that cannot be read; those that are
            forgotten leave it.
    """

    lists: PackageLists
    records: PublishedRecords
    history: dict[str, HistoryRecord | None]

    def forget(self, image_id: str) -> None:
        """Delete an image's record, and before it the list that no other record names. Idempotent.

        The list first: the next sweep prunes a record whose list is gone, and finds no list that no record names.
        A record that cannot be read may name any list, so that none goes.
        """
        record = self.history.pop(image_id, None)
        key = _key_of(record) if record is not None else None
        if key is not None and not any(
            other is None or _key_of(other) == key for other in self.history.values()
        ):
            self.lists.delete(key)
        self.records.delete_record(image_id)


def _key_of(record: HistoryRecord) -> str | None:
    return package_key(record.environment, record.release, record.image_digest)
