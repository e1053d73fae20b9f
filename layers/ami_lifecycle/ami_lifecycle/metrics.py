"""Metrics of the results of steps: outcomes, the queue, and how long each phase of a build took."""

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


class Metric(NamedTuple):
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


def metrics_of(result: BaseModel | None) -> list[Metric]:
    """The metrics of a step's result; empty for most steps."""
    match result:
        case ReleaseResult():
            actions = Counter(decision.action for decision in result.decisions)
            return [
                Metric("ImagesPublished", int(result.image_id is not None)),
                Metric("ImagesRetired", actions[RetireAction.RETIRE]),
                Metric("ImagesKept", actions[RetireAction.KEEP]),
                Metric("NotificationsFailed", len(result.untold)),
            ]
        case CleanUpResult():
            # A repeated clean-up of the same execution releases nothing.
            return [
                Metric("BuildsFailed", int(bool(result.released))),
                Metric("NotificationsFailed", len(result.untold)),
            ]
        case ClaimResult():
            return [Metric("BuildsQueued", int(result.status is ClaimStatus.QUEUED))]
        case Resumed(resumed=True, kind=WaitKind() as kind, waited_seconds=float() as seconds):
            return [Metric(_OF_PHASE[kind], seconds, Unit.SECONDS)] if kind in _OF_PHASE else []
        case SweepResult():
            kinds = Counter(finding.kind for finding in result.findings)
            found = [Metric(name, kinds[kind]) for kind, name in _OF_FINDING.items()]
            return [
                *found,
                *_ages(result),
                Metric("RequestsWaiting", len(result.waiting)),
                # Not the findings: while a build runs, or after too many have failed, the sweep starts none.
                Metric("UnpublishedDigests", len(result.unpublished)),
                Metric("ResourcesBlocked", len(result.blocked)),
            ]
        case _:
            return []


def _ages(swept: SweepResult) -> list[Metric]:
    """None where no environment is rebuilt by schedule: a metric costs something."""
    if swept.image_age_days is None:
        return []
    ages = [Metric("OldestImageDays", swept.image_age_days)]
    if swept.base_age_days is not None:
        ages.append(Metric("OldestBaseDays", swept.base_age_days))
    return [*ages, Metric("RebuildsOverdue", len(swept.overdue))]
