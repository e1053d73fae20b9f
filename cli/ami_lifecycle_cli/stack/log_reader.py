"""Reading the log of one build once, or again and again while it is written; what is refused is told and left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from ami_lifecycle.adapters.commands import SsmCommands
from ami_lifecycle.domain.command import CommandStatus
from ami_lifecycle.errors import AccessDeniedError
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.logs import BuildLogs, Line, SentCommand, Tail, commands_of, readable
from ami_lifecycle_cli.stack.runs import Run, StateRun
from ami_lifecycle_cli.stack.states import COMMAND_OF

# Systems Manager API reference, GetCommandInvocation.
_KEPT: Final = "the first 24,000 characters of its output and 8,000 of its errors"
_FUNCTIONS: Final = "functions"


class LogReader:
    """What a build's commands and functions have written, as far as it may be read.

    Args:
        note: takes a sentence for people about what is not as usual, each one once.
    """

    def __init__(self, stack: Stack, note: Callable[[str], None]) -> None:
        self._stack = stack
        self._note = note
        self._commands: dict[str, Tail] = {}
        self._functions = Tail()
        # By the id of the command, or `functions`.
        self._refused: dict[str, AccessDeniedError] = {}
        self._unread: list[Line] = []
        self._found = False

    def read(self, run: Run, states: Sequence[StateRun], *, functions: bool = True) -> list[Line]:
        """The lines that are new, the oldest first. What was read before an error comes with the next look.

        Raises:
            AmiLifecycleError: CloudWatch Logs cannot be read, for another reason than a missing permission.
        """
        source = BuildLogs(self._stack, run)
        for sent in commands_of(states):
            tail = self._commands.setdefault(sent.command_id, Tail())
            self._read(sent.command_id, tail, partial(source.of_commands, [sent]))
        if functions:
            self._read(_FUNCTIONS, self._functions, source.of_functions)
        lines, self._unread = sorted(self._unread, key=lambda line: line.time), []
        return lines

    def read_kept(self, run: Run, states: Sequence[StateRun]) -> list[Line]:
        """What Systems Manager itself keeps of commands of which nothing is in CloudWatch Logs, once they have ended.

        Raises:
            AccessDeniedError: nothing of the build may be read.
            AmiLifecycleError: Systems Manager does not answer.
        """
        if _FUNCTIONS in self._refused:
            self._note(f"Left out is what its functions have written: {self._refused[_FUNCTIONS]}")
        lines: list[Line] = []
        for sent in commands_of(states):
            if not self._commands.setdefault(sent.command_id, Tail()).lines:
                lines += self._kept(sent, _end_of(sent, states) or run.stopped or run.started)
        self._found |= bool(lines)
        if self._refused and not self._found:
            raise next(iter(self._refused.values()))
        return lines

    def _read(self, what: str, tail: Tail, fetch: Callable[[datetime | None], Sequence[Line]]) -> None:
        try:
            new = tail.read(fetch)
        except AccessDeniedError as error:
            self._refused[what] = error
            return
        self._unread += new
        self._found |= bool(new)

    def _kept(self, sent: SentCommand, ended: datetime) -> list[Line]:
        try:
            result = SsmCommands(self._stack.client("ssm")).result(sent.command_id, sent.instance_id)
        except AccessDeniedError as error:
            self._note(f"Nothing of {sent.source} may be read: {error}")
            return []
        if result is None or result.status is CommandStatus.RUNNING:
            return []
        lines = [
            Line(ended, sent.source, level, readable(text))
            for level, output in (("stdout", result.stdout), ("stderr", result.stderr))
            for text in output.splitlines()
            if text.strip()
        ]
        if lines:
            refused = self._refused.get(sent.command_id)
            why = f"{refused}" if refused else _nothing_there(self._stack)
            self._note(f"Of {sent.source}, shown is what Run Command keeps, {_KEPT}: {why}")
        return lines


def _nothing_there(stack: Stack) -> str:
    group = stack.outputs.get("CommandLogGroupName")
    if not group:
        return "the stack has no log group for commands; deploy the current template."
    return (
        f"{group} has nothing of it. Its days of retention are over, or the instance cannot write there: it needs a "
        "way to CloudWatch Logs and what the stack's role for builders grants; look with: ami-lifecycle doctor"
    )


def _end_of(sent: SentCommand, states: Sequence[StateRun]) -> datetime | None:
    ends = [visit.exited for visit in states if COMMAND_OF.get(visit.name) == sent.source]
    return ends[-1] if ends else None
