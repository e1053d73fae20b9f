"""The Step Functions API, for Standard workflows (Step Functions API reference)."""

from __future__ import annotations

import base64
import json
import random
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.api.strict_json import strict_json
from aws_emulator.clock import Clock
from aws_emulator.eventbridge.bus import EventBus
from aws_emulator.step_functions.definition import parse_definition
from aws_emulator.step_functions.errors import DefinitionError, StateError
from aws_emulator.step_functions.execution import PAYLOAD_BYTES, Execution, milliseconds
from aws_emulator.step_functions.interpreter import run_execution
from aws_emulator.step_functions.tasks import FunctionInvoker, TaskRunner
from aws_emulator.step_functions.tokens import Callback, Tokens

_FORBIDDEN_IN_NAMES: Final = re.compile(r"[\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]")
_PAGE: Final = "emulator-page-"
_LOG_GROUP: Final = re.compile(r"arn:aws[\w-]*:logs:[\w-]+:\d{12}:log-group:[\w./#-]+:\*")
_EVENT_PAYLOAD_BYTES: Final = 248 * 1024


@dataclass
class StateMachine:
    """A state machine and its executions, oldest first."""

    arn: str
    name: str
    definition_text: str
    definition: dict[str, Any]
    role_arn: str
    created: datetime
    logging: dict[str, Any] = field(default_factory=dict)
    tracing: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    revision_id: str | None = None
    updated: datetime | None = None
    executions: dict[str, Execution] = field(default_factory=dict)


class StepFunctions:
    """State machines, executions and task tokens of the account.

    Args:
        invoke: invokes Lambda functions for tasks.
        caller_of: identity name of a role ARN, for the call log.
        seed: makes jitter repeatable.
    """

    def __init__(
        self,
        clock: Clock,
        bus: EventBus,
        account_id: str,
        region: str,
        *,
        invoke: FunctionInvoker,
        caller_of: Callable[[str], str],
        seed: int | None = None,
        on_state: Callable[[Execution, str], None] = lambda _execution, _state: None,
    ) -> None:
        self._clock = clock
        self._bus = bus
        self._prefix = f"arn:aws:states:{region}:{account_id}"
        self._tokens = Tokens()
        self._tasks = TaskRunner(invoke, self._tokens, caller_of)
        self._random = random.Random(seed)  # noqa: S311 - jitter, not a secret
        self._machines: dict[str, StateMachine] = {}
        # By ARN, since they can be described when their state machine is gone.
        self._executions: dict[str, Execution] = {}
        self._on_state = on_state
        self._lock = threading.RLock()

    def close(self) -> None:
        """End all running executions."""
        for execution in self.executions():
            execution.abort("Emulator.Stopped", "the emulator has been stopped")

    def executions(self) -> list[Execution]:
        """All executions, oldest first."""
        with self._lock:
            return list(self._executions.values())

    # State machines.

    @operation("stepfunctions", "CreateStateMachine")
    def create_state_machine(self, request: Request) -> Response:
        """Create a Standard state machine; creating the same one again returns it."""
        parameters = request.parameters
        if parameters.get("type", "STANDARD") != "STANDARD":
            raise ApiError("EmulatorUnsupportedOperation", "the emulator runs Standard workflows only", 501)
        _check_versions(parameters)
        _check_encryption(parameters)
        _check_name(parameters["name"])
        logging = _logging(parameters.get("loggingConfiguration"))
        tracing = {"enabled": bool((parameters.get("tracingConfiguration") or {}).get("enabled"))}
        definition = _parse(parameters["definition"])
        arn = f"{self._prefix}:stateMachine:{parameters['name']}"
        with self._lock:
            known = self._machines.get(arn)
            if known is not None:
                # The text counts: the same definition in another format is another one (seen on AWS).
                same = (known.definition_text, known.role_arn) == (
                    parameters["definition"],
                    parameters["roleArn"],
                )
                if same and (known.logging, known.tracing) == (logging, tracing):
                    return {"stateMachineArn": arn, "creationDate": known.created}
                raise ApiError("StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'")
            machine = StateMachine(
                arn=arn,
                name=parameters["name"],
                definition_text=parameters["definition"],
                definition=definition,
                role_arn=parameters["roleArn"],
                created=milliseconds(self._clock.now()),
                logging=logging,
                tracing=tracing,
                tags={tag["key"]: tag["value"] for tag in parameters.get("tags") or []},
            )
            self._machines[arn] = machine
        return {"stateMachineArn": arn, "creationDate": machine.created}

    @operation("stepfunctions", "UpdateStateMachine")
    def update_state_machine(self, request: Request) -> Response:
        """Change definition, role, logging or tracing; running executions keep what they began with."""
        parameters = request.parameters
        machine = self._machine(parameters["stateMachineArn"])
        _check_versions(parameters)
        _check_encryption(parameters)
        if not {"definition", "roleArn", "loggingConfiguration", "tracingConfiguration"} & set(parameters):
            raise ApiError(
                "MissingRequiredParameter",
                "Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration "
                "must be specified",
            )
        text = parameters.get("definition", machine.definition_text)
        definition = _parse(text)
        logging = (
            _logging(parameters["loggingConfiguration"]) if "loggingConfiguration" in parameters else None
        )
        role_arn = parameters.get("roleArn", machine.role_arn)
        with self._lock:
            before = (machine.definition_text, machine.role_arn, machine.logging)
            if (text, role_arn, logging or machine.logging) != before:
                machine.revision_id = str(uuid.uuid4())
            machine.definition, machine.definition_text, machine.role_arn = definition, text, role_arn
            machine.logging = logging or machine.logging
            if "tracingConfiguration" in parameters:
                machine.tracing = {"enabled": bool(parameters["tracingConfiguration"].get("enabled"))}
            machine.updated = milliseconds(self._clock.now())
        response: Response = {"updateDate": machine.updated}
        return response if machine.revision_id is None else {**response, "revisionId": machine.revision_id}

    @operation("stepfunctions", "DeleteStateMachine")
    def delete_state_machine(self, request: Request) -> Response:
        """Delete a state machine; its executions end, and can still be described."""
        arn = request.parameters["stateMachineArn"]
        _check_arn(arn, "stateMachine")
        with self._lock:
            machine = self._machines.pop(arn, None)
        for execution in list(machine.executions.values()) if machine else []:
            execution.abort(None, None)
        return {}

    @operation("stepfunctions", "DescribeStateMachine")
    def describe_state_machine(self, request: Request) -> Response:
        """Describe a state machine."""
        machine = self._machine(request.parameters["stateMachineArn"])
        revision = {} if machine.revision_id is None else {"revisionId": machine.revision_id}
        return {
            **revision,
            "stateMachineArn": machine.arn,
            "name": machine.name,
            "status": "ACTIVE",
            "definition": machine.definition_text,
            "roleArn": machine.role_arn,
            "type": "STANDARD",
            "creationDate": machine.created,
            "loggingConfiguration": machine.logging,
            "tracingConfiguration": machine.tracing,
        }

    @operation("stepfunctions", "DescribeStateMachineForExecution")
    def describe_state_machine_for_execution(self, request: Request) -> Response:
        """Describe the definition that an execution began with."""
        execution = self._execution(request.parameters["executionArn"])
        machine = self._machine(execution.machine_arn)
        return {
            "stateMachineArn": machine.arn,
            "name": machine.name,
            "definition": execution.definition_text,
            "roleArn": execution.role_arn,
            "updateDate": execution.machine_date,
            "loggingConfiguration": machine.logging,
            "tracingConfiguration": machine.tracing,
        }

    @operation("stepfunctions", "ListStateMachines")
    def list_state_machines(self, request: Request) -> Response:
        """List the state machines, by name."""
        with self._lock:
            machines = sorted(self._machines.values(), key=lambda machine: machine.name)
        page, token = _page(machines, request, 100)
        rows = [
            {
                "stateMachineArn": machine.arn,
                "name": machine.name,
                "type": "STANDARD",
                "creationDate": machine.created,
            }
            for machine in page
        ]
        return _with_token({"stateMachines": rows}, token)

    @operation("stepfunctions", "ListTagsForResource")
    def list_tags_for_resource(self, request: Request) -> Response:
        """List a state machine's tags."""
        machine = self._machine(request.parameters["resourceArn"])
        return {"tags": [{"key": key, "value": value} for key, value in machine.tags.items()]}

    # Executions.

    @operation("stepfunctions", "StartExecution")
    def start_execution(self, request: Request) -> Response:
        """Start an execution, or return the running one of the same name and input."""
        parameters = request.parameters
        machine = self._machine(parameters["stateMachineArn"])
        name = parameters.get("name") or str(uuid.uuid4())
        _check_name(name)
        text = parameters.get("input", "{}")
        data = _parse_input(text)
        with self._lock:
            known = machine.executions.get(name)
            if known is not None:
                if known.running and known.input_text == text:
                    return {"executionArn": known.arn, "startDate": known.start_date}
                raise ApiError("ExecutionAlreadyExists", f"Execution Already Exists: '{known.arn}'")
            execution = Execution(
                arn=f"{self._prefix}:execution:{machine.name}:{name}",
                name=name,
                machine_arn=machine.arn,
                role_arn=machine.role_arn,
                definition=machine.definition,
                definition_text=machine.definition_text,
                machine_date=machine.updated or machine.created,
                input_text=text,
                start_date=milliseconds(self._clock.now()),
                clock=self._clock,
                on_change=self._emit,
                on_state=self._on_state,
            )
            machine.executions[name] = execution
            self._executions[execution.arn] = execution
        execution.begin()
        self._clock.spawn(
            "emulator-execution", run_execution, execution, 0, data, self._clock, self._tasks, self._random
        )
        return {"executionArn": execution.arn, "startDate": execution.start_date}

    @operation("stepfunctions", "StopExecution")
    def stop_execution(self, request: Request) -> Response:
        """Abort an execution; for one that has ended, the old stop date."""
        execution = self._execution(request.parameters["executionArn"])
        return {"stopDate": execution.abort(request.parameters.get("error"), request.parameters.get("cause"))}

    @operation("stepfunctions", "DescribeExecution")
    def describe_execution(self, request: Request) -> Response:
        """Describe an execution."""
        execution = self._execution(request.parameters["executionArn"])
        with execution.changed:
            response: Response = {
                **_row(execution),
                **execution.redrive_status(),
                "input": execution.input_text,
                "inputDetails": {"included": True},
            }
            if execution.output_text is not None:
                response |= {"output": execution.output_text, "outputDetails": {"included": True}}
            for key, value in (("error", execution.error), ("cause", execution.cause)):
                if value is not None:
                    response[key] = value
            return response

    @operation("stepfunctions", "ListExecutions")
    def list_executions(self, request: Request) -> Response:
        """List executions, newest first."""
        parameters = request.parameters
        if "mapRunArn" in parameters:
            raise ApiError("EmulatorUnsupportedParameter", "mapRunArn: there are no map runs here", 501)
        if "stateMachineArn" not in parameters:
            raise ApiError(
                "ValidationException", "Must provide a StateMachine ARN or a MapRun ARN to list executions"
            )
        machine = self._machine(parameters["stateMachineArn"])
        with self._lock:
            executions = list(machine.executions.values())[::-1]
        status, redriven = parameters.get("statusFilter"), parameters.get("redriveFilter")
        found = [
            each
            for each in executions
            if status in {None, each.status}
            and redriven in {None, "REDRIVEN" if each.redrive_count else "NOT_REDRIVEN"}
        ]
        page, token = _page(found, request, 100)
        return _with_token({"executions": [_row(execution) for execution in page]}, token)

    @operation("stepfunctions", "GetExecutionHistory")
    def get_execution_history(self, request: Request) -> Response:
        """The history of an execution, paged, oldest or newest first."""
        execution = self._execution(request.parameters["executionArn"])
        with execution.changed:
            events = list(execution.events)
        if request.parameters.get("reverseOrder"):
            events.reverse()
        page, token = _page(events, request, 100)
        return _with_token({"events": page}, token)

    @operation("stepfunctions", "RedriveExecution")
    def redrive_execution(self, request: Request) -> Response:
        """Go on with an unsuccessful execution, from the states that have not succeeded."""
        execution = self._execution(request.parameters["executionArn"])
        token = request.parameters.get("clientToken")
        if token is not None and token == execution.redrive_token:
            return {"redriveDate": execution.redrive_date}
        attempt = execution.redrive(token)
        if attempt is None:
            raise ApiError("ExecutionNotRedrivable", execution.redrive_status()["redriveStatusReason"])
        data = json.loads(execution.input_text)
        self._clock.spawn(
            "emulator-execution",
            run_execution,
            execution,
            attempt,
            data,
            self._clock,
            self._tasks,
            self._random,
        )
        return {"redriveDate": execution.redrive_date}

    @operation("stepfunctions", "StartSyncExecution")
    def start_sync_execution(self, request: Request) -> Response:
        """Refused, as for each Standard workflow."""
        self._machine(request.parameters["stateMachineArn"])
        raise ApiError(
            "StateMachineTypeNotSupported", "This operation is not supported by this type of state machine"
        )

    # Task tokens.

    @operation("stepfunctions", "SendTaskSuccess")
    def send_task_success(self, request: Request) -> Response:
        """Answer a task. An unknown token is refused first, a closed one after the output (seen on AWS)."""
        self._callback(request)
        text = request.parameters["output"]
        if len(text.encode()) > PAYLOAD_BYTES:
            raise ApiError("InvalidOutput", "Invalid Output: the output is longer than 262144 bytes")
        try:
            output = strict_json(text)
        except ValueError as error:
            raise ApiError("InvalidOutput", f"Invalid Output: '{error}'") from error
        return self._answer(request, output, None)

    @operation("stepfunctions", "SendTaskFailure")
    def send_task_failure(self, request: Request) -> Response:
        """Fail a task."""
        parameters = request.parameters
        return self._answer(request, None, StateError(parameters.get("error"), parameters.get("cause")))

    @operation("stepfunctions", "SendTaskHeartbeat")
    def send_task_heartbeat(self, request: Request) -> Response:
        """Report that a task is alive."""
        callback = self._callback(request)
        if not self._tokens.record_heartbeat(callback):
            raise _task_timed_out()
        return {}

    def _answer(self, request: Request, output: Any, error: StateError | None) -> Response:
        callback = self._callback(request)
        if not self._tokens.answer(callback, output, error):
            raise _task_timed_out()
        return {}

    def _callback(self, request: Request) -> Callback:
        callback = self._tokens.find(request.parameters["taskToken"])
        if callback is None:
            raise ApiError("InvalidToken", f"Invalid Token: '{request.parameters['taskToken'][:60]}'")
        return callback

    # Look-ups and events.

    def _machine(self, arn: str) -> StateMachine:
        _check_arn(arn, "stateMachine")
        with self._lock:
            machine = self._machines.get(arn)
        if machine is None:
            raise ApiError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
        return machine

    def _execution(self, arn: str) -> Execution:
        _check_arn(arn, "execution")
        with self._lock:
            execution = self._executions.get(arn)
        if execution is None:
            raise ApiError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
        return execution

    def _emit(self, execution: Execution) -> None:
        """Step Functions Execution Status Change (Developer Guide, EventBridge events)."""
        too_long = len((execution.input_text + (execution.output_text or "")).encode()) > _EVENT_PAYLOAD_BYTES
        detail = {
            "executionArn": execution.arn,
            "stateMachineArn": execution.machine_arn,
            "name": execution.name,
            "status": execution.status,
            "startDate": _milliseconds(execution.start_date),
            "stopDate": _milliseconds(execution.stop_date) if execution.stop_date else None,
            "input": None if too_long else execution.input_text,
            "output": None if too_long else execution.output_text,
            "inputDetails": {"included": not too_long},
            "outputDetails": None if execution.output_text is None else {"included": not too_long},
            "error": execution.error,
            "cause": execution.cause,
            "stateMachineVersionArn": None,
            "stateMachineAliasArn": None,
            "redriveCount": execution.redrive_count,
            "redriveDate": _milliseconds(execution.redrive_date) if execution.redrive_date else None,
            "redriveStatusReason": None,
            **execution.redrive_status(),
        }
        self._bus.emit("aws.states", "Step Functions Execution Status Change", detail, [execution.arn])


def _parse(text: str) -> dict[str, Any]:
    try:
        return parse_definition(text)
    except DefinitionError as error:
        raise ApiError("InvalidDefinition", f"Invalid State Machine Definition: '{error}'") from error


def _parse_input(text: str) -> Any:
    if len(text.encode()) > PAYLOAD_BYTES:
        raise ApiError(
            "ValidationException",
            "1 validation error detected: Value at 'input' failed to satisfy constraint: "
            "Member must have length less than or equal to 262144",
        )
    try:
        return strict_json(text)
    except ValueError as error:
        raise ApiError(
            "InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'"
        ) from error


def _check_arn(arn: str, kind: str) -> None:
    """Raise InvalidArn for what cannot be the ARN of such a resource."""
    parts = arn.split(":")
    if parts[0] != "arn":
        raise ApiError("InvalidArn", f"Invalid Arn: 'Invalid ARN prefix: {arn}'")
    if len(parts) < 7 or parts[2] != "states" or parts[5] != kind:
        raise ApiError("InvalidArn", f"Invalid Arn: 'Resource type not valid in this context: {arn}'")


def _check_versions(parameters: Mapping[str, Any]) -> None:
    if parameters.get("publish"):
        raise ApiError(
            "EmulatorUnsupportedParameter", "publish: the emulator has no versions of state machines", 501
        )
    if "versionDescription" in parameters:
        raise ApiError("ValidationException", "Version description can only be set when publish is true")


def _check_encryption(parameters: Mapping[str, Any]) -> None:
    if (parameters.get("encryptionConfiguration") or {}).get("type", "AWS_OWNED_KEY") != "AWS_OWNED_KEY":
        raise ApiError(
            "EmulatorUnsupportedParameter",
            "encryptionConfiguration: the emulator has AWS's own key only",
            501,
        )


def _logging(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """A logging configuration with its defaults; raises InvalidLoggingConfiguration."""
    found = {"level": "OFF", "includeExecutionData": False, **(given or {})}
    destinations = found.get("destinations") or []
    if len(destinations) > 1:
        raise _invalid_logging("Must specify exactly one Log Destination.")
    if found["level"] != "OFF" and not destinations:
        raise _invalid_logging("Must specify exactly one Log Destination.")
    for destination in destinations:
        arn = (destination.get("cloudWatchLogsLogGroup") or {}).get("logGroupArn", "")
        if not _LOG_GROUP.fullmatch(arn):
            raise _invalid_logging("The log destination must be a CloudWatch log group's ARN, with ':*'.")
    return found


def _invalid_logging(reason: str) -> ApiError:
    return ApiError("InvalidLoggingConfiguration", f"Invalid Logging Configuration: {reason}")


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= 80 or _FORBIDDEN_IN_NAMES.search(name):
        raise ApiError("InvalidName", f"Invalid Name: '{name}'")


def _task_timed_out() -> ApiError:
    return ApiError("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")


def _row(execution: Execution) -> dict[str, Any]:
    row: dict[str, Any] = {
        "executionArn": execution.arn,
        "stateMachineArn": execution.machine_arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.start_date,
        "redriveCount": execution.redrive_count,
    }
    if execution.redrive_date is not None:
        row["redriveDate"] = execution.redrive_date
    if execution.stop_date is not None:
        row["stopDate"] = execution.stop_date
    return row


def _page(items: list[Any], request: Request, default: int) -> tuple[list[Any], str | None]:
    size = request.parameters.get("maxResults") or default
    start = _start_of(request.parameters.get("nextToken"))
    following = start + size
    if following >= len(items):
        return items[start:following], None
    return items[start:following], base64.b64encode(f"{_PAGE}{following}".encode()).decode()


def _start_of(token: str | None) -> int:
    if token is None:
        return 0
    try:
        text = base64.b64decode(token, validate=True).decode()
    except ValueError:
        text = ""
    if not text.startswith(_PAGE) or not text.removeprefix(_PAGE).isdecimal():
        raise ApiError("InvalidToken", f"Invalid Token: '{token}'")
    return int(text.removeprefix(_PAGE))


def _with_token(response: Response, token: str | None) -> Response:
    return response if token is None else {**response, "nextToken": token}


def _milliseconds(date: datetime) -> int:
    return int(date.timestamp() * 1000)
