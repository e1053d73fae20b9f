"""The events on the account's event bus: one model per detail type.

`source` of every event is `ami-lifecycle`, `detail-type` is the model's. A new version of the schema only
adds fields; a field that changes its meaning gets a new name. docs/events.md shows an example of each.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final, Literal

from ami_lifecycle.domain.decision import Decision, RetireAction, Retirement
from ami_lifecycle.domain.execution import StepInput
from ami_lifecycle.domain.model import AmiId, Frozen
from ami_lifecycle.domain.package_summary import PackageSummary
from ami_lifecycle.domain.request import Trigger
from ami_lifecycle.domain.result import CleanUpResult, ReleaseResult
from ami_lifecycle.domain.scans import ScanFacts

SOURCE: Final = "ami-lifecycle"
OUTCOME_SCHEMA_VERSION: Final = 1


class Outcome(Frozen):
    """Common fields of all events."""

    detail_type: ClassVar[str]

    schema_version: Literal[1] = OUTCOME_SCHEMA_VERSION
    application: str
    environment: str | None
    region: str
    execution_arn: str


class ImagePublished(Outcome):
    """`latest` names another image, which is verified and has its final id. Sent when the execution ends.

    Also sent when a retirement gives the image its canonical name at last, because that changes its id. `packages`
    summarizes what is in it; null where the stack keeps no package lists, and where it has none.
    """

    detail_type: ClassVar[str] = "Image Published"

    image_id: AmiId
    image_digest: str | None
    release: str | None
    promoted_from: str | None
    replaced: AmiId | None
    scan: ScanFacts | None
    parameter: str
    trigger: Trigger
    reasons: tuple[str, ...]
    packages: PackageSummary | None = None


class RollbackPerformed(Outcome):
    """An earlier image is `latest` again, because a person asked for it, or because of the alarm that it names. Comes
    beside `Image Published`.
    """

    detail_type: ClassVar[str] = "Rollback Performed"

    image_id: AmiId
    replaced: AmiId | None
    pinned: bool
    reason: str
    alarm: str | None = None


class BuildFailed(Outcome):
    """An execution has failed and what it left is removed. `environment` is null where it failed before
    anybody knew it. One that has published does not fail any more.
    """

    detail_type: ClassVar[str] = "Build Failed"

    error: str
    cause: str


class ImageRetired(Outcome):
    """An image was deregistered, and its snapshots that no other image needs were deleted."""

    detail_type: ClassVar[str] = "Image Retired"

    image_id: AmiId
    reason: str


class RetirementBlocked(Outcome):
    """An image that is not `latest` any more stays, because something uses or protects it."""

    detail_type: ClassVar[str] = "Retirement Blocked"

    image_id: AmiId
    reason: str


class CleanUpBlocked(Outcome):
    """Something beside the image itself was left, because AWS refused to let it go: a snapshot, an instance, or
    the rest of what follows a publication. The sweep comes back to it.
    """

    detail_type: ClassVar[str] = "Clean-Up Blocked"

    resource: str
    error: str
    reason: str


class ApprovalOutcome(Outcome):
    """Common fields of the events about approvals. `execution_arn` is the execution that has asked."""

    approval_id: str


class ApprovalRequested(ApprovalOutcome):
    """Somebody has to decide before an environment publishes something. Nothing is held meanwhile."""

    detail_type: ClassVar[str] = "Approval Requested"

    image_digest: str
    release: str | None
    promoted_from: str | None
    commit_sha: str | None
    requested_by: str | None
    expires_at: datetime


class ApprovalSuperseded(ApprovalOutcome):
    """A newer request has taken the place of this one before it was decided."""

    detail_type: ClassVar[str] = "Approval Superseded"

    superseded_by: str


class ApprovalApproved(ApprovalOutcome):
    """Somebody has approved it; `started_execution` publishes it."""

    detail_type: ClassVar[str] = "Approval Approved"

    decided_by: str
    reason: str
    started_execution: str


class ApprovalRejected(ApprovalOutcome):
    """Somebody has rejected it."""

    detail_type: ClassVar[str] = "Approval Rejected"

    decided_by: str
    reason: str


class ApprovalExpired(ApprovalOutcome):
    """Nobody has decided in time."""

    detail_type: ClassVar[str] = "Approval Expired"

    expired_at: datetime


OUTCOMES: Final[tuple[type[Outcome], ...]] = (
    ImagePublished,
    RollbackPerformed,
    BuildFailed,
    ImageRetired,
    RetirementBlocked,
    CleanUpBlocked,
    ApprovalRequested,
    ApprovalSuperseded,
    ApprovalApproved,
    ApprovalRejected,
    ApprovalExpired,
)


def merged_decisions(retirements: Sequence[Retirement | None]) -> tuple[Decision, ...]:
    """The decisions of several retirements; the last one for each image."""
    found: dict[str, Decision] = {}
    for retirement in retirements:
        for decision in retirement.decisions if retirement else ():
            found[decision.image_id] = decision
    return tuple(found.values())


def outcomes_of_release(step: StepInput, result: ReleaseResult) -> list[Outcome]:
    """The events of a successful execution."""
    plan, settings = step.plan, step.plan.configured
    about = {
        "application": settings.application,
        "environment": plan.environment,
        "region": _region_of(step.execution_arn),
        "execution_arn": step.execution_arn,
    }
    outcomes: list[Outcome] = []
    if result.image_id is not None:
        published = ImagePublished(
            **about,
            image_id=result.image_id,
            image_digest=result.image_digest,
            release=result.release,
            promoted_from=result.promoted_from,
            replaced=result.replaced,
            scan=result.scan,
            parameter=settings.parameter_names.latest,
            trigger=plan.trigger,
            reasons=plan.reasons,
            packages=result.packages,
        )
        outcomes.append(published)
        if plan.trigger in {Trigger.ROLLBACK, Trigger.ALARM}:
            request = plan.request
            rolled_back = RollbackPerformed(
                **about,
                image_id=result.image_id,
                replaced=result.replaced,
                pinned=bool(request and request.pin),
                reason=(request.reason if request else None) or "",
                alarm=request.alarm if request else None,
            )
            outcomes.append(rolled_back)
    for decision in result.decisions:
        if decision.action is RetireAction.RETIRE:
            outcomes.append(ImageRetired(**about, image_id=decision.image_id, reason=decision.reason))
        elif decision.blocked:
            outcomes.append(RetirementBlocked(**about, image_id=decision.image_id, reason=decision.reason))
    reported = {decision.image_id for decision in result.decisions}
    outcomes.extend(
        CleanUpBlocked(**about, **blocked.model_dump())
        for blocked in result.blocked
        if blocked.resource not in reported
    )
    return outcomes


def outcome_of_failure(application: str, execution_arn: str, result: CleanUpResult) -> BuildFailed:
    """The event of a failed execution."""
    return BuildFailed(
        application=application,
        environment=result.released[0] if result.released else None,
        region=_region_of(execution_arn),
        execution_arn=execution_arn,
        error=result.error,
        cause=result.cause,
    )


def unwrapped(error: str, cause: str) -> tuple[str, str]:
    """Error and cause of a step as it raised them: Lambda wraps an exception's message in JSON."""
    try:
        wrapped = json.loads(cause)
    except ValueError:
        return error, cause
    if not isinstance(wrapped, dict) or "errorMessage" not in wrapped:
        return error, cause
    return str(wrapped.get("errorType") or error), str(wrapped["errorMessage"])


def _region_of(execution_arn: str) -> str:
    return execution_arn.split(":")[3]
