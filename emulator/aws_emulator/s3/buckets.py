"""What S3 has."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class StoredObject:
    """An object.

    Attributes:
        checksums: those that its writer has sent, by header.
    """

    body: bytes
    written: datetime
    content_type: str
    checksums: dict[str, str] = field(default_factory=dict)


class Buckets:
    """Objects by bucket and key; all of it is under the lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.by_name: dict[str, dict[str, StoredObject]] = {}

    def has(self, bucket: str, key: str) -> bool:
        """Whether there is such an object."""
        with self.lock:
            return key in self.by_name.get(bucket, {})

    def objects(self) -> list[tuple[str, str]]:
        """Bucket and key of every object."""
        with self.lock:
            return [(bucket, key) for bucket, objects in self.by_name.items() for key in objects]
