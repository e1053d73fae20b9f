"""The image of others that fresh builds start from, as the setting `base` names it."""

from __future__ import annotations

from ami_lifecycle.domain.bases import BaseSettings, NewestImage, problem_of_image
from ami_lifecycle.domain.model import Image, is_ami_id
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import ImageNotAllowedError, SettingsError
from ami_lifecycle.ports import AllowedImages, Images, Parameters
from ami_lifecycle.steps.lookups import account_of, partition_of


def current_base(settings: EnvironmentSettings, arn: str, parameters: Parameters, images: Images) -> Image:
    """The image that the base names now, for the settings' architecture: one that a build can start from.

    Args:
        arn: any ARN of the account, for its partition and its number.

    Raises:
        ImageNotAllowedError: the account hides it from itself.
        SettingsError: there is none, it is somebody else's, or no image can be made from it.
    """
    base, architecture = settings.base, settings.builder.architecture
    _require_publisher(base, partition_of(arn))
    image = (
        _named(base, architecture, arn, parameters, images)
        if base.newest is None
        else _newest(base.newest, architecture, arn, images)
    )
    problem = problem_of_image(
        base,
        image,
        architecture=architecture,
        partition=partition_of(arn),
        account_id=account_of(arn),
    )
    if problem is not None:
        raise SettingsError(problem)
    return image


def _require_publisher(base: BaseSettings, partition: str) -> None:
    if base.known is not None and not base.owners_in(partition):
        raise SettingsError(
            f"base is {base.text}, but {base.known.publisher} publishes no images of {base.known.title} in the "
            f"partition {partition}; name another base, or parameter, image_id or newest with its owner"
        )


def _newest(newest: NewestImage, architecture: str, arn: str, images: Images) -> Image:
    """The newest available image of an owner and a name."""
    image = images.newest(newest.owner, newest.name, architecture)
    if image is not None:
        return image
    what = f"an image of {newest.owner} named {newest.name} for {architecture}"
    if newest.owner not in {"self", account_of(arn)}:
        allowed = images.allowed_images()
        if allowed.restricts:
            raise ImageNotAllowedError(
                f"base.newest: this account sees no available image of {newest.owner} named {newest.name} for "
                f"{architecture}, which EC2's setting Allowed AMIs of this account and Region may hide: "
                f"{_allow(newest.owner, newest.owner, allowed)}; or correct base.newest"
            )
    raise SettingsError(
        f"base.newest names {what}, and this account sees none that is available in this Region; correct owner "
        "and name, or have the image shared with this account"
    )


def _named(base: BaseSettings, architecture: str, arn: str, parameters: Parameters, images: Images) -> Image:
    """The image of the parameter, or of the id, that the base names."""
    name = base.parameter_name(architecture)
    image_id = base.image_id or _stored(base, name or "", parameters)
    image = images.get(image_id)
    if image is not None:
        return image
    if base.owners_in(partition_of(arn)) != ("self",):
        allowed = images.allowed_images()
        if allowed.restricts:
            raise ImageNotAllowedError(not_allowed(base, image_id, arn, allowed))
    if base.known is not None:
        raise SettingsError(
            f"{image_id}, which the public parameter {name} names, does not exist in this Region; look again "
            f"in a few minutes, and else ask {base.known.publisher}"
        )
    via = f", which the parameter {name} holds," if name else ""
    raise SettingsError(
        f"{base.field} names {image_id}{via} and this account sees no such image in this Region; correct it, or have "
        "the image shared with this account"
    )


def _stored(base: BaseSettings, name: str, parameters: Parameters) -> str:
    """The id of an image that a parameter holds."""
    stored = parameters.get(name)
    if stored is None:
        raise SettingsError(_missing(base, name))
    if not is_ami_id(stored.value):
        what = "is a SecureString" if stored.type == "SecureString" else f"holds {stored.value!r:.60}"
        raise SettingsError(
            f"{base.field}: the parameter {name} {what}, which is no id of an image; write a String with an id, as "
            "ami-0123456789abcdef0"
        )
    return stored.value


def _missing(base: BaseSettings, name: str) -> str:
    if base.known is not None:
        return (
            f"the public parameter {name} does not exist in this Region; choose a Region that {base.known.title} is "
            "published in, or another base"
        )
    return (
        f"{base.field}: the parameter {name} does not exist in this Region; write it, or correct the name (a public "
        "one begins with /aws/service/)"
    )


def not_allowed(base: BaseSettings, image_id: str, arn: str, allowed: AllowedImages) -> str:
    """That the setting Allowed AMIs hides the base's image, and how to let it in."""
    owners = base.owners_in(partition_of(arn))
    hides = "hides" if base.known else "may hide"
    return (
        f"EC2's setting Allowed AMIs of this account and Region {hides} {image_id}, the image that fresh builds start "
        f"from (base: {base.text}): {_allow(owners[0], base.known.publisher if base.known else owners[0], allowed)}"
    )


def _allow(provider: str, who: str, allowed: AllowedImages) -> str:
    how = (
        "in the organization's declarative policy for EC2"
        if allowed.is_policy
        else "with aws ec2 replace-image-criteria-in-allowed-images-settings, which replaces all criteria"
    )
    name = provider if who == provider else f"{provider} ({who})"
    return f"allow the image provider {name} {how}, then build again"
