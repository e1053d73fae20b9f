"""The real time."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """The current date (UTC, aware)."""
        return datetime.now(UTC)

    def pause(self, seconds: float) -> None:
        """Sleep for a moment; never to wait for a resource."""
        time.sleep(seconds)
