"""Lambda function `claim_environment`: one execution at a time, the others queue."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.adapters.clients import client, prepare_clients
from ami_lifecycle.adapters.clock import SystemClock
from ami_lifecycle.adapters.environments import DynamoEnvironments
from ami_lifecycle.adapters.executions import StepFunctionsExecutions
from ami_lifecycle.domain.execution import ClaimResult, StepInput
from ami_lifecycle.entry import environment, lambda_handler, parsed_by
from ami_lifecycle.steps.claim_environment import claim_environment

prepare_clients("dynamodb", "stepfunctions")


@lambda_handler(parsed_by(StepInput))
def handler(step: StepInput, deadline: datetime) -> ClaimResult:
    """Claim the environment of a plan."""
    environments = DynamoEnvironments(environment().TABLE_NAME, client("dynamodb"))
    return claim_environment(
        step, environments, StepFunctionsExecutions(client("stepfunctions")), SystemClock()
    )
