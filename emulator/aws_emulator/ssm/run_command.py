"""Run Command (Systems Manager API reference: SendCommand, GetCommandInvocation, ListCommands, ...)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from aws_emulator.api.errors import refuse_unsupported_parameters
from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.api.paging import page
from aws_emulator.clock import Clock
from aws_emulator.durations import Durations
from aws_emulator.ec2.store import Ec2Store
from aws_emulator.eventbridge.bus import EventBus
from aws_emulator.gateway.wire.scalars import iso8601
from aws_emulator.ssm.commands import (
    Command,
    Invocation,
    listed_invocation,
    shown_command,
    shown_invocation,
)
from aws_emulator.ssm.document_content import bind
from aws_emulator.ssm.documents import Documents
from aws_emulator.ssm.fleet import Fleet
from aws_emulator.ssm.provisioner import CommandResult, PendingResult, Provisioner

_EMULATED: Final = (
    "CloudWatchOutputConfig",
    "Comment",
    "DocumentName",
    "DocumentVersion",
    "InstanceIds",
    "MaxConcurrency",
    "MaxErrors",
    "OutputS3BucketName",
    "OutputS3KeyPrefix",
    "OutputS3Region",
    "Parameters",
    "Targets",
    "TimeoutSeconds",
)
_OUTPUT: Final = ("CloudWatchOutputConfig", "OutputS3BucketName", "OutputS3KeyPrefix", "OutputS3Region")
_KILLED: Final = 137
# Delivers lines of a command's output to CloudWatch Logs with the permissions of an instance profile.
DeliverOutput = Callable[[Command, Invocation, Mapping[str, str] | None, str, Sequence[str]], None]


class RunCommand(Documents, Fleet):
    """The managed instances and the commands sent to them; all operations hold `lock`."""

    def __init__(
        self,
        clock: Clock,
        bus: EventBus,
        durations: Durations,
        ec2: Ec2Store,
        provisioner: Provisioner,
        *,
        account_id: str,
        region: str,
        deliver_output: DeliverOutput = lambda _command, _invocation, _profile, _stream, _lines: None,
    ) -> None:
        super().__init__(clock, durations, account_id=account_id, region=region)
        self.bus = bus
        self.ec2 = ec2
        self.faults = ec2.faults
        self.provisioner = provisioner
        self.commands: dict[str, Command] = {}
        self._deliver_output = deliver_output

    @operation("ssm", "SendCommand")
    def send_command(self, request: Request) -> Response:
        """Send a command; a second call sends a second one, for there is no client token."""
        asked = request.parameters
        refuse_unsupported_parameters("ssm", "SendCommand", asked, _EMULATED)
        with self.lock:
            document = self.require_document(asked["DocumentName"])
            version = self.require_version(document, asked.get("DocumentVersion"))
            if document.document_type != "Command":
                raise ApiError("InvalidDocument", f"Document {document.name} is no Command document.")
            if not self.is_active(version):
                raise ApiError("InvalidDocument", f"Document {document.name} is not active yet.")
            bound = bind(version.content, asked.get("Parameters", {}))
            instance_ids = self._addressed(asked)
            command = Command(
                command_id=str(uuid.uuid4()),
                document_name=document.name,
                document_version=str(version.number) if "DocumentVersion" in asked else "$DEFAULT",
                step=version.content.first_step,
                comment=asked.get("Comment", ""),
                parameters=asked.get("Parameters", {}),
                bound=bound,
                asked_instance_ids=asked.get("InstanceIds", []),
                targets=asked.get("Targets", []),
                requested=self.clock.now(),
                requested_elapsed=self.clock.elapsed(),
                timeout_seconds=asked.get("TimeoutSeconds", 3600),
                execution_seconds=version.content.timeout_seconds(bound),
                output={name: asked[name] for name in _OUTPUT if name in asked},
                invocations={each: Invocation(each) for each in instance_ids},
            )
            self.commands[command.command_id] = command
            answer = shown_command(command)
            for invocation in command.invocations.values():
                self._deliver(command, invocation)
            return {"Command": answer}

    def _addressed(self, asked: Mapping[str, Any]) -> list[str]:
        """The ids of the instances that a command is for.

        Raises:
            ApiError: `DuplicateInstanceId`, or `InvalidInstanceId` for one whose agent is not online.
        """
        ids = list(asked.get("InstanceIds", ()))
        targets = asked.get("Targets", [])
        if bool(ids) == bool(targets):
            raise ApiError("ValidationException", "Either InstanceIds or Targets must be given, not both.")
        for target in targets:
            if target["Key"] == "InstanceIds":
                ids += target["Values"]
        if len(set(ids)) != len(ids):
            raise ApiError(
                "DuplicateInstanceId", "You can't specify an instance ID in more than one association."
            )
        with self.ec2.lock:
            absent = [each for each in ids if not self.is_online(each)]
            if absent:
                raise ApiError(
                    "InvalidInstanceId",
                    f"Instances [[{', '.join(absent)}]] not in a valid state for account {self.account_id}",
                )
            tags = [(each["Key"][4:], each["Values"]) for each in targets if each["Key"].startswith("tag:")]
            if tags:
                ids += [
                    each.instance_id
                    for each in self.ec2.instances.values()
                    if each.agent_online and all(each.tags.get(key) in values for key, values in tags)
                ]
        return ids

    def _deliver(self, command: Command, invocation: Invocation) -> None:
        def begin() -> None:
            with self.ec2.lock:
                online = self.is_online(invocation.instance_id)
                if not online or invocation.status != "Pending":
                    return
                instance = self.ec2.instances[invocation.instance_id]
                result = self.provisioner.run(command.document_name, command.bound, instance)
            invocation.started = self.clock.now()
            self._enter(command, invocation, "InProgress", "InProgress")
            if isinstance(result, PendingResult):
                self._await(command, invocation, result, instance.starts)
            else:
                self._run(command, invocation, result, instance.starts)

        if self.faults.lost_command(command.document_name) is None:
            self._later(self.durations.command_delivery, begin)
        self._later(command.timeout_seconds, lambda: self._give_up_delivery(command, invocation))

    def _give_up_delivery(self, command: Command, invocation: Invocation) -> None:
        if invocation.status == "Pending":
            self._end(command, invocation, "TimedOut", "DeliveryTimedOut", -1)

    def _run(self, command: Command, invocation: Invocation, result: CommandResult, start: int) -> None:
        self._write_while_it_runs(command, invocation, result, start)
        if result.duration_seconds > command.execution_seconds:
            self._later(
                command.execution_seconds,
                lambda: self._end(command, invocation, "TimedOut", "ExecutionTimedOut", _KILLED),
            )
            return

        self._later(result.duration_seconds, lambda: self._report(command, invocation, result, start))
        self._expire(command, invocation, command.timeout_seconds + command.execution_seconds)

    def _write_while_it_runs(
        self, command: Command, invocation: Invocation, result: CommandResult, start: int
    ) -> None:
        """Deliver the standard output line by line over the time of the command; the last line is its end."""
        lines = result.stdout.splitlines()

        def write(number: int) -> None:
            if invocation.status == "InProgress" and self._still_there(invocation.instance_id, start):
                self._deliver_lines(command, invocation, "stdout", lines[number : number + 1])
                invocation.delivered = number + 1

        for number in range(len(lines) - 1):
            self._later(result.duration_seconds * number / len(lines), partial(write, number))

    def _deliver_lines(
        self, command: Command, invocation: Invocation, stream: str, lines: Sequence[str]
    ) -> None:
        with self.ec2.lock:
            profile = self.ec2.instances[invocation.instance_id].profile
        self._deliver_output(command, invocation, profile, stream, lines)

    def _await(self, command: Command, invocation: Invocation, pending: PendingResult, start: int) -> None:
        pending.when_complete(
            lambda result: self._later(0.0, lambda: self._report(command, invocation, result, start))
        )
        self._expire(command, invocation, command.execution_seconds)

    def _expire(self, command: Command, invocation: Invocation, seconds: float) -> None:
        self._later(seconds, lambda: self._end(command, invocation, "TimedOut", "ExecutionTimedOut", _KILLED))

    def _report(self, command: Command, invocation: Invocation, result: CommandResult, start: int) -> None:
        # An instance that stopped, rebooted or ended meanwhile never reports.
        if invocation.status != "InProgress" or not self._still_there(invocation.instance_id, start):
            return
        with self.ec2.lock:
            if result.exit_code == 0 and result.content is not None:
                content = self.ec2.content_of(self.ec2.instances[invocation.instance_id])
                content.clear()
                content.update(result.content)
        invocation.stdout, invocation.stderr = result.stdout, result.stderr
        self._deliver_lines(command, invocation, "stdout", result.stdout.splitlines()[invocation.delivered :])
        self._deliver_lines(command, invocation, "stderr", result.stderr.splitlines())
        status = "Success" if result.exit_code == 0 else "Failed"
        self._end(command, invocation, status, status, result.exit_code)

    def _still_there(self, instance_id: str, start: int) -> bool:
        with self.ec2.lock:
            return self.is_online(instance_id) and self.ec2.instances[instance_id].starts == start

    def _end(self, command: Command, invocation: Invocation, status: str, details: str, code: int) -> None:
        if invocation.has_ended:
            return
        invocation.response_code = code
        invocation.ended = self.clock.now()
        self._enter(command, invocation, status, details)

    def _enter(self, command: Command, invocation: Invocation, status: str, details: str) -> None:
        before = command.status()[0]
        invocation.status, invocation.details = status, details
        arn = self.ec2.arn("instance", invocation.instance_id)
        self.bus.emit(
            "aws.ssm",
            "EC2 Command Invocation Status-change Notification",
            {
                "command-id": command.command_id,
                "document-name": command.document_name,
                "instance-id": invocation.instance_id,
                "requested-date-time": iso8601(command.requested),
                "status": status,
            },
            [arn],
        )
        after = command.status()[0]
        if after != before:
            self.bus.emit(
                "aws.ssm",
                "EC2 Command Status-change Notification",
                {
                    "command-id": command.command_id,
                    "document-name": command.document_name,
                    "expire-after": iso8601(command.expires),
                    "parameters": dict(command.parameters),
                    "requested-date-time": iso8601(command.requested),
                    "status": after,
                },
                [self.ec2.arn("instance", each) for each in command.invocations],
            )

    def _later(self, seconds: float, action: Any) -> None:
        def run() -> None:
            with self.lock:
                action()

        self.clock.call_later(seconds, run)

    @operation("ssm", "GetCommandInvocation")
    def get_command_invocation(self, request: Request) -> Response:
        """Get one invocation; for a moment after SendCommand it does not exist yet."""
        with self.lock:
            parameters = request.parameters
            command = self.commands.get(parameters["CommandId"])
            invocation = command.invocations.get(parameters["InstanceId"]) if command else None
            if command is None or invocation is None or not self._is_visible(command):
                raise ApiError("InvocationDoesNotExist", "")
            if parameters.get("PluginName", command.step) != command.step:
                raise ApiError(
                    "InvalidPluginName", f"{command.document_name} has no step {parameters['PluginName']}"
                )
            return shown_invocation(command, invocation)

    def _is_visible(self, command: Command) -> bool:
        return self.clock.elapsed() - command.requested_elapsed >= self.durations.invocation_visible

    @operation("ssm", "ListCommandInvocations")
    def list_command_invocations(self, request: Request) -> Response:
        """List invocations, newest command first; an unknown command gives an empty list."""
        with self.lock:
            parameters = request.parameters
            rows = [
                (command, invocation)
                for command in self._selected(parameters)
                for invocation in command.invocations.values()
                if parameters.get("InstanceId", invocation.instance_id) == invocation.instance_id
                and _passes(command, invocation.status, parameters.get("Filters", ()))
            ]
            rows = [row for row in rows if self._is_visible(row[0])]
            shown, token = page(rows, parameters.get("NextToken"), parameters.get("MaxResults"), default=50)
            details = parameters.get("Details", False)
            return {
                "CommandInvocations": [listed_invocation(*row, details=details) for row in shown],
                "NextToken": token,
            }

    @operation("ssm", "ListCommands")
    def list_commands(self, request: Request) -> Response:
        """List commands, newest first."""
        with self.lock:
            parameters = request.parameters
            commands = [
                command
                for command in self._selected(parameters)
                if parameters.get("InstanceId") in {None, *command.invocations}
                and _passes(command, command.status()[0], parameters.get("Filters", ()))
            ]
            shown, token = page(
                commands, parameters.get("NextToken"), parameters.get("MaxResults"), default=50
            )
            return {"Commands": [shown_command(each) for each in shown], "NextToken": token}

    def _selected(self, parameters: Mapping[str, Any]) -> list[Command]:
        command_id = parameters.get("CommandId")
        return [each for each in reversed(self.commands.values()) if command_id in {None, each.command_id}]

    @operation("ssm", "CancelCommand")
    def cancel_command(self, request: Request) -> Response:
        """Cancel what has not ended: at once before it began, else when the agent has killed it."""
        with self.lock:
            command = self.commands.get(request.parameters["CommandId"])
            if command is None:
                raise ApiError(
                    "InvalidCommandId", f"The command {request.parameters['CommandId']} does not exist."
                )
            instance_ids = request.parameters.get("InstanceIds") or list(command.invocations)
            for instance_id in instance_ids:
                if instance_id not in command.invocations:
                    raise ApiError("InvalidInstanceId", f"The command does not run on {instance_id}.")
                self._cancel(command, command.invocations[instance_id])
            return {}

    def _cancel(self, command: Command, invocation: Invocation) -> None:
        if invocation.status == "Pending":
            self._end(command, invocation, "Cancelled", "Cancelled", -1)
        elif invocation.status == "InProgress":
            self._enter(command, invocation, "Cancelling", "Cancelling")
            self._later(
                self.durations.command_delivery,
                lambda: self._end(command, invocation, "Cancelled", "Cancelled", _KILLED),
            )


def _passes(command: Command, status: str, filters: Iterable[Mapping[str, str]]) -> bool:
    for each in filters:
        key, value = each["key"], each["value"]
        match key:
            case "DocumentName":
                passes = command.document_name == value
            case "Status":
                passes = status == value
            case "ExecutionStage":
                executing = status in {"Pending", "InProgress", "Cancelling"}
                passes = executing == (value == "Executing")
            case "InvokedAfter":
                passes = command.requested > _date(value)
            case _:
                passes = command.requested < _date(value)
        if not passes:
            return False
    return True


def _date(text: str) -> datetime:
    try:
        date = datetime.fromisoformat(text)
    except ValueError as error:
        raise ApiError("ValidationException", f"{text} is no date of ISO 8601.") from error
    return date if date.tzinfo else date.replace(tzinfo=UTC)
