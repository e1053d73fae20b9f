"""Lambda function `plan_build`: decides everything before any money is spent."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.adapters.clients import client, prepare_clients
from ami_lifecycle.adapters.clock import SystemClock
from ami_lifecycle.adapters.environments import DynamoEnvironments
from ami_lifecycle.adapters.images import Ec2Images
from ami_lifecycle.adapters.parameters import SsmParameters
from ami_lifecycle.adapters.repository import EcrRepository
from ami_lifecycle.contracts import BuildState, PlanInput
from ami_lifecycle.entry import environment, lambda_handler, parsed_by
from ami_lifecycle.settings import load_catalogue
from ami_lifecycle.steps.plan_build import Planner

prepare_clients("dynamodb", "ec2", "ecr", "ssm")


@lambda_handler(parsed_by(PlanInput))
def handler(step: PlanInput, deadline: datetime) -> BuildState:
    """Plan an execution."""
    variables, ssm = environment(), client("ssm")
    return Planner(
        catalogue=load_catalogue(variables.CONFIG_DIR, ssm, variables.APPLICATION),
        repository=EcrRepository(client("ecr")),
        images=Ec2Images(client("ec2")),
        parameters=SsmParameters(ssm),
        environments=DynamoEnvironments(variables.TABLE_NAME, client("dynamodb")),
        clock=SystemClock(),
    ).plan(step)
