"""Lambda function `retire_images`: removes what nobody uses."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.adapters.clients import client, prepare_clients
from ami_lifecycle.adapters.clock import SystemClock
from ami_lifecycle.adapters.environments import DynamoEnvironments
from ami_lifecycle.adapters.images import Ec2Images
from ami_lifecycle.adapters.instances import Ec2Instances
from ami_lifecycle.adapters.parameters import SsmParameters
from ami_lifecycle.adapters.usage import usage_in_account
from ami_lifecycle.domain.decision import Retirement
from ami_lifecycle.entry import environment, lambda_handler, parsed_by
from ami_lifecycle.steps.retire_images import RetireInput, Retirer

prepare_clients("autoscaling", "dynamodb", "ec2", "ssm")


@lambda_handler(parsed_by(RetireInput))
def handler(step: RetireInput, deadline: datetime) -> Retirement:
    """Retire the previous images of the environment."""
    ec2 = client("ec2")
    return Retirer(
        step,
        instances=Ec2Instances(ec2),
        images=Ec2Images(ec2),
        usage=usage_in_account(deadline),
        parameters=SsmParameters(client("ssm")),
        environments=DynamoEnvironments(environment().TABLE_NAME, client("dynamodb")),
        clock=SystemClock(),
        deadline=deadline,
    ).retire()
