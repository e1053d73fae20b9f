"""Tries one case: disturb the act, let the account settle, push once more, hold the promises."""

from __future__ import annotations

import base64
import builtins
import gc
import os
import pickle
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.faults.cases import UNKNOWN_CODE, Baseline
from tests.faults.scenarios import Scenario
from tests.faults.world import AFTERMATH, World

# Errors that nobody has given a name, so that nothing retries them and nobody knows what to do.
UNNAMED = frozenset(
    {
        name
        for name, value in vars(builtins).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    | {"ClientError", "ParamValidationError", "ResponseParserError", "ValidationError"}
)
# The events that rules of the stack are for, by source and detail-type.
HEARD = frozenset(
    {
        ("aws.ecr", "ECR Image Action"),
        ("aws.cloudwatch", "CloudWatch Alarm State Change"),
        ("aws.ec2", "EC2 AMI State Change"),
        ("aws.ec2", "EC2 Instance State-change Notification"),
        ("aws.ssm", "EC2 Command Invocation Status-change Notification"),
        ("aws.states", "Step Functions Execution Status Change"),
    }
)
# Emulated seconds in which a sweep is done.
SWEEP_SECONDS = 8.0


@dataclass
class Result:
    """What came of one case.

    Attributes:
        applied: how often the fault found its occasion.
        swept: instances were left for the sweep to remove.
        violations: promises that did not hold, each with its cause.
        joined: the number of the case that had come to the same state before, and was followed to the end.
        shared: how many executions had ended in that case by then.
    """

    scenario: str
    kind: str
    place: str
    applied: int = 0
    swept: bool = False
    statuses: list[str] = field(default_factory=list)
    violations: list[dict[str, Any]] = field(default_factory=list)
    joined: int | None = None
    shared: int = 0

    @property
    def name(self) -> str:
        return f"{self.kind}@{self.place}"


def strike(world: World) -> None:
    """Stop all executions while a call is on its way, and let the sweep run before it arrives."""
    for execution in world.executions():
        if execution.running:
            world.simulation.gateway.call(
                "stepfunctions", "StopExecution", {"executionArn": execution.arn}, "a person"
            )
    world.sweep()
    world.clock.sleep(SWEEP_SECONDS)


class Redrive:
    """Redrives an execution that has ended without success, once, as the console offers it."""

    def __init__(self, world: World, seconds: float) -> None:
        self._world = world
        self._seconds = seconds
        self.due = True

    def heard(self, event: Mapping[str, Any]) -> None:
        """See each event (a tap of the event bus)."""
        if self.due and event["source"] == "aws.states" and event["detail"]["redriveStatus"] == "REDRIVABLE":
            self.due = False
            arn = event["detail"]["executionArn"]
            self._world.clock.call_later(self._seconds, lambda: self._redrive(arn))

    def _redrive(self, arn: str) -> None:
        self._world.simulation.gateway.call(
            "stepfunctions", "RedriveExecution", {"executionArn": arn}, "a person"
        )


def measure(world: World, scenario: Scenario) -> Baseline:
    """Run the act undisturbed, and write down what it does."""
    before = len(world.simulation.calls.since())
    known = len(world.executions())
    events: list[Mapping[str, Any]] = []
    world.simulation.bus.taps.append(events.append)
    scenario.act(world)
    world.settle()
    world.pass_time(AFTERMATH)
    roles = world.simulation.identities
    calls = [call for call in world.simulation.calls.since()[before:] if roles.role_of(call.caller)]
    states = [
        (event["stateEnteredEventDetails"]["name"], event["type"].removesuffix("StateEntered"))
        for execution in world.executions()[known:]
        for event in execution.events
        if "stateEnteredEventDetails" in event
    ]
    heard = [event for event in events if is_heard(event)]
    problems = world.observers.check_at_rest()
    if problems:
        raise AssertionError(f"{scenario.name} breaks a promise undisturbed: {problems}")
    return Baseline(calls, states, heard)


def measure_apart(world: World, scenario: Scenario) -> Baseline:
    """Measure in a forked process, so that the account stays as it is."""
    content = run_forked(lambda: base64.b64encode(pickle.dumps(measure(world, scenario))).decode())
    try:
        baseline = pickle.loads(base64.b64decode(content, validate=True))  # noqa: S301 - our own child's
    except ValueError as error:
        raise AssertionError(content) from error
    assert isinstance(baseline, Baseline)
    return baseline


def conclude(
    world: World,
    environment: str,
    result: Result,
    known: int,
    *,
    ended: bool,
    reached: Callable[[str], None] = lambda _stage: None,
) -> None:
    """Sweep, push once more, and write down what does not hold.

    Args:
        known: how many executions there were before the act.
        ended: all executions of the act have ended.
        reached: told of each stage as it begins.
    """
    world.pass_time(AFTERMATH)
    result.applied += sum(posted["applied"] for posted in world.simulation.faults.listing())
    world.simulation.faults.clear()
    result.swept = bool(world.remains()) and world.is_quiet()
    reached("the sweep")
    world.sweep()
    ended = world.settle() and ended
    world.pass_time(AFTERMATH)
    reached("the last push")
    world.publish_once_more(environment)
    ended = world.settle() and ended
    world.pass_time(AFTERMATH)
    result.violations += [asdict(violation) for violation in world.observers.check_at_rest()]
    if not ended:
        result.violations.append(problem("an execution does not end"))
    judge_ends(world, result, known)


def judge_ends(world: World, result: Result, known: int) -> None:
    """Write down how executions have ended, and which of them with an error that has no name."""
    for execution in world.executions()[known:]:
        if execution.running:
            continue
        result.statuses.append(execution.status)
        if execution.error == "States.Runtime":
            what = f"{execution.name} ended with States.Runtime: {execution.cause}"
            result.violations.append(problem(what))
        # A code that no table knows passes as what it is.
        if execution.error in UNNAMED and UNKNOWN_CODE not in str(execution.cause):
            what = (
                f"{execution.name} ended with {execution.error}, which is no name of ours: {execution.cause}"
            )
            result.violations.append(problem(what))


def problem(what: str) -> dict[str, Any]:
    """What is wrong with a run, whatever it promises."""
    return {"promise": "all", "what": what, "cause": "the run", "at": 0.0}


def is_heard(event: Mapping[str, Any]) -> bool:
    """Whether a rule of the stack is for this event."""
    return (event["source"], event["detail-type"]) in HEARD


def run_forked(work: Callable[[], str]) -> str:
    """Run something in a forked process; what it returns."""
    pid, reader = _fork(work)
    with os.fdopen(reader, "rb") as pipe:
        content = pipe.read()
    os.waitpid(pid, 0)
    return content.decode()


def _fork(work: Callable[[], str]) -> tuple[int, int]:
    """Start a process that writes what `work` returns to a pipe; its id and the reading end."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        # A collection would look at, and so copy, all that the parent has loaded.
        gc.disable()
        gc.freeze()
        try:
            content = work()
        except BaseException:  # noqa: BLE001 - a child must not return into its parent's program
            content = traceback.format_exc()[-3000:]
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(content.encode())
        os._exit(0)
    os.close(writer)
    return pid, reader
