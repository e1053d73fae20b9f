"""Await ...: a task waits for an event, and checks for itself when none comes."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from ami_lifecycle.domain.execution import Wait
from ami_lifecycle.domain.model import Frozen
from ami_lifecycle.errors import AgentNotOnlineError
from ami_lifecycle.ports import Clock, Executions, StoredWait, Waits
from ami_lifecycle.steps.wait_check import WaitCheck, WaitState

# Longer than the longest wait, an image's; DynamoDB deletes the item some time after.
_KEEP_WAITS_FOR: Final = timedelta(days=3)


class AwaitInput(Frozen):
    """Input of `await_resource`; without a token the function answers or raises at once."""

    wait: Wait
    execution_arn: str
    task_token: str | None = None


def await_resource(
    step: AwaitInput, check: WaitCheck, waits: Waits, executions: Executions, clock: Clock
) -> WaitState:
    """Check once. A task token is stored before the check, so that an event in between is not missed.

    Raises:
        AgentNotOnlineError: the check failed and there is no task token to wait with.
        BuildError: one of its subclasses, when the awaited state can no longer be reached.
    """
    if step.task_token is None:
        found = check.check(step.wait)
        if not found.is_done:
            raise AgentNotOnlineError(
                f"the SSM agent of {step.wait.resource_id} is not online yet. If it never is: check the subnet's "
                "route to ssm, ssmmessages and ec2messages, and the instance profile"
            )
        return found
    stored = StoredWait(
        resource_id=step.wait.resource_id,
        token=step.task_token,
        wait=step.wait.model_dump(mode="json"),
        execution_arn=step.execution_arn,
        since=clock.now(),
    )
    waits.put(stored, stored.since + _KEEP_WAITS_FOR)
    found = check.check(step.wait)
    if found.is_done:
        executions.send_success(step.task_token, found.output)
        waits.delete(stored.resource_id, stored.token)
    return found
