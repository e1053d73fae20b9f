"""Runs an execution: one thread enters its states one after the other.

A `Parallel` state has a thread for each branch. Everything that takes time waits on the execution's
condition, so that StopExecution and the machine's timeout end all threads at once.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aws_emulator.clock import Clock
from aws_emulator.step_functions import choices
from aws_emulator.step_functions.errors import (
    DATA_LIMIT,
    RUNTIME,
    ExecutionEndedError,
    RuntimeStateError,
    StateError,
)
from aws_emulator.step_functions.execution import PAYLOAD_BYTES, Execution, dump
from aws_emulator.step_functions.intrinsics import evaluate, render
from aws_emulator.step_functions.paths import parse_path
from aws_emulator.step_functions.tasks import TaskRunner
from aws_emulator.step_functions.timeline import Timeline
from aws_emulator.step_functions.timestamps import parse_timestamp

State = Mapping[str, Any]
LOGGER: Final = logging.getLogger(__name__)


def run_execution(
    execution: Execution,
    attempt: int,
    input_data: Any,
    clock: Clock,
    tasks: TaskRunner,
    rng: random.Random,
) -> None:
    """Run an execution to its end, or go on with a redriven one; the body of its thread.

    Args:
        attempt: 0 for the first run, then which redrive it is. Whoever starts the thread says so: when the thread
            begins, the execution may have been ended and redriven already.
    """
    # The machine's own timeout begins anew with a redrive (Developer Guide, Redriving executions).
    timeline = Timeline(clock, execution.definition.get("TimeoutSeconds", 99_999_999))
    context: dict[str, Any] = {
        "Execution": {
            "Id": execution.arn,
            "Input": input_data,
            "Name": execution.name,
            "RoleArn": execution.role_arn,
            "StartTime": _iso(execution.start_date),
            "RedriveCount": attempt,
        },
        "StateMachine": {"Id": execution.machine_arn, "Name": execution.machine_arn.rsplit(":", 1)[1]},
    }
    if execution.redrive_date is not None:
        context["Execution"]["RedriveTime"] = _iso(execution.redrive_date)
    branch = Branch(execution, attempt, context, timeline, tasks=tasks, rng=rng)
    try:
        stopped, last_event = execution.take_over(branch.standing, attempt)
        branch.last_event = last_event if attempt else 0
        output = branch.run(execution.definition, input_data, stopped)
        execution.succeed(output, branch.last_event, attempt)
    except ExecutionEndedError:
        pass
    except StateError as error:
        execution.fail(error.error, error.cause, branch.last_event, attempt)
    except Exception as error:
        LOGGER.exception("the interpreter failed in %s", execution.arn)
        cause = f"An error occurred while executing the state machine: {error!r}"
        execution.fail(RUNTIME, cause, branch.last_event, attempt)


@dataclass
class ResumePoint:
    """The position of a thread of control, from which a redrive goes on.

    Attributes:
        state: the state that it is in, None before the first one.
        data: that state's input.
        entered: the number of the event of entering; None while there is none.
        branches: the branches of the Parallel state that it is in.
        done: whether it has come to its end, with `data` as its output.
    """

    state: str | None = None
    data: Any = None
    entered: int | None = None
    branches: list[ResumePoint] = field(default_factory=list)
    done: bool = False


class Branch:
    """One thread of control of an execution: the whole machine, or a branch of a Parallel state."""

    def __init__(
        self,
        execution: Execution,
        attempt: int,
        context: Mapping[str, Any],
        timeline: Timeline,
        *,
        tasks: TaskRunner,
        rng: random.Random,
        failed_elsewhere: Callable[[], bool] = lambda: False,
    ) -> None:
        self.execution = execution
        self.attempt = attempt
        self.standing = ResumePoint()
        self.last_event = 0
        self.timeline = timeline
        self.context = dict(context)
        self._tasks = tasks
        self._random = rng
        self.failed_elsewhere = failed_elsewhere
        self._stopped_branches: list[ResumePoint] = []
        self._kind = ""
        self._written: tuple[Any, str] = (None, "null")
        self._runners: dict[str, Callable[[State, Any], tuple[Any, str | None]]] = {
            "Task": self._run_with_handlers,
            "Parallel": self._run_with_handlers,
            "Pass": self._run_pass,
            "Wait": self._run_wait,
            "Choice": self._run_choice,
            "Succeed": self._run_succeed,
            "Fail": self._run_fail,
        }

    def run(self, machine: Mapping[str, Any], data: Any, stopped: ResumePoint | None = None) -> Any:
        """Run states from StartAt to an end; the output. Raises StateError, ExecutionEndedError.

        Args:
            stopped: where the thread stood when the execution ended that is redriven; it goes on there.
        """
        name: str | None = machine["StartAt"]
        if stopped is not None and stopped.state is not None:
            name, data = stopped.state, stopped.data
        while name is not None:
            self.standing.state, self.standing.data, self.standing.entered = name, data, None
            data, name = self._run_state(name, machine["States"][name], data, stopped)
            stopped = None
        self.standing.done, self.standing.data = True, data
        return data

    def _run_state(
        self, name: str, state: State, data: Any, stopped: ResumePoint | None
    ) -> tuple[Any, str | None]:
        if self.failed_elsewhere():
            raise ExecutionEndedError("a sibling branch has failed")
        if self.timeline.left_seconds <= 0:
            self.execution.time_out(self.attempt)
        kind = self._kind = state["Type"]
        if stopped is not None and stopped.entered is not None:
            # A redriven state runs again, but is not entered again.
            self.standing.entered = stopped.entered
        else:
            details = {"name": name, "input": self._write(data), "inputDetails": {"truncated": False}}
            self.standing.entered = self.record(f"{kind}StateEntered", stateEnteredEventDetails=details)
        self.execution.entered(name)
        self.context["State"] = {"EnteredTime": _iso(datetime.now(UTC)), "Name": name}
        if kind in {"Task", "Parallel"}:
            self.context["State"]["RetryCount"] = 0
        self._stopped_branches = stopped.branches if stopped is not None else []
        try:
            output, following = self._runners[kind](state, data)
            _check_size(name, self._write(output))
        except RuntimeStateError as error:
            error.locate(name, self.standing.entered)
            raise
        details = {"name": name, "output": self._write(output), "outputDetails": {"truncated": False}}
        self.record(f"{kind}StateExited", stateExitedEventDetails=details)
        self._kind = ""
        return output, following

    def _write(self, data: Any) -> str:
        """Data as JSON. A state's output is the next one's input, and is written once."""
        if data is not self._written[0]:
            self._written = (data, dump(data))
        return self._written[1]

    def record(self, kind: str, **details: Any) -> int:
        """Add an event of this thread to the history; its number."""
        self.last_event = self.execution.record(kind, self.last_event, self.attempt, **details)
        return self.last_event

    def pause(
        self, emulated_seconds: float, ready: Callable[[], bool] = lambda: False, *, working: bool = False
    ) -> bool:
        """Wait for `ready()`; False when the time is over first.

        Ends the execution as TIMED_OUT when the machine's own timeout comes before.
        """
        span = min(emulated_seconds, self.timeline.left_seconds)
        with self.timeline.passing(working=working):
            happened = self.execution.wait(
                lambda: ready() or self.failed_elsewhere(),
                self.timeline.real_seconds(span, working=working),
                self.attempt,
            )
        if self.failed_elsewhere():
            raise ExecutionEndedError("a sibling branch has failed")
        if not happened and span < emulated_seconds:
            self.execution.time_out(self.attempt)
            raise ExecutionEndedError("TIMED_OUT")
        return happened

    # Data flow: InputPath, Parameters, ResultSelector, ResultPath, OutputPath.

    def select_input(self, state: State, data: Any) -> Any:
        """The effective input: InputPath, then Parameters."""
        selected = self._filter(state, "InputPath", data)
        return self.render(state["Parameters"], selected) if "Parameters" in state else selected

    def render(self, template: Any, data: Any) -> Any:
        """Fill a payload template with data and the context object."""
        return render(template, data, self.context)

    def read(self, state: State, field: str, data: Any) -> Any:
        """What the path, or the intrinsic function, in a field of the state selects."""
        return evaluate(state[field], data, self.context, field)

    def _filter(self, state: State, field: str, data: Any) -> Any:
        path = state.get(field, "$")
        return {} if path is None else parse_path(path).read(data, self.context)

    def _merge(self, state: State, data: Any, result: Any) -> Any:
        if "ResultSelector" in state:
            result = self.render(state["ResultSelector"], result)
        path = state.get("ResultPath", "$")
        merged = data if path is None else parse_path(path).write(data, result)
        return self._filter(state, "OutputPath", merged)

    # States that do no work.

    def _run_pass(self, state: State, data: Any) -> tuple[Any, str | None]:
        result = state["Result"] if "Result" in state else self.select_input(state, data)
        return self._merge(state, data, result), state.get("Next")

    def _run_wait(self, state: State, data: Any) -> tuple[Any, str | None]:
        selected = self._filter(state, "InputPath", data)
        self.pause(max(0.0, self._seconds_to_wait(state, selected)))
        return self._filter(state, "OutputPath", selected), state.get("Next")

    def _seconds_to_wait(self, state: State, data: Any) -> float:
        """The span of a Wait state; raises States.Runtime with AWS's texts for values that are none."""
        if "Seconds" in state:
            return float(state["Seconds"])
        if "SecondsPath" in state:
            path, value = state["SecondsPath"], self.read(state, "SecondsPath", data)
            if isinstance(value, bool) or not isinstance(value, int):
                raise RuntimeStateError(
                    f"The SecondsPath parameter cannot be parsed as a long value: {path} == {_plain(value)}"
                )
            if value < 0:
                raise RuntimeStateError(
                    f"The SecondsPath parameter references a negative value: {path} == {value}"
                )
            return float(min(value, 99_999_999))
        value = state["Timestamp"] if "Timestamp" in state else self.read(state, "TimestampPath", data)
        until = parse_timestamp(value)
        if until is None:
            raise RuntimeStateError(
                "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time "
                f"format string: {state['TimestampPath']} == {_plain(value)}"
            )
        return (until - datetime.now(UTC)).total_seconds()

    def _run_choice(self, state: State, data: Any) -> tuple[Any, str | None]:
        selected = self._filter(state, "InputPath", data)
        target = next(
            (rule["Next"] for rule in state["Choices"] if choices.matches(rule, selected, self.context)),
            state.get("Default"),
        )
        if target is None:
            raise StateError("States.NoChoiceMatched", "No choice rule matched and there is no Default state")
        return self._filter(state, "OutputPath", selected), target

    def _run_succeed(self, state: State, data: Any) -> tuple[Any, str | None]:
        return self._filter(state, "OutputPath", self._filter(state, "InputPath", data)), None

    def _run_fail(self, state: State, data: Any) -> tuple[Any, str | None]:
        raise StateError(self._text(state, "Error", data), self._text(state, "Cause", data))

    def _text(self, state: State, field: str, data: Any) -> str | None:
        path = field + "Path"
        if path not in state:
            text: str | None = state.get(field)
            return text
        value = self.read(state, path, data)
        if not isinstance(value, str):
            raise RuntimeStateError(
                f"The {path} parameter must select a string: {state[path]} == {_plain(value)}"
            )
        return value

    # States with Retry and Catch.

    def _run_with_handlers(self, state: State, data: Any) -> tuple[Any, str | None]:
        attempts: Counter[int] = Counter()
        run = self._tasks.run if state["Type"] == "Task" else _run_parallel
        while True:
            try:
                result = run(self, state, data)
                _check_size(self.context["State"]["Name"], self._write(result))
            except StateError as error:
                self._stopped_branches = []
                if self._retry(state, error, attempts):
                    continue
                if state["Type"] == "Parallel":
                    self.record("ParallelStateFailed")
                return self._catch(state, data, error)
            if state["Type"] == "Parallel":
                # The exit follows the last event of a branch, too, and not this one (seen on AWS).
                self.execution.record("ParallelStateSucceeded", self.last_event, self.attempt)
            return self._merge(state, data, result), state.get("Next")

    def _retry(self, state: State, error: StateError, attempts: Counter[int]) -> bool:
        for position, retrier in enumerate(state.get("Retry", [])):
            if not error.matches(retrier["ErrorEquals"]):
                continue
            if attempts[position] >= retrier.get("MaxAttempts", 3):
                return False
            self.pause(_delay(retrier, attempts[position], self._random))
            attempts[position] += 1
            self.context["State"]["RetryCount"] += 1
            return True
        return False

    def _catch(self, state: State, data: Any, error: StateError) -> tuple[Any, str | None]:
        for catcher in state.get("Catch", []):
            if error.matches(catcher["ErrorEquals"]):
                path = catcher.get("ResultPath", "$")
                output = data if path is None else parse_path(path).write(data, error.output())
                return output, catcher["Next"]
        raise error

    def wait(self, ready: Callable[[], bool]) -> None:
        """Wait for `ready()`, however long it takes."""
        self.execution.wait(ready, None, self.attempt)

    def stopped_branches(self, number: int) -> list[ResumePoint | None]:
        """Where the branches of the Parallel state stood that is redriven."""
        stopped, self._stopped_branches = self._stopped_branches, []
        return list(stopped) if len(stopped) == number else [None] * number

    def abandon(self) -> None:
        """Record that a sibling's failure has ended the task that this thread was in."""
        if self._kind == "Task" and self.failed_elsewhere():
            try:
                self.record("TaskStateAborted")
            except ExecutionEndedError:
                return

    def branch(self, failed_elsewhere: Callable[[], bool]) -> Branch:
        """A thread of control for a branch of this one."""
        branch = Branch(
            self.execution,
            self.attempt,
            self.context,
            self.timeline.branch(),
            tasks=self._tasks,
            rng=self._random,
            failed_elsewhere=failed_elsewhere,
        )
        branch.last_event = self.last_event
        return branch


def _run_parallel(parent: Branch, state: State, data: Any) -> Any:
    selected = parent.select_input(state, data)
    parent.record("ParallelStateStarted")
    return _Parallel(parent, state["Branches"], selected).join()


class _Parallel:
    """The branches of one Parallel state: the first that fails ends the others."""

    def __init__(self, parent: Branch, machines: list[Mapping[str, Any]], data: Any) -> None:
        self._parent = parent
        self._outputs: list[Any] = [None] * len(machines)
        self._error: StateError | None = None
        self._decided_by: Branch | None = None
        self._running = len(machines)
        stopped = parent.stopped_branches(len(machines))
        self._branches = [parent.branch(self._ended) for _ in machines]
        parent.standing.branches = [branch.standing for branch in self._branches]
        for position, machine in enumerate(machines):
            threading.Thread(
                target=self._run,
                args=(position, machine, data, stopped[position]),
                name="emulator-branch",
                daemon=True,
            ).start()

    def _ended(self) -> bool:
        return self._error is not None or self._parent.failed_elsewhere()

    def _run(self, position: int, machine: Mapping[str, Any], data: Any, stopped: ResumePoint | None) -> None:
        branch = self._branches[position]
        error: StateError | None = None
        try:
            self._outputs[position] = self._output_of(branch, machine, data, stopped)
        except ExecutionEndedError:
            branch.abandon()
        except StateError as failure:
            error = failure
        except Exception as failure:
            LOGGER.exception("the interpreter failed in a branch of %s", branch.execution.arn)
            error = RuntimeStateError(repr(failure))
        with branch.execution.changed:
            if self._error is None:
                self._error, self._decided_by = error, branch
            self._running -= 1
            branch.execution.changed.notify_all()

    @staticmethod
    def _output_of(branch: Branch, machine: Mapping[str, Any], data: Any, stopped: ResumePoint | None) -> Any:
        if stopped is not None and stopped.done:
            # A redrive runs only the branches again that have not succeeded.
            branch.standing.done, branch.standing.data = True, stopped.data
            return stopped.data
        return branch.run(machine, data, stopped)

    def join(self) -> list[Any]:
        """Wait for all branches; the outputs in order. Raises the first branch's error."""
        parent = self._parent
        # Each branch watches the machine's timeout by its own timeline.
        parent.wait(lambda: self._running == 0)
        parent.timeline.spent_seconds = max(branch.timeline.spent_seconds for branch in self._branches)
        if self._decided_by is not None:
            parent.last_event = self._decided_by.last_event
        if self._error is not None:
            raise self._error
        return self._outputs


def _delay(retrier: Mapping[str, Any], attempt: int, rng: random.Random) -> float:
    """The emulated seconds before an attempt (Amazon States Language, Retry)."""
    interval: float = retrier.get("IntervalSeconds", 1)
    delay = min(
        interval * float(retrier.get("BackoffRate", 2.0)) ** min(attempt, 60),
        retrier.get("MaxDelaySeconds", 31_622_400),
    )
    return rng.uniform(0, delay) if retrier.get("JitterStrategy") == "FULL" else delay


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else dump(value)


def _check_size(name: str, text: str) -> None:
    if len(text.encode()) > PAYLOAD_BYTES:
        raise StateError(
            DATA_LIMIT,
            f"The state/task '{name}' returned a result with a size exceeding the maximum number of bytes "
            "service limit.",
        )


def _iso(date: datetime) -> str:
    return date.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
