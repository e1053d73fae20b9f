"""Executions of the state machine, with environment, result, states and durations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Any, Final

from botocore.exceptions import ClientError

from ami_lifecycle.adapters.translation import aws_errors, code_of
from ami_lifecycle.domain.events import AlarmDetail
from ami_lifecycle.domain.naming import is_of_queued_request
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.domain.requests import Push, parse_request
from ami_lifecycle.errors import InvalidRequestError
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.states import FUNCTIONS, WAITS

RUNNING: Final = "RUNNING"
# Step Functions API reference, ListExecutions and GetExecutionHistory: at most 1,000 in a page.
_PAGE: Final = 1_000
_SAMPLES: Final = 5
# Enough for the current state, also during many retries.
_NEWEST_EVENTS: Final = 100


@dataclass
class StateRun:
    """One visit to a state."""

    name: str
    entered: datetime
    exited: datetime | None = None
    output: Any = None
    errors: list[str] = field(default_factory=list)

    def seconds(self, now: datetime) -> float:
        """How long it took, or takes so far."""
        return max(0.0, ((self.exited or now) - self.entered).total_seconds())


@dataclass(frozen=True)
class Run:
    """An execution."""

    arn: str
    status: str
    started: datetime
    stopped: datetime | None
    environment: str | None
    trigger: Trigger | None
    action: Action | None
    output: Mapping[str, Any]
    error: str | None
    cause: str | None
    # Of the Docker image, where the input names it.
    digest: str | None = None

    @property
    def name(self) -> str:
        """Name of the execution."""
        return self.arn.rsplit(":", 1)[-1]

    @property
    def outcome(self) -> str:
        """One of: running, published, retired, nothing to do, queued, waits for approval, or the kind of failure."""
        if self.status == RUNNING:
            return "running"
        if self.status != "SUCCEEDED":
            return self.status.lower().replace("_", " ")
        if self.output.get("status") in {"queued", "already_building"}:
            return "queued" if self.output["status"] == "queued" else "nothing to do"
        if self.output.get("status") in {"approval_waiting", "approval_approved"}:
            return "waits for approval" if self.output["status"] == "approval_waiting" else "nothing to do"
        if self.output.get("action") == Action.NONE.value:
            return "nothing to do"
        return "retired" if self.output.get("action") == Action.RETIRE.value else "published"

    @property
    def has_built(self) -> bool:
        """Whether it has built and published an image. A rollback to an existing image is no build."""
        return self.outcome == "published" and self.output.get("action") == Action.BUILD.value

    @property
    def is_idle(self) -> bool:
        """Whether it succeeded without building, publishing or retiring anything."""
        return self.outcome in {"nothing to do", "queued", "waits for approval"}

    @property
    def explanation(self) -> str:
        """The result in words."""
        if self.error or self.cause:
            return f"{self.error or self.status}: {self.cause or 'no cause was given'}"
        if self.status in _ENDED_FROM_OUTSIDE:
            return _ENDED_FROM_OUTSIDE[self.status]
        if self.output.get("reason"):
            return str(self.output["reason"])
        if self.output.get("image_id"):
            return str(self.output["image_id"])
        reasons = [
            *self.output.get("reasons", ()),
            *(each["reason"] for each in self.output.get("decisions", ())),
        ]
        return "; ".join(str(reason) for reason in reasons)

    def seconds(self, now: datetime) -> float:
        """How long it took, or takes so far."""
        return max(0.0, ((self.stopped or now) - self.started).total_seconds())


# Aborted executions have no error, and a cause only if one was given to StopExecution.
_ENDED_FROM_OUTSIDE: Final = {
    "TIMED_OUT": "ExecutionTimedOut: it ran for longer than any build may; look for the state that did not end",
    "ABORTED": "ExecutionAborted: a person or a tool stopped it",
}


class Runs:
    """The executions of a stack's state machine."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._client = stack.client("stepfunctions")

    def describe(self, arn: str) -> Run:
        """One execution."""
        with aws_errors("states:DescribeExecution", arn):
            found = self._client.describe_execution(executionArn=arn)
        environment, trigger, action, digest = self._requested_environment(found.get("input"))
        output = _object(found.get("output"))
        return Run(
            arn=arn,
            status=found["status"],
            started=found["startDate"],
            stopped=found.get("stopDate"),
            environment=environment or output.get("environment") or None,
            trigger=trigger,
            action=action,
            output=output,
            error=found.get("error"),
            cause=found.get("cause"),
            digest=digest,
        )

    def newest(self, environment: str, count: int, *, idle: bool = True, scan_limit: int = 300) -> list[Run]:
        """The environment's newest executions, the newest first, among the last `scan_limit` of the state machine.

        Args:
            idle: include executions that found nothing to do.
        """
        found: list[Run] = []
        for arn in self._arns(scan_limit):
            if len(found) == count:
                break
            run = self.describe(arn)
            if run.environment == environment and (idle or not run.is_idle):
                found.append(run)
        return found

    def running(self, environment: str) -> list[Run]:
        """The environment's executions that run, the newest first."""
        found = (self.describe(arn) for arn in self._arns(_PAGE, status=RUNNING))
        return [run for run in found if run.environment == environment and run.status == RUNNING]

    def queued_since(self, environment: str, since: datetime) -> list[Run]:
        """The environment's executions of requests that had waited, started after `since`, the oldest first.

        Those that have ended are among them: a short one may have come and gone between two looks.
        """
        found = []
        # Step Functions API reference, ListExecutions: the most recent execution first.
        for arn, started in self._listed(_PAGE):
            if started <= since:
                break
            if is_of_queued_request(arn.rsplit(":", 1)[-1]):
                found.append(self.describe(arn))
        return [run for run in reversed(found) if run.environment == environment]

    def stop(self, arn: str, cause: str) -> None:
        """Stop an execution; the clean-up then removes what it created."""
        with aws_errors("states:StopExecution", arn):
            self._client.stop_execution(executionArn=arn, cause=cause)

    def states(self, arn: str) -> list[StateRun]:
        """Visits to states in their order; the last one is not left while the execution runs."""
        runs: list[StateRun] = []
        for event in self._events(arn):
            if entered := event.get("stateEnteredEventDetails"):
                runs.append(StateRun(entered["name"], event["timestamp"]))
            elif runs and (left := event.get("stateExitedEventDetails")):
                runs[-1].exited = event["timestamp"]
                runs[-1].output = json.loads(left.get("output") or "null")
            elif runs and (error := _error_of(event)):
                runs[-1].errors.append(error)
            elif runs and event["type"] in {"ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"}:
                runs[-1].exited = runs[-1].exited or event["timestamp"]
        return runs

    def current_state(self, arn: str) -> str | None:
        """The state that a running execution is in; None for an execution that is not known any more."""
        pages = self._client.get_paginator("get_execution_history").paginate(
            executionArn=arn, reverseOrder=True, PaginationConfig={"PageSize": _NEWEST_EVENTS}
        )
        try:
            with aws_errors("states:GetExecutionHistory", arn):
                for page in pages:
                    for event in page["events"]:
                        if "stateEnteredEventDetails" in event:
                            return str(event["stateEnteredEventDetails"]["name"])
        except ClientError as error:
            if code_of(error) != "ExecutionDoesNotExist":
                raise
        return None

    def usual_seconds(self, environment: str) -> dict[str, float]:
        """Median seconds of each state in the last published builds of the environment."""
        samples: dict[str, list[float]] = {}
        builds = (run for run in self.newest(environment, 4 * _SAMPLES, idle=False) if run.has_built)
        for _, run in zip(range(_SAMPLES), builds, strict=False):
            for name, seconds in totals_by_state(self.states(run.arn), run.started).items():
                samples.setdefault(name, []).append(seconds)
        return {name: median(values) for name, values in samples.items()}

    def _arns(self, limit: int, *, status: str | None = None) -> Iterator[str]:
        return (arn for arn, _ in self._listed(limit, status=status))

    def _listed(self, limit: int, *, status: str | None = None) -> Iterator[tuple[str, datetime]]:
        pages = self._client.get_paginator("list_executions").paginate(
            stateMachineArn=self._stack.state_machine_arn,
            **({"statusFilter": status} if status else {}),
            PaginationConfig={"MaxItems": limit, "PageSize": 100},
        )
        with aws_errors("states:ListExecutions", self._stack.state_machine_arn):
            for page in pages:
                yield from ((each["executionArn"], each["startDate"]) for each in page["executions"])

    def _events(self, arn: str) -> Iterator[Mapping[str, Any]]:
        pages = self._client.get_paginator("get_execution_history").paginate(
            executionArn=arn, PaginationConfig={"PageSize": _PAGE}
        )
        with aws_errors("states:GetExecutionHistory", arn):
            for page in pages:
                yield from page["events"]

    def _requested_environment(
        self, text: str | None
    ) -> tuple[str | None, Trigger | None, Action | None, str | None]:
        try:
            request = parse_request(json.loads(text or "null"))
        except (ValueError, InvalidRequestError):
            return None, None, None, None
        if isinstance(request, BuildRequest):
            return request.environment, request.trigger, request.action, request.image_digest
        if isinstance(request, AlarmDetail):
            return self._environment_of_alarm(request), Trigger.ALARM, Action.PUBLISH, None
        return self._environment_of(request), Trigger.PUSH, Action.BUILD, request.digest

    def _environment_of_alarm(self, alarm: AlarmDetail) -> str | None:
        return self._stack.catalogue.for_alarm(alarm.alarm_name) if self._stack.has_configuration else None

    def _environment_of(self, push: Push) -> str | None:
        if push.tag is None or not self._stack.has_configuration:
            return None
        return self._stack.catalogue.for_tag(push.repository, push.tag)


def totals_by_state(states: list[StateRun], now: datetime) -> dict[str, float]:
    """Seconds in each state, in the order of the first visit."""
    totals: dict[str, float] = {}
    for run in states:
        totals[run.name] = totals.get(run.name, 0.0) + run.seconds(now)
    return totals


def totals_by_phase(states: list[StateRun], now: datetime) -> dict[str, float]:
    """Seconds in each phase of a build; the time of functions is a separate phase."""
    totals: dict[str, float] = {}
    for run in states:
        phase = WAITS.get(run.name, FUNCTIONS)
        totals[phase] = totals.get(phase, 0.0) + run.seconds(now)
    return totals


def _error_of(event: Mapping[str, Any]) -> str | None:
    for key in ("taskFailedEventDetails", "lambdaFunctionFailedEventDetails", "taskTimedOutEventDetails"):
        if key in event:
            return str(event[key].get("error") or "States.Timeout")
    return None


def _object(text: str | None) -> Mapping[str, Any]:
    value = json.loads(text or "null")
    return value if isinstance(value, dict) else {}
