"""A clock that only tests advance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


class FakeClock:
    """Starts at a fixed date; `pause` advances it and is recorded."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self.pauses: list[float] = []

    def now(self) -> datetime:
        """The current date (UTC, aware)."""
        return self._now

    def pause(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.pauses.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let the time pass."""
        self._now += timedelta(seconds=seconds)
