"""Stopping the execution of an environment, and waiting for its clean-up."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from ami_lifecycle.adapters.instances import Ec2Instances
from ami_lifecycle.domain.environment import Claim
from ami_lifecycle.domain.model import TAG_APPLICATION, TAG_EXECUTION
from ami_lifecycle.errors import InvalidRequestError, TransientError
from ami_lifecycle.steps.orphan_removal import OrphanRemover
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import short_digest, short_name
from ami_lifecycle_cli.stack.runs import RUNNING, Run, Runs

_PAUSE_SECONDS: Final = 2.0
_LOOKS_FOR_NEXT: Final = 5


@dataclass(frozen=True)
class Stoppable:
    """The execution to stop."""

    run: Run
    environment: str
    claim: Claim | None
    state: str | None

    @property
    def is_running(self) -> bool:
        """Whether it is running; otherwise only its clean-up is."""
        return self.run.status == RUNNING

    @property
    def what(self) -> str:
        """What it does, in words."""
        where = f", in {self.state}" if self.state and self.is_running else ""
        if self.claim is None:
            return f"it has not claimed the environment yet{where}"
        return f"{self.claim.action.value} of {short_digest(self.claim.digest)}{where}"

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "environment": self.environment,
            "execution_arn": self.run.arn,
            "action": self.claim.action.value if self.claim else None,
            "image_digest": self.claim.digest if self.claim else None,
            "state": self.state,
        }


@dataclass(frozen=True)
class Stopped:
    """What came of a stop. `left` is what the clean-up has not removed in the time that was given; `next` is what had
    waited behind it, and may have ended already.
    """

    run: Run
    left: tuple[str, ...]
    next: Run | None


def find_stoppable(stack: Stack, environment: str, name: str | None = None) -> Stoppable | None:
    """The execution that holds the environment, else one that has not claimed it yet; None where there is none.

    Raises:
        InvalidRequestError: `name` is given, and another execution or none runs.
    """
    runs = Runs(stack)
    claim = stack.environments.get(environment).claim
    arns = [claim.execution_arn] if claim else []
    if name is not None and name not in map(short_name, arns):
        arns = [run.arn for run in runs.running(environment) if run.name == name]
        if not arns:
            raise InvalidRequestError(
                f"{name} does not run for {environment}: "
                + (f"{short_name(claim.execution_arn)} holds it now" if claim else "nothing holds it now")
                + ". Nothing was stopped",
                hint=f"see: ami-lifecycle status {environment}",
            )
    elif not arns:
        arns = [run.arn for run in runs.running(environment)]
    if not arns:
        return None
    held = claim if claim and claim.execution_arn == arns[0] else None
    return Stoppable(runs.describe(arns[0]), environment, held, runs.current_state(arns[0]))


def stop(stack: Stack, found: Stoppable, *, reason: str | None) -> None:
    """Stop the execution; one that has ended meanwhile is left as it is."""
    if found.is_running:
        why = f": {reason}" if reason else ""
        Runs(stack).stop(found.run.arn, f"a person has stopped it with `ami-lifecycle stop`{why}")


def wait_until_clean(stack: Stack, found: Stoppable, seconds: float) -> Stopped:
    """Wait until the execution has ended, holds nothing, and what it made and did not publish is gone."""
    limit = time.monotonic() + seconds
    run, left, has_queue = found.run, tuple[str, ...](), False
    while True:
        try:
            has_queue |= stack.environments.get(found.environment).queued_request is not None
            run = Runs(stack).describe(found.run.arn)
            left = () if run.status == "SUCCEEDED" else _remains_of(stack, found, run)
        except TransientError as error:
            left = (str(error),)
        if not left or time.monotonic() > limit:
            break
        time.sleep(_PAUSE_SECONDS)
    return Stopped(run, left, _following(stack, found.environment, run, limit, has_queue=has_queue))


def _following(stack: Stack, environment: str, run: Run, limit: float, *, has_queue: bool) -> Run | None:
    """What came behind it: the holder of the environment, or what was started and has not claimed it yet, or has
    ended meanwhile.

    Args:
        has_queue: a request was seen to wait behind it.
    """
    record = stack.environments.get(environment)
    # The claim is released first, then the queued request is started, then it is removed.
    while record.claim is None and record.queued_request is not None and time.monotonic() <= limit:
        time.sleep(_PAUSE_SECONDS)
        record = stack.environments.get(environment)
    claim, runs = record.claim, Runs(stack)
    if claim is not None and claim.execution_arn != run.arn:
        return runs.describe(claim.execution_arn)
    # Step Functions API reference, ListExecutions: eventually consistent. What has just been started is not listed yet.
    attempts = (
        _LOOKS_FOR_NEXT
        if (has_queue or record.queued_request is not None) and time.monotonic() <= limit
        else 1
    )
    for attempt in range(attempts):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        # One that came to wait again is not what follows; what it was merged with is.
        later = [each for each in runs.queued_since(environment, run.started) if each.outcome != "queued"]
        if later:
            return later[0]
    return None


def _remains_of(stack: Stack, found: Stoppable, run: Run) -> tuple[str, ...]:
    """What is left of the execution; empty when it is cleaned up."""
    if run.status == RUNNING:
        return (f"{run.name} still runs",)
    claim = stack.environments.get(found.environment).claim
    if claim is not None and claim.execution_arn == run.arn:
        return (f"{run.name} still holds {found.environment}",)
    instances = Ec2Instances(stack.client("ec2"))
    orphan_remover = OrphanRemover(
        instances, stack.images, stack.usage, stack.parameters, stack.clock, stack.application
    )
    owner_tags = {TAG_APPLICATION: stack.application, TAG_EXECUTION: run.arn}
    orphaned = orphan_remover.orphaned_images(stack.images.find(owner_tags))
    orphaned.raise_transient()
    snapshots = [each.snapshot_id for each in stack.images.find_snapshots(owner_tags) if not each.is_copy]
    users = stack.images.images_of_snapshots(snapshots)
    return (
        *(each.instance_id for each in instances.find(owner_tags) if not each.state.is_over),
        *(image.image_id for image in orphaned.done),
        *(f"{blocked.resource} ({blocked.reason})" for blocked in orphaned.blocked),
        *(snapshot_id for snapshot_id in snapshots if not users[snapshot_id]),
    )
