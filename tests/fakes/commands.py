"""SSM Run Command in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from tests.fakes.faults import Faulty, port_call

from ami_lifecycle.domain.command import CommandResult, CommandStatus
from ami_lifecycle.errors import AgentNotOnlineError


class SentCommand(NamedTuple):
    """A command as it was sent."""

    command_id: str
    instance_id: str
    document: str
    parameters: Mapping[str, str]
    comment: str


class FakeCommands(Faulty):
    """Agents that a test brings online, and commands that a test finishes.

    `answer`, when set, finishes each command at once with what it returns.
    """

    def __init__(self) -> None:
        super().__init__()
        self.agents: dict[str, str] = {}
        self.sent: list[SentCommand] = []
        self.results: dict[str, CommandResult] = {}
        self.invisible: set[str] = set()
        self.answer: Callable[[SentCommand], CommandResult] | None = None

    def bring_online(self, instance_id: str, version: str = "3.3.4793.0") -> None:
        """Let the instance's agent register."""
        self.agents[instance_id] = version

    def finish(self, command_id: str, *, stdout: str = "", stderr: str = "", exit_code: int = 0) -> None:
        """Let a command end by its exit code."""
        ok = exit_code == 0
        self.results[command_id] = CommandResult(
            status=CommandStatus.SUCCESS if ok else CommandStatus.FAILED,
            status_details="Success" if ok else "Failed",
            exit_code=exit_code,
            stdout=stdout,
            stderr=stderr,
        )

    @port_call
    def agent_version(self, instance_id: str) -> str | None:
        """Version of an agent that is online."""
        return self.agents.get(instance_id)

    @port_call
    def find(self, instance_id: str, comment: str) -> str | None:
        """The newest command with this comment on the instance."""
        for command in reversed(self.sent):
            if command.instance_id == instance_id and command.comment == comment:
                return command.command_id
        return None

    @port_call
    def send(self, instance_id: str, document: str, parameters: Mapping[str, str], comment: str) -> str:
        """Send a document to an instance that is online; each call is a command of its own."""
        if instance_id not in self.agents:
            raise AgentNotOnlineError(f"{instance_id} is not online")
        number = len(self.sent) + 1
        command = SentCommand(
            f"00000000-0000-4000-8000-{number:012x}", instance_id, document, dict(parameters), comment
        )
        self.sent.append(command)
        running = CommandResult(status=CommandStatus.RUNNING, status_details="InProgress")
        self.results[command.command_id] = self.answer(command) if self.answer else running
        return command.command_id

    @port_call
    def result(self, command_id: str, instance_id: str) -> CommandResult | None:
        """The invocation, when it is visible and of this instance."""
        if command_id in self.invisible:
            return None
        for command in self.sent:
            if command.command_id == command_id and command.instance_id == instance_id:
                return self.results[command_id]
        return None
