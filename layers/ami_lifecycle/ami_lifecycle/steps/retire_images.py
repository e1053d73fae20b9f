"""Retire Previous Images: what nobody uses goes, with its snapshots; what could not be read stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ami_lifecycle.contracts import (
    BuildPlan,
    Decision,
    HistoryRecord,
    RecordStatus,
    RetireAction,
    RetireInput,
    Retirement,
)
from ami_lifecycle.domain.environment import EnvironmentRecord
from ami_lifecycle.domain.model import TAG_APPLICATION, TAG_ENVIRONMENT, Image
from ami_lifecycle.domain.planning import Live
from ami_lifecycle.domain.publication import dump, history_of, load
from ami_lifecycle.domain.retirement import decide, sort_out
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import CleanUpIncompleteError, RefusedError
from ami_lifecycle.ports import Clock, Environments, Images, ImageUsage, Instances, Parameters
from ami_lifecycle.steps.fencing import writing
from ami_lifecycle.steps.observing import account_of, parameter_name, read_live

_LOOKS: Final = 8
_LOOK_SECONDS: Final = 0.25


@dataclass(frozen=True)
class Retirer:
    """Retires the images of an environment that are not `latest`."""

    instances: Instances
    images: Images
    usage: ImageUsage
    parameters: Parameters
    environments: Environments
    clock: Clock
    deadline: datetime

    def retire(self, step: RetireInput) -> Retirement:
        """Decide for each image, and carry the decisions out.

        Raises:
            ClaimLostError: the environment is not held any more.
            CleanUpIncompleteError: a snapshot is not gone yet; the step is repeated.
        """
        plan = step.plan
        settings = plan.configured
        with writing(self.environments, step, self.deadline):
            live = self._read_live(step)
            if live.image is None:
                return Retirement(adopt_reason=f"nothing is retired while {live.problem}")
            if (doubt := _doubt(live.value, step)) is not None:
                return Retirement(adopt_reason=doubt)
            decisions = self.decide(settings, live.image)
            # Uses of the image that `latest` names are not asked for, so an old value would cost the live
            # image: it is read once more, after all else has been read and before anything is removed.
            again = self.parameters.get(parameter_name(settings.parameter_prefix, "latest"))
            if again is None or again.value != live.value:
                return Retirement(
                    adopt_reason=f"nothing is retired while `latest` reads {live.value}, and then "
                    f"{again.value if again else 'nothing'}; the sweep decides again"
                )
            done = [self._carry_out(plan, decision) for decision in decisions]
            self._delete_unused_snapshots(settings)
            adopt, reason = self.can_adopt(settings, live.image)
        return Retirement(decisions=tuple(done), adopt_name=adopt, adopt_reason=reason)

    def _read_live(self, step: RetireInput) -> Live:
        """What `latest` names. After a write Parameter Store may answer with the old value for a while."""
        for _ in range(_LOOKS):
            live = read_live(
                step.plan.configured.parameter_prefix,
                account_of(step.execution_arn),
                self.parameters,
                self.images,
            )
            if _doubt(live.value, step) is None:
                break
            self.clock.pause(_LOOK_SECONDS)
        return live

    def decide(self, settings: EnvironmentSettings, live: Image) -> list[Decision]:
        """Decide for each image of the environment but the live one; changes nothing."""
        owned = self.images.find(environment_tags(settings))
        awaited = _awaited(self.environments.get(settings.environment))
        sorted_out = sort_out(live, owned, settings.retirement.keep_previous, awaited)
        usages = self.usage.usage_of([image.image_id for image in sorted_out.open])
        own_latest = parameter_name(settings.parameter_prefix, "latest")
        ours = self.instances.find(environment_tags(settings))
        temporary = frozenset(instance.instance_id for instance in ours)
        return [*sorted_out.kept, *decide(usages, settings.retirement, own_latest, temporary)]

    def _carry_out(self, plan: BuildPlan, decision: Decision) -> Decision:
        if decision.action is RetireAction.KEEP:
            self._record(plan, decision, RecordStatus.KEPT)
            return decision
        # The record comes first: nobody looks at an image again that is gone.
        self._record(plan, decision, RecordStatus.RETIRED)
        try:
            self.images.deregister(decision.image_id)
        except RefusedError as error:
            decision = Decision(
                image_id=decision.image_id, action=RetireAction.KEEP, reason=str(error), blocked=True
            )
            self._record(plan, decision, RecordStatus.KEPT)
        return decision

    def _record(self, plan: BuildPlan, decision: Decision, status: RecordStatus) -> None:
        name = parameter_name(plan.configured.parameter_prefix, "history", decision.image_id)
        stored = self.parameters.get(name)
        record = load(HistoryRecord, stored.value if stored else None)
        if record is None or (record.status, record.status_reason) == (status, decision.reason[:300]):
            return
        changed = history_of(
            record, status, decision.reason, self.clock.now(), record.superseded_by, record.published_by
        )
        self.parameters.put(
            name,
            dump(changed),
            data_type="text",
            description=f"History of {decision.image_id}",
            tags={**plan.configured.tags, **environment_tags(plan.configured)},
        )

    def _delete_unused_snapshots(self, settings: EnvironmentSettings) -> None:
        found = self.images.find_snapshots(environment_tags(settings))
        ours = [snapshot.snapshot_id for snapshot in found if not snapshot.is_copy]
        left = delete_unused_snapshots(self.images, ours)
        if left:
            raise CleanUpIncompleteError(
                f"EC2 still counts snapshots {', '.join(left)} as used, though no image shows them; try again"
            )

    def can_adopt(self, settings: EnvironmentSettings, live: Image) -> tuple[bool, str]:
        """Whether the canonical name can be adopted now, and why or why not; changes nothing."""
        if settings.publication.image_naming == "unique":
            return False, "image_naming is unique, so the image keeps its own name"
        if live.name == settings.image_name:
            return False, "the image has the canonical name already"
        holders = [image.image_id for image in self.images.find_by_name(settings.image_name)]
        if holders:
            return False, f"{', '.join(holders)} still has the name {settings.image_name}"
        return True, f"the name {settings.image_name} is free"


def _awaited(record: EnvironmentRecord) -> dict[str, str]:
    """Images that are about to be published again, and why."""
    awaited = {}
    if record.wanted is not None and record.wanted.publish_image_id is not None:
        awaited[record.wanted.publish_image_id] = "a request that waits publishes it again"
    if record.pin is not None:
        awaited[record.pin.image_id] = "the environment is pinned to it"
    return awaited


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


def delete_unused_snapshots(images: Images, snapshot_ids: Sequence[str]) -> list[str]:
    """Delete the snapshots that no own image is made of; returns those that EC2 would not delete yet."""
    return [
        snapshot_id
        for snapshot_id in snapshot_ids
        if not images.images_of_snapshot(snapshot_id) and not images.delete_snapshot(snapshot_id)
    ]
