"""Emulated time of one execution: waiting is scaled, the work of functions is not.

A function runs as long as it runs on this machine, whatever the time scale, so the seconds of an
invocation count as they are. A wait of an hour takes an hour times the scale and counts as an hour.
Without this difference every TimeoutSeconds would strike at small scales.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aws_emulator.clock import Clock


class Timeline:
    """Emulated seconds that one thread of control has spent.

    Args:
        clock: gives the scale of waiting.
        limit_seconds: TimeoutSeconds of the state machine.
        spent_seconds: what was spent before, for the branches of a Parallel state.
    """

    def __init__(self, clock: Clock, limit_seconds: float = 99_999_999, spent_seconds: float = 0.0) -> None:
        self._clock = clock
        self.limit_seconds = limit_seconds
        self.spent_seconds = spent_seconds

    @property
    def left_seconds(self) -> float:
        """Emulated seconds to the timeout of the state machine."""
        return self.limit_seconds - self.spent_seconds

    def branch(self) -> Timeline:
        """A timeline for a branch, which starts at this one's present."""
        return Timeline(self._clock, self.limit_seconds, self.spent_seconds)

    def real_seconds(self, emulated_seconds: float, *, working: bool) -> float:
        """How long a span takes on this machine."""
        return max(0.0, emulated_seconds) * (1.0 if working else self._clock.scale)

    @contextmanager
    def passing(self, *, working: bool) -> Iterator[None]:
        """Count the time of the block as work or as waiting."""
        begin = self._clock.monotonic()
        try:
            yield
        finally:
            self.spent_seconds += (self._clock.monotonic() - begin) / (1.0 if working else self._clock.scale)
