"""What is measured of the results of steps: outcomes, the queue, and how long each phase of a build took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from pydantic import BaseModel

from ami_lifecycle.domain.decision import RetireAction
from ami_lifecycle.domain.execution import ClaimResult, ClaimStatus, WaitKind
from ami_lifecycle.domain.result import CleanUpResult, FindingKind, ReleaseResult, SweepResult
from ami_lifecycle.steps.resume_build import Resumed


class Unit(StrEnum):
    """Units of CloudWatch (its API reference, MetricDatum)."""

    COUNT = "Count"
    SECONDS = "Seconds"


class Measure(NamedTuple):
    """One value of a metric."""

    name: str
    value: float
    unit: Unit = Unit.COUNT


# Findings that an alarm asks for are counted even when there are none: a metric that is only ever 1 cannot show
# that something is over.
_OF_FINDING: Final[Mapping[FindingKind, str]] = {
    FindingKind.DEAD_CLAIM: "DeadClaimsFound",
    FindingKind.ORPHAN: "OrphansFound",
    FindingKind.RETIREMENT_DUE: "RetirementsDue",
}
# Agents are polled, so no event ends their phase; Step Functions shows it.
_OF_PHASE: Final[Mapping[WaitKind, str]] = {
    WaitKind.PROVISIONING: "ProvisioningTime",
    WaitKind.STOPPED: "StoppingTime",
    WaitKind.IMAGE: "ImageCreationTime",
    WaitKind.VERIFICATION: "VerificationTime",
}


def measures_of(result: BaseModel | None) -> list[Measure]:
    """The measures of a step's result; empty for most steps."""
    match result:
        case ReleaseResult():
            actions = Counter(decision.action for decision in result.decisions)
            return [
                Measure("ImagesPublished", int(result.image_id is not None)),
                Measure("ImagesRetired", actions[RetireAction.RETIRE]),
                Measure("ImagesKept", actions[RetireAction.KEEP]),
                Measure("NotificationsFailed", len(result.untold)),
            ]
        case CleanUpResult():
            # A repeated clean-up of the same execution releases nothing.
            return [
                Measure("BuildsFailed", int(bool(result.released))),
                Measure("NotificationsFailed", len(result.untold)),
            ]
        case ClaimResult():
            return [Measure("BuildsQueued", int(result.status is ClaimStatus.QUEUED))]
        case Resumed(resumed=True, kind=WaitKind() as kind, waited_seconds=float() as seconds):
            return [Measure(_OF_PHASE[kind], seconds, Unit.SECONDS)] if kind in _OF_PHASE else []
        case SweepResult():
            kinds = Counter(finding.kind for finding in result.findings)
            found = [Measure(name, kinds[kind]) for kind, name in _OF_FINDING.items()]
            return [
                *found,
                *_ages(result),
                Measure("RequestsWaiting", len(result.waiting)),
                # Not the findings: while a build runs, or after too many have failed, the sweep starts none.
                Measure("UnpublishedDigests", len(result.unpublished)),
                Measure("ResourcesBlocked", len(result.blocked)),
            ]
        case _:
            return []


def _ages(swept: SweepResult) -> list[Measure]:
    """None where no environment is rebuilt by schedule: a metric costs something."""
    if swept.image_age_days is None:
        return []
    ages = [Measure("OldestImageDays", swept.image_age_days)]
    if swept.base_age_days is not None:
        ages.append(Measure("OldestBaseDays", swept.base_age_days))
    return [*ages, Measure("RebuildsOverdue", len(swept.overdue))]
