"""Request Approval: asks people about what a plan wants to publish. The execution ends then, and holds nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from ami_lifecycle.domain.approval import (
    ApprovalRequest,
    ApprovalState,
    ClosedRequest,
    request_to_start,
)
from ami_lifecycle.domain.approval_outcomes import asked_message, asked_outcome, superseded_outcome
from ami_lifecycle.domain.decision import Blocked
from ami_lifecycle.domain.execution import StepInput
from ami_lifecycle.domain.model import Frozen
from ami_lifecycle.domain.outcomes import Outcome
from ami_lifecycle.domain.request import BuildRequest
from ami_lifecycle.errors import ClaimContendedError
from ami_lifecycle.ports import Approvals, Clock, Decisions, Executions, Notifier
from ami_lifecycle.steps.approved_request import start_approved
from ami_lifecycle.steps.notification import send_notification


class Asked(Frozen):
    """What an execution that has asked ends with."""

    status: str
    environment: str
    approval_id: str
    reason: str
    untold: tuple[Blocked, ...] = ()


@dataclass(frozen=True)
class Asker:
    """Makes the request, or finds it."""

    approvals: Approvals
    decisions: Decisions
    executions: Executions
    notifier: Notifier
    clock: Clock
    state_machine_arn: str

    def ask(self, step: StepInput) -> Asked:
        """Have one open request of this subject, and tell people of a new one. Idempotent.

        Raises:
            ClaimContendedError: somebody else asks at this moment; look again.
        """
        ask, now = step.plan.asked, self.clock.now()
        record = self.approvals.get(ask.subject.environment)
        known = record.open
        decision = self.decisions.get(known.id) if known is not None else None
        if known is not None and known.id == ask.subject.id:
            match known.state(decision, now):
                case ApprovalState.APPROVED if decision is not None:
                    return _asked(
                        known, "approved", f"{decision.text}, and what that has started publishes it"
                    )
                case ApprovalState.WAITING:
                    # A repeated step has told nobody, or not all, of what its first attempt has stored.
                    is_own = known.execution_arn == step.execution_arn
                    untold = self._tell(step, known, record.closed[:1]) if is_own else ()
                    return _asked(known, "waiting", _waits(known), untold)
        elif (
            known is not None
            and decision is not None
            and known.state(decision, now) is ApprovalState.APPROVED
        ):
            # Its start may have been lost, and nobody looks at it again once it has lost its place.
            start_approved(known, decision, self.executions, self.state_machine_arn)
        request = self._request(step)
        changed = record.with_open(request, decision, now)
        if not self.approvals.put(changed):
            raise ClaimContendedError(
                f"another request for approval of {record.environment} is made at this moment; look again"
            )
        return _asked(request, "waiting", _waits(request), self._tell(step, request, changed.closed[:1]))

    def _request(self, step: StepInput) -> ApprovalRequest:
        plan, now = step.plan, self.clock.now()
        request = plan.request or BuildRequest(environment=plan.environment)
        return ApprovalRequest(
            subject=plan.asked.subject,
            facts=plan.asked.facts,
            request=request_to_start(request, plan.asked.subject),
            asked_at=now,
            expires_at=now + timedelta(hours=plan.configured.approval.expires_hours),
            execution_arn=step.execution_arn,
        )

    def _tell(
        self, step: StepInput, request: ApprovalRequest, before: Sequence[ClosedRequest]
    ) -> tuple[Blocked, ...]:
        application = step.plan.configured.application
        outcomes: list[Outcome] = [asked_outcome(application, request)]
        outcomes += [
            superseded_outcome(application, request, each)
            for each in before
            if each.superseded_by == request.id
        ]
        subject = f"{application} {request.subject.environment}: {request.id} waits for approval"
        return send_notification(self.notifier, self.clock, subject, asked_message(request), outcomes)


def _waits(request: ApprovalRequest) -> str:
    return (
        f"waits for the approval {request.id} until {request.expires_at:%Y-%m-%d %H:%M} UTC: ami-lifecycle approve "
        f"{request.id}"
    )


def _asked(request: ApprovalRequest, status: str, reason: str, untold: tuple[Blocked, ...] = ()) -> Asked:
    return Asked(
        status=f"approval_{status}",
        environment=request.subject.environment,
        approval_id=request.id,
        reason=reason,
        untold=untold,
    )
