"""Lambda function `create_image`: creates the candidate, or finds it."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.adapters.clients import client, prepare_clients
from ami_lifecycle.adapters.environments import DynamoEnvironments
from ami_lifecycle.adapters.images import Ec2Images
from ami_lifecycle.domain.execution import ImageRef
from ami_lifecycle.entry import environment, lambda_handler, parsed_by
from ami_lifecycle.steps.create_image import CreateImageInput, create_image

prepare_clients("dynamodb", "ec2")


@lambda_handler(parsed_by(CreateImageInput))
def handler(step: CreateImageInput, deadline: datetime) -> ImageRef:
    """Create the candidate image."""
    environments = DynamoEnvironments(environment().TABLE_NAME, client("dynamodb"))
    return create_image(step, Ec2Images(client("ec2")), environments, deadline)
