"""Removal of what an ended execution left behind, found by tags, `latest` and history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple

from ami_lifecycle.domain.decision import Blocked, Decision, RetireAction
from ami_lifecycle.domain.model import (
    TAG_APPLICATION,
    TAG_ENVIRONMENT,
    TAG_EXECUTION,
    Frozen,
    Image,
)
from ami_lifecycle.domain.naming import ParameterNames
from ami_lifecycle.domain.publication import load
from ami_lifecycle.domain.record import HistoryRecord, RecordStatus
from ami_lifecycle.domain.retirement import decide
from ami_lifecycle.domain.settings import RetirementSettings
from ami_lifecycle.ports import (
    Clock,
    Images,
    ImageUsage,
    Instances,
    PackageLists,
    Parameters,
    StoredParameter,
)
from ami_lifecycle.steps.batch import BatchResult, process_each, raise_transient
from ami_lifecycle.steps.image_removal import (
    LAUNCHABLE,
    ImageRemover,
    RemovalReview,
    delete_unused_snapshots,
    snapshots_with,
)
from ami_lifecycle.steps.published_records import PublishedRecords

_STRICT = RetirementSettings(protect_running_instances=True, launch_template_versions="all")


class RemovedOrphans(Frozen):
    """What was removed, what was kept and why, and what AWS refused to remove."""

    terminated: tuple[str, ...] = ()
    deregistered: tuple[str, ...] = ()
    deleted_snapshots: tuple[str, ...] = ()
    kept: tuple[Decision, ...] = ()
    blocked: tuple[Blocked, ...] = ()

    @property
    def removed_anything(self) -> bool:
        """Whether there was anything to remove."""
        return bool(self.terminated or self.deregistered or self.deleted_snapshots)


@dataclass(frozen=True)
class OrphanRemover:
    """Removes what an ended execution created and did not publish. The execution must no longer hold a claim: only
    then can its functions create nothing new.
    """

    instances: Instances
    images: Images
    usage: ImageUsage
    parameters: Parameters
    clock: Clock
    application: str
    deadline: datetime | None = None
    package_lists: PackageLists | None = None

    def remove(
        self, execution_arn: str, *, has_succeeded: bool = False, held_back: frozenset[str] = frozenset()
    ) -> RemovedOrphans:
        """Terminate instances, deregister unpublished images, delete their snapshots.

        Args:
            has_succeeded: the execution completed its publication, so an image of it that `latest` does not name has
                been replaced since.
            held_back: ids of resources whose removal was refused and is not due for a retry yet.

        Raises:
            CleanUpIncompleteError: a snapshot still exists, or the time did not suffice for all images; retry.
            ResourceNotVisibleError: an instance cannot be terminated yet; retry.
            TransientError: another of its subclasses; all other resources have been handled.
        """
        tags = {TAG_APPLICATION: self.application, TAG_EXECUTION: execution_arn}
        instances = self.instances.find(tags)
        running = [found.instance_id for found in instances if not found.state.is_over]
        terminated = process_each(_without(running, held_back), str, self._terminate)
        temporary = frozenset(instance.instance_id for instance in instances)
        made = self.images.find(tags)
        own = [found.snapshot_id for found in self.images.find_snapshots(tags) if not found.is_copy]
        # Snapshots of a promoted image are of the execution that has built it for another environment.
        snapshots = snapshots_with(self.images, own, made, self.application)
        recorded: dict[str, PublishedRecords] = {}
        removed = ImageRemover(self.images, self.usage, self.clock, self.deadline).remove(
            [image for image in made if image.image_id not in held_back],
            _without(snapshots, held_back),
            _STRICT,
            partial(self._review, temporary, recorded, has_succeeded=has_succeeded),
            partial(self._delete_record, recorded),
        )
        deleted = delete_unused_snapshots(
            self.images,
            _without(snapshots, held_back | frozenset(removed.deleted_snapshots)),
            just_deregistered=bool(removed.retired),
        )
        raise_transient(terminated, removed.tried, deleted)
        removed.raise_unfinished()
        return RemovedOrphans(
            terminated=tuple(terminated.done),
            deregistered=tuple(found.image_id for found in removed.retired),
            deleted_snapshots=(*removed.deleted_snapshots, *deleted.done),
            kept=(
                *removed.kept,
                *(found for found in removed.tried.done if found.action is RetireAction.KEEP),
            ),
            blocked=(*terminated.blocked, *removed.tried.blocked, *deleted.blocked),
        )

    def _terminate(self, instance_id: str) -> str:
        self.instances.terminate(instance_id)
        return instance_id

    def orphaned_images(self, images: Sequence[Image]) -> BatchResult[Image]:
        """The images that were created by an execution of this application and never published."""
        published = self._read_published(images)
        found = [
            image for each in published.done for image in each.images if each.reason_to_keep(image) is None
        ]
        return BatchResult(found, published.blocked, published.transient)

    def _read_published(self, images: Sequence[Image]) -> BatchResult[_Published]:
        """The published records of the images and of the environments that they belong to."""
        published: BatchResult[_Published] = BatchResult()
        for environment in dict.fromkeys(image.tags.get(TAG_ENVIRONMENT, "") for image in images):
            group = [image for image in images if image.tags.get(TAG_ENVIRONMENT, "") == environment]
            together = process_each([group], lambda _: environment, self._read_one)  # noqa: B023
            # A batch may fail because of one record, so they are read again one at a time.
            refused = [[image] for image in group] if together.blocked else []
            one_at_a_time = process_each(refused, lambda images: images[0].image_id, self._read_one)
            published.done += [*together.done, *one_at_a_time.done]
            published.blocked += one_at_a_time.blocked
            published.transient += [*together.transient, *one_at_a_time.transient]
        return published

    def _read_one(self, images: Sequence[Image]) -> _Published:
        environment = images[0].tags.get(TAG_ENVIRONMENT, "")
        records = PublishedRecords(self.parameters, ParameterNames(self.application, environment))
        read = [image.image_id for image in images if environment and not image.is_copy]
        if not read:
            return _Published(records, images, None, {})
        return _Published(records, images, records.read_latest(), records.find_records(read))

    def _review(
        self,
        temporary: frozenset[str],
        recorded: dict[str, PublishedRecords],
        images: Sequence[Image],
        *,
        has_succeeded: bool,
    ) -> RemovalReview:
        """Decide for several images; adds the records of those that have one to `recorded`."""
        published = self._read_published(images)
        decided: BatchResult[Decision] = BatchResult([], published.blocked, published.transient)
        undecided = []
        for each in published.done:
            for image in each.images:
                reason = each.reason_to_keep(image, has_succeeded=has_succeeded)
                if reason is None:
                    undecided.append(image)
                    recorded |= {image.image_id: each.records} if each.stored.get(image.image_id) else {}
                else:
                    decided.done.append(_kept(image.image_id, reason))
        retirable: list[Decision] = []
        for decision in self._check_uses(undecided, temporary):
            (retirable if decision.action is RetireAction.RETIRE else decided.done).append(decision)
        # `latest` is read again, because Parameter Store may have answered with a stale value.
        reread = process_each(
            [each for each in published.done if {image.image_id for image in each.images} & _ids(retirable)],
            lambda each: each.records.names.latest,
            lambda each: each._replace(latest=each.records.read_latest()),
        )
        for each in reread.done:
            of_environment = [
                found for found in retirable if found.image_id in {image.image_id for image in each.images}
            ]
            latest = each.latest.value if each.latest else None
            decided.done += [
                _kept(found.image_id, "`latest` names it") if found.image_id == latest else found
                for found in of_environment
            ]
        decided.blocked += reread.blocked
        decided.transient += reread.transient
        return RemovalReview(decided)

    def _check_uses(self, images: Sequence[Image], temporary: frozenset[str]) -> list[Decision]:
        """Look up uses all the same: somebody may have deleted the record of a published image."""
        decided = [
            Decision(
                image_id=image.image_id,
                action=RetireAction.RETIRE,
                reason=f"it was never published, and cannot be launched while it is {image.state.value}",
            )
            for image in images
            if image.state not in LAUNCHABLE
        ]
        launchable = [image.image_id for image in images if image.state in LAUNCHABLE]
        if launchable:
            usages = self.usage.usage_of(launchable, with_permissions=False)
            # These images were never published, so a `latest` that names one is newer than what was read here.
            decided += decide(usages, _STRICT, None, temporary)
        return decided

    def _delete_record(self, recorded: Mapping[str, PublishedRecords], decision: Decision) -> None:
        # The record goes first: once the image is gone, nothing would find it. `latest` never named the image, so
        # history must not either.
        records = recorded.get(decision.image_id)
        if records is None:
            return
        if self.package_lists is None:
            records.delete_record(decision.image_id)
            return
        # Most stacks keep no lists, and should not pay for the import.
        from ami_lifecycle.steps.package_remover import PackageRemover  # noqa: PLC0415

        PackageRemover(self.package_lists, records, records.read_history()).forget(decision.image_id)


class _Published(NamedTuple):
    """The published records of one environment, for some of its images."""

    records: PublishedRecords
    images: Sequence[Image]
    latest: StoredParameter | None
    stored: Mapping[str, StoredParameter | None]

    def reason_to_keep(self, image: Image, *, has_succeeded: bool = False) -> str | None:
        """Why the clean-up keeps the image; None where it may be removed."""
        if image.is_copy:
            return f"it carries our tags under the name {image.name}, so it is somebody's copy"
        if not image.tags.get(TAG_ENVIRONMENT):
            return f"somebody has removed its tag {TAG_ENVIRONMENT}, so nothing tells whether it is published"
        if self.latest is not None and self.latest.value == image.image_id:
            return "`latest` names it"
        stored = self.stored.get(image.image_id)
        if stored is None:
            return None
        record = load(HistoryRecord, stored.value)
        owner = image.tags.get(TAG_EXECUTION)
        if record is not None and not has_succeeded and _was_interrupted(record, self.latest, owner):
            return None
        return "it was published; retirement decides about it"


def _kept(image_id: str, reason: str) -> Decision:
    return Decision(image_id=image_id, action=RetireAction.KEEP, reason=reason)


def _ids(decisions: Sequence[Decision]) -> set[str]:
    return {decision.image_id for decision in decisions}


def _without(ids: Sequence[str], held_back: frozenset[str]) -> list[str]:
    return [found for found in ids if found not in held_back]


def _was_interrupted(record: HistoryRecord, latest: StoredParameter | None, owner: str | None) -> bool:
    """Whether the record was written for a publication by the image's owner that never reached `latest`.

    Whoever replaces an image in `latest` marks its record superseded first, so a record that says live
    of an image that `latest` does not name belongs to a publication that was stopped in between, or that
    another execution, such as a rollback, is about to finish.
    """
    if record.status is not RecordStatus.LIVE or record.published_by != owner:
        return False
    return latest is not None or record.replaces is None
