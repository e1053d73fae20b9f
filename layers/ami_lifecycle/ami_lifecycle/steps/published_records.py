"""The published records of an environment in Parameter Store: `latest`, `metadata`, and `history/{ami-id}`.

All reads and writes of them are here: their names, their format, and the rule that metadata and history agree with
`latest`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final, TypeVar

from ami_lifecycle.domain.history import corrections, doubtful
from ami_lifecycle.domain.model import TAG_APPLICATION, TAG_ENVIRONMENT, is_ami_id
from ami_lifecycle.domain.naming import ParameterNames
from ami_lifecycle.domain.planning import Live, judge_live
from ami_lifecycle.domain.preflight import IMAGE_DATA_TYPE, TEXT
from ami_lifecycle.domain.publication import dump, history_of, load
from ami_lifecycle.domain.record import HistoryRecord, Metadata
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import PublicationPendingError
from ami_lifecycle.ports import Clock, Images, Parameters, StoredParameter
from ami_lifecycle.steps.lookups import find_image, missing_images

# `aws:ec2:image` is validated after PutParameter has answered, usually within a second.
_READ_BACKS: Final = 8
_READ_BACK_SECONDS: Final = 0.25
_WRITE_TIME: Final = timedelta(seconds=15)
_Record = TypeVar("_Record", bound=Metadata)


@dataclass(frozen=True)
class PublishedRecords:
    """Reads the records of one environment."""

    parameters: Parameters
    names: ParameterNames

    def read_latest(self) -> StoredParameter | None:
        """The parameter `latest`; None before the first publication."""
        return self.parameters.get(self.names.latest)

    def is_latest(self, image_id: str) -> bool:
        """Whether `latest` names the image now."""
        latest = self.read_latest()
        return latest is not None and latest.value == image_id

    def read_live(self, account_id: str, images: Images, clock: Clock) -> Live:
        """`latest`, and the image that it names."""
        stored = self.read_latest()
        if stored is None:
            return judge_live(None, None, account_id)
        image = find_image(stored.value, images, clock) if is_ami_id(stored.value) else None
        return judge_live(stored.value, image, account_id)

    def read_metadata(self) -> Metadata | None:
        """`metadata`; None where it is missing or cannot be read."""
        return parse_stored(Metadata, self.parameters.get(self.names.metadata))

    def read_record(self, image_id: str | None) -> HistoryRecord | None:
        """The history record of an image; None where there is none, or the text is no image's id.

        Parameter Store refuses names with other characters, and `latest` may hold any text before the first build.
        """
        if image_id is None or not is_ami_id(image_id):
            return None
        return parse_stored(HistoryRecord, self.find_record(image_id))

    def find_record(self, image_id: str) -> StoredParameter | None:
        """The history record of an image as it stands, whether or not it can be read."""
        return self.parameters.get(self.names.record(image_id))

    def find_records(self, image_ids: Sequence[str]) -> dict[str, StoredParameter | None]:
        """The history records of several images as they stand, by image id; None where there is none."""
        found = self.parameters.get_each([self.names.record(image_id) for image_id in image_ids])
        return {image_id: found.get(self.names.record(image_id)) for image_id in image_ids}

    def read_history(self) -> dict[str, HistoryRecord | None]:
        """All history records, by image id; None for one that cannot be read."""
        below = f"{self.names.history}/"
        return {
            name.removeprefix(below): parse_stored(HistoryRecord, stored)
            for name, stored in self.parameters.list_below(self.names.history).items()
        }

    def contradicting_records(
        self, live: str, images: Images, clock: Clock
    ) -> dict[str, HistoryRecord | None]:
        """Corrections of the records that contradict `latest`, by image id.

        The value is None where a record is missing. Unreadable records are left alone.

        Args:
            live: what `latest` names, or is about to name.
        """
        records = {image_id: record for image_id, record in self.read_history().items() if record is not None}
        missing = missing_images(doubtful(live, records), images, clock)
        found: dict[str, HistoryRecord | None] = {}
        for wrong in corrections(live, records, missing):
            record = records.get(wrong.image_id)
            found[wrong.image_id] = record and history_of(
                record, wrong.status, wrong.reason, clock.now(), wrong.superseded_by, record.published_by
            )
        return found

    def delete_record(self, image_id: str) -> None:
        """Delete the history record of an image that no longer exists. Idempotent."""
        self.parameters.delete(self.names.record(image_id))


@dataclass(frozen=True)
class RecordWriter:
    """Writes the records of one environment; only the holder of its claim may.

    `deadline` is when the claim may be taken over; without one, a write begins whenever it is asked for.
    """

    parameters: Parameters
    settings: EnvironmentSettings
    clock: Clock
    deadline: datetime | None = None

    @cached_property
    def records(self) -> PublishedRecords:
        """The reader of the same records."""
        return PublishedRecords(self.parameters, self.settings.parameter_names)

    def write_latest(self, image_id: str) -> None:
        """Write `latest` and read it back by value and version: a write of its data type may be dropped after
        PutParameter has succeeded (SSM API reference, PutParameter).

        Raises:
            PublicationPendingError: it does not read back yet, or there is too little time to write it.
        """
        name = self.records.names.latest
        if self.records.is_latest(image_id):
            return
        description = f"Latest AMI of {self.settings.application} {self.settings.environment}"
        version = self._put(name, image_id, IMAGE_DATA_TYPE, description)
        for _ in range(_READ_BACKS):
            stored = self.records.read_latest()
            if _is_written(stored, image_id, version):
                return
            self.clock.pause(_READ_BACK_SECONDS)
        raise PublicationPendingError(
            f"{name} was written as {image_id} in version {version} and reads "
            f"{stored.value if stored else 'nothing'}; it is written again. If it never changes: the function needs "
            "ec2:DescribeImages, and the image must be available"
        )

    def write_metadata(self, metadata: Metadata) -> None:
        """Write `metadata`."""
        description = f"Metadata of the latest image of {self.settings.environment}"
        self._write_text(self.records.names.metadata, dump(metadata), description)

    def write_record(
        self, image_id: str, record: HistoryRecord, stored: StoredParameter | None = None
    ) -> None:
        """Write the history record of an image; `ami_id` is set to it whatever the record says.

        Args:
            stored: the record as it was read a moment ago, which then is not read again.
        """
        name, text, description = self.records.names.record(image_id), dump(record), f"History of {image_id}"
        if stored is None:
            self._write_text(name, text, description)
        elif stored.value != text:
            self._require_time(name)
            self.parameters.overwrite(name, text, data_type=stored.data_type, description=description)

    def correct_history(self, live: str, images: Images) -> None:
        """Correct the records of other images that contradict `latest`, as an interrupted publication leaves them."""
        for image_id, record in self.records.contradicting_records(live, images, self.clock).items():
            # The publication writes the live image's own record.
            if record is not None and image_id != live:
                self.write_record(image_id, record)

    def _write_text(self, name: str, value: str, description: str) -> None:
        stored = self.parameters.get(name)
        if stored is None or stored.value != value:
            self._put(name, value, TEXT, description)

    def _put(self, name: str, value: str, data_type: str, description: str) -> int:
        self._require_time(name)
        tags = {
            **self.settings.tags,
            TAG_APPLICATION: self.settings.application,
            TAG_ENVIRONMENT: self.settings.environment,
        }
        return self.parameters.put(name, value, data_type=data_type, description=description, tags=tags)

    def _require_time(self, name: str) -> None:
        # A write that starts too late could arrive after another execution has taken over the claim.
        if self.deadline is not None and self.clock.now() + _WRITE_TIME > self.deadline:
            raise PublicationPendingError(f"too little time is left to write {name}; the step is repeated")


def parse_stored(record: type[_Record], stored: StoredParameter | None) -> _Record | None:
    """Parse a stored record; None where there is none, or it cannot be read."""
    return load(record, stored.value) if stored else None


def _is_written(stored: StoredParameter | None, value: str, version: int) -> bool:
    return stored is not None and stored.value == value and stored.version >= version
