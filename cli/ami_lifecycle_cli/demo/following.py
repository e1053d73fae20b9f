"""Following executions: which states ran, for how long, and what they said."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

_POLL_SECONDS: Final = 0.1


@dataclass
class StateRun:
    """One visit to a state; times are this machine's."""

    name: str
    entered: datetime
    exited: datetime | None = None
    output: Any = None


@dataclass
class Followed:
    """An execution as far as it has been seen."""

    arn: str
    status: str = "RUNNING"
    output: Any = None
    error: str | None = None
    cause: str | None = None
    states: list[StateRun] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the execution."""
        return self.arn.rsplit(":", 1)[-1]


class StalledError(RuntimeError):
    """An execution did not end in the time that the demonstration allows."""


class Follower:
    """Watches the executions of one state machine.

    Args:
        stepfunctions: a boto3 client.
        on_state: called with each state when it has been left, and with the one that was just entered.
    """

    def __init__(
        self,
        stepfunctions: Any,
        state_machine_arn: str,
        on_state: Callable[[Followed, StateRun], None],
        timeout_seconds: float = 120.0,
    ) -> None:
        self._client = stepfunctions
        self._machine = state_machine_arn
        self._on_state = on_state
        self._timeout_seconds = timeout_seconds
        self._seen: set[str] = set()

    def next_execution(self) -> str:
        """ARN of the oldest execution that was not followed yet; waits for it."""
        end = time.monotonic() + self._timeout_seconds
        while time.monotonic() < end:
            pages = self._client.get_paginator("list_executions").paginate(stateMachineArn=self._machine)
            found = [entry for page in pages for entry in page["executions"]]
            fresh = [entry for entry in found if entry["executionArn"] not in self._seen]
            if fresh:
                oldest = min(fresh, key=lambda entry: entry["startDate"])
                self._seen.add(oldest["executionArn"])
                return str(oldest["executionArn"])
            time.sleep(_POLL_SECONDS)
        raise StalledError("no execution was started by the event")

    def follow(self, arn: str, until_state: str | None = None) -> Followed:
        """Follow an execution to its end, or until it enters a state.

        Raises:
            StalledError: it does not end in time.
        """
        followed = Followed(arn)
        told = 0
        end = time.monotonic() + self._timeout_seconds
        while time.monotonic() < end:
            description = self._client.describe_execution(executionArn=arn)
            followed.states = list(self._states(arn))
            for run in followed.states[told:]:
                if run.exited is None and description["status"] == "RUNNING":
                    break
                self._on_state(followed, run)
                told += 1
            if until_state is not None and any(run.name == until_state for run in followed.states):
                return followed
            if description["status"] != "RUNNING":
                return _ended(followed, description)
            time.sleep(_POLL_SECONDS)
        raise StalledError(f"{followed.name} has not ended in {self._timeout_seconds:.0f} s")

    def _states(self, arn: str) -> Iterator[StateRun]:
        run: StateRun | None = None
        pages = self._client.get_paginator("get_execution_history").paginate(executionArn=arn)
        for event in (event for page in pages for event in page["events"]):
            if "stateEnteredEventDetails" in event:
                run = StateRun(event["stateEnteredEventDetails"]["name"], event["timestamp"])
            elif "stateExitedEventDetails" in event and run is not None:
                run.exited = event["timestamp"]
                run.output = json.loads(event["stateExitedEventDetails"].get("output") or "null")
                yield run
                run = None
        if run is not None:
            yield run


def _ended(followed: Followed, description: dict[str, Any]) -> Followed:
    followed.status = description["status"]
    followed.output = json.loads(description.get("output") or "null")
    followed.error = description.get("error")
    followed.cause = description.get("cause")
    return followed
