"""Lambda function `plan_build`: decides everything before any money is spent."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.adapters.approvals import DynamoApprovals, DynamoDecisions
from ami_lifecycle.adapters.clients import client, prepare_clients
from ami_lifecycle.adapters.clock import PacingClock, SystemClock
from ami_lifecycle.adapters.documents import SsmDocuments
from ami_lifecycle.adapters.environments import DynamoEnvironments
from ami_lifecycle.adapters.images import Ec2Images
from ami_lifecycle.adapters.network import Ec2Network
from ami_lifecycle.adapters.parameters import SsmParameters
from ami_lifecycle.adapters.repository import EcrRepository
from ami_lifecycle.domain.execution import BuildState
from ami_lifecycle.entry import environment, lambda_handler, parsed_by
from ami_lifecycle.settings import load_catalogue
from ami_lifecycle.steps.plan_build import PlanInput, Planner
from ami_lifecycle.steps.preflight import Preflight

prepare_clients("dynamodb", "ec2", "ecr", "ssm")


@lambda_handler(parsed_by(PlanInput))
def handler(step: PlanInput, deadline: datetime) -> BuildState:
    """Plan an execution."""
    variables, ssm, ec2 = environment(), client("ssm"), client("ec2")
    repository, parameters, clock = EcrRepository(client("ecr")), SsmParameters(ssm), SystemClock()
    items, group = (variables.TABLE_NAME, client("dynamodb")), variables.SECURITY_GROUP_ID
    read = (repository, Ec2Images(ec2), parameters, SsmDocuments(ssm), DynamoEnvironments(*items), clock)
    return Planner(
        load_catalogue(variables.CONFIG_DIR, ssm, variables.APPLICATION, PacingClock()),
        *read,
        preflight=Preflight(repository, parameters, Ec2Network(ec2), variables.subnet_ids, group),
        approvals=DynamoApprovals(*items),
        decisions=DynamoDecisions(*items),
    ).plan(step)
