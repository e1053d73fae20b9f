"""Adoption of images that were built before the service: which belong to an environment, and what to do with each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ami_lifecycle.adapters.tags import to_tags
from ami_lifecycle.adapters.translation import aws_errors
from ami_lifecycle.domain.decision import Blocked, RetireAction
from ami_lifecycle.domain.model import TAG_APPLICATION, Image, Usage
from ami_lifecycle.domain.planning import Live, is_named_for, newest_usable
from ami_lifecycle.domain.retirement import decide
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import InvalidRequestError
from ami_lifecycle.steps.batch import blocked_by, process_each
from ami_lifecycle.steps.retire_images import environment_tags
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.records import read_environment_live


class Adoption(StrEnum):
    """What happens to an old image."""

    BASE = "base"
    RETIRE = "retire"
    LEAVE = "leave"


@dataclass(frozen=True)
class Proposal:
    """An old image, the proposal for it, and the reason.

    `goes_soon`: once it is tagged, the next sweep retires it.
    """

    image: Image
    adoption: Adoption
    reason: str
    goes_soon: bool = False

    @property
    def is_tagged(self) -> bool:
        """Whether it gets the service's tags."""
        return self.adoption is not Adoption.LEAVE


def propose(stack: Stack, environment: str, keep: Collection[str]) -> list[Proposal]:
    """Propose what to do with each old image of an environment, the newest first.

    Args:
        keep: ids of images to leave alone.

    Raises:
        InvalidRequestError: `keep` names another image.
    """
    settings = stack.catalogue.get(environment)
    found = [
        image
        for image in stack.images.find_by_name(f"{settings.image_name}*")
        if is_old(image, settings, _names_of_others(stack, settings))
    ]
    images = sorted(found, key=lambda image: (str(image.creation_date), image.image_id), reverse=True)
    unknown = set(keep) - {image.image_id for image in images}
    if unknown:
        raise InvalidRequestError(f"--keep {', '.join(sorted(unknown))}: no old image of {environment}")
    live = read_environment_live(stack, environment)
    usages = stack.usage.usage_of([image.image_id for image in images], settings.retirement.parameter_paths)
    return propose_each(images, usages, live, settings, keep)


def propose_each(
    images: Sequence[Image],
    usages: Sequence[Usage],
    live: Live,
    settings: EnvironmentSettings,
    keep: Collection[str],
) -> list[Proposal]:
    """The proposals, from data that was read.

    Where `latest` names an available image, the sweep retires what nobody uses; elsewhere nothing goes
    before there is such an image.
    """
    is_published = live.image is not None
    when = "goes with the next sweep, within 15 minutes" if is_published else "goes with the next publication"
    base = newest_usable(images, settings) if live.image is None else None
    own_latest = settings.parameter_names.latest
    decisions = {each.image_id: each for each in decide(usages, settings.retirement, own_latest)}
    proposals = []
    for image in images:
        decision = decisions[image.image_id]
        if image.image_id in keep:
            proposals.append(Proposal(image, Adoption.LEAVE, "you keep it"))
        elif live.value == image.image_id:
            proposals.append(Proposal(image, Adoption.BASE, "`latest` names it; the next build replaces it"))
        elif base is not None and image.image_id == base.image_id:
            proposals.append(
                Proposal(image, Adoption.BASE, "newest: the next build starts from it and replaces it")
            )
        elif decision.action is RetireAction.KEEP:
            proposals.append(Proposal(image, Adoption.LEAVE, decision.reason))
        else:
            proposals.append(Proposal(image, Adoption.RETIRE, f"{decision.reason}; {when}", is_published))
    return proposals


def is_old(image: Image, settings: EnvironmentSettings, names_of_others: Collection[str]) -> bool:
    """Whether an image has the environment's name and none of the service's tags.

    `comfyui-multitenant-prod-2023-01-01` is; `comfyui-multitenant-production` is not, and neither is an
    image whose name begins with the longer name of another environment.
    """
    is_named = is_named_for(image, settings.image_name) and not image.name.startswith(tuple(names_of_others))
    return is_named and TAG_APPLICATION not in image.tags


def adopt(stack: Stack, environment: str, proposals: Sequence[Proposal]) -> tuple[list[str], list[Blocked]]:
    """Tag images and their snapshots as the service's; returns the ids of what was tagged, and what was not.

    The tag `Name` is set to the image's name, which distinguishes it from a copy with the same tags.
    """
    owner_tags = environment_tags(stack.catalogue.get(environment))
    ec2 = stack.client("ec2")

    def tag(image: Image) -> list[str]:
        # Snapshots first: a tagged image may be retired at once, together with its snapshots.
        with aws_errors("ec2:CreateTags", image.image_id):
            if image.snapshot_ids:
                ec2.create_tags(Resources=list(image.snapshot_ids), Tags=to_tags(owner_tags))
            ec2.create_tags(Resources=[image.image_id], Tags=to_tags({**owner_tags, "Name": image.name}))
        return [image.image_id, *image.snapshot_ids]

    to_tag = [proposal.image for proposal in proposals if proposal.is_tagged]
    tagged = process_each(to_tag, lambda image: image.image_id, tag)
    left = [*tagged.blocked, *(blocked_by(error, "an image") for error in tagged.transient)]
    return [found for ids in tagged.done for found in ids], left


def _names_of_others(stack: Stack, settings: EnvironmentSettings) -> list[str]:
    names = [stack.catalogue.get(name).image_name for name in stack.catalogue.environments]
    return [name for name in names if name != settings.image_name and name.startswith(settings.image_name)]
