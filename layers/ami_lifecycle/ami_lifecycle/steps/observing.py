"""What is live: the image that an environment publishes, and the instances of a build."""

from __future__ import annotations

from ami_lifecycle.domain.model import TAG_ROLE, Image, Role
from ami_lifecycle.domain.planning import Live, judge_live
from ami_lifecycle.errors import BuilderLostError, CanaryLostError
from ami_lifecycle.ports import Images, Instances, Parameters


def parameter_name(prefix: str, *parts: str) -> str:
    """Name of a parameter of an environment: `latest`, `metadata`, or `history/{ami-id}`."""
    return "/".join((prefix, *parts))


def read_live(prefix: str, account_id: str, parameters: Parameters, images: Images) -> Live:
    """Read `latest` and the image that it names."""
    stored = parameters.get(parameter_name(prefix, "latest"))
    if stored is None:
        return judge_live(None, None, account_id)
    return judge_live(stored.value, _image_named(stored.value, images), account_id)


def account_of(execution_arn: str) -> str:
    """Account id in an execution's ARN (`arn:aws:states:region:account:execution:machine:name`)."""
    return execution_arn.split(":")[4]


def require_alive(instance_id: str, instances: Instances) -> None:
    """Refuse to wait for an instance that has ended. One that EC2 does not show yet counts as alive.

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
        f"{': ' + instance.state_reason if instance.state_reason else ''}. "
        "Look for a quota, a KMS grant or a person that ended it, and build again"
    )


def _image_named(value: str, images: Images) -> Image | None:
    return images.get(value) if value.startswith("ami-") else None
