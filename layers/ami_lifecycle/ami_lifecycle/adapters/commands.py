"""SSM Run Command behind the port `Commands`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from ami_lifecycle.adapters.permissions import calls
from ami_lifecycle.adapters.translation import aws_errors, code_of
from ami_lifecycle.domain.command import CommandResult, CommandStatus

# SSM API reference, SendCommand: this bounds the delivery alone. An agent that is replacing itself loses
# what it was sent, and this bounds how long that takes to show.
DELIVERY_TIMEOUT_SECONDS: Final = 60
COMMENT_LIMIT: Final = 100

# SSM API reference, GetCommandInvocation, StatusDetails: written without spaces. These say that the agent never
# took the command; `AccessDenied` and `InvalidPlatform` say that it never will.
UNDELIVERED_DETAILS: Final = frozenset({"DeliveryTimedOut", "Undeliverable"})
STATUSES: Final[Mapping[str, CommandStatus]] = {
    "Pending": CommandStatus.RUNNING,
    "InProgress": CommandStatus.RUNNING,
    "Delayed": CommandStatus.RUNNING,
    "Cancelling": CommandStatus.RUNNING,
    "Success": CommandStatus.SUCCESS,
    "Failed": CommandStatus.FAILED,
    "TimedOut": CommandStatus.TIMED_OUT,
    "Cancelled": CommandStatus.CANCELLED,
}


def _status(status: str, details: str, started: str) -> CommandStatus:
    # ExecutionStartDateTime is empty until the document begins (SSM API reference, GetCommandInvocation).
    if details.replace(" ", "") in UNDELIVERED_DETAILS and not started:
        return CommandStatus.UNDELIVERED
    return STATUSES[status]


def _result(answer: Mapping[str, Any]) -> CommandResult:
    details = answer.get("StatusDetails", "")
    status = _status(answer["Status"], details, answer.get("ExecutionStartDateTime", ""))
    code = answer.get("ResponseCode", -1)
    # The output of a successful command is its result; an empty one is still a string.
    stdout = answer["StandardOutputContent"] if status is CommandStatus.SUCCESS else None
    return CommandResult(
        status=status,
        status_details=details,
        exit_code=code if code >= 0 and status is not CommandStatus.RUNNING else None,
        stdout=answer.get("StandardOutputContent", "") if stdout is None else stdout,
        stderr=answer.get("StandardErrorContent", ""),
    )


class SsmCommands:
    """Commands through a low-level SSM client, which must make one attempt only: SendCommand has no
    client token, so an attempt that boto3 repeats after a lost response is a second command.
    """

    def __init__(self, client: Any, log_group: str | None = None) -> None:
        self._client = client
        self._log_group = log_group

    @calls("ssm:DescribeInstanceInformation")
    def agent_version(self, instance_id: str) -> str | None:
        """Version of the instance's agent when it is online; else None."""
        with aws_errors("ssm:DescribeInstanceInformation", instance_id):
            try:
                pages = self._client.get_paginator("describe_instance_information").paginate(
                    Filters=[{"Key": "InstanceIds", "Values": [instance_id]}]
                )
                found = [agent for page in pages for agent in page["InstanceInformationList"]]
            except ClientError as error:
                if code_of(error) == "InvalidInstanceId":
                    return None
                raise
        for agent in found:
            if agent.get("PingStatus") == "Online":
                return str(agent.get("AgentVersion", ""))
        return None

    @calls("ssm:ListCommands")
    def find(self, instance_id: str, comment: str) -> str | None:
        """Id of the newest command sent to the instance with this comment; else None."""
        with aws_errors("ssm:ListCommands", instance_id):
            pages = self._client.get_paginator("list_commands").paginate(InstanceId=instance_id)
            found = [command for page in pages for command in page["Commands"]]
            matching = [command for command in found if command.get("Comment") == comment[:COMMENT_LIMIT]]
            if not matching:
                return None
            return str(max(matching, key=lambda command: command["RequestedDateTime"])["CommandId"])

    @calls("ssm:SendCommand")
    def send(self, instance_id: str, document: str, parameters: Mapping[str, str], comment: str) -> str:
        """Send the newest version of a document to one instance; returns the command's id.

        Raises `AgentNotOnlineError` when SSM does not accept the instance, `SettingsError` when it does
        not accept document or parameters. After `ServiceUnavailableError` the command may have been sent.
        """
        output: dict[str, Any] = {}
        if self._log_group:
            output["CloudWatchOutputConfig"] = {
                "CloudWatchLogGroupName": self._log_group,
                "CloudWatchOutputEnabled": True,
            }
        with aws_errors("ssm:SendCommand", f"{document} on {instance_id}"):
            answer = self._client.send_command(
                InstanceIds=[instance_id],
                DocumentName=document,
                DocumentVersion="$LATEST",
                Parameters={name: [value] for name, value in parameters.items()},
                Comment=comment[:COMMENT_LIMIT],
                TimeoutSeconds=DELIVERY_TIMEOUT_SECONDS,
                **output,
            )
            return str(answer["Command"]["CommandId"])

    @calls("ssm:GetCommandInvocation")
    def result(self, command_id: str, instance_id: str) -> CommandResult | None:
        """The invocation; None when SSM does not show it yet. An exit code below zero means that there
        is none: the command never ran.
        """
        with aws_errors("ssm:GetCommandInvocation", f"{command_id} on {instance_id}"):
            try:
                answer = self._client.get_command_invocation(CommandId=command_id, InstanceId=instance_id)
            except ClientError as error:
                if code_of(error) == "InvocationDoesNotExist":
                    return None
                raise
            return _result(answer)
