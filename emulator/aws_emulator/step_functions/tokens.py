"""Task tokens: the callbacks that `.waitForTaskToken` tasks wait for."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from typing import Any

from aws_emulator.step_functions.errors import StateError
from aws_emulator.step_functions.execution import Execution


@dataclass
class Callback:
    """One attempt of a task that waits for its token to come back."""

    token: str
    execution: Execution
    attempt: int = 0
    closed: bool = False
    answered: bool = False
    output: Any = None
    error: StateError | None = None
    heartbeats: int = 0

    @property
    def awaited(self) -> bool:
        """Whether the task still waits: not once the execution has ended or was redriven."""
        execution = self.execution
        over = not execution.running or self.attempt != execution.redrive_count
        return not (over or self.closed or self.answered)

    def responded_since(self, heartbeats: int) -> bool:
        """Whether the answer or another heartbeat has arrived."""
        return self.answered or self.heartbeats > heartbeats


class Tokens:
    """All tokens that were issued, closed ones included."""

    def __init__(self) -> None:
        self._callbacks: dict[str, Callback] = {}
        self._lock = threading.Lock()

    def open(self, execution: Execution, attempt: int) -> Callback:
        """A new token for an attempt of a task, in a redrive of the execution or, with 0, in its first run."""
        callback = Callback("AQCwAAAAKgAAAAMAAAAAAAAAA" + secrets.token_urlsafe(120), execution, attempt)
        with self._lock:
            self._callbacks[callback.token] = callback
        return callback

    def find(self, token: str) -> Callback | None:
        """The callback of a token, open or closed."""
        with self._lock:
            return self._callbacks.get(token)

    def answer(self, callback: Callback, output: Any, error: StateError | None) -> bool:
        """Answer the task; False when it no longer waits."""
        with callback.execution.changed:
            if not callback.awaited:
                return False
            callback.answered, callback.output, callback.error = True, output, error
            callback.execution.changed.notify_all()
            return True

    def record_heartbeat(self, callback: Callback) -> bool:
        """Record a heartbeat; False when the task no longer waits."""
        with callback.execution.changed:
            if not callback.awaited:
                return False
            callback.heartbeats += 1
            callback.execution.changed.notify_all()
            return True

    def close(self, callback: Callback) -> None:
        """The attempt is over."""
        with callback.execution.changed:
            callback.closed = True
