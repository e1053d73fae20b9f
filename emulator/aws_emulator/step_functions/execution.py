"""One execution: its status, its history, and the place where its threads wait."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from aws_emulator.clock import Clock
from aws_emulator.step_functions.errors import ExecutionEndedError

PAYLOAD_BYTES: Final = 262_144


class Execution:
    """State of an execution, safe to use from several threads.

    Args:
        on_change: called after the execution has begun and after it has ended.
        on_state: called when it has entered a state.
    """

    def __init__(
        self,
        *,
        arn: str,
        name: str,
        machine_arn: str,
        role_arn: str,
        definition: dict[str, Any],
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
        self.input_text = input_text
        self.start_date = start_date
        self.status = "RUNNING"
        self.stop_date: datetime | None = None
        self.output_text: str | None = None
        self.error: str | None = None
        self.cause: str | None = None
        self.events: list[dict[str, Any]] = []
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

    def record(self, kind: str, **details: Any) -> None:
        """Add an event to the history; raises ExecutionEndedError when the execution has ended."""
        with self.changed:
            if not self.running:
                raise ExecutionEndedError(self.status)
            self._append(kind, details)

    def _append(self, kind: str, details: dict[str, Any]) -> None:
        number = len(self.events) + 1
        self.events.append(
            {
                "timestamp": self._clock.now(),
                "type": kind,
                "id": number,
                "previousEventId": number - 1,
                **details,
            }
        )

    def entered(self, state: str) -> None:
        """Report that a state has been entered."""
        self._on_state(self, state)

    def wait(self, ready: Callable[[], bool], real_seconds: float | None) -> bool:
        """Wait until `ready()` holds; False when the time is over first.

        Whoever makes `ready()` true must notify `changed`. Raises ExecutionEndedError as soon as the
        execution has ended.
        """
        with self.changed:
            happened = self._clock.wait_for(self.changed, lambda: not self.running or ready(), real_seconds)
            if not self.running:
                raise ExecutionEndedError(self.status)
            return happened

    def notify(self) -> None:
        """Have the waiting threads look again."""
        with self.changed:
            self.changed.notify_all()

    def succeed(self, output: Any) -> None:
        """End with an output."""
        text = dump(output)
        self._end(
            "SUCCEEDED", output_text=text, output={"output": text, "outputDetails": {"truncated": False}}
        )

    def fail(self, error: str | None, cause: str | None) -> None:
        """End as FAILED."""
        self._end("FAILED", error=error, cause=cause)

    def time_out(self) -> None:
        """End as TIMED_OUT: no state sees it (States.Timeout of the whole cannot be caught)."""
        seconds = self.definition["TimeoutSeconds"]
        self._end(
            "TIMED_OUT", error="States.Timeout", cause=f"The execution ran for more than {seconds} seconds"
        )

    def abort(self, error: str | None, cause: str | None) -> datetime:
        """End as ABORTED, unless it has ended; the stop date."""
        self._end("ABORTED", error=error, cause=cause)
        assert self.stop_date is not None  # noqa: S101 - _end has set it, now or before
        return self.stop_date

    def _end(
        self,
        status: str,
        *,
        error: str | None = None,
        cause: str | None = None,
        output_text: str | None = None,
        output: dict[str, Any] | None = None,
    ) -> None:
        with self.changed:
            if not self.running:
                return
            kind = "Execution" + {"TIMED_OUT": "TimedOut"}.get(status, status.capitalize())
            details = output or {
                key: value for key, value in (("error", error), ("cause", cause)) if value is not None
            }
            self._append(kind, {kind[0].lower() + kind[1:] + "EventDetails": details})
            self.stop_date = self._clock.now()
            self.error, self.cause, self.output_text = error, cause, output_text
            self.status = status
            self.changed.notify_all()
        self._on_change(self)


def dump(value: Any) -> str:
    """JSON as Step Functions writes it: compact."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
