"""Lambda function `adopt_image_name`: registers disks under another name."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.adapters.clients import client, prepare_clients
from ami_lifecycle.adapters.clock import SystemClock
from ami_lifecycle.adapters.environments import DynamoEnvironments
from ami_lifecycle.adapters.images import Ec2Images
from ami_lifecycle.adapters.parameters import SsmParameters
from ami_lifecycle.domain.execution import Adoption, ImageRef
from ami_lifecycle.entry import environment, lambda_handler, parsed_by
from ami_lifecycle.steps.adopt_image_name import AdoptInput, NameAdopter

prepare_clients("dynamodb", "ec2", "ssm")


@lambda_handler(parsed_by(AdoptInput))
def handler(step: AdoptInput, deadline: datetime) -> Adoption | ImageRef:
    """Give the live image its canonical name, or what is promoted a candidate's."""
    return NameAdopter(
        images=Ec2Images(client("ec2")),
        parameters=SsmParameters(client("ssm")),
        environments=DynamoEnvironments(environment().TABLE_NAME, client("dynamodb")),
        clock=SystemClock(),
        deadline=deadline,
    ).register(step)
