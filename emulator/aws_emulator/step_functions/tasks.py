"""Task states: Lambda functions, called directly, by `lambda:invoke`, or with a task token."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from typing import Any, Protocol

from aws_emulator.api.operations import ApiError
from aws_emulator.step_functions.definition import LAMBDA_CALLBACK, LAMBDA_INVOKE
from aws_emulator.step_functions.errors import DATA_LIMIT, TIMEOUT, RuntimeStateError, StateError
from aws_emulator.step_functions.execution import PAYLOAD_BYTES, Execution, dump
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
    attempt: int
    context: dict[str, Any]
    timeline: Timeline

    def select_input(self, state: State, data: Any) -> Any:
        """The effective input of a state."""

    def pause(
        self, emulated_seconds: float, ready: Callable[[], bool] = lambda: False, *, working: bool = False
    ) -> bool:
        """Wait for `ready()`; False when the time is over first."""

    def read(self, state: State, field: str, data: Any) -> Any:
        """What the path, or the intrinsic function, in a field of the state selects."""

    def record(self, kind: str, **details: Any) -> int:
        """Add an event of this thread to the history; its number."""


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
        if resource == LAMBDA_CALLBACK:
            callback = self._tokens.open(branch.execution, branch.attempt)
            # Each attempt has a token of its own.
            branch.context["Task"] = {"Token": callback.token}
            try:
                return self._run_callback(branch, state, data, callback)
            finally:
                self._tokens.close(callback)
        limits = _Limits.of(branch, state, data)
        selected = branch.select_input(state, data)
        if resource == LAMBDA_INVOKE:
            return self._run_invoke(branch, selected, limits)
        return self._run_function(branch, resource, selected, limits)

    def _run_function(self, branch: TaskBranch, function: str, data: Any, limits: _Limits) -> Any:
        text = dump(data)
        scheduled = {"resource": function, "input": text, "inputDetails": {"truncated": False}}
        _record(branch, "LambdaFunctionScheduled", **scheduled, **limits.details(heartbeat=False))
        branch.record("LambdaFunctionStarted")
        try:
            invocation = self._call(branch, {"FunctionName": function}, text, limits)
            _check_size(function, invocation.payload)
            result = _parse_result(invocation.payload)
        except StateError as error:
            kind = "LambdaFunctionTimedOut" if error.error == TIMEOUT else "LambdaFunctionFailed"
            _record(branch, kind, **error.details())
            raise
        _record(
            branch,
            "LambdaFunctionSucceeded",
            output=dump(result),
            outputDetails={"truncated": False},
        )
        return result

    def _run_invoke(self, branch: TaskBranch, parameters: Mapping[str, Any], limits: _Limits) -> Any:
        _schedule(branch, "invoke", parameters, limits)
        try:
            invocation = self._call(branch, parameters, _payload(parameters), limits)
            result = _service_result(parameters, invocation)
            _check_size("lambda", dump(result))
        except StateError as error:
            _record_failure(branch, "invoke", error)
            raise
        _record_output(branch, "TaskSucceeded", "invoke", result)
        return result

    def _run_callback(self, branch: TaskBranch, state: State, data: Any, callback: Callback) -> Any:
        resource = "invoke.waitForTaskToken"
        limits = _Limits.of(branch, state, data)
        parameters = branch.select_input(state, data)
        _schedule(branch, resource, parameters, limits)
        try:
            invocation = self._call(branch, parameters, _payload(parameters), limits)
            _record_output(branch, "TaskSubmitted", resource, _service_result(parameters, invocation))
            output = self._await(branch, callback, limits.deadline, limits.heartbeat)
        except StateError as error:
            _record_failure(branch, resource, error)
            raise
        _record_output(branch, "TaskSucceeded", resource, output)
        return output

    def _call(
        self, branch: TaskBranch, parameters: Mapping[str, Any], payload: str, limits: _Limits
    ) -> Invocation:
        try:
            future = self._invoke(
                parameters["FunctionName"],
                payload,
                caller=self._caller_of(branch.execution.role_arn),
                asynchronous=parameters.get("InvocationType") == "Event",
            )
            future.add_done_callback(lambda _: branch.execution.notify())
            if not branch.pause(limits.deadline.left(), future.done, working=True):
                raise StateError(TIMEOUT)
            invocation = future.result()
        except ApiError as error:
            code = error.code if error.code.endswith(("Exception", "Error")) else error.code + "Exception"
            raise StateError(
                f"Lambda.{code}",
                f"{error.message} (Service: AWSLambda; Status Code: {error.status}; Error Code: {code}; "
                f"Request ID: {uuid.uuid4()}; Proxy: null)",
            ) from error
        if invocation.function_error is not None:
            raise StateError(_error_type(invocation.payload), invocation.payload)
        return invocation

    def _await(
        self, branch: TaskBranch, callback: Callback, deadline: _Deadline, heartbeat: float | None
    ) -> Any:
        while not callback.answered:
            span = min(deadline.left(), heartbeat or _FOREVER)
            if not branch.pause(span, partial(callback.responded_since, callback.heartbeats)):
                raise StateError(TIMEOUT)
        if callback.error is not None:
            raise callback.error
        return callback.output


@dataclass(frozen=True)
class _Limits:
    """How long one attempt may take: in all, and between two heartbeats."""

    timeout: int | None
    heartbeat: int | None
    deadline: _Deadline

    @classmethod
    def of(cls, branch: TaskBranch, state: State, data: Any) -> _Limits:
        timeout = _seconds(branch, state, "TimeoutSeconds", data)
        heartbeat = _seconds(branch, state, "HeartbeatSeconds", data)
        return cls(timeout, heartbeat, _Deadline(branch, timeout or _FOREVER))

    def details(self, *, heartbeat: bool = True) -> dict[str, int]:
        """What the event of the task's scheduling says of them."""
        members = {
            "timeoutInSeconds": self.timeout,
            "heartbeatInSeconds": self.heartbeat if heartbeat else None,
        }
        return {name: seconds for name, seconds in members.items() if seconds is not None}


def _seconds(branch: TaskBranch, state: State, field: str, data: Any) -> int | None:
    if field + "Path" not in state:
        seconds: int | None = state.get(field)
        return seconds
    value = branch.read(state, field + "Path", data)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise RuntimeStateError(f"{field}Path must select a whole number above 0, not {dump(value)}")
    return value


def _error_type(payload: str) -> str:
    """The name of a function's error: the class of its exception, or Sandbox.Timedout and the like."""
    try:
        error = json.loads(payload)["errorType"]
    except (ValueError, TypeError, KeyError):
        return "Lambda.Unknown"
    return error if isinstance(error, str) and error else "Lambda.Unknown"


def _payload(parameters: Mapping[str, Any]) -> str:
    """What lambda:invoke sends: a text as it stands, anything else as JSON, {} for null (seen on AWS)."""
    payload = parameters.get("Payload")
    if payload is None:
        return "{}"
    return payload if isinstance(payload, str) else dump(payload)


def _check_size(task: str, payload: str) -> None:
    if len(payload.encode()) > PAYLOAD_BYTES:
        raise StateError(
            DATA_LIMIT,
            f"The state/task '{task}' returned a result with a size exceeding the maximum number of bytes "
            "service limit.",
        )


def _parse_result(payload: str) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        # A runtime of one's own may return any text; it is the result as it stands.
        return payload


def _service_result(parameters: Mapping[str, Any], invocation: Invocation) -> dict[str, Any]:
    asynchronous = parameters.get("InvocationType") == "Event"
    status = 202 if asynchronous else 200
    return {
        "ExecutedVersion": "$LATEST",
        "Payload": {} if asynchronous else _parse_result(invocation.payload),
        "SdkHttpMetadata": {**_http_headers(invocation), "HttpStatusCode": status},
        "SdkResponseMetadata": {"RequestId": invocation.request_id},
        "StatusCode": status,
    }


def _http_headers(invocation: Invocation) -> dict[str, Any]:
    """The headers of Lambda's answer, which the integration hands on in two forms."""
    headers = {
        "Connection": "keep-alive",
        "Content-Length": str(len(invocation.payload.encode())),
        "Content-Type": "application/json",
        "Date": format_datetime(datetime.now(UTC), usegmt=True),
        "X-Amz-Executed-Version": "$LATEST",
        "x-amzn-Remapped-Content-Length": "0",
        "x-amzn-RequestId": invocation.request_id,
        "X-Amzn-Trace-Id": f"root=1-{uuid.uuid4().hex[:8]}-{uuid.uuid4().hex[:24]};sampled=0",
    }
    return {"AllHttpHeaders": {name: [value] for name, value in headers.items()}, "HttpHeaders": headers}


def _schedule(branch: TaskBranch, resource: str, parameters: Any, limits: _Limits) -> None:
    _record(
        branch,
        "TaskScheduled",
        resourceType="lambda",
        resource=resource,
        region=branch.execution.arn.split(":")[3],
        parameters=dump(parameters),
        **limits.details(),
    )
    _record(branch, "TaskStarted", resourceType="lambda", resource=resource)


def _record_failure(branch: TaskBranch, resource: str, error: StateError) -> None:
    kind = "TaskTimedOut" if error.error == TIMEOUT else "TaskFailed"
    _record(branch, kind, resourceType="lambda", resource=resource, **error.details())


def _record_output(branch: TaskBranch, kind: str, resource: str, output: Any) -> None:
    _record(
        branch,
        kind,
        resourceType="lambda",
        resource=resource,
        output=dump(output),
        outputDetails={"truncated": False},
    )


def _record(branch: TaskBranch, kind: str, **details: Any) -> None:
    branch.record(kind, **{kind[0].lower() + kind[1:] + "EventDetails": details})
