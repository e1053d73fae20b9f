"""Lambda function `resume_build`: completes the task that waits for an event's resource."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.adapters.clients import client, prepare_clients
from ami_lifecycle.adapters.clock import SystemClock
from ami_lifecycle.adapters.commands import SsmCommands
from ami_lifecycle.adapters.executions import StepFunctionsExecutions
from ami_lifecycle.adapters.images import Ec2Images
from ami_lifecycle.adapters.instances import Ec2Instances
from ami_lifecycle.adapters.waits import DynamoWaits
from ami_lifecycle.domain.events import Event
from ami_lifecycle.entry import environment, lambda_handler, parsed_by
from ami_lifecycle.steps.resume_build import Resumed, resume_build
from ami_lifecycle.steps.wait_check import WaitCheck

prepare_clients("dynamodb", "ec2", "ssm", "stepfunctions")


@lambda_handler(parsed_by(Event))
def handler(step: Event, deadline: datetime) -> Resumed:
    """Handle a completion event."""
    ec2 = client("ec2")
    check = WaitCheck(Ec2Instances(ec2), Ec2Images(ec2), SsmCommands(client("ssm")))
    return resume_build(
        step,
        check,
        waits=DynamoWaits(environment().TABLE_NAME, client("dynamodb")),
        executions=StepFunctionsExecutions(client("stepfunctions")),
        clock=SystemClock(),
    )
