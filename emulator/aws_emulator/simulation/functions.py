"""Lambda functions in the simulation's own process: the real handlers, called as actors of the virtual clock."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from aws_emulator.api.disruptions import ProcessHangs, ProcessKilled
from aws_emulator.lambda_.functions import Function
from aws_emulator.lambda_.worker import Outcome
from aws_emulator.logs.store import Line
from aws_emulator.simulation.transport import ENDPOINT_URL
from aws_emulator.simulation.virtual_clock import StuckError, VirtualClock


@dataclass
class Invocation:
    """One invocation that runs; also the `context` argument of the handler."""

    function: Function
    aws_request_id: str
    deadline: float
    clock: VirtualClock
    ended_by: str | None = None

    @property
    def function_name(self) -> str:
        """Name of the function."""
        return self.function.name

    @property
    def function_version(self) -> str:
        """Always the newest version."""
        return "$LATEST"

    @property
    def invoked_function_arn(self) -> str:
        """ARN of the function."""
        return self.function.arn

    @property
    def memory_limit_in_mb(self) -> int:
        """The function's memory."""
        return self.function.memory_mb

    def get_remaining_time_in_millis(self) -> int:
        """Virtual milliseconds until Lambda ends the invocation."""
        return max(0, int((self.deadline - self.clock.elapsed()) * 1000))

    def require_alive(self) -> None:
        """Stop the invocation if its process has ended.

        Raises:
            ProcessKilled: it has been killed, or its time is over.
        """
        if self.ended_by is None and self.clock.elapsed() >= self.deadline:
            self.ended_by = "timeout"
        if self.ended_by is not None:
            raise ProcessKilled

    def pass_time(self, seconds: float) -> None:
        """Let virtual time pass, but not beyond the function's timeout."""
        self.clock.sleep(min(seconds, max(0.0, self.deadline - self.clock.elapsed())))
        self.require_alive()


class _VirtualFuture(Future[Outcome]):
    """A future whose `result` waits in virtual time."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def result(self, timeout: float | None = None) -> Outcome:
        if not self.done():
            self._clock.run_until(self.done, timeout or 86_400.0)
        return super().result(0)


class SimulatedFunctions:
    """Invokes functions; takes the place of the runtime of processes.

    Args:
        latency: gives the virtual seconds that the next API call of a function takes.
    """

    def __init__(self, clock: VirtualClock, region: str, latency: Callable[[], float]) -> None:
        self._clock = clock
        self._region = region
        self._latency = latency
        self._modules: dict[str, ModuleType] = {}
        self._running: Counter[str] = Counter()

    def invoke(self, function: Function, payload: str) -> Future[Outcome]:
        """Invoke a function with a JSON payload."""
        future = _VirtualFuture(self._clock)
        self._clock.spawn(f"function {function.logical_id}", self._run, function, payload, future)
        return future

    def forget(self, name: str) -> None:
        """Nothing to do: every invocation reads its function's configuration."""

    def logs(self, logical_id: str) -> list[str]:  # noqa: ARG002 - the runtime of processes keeps them
        """Nothing: handlers are silent in a simulation."""
        return []

    def take_lines(self) -> list[Line]:
        """Nothing, as above."""
        return []

    def close(self) -> None:
        """Forget the handlers' modules."""
        self._modules.clear()

    @property
    def current(self) -> Invocation | None:
        """The invocation of the calling actor; None for other actors."""
        actor = self._clock.actor
        return actor.subject if actor is not None and isinstance(actor.subject, Invocation) else None

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of the invocation that asks."""
        invocation = self.current
        if invocation is None:
            return dict(os.environ)
        return invocation.function.environment_variables(self._region, ENDPOINT_URL)

    def sleep(self, clock: VirtualClock, seconds: float) -> None:
        """Let virtual time pass for whoever asks; no longer than an invocation may take."""
        if (invocation := self.current) is None:
            clock.sleep(seconds)
        else:
            invocation.pass_time(seconds)

    @contextmanager
    def calling(self) -> Iterator[str | None]:
        """Around an API call: the access key of the function that makes it, None for anybody else.

        Raises:
            StuckError: a function calls on a thread of its own, which a simulation cannot order.
        """
        if self._clock.actor is None:
            raise StuckError(
                "a function makes calls on a thread of its own; the simulation cannot order them"
            )
        invocation = self.current
        if invocation is None:
            yield None
            return
        invocation.require_alive()
        invocation.pass_time(self._latency())
        try:
            yield invocation.function.access_key_id
        except ProcessKilled:
            invocation.ended_by = invocation.ended_by or "signal: killed"
            raise
        except ProcessHangs:
            invocation.pass_time(float("inf"))
        # A slow answer may have come after the function's end.
        invocation.require_alive()

    def _run(self, function: Function, payload: str, future: Future[Outcome]) -> None:
        actor, limit = self._clock.actor, function.reserved_concurrency
        if limit is not None:
            self._clock.run_until(lambda: self._running[function.name] < limit, 86_400.0)
        self._running[function.name] += 1
        request_id = str(uuid.uuid4())
        deadline = self._clock.elapsed() + function.timeout_seconds
        invocation = Invocation(function, request_id, deadline, self._clock)
        if actor is not None:
            actor.subject = invocation
        try:
            outcome = self._outcome(invocation, payload)
        finally:
            self._running[function.name] -= 1
        future.set_result(outcome)

    def _outcome(self, invocation: Invocation, payload: str) -> Outcome:
        function, request_id = invocation.function, invocation.aws_request_id
        try:
            result = self._handler(function)(json.loads(payload), invocation)
        except ProcessKilled:
            return self._ended(invocation)
        except Exception as error:  # noqa: BLE001 - whatever a function raises is its answer
            content = {
                "errorMessage": str(error),
                "errorType": type(error).__name__,
                "requestId": request_id,
                "stackTrace": traceback.format_tb(error.__traceback__),
            }
            return Outcome(json.dumps(content), failed=True, request_id=request_id)
        return Outcome(json.dumps(result), failed=False, request_id=request_id)

    def _ended(self, invocation: Invocation) -> Outcome:
        if invocation.ended_by == "timeout":
            kind, text = (
                "Sandbox.Timedout",
                f"Task timed out after {invocation.function.timeout_seconds:.2f} seconds",
            )
        else:
            kind, text = "Runtime.ExitError", f"Runtime exited with error: {invocation.ended_by}"
        message = f"RequestId: {invocation.aws_request_id} Error: {text}"
        content = json.dumps({"errorType": kind, "errorMessage": message})
        return Outcome(content, failed=True, request_id=invocation.aws_request_id)

    def _handler(self, function: Function) -> Callable[[Any, Any], Any]:
        file_name, _, attribute = function.handler.rpartition(".")
        if function.logical_id not in self._modules:
            path = function.task_root / f"{file_name}.py"
            name = f"simulated_{function.logical_id}"
            spec = importlib.util.spec_from_file_location(name, path)
            if spec is None or spec.loader is None:
                raise ImportError(f"{path} is no Python module")
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
            self._modules[function.logical_id] = module
        handler: Callable[[Any, Any], Any] = getattr(self._modules[function.logical_id], attribute)
        return handler
