"""History as it has to be: read whole, held against `latest` and the images, and what is wrong put right."""

from __future__ import annotations

from dataclasses import dataclass

from ami_lifecycle.domain.history import corrections, doubtful
from ami_lifecycle.domain.publication import history_of, load
from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.ports import Clock, Images, Parameters
from ami_lifecycle.steps.observing import missing_images, parameter_name


@dataclass(frozen=True)
class HistoryKeeper:
    """Knows the records of one environment. It writes nothing: only who holds the claim may."""

    parameters: Parameters
    images: Images
    clock: Clock
    settings: EnvironmentSettings

    def wrong_records(self, live: str) -> dict[str, HistoryRecord | None]:
        """What the records that contradict `latest` have to say, by image id.

        None where there is no record yet. A record that cannot be read is left to a person.
        """
        path = parameter_name(self.settings.parameter_prefix, "history")
        stored = self.parameters.list_below(path)
        read = {name.rsplit("/", 1)[-1]: load(HistoryRecord, found.value) for name, found in stored.items()}
        records = {image_id: record for image_id, record in read.items() if record is not None}
        missing = missing_images(doubtful(live, records), self.images, self.clock)
        found: dict[str, HistoryRecord | None] = {}
        for wrong in corrections(live, records, missing):
            record = records.get(wrong.image_id)
            found[wrong.image_id] = record and history_of(
                record, wrong.status, wrong.reason, self.clock.now(), wrong.superseded_by, record.published_by
            )
        return found
