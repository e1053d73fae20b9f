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
from datetime import UTC, datetime
from typing import Any, Final

from aws_emulator.clock import Clock
from aws_emulator.step_functions import choices
from aws_emulator.step_functions.errors import ExecutionEndedError, StateError
from aws_emulator.step_functions.execution import PAYLOAD_BYTES, Execution, dump
from aws_emulator.step_functions.intrinsics import parse_expression, render
from aws_emulator.step_functions.paths import Path, parse_path
from aws_emulator.step_functions.tasks import TaskRunner
from aws_emulator.step_functions.timeline import Timeline

State = Mapping[str, Any]
LOGGER: Final = logging.getLogger(__name__)


def run_execution(
    execution: Execution, input_data: Any, clock: Clock, tasks: TaskRunner, rng: random.Random
) -> None:
    """Run an execution to its end; the body of its thread."""
    timeline = Timeline(clock, execution.definition.get("TimeoutSeconds", 99_999_999))
    context: dict[str, Any] = {
        "Execution": {
            "Id": execution.arn,
            "Input": input_data,
            "Name": execution.name,
            "RoleArn": execution.role_arn,
            "StartTime": _iso(execution.start_date),
            "RedriveCount": 0,
        },
        "StateMachine": {"Id": execution.machine_arn, "Name": execution.machine_arn.rsplit(":", 1)[1]},
    }
    try:
        execution.succeed(
            Branch(execution, context, timeline, tasks=tasks, rng=rng).run(execution.definition, input_data)
        )
    except ExecutionEndedError:
        pass
    except StateError as error:
        execution.fail(error.error, error.cause)
    except Exception as error:
        LOGGER.exception("the interpreter failed in %s", execution.arn)
        execution.fail("States.Runtime", f"An error occurred while executing the state machine: {error!r}")


class Branch:
    """One thread of control of an execution: the whole machine, or a branch of a Parallel state."""

    def __init__(
        self,
        execution: Execution,
        context: Mapping[str, Any],
        timeline: Timeline,
        *,
        tasks: TaskRunner,
        rng: random.Random,
        failed_elsewhere: Callable[[], bool] = lambda: False,
    ) -> None:
        self.execution = execution
        self.timeline = timeline
        self.context = dict(context)
        self._tasks = tasks
        self._random = rng
        self.failed_elsewhere = failed_elsewhere
        self._runners: dict[str, Callable[[State, Any], tuple[Any, str | None]]] = {
            "Task": self._run_with_handlers,
            "Parallel": self._run_with_handlers,
            "Pass": self._run_pass,
            "Wait": self._run_wait,
            "Choice": self._run_choice,
            "Succeed": self._run_succeed,
            "Fail": self._run_fail,
        }

    def run(self, machine: Mapping[str, Any], data: Any) -> Any:
        """Run states from StartAt to an end; the output. Raises StateError, ExecutionEndedError."""
        name: str | None = machine["StartAt"]
        while name is not None:
            data, name = self._run_state(name, machine["States"][name], data)
        return data

    def _run_state(self, name: str, state: State, data: Any) -> tuple[Any, str | None]:
        if self.failed_elsewhere():
            raise ExecutionEndedError("a sibling branch has failed")
        if self.timeline.left_seconds <= 0:
            self.execution.time_out()
        kind = state["Type"]
        details = {"name": name, "input": dump(data), "inputDetails": {"truncated": False}}
        self.execution.record(f"{kind}StateEntered", stateEnteredEventDetails=details)
        self.execution.entered(name)
        self.context["State"] = {"EnteredTime": _iso(datetime.now(UTC)), "Name": name, "RetryCount": 0}
        output, following = self._runners[kind](state, data)
        _check_size(name, output)
        details = {"name": name, "output": dump(output), "outputDetails": {"truncated": False}}
        self.execution.record(f"{kind}StateExited", stateExitedEventDetails=details)
        return output, following

    def pause(
        self, emulated_seconds: float, ready: Callable[[], bool] = lambda: False, *, working: bool = False
    ) -> bool:
        """Wait for `ready()`; False when the time is over first.

        Ends the execution as TIMED_OUT when the machine's own timeout comes before.
        """
        span = min(emulated_seconds, self.timeline.left_seconds)
        with self.timeline.passing(working=working):
            happened = self.execution.wait(
                lambda: ready() or self.failed_elsewhere(), self.timeline.real_seconds(span, working=working)
            )
        if self.failed_elsewhere():
            raise ExecutionEndedError("a sibling branch has failed")
        if not happened and span < emulated_seconds:
            self.execution.time_out()
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

    def read(self, text: str, data: Any) -> Any:
        """Read a path, or evaluate an intrinsic function."""
        return _read(text, data, self.context)

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
        if "Seconds" in state or "SecondsPath" in state:
            seconds = float(state["Seconds"] if "Seconds" in state else self.read(state["SecondsPath"], data))
        else:
            text = state["Timestamp"] if "Timestamp" in state else self.read(state["TimestampPath"], data)
            seconds = (datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds()
        self.pause(max(0.0, seconds))
        return self._filter(state, "OutputPath", self._filter(state, "InputPath", data)), state.get("Next")

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
        error = self.read(state["ErrorPath"], data) if "ErrorPath" in state else state.get("Error", "")
        cause = self.read(state["CausePath"], data) if "CausePath" in state else state.get("Cause", "")
        if not isinstance(error, str) or not isinstance(cause, str):
            raise StateError("States.Runtime", "ErrorPath and CausePath must select strings")
        raise StateError(error, cause)

    # States with Retry and Catch.

    def _run_with_handlers(self, state: State, data: Any) -> tuple[Any, str | None]:
        attempts: Counter[int] = Counter()
        run = self._tasks.run if state["Type"] == "Task" else _run_parallel
        while True:
            try:
                result = run(self, state, data)
                _check_size(self.context["State"]["Name"], result)
                return self._merge(state, data, result), state.get("Next")
            except StateError as error:
                if self._retry(state, error, attempts):
                    continue
                return self._catch(state, data, error)

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

    def branch(self, failed_elsewhere: Callable[[], bool]) -> Branch:
        """A thread of control for a branch of this one."""
        return Branch(
            self.execution,
            self.context,
            self.timeline.branch(),
            tasks=self._tasks,
            rng=self._random,
            failed_elsewhere=failed_elsewhere,
        )


def _run_parallel(parent: Branch, state: State, data: Any) -> Any:
    parent.execution.record("ParallelStateStarted")
    try:
        outputs = _Parallel(parent, state["Branches"], parent.select_input(state, data)).join()
    except StateError:
        parent.execution.record("ParallelStateFailed")
        raise
    parent.execution.record("ParallelStateSucceeded")
    return outputs


class _Parallel:
    """The branches of one Parallel state: the first that fails ends the others."""

    def __init__(self, parent: Branch, machines: list[Mapping[str, Any]], data: Any) -> None:
        self._parent = parent
        self._outputs: list[Any] = [None] * len(machines)
        self._error: StateError | None = None
        self._running = len(machines)
        self._branches: list[Branch] = []
        for position, machine in enumerate(machines):
            branch = parent.branch(self._ended)
            self._branches.append(branch)
            threading.Thread(
                target=self._run, args=(position, branch, machine, data), name="emulator-branch", daemon=True
            ).start()

    def _ended(self) -> bool:
        return self._error is not None or self._parent.failed_elsewhere()

    def _run(self, position: int, branch: Branch, machine: Mapping[str, Any], data: Any) -> None:
        error: StateError | None = None
        try:
            self._outputs[position] = branch.run(machine, data)
        except ExecutionEndedError:
            pass
        except StateError as failure:
            error = failure
        except Exception as failure:
            LOGGER.exception("the interpreter failed in a branch of %s", branch.execution.arn)
            error = StateError("States.Runtime", repr(failure))
        with branch.execution.changed:
            self._error = self._error or error
            self._running -= 1
            branch.execution.changed.notify_all()

    def join(self) -> list[Any]:
        """Wait for all branches; the outputs in order. Raises the first branch's error."""
        execution, timeline = self._parent.execution, self._parent.timeline
        # Each branch watches the machine's timeout by its own timeline.
        execution.wait(lambda: self._running == 0 or self._ended(), None)
        timeline.spent_seconds = max(branch.timeline.spent_seconds for branch in self._branches)
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


def _read(text: str, data: Any, context: Any) -> Any:
    expression = parse_expression(text)
    if isinstance(expression, Path):
        return expression.read(data, context)
    return expression.evaluate(data, context)


def _check_size(name: str, value: Any) -> None:
    if len(dump(value).encode()) > PAYLOAD_BYTES:
        raise StateError(
            "States.DataLimitExceeded",
            f"The state/task '{name}' returned a result with a size exceeding the maximum number of bytes "
            "service limit.",
        )


def _iso(date: datetime) -> str:
    return date.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
