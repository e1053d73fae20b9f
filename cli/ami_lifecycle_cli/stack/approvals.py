"""Requests for approval: what waits, what was decided, and deciding."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ami_lifecycle import errors
from ami_lifecycle.adapters.translation import aws_errors
from ami_lifecycle.domain.approval import (
    ApprovalRequest,
    ApprovalState,
    ClosedRequest,
    Decision,
    Subject,
    reason_not_to_ask,
)
from ami_lifecycle.domain.request import BuildRequest, Trigger
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import iso_date, utc_date


@dataclass(frozen=True)
class ShownApproval:
    """A request, open or closed, and what was decided about it."""

    environment: str
    request: ApprovalRequest | ClosedRequest
    state: ApprovalState
    decision: Decision | None

    @property
    def asked(self) -> ApprovalRequest | None:
        """The request with all that was asked, while it is open."""
        return self.request if isinstance(self.request, ApprovalRequest) else None

    def __str__(self) -> str:
        if self.decision is not None:
            return self.decision.text
        if self.asked is not None and self.state is ApprovalState.WAITING:
            until = f"until {utc_date(self.asked.expires_at)} UTC"
            return f"{self.request.id} waits {until}: ami-lifecycle approve {self.request.id}"
        return f"{self.request.id} is {self.state.value}"

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        asked, decision = self.asked, self.decision
        closed = self.request if isinstance(self.request, ClosedRequest) else None
        return {
            "id": self.request.id,
            "environment": self.environment,
            "state": self.state.value,
            "asked_at": iso_date(self.request.asked_at),
            "expires_at": iso_date(asked.expires_at) if asked else None,
            "requested_by": asked.asked_by if asked else None,
            "facts": asked.facts.model_dump() if asked else None,
            "differences": list(asked.facts.differences()) if asked else [],
            "execution_arn": asked.execution_arn if asked else None,
            "decided_by": decision.by if decision else None,
            "decided_at": iso_date(decision.at) if decision else None,
            "reason": decision.reason if decision else None,
            "superseded_by": closed.superseded_by if closed else None,
        }


def open_request(stack: Stack, environment: str) -> ShownApproval | None:
    """The open request of an environment."""
    found = stack.approvals.get(environment).open
    if found is None:
        return None
    decision = stack.decisions.get(found.id)
    state = found.state(decision, stack.clock.now())
    is_answer = decision is not None and decision.asked_at == found.asked_at
    return ShownApproval(environment, found, state, decision if is_answer else None)


def requests_of(stack: Stack, environment: str, *, closed: bool) -> Iterator[ShownApproval]:
    """The open request of an environment, and the last ones that are closed."""
    if (found := open_request(stack, environment)) is not None:
        yield found
    for each in stack.approvals.get(environment).closed if closed else ():
        decision = stack.decisions.get(each.id)
        is_answer = decision is not None and decision.asked_at == each.asked_at
        yield ShownApproval(environment, each, each.state, decision if is_answer else None)


def refusal_of(stack: Stack, settings: EnvironmentSettings, digest: str) -> str | None:
    """Why a Docker image is not published: somebody has rejected it, or nobody has decided in time."""
    subject = Subject(environment=settings.environment, digest=digest, recipe=settings.recipe)
    decision = stack.decisions.get(subject.id)
    if decision is not None and decision.lets_pass(subject):
        return None
    record = stack.approvals.get(settings.environment)
    return reason_not_to_ask(subject, record, decision, Trigger.PUSH, stack.clock.now())


def caller(stack: Stack) -> str:
    """Who uses the command, as AWS knows him."""
    with aws_errors("sts:GetCallerIdentity", "the caller"):
        return str(stack.client("sts").get_caller_identity()["Arn"])[:200]


def asked_by_caller(stack: Stack, request: BuildRequest) -> BuildRequest:
    """The request with the name of whoever asks, which is compared with the approver's."""
    return request.model_copy(update={"requested_by": caller(stack)})


def decide(
    stack: Stack, approval_id: str, decision: str, by: str | None, reason: str | None
) -> dict[str, Any]:
    """Have the stack's function decide; its answer.

    Raises:
        AmiLifecycleError: as the function raises it.
    """
    name = stack.output("DecideApprovalFunctionName")
    event = {"id": approval_id, "decision": decision, "by": by or caller(stack), "reason": reason or ""}
    with aws_errors("lambda:InvokeFunction", name):
        answer = stack.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode())
        content = json.loads(answer["Payload"].read() or b"null")
    if not answer.get("FunctionError"):
        return dict(content)
    known = getattr(errors, str(content.get("errorType")), None)
    is_ours = isinstance(known, type) and issubclass(known, errors.AmiLifecycleError)
    error = known if is_ours and known is not None else errors.ServiceUnavailableError
    text = str(content.get("errorMessage") or "the function has failed")
    # What to do comes last; before it there may be what somebody has given as his reason.
    message, _, hint = text.rpartition("; ")
    raise error(message, hint=hint) if message else error(text)
