"""What the sweep does for approvals: starts what was approved and not started, and ends what nobody has decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ami_lifecycle.domain.approval import ApprovalRequest, ApprovalState
from ami_lifecycle.domain.approval_outcomes import ended_message, expired_outcome
from ami_lifecycle.domain.result import SweepFinding
from ami_lifecycle.ports import Approvals, Clock, Decisions, Executions, Notifier
from ami_lifecycle.steps.approved_request import start_approved
from ami_lifecycle.steps.notification import send_notification


@dataclass(frozen=True)
class ApprovalSettler:
    """Settles the open request of an environment."""

    approvals: Approvals
    decisions: Decisions
    executions: Executions
    notifier: Notifier
    clock: Clock
    state_machine_arn: str
    application: str

    def settle(self, environment: str) -> Iterator[SweepFinding]:
        """End the open request where it was decided or has expired. What was approved is started first, under the name
        that the approval itself starts it with, so once.
        """
        record, now = self.approvals.get(environment), self.clock.now()
        request = record.open
        if request is None:
            return
        decision = self.decisions.get(request.id)
        state = request.state(decision, now)
        if state is ApprovalState.WAITING:
            yield _finding(
                request, f"{request.id} waits for approval until {request.expires_at:%Y-%m-%d %H:%M} UTC"
            )
            return
        if state is ApprovalState.APPROVED and decision is not None:
            start_approved(request, decision, self.executions, self.state_machine_arn)
        if not self.approvals.put(record.without_open(state, now)):
            # Somebody asks for something newer at this moment.
            return
        if state is ApprovalState.EXPIRED:
            self._tell_expired(request)
            yield _finding(request, f"nobody has decided about {request.id} in time", repaired=True)

    def _tell_expired(self, request: ApprovalRequest) -> None:
        outcome = expired_outcome(self.application, request)
        text = f"nobody has decided in time; what was asked is not published: {request.facts.docker_image}"
        subject = f"{self.application} {request.subject.environment}: {request.id} has expired"
        send_notification(
            self.notifier, self.clock, subject, ended_message(request, outcome, text), [outcome]
        )


def _finding(request: ApprovalRequest, text: str, *, repaired: bool = False) -> SweepFinding:
    return SweepFinding(environment=request.subject.environment, finding=text, repaired=repaired)
