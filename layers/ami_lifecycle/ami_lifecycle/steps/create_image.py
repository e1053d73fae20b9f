"""Create Image: the candidate, under a name of its own, tagged in the same call."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.domain.execution import ClaimedInput, ImageRef
from ami_lifecycle.domain.model import (
    TAG_BASE,
    TAG_BASE_CREATED,
    TAG_BASE_IMAGE,
    TAG_EXECUTION,
    TAG_GENERATION,
    TAG_RELEASE,
    Role,
    owner_tags,
)
from ami_lifecycle.domain.plan import BuildPlan
from ami_lifecycle.domain.recipe import recipe_tags
from ami_lifecycle.errors import ForeignResourceError
from ami_lifecycle.ports import Environments, Images
from ami_lifecycle.steps.fencing import writing
from ami_lifecycle.steps.lookups import unseen_holder


class CreateImageInput(ClaimedInput):
    """Input of `create_image`."""

    instance_id: str


def create_image(
    step: CreateImageInput, images: Images, environments: Environments, deadline: datetime
) -> ImageRef:
    """Create the candidate from the stopped builder, or find the one that an earlier attempt created.

    CreateImage has no client token (EC2 API reference); the name, which is unique to the run, makes it idempotent.

    Raises:
        BuilderLostError: the builder cannot be imaged.
        ForeignResourceError: an image without this build's tags has the candidate's name.
        ResourceNotVisibleError: the name is taken, and EC2 does not show the image that has it yet.
    """
    plan = step.plan
    with writing(environments, step, deadline):
        if found := find_candidate(plan, step.execution_arn, images):
            return found
        created = images.create(
            step.instance_id,
            plan.candidate_name,
            f"{plan.configured.application} {plan.environment} {plan.image.digest[:19]}",
            image_tags(plan, step.execution_arn, Role.CANDIDATE),
        )
        if created is not None:
            return ImageRef(image_id=created)
        if found := find_candidate(plan, step.execution_arn, images):
            return found
    raise unseen_holder(plan.candidate_name)


def image_tags(plan: BuildPlan, execution_arn: str, role: Role) -> dict[str, str]:
    """Tags of an image of this build."""
    tags = owner_tags(
        plan.configured.application,
        plan.environment,
        execution_arn,
        role,
        plan.image.digest,
        plan.configured.image_name,
        plan.configured.tags,
    )
    tags[TAG_GENERATION] = str(plan.generation)
    tags[TAG_RELEASE] = execution_arn
    if plan.base is not None:
        known = {
            TAG_BASE: plan.base.setting,
            TAG_BASE_IMAGE: plan.base.original_id,
            TAG_BASE_CREATED: plan.base.created.isoformat() if plan.base.created else None,
        }
        tags |= {key: value for key, value in known.items() if value}
    return tags | recipe_tags(plan.configured.recipe)


def find_candidate(plan: BuildPlan, execution_arn: str, images: Images) -> ImageRef | None:
    """The candidate that an earlier attempt has made; None where there is none.

    Raises:
        ForeignResourceError: somebody else's image has its name.
    """
    for image in images.find_by_name(plan.candidate_name):
        if image.tags.get(TAG_EXECUTION) != execution_arn:
            raise ForeignResourceError(
                f"{image.image_id} has the name {plan.candidate_name} and does not belong to this execution; "
                "rename or deregister it, and build again"
            )
        return ImageRef(image_id=image.image_id)
    return None
