"""Lambda function `launch_builder`: boots the base image."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.adapters.clients import client, prepare_clients
from ami_lifecycle.adapters.clock import SystemClock
from ami_lifecycle.adapters.environments import DynamoEnvironments
from ami_lifecycle.adapters.instances import Ec2Instances
from ami_lifecycle.domain.execution import ClaimedInput, InstanceRef
from ami_lifecycle.entry import environment, lambda_handler, parsed_by
from ami_lifecycle.steps.launch_builder import launch_builder
from ami_lifecycle.steps.launcher import Infrastructure, Launcher

prepare_clients("dynamodb")
prepare_clients("ec2", attempts=1)


@lambda_handler(parsed_by(ClaimedInput))
def handler(step: ClaimedInput, deadline: datetime) -> InstanceRef:
    """Launch the instance, or find it."""
    variables, ec2 = environment(), client("ec2", attempts=1)
    launcher = Launcher(
        instances=Ec2Instances(ec2),
        environments=DynamoEnvironments(variables.TABLE_NAME, client("dynamodb")),
        infrastructure=Infrastructure(
            subnet_ids=variables.subnet_ids,
            security_group_id=variables.SECURITY_GROUP_ID,
            instance_profile_arn=variables.INSTANCE_PROFILE_ARN,
            volume_key_arn=variables.VOLUME_KEY_ARN,
        ),
        clock=SystemClock(),
        deadline=deadline,
    )
    return launch_builder(step, launcher)
