"""Lambda function `clean_up_build`: ends a build that went wrong."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.adapters.clients import prepare_clients
from ami_lifecycle.adapters.composition import build_cleaner
from ami_lifecycle.domain.result import CleanUpResult
from ami_lifecycle.entry import environment, lambda_handler
from ami_lifecycle.steps.clean_up_build import CleanUpInput, parse_clean_up

prepare_clients("autoscaling", "dynamodb", "ec2", "events", "sns", "ssm", "stepfunctions")


@lambda_handler(parse_clean_up)
def handler(step: CleanUpInput, deadline: datetime) -> CleanUpResult:
    """Remove what an execution left behind."""
    return build_cleaner(environment(), deadline).clean_up(step)
