"""The state of CloudWatch Logs: groups, streams, events."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Line:
    """A line that has not been added to a stream yet."""

    source: str
    time: datetime
    text: str


@dataclass(frozen=True, order=True)
class Event:
    """One event; ordered by time, then by arrival."""

    timestamp: int
    number: int
    message: str = field(compare=False)
    ingested: int = field(compare=False)

    @property
    def event_id(self) -> str:
        """56 digits, as CloudWatch Logs gives them."""
        return f"{self.number:056d}"


@dataclass
class LogStream:
    """A stream; `events` are in the order of their time."""

    name: str
    created: int
    events: list[Event] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Keep an event."""
        insort(self.events, event)


@dataclass
class LogGroup:
    """A group of streams."""

    name: str
    arn: str
    created: int
    retention_days: int | None = None
    kms_key_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    streams: dict[str, LogStream] = field(default_factory=dict)
