"""Lambda function `request_approval`: asks people about what is to be published."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.adapters.approvals import DynamoApprovals, DynamoDecisions
from ami_lifecycle.adapters.clients import client, prepare_clients
from ami_lifecycle.adapters.clock import SystemClock
from ami_lifecycle.adapters.executions import StepFunctionsExecutions
from ami_lifecycle.adapters.notifier import AwsNotifier
from ami_lifecycle.domain.execution import StepInput
from ami_lifecycle.entry import environment, lambda_handler, parsed_by
from ami_lifecycle.steps.request_approval import Asked, Asker

prepare_clients("dynamodb", "events", "sns", "stepfunctions")


@lambda_handler(parsed_by(StepInput))
def handler(step: StepInput, deadline: datetime) -> Asked:
    """Ask for an approval."""
    variables, dynamodb = environment(), client("dynamodb")
    return Asker(
        approvals=DynamoApprovals(variables.TABLE_NAME, dynamodb),
        decisions=DynamoDecisions(variables.TABLE_NAME, dynamodb),
        executions=StepFunctionsExecutions(client("stepfunctions")),
        notifier=AwsNotifier(client("sns"), client("events"), variables.OUTCOME_TOPIC_ARN),
        clock=SystemClock(),
        state_machine_arn=variables.STATE_MACHINE_ARN,
    ).ask(step)
