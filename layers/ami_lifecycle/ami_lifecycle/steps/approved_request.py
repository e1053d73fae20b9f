"""Starting what was approved."""

from __future__ import annotations

from typing import Final

from ami_lifecycle.domain.approval import ApprovalRequest, Decision
from ami_lifecycle.domain.naming import execution_name
from ami_lifecycle.ports import Executions

APPROVED: Final = "approved"


def start_approved(
    request: ApprovalRequest, decision: Decision, executions: Executions, state_machine_arn: str
) -> str:
    """Start what a decision has approved; returns the execution's ARN. The same execution, however often."""
    return executions.start(state_machine_arn, execution_to_start(decision), request.request)


def execution_to_start(decision: Decision) -> str:
    """Name of the execution that an approval starts; the same whoever starts it, and however often."""
    return execution_name(
        decision.subject.environment,
        APPROVED,
        decision.id,
        decision.asked_at.isoformat(),
        decision.at.isoformat(),
    )
