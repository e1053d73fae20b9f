"""What was found broken, and by which call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from aws_emulator.api.operations import Request


@dataclass(frozen=True)
class Violation:
    """A promise that did not hold.

    Attributes:
        promise: P1 to P6.
        what: the resource and what is wrong with it.
        cause: the call after which it was seen.
        at: emulated seconds since the start.
    """

    promise: str
    what: str
    cause: str
    at: float


class Violations:
    """Collects violations; the same one is written down once."""

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self.cause = "the start"
        self.by_person = True
        self._elapsed = elapsed
        self._found: dict[tuple[str, str], Violation] = {}
        self._lock = threading.Lock()

    def note(self, request: Request, *, by_person: bool) -> None:
        """Remember a call as the cause of what is seen next."""
        self.cause = describe(request)
        self.by_person = by_person

    def add(self, promise: str, what: str) -> None:
        """Write a violation down."""
        with self._lock:
            self._found.setdefault(
                (promise, what), Violation(promise, what, self.cause, round(self._elapsed(), 2))
            )

    def all(self) -> list[Violation]:
        """What was written down, oldest first."""
        with self._lock:
            return list(self._found.values())

    def clear(self) -> None:
        """Forget what was written down."""
        with self._lock:
            self._found.clear()

    def as_json(self) -> list[dict[str, Any]]:
        """The violations as JSON objects."""
        return [asdict(each) for each in self.all()]


def describe(request: Request) -> str:
    """A call in a few words: who, what, on which resource."""
    keys = (
        "Name",
        "ImageId",
        "InstanceId",
        "InstanceIds",
        "SnapshotId",
        "FunctionName",
        "executionArn",
        "name",
    )
    named = [f"{key}={request.parameters[key]}" for key in keys if key in request.parameters]
    return f"{request.caller} {request.service}:{request.operation}({', '.join(named)})"
