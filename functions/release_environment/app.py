"""Lambda function `release_environment`: ends a build that went well."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.adapters.clients import client, prepare_clients
from ami_lifecycle.adapters.clock import SystemClock
from ami_lifecycle.adapters.environments import DynamoEnvironments
from ami_lifecycle.adapters.executions import StepFunctionsExecutions
from ami_lifecycle.adapters.instances import Ec2Instances
from ami_lifecycle.adapters.notifier import AwsNotifier
from ami_lifecycle.domain.result import ReleaseResult
from ami_lifecycle.entry import environment, lambda_handler, parsed_by
from ami_lifecycle.steps.release_environment import ReleaseInput, Releaser

prepare_clients("dynamodb", "ec2", "events", "sns", "stepfunctions")


@lambda_handler(parsed_by(ReleaseInput))
def handler(step: ReleaseInput, deadline: datetime) -> ReleaseResult:
    """Release the environment."""
    variables = environment()
    return Releaser(
        instances=Ec2Instances(client("ec2")),
        environments=DynamoEnvironments(variables.TABLE_NAME, client("dynamodb")),
        executions=StepFunctionsExecutions(client("stepfunctions")),
        notifier=AwsNotifier(client("sns"), client("events"), variables.OUTCOME_TOPIC_ARN),
        clock=SystemClock(),
    ).release(step)
