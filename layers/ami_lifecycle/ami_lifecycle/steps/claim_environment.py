"""Claim Environment: one execution at a time changes what an environment publishes."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from ami_lifecycle.domain.environment import Claim, EnvironmentRecord, merge_requests
from ami_lifecycle.domain.execution import ClaimResult, ClaimStatus, ExecutionStatus, StepInput
from ami_lifecycle.domain.plan import BuildMode
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.errors import ClaimBusyError, ClaimContendedError
from ami_lifecycle.ports import Clock, Environments, Executions

# TimeoutSeconds of the state machine: no execution can hold a claim for longer.
EXECUTION_TIMEOUT: Final = timedelta(hours=30)


def claim_environment(
    step: StepInput, environments: Environments, executions: Executions, clock: Clock
) -> ClaimResult:
    """Claim the environment, or queue the request behind the execution that holds it.

    Raises:
        ClaimContendedError: another execution wrote the record at the same moment.
        ClaimBusyError: the holder has ended, but one of its functions may still be writing.
    """
    plan = step.plan
    record = environments.get(plan.environment)
    holder = record.claim
    if holder is None:
        return _claim_free(step, record, environments, clock)
    if holder.execution_arn == step.execution_arn:
        return ClaimResult(status=ClaimStatus.CLAIMED, number=holder.number, reason="claimed before")
    if has_ended(holder, executions, clock):
        if holder.is_busy(clock.now()):
            raise ClaimBusyError(
                f"{plan.environment} was held by {holder.execution_arn}, which has ended; a function of it "
                f"may write until {holder.busy_until:%H:%M:%S} UTC, so the claim is taken over then"
            )
        if not environments.release(plan.environment, holder, revision=record.revision):
            raise ClaimContendedError(f"the claim of {plan.environment} changes at this moment; look again")
        return ClaimResult(
            status=ClaimStatus.OUTDATED,
            number=record.fencing,
            reason=f"the claim of {holder.execution_arn}, which has ended, is removed; plan anew",
        )
    return _wait_behind(step, record, holder, environments)


def has_ended(claim: Claim, executions: Executions, clock: Clock) -> bool:
    """Whether the execution that holds a claim has ended.

    One that Step Functions does not know may have started this instant, so it counts as running until
    its lease is over.
    """
    status = executions.status(claim.execution_arn)
    if status is ExecutionStatus.UNKNOWN:
        return clock.now() > claim.lease_until
    return status.is_over


def _claim_free(
    step: StepInput, record: EnvironmentRecord, environments: Environments, clock: Clock
) -> ClaimResult:
    plan = step.plan
    if record.fencing != plan.fencing:
        return ClaimResult(
            status=ClaimStatus.OUTDATED,
            number=record.fencing,
            reason=f"{plan.environment} has changed since the plan was made",
        )
    now = clock.now()
    claim = Claim(
        execution_arn=step.execution_arn,
        number=record.fencing + 1,
        action=plan.action,
        digest=plan.source.digest if plan.source else None,
        recipe=plan.configured.recipe if plan.action is Action.BUILD else None,
        base_image_id=plan.base.image_id if plan.base and plan.mode is BuildMode.UPDATE else None,
        claimed_at=now,
        lease_until=now + EXECUTION_TIMEOUT,
    )
    if not environments.claim(plan.environment, claim):
        raise ClaimContendedError(f"another execution claims {plan.environment} at this moment; look again")
    return ClaimResult(status=ClaimStatus.CLAIMED, number=claim.number, reason="the environment was free")


def _wait_behind(
    step: StepInput, record: EnvironmentRecord, holder: Claim, environments: Environments
) -> ClaimResult:
    plan = step.plan
    request = plan.request or BuildRequest(environment=plan.environment)
    if plan.action is Action.RETIRE or _is_repair(request):
        reason = f"{holder.execution_arn} holds the environment and does this itself"
        return ClaimResult(status=ClaimStatus.ALREADY_BUILDING, number=holder.number, reason=reason)
    if request.trigger is Trigger.SCHEDULE:
        reason = (
            f"{holder.execution_arn} holds the environment; the sweep asks again where a rebuild is due still"
        )
        return ClaimResult(status=ClaimStatus.ALREADY_BUILDING, number=holder.number, reason=reason)
    if _is_being_built(step, request, holder):
        reason = f"{holder.execution_arn} builds this digest at this moment"
        return ClaimResult(status=ClaimStatus.ALREADY_BUILDING, number=holder.number, reason=reason)
    queued = merge_requests(record.queued_request, request)
    if queued.trigger not in {Trigger.ROLLBACK, Trigger.ALARM}:
        queued = queued.model_copy(update={"trigger": Trigger.QUEUED})
    if not environments.queue(plan.environment, queued, behind=holder, revision=record.revision):
        raise ClaimContendedError(f"the claim of {plan.environment} changes at this moment; look again")
    reason = f"{holder.execution_arn} holds the environment and starts this when it is done"
    return ClaimResult(status=ClaimStatus.QUEUED, number=holder.number, reason=reason)


def _is_repair(request: BuildRequest) -> bool:
    # The holder replaces the image that the repair is about; later, it would bring the old one back.
    return request.trigger is Trigger.RECONCILE and request.publish_image_id is not None


def _is_being_built(step: StepInput, request: BuildRequest, holder: Claim) -> bool:
    digest = step.plan.source.digest if step.plan.source else None
    return (
        step.plan.action is Action.BUILD
        and holder.action is Action.BUILD
        and digest is not None
        and holder.digest == digest
        and holder.recipe == step.plan.configured.recipe
        and not (request.fresh or request.force)
    )
