"""Resume Build: a completion event ends the wait of a task."""

from __future__ import annotations

from typing import Final

from ami_lifecycle.domain.events import Event
from ami_lifecycle.domain.execution import Wait, WaitKind
from ami_lifecycle.domain.model import Frozen
from ami_lifecycle.errors import (
    BuildError,
    InvalidRequestError,
    ResourceNotVisibleError,
)
from ami_lifecycle.ports import Clock, Executions, Waits
from ami_lifecycle.steps.wait_check import WaitCheck

_EVENT_RESOURCE: Final = {
    "EC2 AMI State Change": "ImageId",
    "EC2 Instance State-change Notification": "instance-id",
    "EC2 Command Invocation Status-change Notification": "command-id",
}


class Resumed(Frozen):
    """Output of `resume_build`: what a completion event led to.

    Attributes:
        kind: what the task waited for, where one did.
        waited_seconds: since the task began to wait for it.
    """

    resource_id: str
    resumed: bool
    reason: str
    kind: WaitKind | None = None
    waited_seconds: float | None = None


def resume_build(
    event: Event, check: WaitCheck, waits: Waits, executions: Executions, clock: Clock
) -> Resumed:
    """Complete the task that waits for an event's resource, if one does.

    Raises:
        InvalidRequestError: not a completion event.
        ResourceNotVisibleError: EC2 or SSM do not show yet what the event reports.
    """
    resource_id = _resource_of(event)
    stored = waits.get(resource_id)
    if stored is None:
        return Resumed(resource_id=resource_id, resumed=False, reason="nothing waits for it")
    wait = Wait.model_validate(stored.wait)
    try:
        found = check.check(wait)
    except BuildError as error:
        is_accepted = executions.send_failure(stored.token, type(error).__name__, str(error))
    else:
        if not found.is_done:
            raise ResourceNotVisibleError(
                f"an event says that {resource_id} is done, and it does not show yet; "
                "the event is handled again, and the task looks by itself"
            )
        is_accepted = executions.send_success(stored.token, found.output)
    waits.delete(resource_id, stored.token)
    reason = "the task goes on" if is_accepted else "the task had stopped waiting"
    waited = (clock.now() - stored.since).total_seconds()
    return Resumed(
        resource_id=resource_id, resumed=is_accepted, reason=reason, kind=wait.kind, waited_seconds=waited
    )


def _resource_of(event: Event) -> str:
    key = _EVENT_RESOURCE.get(event.detail_type)
    resource_id = event.detail.get(key) if key else None
    if not isinstance(resource_id, str) or not resource_id:
        raise InvalidRequestError(
            f"an event of type {event.detail_type!r} with no resource that a task waits for; "
            "correct the pattern of the rule"
        )
    return resource_id
