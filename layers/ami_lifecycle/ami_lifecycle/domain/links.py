"""Addresses in the AWS console."""

from __future__ import annotations

import re
from typing import Final

# IAM user guide, AWS sign-in endpoints: each partition has a console of its own.
_HOSTS: Final = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}
_HOST: Final = "console.aws.amazon.com"


def execution_link(arn: str) -> str:
    """An execution of the state machine, with its graph and events."""
    _, partition, _, region, *_ = arn.split(":")
    return f"{_home(partition, 'states', region)}#/v2/executions/details/{arn}"


def image_link(machine_arn: str, image_id: str) -> str:
    """An image, in the Region of the state machine."""
    _, partition, _, region, *_ = machine_arn.split(":")
    return f"{_home(partition, 'ec2', region)}#ImageDetails:imageId={image_id}"


def log_group_link(machine_arn: str, group: str) -> str:
    """A log group, in the Region of the state machine."""
    _, partition, _, region, *_ = machine_arn.split(":")
    # The console encodes the name twice, with $ in the place of %.
    name = re.sub(r"[^A-Za-z0-9_.~-]", lambda found: f"$25{ord(found[0]):02X}", group)
    return f"{_home(partition, 'cloudwatch', region)}#logsV2:log-groups/log-group/{name}"


def _home(partition: str, service: str, region: str) -> str:
    return f"https://{_HOSTS.get(partition, _HOST)}/{service}/home?region={region}"
