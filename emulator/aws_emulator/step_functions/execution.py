"""One execution: its status, its history, and the place where its threads wait."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from aws_emulator.clock import Clock
from aws_emulator.step_functions.errors import ExecutionEndedError

PAYLOAD_BYTES: Final = 262_144
REDRIVABLE: Final = timedelta(days=14)
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


class Execution:
    """State of an execution, safe to use from several threads.

    Args:
        on_change: called after the execution has begun and after it has ended.
        on_state: called when it has entered a state.

    Attributes:
        root: where the execution stands: its thread of control, whose branches it knows.
    """

    def __init__(
        self,
        *,
        arn: str,
        name: str,
        machine_arn: str,
        role_arn: str,
        definition: dict[str, Any],
        definition_text: str,
        machine_date: datetime,
        input_text: str,
        start_date: datetime,
        clock: Clock,
        on_change: Callable[[Execution], None],
        on_state: Callable[[Execution, str], None] = lambda _execution, _state: None,
    ) -> None:
        self.arn = arn
        self.name = name
        self.machine_arn = machine_arn
        self.role_arn = role_arn
        self.definition = definition
        self.definition_text = definition_text
        self.machine_date = machine_date
        self.input_text = input_text
        self.start_date = start_date
        self.status = "RUNNING"
        self.stop_date: datetime | None = None
        self.output_text: str | None = None
        self.error: str | None = None
        self.cause: str | None = None
        self.events: list[dict[str, Any]] = []
        self.redrive_count = 0
        self.redrive_date: datetime | None = None
        self.redrive_token: str | None = None
        self.root: Any = None
        self.changed: Final = threading.Condition()
        self._clock = clock
        self._on_change = on_change
        self._on_state = on_state

    @property
    def running(self) -> bool:
        """Whether the execution has not ended."""
        return self.status == "RUNNING"

    def begin(self) -> None:
        """Record the start."""
        self.record(
            "ExecutionStarted",
            executionStartedEventDetails={
                "input": self.input_text,
                "inputDetails": {"truncated": False},
                "roleArn": self.role_arn,
            },
        )
        self._on_change(self)

    def redrive(self, token: str | None) -> int | None:
        """Run again after an unsuccessful end; which redrive it is, None when it cannot be redriven."""
        with self.changed:
            if self.redrive_status()["redriveStatus"] != "REDRIVABLE":
                return None
            self.status, self.stop_date = "RUNNING", None
            self.error = self.cause = self.output_text = None
            self.redrive_count = attempt = self.redrive_count + 1
            self.redrive_date, self.redrive_token = milliseconds(self._clock.now()), token
            self._append(
                "ExecutionRedriven",
                {"executionRedrivenEventDetails": {"redriveCount": self.redrive_count}},
                len(self.events),
            )
        self._on_change(self)
        return attempt

    @property
    def redrivable_until(self) -> datetime | None:
        """When the execution can no longer be redriven; None when it cannot be at all."""
        if self.status not in {"FAILED", "TIMED_OUT", "ABORTED"} or self.stop_date is None:
            return None
        return self.stop_date + REDRIVABLE

    def redrive_status(self) -> dict[str, str]:
        """Whether it can be redriven, and why not."""
        until = self.redrivable_until
        if until is None:
            reason = f"Execution is {self.status} and cannot be redriven"
        elif self._clock.now() >= until:
            reason = "Execution has exceeded the redrivable period of 14 days"
        else:
            return {"redriveStatus": "REDRIVABLE"}
        return {"redriveStatus": "NOT_REDRIVABLE", "redriveStatusReason": reason}

    def record(self, kind: str, previous: int = 0, attempt: int = 0, **details: Any) -> int:
        """Add an event to the history; its number. Raises ExecutionEndedError when the execution has ended.

        Args:
            previous: the number of the event that led to it, in the same thread of control.
            attempt: the redrive that the caller's thread belongs to, 0 for the first run.
        """
        with self.changed:
            self._require(attempt)
            return self._append(kind, details, previous)

    def take_over(self, root: Any, attempt: int) -> tuple[Any, int]:
        """Have a thread of control stand for the execution; where the one before stopped, and the last event.

        Raises ExecutionEndedError when the execution has ended, or was redriven since `attempt`.
        """
        with self.changed:
            self._require(attempt)
            stopped, self.root = self.root, root
            return stopped, len(self.events)

    def _require(self, attempt: int) -> None:
        """End a thread whose execution is over, also where it has been redriven since."""
        if not self.running or attempt != self.redrive_count:
            raise ExecutionEndedError(self.status)

    def _append(self, kind: str, details: dict[str, Any], previous: int) -> int:
        number = len(self.events) + 1
        self.events.append(
            {
                "timestamp": milliseconds(self._clock.now()),
                "type": kind,
                "id": number,
                "previousEventId": previous,
                **details,
            }
        )
        return number

    def entered(self, state: str) -> None:
        """Report that a state has been entered."""
        self._on_state(self, state)

    def wait(self, ready: Callable[[], bool], real_seconds: float | None, attempt: int) -> bool:
        """Wait until `ready()` holds; False when the time is over first.

        Whoever makes `ready()` true must notify `changed`. Raises ExecutionEndedError as soon as the
        execution has ended.
        """
        with self.changed:
            happened = self._clock.wait_for(
                self.changed,
                lambda: not self.running or attempt != self.redrive_count or ready(),
                real_seconds,
            )
            self._require(attempt)
            return happened

    def notify(self) -> None:
        """Have the waiting threads look again."""
        with self.changed:
            self.changed.notify_all()

    def succeed(self, output: Any, previous: int, attempt: int) -> None:
        """End with an output, unless another redrive than `attempt` is running."""
        text = dump(output)
        self._end(
            "SUCCEEDED",
            previous,
            attempt=attempt,
            output_text=text,
            output={"output": text, "outputDetails": {"truncated": False}},
        )

    def fail(self, error: str | None, cause: str | None, previous: int, attempt: int) -> None:
        """End as FAILED, unless another redrive than `attempt` is running."""
        self._end("FAILED", previous, attempt=attempt, error=error, cause=cause)

    def time_out(self, attempt: int | None = None) -> None:
        """End as TIMED_OUT, unless another redrive than a given `attempt` is running.

        No state sees it, and neither error nor cause tells of it (seen on AWS).
        """
        self._end("TIMED_OUT", attempt=attempt)

    def abort(self, error: str | None, cause: str | None) -> datetime:
        """End as ABORTED, unless it has ended; the stop date."""
        self._end("ABORTED", error=error, cause=cause)
        assert self.stop_date is not None  # noqa: S101 - _end has set it, now or before
        return self.stop_date

    def _end(
        self,
        status: str,
        previous: int = 0,
        *,
        attempt: int | None = None,
        error: str | None = None,
        cause: str | None = None,
        output_text: str | None = None,
        output: dict[str, Any] | None = None,
    ) -> None:
        with self.changed:
            if not self.running or attempt not in {None, self.redrive_count}:
                return
            kind = "Execution" + {"TIMED_OUT": "TimedOut"}.get(status, status.capitalize())
            details = output or {
                key: value for key, value in (("error", error), ("cause", cause)) if value is not None
            }
            self._append(kind, {kind[0].lower() + kind[1:] + "EventDetails": details}, previous)
            self.stop_date = milliseconds(self._clock.now())
            self.error, self.cause, self.output_text = error, cause, output_text
            self.status = status
            self.changed.notify_all()
        self._on_change(self)


def milliseconds(date: datetime) -> datetime:
    """A date as precise as Step Functions gives it."""
    return date.replace(microsecond=date.microsecond // 1000 * 1000)


def dump(value: Any) -> str:
    """JSON as Step Functions writes it: compact."""
    return _ENCODER.encode(value)
