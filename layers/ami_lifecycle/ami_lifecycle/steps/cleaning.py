"""What an execution that has ended left behind, decided from what is there: tags, `latest`, history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ami_lifecycle.domain.decision import Blocked, Decision, RetireAction
from ami_lifecycle.domain.model import (
    TAG_APPLICATION,
    TAG_ENVIRONMENT,
    TAG_EXECUTION,
    Frozen,
    Image,
    ImageState,
)
from ami_lifecycle.domain.naming import ParameterNames
from ami_lifecycle.domain.publication import load
from ami_lifecycle.domain.record import HistoryRecord, RecordStatus
from ami_lifecycle.domain.retirement import decide
from ami_lifecycle.domain.settings import RetirementSettings
from ami_lifecycle.ports import Images, ImageUsage, Instances, Parameters, StoredParameter
from ami_lifecycle.steps.one_by_one import one_by_one, raise_passing
from ami_lifecycle.steps.published import PublishedRecords
from ami_lifecycle.steps.retire_images import delete_unused_snapshots

_STRICT = RetirementSettings(protect_running_instances=True, launch_template_versions="all")


class Cleaned(Frozen):
    """What was removed, what was kept for a reason, and what AWS refused to let go."""

    terminated: tuple[str, ...] = ()
    deregistered: tuple[str, ...] = ()
    deleted_snapshots: tuple[str, ...] = ()
    kept: tuple[Decision, ...] = ()
    blocked: tuple[Blocked, ...] = ()

    @property
    def removed_anything(self) -> bool:
        """Whether something was left behind."""
        return bool(self.terminated or self.deregistered or self.deleted_snapshots)


@dataclass(frozen=True)
class Cleaner:
    """Removes what an ended execution made and did not publish. The execution must not hold a claim any
    more: its functions cannot make anything new then.
    """

    instances: Instances
    images: Images
    usage: ImageUsage
    parameters: Parameters
    application: str

    def clean(
        self, execution_arn: str, *, has_succeeded: bool = False, held_back: frozenset[str] = frozenset()
    ) -> Cleaned:
        """Terminate instances, deregister unpublished images, delete their snapshots.

        Args:
            has_succeeded: the execution has finished what it published, so an image of it that `latest` does
                not name was replaced, if only by hand.
            held_back: ids of things that were refused before, and are not asked for again yet.

        Raises:
            CleanUpIncompleteError: a snapshot is not gone yet; clean again.
            ResourceNotVisibleError: an instance cannot be terminated yet; clean again.
            TransientError: in its other kinds; whatever one thing's fault was, the others are done.
        """
        mine = {TAG_APPLICATION: self.application, TAG_EXECUTION: execution_arn}
        instances = self.instances.find(mine)
        running = [found.instance_id for found in instances if not found.state.is_over]
        terminated = one_by_one(_without(running, held_back), str, self._terminate)
        temporary = frozenset(instance.instance_id for instance in instances)
        decided = one_by_one(
            [image for image in self.images.find(mine) if image.image_id not in held_back],
            lambda image: image.image_id,
            lambda image: self._carry_out(image, temporary, has_succeeded=has_succeeded),
        )
        snapshots = [found.snapshot_id for found in self.images.find_snapshots(mine) if not found.is_copy]
        by_action = {
            action: [found for found in decided.done if found.action is action] for action in RetireAction
        }
        deleted = delete_unused_snapshots(
            self.images,
            _without(snapshots, held_back),
            just_deregistered=bool(by_action[RetireAction.RETIRE]),
        )
        raise_passing(terminated, decided, deleted)
        return Cleaned(
            terminated=tuple(terminated.done),
            deregistered=tuple(found.image_id for found in by_action[RetireAction.RETIRE]),
            deleted_snapshots=tuple(found for found in deleted.done if found is not None),
            kept=tuple(by_action[RetireAction.KEEP]),
            blocked=(*terminated.blocked, *decided.blocked, *deleted.blocked),
        )

    def _terminate(self, instance_id: str) -> str:
        self.instances.terminate(instance_id)
        return instance_id

    def is_settled(self, image: Image) -> bool:
        """Whether the image is none of a clean-up's business: published, or not ours."""
        return self._reason_to_keep(image) is not None

    def _carry_out(self, image: Image, temporary: frozenset[str], *, has_succeeded: bool) -> Decision:
        if (reason := self._reason_to_keep(image, has_succeeded=has_succeeded)) is not None:
            return Decision(image_id=image.image_id, action=RetireAction.KEEP, reason=reason)
        decision = self._check_use(image, temporary)
        if decision.action is RetireAction.RETIRE:
            # Once more, because Parameter Store may have answered with an old value.
            records = self._records(image)
            if records.is_latest(image.image_id):
                return Decision(image_id=image.image_id, action=RetireAction.KEEP, reason="`latest` names it")
            # The record first: once the image is gone, nobody looks again. `latest` never named it, so
            # history does not either.
            if records.find_record(image.image_id) is not None:
                records.delete_record(image.image_id)
            self.images.deregister(image.image_id)
        return decision

    def _reason_to_keep(self, image: Image, *, has_succeeded: bool = False) -> str | None:
        if image.is_copy:
            return f"it carries our tags under the name {image.name}, so it is somebody's copy"
        if not image.tags.get(TAG_ENVIRONMENT):
            return f"somebody has removed its tag {TAG_ENVIRONMENT}, so nothing tells whether it is published"
        records = self._records(image)
        latest = records.read_latest()
        if latest is not None and latest.value == image.image_id:
            return "`latest` names it"
        stored = records.find_record(image.image_id)
        if stored is None:
            return None
        record = load(HistoryRecord, stored.value)
        owner = image.tags.get(TAG_EXECUTION)
        if record is not None and not has_succeeded and _was_interrupted(record, latest, owner):
            return None
        return "it was published; retirement decides about it"

    def _check_use(self, image: Image, temporary: frozenset[str]) -> Decision:
        """Nobody should know an unpublished image, but a person may have deleted its record."""
        if image.state not in {ImageState.AVAILABLE, ImageState.DISABLED}:
            reason = f"it was never published, and cannot be launched while it is {image.state.value}"
            return Decision(image_id=image.image_id, action=RetireAction.RETIRE, reason=reason)
        usages = self.usage.usage_of([image.image_id])
        # No `latest` ever named it, so one that seems to is a write that our own reading has missed.
        return decide(usages, _STRICT, None, temporary)[0]

    def _records(self, image: Image) -> PublishedRecords:
        names = ParameterNames(self.application, image.tags.get(TAG_ENVIRONMENT, ""))
        return PublishedRecords(self.parameters, names)


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
