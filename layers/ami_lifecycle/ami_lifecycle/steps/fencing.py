"""Writing under a claim: a function that lost it, or that outlived its execution, must not write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from ami_lifecycle.domain.environment import IN_FLIGHT_MARGIN, Claim
from ami_lifecycle.domain.execution import ClaimedInput
from ami_lifecycle.errors import AmiLifecycleError
from ami_lifecycle.ports import Environments


@contextmanager
def writing(environments: Environments, step: ClaimedInput, deadline: datetime) -> Iterator[Claim]:
    """Keep the claim from being taken over while the block runs, at most until the deadline.

    Yields the claim as it was before.

    Args:
        deadline: when Lambda ends this invocation.

    Raises:
        ClaimLostError: the execution no longer holds the environment; nothing may be written.
    """
    environment, execution, number = step.plan.environment, step.execution_arn, step.claim_number
    claim = environments.enter(environment, execution, number, deadline + IN_FLIGHT_MARGIN)
    earlier = claim.busy_until
    try:
        yield claim
    except BaseException:
        # The original error matters more than one of `leave`; the busy window ends at the deadline anyway.
        with suppress(AmiLifecycleError):
            environments.leave(environment, execution, number, still_busy_until=earlier)
        raise
    environments.leave(environment, execution, number, still_busy_until=earlier)
