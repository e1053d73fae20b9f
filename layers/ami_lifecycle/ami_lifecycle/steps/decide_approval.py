"""Decide Approval: stores what somebody has decided, and starts what is approved.

Nobody but this function may write decisions, and nobody but who has the approvers' policy may invoke it. Lambda does
not tell a function who invokes it (Lambda developer guide, context object), so the name of who decides is what he says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from ami_lifecycle.domain.approval import (
    ApprovalRecord,
    ApprovalRequest,
    ApprovalState,
    Decision,
    command_to_ask,
)
from ami_lifecycle.domain.approval_outcomes import decided_outcome, ended_message
from ami_lifecycle.domain.decision import Blocked
from ami_lifecycle.domain.model import Frozen
from ami_lifecycle.domain.publication import timestamp
from ami_lifecycle.domain.requests import explain
from ami_lifecycle.domain.texts import CONTROL
from ami_lifecycle.errors import (
    ApprovalDecidedError,
    ApprovalExpiredError,
    ApprovalNotFoundError,
    ApprovalSupersededError,
    InvalidRequestError,
    OwnApprovalError,
)
from ami_lifecycle.ports import Approvals, Clock, Decisions, Executions, Notifier
from ami_lifecycle.steps.approved_request import APPROVED, execution_to_start, start_approved
from ami_lifecycle.steps.notification import send_notification

_ID: Final = re.compile(r"(?P<environment>[a-z0-9-]+)-[0-9a-f]{12}")


class DecideInput(Frozen):
    """Input of `decide_approval`: `{"id": "prod-1a2b3c4d5e6f", "decision": "approve", "by": "ann"}`."""

    id: Annotated[str, Field(max_length=100)]
    decision: Literal["approve", "reject"]
    by: Annotated[str, Field(min_length=1, max_length=200)]
    reason: Annotated[str, Field(max_length=200)] = ""

    @model_validator(mode="after")
    def _is_in_words(self) -> Self:
        if self.decision == "reject" and not self.reason.strip():
            raise ValueError("decision is reject, but reason is missing; say why, it is what people are told")
        for name in ("by", "reason"):
            if CONTROL.search(getattr(self, name)):
                raise ValueError(f"{name} has line breaks or other control characters; leave them out")
        if not self.by.strip():
            raise ValueError("by is empty; say who decides")
        return self


class Decided(Frozen):
    """What was decided, by whom, and the execution that an approval has started."""

    id: str
    environment: str
    decision: str
    by: str
    at: str
    reason: str
    started_execution: str | None = None
    untold: tuple[Blocked, ...] = ()


def parse_decision(raw: Any) -> DecideInput:
    """Parse the input of the function.

    Raises:
        InvalidRequestError: naming field and value.
    """
    try:
        return DecideInput.model_validate(raw)
    except ValidationError as error:
        raise InvalidRequestError(
            f"the decision is not valid: {explain(error)}",
            hint='it needs {"id": "...", "decision": "approve" or "reject", "by": "..."}',
        ) from error


@dataclass(frozen=True)
class Decider:
    """Decides about open requests."""

    approvals: Approvals
    decisions: Decisions
    executions: Executions
    notifier: Notifier
    clock: Clock
    state_machine_arn: str
    application: str

    def decide(self, step: DecideInput) -> Decided:
        """Store the decision and start what is approved. Idempotent: the same decision again starts the same execution.

        Raises:
            ApprovalNotFoundError, ApprovalExpiredError, ApprovalSupersededError: there is nothing to decide (any more).
            ApprovalDecidedError: somebody has decided otherwise.
            OwnApprovalError: whoever asks does not approve.
        """
        known = _ID.fullmatch(step.id)
        record = self.approvals.get(known["environment"]) if known else None
        if record is None or known is None:
            raise _unknown(step.id)
        request, before = record.open, self.decisions.get(step.id)
        if request is None or request.id != step.id:
            return self._decided_before(step, record, before)
        if (state := request.state(before, self.clock.now())) is ApprovalState.EXPIRED:
            raise _expired(
                request.id, f"{request.expires_at:%Y-%m-%d %H:%M} UTC", command_to_ask(request.subject)
            )
        if before is None or state is ApprovalState.WAITING:
            before = self.decisions.put(self._decision(step, request))
        _require_same(step, before)
        return self._carry_out(request, before)

    def _decision(self, step: DecideInput, request: ApprovalRequest) -> Decision:
        is_approval = step.decision == "approve"
        if is_approval and request.asked_by == step.by:
            raise OwnApprovalError(
                f"{step.by} has asked for {request.id} himself; have somebody else approve it"
            )
        return Decision(
            subject=request.subject,
            approved=is_approval,
            by=step.by,
            at=self.clock.now(),
            asked_at=request.asked_at,
            reason=step.reason,
        )

    def _decided_before(self, step: DecideInput, record: ApprovalRecord, before: Decision | None) -> Decided:
        """What was decided about a request that is over."""
        closed = record.latest_closed(step.id)
        state = closed.state if closed is not None else None
        if closed is not None and state is ApprovalState.SUPERSEDED:
            newer = closed.superseded_by
            raise ApprovalSupersededError(
                f"{newer} has taken the place of {step.id}; decide about that: ami-lifecycle approve {newer}"
            )
        if closed is not None and state is ApprovalState.EXPIRED:
            raise _expired(step.id, f"{closed.closed_at:%Y-%m-%d %H:%M} UTC", None)
        if before is None:
            raise _unknown(step.id)
        _require_same(step, before)
        started = self._execution(before) if before.approved else None
        return _answer(before, started)

    def _carry_out(self, request: ApprovalRequest, decision: Decision) -> Decided:
        started = None
        if decision.approved:
            started = start_approved(request, decision, self.executions, self.state_machine_arn)
        outcome = decided_outcome(self.application, request, decision, started)
        subject = f"{self.application} {request.subject.environment}: {request.id} {_word(decision)}"
        untold = send_notification(
            self.notifier, self.clock, subject, ended_message(request, outcome, decision.text), [outcome]
        )
        return _answer(decision, started, untold)

    def _execution(self, decision: Decision) -> str:
        arn = self.state_machine_arn.replace(":stateMachine:", ":execution:")
        return f"{arn}:{execution_to_start(decision)}"


def _require_same(step: DecideInput, before: Decision) -> None:
    if before.approved == (step.decision == "approve"):
        return
    what = "roll back what it has published" if before.approved else "ask again"
    raise ApprovalDecidedError(f"{before.text}; a decision is final, so {what}")


def _expired(approval_id: str, when: str, command: str | None) -> ApprovalExpiredError:
    again = f": ami-lifecycle {command}" if command else ""
    return ApprovalExpiredError(f"nobody has decided about {approval_id} until {when}; ask again{again}")


def _unknown(approval_id: str) -> ApprovalNotFoundError:
    return ApprovalNotFoundError(
        f"there is no request for approval {approval_id!r:.120}; see what waits: ami-lifecycle approvals"
    )


def _word(decision: Decision) -> str:
    return APPROVED if decision.approved else "rejected"


def _answer(decision: Decision, started: str | None, untold: tuple[Blocked, ...] = ()) -> Decided:
    return Decided(
        id=decision.id,
        environment=decision.subject.environment,
        decision=_word(decision),
        by=decision.by,
        at=timestamp(decision.at),
        reason=decision.reason,
        started_execution=started,
        untold=untold,
    )
