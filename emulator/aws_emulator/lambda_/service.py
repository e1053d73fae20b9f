"""The Lambda API as far as functions are found and invoked (Lambda API reference)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Final

from aws_emulator.api.errors import refuse_unsupported_parameters, unsupported_operation
from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.api.paging import page
from aws_emulator.api.strict_json import strict_json
from aws_emulator.clock import Clock
from aws_emulator.lambda_.containers import FunctionRuntime
from aws_emulator.lambda_.functions import Function
from aws_emulator.lambda_.layers import Layers
from aws_emulator.lambda_.names import LATEST, asked_function, function_not_found
from aws_emulator.lambda_.worker import Outcome

_SYNCHRONOUS_BYTES: Final = 6_291_456
_RESPONSE_BYTES: Final = 6_291_556
# What the caller gets in the place of a response that is longer (localstack/localstack, validated on AWS:
# tests/aws/services/lambda_/test_lambda: test_lambda_too_large_response).
_TOO_LARGE: Final = json.dumps(
    {
        "errorMessage": f"Response payload size exceeded maximum allowed payload size ({_RESPONSE_BYTES} bytes).",
        "errorType": "Function.ResponseSizeTooLarge",
    }
)
_INVOKE: Final = ("FunctionName", "InvocationType", "LogType", "Payload", "Qualifier")
_ASYNCHRONOUS_BYTES: Final = 1_048_576
_RETRY_SECONDS: Final = (60.0, 120.0)  # Developer Guide, Asynchronous invocation: error handling


@dataclass(frozen=True)
class AsynchronousConfiguration:
    """What happens to an asynchronous invocation that fails (EventInvokeConfig)."""

    maximum_retry_attempts: int = 2
    maximum_event_age_seconds: int = 21_600
    on_failure_arn: str | None = None
    on_success_arn: str | None = None


@dataclass(frozen=True)
class Permission:
    """A statement of a function's resource policy."""

    principal: str
    source_arn: str | None


class Lambda:
    """Functions of the account.

    Args:
        runtime: runs them.
        send: delivers for a caller, to the ARN of a queue, topic or function, a JSON text with attributes;
            for destinations, which Lambda reaches with the function's own role.
        endpoint_url: where archives can be fetched.

    Attributes:
        layers: the versions of layers.
    """

    def __init__(
        self,
        clock: Clock,
        runtime: FunctionRuntime,
        send: Callable[[str, str, str, dict[str, str]], None],
        endpoint_url: str = "",
    ) -> None:
        self.layers = Layers(endpoint_url)
        self._clock = clock
        self._runtime = runtime
        self._send = send
        self._functions: dict[str, Function] = {}
        self._permissions: dict[str, list[Permission]] = {}
        self._asynchronous: dict[str, AsynchronousConfiguration] = {}
        self._lock = threading.Lock()

    def run_in(self, runtime: FunctionRuntime) -> None:
        """Have another runtime run the functions from now on."""
        self._runtime = runtime

    # What the deployment calls.

    def add(self, function: Function) -> None:
        """Deploy a function, or its new configuration."""
        with self._lock:
            self._functions[function.name] = function

    def permit(self, function: str, permission: Permission) -> None:
        """Add a statement to a function's resource policy."""
        with self._lock:
            self._permissions.setdefault(self._find(function).name, []).append(permission)

    def configure_asynchronous(self, function: str, configuration: AsynchronousConfiguration) -> None:
        """Set what happens to failing asynchronous invocations."""
        with self._lock:
            self._asynchronous[self._find(function).name] = configuration

    def permits(self, function: str, principal: str, source_arn: str) -> bool:
        """Whether a service may invoke a function for a resource; False for an unknown function."""
        with self._lock:
            try:
                permissions = self._permissions.get(self._find(function).name, [])
            except ApiError:
                return False
        return any(
            each.principal == principal and each.source_arn in {None, source_arn} for each in permissions
        )

    def functions(self) -> list[Function]:
        """All functions, by name."""
        with self._lock:
            return sorted(self._functions.values(), key=lambda function: function.name)

    # Invocation.

    @operation("lambda", "Invoke")
    def invoke(self, request: Request) -> Response:
        """Invoke a function and wait, or (Event) put the invocation on its way."""
        parameters = request.parameters
        refuse_unsupported_parameters("lambda", "Invoke", parameters, _INVOKE)
        if parameters.get("LogType", "None") != "None":
            raise unsupported_operation("lambda", "Invoke with a tail of the log")
        with self._lock:
            function = self._asked(request, default=LATEST)
        kind = parameters.get("InvocationType", "RequestResponse")
        payload = parameters.get("Payload") or b"{}"
        text = _text(payload)
        _check_payload(text, _ASYNCHRONOUS_BYTES if kind == "Event" else _SYNCHRONOUS_BYTES)
        if kind == "DryRun":
            return {"StatusCode": 204}
        if kind == "Event":
            self._invoke_later(function, text, request.request_id)
            return {"StatusCode": 202, "Payload": b""}
        outcome = self._runtime.invoke(function, text).result()
        if len(outcome.payload.encode()) > _RESPONSE_BYTES:
            outcome = replace(outcome, payload=_TOO_LARGE, failed=True)
        response: Response = {
            "StatusCode": 200,
            "Payload": outcome.payload.encode(),
            "ExecutedVersion": "$LATEST",
        }
        return {**response, "FunctionError": "Unhandled"} if outcome.failed else response

    def _invoke_later(self, function: Function, payload: str, request_id: str) -> None:
        configuration = self._asynchronous.get(function.name, AsynchronousConfiguration())
        begun = self._clock.elapsed()

        def attempt(number: int) -> None:
            future = self._runtime.invoke(function, payload)
            future.add_done_callback(lambda done: ended(number, done))

        def ended(number: int, done: Future[Outcome]) -> None:
            if done.cancelled():
                return
            outcome = done.result()
            if not outcome.failed:
                self._conclude(function, payload, outcome, configuration.on_success_arn, "Success", number)
                return
            delay = _RETRY_SECONDS[min(number, len(_RETRY_SECONDS)) - 1]
            late = self._clock.elapsed() + delay - begun > configuration.maximum_event_age_seconds
            if number <= configuration.maximum_retry_attempts and not late:
                self._clock.call_later(delay, lambda: attempt(number + 1))
                return
            condition = "EventAgeExceeded" if late else "RetriesExhausted"
            target = configuration.on_failure_arn
            self._conclude(function, payload, outcome, target, condition, number)
            if target is None and function.dead_letter_arn:
                self._send_later(function, function.dead_letter_arn, payload, {"RequestID": request_id})

        attempt(1)

    def _conclude(
        self,
        function: Function,
        payload: str,
        outcome: Outcome,
        target: str | None,
        condition: str,
        attempts: int,
    ) -> None:
        """Send the record of an asynchronous invocation to its destination (Developer Guide)."""
        if target is None:
            return
        record = {
            "version": "1.0",
            "timestamp": self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "requestContext": {
                "requestId": outcome.request_id,
                "functionArn": f"{function.arn}:$LATEST",
                "condition": condition,
                "approximateInvokeCount": attempts,
            },
            "requestPayload": json.loads(payload),
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"}
            | ({"functionError": "Unhandled"} if outcome.failed else {}),
            "responsePayload": json.loads(outcome.payload),
        }
        self._send_later(function, target, json.dumps(record), {})

    def _send_later(self, function: Function, arn: str, body: str, attributes: dict[str, str]) -> None:
        self._clock.spawn("emulator-destination", self._send, function.logical_id, arn, body, attributes)

    # Descriptions.

    @operation("lambda", "GetFunction")
    def get_function(self, request: Request) -> Response:
        """Describe a function."""
        with self._lock:
            function = self._asked(request)
        return {
            "Configuration": _configuration(function),
            "Code": {"RepositoryType": "S3", "Location": function.task_root.as_uri()},
        }

    @operation("lambda", "GetFunctionConfiguration")
    def get_function_configuration(self, request: Request) -> Response:
        """Describe a function's configuration."""
        with self._lock:
            return _configuration(self._asked(request))

    @operation("lambda", "UpdateFunctionConfiguration")
    def update_function_configuration(self, request: Request) -> Response:
        """Change the time limit or the environment; idle processes end, as AWS replaces environments."""
        parameters = dict(request.parameters)
        with self._lock:
            function = self._asked(request)
            parameters.pop("FunctionName")
            changed = replace(
                function,
                timeout_seconds=parameters.pop("Timeout", function.timeout_seconds),
                environment=(parameters.pop("Environment", None) or {}).get(
                    "Variables", function.environment
                ),
            )
            if parameters:
                raise ApiError(
                    "EmulatorUnsupportedOperation", f"the emulator cannot change {sorted(parameters)}", 501
                )
            self._functions[function.name] = changed
        self._runtime.forget(function.name)
        return _configuration(changed)

    @operation("lambda", "ListFunctions")
    def list_functions(self, request: Request) -> Response:
        """List the functions, by name."""
        asked = request.parameters
        shown, marker = page(
            self.functions(),
            asked.get("Marker"),
            asked.get("MaxItems"),
            default=50,
            error="InvalidParameterValueException",
        )
        return {"Functions": [_configuration(function) for function in shown], "NextMarker": marker}

    @operation("lambda", "GetPolicy")
    def get_policy(self, request: Request) -> Response:
        """The function's resource policy."""
        with self._lock:
            function = self._asked(request)
            permissions = self._permissions.get(function.name, [])
        if not permissions:
            raise ApiError(
                "ResourceNotFoundException", "The resource you requested does not exist.", 404, Type="User"
            )
        statements = [
            {
                "Sid": f"permission-{position}",
                "Effect": "Allow",
                "Principal": {"Service": each.principal},
                "Action": "lambda:InvokeFunction",
                "Resource": function.arn,
                **({"Condition": {"ArnLike": {"AWS:SourceArn": each.source_arn}}} if each.source_arn else {}),
            }
            for position, each in enumerate(permissions)
        ]
        return {"Policy": json.dumps({"Version": "2012-10-17", "Statement": statements}), "RevisionId": "1"}

    def _find(self, name: str) -> Function:
        function = self._functions.get(name.partition(":function:")[2].partition(":")[0] or name)
        if function is None or (name.startswith("arn:") and name.removesuffix(":$LATEST") != function.arn):
            raise function_not_found(name)
        return function

    def _asked(self, request: Request, default: str = "") -> Function:
        """The function that a request is for; there are no versions and aliases here."""
        name, qualifier = asked_function(request)
        function = self._functions.get(name)
        if function is None or qualifier not in {None, LATEST}:
            arn = f"arn:aws:lambda:{request.region}:{request.account_id}:function:{name}"
            shown = qualifier or default
            raise function_not_found(f"{arn}:{shown}" if shown else arn)
        return function


def _text(payload: bytes | str) -> str:
    """A payload as text.

    Raises:
        ApiError: `InvalidRequestContentException` unless it is UTF-8.
    """
    try:
        return payload.decode() if isinstance(payload, bytes) else str(payload)
    except UnicodeDecodeError as error:
        raise _no_json(error) from error


def _no_json(error: ValueError) -> ApiError:
    message = f"Could not parse request body into json: Could not parse payload into json: {error}"
    return ApiError("InvalidRequestContentException", message, 400, Type="User")


def _check_payload(text: str, limit: int) -> None:
    size = len(text.encode())
    if size > limit:
        raise ApiError(
            "RequestTooLargeException", f"{size} byte payload is too large (maximum {limit} bytes)", 413
        )
    try:
        strict_json(text)
    except ValueError as error:
        raise _no_json(ValueError(error)) from error


def _configuration(function: Function) -> dict[str, Any]:
    return {
        "FunctionName": function.name,
        "FunctionArn": function.arn,
        "Runtime": function.runtime,
        "Role": function.role_arn,
        "Handler": function.handler,
        "Description": function.description,
        "Timeout": function.timeout_seconds,
        "MemorySize": function.memory_mb,
        "Version": "$LATEST",
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Architectures": list(function.architectures),
        "Environment": {"Variables": dict(function.environment)},
        "Layers": [{"Arn": arn} for arn in function.layer_arns],
        "LoggingConfig": function.logging_config,
    }
