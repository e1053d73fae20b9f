"""An account in which somebody has to approve what prod publishes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.unit.steps.account import Account
from tests.unit.steps.execution import Execution, run_started
from tests.unit.steps.promises import Promises
from tests.unit.steps.promoting import promoting

from ami_lifecycle.domain.approval import ApprovalRequest
from ami_lifecycle.domain.model import TAG_DIGEST, TAG_RECIPE, TAG_RELEASE
from ami_lifecycle.steps.decide_approval import Decided, DecideInput

PUSHES = {"approval": {"pushes": True}}
PROMOTIONS = {"approval": {"promotions": True}}


def approving(**approval: Any) -> Account:
    """The account, whose pushes have to be approved."""
    return Account({"approval": {"pushes": True} | approval})


def approving_promotions(**approval: Any) -> Account:
    """The account, prod of which publishes what is promoted to it and approved."""
    return promoting(prod={"approval": {"promotions": True} | approval})


def open_request(account: Account) -> ApprovalRequest:
    request = account.world.approvals.records[account.environment].open
    assert request is not None
    return request


def decide(account: Account, approval_id: str, decision: str = "approve", **more: Any) -> Decided:
    """Decide, as an approver does."""
    step = DecideInput.model_validate({"id": approval_id, "decision": decision, "by": "ann"} | more)
    return Execution(account).decider.decide(step)


def approve(account: Account, approval_id: str | None = None, **more: Any) -> list[Any]:
    """Approve what waits, and run what that starts."""
    before = len(account.world.executions.started)
    decide(account, approval_id or open_request(account).id, **more)
    return run_started(account, before)


def watch(account: Account) -> Promises:
    """Hold the promises over an account whose prod has the gate."""
    decided = account.world.decisions.all

    def has_passed(environment: str, tags: Mapping[str, str]) -> bool:
        subjects = [
            (each.subject.environment, each.subject.digest, each.subject.recipe, each.subject.release)
            for each in decided.values()
            if each.approved
        ]
        built = (environment, tags.get(TAG_DIGEST), tags.get(TAG_RECIPE), None)
        promoted = (environment, None, None, tags.get(TAG_RELEASE))
        return environment != "prod" or built in subjects or promoted in subjects

    return Promises(account.world, gates={"approval": has_passed})
