"""Retire Previous Images: unused images are deregistered with their snapshots; unknown use means keep."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from typing import Final

from ami_lifecycle.domain.decision import Blocked, Decision, RetireAction, Retirement, most_relevant
from ami_lifecycle.domain.environment import EnvironmentRecord
from ami_lifecycle.domain.execution import ClaimedInput, Published
from ami_lifecycle.domain.image_switches import DueSwitch, due_switches
from ami_lifecycle.domain.model import TAG_APPLICATION, TAG_ENVIRONMENT, TAG_EXECUTION, Image, Usage
from ami_lifecycle.domain.planning import Live
from ami_lifecycle.domain.publication import history_of
from ami_lifecycle.domain.record import HistoryRecord, RecordStatus
from ami_lifecycle.domain.retirement import PreviousImages, decide, previous_images
from ami_lifecycle.domain.retirement_limit import NO_LIMIT, RetirementLimit, limit_of
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.ports import (
    Clock,
    Environments,
    Images,
    ImageUsage,
    Instances,
    Parameters,
    StoredParameter,
)
from ami_lifecycle.steps.batch import BatchResult, process_each, raise_transient
from ami_lifecycle.steps.fencing import writing
from ami_lifecycle.steps.image_removal import (
    ImageRemover,
    RemovalResult,
    RemovalReview,
    delete_unused_snapshots,
    snapshots_with,
)
from ami_lifecycle.steps.image_switches import ImageSwitcher
from ami_lifecycle.steps.lookups import account_of
from ami_lifecycle.steps.published_records import PublishedRecords, RecordWriter, parse_stored

_READ_ATTEMPTS: Final = 8
_PAUSE_SECONDS: Final = 0.25


class RetireInput(ClaimedInput):
    """Input of `retire_images`. `published` is this execution's publication, if there was one."""

    published: Published | None = None


@dataclass(frozen=True)
class RetirementReview:
    """Decides which images of an environment can be retired, and whether the canonical name is free. Read-only."""

    settings: EnvironmentSettings
    instances: Instances
    images: Images
    usage: ImageUsage
    parameters: Parameters
    environments: Environments
    clock: Clock

    def decide(self, live: Image, execution_arn: str | None = None) -> list[Decision]:
        """Decide for each image of the environment except the live one.

        Args:
            execution_arn: the execution that decides; images of another execution that holds the environment are
                kept.
        """
        previous = self.previous_images(live, execution_arn)
        return [*previous.kept, *self.decide_for(previous.undecided, with_permissions=True)]

    def previous_images(self, live: Image, execution_arn: str | None = None) -> PreviousImages:
        """The images that the settings keep, and those whose uses have to be looked up."""
        settings = self.settings
        owned = self.images.find(environment_tags(settings))
        record = self.environments.get(settings.environment)
        reserved = {
            **self._soaking(live, owned),
            **_reserved(record),
            **_made_by_holder(record, owned, execution_arn),
        }
        keep = settings.retirement.keep_previous
        return previous_images(
            live,
            owned,
            keep,
            reserved,
            self._history() if keep else (),
            unprotects=settings.retirement.deregistration_protection,
        )

    def due_switches(
        self, live: Image, gone: Collection[str] = (), execution_arn: str | None = None, *, is_final: bool
    ) -> list[DueSwitch]:
        """What has to be switched at the images that stay.

        Args:
            gone: images that have just been deregistered, and that EC2 may still show.
        """
        policy = self.settings.retirement
        is_ours = live.belongs_to(self.settings.application, self.settings.environment)
        if not is_ours or not (policy.deprecate_kept or policy.deregistration_protection):
            return []
        owned = self.images.find(environment_tags(self.settings)) if policy.deprecate_kept else []
        record = self.environments.get(self.settings.environment)
        others = {live.image_id, *gone, *_reserved(record), *_made_by_holder(record, owned, execution_arn)}
        previous = [image for image in owned if image.image_id not in others and not image.is_copy]
        return due_switches(policy, live, previous, is_final=is_final)

    def _soaking(self, live: Image, owned: Sequence[Image]) -> dict[str, str]:
        """The image that an alarm would have published again, and why it is kept. While nobody knows which one that is,
        it is each.
        """
        alarms = self.settings.rollback_on_alarm.alarms
        if alarms is None:
            return {}
        # Only environments that listen to alarms need it.
        from ami_lifecycle.domain.alarms import reason_to_keep, soak_of  # noqa: PLC0415

        record = PublishedRecords(self.parameters, self.settings.parameter_names).read_record(live.image_id)
        if record is None:
            why = f"history has no readable record of {live.image_id} yet, so an alarm may need it"
            return {image.image_id: why for image in owned}
        soak = soak_of(record, self.settings)
        if soak is None or soak.back_to is None or self.clock.now() > soak.kept_until:
            return {}
        return {soak.back_to: reason_to_keep(soak, alarms)}

    def decide_for(self, images: Sequence[Image], *, with_permissions: bool = False) -> list[Decision]:
        """Look up the uses of the images, and decide.

        Args:
            with_permissions: False leaves out launch permissions, which are read right before the deregistration.
        """
        if not images:
            return []
        settings = self.settings
        usages = self.usage.usage_of(
            [image.image_id for image in images],
            settings.retirement.parameter_paths,
            with_permissions=with_permissions,
        )
        return self.decide_from(usages)

    def limit(self, confirmed: int | None = None) -> RetirementLimit:
        """How many images may go at once.

        Args:
            confirmed: so many may, whatever the settings say.
        """
        policy = self.settings.retirement
        if confirmed is None and policy.max_images is None and policy.max_percent is None:
            return NO_LIMIT
        owned = self.images.find(environment_tags(self.settings))
        return limit_of(self.settings.environment, policy, owned, confirmed)

    def refused_by(self, limit: RetirementLimit, decisions: Sequence[Decision]) -> list[str]:
        """The images that would go by these decisions and are too many.

        The decisions may not have looked at launch permissions. Those are read until it is certain.
        """
        refused = limit.refused([each.image_id for each in decisions if each.action is RetireAction.RETIRE])
        certain: list[str] = []
        shared: list[str] = []
        for image_id in refused:
            (certain if self._has_no_launch_permissions(image_id) else shared).append(image_id)
            if limit.refused(certain):
                return [image_id for image_id in refused if image_id not in shared]
        return []

    def first_retirable(self, usages: Sequence[Usage], refused: Collection[str] = ()) -> list[str]:
        """The first image that can be retired by these uses, if any; none that the limit has refused."""
        for decision in self.decide_from(usages) if usages else ():
            if (
                decision.action is RetireAction.RETIRE
                and decision.image_id not in refused
                and self._has_no_launch_permissions(decision.image_id)
            ):
                return [decision.image_id]
        return []

    def _has_no_launch_permissions(self, image_id: str) -> bool:
        if not self.settings.retirement.protect_launch_permissions:
            return True
        (decision,) = decide([self.usage.permissions_of(image_id)], self.settings.retirement, None)
        return decision.action is RetireAction.RETIRE

    def decide_from(self, usages: Sequence[Usage]) -> list[Decision]:
        """Decide from uses that have been looked up."""
        settings = self.settings
        instances = self.instances.find(environment_tags(settings))
        temporary = frozenset(instance.instance_id for instance in instances)
        return decide(usages, settings.retirement, settings.parameter_names.latest, temporary)

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
    """Retires the images of one environment that `latest` does not name."""

    step: RetireInput
    instances: Instances
    images: Images
    usage: ImageUsage
    parameters: Parameters
    environments: Environments
    clock: Clock
    deadline: datetime

    def retire(self) -> Retirement:
        """Decide for each image, and carry out the decisions.

        Raises:
            ClaimLostError: the environment is not held any more.
            CleanUpIncompleteError: time did not suffice for all images; the retried step continues.
            TransientError: another of its subclasses, for one item; the others are done, and the step is retried.
                What AWS refuses is reported as blocked instead.
        """
        review = RetirementReview(
            self._settings,
            self.instances,
            self.images,
            self.usage,
            self.parameters,
            self.environments,
            self.clock,
        )
        with writing(self.environments, self.step, self.deadline):
            live = self._read_live()
            if live.image is None:
                return Retirement(adopt_reason=f"nothing is retired while {live.problem}")
            if (abort_reason := _contradiction(live.value, self.step)) is not None:
                return Retirement(adopt_reason=abort_reason)
            previous = review.previous_images(live.image, self.step.execution_arn)
            updates = _RecordUpdates(self._records, self._writer, self.clock)
            updates.read(
                [
                    *(decision.image_id for decision in previous.kept),
                    *(image.image_id for image in previous.undecided),
                ]
            )
            protected = frozenset(image.image_id for image in previous.undecided if image.is_protected)
            limit = review.limit(self._confirmed)
            refused: list[Decision] = []
            snapshots = self._snapshots(previous.undecided)
            removed = ImageRemover(self.images, self.usage, self.clock, self.deadline).remove(
                previous.undecided,
                frozenset(snapshots) - frozenset(live.image.snapshot_ids),
                self._settings.retirement,
                partial(self._review, review, live, limit, refused),
                partial(self._let_go, updates, protected),
            )
            if removed.abort_reason is not None and not removed.retired:
                return Retirement(adopt_reason=removed.abort_reason)
            shared = [found for found in removed.tried.done if found.action is RetireAction.KEEP]
            kept = [*previous.kept, *removed.kept, *shared]
            blocked_images = [_kept_blocked(blocked) for blocked in removed.tried.blocked]
            updated = updates.write_each([*kept, *blocked_images], RecordStatus.KEPT)
            already_deleted = set(removed.deleted_snapshots)
            deleted = delete_unused_snapshots(
                self.images,
                [found for found in snapshots if found not in already_deleted],
                just_deregistered=bool(removed.retired),
            )
            # If `latest` has changed since, this image must not get the name.
            adopt, reason = (
                review.can_adopt(live.image)
                if removed.abort_reason is None
                else (False, removed.abort_reason)
            )
            switched = self._switch(review, live.image, removed, adopts=adopt)
            # Everything is tried before a transient error or the lack of time has the step retried.
            raise_transient(removed.tried, updated, deleted, switched)
            removed.raise_unfinished()
        over_limit = [limit.blocked([each.image_id for each in refused])] if refused else []
        decisions, blocked, omitted = most_relevant(
            [*kept, *removed.retired, *blocked_images, *refused],
            [*over_limit, *removed.tried.blocked, *updated.blocked, *deleted.blocked, *switched.blocked],
        )
        return Retirement(
            decisions=decisions, blocked=blocked, omitted=omitted, adopt_name=adopt, adopt_reason=reason
        )

    def _review(
        self,
        review: RetirementReview,
        live: Live,
        limit: RetirementLimit,
        refused: list[Decision],
        images: Sequence[Image],
    ) -> RemovalReview:
        """Decide for several images. Those that the limit refuses get no decision here, but in `refused`."""
        found = review.decide_for(images)
        too_many = frozenset(review.refused_by(limit, found))
        refused += [_kept_by_limit(image_id) for image_id in sorted(too_many)]
        decided: BatchResult[Decision] = BatchResult(
            done=[each for each in found if each.image_id not in too_many]
        )
        # The live image is not a candidate, so a stale value of `latest` would remove it: `latest` is read again
        # after everything else and before the first removal.
        reread = self._records.read_latest()
        if reread is not None and reread.value == live.value:
            return RemovalReview(decided)
        return RemovalReview(
            decided,
            f"nothing is retired while `latest` reads {live.value}, and then "
            f"{reread.value if reread else 'nothing'}; the sweep decides again",
        )

    def _let_go(self, updates: _RecordUpdates, protected: Collection[str], decision: Decision) -> None:
        """What an image needs before it is deregistered."""
        updates.write(decision, status=RecordStatus.RETIRED)
        if decision.image_id in protected:
            self.images.unprotect(decision.image_id)

    def _switch(
        self, review: RetirementReview, live: Image, removed: RemovalResult, *, adopts: bool
    ) -> BatchResult[None]:
        """Mark the images that stay; nothing while it is unclear which one is live."""
        if removed.abort_reason is not None:
            return BatchResult()
        gone = [decision.image_id for decision in removed.retired]
        due = review.due_switches(live, gone, self.step.execution_arn, is_final=not adopts)
        return ImageSwitcher(self.images, self.clock).switch(due)

    @property
    def _settings(self) -> EnvironmentSettings:
        return self.step.plan.configured

    @property
    def _confirmed(self) -> int | None:
        request = self.step.plan.request
        return request.retire_at_most if request else None

    @cached_property
    def _records(self) -> PublishedRecords:
        return PublishedRecords(self.parameters, self._settings.parameter_names)

    @property
    def _writer(self) -> RecordWriter:
        return RecordWriter(self.parameters, self._settings, self.clock)

    def _snapshots(self, candidates: Sequence[Image]) -> list[str]:
        """The environment's own snapshots, and those of the candidates that were promoted to it."""
        found = self.images.find_snapshots(environment_tags(self._settings))
        own = [snapshot.snapshot_id for snapshot in found if not snapshot.is_copy]
        return snapshots_with(self.images, own, candidates, self._settings.application)

    def _read_live(self) -> Live:
        """The live image. For a while after a write Parameter Store may answer with the old value."""
        for _ in range(_READ_ATTEMPTS):
            live = self._records.read_live(account_of(self.step.execution_arn), self.images, self.clock)
            if _contradiction(live.value, self.step) is None:
                break
            self.clock.pause(_PAUSE_SECONDS)
        return live


@dataclass(frozen=True)
class _RecordUpdates:
    """Updates of the history records of images, which are read in one batch."""

    records: PublishedRecords
    writer: RecordWriter
    clock: Clock
    known: dict[str, StoredParameter | None] = field(default_factory=dict)

    def read(self, image_ids: Sequence[str]) -> None:
        """Read the records of the images. One that fails is read again when it is needed."""
        for found in process_each([image_ids], ", ".join, self.records.find_records).done:
            self.known.update(found)

    def write_each(self, decisions: Sequence[Decision], status: RecordStatus) -> BatchResult[None]:
        """Record the decisions."""
        return process_each(
            decisions,
            lambda decision: self.records.names.record(decision.image_id),
            lambda decision: self.write(decision, status=status),
        )

    def write(self, decision: Decision, *, status: RecordStatus) -> None:
        """Record the decision; nothing is written without a record, or if it says so already."""
        image_id = decision.image_id
        if image_id not in self.known:
            self.known[image_id] = self.records.find_record(image_id)
        stored = self.known[image_id]
        record = parse_stored(HistoryRecord, stored)
        reason = decision.reason[:300]
        if stored is None or record is None or (record.status, record.status_reason) == (status, reason):
            return
        changed = history_of(
            record, status, decision.reason, self.clock.now(), record.superseded_by, record.published_by
        )
        # After a write whose response is lost the record's content is unknown.
        del self.known[image_id]
        self.writer.write_record(image_id, changed, stored)


def _reserved(record: EnvironmentRecord) -> dict[str, str]:
    """Images that a queued request or a pin needs, and why they are kept."""
    reserved = {}
    if record.queued_request is not None and record.queued_request.publish_image_id is not None:
        reserved[record.queued_request.publish_image_id] = "a request that waits publishes it again"
    if record.pin is not None:
        reserved[record.pin.image_id] = "the environment is pinned to it"
    return reserved


def _made_by_holder(
    record: EnvironmentRecord, owned: Sequence[Image], execution_arn: str | None
) -> dict[str, str]:
    """Images of the execution that holds the environment, and why they are kept."""
    claim = record.claim
    if claim is None or claim.execution_arn == execution_arn:
        return {}
    why = f"{claim.execution_arn.rsplit(':', 1)[-1]} has made it and still runs"
    return {image.image_id: why for image in owned if image.tags.get(TAG_EXECUTION) == claim.execution_arn}


def _contradiction(value: str | None, step: RetireInput) -> str | None:
    """Why this value of `latest` cannot be used: this execution has published another image."""
    if step.published is None or value == step.published.image_id:
        return None
    return (
        f"nothing is retired while `latest` names {value}, and not {step.published.image_id}, which this "
        "execution published: somebody has changed it since, and the sweep decides"
    )


def environment_tags(settings: EnvironmentSettings) -> dict[str, str]:
    """The tags that make a resource one of this application and environment."""
    return {TAG_APPLICATION: settings.application, TAG_ENVIRONMENT: settings.environment}


def within_limit(decisions: Sequence[Decision], refused: Collection[str]) -> list[Decision]:
    """The decisions, with those images kept that are too many."""
    return [_kept_by_limit(each.image_id) if each.image_id in refused else each for each in decisions]


def _kept_by_limit(image_id: str) -> Decision:
    reason = "nothing uses it, but too many images would go at once"
    return Decision(image_id=image_id, action=RetireAction.KEEP, reason=reason)


def _kept_blocked(blocked: Blocked) -> Decision:
    """The decision for an image whose deregistration AWS refused."""
    return Decision(image_id=blocked.resource, action=RetireAction.KEEP, reason=blocked.reason, blocked=True)
