"""Notifications in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes.faults import Faulty, port_call

from ami_lifecycle.domain.outcomes import Outcome


class FakeNotifier(Faulty):
    """Remembers what was published."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.announced: list[Outcome] = []

    @port_call
    def notify(self, subject: str, message: Mapping[str, Any]) -> None:
        """Publish one outcome."""
        self.sent.append((subject, dict(message)))

    @port_call
    def announce(self, outcomes: Sequence[Outcome]) -> None:
        """Put events on the bus."""
        self.announced += outcomes
