"""Retire Previous Images: what nobody uses goes, with its snapshots; what could not be read stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from ami_lifecycle.domain.decision import Blocked, Decision, RetireAction, Retirement
from ami_lifecycle.domain.environment import EnvironmentRecord
from ami_lifecycle.domain.execution import ClaimedInput, Published
from ami_lifecycle.domain.model import TAG_APPLICATION, TAG_ENVIRONMENT, TAG_EXECUTION, Image
from ami_lifecycle.domain.planning import Live
from ami_lifecycle.domain.publication import history_of
from ami_lifecycle.domain.record import HistoryRecord, RecordStatus
from ami_lifecycle.domain.retirement import decide, sort_out
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import CleanUpIncompleteError, RefusedError
from ami_lifecycle.ports import Clock, Environments, Images, ImageUsage, Instances, Parameters
from ami_lifecycle.steps.fencing import writing
from ami_lifecycle.steps.observing import account_of
from ami_lifecycle.steps.one_by_one import Outcomes, one_by_one, raise_passing
from ami_lifecycle.steps.published import PublishedRecords, RecordWriter

_LOOKS: Final = 8
_LOOK_SECONDS: Final = 0.25


class RetireInput(ClaimedInput):
    """Input of `retire_images`. `published` is what this execution has made `latest` say, if it has."""

    published: Published | None = None


@dataclass(frozen=True)
class RetirementReview:
    """Which images of an environment can go, and whether its name can be adopted. It changes nothing."""

    settings: EnvironmentSettings
    instances: Instances
    images: Images
    usage: ImageUsage
    parameters: Parameters
    environments: Environments

    def decide(self, live: Image, execution_arn: str | None = None) -> list[Decision]:
        """Decide for each image of the environment but the live one.

        Args:
            execution_arn: the execution that decides, and knows what it has made itself.
        """
        settings = self.settings
        owned = self.images.find(environment_tags(settings))
        record = self.environments.get(settings.environment)
        awaited = {**_awaited(record), **_being_made(record, owned, execution_arn)}
        keep = settings.retirement.keep_previous
        sorted_out = sort_out(live, owned, keep, awaited, self._history() if keep else ())
        usages = self.usage.usage_of(
            [image.image_id for image in sorted_out.open], settings.retirement.parameter_paths
        )
        own_latest = settings.parameter_names.latest
        ours = self.instances.find(environment_tags(settings))
        temporary = frozenset(instance.instance_id for instance in ours)
        return [*sorted_out.kept, *decide(usages, settings.retirement, own_latest, temporary)]

    def _history(self) -> list[HistoryRecord]:
        found = PublishedRecords(self.parameters, self.settings.parameter_names).read_history()
        return [record for record in found.values() if record is not None]

    def can_adopt(self, live: Image) -> tuple[bool, str]:
        """Whether the canonical name can be adopted now, and why or why not."""
        settings = self.settings
        if settings.publication.image_naming == "unique":
            return False, "image_naming is unique, so the image keeps its own name"
        if live.name == settings.image_name:
            return False, "the image has the canonical name already"
        holders = [image.image_id for image in self.images.find_by_name(settings.image_name)]
        if holders:
            return False, f"{', '.join(holders)} still has the name {settings.image_name}"
        return True, f"the name {settings.image_name} is free"


@dataclass(frozen=True)
class Retirer:
    """Retires the images of one environment that are not `latest`."""

    step: RetireInput
    instances: Instances
    images: Images
    usage: ImageUsage
    parameters: Parameters
    environments: Environments
    clock: Clock
    deadline: datetime

    def retire(self) -> Retirement:
        """Decide for each image, and carry the decisions out.

        Raises:
            ClaimLostError: the environment is not held any more.
            TransientError: in its kinds, when one thing failed for now; the others are done, and the step
                is repeated. What AWS refuses is reported as blocked instead.
        """
        review = RetirementReview(
            self._settings, self.instances, self.images, self.usage, self.parameters, self.environments
        )
        with writing(self.environments, self.step, self.deadline):
            live = self._read_live()
            if live.image is None:
                return Retirement(adopt_reason=f"nothing is retired while {live.problem}")
            if (doubt := _doubt(live.value, self.step)) is not None:
                return Retirement(adopt_reason=doubt)
            decisions = review.decide(live.image, self.step.execution_arn)
            # Uses of the image that `latest` names are not asked for, so an old value would cost the live
            # image: it is read once more, after all else has been read and before anything is removed.
            again = self._records.read_latest()
            if again is None or again.value != live.value:
                return Retirement(
                    adopt_reason=f"nothing is retired while `latest` reads {live.value}, and then "
                    f"{again.value if again else 'nothing'}; the sweep decides again"
                )
            kept = [decision for decision in decisions if decision.action is RetireAction.KEEP]
            due = [decision for decision in decisions if decision.action is RetireAction.RETIRE]
            noted = self._note(kept)
            retired = one_by_one(due, lambda decision: decision.image_id, self._retire)
            left = [_left(blocked) for blocked in retired.blocked]
            corrected = self._note(left)
            deleted = self._delete_unused_snapshots(just_deregistered=bool(retired.done))
            # All is tried before a passing fault of one thing repeats the step.
            raise_passing(noted, retired, corrected, deleted)
            adopt, reason = review.can_adopt(live.image)
        return Retirement(
            decisions=(*kept, *retired.done, *left),
            blocked=(*noted.blocked, *retired.blocked, *corrected.blocked, *deleted.blocked),
            adopt_name=adopt,
            adopt_reason=reason,
        )

    @property
    def _settings(self) -> EnvironmentSettings:
        return self.step.plan.configured

    @cached_property
    def _records(self) -> PublishedRecords:
        return PublishedRecords(self.parameters, self._settings.parameter_names)

    def _read_live(self) -> Live:
        """What `latest` names. After a write Parameter Store may answer with the old value for a while."""
        for _ in range(_LOOKS):
            live = self._records.read_live(account_of(self.step.execution_arn), self.images, self.clock)
            if _doubt(live.value, self.step) is None:
                break
            self.clock.pause(_LOOK_SECONDS)
        return live

    def _note(self, kept: Sequence[Decision]) -> Outcomes[None]:
        """Say in the records of images that they are kept, and why."""
        return one_by_one(
            kept,
            lambda decision: self._records.names.record(decision.image_id),
            lambda decision: self._record(decision, RecordStatus.KEPT),
        )

    def _retire(self, decision: Decision) -> Decision:
        # The record comes first: nobody looks at an image again that is gone.
        self._record(decision, RecordStatus.RETIRED)
        self.images.deregister(decision.image_id)
        return decision

    def _record(self, decision: Decision, status: RecordStatus) -> None:
        record = self._records.read_record(decision.image_id)
        if record is None or (record.status, record.status_reason) == (status, decision.reason[:300]):
            return
        changed = history_of(
            record, status, decision.reason, self.clock.now(), record.superseded_by, record.published_by
        )
        RecordWriter(self.parameters, self._settings, self.clock).write_record(decision.image_id, changed)

    def _delete_unused_snapshots(self, *, just_deregistered: bool) -> Outcomes[str | None]:
        found = self.images.find_snapshots(environment_tags(self._settings))
        return delete_unused_snapshots(
            self.images,
            [snapshot.snapshot_id for snapshot in found if not snapshot.is_copy],
            just_deregistered=just_deregistered,
        )


def _awaited(record: EnvironmentRecord) -> dict[str, str]:
    """Images that are about to be published again, and why."""
    awaited = {}
    if record.wanted is not None and record.wanted.publish_image_id is not None:
        awaited[record.wanted.publish_image_id] = "a request that waits publishes it again"
    if record.pin is not None:
        awaited[record.pin.image_id] = "the environment is pinned to it"
    return awaited


def _being_made(
    record: EnvironmentRecord, owned: Sequence[Image], execution_arn: str | None
) -> dict[str, str]:
    """Images of the execution that holds the environment, which are no previous ones, and why they stay."""
    claim = record.claim
    if claim is None or claim.execution_arn == execution_arn:
        return {}
    why = f"{claim.execution_arn.rsplit(':', 1)[-1]} has made it and still runs"
    return {image.image_id: why for image in owned if image.tags.get(TAG_EXECUTION) == claim.execution_arn}


def _doubt(value: str | None, step: RetireInput) -> str | None:
    """Why this value of `latest` is not believed: this execution has just written another one."""
    if step.published is None or value == step.published.image_id:
        return None
    return (
        f"nothing is retired while `latest` names {value}, and not {step.published.image_id}, which this "
        "execution published: somebody has changed it since, and the sweep decides"
    )


def environment_tags(settings: EnvironmentSettings) -> dict[str, str]:
    """The tags that make a resource one of this application and environment."""
    return {TAG_APPLICATION: settings.application, TAG_ENVIRONMENT: settings.environment}


def _left(blocked: Blocked) -> Decision:
    """The decision about an image that could not be retired."""
    return Decision(image_id=blocked.resource, action=RetireAction.KEEP, reason=blocked.reason, blocked=True)


def delete_unused_snapshots(
    images: Images, snapshot_ids: Sequence[str], *, just_deregistered: bool
) -> Outcomes[str | None]:
    """Delete the snapshots that no own image is made of: the ids of those deleted, None for those in use.

    One that EC2 still counts as used is a passing failure, `CleanUpIncompleteError`, if an image was deregistered a
    moment ago. Otherwise it is refused: an image in the Recycle Bin is not shown, and keeps its snapshots for as long
    as its rule says, up to a year (EBS user guide, Recycle Bin).
    """

    def delete(snapshot_id: str) -> str | None:
        if images.images_of_snapshot(snapshot_id):
            return None
        if not images.delete_snapshot(snapshot_id):
            if just_deregistered:
                raise CleanUpIncompleteError(
                    f"EC2 still counts {snapshot_id} as used, though no image shows it; try again"
                )
            raise RefusedError(
                f"EC2 counts {snapshot_id} as used, though no image shows it. An image in the Recycle Bin keeps its "
                "snapshots (aws ec2 list-images-in-recycle-bin): exclude the service's images from the retention "
                "rule by their tags, or wait until it expires there; it is tried again later."
            )
        return snapshot_id

    return one_by_one(snapshot_ids, str, delete)
