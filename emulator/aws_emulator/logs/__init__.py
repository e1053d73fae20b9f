"""CloudWatch Logs: groups, streams and events."""

from aws_emulator.logs.service import Logs

__all__ = ["Logs"]
