"""The log of every API call that the emulator received."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

OK: Final = "ok"


@dataclass(frozen=True)
class Call:
    """One API call as `GET /_emulator/calls` shows it.

    Attributes:
        number: position in the log, from 1.
        time: when it arrived, ISO 8601 in UTC.
        outcome: `ok`, or the error code that the caller saw.
        parameters: the request's parameters as boto3 users write them; blobs as their length.
    """

    number: int
    time: str
    caller: str
    service: str
    operation: str
    outcome: str
    duration_ms: float
    request_id: str
    parameters: dict[str, Any]


class CallLog:
    """Keeps the newest calls, at most `limit` of them, and tells listeners of each."""

    def __init__(self, limit: int = 200_000) -> None:
        self._calls: deque[Call] = deque(maxlen=limit)
        self._count = 0
        self._lock = threading.Lock()
        self._listeners: list[Callable[[Call], None]] = []

    def subscribe(self, listener: Callable[[Call], None]) -> None:
        """Have `listener` called with every call when it is answered; it must return at once."""
        self._listeners.append(listener)

    def record(
        self,
        *,
        time: datetime,
        caller: str,
        service: str,
        operation: str,
        outcome: str,
        duration_ms: float,
        request_id: str,
        parameters: dict[str, Any],
    ) -> Call:
        """Append one call and return it with its number."""
        with self._lock:
            self._count += 1
            call = Call(
                number=self._count,
                time=time.isoformat(timespec="milliseconds"),
                caller=caller,
                service=service,
                operation=operation,
                outcome=outcome,
                duration_ms=round(duration_ms, 2),
                request_id=request_id,
                parameters=parameters,
            )
            self._calls.append(call)
        for listener in self._listeners:
            listener(call)
        return call

    def since(self, number: int = 0) -> list[Call]:
        """The calls with a higher number than `number`, oldest first."""
        with self._lock:
            newest_first = itertools.takewhile(lambda call: call.number > number, reversed(self._calls))
            return list(newest_first)[::-1]

    def as_json(self, number: int = 0) -> list[dict[str, Any]]:
        """The calls after `number` as JSON objects."""
        return [asdict(call) for call in self.since(number)]
