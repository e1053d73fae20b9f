"""Publish Image: history, then metadata, then `latest`, which is read back before it counts."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from ami_lifecycle.domain.command import CommandFacts
from ami_lifecycle.domain.environment import Pin
from ami_lifecycle.domain.execution import ClaimedInput, Published
from ami_lifecycle.domain.first_boot import FirstBoot, first_boot_of
from ami_lifecycle.domain.lineage import rolled_back_by
from ami_lifecycle.domain.model import (
    TAG_DIGEST,
    AmiId,
    Image,
    ImageState,
    is_ami_id,
)
from ami_lifecycle.domain.naming import ParameterNames
from ami_lifecycle.domain.package_summary import FACT as PACKAGES
from ami_lifecycle.domain.package_summary import recorded_packages
from ami_lifecycle.domain.publication import (
    history_of,
    metadata_from,
    metadata_from_tags,
    metadata_of,
    metadata_of_promotion,
    timestamp,
)
from ami_lifecycle.domain.record import HistoryRecord, Metadata, RecordStatus
from ami_lifecycle.domain.registration import registration_of
from ami_lifecycle.domain.release import release_of
from ami_lifecycle.domain.request import Action
from ami_lifecycle.errors import (
    ForeignResourceError,
    ImageMismatchError,
    ImageNotVerifiedError,
    RefusedError,
    ResourceNotVisibleError,
)
from ami_lifecycle.ports import Clock, Environments, Images, PackageLists, Parameters
from ami_lifecycle.steps.fencing import writing
from ami_lifecycle.steps.gates import Gate, pass_gates
from ami_lifecycle.steps.lookups import find_image
from ami_lifecycle.steps.published_records import PublishedRecords, RecordWriter

if TYPE_CHECKING:
    from ami_lifecycle.steps.package_recorder import PackageRecorder

# They make a candidate, which a canary has to pass.
_VERIFYING: Final = frozenset({Action.BUILD, Action.PROMOTE, Action.UNDELETE})
_LOGGER = logging.getLogger(__name__)
# RegisterImage inherits nothing, and derives the last two from the snapshots, which they may contradict
# (EC2 API reference, RegisterImage).
_COPIED: Final = (
    "architecture",
    "virtualization_type",
    "ena_support",
    "sriov_net_support",
    "boot_mode",
    "tpm_support",
    "imds_support",
    "root_device_name",
    "platform_details",
    "usage_operation",
)


class PublishInput(ClaimedInput):
    """Input of `publish_image`. `copy_of` names the verified candidate when a canonical copy is published."""

    image_id: AmiId
    provisioned: CommandFacts | None = None
    verified: CommandFacts | None = None
    copy_of: AmiId | None = None


@dataclass(frozen=True)
class Publisher:
    """Publishes one image in its environment."""

    step: PublishInput
    images: Images
    parameters: Parameters
    environments: Environments
    clock: Clock
    region: str
    deadline: datetime
    gates: Iterable[Gate] = ()
    package_lists: PackageLists | None = None

    def publish(self) -> Published:
        """Make `latest` name the image. Idempotent.

        Raises:
            ClaimLostError: the environment is not held any more.
            ForeignResourceError, ImageNotVerifiedError, ImageMismatchError: it must not be published.
            RefusedError: a gate of the environment does not let it pass.
            ResourceNotVisibleError: EC2 does not show the image as available.
            PublicationPendingError: `latest` does not read back yet.
        """
        step, writer = self.step, self._writer
        with writing(self.environments, step, self.deadline):
            image = self._require_publishable()
            latest = self._records.read_latest()
            is_live = latest is not None and latest.value == image.image_id
            # Before the first build `latest` may hold any text; there is no record to keep of that.
            old_id = latest.value if latest and not is_live and is_ami_id(latest.value) else None
            # A copy of the live image's snapshots has been verified and published already.
            is_copy_of_live = old_id is not None and old_id == step.copy_of
            origin = self._origin(image)
            verified_at = self._require_verified(image, origin, is_live=is_live or is_copy_of_live)
            gates = self._passed_gates(image, origin, is_live=is_live or is_copy_of_live)
            number = self._number(origin, is_live=is_live)
            replaces = origin.replaces if origin and (is_live or step.copy_of) else old_id
            metadata = self._metadata(image, origin, number, replaces, verified_at)
            metadata = metadata.model_copy(update={"gates": gates})
            metadata = self._with_packages_of(origin, metadata)
            recorder = self._package_recorder(metadata, replaces)
            if recorder is not None:
                metadata = recorder.described()
            if old_id is not None:
                left = self._mark_rolled_back(old_id, image)
                self._record_superseded(old_id, image.image_id, is_rolled_back=old_id in left)
            writer.correct_history(image.image_id, self.images)
            since = self._soaking_since(origin, is_live=is_live)
            self._write_record(metadata, image, since, is_live=is_live)
            if recorder is not None and (kept := recorder.keep(metadata)) != metadata:
                metadata = kept
                self._write_record(metadata, image, since, is_live=is_live)
            writer.write_metadata(metadata)
            # Before `latest` is written: the next push would undo a rollback that is live but not pinned.
            self._move_pin(image)
            writer.write_latest(image.image_id)
        return Published(
            image_id=image.image_id,
            number=number,
            replaced=replaces if is_ami_id(replaces) else None,
            release=metadata.release,
            packages=recorded_packages(metadata.facts) if self.package_lists is not None else None,
        )

    @staticmethod
    def _with_packages_of(origin: HistoryRecord | None, metadata: Metadata) -> Metadata:
        """The metadata with what was said of the packages: a copy has those of its candidate."""
        if origin is None or PACKAGES not in origin.facts:
            return metadata
        facts = {**metadata.facts, PACKAGES: origin.facts[PACKAGES]}
        return metadata.model_copy(update={"facts": facts})

    def _package_recorder(self, metadata: Metadata, replaces: str | None) -> PackageRecorder | None:
        """What keeps the package list; None where lists are off, and for a copy, which has its candidate's."""
        if self.package_lists is None or self.step.copy_of is not None:
            return None
        # Most stacks keep no lists, and should not pay for the import.
        from ami_lifecycle.steps.package_recorder import PackageRecorder  # noqa: PLC0415

        return PackageRecorder(
            lists=self.package_lists,
            metadata=metadata,
            verified=self.step.verified,
            replaced=self._records.read_record(replaces),
        )

    @cached_property
    def _records(self) -> PublishedRecords:
        return PublishedRecords(self.parameters, self.step.plan.configured.parameter_names)

    @cached_property
    def _writer(self) -> RecordWriter:
        return RecordWriter(self.parameters, self.step.plan.configured, self.clock, self.deadline)

    def _require_publishable(self) -> Image:
        step, plan = self.step, self.step.plan
        image = self.images.get(step.image_id)
        if image is None or image.state is not ImageState.AVAILABLE:
            state = "not shown" if image is None else image.state.value
            raise ResourceNotVisibleError(
                f"{step.image_id} is {state}, and only an available image is published; somebody may have removed it"
            )
        if not image.belongs_to(plan.configured.application, plan.environment):
            raise ForeignResourceError(
                f"{step.image_id} does not carry the tags of {plan.configured.application} {plan.environment}; "
                "only images of the environment are published in it"
            )
        if plan.source is not None and image.tags.get(TAG_DIGEST) != plan.source.digest:
            raise ImageMismatchError(
                f"{step.image_id} holds {image.tags.get(TAG_DIGEST)}, not the planned {plan.source.digest}; build again"
            )
        return image

    def _origin(self, image: Image) -> HistoryRecord | None:
        """The record of the image, or of the candidate that it is a copy of."""
        records = self._records
        return records.read_record(image.image_id) or records.read_record(self.step.copy_of)

    def _require_verified(self, image: Image, origin: HistoryRecord | None, *, is_live: bool) -> str | None:
        """The date of the verification that makes the image publishable, or None where none is needed."""
        step = self.step
        if step.copy_of is not None:
            self._require_same_disks(image, step.copy_of)
        if origin is not None and origin.verified_at is not None:
            return origin.verified_at
        if is_live or not step.plan.configured.verification.enabled:
            return None
        verified = step.verified if step.plan.action in _VERIFYING else None
        if verified is None or verified.image_digest != step.plan.image.digest:
            raise ImageNotVerifiedError(
                f"nothing says that {image.image_id} has passed verification, so it is not published; build its "
                "digest. Only the setting verification.enabled switches verification off"
            )
        return timestamp(self.clock.now())

    def _passed_gates(
        self, image: Image, origin: HistoryRecord | None, *, is_live: bool
    ) -> Mapping[str, Mapping[str, Any]]:
        """What the gates say of disks that are published for the first time; of others, what they have said then."""
        plan = self.step.plan
        if origin is None and plan.action is Action.UNDELETE:
            retired = self._records.read_record(plan.promoted.image_id)
            # What was published once is published again, if it is the very disks.
            origin = retired if retired and retired.snapshot_ids == image.snapshot_ids else None
        if origin is not None:
            return origin.gates
        return {} if is_live else pass_gates(self.gates, plan, image)

    def _number(self, origin: HistoryRecord | None, *, is_live: bool) -> int:
        """Number of the published build; adopting a name and repairing a record publish no new one."""
        step = self.step
        known = origin.workflow_run_number if origin and (is_live or step.copy_of) else ""
        if known.isdecimal() and int(known) > 0:
            return int(known)
        return self.environments.count_publication(step.plan.environment, step.execution_arn)

    def _require_same_disks(self, image: Image, copy_of: str) -> None:
        candidate = find_image(copy_of, self.images, self.clock)
        if candidate is None or not image.snapshot_ids or image.snapshot_ids != candidate.snapshot_ids:
            raise ImageMismatchError(
                f"{image.image_id} is not made of the snapshots of the verified {copy_of}; "
                "`latest` stays as it is, and the sweep tries again"
            )
        for attribute in _COPIED:
            if getattr(image, attribute) != getattr(candidate, attribute):
                raise ImageMismatchError(
                    f"{image.image_id} differs from the verified {copy_of} in {attribute}: "
                    f"{getattr(image, attribute)!r}, not {getattr(candidate, attribute)!r}"
                )
        if _disks(image) != _disks(candidate):
            raise ImageMismatchError(
                f"{image.image_id} differs from the verified {copy_of} in its block devices: "
                f"{_disks(image)}, not {_disks(candidate)}"
            )

    def _metadata(
        self,
        image: Image,
        origin: HistoryRecord | None,
        number: int,
        replaces: str | None,
        verified_at: str | None,
    ) -> Metadata:
        step, plan = self.step, self.step.plan
        reason = "; ".join(plan.reasons)
        if plan.action is Action.BUILD:
            return metadata_of(
                plan,
                image,
                region=self.region,
                number=number,
                replaces=replaces,
                provisioned=step.provisioned,
                verified_at=verified_at,
                verified=step.verified,
                run_name=self._run_name,
                first_boot=self._first_boot(image),
            )
        if plan.action in {Action.PROMOTE, Action.UNDELETE} and origin is None:
            return self._metadata_of_promotion(image, number, replaces, verified_at)
        if origin is None:
            return metadata_from_tags(image, plan.environment, self.region, reason)
        own = origin.model_copy(
            update={
                "ami_id": image.image_id,
                "snapshot_ids": image.snapshot_ids,
                "release": origin.release or release_of(image),
            }
        )
        return metadata_from(own, number=number, replaces=replaces, reason=reason)

    @property
    def _run_name(self) -> str:
        return self.step.execution_arn.rsplit(":", 1)[-1]

    def _metadata_of_promotion(
        self, image: Image, number: int, replaces: str | None, verified_at: str | None
    ) -> Metadata:
        step, promotion = self.step, self.step.plan.promoted
        names = ParameterNames(step.plan.configured.application, promotion.environment)
        return metadata_of_promotion(
            step.plan,
            image,
            PublishedRecords(self.parameters, names).read_record(promotion.image_id),
            region=self.region,
            number=number,
            replaces=replaces,
            verified_at=verified_at,
            verified=step.verified,
            run_name=self._run_name,
            first_boot=self._first_boot(image),
        )

    def _first_boot(self, image: Image) -> FirstBoot | None:
        """Time and cost of its first boots at the configured initialization rate; None without one."""
        settings = self.step.plan.configured.launch
        if not settings.initialization_rate:
            return None
        try:
            snapshots = self.images.find_each_snapshot(image.snapshot_ids)
        except RefusedError as error:
            # The image is verified; an incomplete record is no reason not to publish it.
            _LOGGER.warning("the record of %s says nothing of first boots: %s", image.image_id, error)
            return None
        found = {each.snapshot_id: each for each in snapshots}
        return first_boot_of(
            settings, [found[each].data_bytes if each in found else None for each in image.snapshot_ids]
        )

    def _mark_rolled_back(self, old_id: str, image: Image) -> set[str]:
        """Mark the records that a rollback skips, so that a later rollback does not return to them; their ids.

        Must run before the image's own record gets its new publication number, which delimits them.
        """
        request = self.step.plan.request
        if request is None or not request.goes_back or self.step.copy_of is not None:
            return set()
        records = [record for record in self._records.read_history().values() if record is not None]
        left = rolled_back_by(records, old_id, image.tags.get(TAG_DIGEST) or image.image_id)
        for record in left:
            if record.ami_id != old_id:
                self._writer.write_record(record.ami_id, record.model_copy(update={"rolled_back": True}))
        return {record.ami_id for record in left}

    def _record_superseded(self, old_id: str, new_id: str, *, is_rolled_back: bool) -> None:
        """Write the record of the image that `latest` names now, before it is replaced."""
        step = self.step
        record = self._records.read_record(old_id)
        metadata = record or self._records.read_metadata()
        if metadata is None or metadata.ami_id != old_id:
            # Also for an image that no longer exists: `latest` has named it.
            image = find_image(old_id, self.images, self.clock)
            known = image or Image(image_id=old_id, name="", state=ImageState.DEREGISTERED)
            metadata = metadata_from_tags(
                known, step.plan.environment, self.region, "published before records began"
            )
        why = "the same disks under the canonical name" if step.copy_of == old_id else "a newer publication"
        archived = history_of(
            metadata,
            RecordStatus.SUPERSEDED,
            f"replaced by {new_id}: {why}",
            self.clock.now(),
            superseded_by=new_id,
            published_by=record.published_by if record else None,
            rolled_back=is_rolled_back,
        )
        if record is None or _state(record) != _state(archived):
            self._writer.write_record(old_id, archived)

    def _soaking_since(self, origin: HistoryRecord | None, *, is_live: bool) -> str | None:
        """Since when an alarm may undo this publication; another id or another look at the same one is none of its own.

        A rollback has none, so that alarms never go to and fro between two images.
        """
        step = self.step
        if origin is not None and (is_live or step.copy_of):
            return origin.soaking_since
        request = step.plan.request
        is_first = step.plan.action in _VERIFYING and not (request is not None and request.goes_back)
        if not is_first or step.plan.configured.rollback_on_alarm.soak is None:
            return None
        return timestamp(self.clock.now())

    def _write_record(
        self, metadata: Metadata, image: Image, soaking_since: str | None, *, is_live: bool
    ) -> None:
        known = self._records.read_record(metadata.ami_id)
        publisher = known.published_by if known and is_live else self.step.execution_arn
        record = history_of(
            metadata,
            RecordStatus.LIVE,
            "published",
            self.clock.now(),
            published_by=publisher,
            # A new publication clears the mark of a rollback; writing the record again does not.
            rolled_back=known is not None and is_live and known.rolled_back,
            registration=registration_of(image),
            soaking_since=soaking_since,
        )
        if known is not None and known.model_copy(update={"status_since": record.status_since}) == record:
            return
        self._writer.write_record(metadata.ami_id, record)

    def _move_pin(self, image: Image) -> None:
        """Pin as requested; move a pin from the candidate to its canonical copy; remove a pin that was overridden.

        The copy does not create a pin: where there is none any more, it was removed on purpose.
        """
        step = self.step
        request, environment = step.plan.request, step.plan.environment
        pinned = self.environments.get(environment).pin
        if request is not None and request.pin and step.copy_of is None:
            if pinned is None or pinned.image_id not in {image.image_id, step.copy_of}:
                pinned = Pin(image_id="", at=self.clock.now(), reason=request.reason or "")
            moved = pinned.model_copy(
                update={"image_id": image.image_id, "digest": image.tags.get(TAG_DIGEST)}
            )
            self.environments.set_pin(environment, moved)
        elif pinned is not None and pinned.image_id == step.copy_of:
            self.environments.set_pin(environment, pinned.model_copy(update={"image_id": image.image_id}))
        elif pinned is not None and pinned.image_id != image.image_id and step.plan.action in _VERIFYING:
            self.environments.set_pin(environment, None)


def _state(record: HistoryRecord) -> tuple[RecordStatus, str | None, bool]:
    return record.status, record.superseded_by, record.rolled_back


def _disks(image: Image) -> list[tuple[str, str | None, int | None, bool | None]]:
    """The EBS block devices of an image, ordered by device name."""
    return sorted(
        (found.device_name, found.volume_type, found.volume_size, found.delete_on_termination)
        for found in image.block_devices
        if found.snapshot_id
    )
