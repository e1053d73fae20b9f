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
