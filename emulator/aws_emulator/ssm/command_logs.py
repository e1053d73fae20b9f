"""What commands write, delivered to CloudWatch Logs (Systems Manager user guide, Configuring CloudWatch Logs
for Run Command).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from moto.logs.models import logs_backends

from aws_emulator.ssm.commands import Command, Invocation

Profile = Mapping[str, str]


class CommandLogs:
    """Writes complete outputs to the log group that a command names.

    Args:
        permits: whether an instance with a profile may write to a log group; where it may not, or the
            group does not exist, the output is lost without an error, as it is in AWS.
    """

    def __init__(self, account_id: str, region: str, permits: Callable[[Profile | None, str], bool]) -> None:
        self._account_id = account_id
        self._region = region
        self._permits = permits

    def deliver(self, command: Command, invocation: Invocation, profile: Profile | None) -> None:
        """Write the output of an invocation that has ended, if the command asked for that."""
        wanted = command.output.get("CloudWatchOutputConfig") or {}
        group = wanted.get("CloudWatchLogGroupName") or f"/aws/ssm/{command.document_name}"
        if not wanted.get("CloudWatchOutputEnabled") or not self._permits(profile, group):
            return
        backend: Any = logs_backends[self._account_id][self._region]
        if group not in backend.groups:
            return
        prefix = f"{command.command_id}/{invocation.instance_id}/{command.step}"
        for name, text in (("stdout", invocation.stdout), ("stderr", invocation.stderr)):
            if text:
                stream = f"{prefix}/{name}"
                backend.create_log_stream(group, stream)
                now = int(time.time() * 1000)
                lines = [{"timestamp": now, "message": line} for line in text.splitlines() if line]
                backend.put_log_events(group, stream, lines)
