"""Task states: Lambda functions, called directly, by `lambda:invoke`, or with a task token."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from aws_emulator.api.operations import ApiError
from aws_emulator.step_functions.definition import LAMBDA_CALLBACK, LAMBDA_INVOKE
from aws_emulator.step_functions.errors import StateError
from aws_emulator.step_functions.execution import Execution, dump
from aws_emulator.step_functions.timeline import Timeline
from aws_emulator.step_functions.tokens import Callback, Tokens

State = Mapping[str, Any]
_FOREVER = 99_999_999.0


@dataclass(frozen=True)
class Invocation:
    """What a function returned.

    Attributes:
        payload: JSON text; of an error, the object that AWS puts in `Cause`.
        function_error: "Unhandled" when the function failed, else None.
    """

    payload: str
    function_error: str | None
    request_id: str


class TaskBranch(Protocol):
    """The branch of an execution that a task runs in."""

    execution: Execution
    context: dict[str, Any]
    timeline: Timeline

    def select_input(self, state: State, data: Any) -> Any:
        """The effective input of a state."""

    def pause(
        self, emulated_seconds: float, ready: Callable[[], bool] = lambda: False, *, working: bool = False
    ) -> bool:
        """Wait for `ready()`; False when the time is over first."""

    def read(self, text: str, data: Any) -> Any:
        """Read a path, or evaluate an intrinsic function."""


class FunctionInvoker(Protocol):
    """Invokes functions for a caller; the future may hold an ApiError."""

    def __call__(self, function: str, payload: str, *, caller: str, asynchronous: bool) -> Future[Invocation]:
        """Begin an invocation; `function` is a name or an ARN, `payload` JSON text."""


class _Deadline:
    """TimeoutSeconds of one attempt: emulated seconds of the branch's timeline."""

    def __init__(self, branch: TaskBranch, seconds: float) -> None:
        self._timeline = branch.timeline
        self._end = branch.timeline.spent_seconds + seconds

    def left(self) -> float:
        return self._end - self._timeline.spent_seconds


class TaskRunner:
    """Runs the tasks of all executions.

    Args:
        invoke: invokes a function.
        tokens: where callbacks arrive.
        caller_of: the identity name of a role ARN, for the call log.
    """

    def __init__(self, invoke: FunctionInvoker, tokens: Tokens, caller_of: Callable[[str], str]) -> None:
        self._invoke = invoke
        self._tokens = tokens
        self._caller_of = caller_of

    def run(self, branch: TaskBranch, state: State, data: Any) -> Any:
        """One attempt of a task with the state's data; raises StateError."""
        resource = state["Resource"]
        deadline = _Deadline(branch, _seconds(branch, state, "TimeoutSeconds", data) or _FOREVER)
        if resource == LAMBDA_CALLBACK:
            return self._run_callback(branch, state, data, deadline)
        selected = branch.select_input(state, data)
        if resource == LAMBDA_INVOKE:
            return self._run_invoke(branch, selected, deadline)
        return self._run_function(branch, resource, selected, deadline)

    def _run_function(self, branch: TaskBranch, function: str, data: Any, deadline: _Deadline) -> Any:
        execution = branch.execution
        _record(execution, "LambdaFunctionScheduled", resource=function, input=dump(data))
        execution.record("LambdaFunctionStarted")
        try:
            invocation = self._call(branch, {"FunctionName": function, "Payload": data}, deadline)
        except StateError as error:
            kind = "LambdaFunctionTimedOut" if error.error == "States.Timeout" else "LambdaFunctionFailed"
            _record(execution, kind, error=error.error, cause=error.cause)
            raise
        _record(execution, "LambdaFunctionSucceeded", output=invocation.payload)
        return json.loads(invocation.payload)

    def _run_invoke(self, branch: TaskBranch, parameters: Mapping[str, Any], deadline: _Deadline) -> Any:
        _schedule(branch.execution, "invoke", parameters)
        try:
            result = _service_result(parameters, self._call(branch, parameters, deadline))
        except StateError as error:
            _record_failure(branch.execution, "invoke", error)
            raise
        _record(
            branch.execution, "TaskSucceeded", resourceType="lambda", resource="invoke", output=dump(result)
        )
        return result

    def _run_callback(self, branch: TaskBranch, state: State, data: Any, deadline: _Deadline) -> Any:
        resource = "invoke.waitForTaskToken"
        callback = self._tokens.open(branch.execution)
        # Each attempt has a token of its own.
        branch.context["Task"] = {"Token": callback.token}
        try:
            parameters = branch.select_input(state, data)
            heartbeat = _seconds(branch, state, "HeartbeatSeconds", data)
            _schedule(branch.execution, resource, parameters)
            submitted = _service_result(parameters, self._call(branch, parameters, deadline))
            _record_output(branch.execution, "TaskSubmitted", resource, submitted)
            output = self._await(branch, callback, deadline, heartbeat)
        except StateError as error:
            _record_failure(branch.execution, resource, error)
            raise
        finally:
            self._tokens.close(callback)
        _record(
            branch.execution, "TaskSucceeded", resourceType="lambda", resource=resource, output=dump(output)
        )
        return output

    def _call(self, branch: TaskBranch, parameters: Mapping[str, Any], deadline: _Deadline) -> Invocation:
        payload = dump(parameters.get("Payload", {}))
        try:
            future = self._invoke(
                parameters["FunctionName"],
                payload,
                caller=self._caller_of(branch.execution.role_arn),
                asynchronous=parameters.get("InvocationType") == "Event",
            )
            future.add_done_callback(lambda _: branch.execution.notify())
            if not branch.pause(deadline.left(), future.done, working=True):
                raise StateError("States.Timeout")
            invocation = future.result()
        except ApiError as error:
            code = error.code if error.code.endswith(("Exception", "Error")) else error.code + "Exception"
            raise StateError(
                f"Lambda.{code}", f"{error.message} (Service: Lambda, Status Code: {error.status})"
            ) from error
        if invocation.function_error is not None:
            raise StateError(_error_type(invocation.payload), invocation.payload)
        return invocation

    def _await(
        self, branch: TaskBranch, callback: Callback, deadline: _Deadline, heartbeat: float | None
    ) -> Any:
        while not callback.answered:
            span = min(deadline.left(), heartbeat or _FOREVER)
            if not branch.pause(span, partial(callback.heard_since, callback.heartbeats)):
                raise StateError("States.Timeout")
        if callback.error is not None:
            raise callback.error
        return callback.output


def _seconds(branch: TaskBranch, state: State, field: str, data: Any) -> float | None:
    if field + "Path" not in state:
        return state.get(field)
    value = branch.read(state[field + "Path"], data)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise StateError(
            "States.Runtime", f"{field}Path must select a whole number above 0, not {dump(value)}"
        )
    return value


def _error_type(payload: str) -> str:
    """The name of a function's error: the class of its exception, or Sandbox.Timedout and the like."""
    try:
        error = json.loads(payload)["errorType"]
    except (ValueError, TypeError, KeyError):
        return "Lambda.Unknown"
    return error if isinstance(error, str) and error else "Lambda.Unknown"


def _service_result(parameters: Mapping[str, Any], invocation: Invocation) -> dict[str, Any]:
    asynchronous = parameters.get("InvocationType") == "Event"
    return {
        "ExecutedVersion": "$LATEST",
        "Payload": {} if asynchronous else json.loads(invocation.payload),
        "SdkHttpMetadata": {"HttpStatusCode": 202 if asynchronous else 200},
        "SdkResponseMetadata": {"RequestId": invocation.request_id},
        "StatusCode": 202 if asynchronous else 200,
    }


def _schedule(execution: Execution, resource: str, parameters: Any) -> None:
    _record(
        execution,
        "TaskScheduled",
        resourceType="lambda",
        resource=resource,
        region=execution.arn.split(":")[3],
        parameters=dump(parameters),
    )
    _record(execution, "TaskStarted", resourceType="lambda", resource=resource)


def _record_failure(execution: Execution, resource: str, error: StateError) -> None:
    kind = "TaskTimedOut" if error.error == "States.Timeout" else "TaskFailed"
    _record(execution, kind, resourceType="lambda", resource=resource, error=error.error, cause=error.cause)


def _record_output(execution: Execution, kind: str, resource: str, output: Any) -> None:
    _record(execution, kind, resourceType="lambda", resource=resource, output=dump(output))


def _record(execution: Execution, kind: str, **details: Any) -> None:
    execution.record(kind, **{kind[0].lower() + kind[1:] + "EventDetails": details})
