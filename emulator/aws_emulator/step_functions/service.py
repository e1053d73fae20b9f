"""The Step Functions API, for Standard workflows (Step Functions API reference)."""

from __future__ import annotations

import json
import random
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.clock import Clock
from aws_emulator.eventbridge.bus import EventBus
from aws_emulator.step_functions.definition import parse_definition
from aws_emulator.step_functions.errors import DefinitionError, StateError
from aws_emulator.step_functions.execution import PAYLOAD_BYTES, Execution
from aws_emulator.step_functions.interpreter import run_execution
from aws_emulator.step_functions.tasks import FunctionInvoker, TaskRunner
from aws_emulator.step_functions.tokens import Callback, Tokens

_FORBIDDEN_IN_NAMES: Final = re.compile(r"[\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]")
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
        self._on_state = on_state
        self._lock = threading.RLock()

    def close(self) -> None:
        """End all running executions."""
        for execution in self.executions():
            execution.abort("Emulator.Stopped", "the emulator has been stopped")

    def executions(self) -> list[Execution]:
        """All executions, by state machine, oldest first."""
        with self._lock:
            return [each for machine in self._machines.values() for each in machine.executions.values()]

    # State machines.

    @operation("stepfunctions", "CreateStateMachine")
    def create_state_machine(self, request: Request) -> Response:
        """Create a Standard state machine; creating the same one again returns it."""
        wanted = request.parameters
        if wanted.get("type", "STANDARD") != "STANDARD":
            raise ApiError("EmulatorUnsupportedOperation", "the emulator runs Standard workflows only", 501)
        _check_name(wanted["name"])
        definition = _parse(wanted["definition"])
        arn = f"{self._prefix}:stateMachine:{wanted['name']}"
        with self._lock:
            known = self._machines.get(arn)
            if known is not None:
                if known.definition == definition and known.role_arn == wanted["roleArn"]:
                    return {"stateMachineArn": arn, "creationDate": known.created}
                raise ApiError("StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'")
            machine = StateMachine(
                arn=arn,
                name=wanted["name"],
                definition_text=wanted["definition"],
                definition=definition,
                role_arn=wanted["roleArn"],
                created=self._clock.now(),
                logging=dict(wanted.get("loggingConfiguration") or {}),
                tracing=dict(wanted.get("tracingConfiguration") or {}),
                tags={tag["key"]: tag["value"] for tag in wanted.get("tags") or []},
            )
            self._machines[arn] = machine
        return {"stateMachineArn": arn, "creationDate": machine.created}

    @operation("stepfunctions", "UpdateStateMachine")
    def update_state_machine(self, request: Request) -> Response:
        """Change definition or role; running executions keep what they began with."""
        machine = self._machine(request.parameters["stateMachineArn"])
        if text := request.parameters.get("definition"):
            machine.definition, machine.definition_text = _parse(text), text
        machine.role_arn = request.parameters.get("roleArn") or machine.role_arn
        return {"updateDate": self._clock.now(), "revisionId": str(uuid.uuid4())}

    @operation("stepfunctions", "DeleteStateMachine")
    def delete_state_machine(self, request: Request) -> Response:
        """Delete a state machine; its executions end."""
        with self._lock:
            machine = self._machines.pop(request.parameters["stateMachineArn"], None)
        for execution in list(machine.executions.values()) if machine else []:
            execution.abort(None, None)
        return {}

    @operation("stepfunctions", "DescribeStateMachine")
    def describe_state_machine(self, request: Request) -> Response:
        """Describe a state machine."""
        machine = self._machine(request.parameters["stateMachineArn"])
        return {
            "stateMachineArn": machine.arn,
            "name": machine.name,
            "status": "ACTIVE",
            "definition": machine.definition_text,
            "roleArn": machine.role_arn,
            "type": "STANDARD",
            "creationDate": machine.created,
            "loggingConfiguration": machine.logging or {"level": "OFF", "includeExecutionData": False},
            "tracingConfiguration": machine.tracing or {"enabled": False},
        }

    @operation("stepfunctions", "DescribeStateMachineForExecution")
    def describe_state_machine_for_execution(self, request: Request) -> Response:
        """Describe the definition that an execution began with."""
        execution = self._execution(request.parameters["executionArn"])
        machine = self._machine(execution.machine_arn)
        return {
            "stateMachineArn": machine.arn,
            "name": machine.name,
            "definition": json.dumps(execution.definition),
            "roleArn": execution.role_arn,
            "updateDate": machine.created,
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
        wanted = request.parameters
        machine = self._machine(wanted["stateMachineArn"])
        name = wanted.get("name") or str(uuid.uuid4())
        _check_name(name)
        text = wanted.get("input") or "{}"
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
                input_text=text,
                start_date=self._clock.now(),
                clock=self._clock,
                on_change=self._emit,
                on_state=self._on_state,
            )
            machine.executions[name] = execution
        execution.begin()
        self._clock.spawn(
            "emulator-execution", run_execution, execution, data, self._clock, self._tasks, self._random
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
            redrivable = execution.status in {"FAILED", "TIMED_OUT", "ABORTED"}
            response: Response = {
                **_row(execution),
                "input": execution.input_text,
                "inputDetails": {"included": True},
                "redriveCount": 0,
                "redriveStatus": "REDRIVABLE" if redrivable else "NOT_REDRIVABLE",
            }
            if execution.output_text is not None:
                response |= {"output": execution.output_text, "outputDetails": {"included": True}}
            if not redrivable:
                reason = f"Execution is {execution.status} and cannot be redriven"
                response["redriveStatusReason"] = reason
            for key, value in (("error", execution.error), ("cause", execution.cause)):
                if value is not None:
                    response[key] = value
            return response

    @operation("stepfunctions", "ListExecutions")
    def list_executions(self, request: Request) -> Response:
        """List executions, newest first."""
        wanted = request.parameters
        if "stateMachineArn" not in wanted:
            raise ApiError("ValidationException", "stateMachineArn is needed: there are no map runs here")
        machine = self._machine(wanted["stateMachineArn"])
        with self._lock:
            executions = list(machine.executions.values())[::-1]
        status = wanted.get("statusFilter")
        page, token = _page([each for each in executions if status in {None, each.status}], request, 100)
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
        """Refused: the product starts a new execution instead."""
        raise ApiError(
            "EmulatorUnsupportedOperation",
            "the emulator does not redrive executions; start a new one with the input of "
            + request.parameters["executionArn"],
            501,
        )

    # Task tokens.

    @operation("stepfunctions", "SendTaskSuccess")
    def send_task_success(self, request: Request) -> Response:
        """Answer a task. The output is checked before the token, as AWS does."""
        text = request.parameters["output"]
        if len(text.encode()) > PAYLOAD_BYTES:
            raise ApiError("InvalidOutput", "Invalid Output: the output is longer than 262144 bytes")
        try:
            output = json.loads(text)
        except ValueError as error:
            raise ApiError("InvalidOutput", f"Invalid Output: '{error}'") from error
        return self._answer(request, output, None)

    @operation("stepfunctions", "SendTaskFailure")
    def send_task_failure(self, request: Request) -> Response:
        """Fail a task."""
        wanted = request.parameters
        return self._answer(request, None, StateError(wanted.get("error") or "", wanted.get("cause") or ""))

    @operation("stepfunctions", "SendTaskHeartbeat")
    def send_task_heartbeat(self, request: Request) -> Response:
        """Report that a task is alive."""
        callback = self._callback(request)
        if not self._tokens.beat(callback):
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
        with self._lock:
            machine = self._machines.get(arn)
        if machine is None:
            raise ApiError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
        return machine

    def _execution(self, arn: str) -> Execution:
        parts = arn.split(":")
        if len(parts) != 8 or parts[5] != "execution":
            raise ApiError("InvalidArn", f"Invalid Arn: 'Resource type not valid in this context: {arn}'")
        with self._lock:
            machine = self._machines.get(f"{self._prefix}:stateMachine:{parts[6]}")
            execution = machine.executions.get(parts[7]) if machine else None
        if execution is None or execution.arn != arn:
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
            "redriveCount": 0,
            "redriveDate": None,
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
        return json.loads(text)
    except ValueError as error:
        raise ApiError(
            "InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'"
        ) from error


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
        "redriveCount": 0,
    }
    if execution.stop_date is not None:
        row["stopDate"] = execution.stop_date
    return row


def _page(items: list[Any], request: Request, default: int) -> tuple[list[Any], str | None]:
    size = request.parameters.get("maxResults") or default
    token = request.parameters.get("nextToken") or "0"
    if not token.isdigit():
        raise ApiError("InvalidToken", f"Invalid Token: '{token}'")
    start = int(token)
    following = start + size
    return items[start:following], str(following) if following < len(items) else None


def _with_token(response: Response, token: str | None) -> Response:
    return response if token is None else {**response, "nextToken": token}


def _milliseconds(date: datetime) -> int:
    return int(date.timestamp() * 1000)
