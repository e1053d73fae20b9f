"""State machines with functions that are Python callables: for tests of the language alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from aws_emulator.api.operations import ApiError, Request
from aws_emulator.clock import Clock
from aws_emulator.eventbridge.bus import Event, EventBus
from aws_emulator.step_functions.service import StepFunctions
from aws_emulator.step_functions.tasks import Invocation

ROLE = "arn:aws:iam::123456789012:role/machine"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:worker"


class FunctionError(Exception):
    """What a callable raises to fail as a function does."""

    def __init__(self, error_type: str, message: str = "failed") -> None:
        super().__init__(message)
        self.payload = json.dumps({"errorType": error_type, "errorMessage": message})


class Bench:
    """Runs definitions; `function` is called with each payload, and what it returns is the result."""

    def __init__(self, scale: float = 0.01) -> None:
        self.clock = Clock(scale)
        self.bus = EventBus(self.clock, "123456789012", "us-east-1")
        self.events: list[Event] = []
        self.bus.subscribe(self.events.append)
        self.function: Callable[[Any], Any] = lambda payload: payload
        self.payloads: list[Any] = []
        self.machines = 0
        self.service = StepFunctions(
            self.clock,
            self.bus,
            "123456789012",
            "us-east-1",
            invoke=self._invoke,
            caller_of=lambda _role: "Machine",
            seed=1,
        )

    def close(self) -> None:
        self.service.close()
        self.clock.close()

    def _invoke(self, function: str, payload: str, *, caller: str, asynchronous: bool) -> Future[Invocation]:
        future: Future[Invocation] = Future()
        data = json.loads(payload)
        self.payloads.append(data)
        try:
            result = self.function(data)
        except FunctionError as failure:
            future.set_result(Invocation(failure.payload, "Unhandled", "request"))
        except ApiError as error:
            future.set_exception(error)
        else:
            if not isinstance(result, Future):
                future.set_result(Invocation(json.dumps(result), None, "request"))
        return future

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        request = Request("stepfunctions", method, parameters, "us-east-1", "123456789012", "client", "id")
        return getattr(self.service, method)(request)

    def create(self, definition: dict[str, Any]) -> str:
        self.machines += 1
        return self.call(
            "create_state_machine",
            name=f"machine-{self.machines}",
            definition=json.dumps(definition),
            roleArn=ROLE,
        )["stateMachineArn"]

    def start(self, definition: dict[str, Any], data: Any = None, name: str | None = None) -> str:
        arn = self.create(definition)
        return self.call("start_execution", stateMachineArn=arn, input=json.dumps(data or {}), name=name)[
            "executionArn"
        ]

    def describe(self, arn: str) -> dict[str, Any]:
        return self.call("describe_execution", executionArn=arn)

    def wait(self, arn: str, seconds: float = 60) -> dict[str, Any]:
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            description = self.describe(arn)
            if description["status"] != "RUNNING":
                return description
            time.sleep(0.002)
        raise AssertionError(f"{arn} is still running: {self.states(arn)}")

    def run(self, definition: dict[str, Any], data: Any = None) -> dict[str, Any]:
        return self.wait(self.start(definition, data))

    def output(self, definition: dict[str, Any], data: Any = None) -> Any:
        description = self.run(definition, data)
        assert description["status"] == "SUCCEEDED", description
        return json.loads(description["output"])

    def history(self, arn: str) -> list[dict[str, Any]]:
        return self.call("get_execution_history", executionArn=arn, maxResults=1000)["events"]

    def states(self, arn: str) -> list[str]:
        return [
            event["stateEnteredEventDetails"]["name"]
            for event in self.history(arn)
            if "stateEnteredEventDetails" in event
        ]

    def until(self, condition: Callable[[], Any], seconds: float = 60) -> Any:
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if result := condition():
                return result
            time.sleep(0.002)
        raise AssertionError("it has not happened")


def machine(*states: tuple[str, dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """A definition that starts at the first state."""
    return {"StartAt": states[0][0], "States": dict(states), **fields}


def single(state: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A definition of one state."""
    return machine(("Only", {**state, **({} if state["Type"] == "Fail" else {"End": True})}), **fields)


def task(**fields: Any) -> dict[str, Any]:
    """A Task of the function."""
    return {"Type": "Task", "Resource": FUNCTION, **fields}


def callback_task(**fields: Any) -> dict[str, Any]:
    """A Task that waits for its token."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Parameters": {"FunctionName": FUNCTION, "Payload": {"token.$": "$$.Task.Token"}},
        **fields,
    }
