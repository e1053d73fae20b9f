"""What is live in an environment, read from Parameter Store and EC2."""

from __future__ import annotations

from ami_lifecycle.domain.model import Image
from ami_lifecycle.domain.planning import Live, judge_live
from ami_lifecycle.ports import Images, Parameters


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


def _image_named(value: str, images: Images) -> Image | None:
    return images.get(value) if value.startswith("ami-") else None
