"""The emulated account's default event bus, for the services that emit events."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from aws_emulator.clock import Clock

Event = dict[str, Any]
Listener = Callable[[Event], None]


class EventBus:
    """Builds events as AWS services emit them, and calls the listeners.

    Delivery is asynchronous and in order, on the clock's thread, `delay_seconds` (emulated) after the
    fact, as EventBridge delivers. Listeners must return at once.

    `deliveries` returns the events to deliver for an event, each with a delay in emulated seconds: AWS services
    emit at best effort, and EventBridge can deliver twice (EventBridge user guide, Troubleshooting).
    `taps` are called with every event at the moment of the change, whether or not it is delivered.
    """

    def __init__(
        self,
        clock: Clock,
        account_id: str,
        region: str,
        *,
        delay_seconds: float = 0.3,
        deliveries: Callable[[Event], list[tuple[float, Event]]] = lambda event: [(0.0, event)],
    ) -> None:
        self._clock = clock
        self._account_id = account_id
        self._region = region
        self._delay_seconds = delay_seconds
        self._listeners: list[Listener] = []
        self._deliveries = deliveries
        self.taps: list[Listener] = []
        self._lock = threading.Lock()

    def subscribe(self, listener: Listener) -> None:
        """Have `listener` called with every event."""
        with self._lock:
            self._listeners.append(listener)

    def emit(
        self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str] = ()
    ) -> Event:
        """Emit an event of this account and Region; returns it as it will be delivered."""
        event = self.event(source, detail_type, detail, resources)
        for tap in self.taps:
            tap(event)
        self.deliver(event)
        return event

    def event(
        self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str] = ()
    ) -> Event:
        """An event of this account and Region as its services write it."""
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": self._account_id,
            "time": self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self._region,
            "resources": list(resources),
            "detail": dict(detail),
        }

    def deliver(self, event: Event) -> None:
        """Deliver a complete event, as often and as late as `deliveries` says."""
        for late, content in self._deliveries(event):
            self._clock.call_later(self._delay_seconds + late, partial(self._notify, content))

    def _notify(self, event: Event) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener(event)
