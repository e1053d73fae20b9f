"""Adopt Image Name: the canonical name, registered from the candidate's own snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ami_lifecycle.domain.execution import Adoption, ClaimedInput, ImageRef
from ami_lifecycle.domain.model import (
    TAG_EXECUTION,
    TAG_IMAGED,
    TAG_RELEASE,
    TAG_ROLE,
    AmiId,
    Image,
    ImageState,
    Role,
)
from ami_lifecycle.domain.release import release_of
from ami_lifecycle.domain.request import Action
from ami_lifecycle.ports import Clock, Environments, Images, Parameters
from ami_lifecycle.steps.fencing import writing
from ami_lifecycle.steps.lookups import unseen_holder
from ami_lifecycle.steps.published_records import PublishedRecords
from ami_lifecycle.steps.register_image import register_image
from ami_lifecycle.steps.restore_image import restore_image


class AdoptInput(ClaimedInput):
    """Input of `adopt_image_name`: the candidate that `latest` names.

    For `registers: candidate` it is the image that is promoted, and gets a candidate's name.
    """

    image_id: AmiId
    registers: Literal["canonical", "candidate"] = "canonical"


@dataclass(frozen=True)
class NameAdopter:
    """Registers the live image under the environment's canonical name."""

    images: Images
    parameters: Parameters
    environments: Environments
    clock: Clock
    deadline: datetime

    def register(self, step: AdoptInput) -> Adoption | ImageRef:
        """Register disks under another name: the candidate of a promotion or an undeletion, or the canonical one."""
        if step.registers == "candidate" and step.plan.action is Action.UNDELETE:
            return restore_image(step, self.images, self.parameters, self.environments, self.deadline)
        if step.registers == "candidate":
            return register_image(step, self.images, self.environments, self.clock, self.deadline)
        return self.adopt(step)

    def adopt(self, step: AdoptInput) -> Adoption:
        """Register the canonical image, or find the one that an earlier attempt registered.

        EC2 refuses two images of one name and cannot rename one, so the disks are registered again under
        the name; RegisterImage has no client token (EC2 API reference).

        Raises:
            ClaimLostError: the environment is not held any more.
            ResourceNotVisibleError: the name is taken, and EC2 does not show the image that has it yet.
        """
        settings = step.plan.configured
        with writing(self.environments, step, self.deadline):
            is_latest = PublishedRecords(self.parameters, settings.parameter_names).is_latest(step.image_id)
            candidate = self.images.get(step.image_id)
            if candidate is None or not is_latest:
                return Adoption(
                    adopted=False,
                    reason=f"`latest` does not name {step.image_id} any more, so its name stays",
                )
            if not candidate.belongs_to(settings.application, settings.environment):
                return Adoption(
                    adopted=False,
                    reason=f"{step.image_id} does not carry the tags of {settings.application} "
                    f"{settings.environment}, so it keeps its own name",
                )
            if (found := self._find(step, candidate)) is not None:
                return found
            registered = self.images.register_copy(candidate, settings.image_name, _tags(candidate, step))
            if registered is not None:
                return Adoption(adopted=True, image_id=registered, reason="registered")
            if (found := self._find(step, candidate)) is not None:
                return found
        raise unseen_holder(settings.image_name)

    def _find(self, step: AdoptInput, candidate: Image) -> Adoption | None:
        settings = step.plan.configured
        for image in self.images.find_by_name(settings.image_name):
            is_ours = image.belongs_to(settings.application, settings.environment)
            if is_ours and image.tags.get(TAG_EXECUTION) == step.execution_arn and _is_copy(image, candidate):
                return Adoption(adopted=True, image_id=image.image_id, reason="registered before")
            return Adoption(
                adopted=False,
                reason=f"{image.image_id} has the name {settings.image_name}; `latest` stays on {candidate.image_id} "
                "until that image is gone",
            )
        return None


def _is_copy(image: Image, candidate: Image) -> bool:
    # A pending image may show no snapshots yet; publishing compares them again.
    return image.state is ImageState.PENDING or image.snapshot_ids == candidate.snapshot_ids


def _tags(candidate: Image, step: AdoptInput) -> dict[str, str]:
    imaged = {TAG_IMAGED: candidate.creation_date.isoformat()} if candidate.creation_date else {}
    release = release_of(candidate)
    return {
        **imaged,
        **({TAG_RELEASE: release} if release else {}),
        **{key: value for key, value in candidate.tags.items() if not key.startswith("aws:")},
        # The candidate may be older than the setting `tags`; the copy gets the tags that the settings demand now.
        **step.plan.configured.tags,
        TAG_EXECUTION: step.execution_arn,
        TAG_ROLE: Role.CANONICAL.value,
    }
