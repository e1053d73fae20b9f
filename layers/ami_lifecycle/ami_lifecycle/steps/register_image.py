"""Register Image: the candidate of a promotion, from the snapshots of the source's image."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.domain.execution import ClaimedInput, ImageRef
from ami_lifecycle.domain.model import (
    TAG_BASE,
    TAG_BASE_CREATED,
    TAG_BASE_IMAGE,
    TAG_BUILT_FOR,
    TAG_GENERATION,
    TAG_IMAGED,
    TAG_RECIPE,
    TAG_RELEASE,
    Image,
    ImageState,
    Role,
    owner_tags,
)
from ami_lifecycle.domain.plan import Promotion
from ami_lifecycle.domain.planning import imaged_of
from ami_lifecycle.domain.recipe import recipe_tags
from ami_lifecycle.domain.request import Action
from ami_lifecycle.errors import (
    ForeignResourceError,
    ImageCreationFailedError,
    RecordNotFoundError,
)
from ami_lifecycle.ports import Clock, Environments, Images
from ami_lifecycle.steps.create_image import find_candidate
from ami_lifecycle.steps.fencing import writing
from ami_lifecycle.steps.lookups import find_image, unseen_holder


def register_image(
    step: ClaimedInput, images: Images, environments: Environments, clock: Clock, deadline: datetime
) -> ImageRef:
    """Register the candidate from the source's snapshots, or find the one that an earlier attempt registered.

    From then on they stay, whatever becomes of the source: no snapshot goes that an image is made of.

    Raises:
        ClaimLostError: the environment is not held any more.
        ForeignResourceError: somebody else's image has the candidate's name, or the source lost its tags.
        RecordNotFoundError: the source was retired since the plan was made.
        ResourceNotVisibleError: the name is taken and nobody is seen to have it yet.
    """
    plan, promotion = step.plan, step.plan.promoted
    with writing(environments, step, deadline):
        if found := find_candidate(plan, step.execution_arn, images):
            return found
        source = find_image(promotion.image_id, images, clock)
        application = plan.configured.application
        if source is None or source.state is not ImageState.AVAILABLE:
            raise _gone(promotion)
        if not source.belongs_to(application, promotion.environment):
            raise ForeignResourceError(
                f"{source.image_id} does not carry the tags of {application} {promotion.environment} any more, so it "
                "is not promoted; put them back, or promote another release"
            )
        try:
            registered = images.register_copy(*candidate_of(step, source))
        except ImageCreationFailedError as error:
            # EC2 may show an image a moment longer than its snapshots.
            raise _gone(promotion) from error
        if registered is not None:
            return ImageRef(image_id=registered)
        if found := find_candidate(plan, step.execution_arn, images):
            return found
    raise unseen_holder(plan.candidate_name)


def candidate_of(step: ClaimedInput, source: Image) -> tuple[Image, str, dict[str, str]]:
    """What is registered as the candidate: the image whose attributes and disks it has, its name, and its tags."""
    plan = step.plan
    description = f"{plan.configured.application} {plan.environment} {plan.image.digest[:19]}"
    described = source.model_copy(update={"description": description})
    return described, plan.candidate_name, _tags(step, source)


def _gone(promotion: Promotion) -> RecordNotFoundError:
    return RecordNotFoundError(
        f"{promotion.image_id}, which was to be promoted from {promotion.environment}, was retired since the plan was "
        f"made; promote what is there now, see: ami-lifecycle history {promotion.environment}"
    )


def _tags(step: ClaimedInput, source: Image) -> dict[str, str]:
    plan, promotion = step.plan, step.plan.promoted
    imaged = imaged_of(source)
    own = owner_tags(
        plan.configured.application,
        plan.environment,
        step.execution_arn,
        Role.CANDIDATE,
        plan.image.digest,
        plan.configured.image_name,
        plan.configured.tags,
    )
    own |= {
        TAG_GENERATION: str(plan.generation),
        TAG_RELEASE: promotion.release,
        TAG_BUILT_FOR: promotion.built_for,
    }
    if imaged is not None:
        own[TAG_IMAGED] = imaged.isoformat()
    # The provision hooks of a promotion are the same by the plan, and the canary runs the verify hooks of this
    # environment. What is undeleted may have been made with other hooks than the settings have now.
    undeleted = plan.action is Action.UNDELETE
    own |= recipe_tags(source.tags.get(TAG_RECIPE) if undeleted else plan.configured.recipe)
    of_base = (TAG_BASE, TAG_BASE_IMAGE, TAG_BASE_CREATED)
    return own | {key: source.tags[key] for key in of_base if key in source.tags}
