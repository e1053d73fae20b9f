"""Look-ups that tolerate EC2's eventual consistency: images that may be gone, instances that may have ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ami_lifecycle.domain.model import TAG_ROLE, Image, Role
from ami_lifecycle.errors import BuilderLostError, CanaryLostError, ResourceNotVisibleError
from ami_lifecycle.ports import Clock, Images, Instances

# Two seconds in all, spent only when the image is really gone.
_READ_ATTEMPTS: Final = 4
_PAUSE_SECONDS: Final = 0.5


def find_image(image_id: str, images: Images, clock: Clock) -> Image | None:
    """The image that a record, a pin or `latest` names; None when it no longer exists.

    A single response that lacks the image proves nothing (EC2 API reference, Eventual consistency), so the look-up is
    repeated.
    """
    for _ in range(_READ_ATTEMPTS):
        if (image := images.get(image_id)) is not None:
            return image
        clock.pause(_PAUSE_SECONDS)
    return images.get(image_id)


def missing_images(image_ids: Iterable[str], images: Images, clock: Clock) -> set[str]:
    """The images that no longer exist, by the rule of `find_image`, with one look-up for all."""
    missing = _not_shown(set(image_ids), images)
    for _ in range(_READ_ATTEMPTS):
        if not missing:
            break
        clock.pause(_PAUSE_SECONDS)
        missing = _not_shown(missing, images)
    # An image of another account can be published, too.
    return {image_id for image_id in sorted(missing) if images.get(image_id) is None}


def _not_shown(image_ids: set[str], images: Images) -> set[str]:
    if not image_ids:
        return image_ids
    return image_ids - {image.image_id for image in images.find_each(sorted(image_ids))}


def unseen_holder(name: str) -> ResourceNotVisibleError:
    """The error for a name that EC2 calls taken while it shows no image that has it."""
    return ResourceNotVisibleError(
        f"the name {name} is taken, and EC2 shows no image of that name yet; if this persists, look for it in the "
        "Recycle Bin"
    )


def account_of(execution_arn: str) -> str:
    """Account id in an execution's ARN (`arn:aws:states:region:account:execution:machine:name`)."""
    return execution_arn.split(":")[4]


def region_of(arn: str) -> str:
    """Region in an ARN."""
    return arn.split(":")[3]


def partition_of(arn: str) -> str:
    """Partition in an ARN: `aws`, `aws-cn`, ..."""
    return arn.split(":")[1]


def require_alive(instance_id: str, instances: Instances) -> None:
    """Fail if an instance has ended. One that EC2 does not show yet counts as running.

    Raises:
        BuilderLostError, CanaryLostError: it has ended, with the reason that EC2 gives.
    """
    instance = instances.get(instance_id)
    if instance is None or not instance.state.is_over:
        return
    role = instance.tags.get(TAG_ROLE, Role.BUILDER.value)
    error = CanaryLostError if role == Role.CANARY.value else BuilderLostError
    raise error(
        f"the {role} {instance_id} is {instance.state.value}"
        f"{': ' + instance.state_reason if instance.state_reason else ''}. {_explain_end(instance.state_reason)}"
    )


def _explain_end(reason: str | None) -> str:
    # EC2 user guide, Troubleshoot instance termination issues: how a volume's key shows that cannot be used.
    if reason and any(code in reason for code in ("Client.InternalError", "Client.InvalidKMSKey")):
        return (
            "The key that encrypts its volumes cannot be used: deploy the stack with the key's ARN as VolumeKeyArn, "
            "see that the key is enabled and that its policy admits the launching roles (docs/deploy.md, 10), and "
            "build again"
        )
    return "Look for a quota or a person that ended it, and build again"
