"""What commands write, delivered to CloudWatch Logs (Systems Manager user guide, Configuring CloudWatch Logs
for Run Command).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from aws_emulator.gateway.moto_backend import MotoAccount
from aws_emulator.ssm.commands import Command, Invocation

Profile = Mapping[str, str]


class CommandLogs:
    """Writes complete outputs to the log group that a command names.

    Args:
        permits: whether an instance with a profile may write to a log group; where it may not, or the
            group does not exist, the output is lost without an error, as it is in AWS.
    """

    def __init__(self, moto: MotoAccount, permits: Callable[[Profile | None, str], bool]) -> None:
        self._moto = moto
        self._permits = permits

    def deliver(self, command: Command, invocation: Invocation, profile: Profile | None) -> None:
        """Write the output of an invocation that has ended, if the command asked for that."""
        wanted = command.output.get("CloudWatchOutputConfig") or {}
        group = wanted.get("CloudWatchLogGroupName") or f"/aws/ssm/{command.document_name}"
        if not wanted.get("CloudWatchOutputEnabled") or not self._permits(profile, group):
            return
        prefix = f"{command.command_id}/{invocation.instance_id}/{command.step}"
        with self._moto.backend("logs") as backend:
            if group not in backend.groups:
                return
            for name, text in (("stdout", invocation.stdout), ("stderr", invocation.stderr)):
                if text:
                    stream = f"{prefix}/{name}"
                    backend.create_log_stream(group, stream)
                    now = int(time.time() * 1000)
                    lines = [{"timestamp": now, "message": line} for line in text.splitlines() if line]
                    backend.put_log_events(group, stream, lines)
