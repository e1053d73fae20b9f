"""What was found broken, and by which call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from ami_lifecycle_testbed.promises.acts import Act


@dataclass(frozen=True)
class Violation:
    """A promise that did not hold.

    Attributes:
        promise: P1 to P7.
        what: the resource and what is wrong with it.
        cause: the call after which it was seen.
        at: seconds since the start.
    """

    promise: str
    what: str
    cause: str
    at: float

    def __str__(self) -> str:
        """All of it in a line."""
        return f"{self.promise}: {self.what}; seen after {self.cause}"


class Violations:
    """Collects violations; the same one is written down once."""

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self.cause: str | Act = "the start"
        self.by_person = True
        self._elapsed = elapsed
        self._found: dict[tuple[str, str], Violation] = {}
        self._lock = threading.Lock()

    def note(self, act: Act) -> None:
        """Remember a call as the cause of what is seen next."""
        self.cause = act
        self.by_person = act.by_person

    def add(self, promise: str, what: str) -> None:
        """Write a violation down."""
        cause = self.cause if isinstance(self.cause, str) else self.cause.describe()
        with self._lock:
            self._found.setdefault(
                (promise, what), Violation(promise, what, cause, round(self._elapsed(), 2))
            )

    def all(self) -> list[Violation]:
        """What was written down, oldest first."""
        with self._lock:
            return list(self._found.values())

    def take(self) -> list[Violation]:
        """What was written down, which is then forgotten."""
        with self._lock:
            found = list(self._found.values())
            self._found.clear()
        return found

    def clear(self) -> None:
        """Forget what was written down."""
        self.take()

    def as_json(self) -> list[dict[str, Any]]:
        """The violations as JSON objects."""
        return [asdict(each) for each in self.all()]
