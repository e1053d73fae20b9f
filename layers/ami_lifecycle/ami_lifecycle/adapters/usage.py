"""Who uses images, behind the port `ImageUsage`: what cannot be read counts as a use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from ami_lifecycle.adapters.images import Ec2Images
from ami_lifecycle.adapters.permissions import calls
from ami_lifecycle.adapters.translation import aws_errors
from ami_lifecycle.domain.model import ImageUse, Usage, UsageKind
from ami_lifecycle.errors import AmiLifecycleError

Found = Iterable[tuple[str, ImageUse]]

# EC2 API reference, DescribeImageReferences: 1 to 10 images per call.
IDS_PER_CALL: Final = 10
LIVE_STATES: Final = ("pending", "running", "stopping", "stopped")
# Values given next to IncludeAllResourceTypes override its defaults, which are the ten newest versions of
# a template and instances in any state; 10,000 versions is the most that EC2 looks at.
SCOPES: Final = (
    {
        "ResourceType": "ec2:LaunchTemplate",
        "ResourceTypeOptions": [{"OptionName": "version-depth", "OptionValues": ["10000"]}],
    },
    {
        "ResourceType": "ec2:Instance",
        "ResourceTypeOptions": [{"OptionName": "state-name", "OptionValues": list(LIVE_STATES)}],
    },
)
KINDS: Final[Mapping[str, UsageKind]] = {
    "ec2:Instance": UsageKind.RUNNING_INSTANCE,
    "ec2:LaunchTemplate": UsageKind.LAUNCH_TEMPLATE,
    "ssm:Parameter": UsageKind.PARAMETER,
    "imagebuilder:ImageRecipe": UsageKind.RECIPE,
    "imagebuilder:ContainerRecipe": UsageKind.RECIPE,
}
# The parameters that this service writes itself: `latest` is a use, the records of an image are none.
_OWN_PARAMETER: Final = re.compile(
    r":parameter/[a-z][a-z0-9-]*/ami/[a-z][a-z0-9-]*/(?P<leaf>latest|metadata|history/ami-[0-9a-f]+)$"
)
# `resolve:ssm:name:3`, `resolve:ssm:name:label`, and the ARN form: an alias that stays behind `latest`.
_PINNED_ALIAS: Final = re.compile(
    r"^resolve:ssm:(?:/?[^:]+|arn:[^:]+:ssm:[^:]*:[^:]*:parameter/[^:]+):[^:]+$"
)


class AwsImageUsage:
    """Uses of images in this account and Region, and launch permissions given to others."""

    def __init__(self, ec2: Any, autoscaling: Any) -> None:
        self._ec2 = ec2
        self._autoscaling = autoscaling
        self._images = Ec2Images(ec2)

    # EC2 looks the references up with the caller's own permissions (EC2 user guide, Identify your
    # resources referencing specified AMIs).
    @calls(
        "ec2:DescribeImageReferences",
        "ec2:DescribeInstances",
        "ec2:DescribeLaunchTemplates",
        "ec2:DescribeLaunchTemplateVersions",
        "ssm:DescribeParameters",
        "ssm:GetParameters",
        "imagebuilder:ListImageRecipes",
        "imagebuilder:GetImageRecipe",
        "imagebuilder:ListContainerRecipes",
        "imagebuilder:GetContainerRecipe",
        "ec2:DescribeImageAttribute",
        "autoscaling:DescribeLaunchConfigurations",
    )
    def usage_of(self, image_ids: Sequence[str]) -> list[Usage]:
        """All uses of each image, in the order asked. What cannot be read becomes an UNKNOWN use."""
        if not image_ids:
            return []
        wanted = list(dict.fromkeys(image_ids))
        uses: dict[str, list[ImageUse]] = {image_id: [] for image_id in wanted}
        for start in range(0, len(wanted), IDS_PER_CALL):
            chunk = wanted[start : start + IDS_PER_CALL]
            _collect(uses, chunk, "ec2:DescribeImageReferences", self._references)
        _collect(uses, wanted, "ec2:DescribeInstances", self._instances)
        _collect(uses, wanted, "ec2:DescribeLaunchTemplateVersions", self._pinned_aliases)
        _collect(uses, wanted, "autoscaling:DescribeLaunchConfigurations", self._launch_configurations)
        for image_id in wanted:
            _collect(uses, [image_id], "ec2:DescribeImageAttribute", self._permissions)
        return [Usage(image_id=image_id, uses=tuple(dict.fromkeys(uses[image_id]))) for image_id in image_ids]

    def _references(self, image_ids: Sequence[str]) -> Iterator[tuple[str, ImageUse]]:
        with aws_errors("ec2:DescribeImageReferences", ", ".join(image_ids)):
            pages = self._ec2.get_paginator("describe_image_references").paginate(
                ImageIds=list(image_ids), IncludeAllResourceTypes=True, ResourceTypes=list(SCOPES)
            )
            for page in pages:
                for reference in page["ImageReferences"]:
                    use = _use_of(reference["ResourceType"], reference["Arn"])
                    if use is not None:
                        yield reference["ImageId"], use

    def _instances(self, image_ids: Sequence[str]) -> Iterator[tuple[str, ImageUse]]:
        with aws_errors("ec2:DescribeInstances", "instances of the images"):
            pages = self._ec2.get_paginator("describe_instances").paginate(
                Filters=[
                    {"Name": "image-id", "Values": list(image_ids)},
                    {"Name": "instance-state-name", "Values": list(LIVE_STATES)},
                ]
            )
            for page in pages:
                for reservation in page["Reservations"]:
                    for instance in reservation["Instances"]:
                        arn = _instance_arn(self._ec2, reservation, instance)
                        yield instance["ImageId"], ImageUse(kind=UsageKind.RUNNING_INSTANCE, resource=arn)

    def _pinned_aliases(self, image_ids: Sequence[str]) -> Iterator[tuple[str, ImageUse]]:
        """Launch templates that name a fixed version or label of a parameter, which may hold an old image."""
        with aws_errors("ec2:DescribeLaunchTemplateVersions", "launch templates"):
            pages = self._ec2.get_paginator("describe_launch_template_versions").paginate(
                Versions=["$Latest", "$Default"]
            )
            for page in pages:
                for version in page["LaunchTemplateVersions"]:
                    if _PINNED_ALIAS.match(version["LaunchTemplateData"].get("ImageId", "")):
                        yield from self._resolved(version, image_ids)

    def _resolved(
        self, version: Mapping[str, Any], image_ids: Sequence[str]
    ) -> Iterator[tuple[str, ImageUse]]:
        template, alias = version["LaunchTemplateId"], version["LaunchTemplateData"]["ImageId"]
        with aws_errors("ec2:DescribeLaunchTemplateVersions", f"{template} with {alias}"):
            answer = self._ec2.describe_launch_template_versions(
                LaunchTemplateId=template, Versions=[str(version["VersionNumber"])], ResolveAlias=True
            )
        for found in answer["LaunchTemplateVersions"]:
            resource = f"{template} version {found['VersionNumber']}, {alias}"
            image_id = found["LaunchTemplateData"].get("ImageId", "")
            if image_id.startswith("ami-"):
                yield image_id, ImageUse(kind=UsageKind.LAUNCH_TEMPLATE, resource=resource)
                continue
            # Which image it names is not known, so it may be any of them.
            unknown = ImageUse(kind=UsageKind.UNKNOWN, resource=f"{resource}, which EC2 did not resolve")
            yield from ((each, unknown) for each in image_ids)

    def _launch_configurations(self, _image_ids: Sequence[str]) -> Iterator[tuple[str, ImageUse]]:
        with aws_errors("autoscaling:DescribeLaunchConfigurations", "launch configurations"):
            pages = self._autoscaling.get_paginator("describe_launch_configurations").paginate()
            for page in pages:
                for found in page["LaunchConfigurations"]:
                    yield (
                        found["ImageId"],
                        ImageUse(
                            kind=UsageKind.LAUNCH_CONFIGURATION,
                            resource=found.get("LaunchConfigurationARN") or found["LaunchConfigurationName"],
                        ),
                    )

    def _permissions(self, image_ids: Sequence[str]) -> Iterator[tuple[str, ImageUse]]:
        for image_id in image_ids:
            for who in self._images.launch_permissions(image_id):
                yield image_id, ImageUse(kind=UsageKind.LAUNCH_PERMISSION, resource=who)


def _collect(
    uses: dict[str, list[ImageUse]],
    image_ids: Sequence[str],
    action: str,
    look: Callable[[Sequence[str]], Found],
) -> None:
    """Add what one look-up finds; where it fails, an UNKNOWN use that names the action."""
    try:
        found = list(look(image_ids))
    except (AmiLifecycleError, BotoCoreError, ClientError) as error:
        unknown = ImageUse(kind=UsageKind.UNKNOWN, resource=f"{action} could not be read: {error}")
        found = [(image_id, unknown) for image_id in image_ids]
    for image_id, use in found:
        if image_id in uses:
            uses[image_id].append(use)


def _use_of(resource_type: str, arn: str) -> ImageUse | None:
    own = _OWN_PARAMETER.search(arn) if resource_type == "ssm:Parameter" else None
    if own is None:
        # A resource type that EC2 learnt after this was written is a use of a kind that is not known here.
        return ImageUse(kind=KINDS.get(resource_type, UsageKind.UNKNOWN), resource=arn)
    return ImageUse(kind=UsageKind.LATEST, resource=arn) if own["leaf"] == "latest" else None


def _instance_arn(ec2: Any, reservation: Mapping[str, Any], instance: Mapping[str, Any]) -> str:
    """The ARN, as DescribeImageReferences gives it, so that both look-ups name an instance alike."""
    partition = ec2.meta.partition
    region = ec2.meta.region_name
    return f"arn:{partition}:ec2:{region}:{reservation['OwnerId']}:instance/{instance['InstanceId']}"
