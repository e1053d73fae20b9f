"""The Ubuntu image that fresh builds start from."""

from __future__ import annotations

from typing import Final

from ami_lifecycle.domain.model import Image
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import ImageNotAllowedError, SettingsError
from ami_lifecycle.ports import AllowedImages, Images, Parameters

# Canonical, "Finding images with SSM": public parameters of the current Ubuntu images.
UBUNTU_PARAMETER: Final = (
    "/aws/service/canonical/ubuntu/server/22.04/stable/current/{architecture}/hvm/ebs-gp2/ami-id"
)
# Canonical, "Ubuntu on AWS", Verify the owner: by partition.
CANONICAL_OWNERS: Final = {
    "aws": "099720109477",
    "aws-cn": "837727238323",
    "aws-us-gov": "513442679011",
}
_UBUNTU_ARCHITECTURES: Final = {"x86_64": "amd64", "arm64": "arm64"}


def current_ubuntu(settings: EnvironmentSettings, arn: str, parameters: Parameters, images: Images) -> Image:
    """The current Ubuntu image of the settings' architecture.

    Args:
        arn: any ARN of the account, for its partition.

    Raises:
        ImageNotAllowedError: the account's setting Allowed AMIs hides it.
        SettingsError: the Region has none.
    """
    name = UBUNTU_PARAMETER.format(architecture=_UBUNTU_ARCHITECTURES[settings.builder.architecture])
    stored = parameters.get(name)
    image = images.get(stored.value) if stored else None
    if image is not None:
        return image
    if stored is None:
        raise SettingsError(
            f"the public parameter {name} does not exist in this Region; choose a Region that Ubuntu 22.04 is "
            "published in"
        )
    allowed = images.allowed_images()
    if allowed.restricts:
        raise ImageNotAllowedError(not_allowed(stored.value, arn, allowed))
    raise SettingsError(
        f"{stored.value}, which the public parameter {name} names, does not exist in this Region; look again "
        "in a few minutes, and else ask Canonical"
    )


def not_allowed(image_id: str, arn: str, allowed: AllowedImages) -> str:
    """The error for an Ubuntu image that the setting Allowed AMIs hides, with its remedy."""
    owner = CANONICAL_OWNERS.get(arn.split(":")[1], "Canonical's account")
    how = (
        "in the organization's declarative policy for EC2"
        if allowed.is_policy
        else "with aws ec2 replace-image-criteria-in-allowed-images-settings, which replaces all criteria"
    )
    return (
        f"EC2's setting Allowed AMIs of this account and Region hides {image_id}, the Ubuntu image that fresh builds "
        f"start from: allow the image provider {owner} (Canonical) {how}, then build again"
    )
