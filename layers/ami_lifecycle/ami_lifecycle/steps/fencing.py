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
    """Hold off everybody who would take the claim away, until this function is done or dead.

    Gives the claim as it was found.

    Args:
        deadline: when Lambda ends this invocation, whatever it is doing.

    Raises:
        ClaimLostError: the execution does not hold the environment; nothing may be written.
    """
    environment, execution, number = step.plan.environment, step.execution_arn, step.claim_number
    claim = environments.enter(environment, execution, number, deadline + IN_FLIGHT_MARGIN)
    earlier = claim.busy_until
    try:
        yield claim
    except BaseException:
        # The error at hand says more than one of leaving; the hold ends at the deadline anyway.
        with suppress(AmiLifecycleError):
            environments.leave(environment, execution, number, still_busy_until=earlier)
        raise
    environments.leave(environment, execution, number, still_busy_until=earlier)
