"""Lambda function `sweep_environments`: the last net, on a schedule."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.adapters.clients import prepare_clients
from ami_lifecycle.adapters.composition import sweeper
from ami_lifecycle.domain.result import SweepResult
from ami_lifecycle.entry import environment, lambda_handler
from ami_lifecycle.steps.sweep_environments import parse_sweep

prepare_clients("autoscaling", "dynamodb", "ec2", "ecr", "events", "sns", "ssm", "stepfunctions")


@lambda_handler(parse_sweep)
def handler(step: None, deadline: datetime) -> SweepResult:
    """Sweep all environments."""
    return sweeper(environment(), deadline).sweep()
