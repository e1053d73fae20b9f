"""SSM Parameter Store in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.fakes.faults import Faulty, port_call
from tests.fakes.images import FakeImages

from ami_lifecycle.domain.model import ImageState
from ami_lifecycle.ports import StoredParameter


class FakeParameters(Faulty):
    """Parameters by name; an `aws:ec2:image` value is dropped when EC2 has no such available image.

    Attributes:
        stale: what the next reads of a name answer as its value before the last write.
        replays: what the next reads of a name answer, whatever was written since.
    """

    def __init__(self, images: FakeImages | None = None) -> None:
        super().__init__()
        self.images = images
        self.all: dict[str, StoredParameter] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.descriptions: dict[str, str] = {}
        self.history: list[tuple[str, str]] = []
        self.drop_writes = 0
        self.stale: dict[str, list[str]] = {}
        self.replays: dict[str, list[StoredParameter]] = {}

    def set(self, name: str, value: str, data_type: str = "text", kind: str = "String") -> None:
        """Put a parameter that was there before."""
        known = self.all.get(name)
        self.all[name] = StoredParameter(value, known.version + 1 if known else 1, data_type, kind)

    @port_call
    def get(self, name: str) -> StoredParameter | None:
        """One parameter; old values first, where `stale` has some for it."""
        found = self.all.get(name)
        if found is not None and self.stale.get(name):
            return found._replace(value=self.stale[name].pop(0), version=found.version - 1)
        if self.replays.get(name):
            return self.replays[name].pop(0)
        return found

    @port_call
    def get_each(self, names: Sequence[str]) -> dict[str, StoredParameter]:
        """Those of the parameters that exist."""
        return {name: self.all[name] for name in names if name in self.all}

    @port_call
    def overwrite(self, name: str, value: str, *, data_type: str, description: str) -> int:
        """Overwrite it."""
        return self._write(name, value, data_type, description, {})

    @port_call
    def put(self, name: str, value: str, *, data_type: str, description: str, tags: Mapping[str, str]) -> int:
        """Write it; a write that SSM's validation refuses gets a version and changes nothing."""
        return self._write(name, value, data_type, description, tags)

    def _write(self, name: str, value: str, data_type: str, description: str, tags: Mapping[str, str]) -> int:
        known = self.all.get(name)
        version = known.version + 1 if known else 1
        kept = known.data_type if known else data_type
        if self._is_dropped(value, kept):
            return version
        if known is None:
            self.tags[name] = dict(tags)
        self.descriptions[name] = description
        self.all[name] = StoredParameter(value, version, kept)
        self.history.append((name, value))
        return version

    @port_call
    def list_below(self, path: str) -> dict[str, StoredParameter]:
        """All parameters below a path."""
        prefix = path.rstrip("/") + "/"
        return {name: found for name, found in sorted(self.all.items()) if name.startswith(prefix)}

    @port_call
    def delete(self, name: str) -> None:
        """Delete it."""
        self.all.pop(name, None)
        self.tags.pop(name, None)

    def _is_dropped(self, value: str, data_type: str) -> bool:
        if self.drop_writes and data_type == "aws:ec2:image":
            self.drop_writes -= 1
            return True
        if data_type != "aws:ec2:image" or self.images is None:
            return False
        image = self.images.all.get(value)
        return image is None or image.state is not ImageState.AVAILABLE
