"""S3 in memory, as far as package lists need it."""

from __future__ import annotations

from tests.fakes.faults import Faulty, port_call


class FakePackageLists(Faulty):
    """Objects of one bucket by key."""

    def __init__(self) -> None:
        super().__init__()
        self.all: dict[str, str] = {}

    @property
    def bucket(self) -> str:
        """Its name."""
        return "lists"

    @port_call
    def read(self, key: str) -> str | None:
        """A list; None when there is none."""
        return self.all.get(key)

    @port_call
    def write(self, key: str, text: str) -> None:
        """Write a list."""
        self.all[key] = text

    @port_call
    def delete(self, key: str) -> None:
        """Delete it."""
        self.all.pop(key, None)
