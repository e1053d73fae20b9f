"""What is told of approvals: events for systems, messages for people."""

from __future__ import annotations

from typing import Any

from ami_lifecycle.domain.approval import ApprovalRequest, ClosedRequest, Decision
from ami_lifecycle.domain.links import execution_link
from ami_lifecycle.domain.outcomes import (
    ApprovalApproved,
    ApprovalExpired,
    ApprovalRejected,
    ApprovalRequested,
    ApprovalSuperseded,
    Outcome,
)


def asked_outcome(application: str, request: ApprovalRequest) -> ApprovalRequested:
    """The event of a new request."""
    return ApprovalRequested(
        **_about(application, request),
        image_digest=request.facts.digest,
        release=request.facts.release,
        promoted_from=request.facts.promoted_from,
        commit_sha=request.facts.commit,
        requested_by=request.asked_by,
        expires_at=request.expires_at,
    )


def superseded_outcome(
    application: str, request: ApprovalRequest, before: ClosedRequest
) -> ApprovalSuperseded:
    """The event of the request whose place a newer one has taken."""
    return ApprovalSuperseded(
        **_about(application, request) | {"approval_id": before.id}, superseded_by=request.id
    )


def decided_outcome(
    application: str, request: ApprovalRequest, decision: Decision, started: str | None
) -> ApprovalApproved | ApprovalRejected:
    """The event of a decision; `started` is the execution that an approval has started."""
    about = {**_about(application, request), "decided_by": decision.by, "reason": decision.reason}
    return (
        ApprovalRejected(**about) if started is None else ApprovalApproved(**about, started_execution=started)
    )


def expired_outcome(application: str, request: ApprovalRequest) -> ApprovalExpired:
    """The event of a request that nobody has decided."""
    return ApprovalExpired(**_about(application, request), expired_at=request.expires_at)


def asked_message(request: ApprovalRequest) -> dict[str, Any]:
    """What people are told of a new request: what it is, how it differs from what is live, and how to decide."""
    return {
        "outcome": "Approval Requested",
        "environment": request.subject.environment,
        "approval_id": request.id,
        "approve": f"ami-lifecycle approve {request.id}",
        "reject": f"ami-lifecycle reject {request.id} --reason '...'",
        "expires_at": request.expires_at,
        "requested_by": request.asked_by or "not known",
        "differences": list(request.facts.differences()),
        "facts": request.facts.model_dump(mode="json", exclude_none=True),
        "execution_arn": request.execution_arn,
        "console": execution_link(request.execution_arn),
    }


def ended_message(request: ApprovalRequest, outcome: Outcome, text: str) -> dict[str, Any]:
    """What people are told of the end of a request."""
    return {
        "outcome": outcome.detail_type,
        "environment": request.subject.environment,
        "approval_id": request.id,
        "reason": text,
        "execution_arn": request.execution_arn,
        "console": execution_link(request.execution_arn),
    }


def _about(application: str, request: ApprovalRequest) -> dict[str, Any]:
    return {
        "application": application,
        "environment": request.subject.environment,
        "region": request.execution_arn.split(":")[3],
        "execution_arn": request.execution_arn,
        "approval_id": request.id,
    }
