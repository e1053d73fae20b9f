"""An emulator's clock that a test holds, so that what is in transition stays so until the test says."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable

from aws_emulator.clock import Clock, Timer


class HeldClock(Clock):
    """Emulated time passes in `advance` alone; what falls due is called there, in order."""

    def __init__(self) -> None:
        super().__init__(0.01)
        self._held = 0.0
        self._due: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._guard = threading.Lock()

    def elapsed(self) -> float:
        """Emulated seconds that tests have let pass."""
        return self._held

    def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.advance(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back when a test has let so much time pass."""
        timer = Timer(callback)
        with self._guard:
            heapq.heappush(self._due, (self._held + max(0.0, seconds), next(self._numbers), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Let emulated time pass."""
        end = self._held + seconds
        while (timer := self._next(end)) is not None:
            if not timer.cancelled:
                timer.callback()
        self._held = end

    def _next(self, end: float) -> Timer | None:
        with self._guard:
            if not self._due or self._due[0][0] > end:
                return None
            due, _, timer = heapq.heappop(self._due)
            self._held = max(self._held, due)
        return timer
