"""What records, notifications and events say of an image's package list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

if TYPE_CHECKING:
    # Every publication says something of lists, and few compare them.
    from ami_lifecycle.domain.package_changes import PackageChanges

FACT: Final = "packages"


class PackageSummary(BaseModel):
    """The summary of a list, or why there is none.

    Attributes:
        count: of the packages in the list.
        uri: where the list is, `s3://bucket/key`.
        changes: how its packages differ from those of the image that was live before, `42 updated, 1 new`; None
            where that has no list.
        updated, new, removed: the same as counts.
        problem: why there is no list.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    count: int | None = None
    uri: str | None = None
    changes: str | None = None
    updated: int | None = None
    new: int | None = None
    removed: int | None = None
    problem: str | None = None

    def compared(self, changes: PackageChanges | None) -> PackageSummary:
        """The same list compared with another one; with none, nothing is said of changes."""
        if changes is None:
            return self.model_copy(update=dict.fromkeys(("changes", "updated", "new", "removed")))
        counts = {"updated": len(changes.updated), "new": len(changes.new), "removed": len(changes.removed)}
        return self.model_copy(update={"changes": changes.words, **counts})


def recorded_packages(facts: Mapping[str, Any]) -> PackageSummary | None:
    """The summary recorded in a record's facts; None where it is missing or unreadable."""
    try:
        return PackageSummary.model_validate(facts[FACT]) if FACT in facts else None
    except ValidationError:
        return None
