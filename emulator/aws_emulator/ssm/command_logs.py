"""What commands write, delivered to CloudWatch Logs while they run (Systems Manager user guide, Configuring
CloudWatch Logs for Run Command).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from aws_emulator.logs import Logs
from aws_emulator.ssm.commands import Command, Invocation

Profile = Mapping[str, str]


class CommandLogs:
    """Writes complete outputs to the log group that a command names.

    Args:
        permits: whether an instance with a profile may write to a log group; where it may not, or the
            group does not exist, the output is lost without an error, as it is in AWS.
    """

    def __init__(self, logs: Logs, permits: Callable[[Profile | None, str], bool]) -> None:
        self._logs = logs
        self._permits = permits

    def deliver(
        self,
        command: Command,
        invocation: Invocation,
        profile: Profile | None,
        stream: str,
        lines: Iterable[str],
    ) -> None:
        """Write lines of an invocation to its stream `stdout` or `stderr`, if the command asked for that."""
        output_config = command.output.get("CloudWatchOutputConfig") or {}
        group = output_config.get("CloudWatchLogGroupName") or f"/aws/ssm/{command.document_name}"
        written = list(lines)
        if (
            not written
            or not output_config.get("CloudWatchOutputEnabled")
            or not self._permits(profile, group)
        ):
            return
        name = f"{command.command_id}/{invocation.instance_id}/{command.step}/{stream}"
        self._logs.deliver(group, name, written)
