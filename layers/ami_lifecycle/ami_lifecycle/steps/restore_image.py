"""Restore Image: the candidate of an undeletion, from snapshots that are taken out of the Recycle Bin."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.domain.execution import ClaimedInput, ImageRef
from ami_lifecycle.domain.model import TAG_APPLICATION, Image
from ami_lifecycle.domain.registration import image_of
from ami_lifecycle.errors import (
    ForeignResourceError,
    ImageCreationFailedError,
    RecordNotFoundError,
    ResourceNotVisibleError,
)
from ami_lifecycle.ports import Environments, Images, Parameters
from ami_lifecycle.steps.create_image import find_candidate
from ami_lifecycle.steps.fencing import writing
from ami_lifecycle.steps.published_records import PublishedRecords
from ami_lifecycle.steps.register_image import candidate_of

_COMPLETED = "completed"


def restore_image(
    step: ClaimedInput,
    images: Images,
    parameters: Parameters,
    environments: Environments,
    deadline: datetime,
) -> ImageRef:
    """Register the candidate from the snapshots of a retired image, or find the one of an earlier attempt.

    Raises:
        ClaimLostError: the environment is not held any more.
        ForeignResourceError: a snapshot is not the application's any more.
        RecordNotFoundError: the record or a snapshot is gone for good.
        ResourceNotVisibleError: a snapshot cannot be used yet; the step is repeated.
    """
    plan, image_id = step.plan, step.plan.promoted.image_id
    with writing(environments, step, deadline):
        if found := find_candidate(plan, step.execution_arn, images):
            return found
        record = PublishedRecords(parameters, plan.configured.parameter_names).read_record(image_id)
        was = image_of(record) if record is not None else None
        if was is None:
            raise RecordNotFoundError(
                f"history of {plan.environment} does not say any more how {image_id} was registered; build its digest "
                f"instead: ami-lifecycle rollback {plan.environment} --to {image_id}"
            )
        _restore(was, step, images)
        try:
            registered = images.register_copy(*candidate_of(step, was))
        except ImageCreationFailedError as error:
            # Until an image is made of them, the sweep takes the snapshots for what an ended build has left.
            raise ResourceNotVisibleError(
                f"the snapshots of {image_id} have gone again before an image was made of them; it is tried again"
            ) from error
        if registered is not None:
            return ImageRef(image_id=registered)
        if found := find_candidate(plan, step.execution_arn, images):
            return found
    raise ResourceNotVisibleError(
        f"the name {plan.candidate_name} is taken, and EC2 shows no image of that name yet; it is tried again"
    )


def _restore(was: Image, step: ClaimedInput, images: Images) -> None:
    """Have all snapshots of the image be there and usable, of which the bin may hold some."""
    application, environment = step.plan.configured.application, step.plan.environment
    known = {each.snapshot_id: each for each in images.find_each_snapshot(was.snapshot_ids)}
    gone = [each for each in was.snapshot_ids if each not in known]
    binned = images.snapshots_in_bin(gone) if gone else {}
    if lost := [each for each in gone if each not in binned]:
        raise RecordNotFoundError(
            f"{', '.join(lost)} of {was.image_id} is neither there nor in the Recycle Bin (any more); build the digest "
            f"instead: ami-lifecycle rollback {environment} --to {was.image_id}"
        )
    foreign = [each.snapshot_id for each in known.values() if each.tags.get(TAG_APPLICATION) != application]
    if foreign:
        raise ForeignResourceError(
            f"{', '.join(foreign)} does not carry the tags of {application} any more, so no image is made of it; put "
            "them back, and try again"
        )
    for snapshot_id in gone:
        images.restore_snapshot(snapshot_id)
    waiting = gone or [each.snapshot_id for each in known.values() if each.state != _COMPLETED]
    if waiting:
        raise ResourceNotVisibleError(
            f"{', '.join(waiting)} comes out of the Recycle Bin and cannot be used yet; it is tried again"
        )
