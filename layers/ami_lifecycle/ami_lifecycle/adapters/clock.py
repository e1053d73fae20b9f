"""The time of the process."""

from __future__ import annotations

from datetime import datetime

from ami_lifecycle.adapters.process import current_process


class SystemClock:
    """The clock of the process."""

    def now(self) -> datetime:
        """The current date (UTC, aware)."""
        return current_process().now()

    def pause(self, seconds: float) -> None:
        """Sleep briefly; waits for resources are the state machine's."""
        current_process().sleep(seconds)


class PacingClock:
    """The same for the configuration library, which paces its reads."""

    def now(self) -> float:
        """Seconds from an arbitrary start."""
        return current_process().monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        current_process().sleep(seconds)
