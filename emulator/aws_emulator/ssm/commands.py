"""The state of Run Command, and the API's views of commands and invocations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from aws_emulator.gateway.wire.scalars import iso8601

ENDED: Final = frozenset({"Success", "Cancelled", "TimedOut", "Failed"})
STDOUT_LIMIT: Final = 24_000
STDERR_LIMIT: Final = 8_000
_PLUGIN_OUTPUT_LIMIT: Final = 2_500


@dataclass
class Invocation:
    """A command on one instance; `response_code` is -1 until it has ended."""

    instance_id: str
    status: str = "Pending"
    details: str = "Pending"
    response_code: int = -1
    started: datetime | None = None
    ended: datetime | None = None
    stdout: str = ""
    stderr: str = ""
    # Lines of the standard output that have been delivered to CloudWatch Logs.
    delivered: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether the status is final."""
        return self.status in ENDED


@dataclass(kw_only=True)
class Command:
    """One SendCommand."""

    command_id: str
    document_name: str
    document_version: str
    step: str
    comment: str
    parameters: Mapping[str, list[str]]
    bound: Mapping[str, Any]
    asked_instance_ids: list[str]
    targets: list[Any]
    requested: datetime
    requested_elapsed: float
    timeout_seconds: int
    execution_seconds: float
    output: Mapping[str, Any]
    invocations: dict[str, Invocation] = field(default_factory=dict)

    @property
    def expires(self) -> datetime:
        """When it ends at the latest: delivery and execution timeout together."""
        return self.requested + timedelta(seconds=self.timeout_seconds + self.execution_seconds)

    def status(self) -> tuple[str, str]:
        """Status and details of the command as a whole; one that timed out on an instance is Failed."""
        if not self.invocations:
            return "Success", "NoInstancesInTag"
        ended = all(each.has_ended for each in self.invocations.values())
        status, details = self._outcome() if ended else (self._stage(), None)
        return status, details or status

    def _stage(self) -> str:
        states = {each.status for each in self.invocations.values()}
        if "Cancelling" in states:
            return "Cancelling"
        return "Pending" if states == {"Pending"} else "InProgress"

    def _outcome(self) -> tuple[str, str | None]:
        states = {each.status for each in self.invocations.values()}
        if states == {"Success"}:
            return "Success", None
        if "Cancelled" in states:
            return "Cancelled", None
        if {each.details for each in self.invocations.values()} == {"DeliveryTimedOut"}:
            return "TimedOut", "DeliveryTimedOut"
        return "Failed", None


def shown_command(command: Command) -> dict[str, Any]:
    """A command as SendCommand and ListCommands show it."""
    status, details = command.status()
    invocations = command.invocations.values()
    return {
        "CommandId": command.command_id,
        "DocumentName": command.document_name,
        "DocumentVersion": command.document_version,
        "Comment": command.comment,
        "ExpiresAfter": command.expires,
        "Parameters": dict(command.parameters),
        "InstanceIds": command.asked_instance_ids,
        "Targets": command.targets,
        "RequestedDateTime": command.requested,
        "Status": status,
        "StatusDetails": details,
        "MaxConcurrency": "50",
        "MaxErrors": "0",
        "TargetCount": len(command.invocations),
        "CompletedCount": sum(each.has_ended for each in invocations),
        "ErrorCount": sum(each.status in {"Failed", "TimedOut"} for each in invocations),
        "DeliveryTimedOutCount": sum(each.details == "DeliveryTimedOut" for each in invocations),
        "TimeoutSeconds": command.timeout_seconds,
        **command.output,
    }


def shown_invocation(command: Command, invocation: Invocation) -> dict[str, Any]:
    """An invocation as GetCommandInvocation shows it: no output until it has ended."""
    elapsed = ""
    if invocation.started and invocation.ended:
        elapsed = f"PT{(invocation.ended - invocation.started).total_seconds():.3f}S"
    return {
        "CommandId": command.command_id,
        "InstanceId": invocation.instance_id,
        "Comment": command.comment,
        "DocumentName": command.document_name,
        "DocumentVersion": command.document_version,
        "PluginName": command.step,
        "ResponseCode": invocation.response_code,
        "ExecutionStartDateTime": iso8601(invocation.started) if invocation.started else "",
        "ExecutionElapsedTime": elapsed,
        "ExecutionEndDateTime": iso8601(invocation.ended) if invocation.ended else "",
        "Status": invocation.status,
        "StatusDetails": invocation.details,
        "StandardOutputContent": invocation.stdout[:STDOUT_LIMIT],
        "StandardOutputUrl": "",
        "StandardErrorContent": invocation.stderr[:STDERR_LIMIT],
        "StandardErrorUrl": "",
        "CloudWatchOutputConfig": command.output.get("CloudWatchOutputConfig"),
    }


def listed_invocation(command: Command, invocation: Invocation, *, details: bool) -> dict[str, Any]:
    """An invocation as ListCommandInvocations shows it; a plugin has neither Delayed nor Cancelling."""
    plugin_status = "InProgress" if invocation.status == "Cancelling" else invocation.status
    output = invocation.stdout
    if invocation.stderr:
        output += f"\n----------ERROR-------\n{invocation.stderr}"
    plugin = {
        "Name": command.step,
        "Status": plugin_status,
        "StatusDetails": invocation.details,
        "ResponseCode": invocation.response_code,
        "ResponseStartDateTime": invocation.started,
        "ResponseFinishDateTime": invocation.ended,
        "Output": output[:_PLUGIN_OUTPUT_LIMIT],
    }
    return {
        "CommandId": command.command_id,
        "InstanceId": invocation.instance_id,
        "Comment": command.comment,
        "DocumentName": command.document_name,
        "DocumentVersion": command.document_version,
        "RequestedDateTime": command.requested,
        "Status": invocation.status,
        "StatusDetails": invocation.details,
        "CommandPlugins": [plugin] if details else [],
    }
