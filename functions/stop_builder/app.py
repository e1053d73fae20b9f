"""Lambda function `stop_builder`: stops the builder for a consistent image."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.adapters.clients import client, prepare_clients
from ami_lifecycle.adapters.instances import Ec2Instances
from ami_lifecycle.domain.execution import InstanceInput
from ami_lifecycle.entry import lambda_handler, parsed_by
from ami_lifecycle.steps.stop_builder import stop_builder

prepare_clients("ec2")


@lambda_handler(parsed_by(InstanceInput))
def handler(step: InstanceInput, deadline: datetime) -> None:
    """Begin to stop the builder."""
    stop_builder(step, Ec2Instances(client("ec2")))
