"""References to an image that EC2 itself reports (EC2 API reference, DescribeImageReferences)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ami_lifecycle.adapters.translation import aws_errors
from ami_lifecycle.adapters.usage.instances import LIVE_STATES
from ami_lifecycle.adapters.usage.usage_query import TimeLimit
from ami_lifecycle.domain.model import ImageUse, UsageKind

ACTION: Final = "ec2:DescribeImageReferences"
# EC2 looks through instances, templates, parameters and recipes while the caller waits, and its own calls are
# throttled like others. No figure for how long it takes is published, so it gets more time than other calls.
READ_TIMEOUT_SECONDS: Final = 40
ATTEMPTS: Final = 2
SECONDS: Final = 90.0
IDS_PER_CALL: Final = 10
# Values given next to IncludeAllResourceTypes override its defaults. Those are instances in any state, and the
# ten newest versions of each launch template: the versions are read to the last by `templates`, so that EC2
# need not go through thousands of them here.
SCOPES: Final = (
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


class Reference(NamedTuple):
    """A resource that refers to an image."""

    image_id: str
    resource_type: str
    arn: str

    @property
    def use(self) -> ImageUse | None:
        """The reference as a use; None for a record that this service wrote."""
        if self.resource_type == "ssm:Parameter":
            return use_by_parameter(self.arn)
        # A resource type that is not known here is an UNKNOWN use.
        return ImageUse(kind=KINDS.get(self.resource_type, UsageKind.UNKNOWN), resource=self.arn)

    @property
    def template_id(self) -> str | None:
        """The launch template, if it is one."""
        return self.arn.rpartition("/")[2] if self.resource_type == "ec2:LaunchTemplate" else None


def use_by_parameter(arn: str) -> ImageUse | None:
    """The use of an image by a parameter with its id; None for this service's own records."""
    own = _OWN_PARAMETER.search(arn)
    if own is None:
        return ImageUse(kind=UsageKind.PARAMETER, resource=arn)
    return ImageUse(kind=UsageKind.LATEST, resource=arn) if own["leaf"] == "latest" else None


def read_references(ec2: Any, image_ids: Sequence[str], limit: TimeLimit) -> Iterator[Reference]:
    """The resources that refer to at most ten images."""
    with aws_errors(ACTION, ", ".join(image_ids)):
        paginator = ec2.get_paginator("describe_image_references")
        for page in limit.pages(
            paginator, ImageIds=list(image_ids), IncludeAllResourceTypes=True, ResourceTypes=list(SCOPES)
        ):
            for found in page["ImageReferences"]:
                yield Reference(found["ImageId"], found["ResourceType"], found["Arn"])
