"""Results of executions and sweeps."""

from __future__ import annotations

from enum import StrEnum

from ami_lifecycle.domain.decision import Blocked, Decision
from ami_lifecycle.domain.model import AmiId, Frozen
from ami_lifecycle.domain.package_summary import PackageSummary
from ami_lifecycle.domain.request import Action
from ami_lifecycle.domain.scans import ScanFacts


class ReleaseResult(Frozen):
    """Output of a successful execution. `blocked` is what was left undone beside the publication, `untold`
    which notifications could not be sent, and `omitted` how many decisions and blocked things are not told.
    """

    environment: str
    action: Action
    image_id: AmiId | None = None
    image_digest: str | None = None
    release: str | None = None
    promoted_from: str | None = None
    replaced: AmiId | None = None
    packages: PackageSummary | None = None
    scan: ScanFacts | None = None
    decisions: tuple[Decision, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    omitted: int | None = None
    untold: tuple[Blocked, ...] = ()
    started_execution: str | None = None


class CleanUpResult(Frozen):
    """What failed, as text, and what was removed."""

    error: str
    cause: str
    terminated: tuple[str, ...] = ()
    deregistered: tuple[str, ...] = ()
    deleted_snapshots: tuple[str, ...] = ()
    kept: tuple[Decision, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    released: tuple[str, ...] = ()
    untold: tuple[Blocked, ...] = ()
    started_execution: str | None = None


class FindingKind(StrEnum):
    """Kinds of findings that alarms distinguish."""

    BLOCKED = "blocked"
    DEAD_CLAIM = "dead_claim"
    METADATA = "metadata"
    ORPHAN = "orphan"
    OTHER = "other"
    RETIREMENT_DUE = "retirement_due"


class SweepFinding(Frozen):
    """A finding of the sweep; `repaired` is false if it is only reported."""

    environment: str | None
    finding: str
    repaired: bool
    kind: FindingKind = FindingKind.OTHER


class SweepResult(Frozen):
    """All findings of one sweep, the environments for which a request waits, those that do not publish the
    digest that their tag names, whatever the reason, and all that AWS refuses to let go. Of the environments that are
    rebuilt by schedule: the age of the oldest image and base in days, and those whose rebuild is long due.
    """

    findings: tuple[SweepFinding, ...] = ()
    waiting: tuple[str, ...] = ()
    unpublished: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    overdue: tuple[str, ...] = ()
    image_age_days: float | None = None
    base_age_days: float | None = None
