"""Effects of commands on emulated instances.

No shell script runs: a provisioner says how long a command takes, how it ends, and what it changes on
the disk.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aws_emulator.ec2.model import Content, Instance

_EXIT: Final = re.compile(r"^\s*exit\s+(\d+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class CommandResult:
    """How a command ends on an instance.

    Attributes:
        duration_seconds: emulated seconds that it takes.
        content: what is on the disk afterwards, or None if that stays as it was.
    """

    duration_seconds: float
    exit_code: int
    stdout: str
    stderr: str
    content: Content | None = None


class PendingResult:
    """The result of a command that really runs, available when it has ended.

    It never comes from an instance that goes away in the middle.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._result: CommandResult | None = None
        self._listener: Callable[[CommandResult], None] | None = None

    def complete(self, result: CommandResult) -> None:
        """Give the result."""
        with self._lock:
            self._result = result
            listener = self._listener
        if listener is not None:
            listener(result)

    def when_complete(self, listener: Callable[[CommandResult], None]) -> None:
        """Have `listener` called with the result, on another thread or at once."""
        with self._lock:
            self._listener = listener
            result = self._result
        if result is not None:
            listener(result)


class Provisioner(Protocol):
    """Decides what a command does when the agent begins with it."""

    def run(
        self, document_name: str, parameters: Mapping[str, Any], instance: Instance
    ) -> CommandResult | PendingResult:
        """The result of running a document with bound parameters on an instance."""


class ShellProvisioner:
    """Knows no document: a command succeeds, or ends as a line `exit N` of its parameter `commands` says."""

    def run(
        self,
        document_name: str,  # noqa: ARG002 - all documents are alike
        parameters: Mapping[str, Any],
        instance: Instance,  # noqa: ARG002
    ) -> CommandResult | PendingResult:
        """The result of a command."""
        commands = parameters.get("commands", [])
        match = _EXIT.search("\n".join(commands) if isinstance(commands, list) else str(commands))
        code = int(match.group(1)) if match else 0
        return CommandResult(
            1.0, code, "", "" if code == 0 else f"failed to run commands: exit status {code}"
        )
