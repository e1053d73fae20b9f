"""Keeps calls under the request rates of the account, so that they are not throttled.

Source: Systems Manager endpoints and quotas: GetParameter, GetParameters and GetParametersByPath share
40 requests a second; PutParameter, DescribeParameters, GetParameterHistory and the label operations
share 3; DeleteParameter and DeleteParameters share 3. All are per account and Region.
"""

from __future__ import annotations

import threading
import time
from typing import Final, Protocol

READS_PER_SECOND: Final = 39.0
WRITES_PER_SECOND: Final = 2.8
_CATCH_UP_SECONDS: Final = 0.1
_SLOWEST: Final = 0.1
_RECOVERY: Final = 1.1


class Clock(Protocol):
    """Time as the pacing and the caches see it."""

    def now(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class MonotonicClock:
    """The machine's own monotonic clock."""

    def now(self) -> float:
        """Seconds from an arbitrary start."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class Pacer:
    """Spaces calls evenly; slows down when the service throttles, and recovers by and by.

    It begins without a burst: other callers share the account's rate, and a throttled call costs more
    than a spaced one. A caller that came a little late for its place does not delay those after it.
    Safe under threads.

    Args:
        per_second: calls a second while nothing is throttled.
        clock: the time to wait on.
    """

    def __init__(self, per_second: float, clock: Clock) -> None:
        self._fastest = per_second
        self._rate = per_second
        self._clock = clock
        self._next = float("-inf")
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait for the next free place, and take it."""
        with self._lock:
            now = self._clock.now()
            place = self._next if self._next >= now - _CATCH_UP_SECONDS else now
            self._next = place + 1 / self._rate
        if place > now:
            self._clock.sleep(place - now)

    def throttled(self, delay_seconds: float) -> None:
        """Halve the rate, and let nobody call for `delay_seconds`."""
        with self._lock:
            self._rate = max(self._rate / 2, _SLOWEST)
            self._next = max(self._next, self._clock.now() + delay_seconds)

    def succeeded(self) -> None:
        """Recover a part of the rate that was lost."""
        with self._lock:
            self._rate = min(self._rate * _RECOVERY, self._fastest)
