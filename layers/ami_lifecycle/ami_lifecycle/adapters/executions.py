"""Step Functions behind the port `Executions`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from ami_lifecycle.adapters.permissions import calls
from ami_lifecycle.adapters.translation import aws_errors, code_of
from ami_lifecycle.domain.execution import ExecutionStatus
from ami_lifecycle.domain.outcomes import unwrapped
from ami_lifecycle.domain.request import BuildRequest

# Step Functions API reference, SendTaskSuccess. A closed token answers TaskTimedOut, not InvalidToken.
NOT_WAITING: Final = frozenset({"InvalidToken", "TaskDoesNotExist", "TaskTimedOut"})
ERROR_LIMIT: Final = 256
CAUSE_LIMIT: Final = 32_768


class StepFunctionsExecutions:
    """Executions and task tokens through a low-level Step Functions client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @calls("states:DescribeExecution")
    def status(self, execution_arn: str) -> ExecutionStatus:
        """Status of an execution; UNKNOWN when Step Functions has forgotten it."""
        with aws_errors("states:DescribeExecution", execution_arn):
            try:
                answer = self._client.describe_execution(executionArn=execution_arn)
            except ClientError as error:
                if code_of(error) == "ExecutionDoesNotExist":
                    return ExecutionStatus.UNKNOWN
                raise
            return ExecutionStatus(answer["status"])

    @calls("states:DescribeExecution")
    def failure(self, execution_arn: str) -> str:
        """Error and cause of an execution that has failed, in a line; empty when it has not, or nobody knows."""
        with aws_errors("states:DescribeExecution", execution_arn):
            try:
                answer = self._client.describe_execution(executionArn=execution_arn)
            except ClientError as error:
                if code_of(error) == "ExecutionDoesNotExist":
                    return ""
                raise
            if ExecutionStatus(answer["status"]) is ExecutionStatus.SUCCEEDED:
                return ""
            error_and_cause = unwrapped(answer.get("error", ""), answer.get("cause", ""))
            return ": ".join(part for part in error_and_cause if part)

    @calls("states:StartExecution")
    def start(self, state_machine_arn: str, name: str, request: BuildRequest) -> str:
        """Start an execution; returns its ARN. The same name again is the same execution.

        While that one runs, Step Functions answers with its ARN; afterwards, or with another input, it
        answers ExecutionAlreadyExists (Step Functions API reference, StartExecution).
        """
        with aws_errors("states:StartExecution", f"{state_machine_arn}, {name}"):
            try:
                answer = self._client.start_execution(
                    stateMachineArn=state_machine_arn,
                    name=name,
                    input=request.model_dump_json(exclude_none=True),
                )
            except ClientError as error:
                if code_of(error) != "ExecutionAlreadyExists":
                    raise
                return f"{state_machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
            return str(answer["executionArn"])

    @calls("states:SendTaskSuccess")
    def send_success(self, token: str, output: Mapping[str, Any]) -> bool:
        """Complete a waiting task; False when the task no longer waits."""
        return _send(
            "states:SendTaskSuccess",
            lambda: self._client.send_task_success(taskToken=token, output=json.dumps(output)),
        )

    @calls("states:SendTaskFailure")
    def send_failure(self, token: str, error: str, cause: str) -> bool:
        """Fail a waiting task; False when the task no longer waits."""
        return _send(
            "states:SendTaskFailure",
            lambda: self._client.send_task_failure(
                taskToken=token, error=error[:ERROR_LIMIT], cause=cause[:CAUSE_LIMIT]
            ),
        )


def _send(action: str, call: Callable[[], Any]) -> bool:
    # A token is a secret that lets its bearer complete the task, so no message names it.
    with aws_errors(action, "a waiting task"):
        try:
            call()
        except ClientError as error:
            if code_of(error) in NOT_WAITING:
                return False
            raise
    return True
