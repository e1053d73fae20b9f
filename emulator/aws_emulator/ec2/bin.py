"""The Recycle Bin for snapshots (EBS user guide, Recycle Bin; Recycle Bin API reference, CreateRule).

A rule of tag level retains what has one of its tags when it is deleted; of several the longest holds. What is in the
bin is in no other answer, keeps its tags with one of EC2's own beside them, cannot be deleted by hand, and goes when
its time is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aws_emulator.ec2.model import Snapshot

IN_BIN_TAG: Final = "aws:recycle-bin:resource-in-bin"


@dataclass(frozen=True)
class RetentionRule:
    """A rule of tag level for snapshots: which tags, and for how many days."""

    tags: Mapping[str, str]
    days: int

    def holds(self, snapshot: Snapshot) -> bool:
        """Whether the rule retains a snapshot: one of its tags is enough."""
        return any(snapshot.tags.get(key) == value for key, value in self.tags.items())


@dataclass(frozen=True)
class Binned:
    """A snapshot in the bin."""

    snapshot: Snapshot
    entered: datetime
    exits: datetime

    @property
    def sequence(self) -> int:
        """The order of creation, for paging."""
        return self.snapshot.sequence


class Bin:
    """The snapshots in the bin, and the rules that put them there."""

    def __init__(self) -> None:
        self.rules: list[RetentionRule] = []
        self._binned: dict[str, Binned] = {}

    def add_rule(self, tags: Mapping[str, str], days: int) -> None:
        """Add a retention rule."""
        self.rules.append(RetentionRule(dict(tags), days))

    def take(self, snapshot: Snapshot, now: datetime) -> None:
        """Keep a deleted snapshot if a rule retains it."""
        days = max((rule.days for rule in self.rules if rule.holds(snapshot)), default=0)
        if days and snapshot.state == "completed":
            snapshot.tags[IN_BIN_TAG] = "true"
            self._binned[snapshot.snapshot_id] = Binned(snapshot, now, now + timedelta(days=days))

    def content(self, now: datetime) -> dict[str, Binned]:
        """What is in the bin at this moment."""
        self._binned = {key: each for key, each in self._binned.items() if now < each.exits}
        return self._binned
