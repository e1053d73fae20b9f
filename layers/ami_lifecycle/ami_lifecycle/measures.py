"""What is counted of the results of steps. Metrics count outcomes; durations are Step Functions' and Lambda's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel

from ami_lifecycle.contracts import (
    ClaimResult,
    ClaimStatus,
    CleanUpResult,
    FindingKind,
    ReleaseResult,
    RetireAction,
    SweepResult,
)

# Findings that an alarm asks for are counted even when there are none: a metric that is only ever 1 cannot show
# that something is over.
_OF_FINDING: Final[Mapping[FindingKind, str]] = {
    FindingKind.DEAD_CLAIM: "DeadClaimsFound",
    FindingKind.ORPHAN: "OrphansFound",
    FindingKind.RETIREMENT_DUE: "RetirementsDue",
    FindingKind.UNPUBLISHED_DIGEST: "UnpublishedDigests",
}


def counts_of(result: BaseModel | None) -> dict[str, int]:
    """Metric names and counts of a step's result; empty for most steps."""
    match result:
        case ReleaseResult():
            actions = Counter(decision.action for decision in result.decisions)
            return {
                "ImagesPublished": int(result.image_id is not None),
                "ImagesRetired": actions[RetireAction.RETIRE],
                "ImagesKept": actions[RetireAction.KEEP],
            }
        case CleanUpResult():
            # A repeated clean-up of the same execution releases nothing.
            return {"BuildsFailed": int(bool(result.released))}
        case ClaimResult():
            return {"BuildsQueued": int(result.status is ClaimStatus.QUEUED)}
        case SweepResult():
            kinds = Counter(finding.kind for finding in result.findings)
            return {name: kinds[kind] for kind, name in _OF_FINDING.items()}
        case _:
            return {}
