"""Lambda function `publish_image`: history, metadata, latest, read back."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.adapters.approvals import DynamoDecisions
from ami_lifecycle.adapters.clients import client, prepare_clients
from ami_lifecycle.adapters.clock import SystemClock
from ami_lifecycle.adapters.environments import DynamoEnvironments
from ami_lifecycle.adapters.images import Ec2Images
from ami_lifecycle.adapters.package_lists import package_lists
from ami_lifecycle.adapters.parameters import SsmParameters
from ami_lifecycle.domain.execution import Published
from ami_lifecycle.entry import environment, lambda_handler, parsed_by
from ami_lifecycle.steps.gates import gates_of
from ami_lifecycle.steps.publish_image import Publisher, PublishInput

prepare_clients("dynamodb", "ec2", "ssm")


@lambda_handler(parsed_by(PublishInput))
def handler(step: PublishInput, deadline: datetime) -> Published:
    """Publish an image."""
    variables, dynamodb = environment(), client("dynamodb")
    return Publisher(
        step,
        images=Ec2Images(client("ec2")),
        parameters=SsmParameters(client("ssm")),
        environments=DynamoEnvironments(variables.TABLE_NAME, dynamodb),
        clock=SystemClock(),
        region=variables.AWS_REGION,
        deadline=deadline,
        package_lists=package_lists(variables.PACKAGE_BUCKET),
        gates=gates_of(step.plan.configured, DynamoDecisions(variables.TABLE_NAME, dynamodb)),
    ).publish()
