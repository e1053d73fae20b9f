"""Task tokens in memory."""

from __future__ import annotations

from datetime import datetime

from tests.fakes.clock import FakeClock
from tests.fakes.faults import Faulty, port_call

from ami_lifecycle.ports import Clock, StoredWait


class FakeWaits(Faulty):
    """Tokens by resource; an expired one is not shown."""

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__()
        self.clock = clock or FakeClock()
        self.all: dict[str, tuple[StoredWait, datetime]] = {}

    @port_call
    def put(self, wait: StoredWait, expires: datetime) -> None:
        """Store the token."""
        self.all[wait.resource_id] = (wait, expires)

    @port_call
    def get(self, resource_id: str) -> StoredWait | None:
        """The token, unless it has expired."""
        found = self.all.get(resource_id)
        return found[0] if found and self.clock.now() < found[1] else None

    @port_call
    def delete(self, resource_id: str, token: str) -> None:
        """Forget the token."""
        found = self.all.get(resource_id)
        if found and found[0].token == token:
            del self.all[resource_id]
