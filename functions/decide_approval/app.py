"""Lambda function `decide_approval`: the only one that writes decisions, invoked by people and their tools."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.adapters.approvals import DynamoApprovals, DynamoDecisions
from ami_lifecycle.adapters.clients import client, prepare_clients
from ami_lifecycle.adapters.clock import SystemClock
from ami_lifecycle.adapters.executions import StepFunctionsExecutions
from ami_lifecycle.adapters.notifier import AwsNotifier
from ami_lifecycle.entry import environment, lambda_handler
from ami_lifecycle.steps.decide_approval import Decided, DecideInput, Decider, parse_decision

prepare_clients("dynamodb", "events", "sns", "stepfunctions")


@lambda_handler(parse_decision)
def handler(step: DecideInput, deadline: datetime) -> Decided:
    """Decide about a request for approval."""
    variables, dynamodb = environment(), client("dynamodb")
    return Decider(
        approvals=DynamoApprovals(variables.TABLE_NAME, dynamodb),
        decisions=DynamoDecisions(variables.TABLE_NAME, dynamodb),
        executions=StepFunctionsExecutions(client("stepfunctions")),
        notifier=AwsNotifier(client("sns"), client("events"), variables.OUTCOME_TOPIC_ARN),
        clock=SystemClock(),
        state_machine_arn=variables.STATE_MACHINE_ARN,
        application=variables.APPLICATION,
    ).decide(step)
