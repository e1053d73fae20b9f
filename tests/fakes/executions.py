"""Step Functions in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.fakes.faults import Faulty, port_call

from ami_lifecycle.domain.execution import ExecutionStatus
from ami_lifecycle.domain.request import BuildRequest


class StartedExecution(NamedTuple):
    """An execution that was started through the port."""

    arn: str
    name: str
    request: BuildRequest


class FakeExecutions(Faulty):
    """Executions by ARN, and tasks that wait for their token.

    Attributes:
        requests: the JSON that executions were started with.
    """

    def __init__(self) -> None:
        super().__init__()
        self.statuses: dict[str, ExecutionStatus] = {}
        self.requests: dict[str, Mapping[str, Any]] = {}
        self.started: list[StartedExecution] = []
        self.waiting: set[str] = set()
        self.successes: dict[str, Mapping[str, Any]] = {}
        self.failures: dict[str, tuple[str, str]] = {}
        self.reported: dict[str, str] = {}

    def end(self, execution_arn: str, status: ExecutionStatus = ExecutionStatus.ABORTED) -> None:
        """Let an execution end."""
        self.statuses[execution_arn] = status

    @port_call
    def status(self, execution_arn: str) -> ExecutionStatus:
        """Status of an execution."""
        return self.statuses.get(execution_arn, ExecutionStatus.UNKNOWN)

    @port_call
    def failure(self, execution_arn: str) -> str:
        """Error and cause of an execution that has failed."""
        return self.reported.get(execution_arn, "")

    @port_call
    def start(self, state_machine_arn: str, name: str, request: BuildRequest) -> str:
        """Start it once; the same name is the same execution."""
        arn = f"{state_machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
        if arn not in self.statuses:
            self.statuses[arn] = ExecutionStatus.RUNNING
            self.requests[arn] = request.model_dump(mode="json", exclude_none=True)
            self.started.append(StartedExecution(arn, name, request))
        return arn

    @port_call
    def send_success(self, token: str, output: Mapping[str, Any]) -> bool:
        """Complete a task that waits."""
        if token not in self.waiting:
            return False
        self.waiting.remove(token)
        self.successes[token] = dict(output)
        return True

    @port_call
    def send_failure(self, token: str, error: str, cause: str) -> bool:
        """Fail a task that waits."""
        if token not in self.waiting:
            return False
        self.waiting.remove(token)
        self.failures[token] = (error, cause)
        return True
