"""Lambda function `verify_image`: sends VerifyImage to the canary."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.adapters.clients import client, prepare_clients
from ami_lifecycle.adapters.commands import SsmCommands
from ami_lifecycle.adapters.instances import Ec2Instances
from ami_lifecycle.domain.execution import CommandRef
from ami_lifecycle.entry import environment, lambda_handler, parsed_by
from ami_lifecycle.steps.document_runner import CommandInput, DocumentRunner
from ami_lifecycle.steps.verify_image import verify_image

prepare_clients("ec2")
prepare_clients("ssm", attempts=1)


@lambda_handler(parsed_by(CommandInput))
def handler(step: CommandInput, deadline: datetime) -> CommandRef:
    """Send the document, or find the command."""
    variables = environment()
    runner = DocumentRunner(
        commands=SsmCommands(client("ssm", attempts=1), variables.COMMAND_LOG_GROUP),
        instances=Ec2Instances(client("ec2")),
        document=variables.DOCUMENT_NAME,
    )
    lists_packages = bool(variables.PACKAGE_BUCKET)
    return verify_image(step, runner, variables.AWS_REGION, lists_packages=lists_packages)
