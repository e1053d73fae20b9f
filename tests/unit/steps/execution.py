"""A whole execution in process: the product's state machine, run by the emulator's interpreter over the fakes.

The definition is that of statemachines/, as it is deployed. One thread runs it, in virtual time: what the
machine waits for has happened when it looks, and its waits and retries pass at once, on the world's clock.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from threading import Condition
from typing import Any, Final, NamedTuple

from tests.fakes import Call, Faulty, World
from tests.template.stack import ROOT, state_machine
from tests.unit.steps.account import MACHINE, Account, arn_of
from tests.unit.steps.functions import Functions

from ami_lifecycle.domain.execution import BuildState, ExecutionStatus
from ami_lifecycle.domain.request import BuildRequest
from ami_lifecycle.domain.result import ReleaseResult
from ami_lifecycle.errors import AmiLifecycleError
from aws_emulator.clock import Clock
from aws_emulator.step_functions.definition import LAMBDA_CALLBACK, parse_definition
from aws_emulator.step_functions.errors import StateError
from aws_emulator.step_functions.execution import Execution as EmulatedExecution
from aws_emulator.step_functions.execution import dump
from aws_emulator.step_functions.interpreter import run_execution
from aws_emulator.step_functions.tasks import Invocation, TaskRunner
from aws_emulator.step_functions.tokens import Callback, Tokens

_FUNCTION: Final = "arn:aws:lambda:us-east-1:123456789012:function:"
# How long a function takes, whatever it does.
_INVOCATION_SECONDS: Final = 1
# Of an asynchronous invocation that fails (Lambda developer guide; EventInvokeConfig in template.yaml).
_ATTEMPTS: Final = 3


class Crash(BaseException):
    """The execution is aborted and its function killed at this very call: nothing catches it."""


class _UnexpectedError(BaseException):
    """An error that is none of the product's: a function would fail with it, and the test has to."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Ended(NamedTuple):
    """How an execution ended: published, nothing, queued, failed or aborted."""

    outcome: str
    reason: str = ""
    result: ReleaseResult | None = None
    error: str = ""


@dataclass
class FaultAt:
    """An error at one call of all that an execution makes; `after` loses the response.

    A `Crash` is for good: a function that was killed makes no further call.
    """

    number: int = -1
    after: bool = False
    error: BaseException | None = None
    calls: list[str] = field(default_factory=list)
    _is_dead: bool = False

    def before(self, port: Faulty, call: Call) -> None:
        if self._is_dead and self.error is not None:
            raise self.error
        self.calls.append(f"{type(port).__name__}.{call.method}")
        if not self.after:
            self._strike()

    def after_(self) -> None:
        if self.after:
            self._strike()

    def _strike(self) -> None:
        if self.error is None or len(self.calls) - 1 != self.number:
            return
        self._is_dead = isinstance(self.error, Crash)
        # Once is enough, unless the function is dead.
        self.number = -1
        raise self.error


class FaultHook:
    """Puts a `FaultAt` around the calls of a world while it is switched on."""

    def __init__(self, fault: FaultAt) -> None:
        self.fault = fault
        self.on = True

    def before(self, port: Faulty, call: Call) -> None:
        if self.on:
            self.fault.before(port, call)

    def after(self, port: Faulty, call: Call) -> None:
        if self.on:
            self.fault.after_()


@cache
def definition() -> dict[str, Any]:
    """The state machine with its functions' ARNs, checked as CreateStateMachine checks it."""
    names = {
        "".join(part.title() for part in folder.name.split("_")): folder.name
        for folder in (ROOT / "functions").iterdir()
    }
    text = dump(state_machine()).replace("${InvokeAndWaitArn}", LAMBDA_CALLBACK)
    for logical, name in names.items():
        text = text.replace(f"${{{logical}Arn}}", _FUNCTION + name)
    assert "${" not in text, "a substitution that is no function's ARN"
    return parse_definition(text)


class _VirtualClock(Clock):
    """The world's clock as the interpreter's: to wait is to let the time pass, on the same thread."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.scale = 1.0

    def now(self) -> datetime:
        """The world's date."""
        return self._world.clock.now()

    def monotonic(self) -> float:
        """The world's seconds."""
        return self._world.clock.now().timestamp()

    def wait_for(self, condition: Condition, ready: Callable[[], bool], real_seconds: float | None) -> bool:
        """Let the time pass at once, unless what is waited for has happened."""
        if ready():
            return True
        assert real_seconds is not None, "only the branches of a Parallel state are waited for so"
        self._world.clock.advance(real_seconds)
        let_things_happen(self._world)
        return ready()


class _Longest(random.Random):
    """Jitter that always takes the whole delay."""

    def uniform(self, a: float, b: float) -> float:
        """The upper end."""
        return b


class _TokensOfFakes(Tokens):
    """Tokens that the fake of Step Functions takes the answers of."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._executions = world.executions

    def open(self, execution: EmulatedExecution, attempt: int) -> Callback:
        callback = super().open(execution, attempt)
        self._executions.waiting.add(callback.token)
        return callback

    def close(self, callback: Callback) -> None:
        super().close(callback)
        self._executions.waiting.discard(callback.token)

    def hand_over(self, callback_token: str) -> None:
        """Give a waiting task what somebody has answered."""
        callback = self.find(callback_token)
        assert callback is not None
        if callback_token in self._executions.successes:
            self.answer(callback, dict(self._executions.successes.pop(callback_token)), None)
        elif callback_token in self._executions.failures:
            self.answer(callback, None, StateError(*self._executions.failures.pop(callback_token)))


def let_things_happen(world: World) -> None:
    """What takes time has come to its end: states have changed, and agents of running instances are online."""
    world.settle()
    for instance in world.instances.running():
        if instance.state.value == "running":
            world.commands.bring_online(instance.instance_id)


@dataclass
class Execution(Functions):
    """One execution of the state machine.

    Attributes:
        visited: the states that were entered, in their order.
        state: what Plan Build has made of the request.
    """

    name: str = "e1"
    visited: list[str] = field(default_factory=list)
    state: BuildState | None = None

    @property
    def arn(self) -> str:
        return arn_of(self.name)

    def run(self, request: Any) -> Ended:
        """Run to the end, whichever it is. Raises what a hook raises that is no error of the product."""
        if isinstance(request, BuildRequest):
            request = request.model_dump(mode="json", exclude_none=True)
        executions = self.account.world.executions
        executions.statuses[self.arn] = ExecutionStatus.RUNNING
        executions.requests[self.arn] = request if isinstance(request, dict) else {}
        emulated = self._interpret(definition(), request)
        if emulated.status != "ABORTED":
            executions.end(self.arn, ExecutionStatus[emulated.status])
        return self._ended(emulated)

    def run_state(self, name: str, data: Mapping[str, Any]) -> Any:
        """Run one Task with its Retry; its output. For tests that begin in the middle."""
        left_out = ("Next", "Catch")
        state = {key: value for key, value in definition()["States"][name].items() if key not in left_out}
        machine = {"StartAt": name, "States": {name: state | {"End": True}}}
        emulated = self._interpret(machine, json.loads(dump(data)))
        assert emulated.output_text is not None, (emulated.error, emulated.cause)
        return json.loads(emulated.output_text)

    def clean_up(self, status: str) -> None:
        """Clean Up Build, as the rule on ended executions calls it: again and again while it fails."""
        detail = {"executionArn": self.arn, "stateMachineArn": MACHINE, "status": status}
        event = {"source": "aws.states", "detail-type": "Step Functions Execution Status Change"}
        for attempt in range(1, _ATTEMPTS + 1):
            self.account.world.clock.advance(_INVOCATION_SECONDS)
            try:
                self.invoke("clean_up_build", event | {"detail": detail})
            except AmiLifecycleError:
                if attempt == _ATTEMPTS:
                    raise
                self.account.world.clock.advance(60)
                let_things_happen(self.account.world)
            else:
                return

    def _interpret(self, machine: dict[str, Any], data: Any) -> EmulatedExecution:
        world = self.account.world
        clock, tokens = _VirtualClock(world), _TokensOfFakes(world)
        emulated = EmulatedExecution(
            arn=self.arn,
            name=self.name,
            machine_arn=MACHINE,
            role_arn="arn:aws:iam::123456789012:role/machine",
            definition=machine,
            definition_text="",
            machine_date=clock.now(),
            input_text=dump(data),
            start_date=clock.now(),
            clock=clock,
            on_change=lambda _: None,
            on_state=lambda _, state: self.visited.append(state),
        )

        def invoke(function: str, payload: str, *, caller: str, asynchronous: bool) -> Future[Invocation]:
            future: Future[Invocation] = Future()
            event = json.loads(payload)
            future.set_result(self._invocation(function.removeprefix(_FUNCTION), event))
            if event.get("task_token"):
                tokens.hand_over(event["task_token"])
            if world.executions.statuses.get(self.arn) is ExecutionStatus.ABORTED:
                # StopExecution lets the function go on and calls no further one.
                emulated.abort(None, None)
            return future

        tasks = TaskRunner(invoke, tokens, lambda role: role)
        try:
            run_execution(emulated, 0, data, clock, tasks, _Longest())
        except _UnexpectedError as unexpected:
            raise unexpected.error from None
        return emulated

    def _invocation(self, function: str, payload: Any) -> Invocation:
        world = self.account.world
        world.clock.advance(_INVOCATION_SECONDS)
        if function == "await_resource":
            let_things_happen(world)
        try:
            result = self.invoke(function, payload)
        except AmiLifecycleError as error:
            failed = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": []}
            return Invocation(dump(failed), "Unhandled", "request")
        except Exception as error:
            raise _UnexpectedError(error) from error
        if isinstance(result, BuildState):
            self.state = result
        return Invocation("null" if result is None else result.model_dump_json(), None, "request")

    def _ended(self, emulated: EmulatedExecution) -> Ended:
        if emulated.status != "SUCCEEDED":
            return Ended(emulated.status.lower(), emulated.cause or "", error=emulated.error or "")
        output = json.loads(emulated.output_text or "null")
        match self.visited[-1]:
            case "Nothing To Do":
                return Ended("nothing", output["reasons"][0])
            case "Waiting For Approval":
                return Ended("waiting", output["reason"])
            case "Queued Behind Running Build":
                return Ended("queued", output["reason"])
            case "Published":
                return Ended("published", result=ReleaseResult.model_validate(output))
            case "Published And Not Released":
                return Ended("published")
        raise AssertionError(f"an end that no test knows: {self.visited[-1]}")


def run(account: Account, name: str = "e1", **request: Any) -> Ended:
    """Run one execution of a request for the account's environment."""
    return Execution(account, name).run(BuildRequest(environment=account.environment, **request))


def run_started(account: Account, already: int = 0) -> list[Ended]:
    """Run what steps have started, one after the other, until nothing more is started."""
    ended = []
    world = account.world
    while already < len(world.executions.started):
        started = world.executions.started[already]
        already += 1
        ended.append(Execution(account, started.name).run(started.request))
    return ended


def converge(account: Account, rounds: int = 6) -> None:
    """Sweep every 15 minutes, and run what the sweeps start."""
    for _ in range(rounds):
        before = len(account.world.executions.started)
        account.world.clock.advance(3_600)
        account.world.settle()
        account.sweeper.sweep()
        run_started(account, before)
