"""Instances of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ami_lifecycle.adapters.translation import aws_errors
from ami_lifecycle.adapters.usage.usage_query import TimeLimit
from ami_lifecycle.domain.model import ImageUse, UsageKind

ACTION: Final = "ec2:DescribeInstances"
LIVE_STATES: Final = ("pending", "running", "stopping", "stopped")
# EC2 API reference, Filter: 200 values at most.
_VALUES_PER_FILTER: Final = 200


def read_instances(ec2: Any, image_ids: Sequence[str], limit: TimeLimit) -> Iterator[tuple[str, ImageUse]]:
    """The images' instances that have not ended."""
    with aws_errors(ACTION, "instances of the images"):
        paginator = ec2.get_paginator("describe_instances")
        for start in range(0, len(image_ids), _VALUES_PER_FILTER):
            filters = [
                {"Name": "image-id", "Values": list(image_ids[start : start + _VALUES_PER_FILTER])},
                {"Name": "instance-state-name", "Values": list(LIVE_STATES)},
            ]
            for page in limit.pages(paginator, Filters=filters):
                for reservation in page["Reservations"]:
                    for instance in reservation["Instances"]:
                        arn = _instance_arn(ec2, reservation, instance)
                        yield instance["ImageId"], ImageUse(kind=UsageKind.RUNNING_INSTANCE, resource=arn)


def _instance_arn(ec2: Any, reservation: Mapping[str, Any], instance: Mapping[str, Any]) -> str:
    """The ARN, as DescribeImageReferences gives it, so that both look-ups name an instance alike."""
    partition = ec2.meta.partition
    region = ec2.meta.region_name
    return f"arn:{partition}:ec2:{region}:{reservation['OwnerId']}:instance/{instance['InstanceId']}"
