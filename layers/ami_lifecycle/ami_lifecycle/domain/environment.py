"""The shared record of one environment: who holds it, what waits, what was published and what failed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from ami_lifecycle.contracts import Action, BuildRequest
from ami_lifecycle.domain.model import Frozen, Role

# A call that a dead function had in flight may still arrive; boto3's read timeout bounds it.
IN_FLIGHT_MARGIN: Final = timedelta(seconds=5)
# Counts as more failures than any setting allows, so that the sweep does not start what a person has stopped.
STOPPED_BY_A_PERSON: Final = 1_000_000


class LaunchProgress(Frozen):
    """Where the launch of a claim's instance goes on: the position among the pairs of type and subnet, in
    the order in which they are tried.
    """

    role: Role
    position: int


class Claim(Frozen):
    """An execution's hold on an environment.

    `number` fences: it grows with every claim. `busy_until` is set while a function of the holder
    writes something shared; until then the claim cannot be taken away, and after it that function
    cannot be alive any more.
    """

    execution_arn: str
    number: int
    action: Action
    digest: str | None = None
    claimed_at: datetime
    lease_until: datetime
    busy_until: datetime | None = None
    launching: LaunchProgress | None = None

    def is_busy(self, now: datetime) -> bool:
        """Whether a function of the holder may be writing at this moment."""
        return self.busy_until is not None and now < self.busy_until


class Pin(Frozen):
    """A rollback that pushes must not undo until it is lifted."""

    image_id: str
    digest: str | None = None
    at: datetime
    reason: str = ""


class FailedAttempts(Frozen):
    """How often a digest failed in a row, so that the sweep does not build it for ever.

    `claim_number` is of the last claim that failed, so that a repeated clean-up does not count it twice.
    """

    digest: str
    count: int
    claim_number: int = 0

    @property
    def explanation(self) -> str:
        """Why it is not built again, in words."""
        if self.count >= STOPPED_BY_A_PERSON:
            return "its build was stopped by a person"
        return f"its build has failed {self.count} times"


class EnvironmentRecord(Frozen):
    """The environment's item.

    `fencing` grows with every claim and every release, so a plan made at one number is outdated at the
    next. `revision` grows with each request that is queued.
    """

    environment: str
    fencing: int = 0
    claim: Claim | None = None
    wanted: BuildRequest | None = None
    revision: int = 0
    published_count: int = 0
    pin: Pin | None = None
    failed: FailedAttempts | None = None

    def is_held_by(self, execution_arn: str, number: int) -> bool:
        """Whether the execution holds the environment under this number."""
        return (
            self.claim is not None
            and self.claim.execution_arn == execution_arn
            and self.claim.number == number
        )


def merge_requests(waiting: BuildRequest | None, new: BuildRequest) -> BuildRequest:
    """The one request that a release starts for all that came meanwhile.

    The newest wins, as with pushes; `fresh` and `force` are not lost, and a request for something
    explicit (a digest, an existing image) is not displaced by a mere reconcile or retirement. One that
    pins gives way only to another explicit one, because a pin holds against pushes.
    """
    if waiting is None:
        return new
    explicit = waiting.image_digest or waiting.image_tag or waiting.publish_image_id
    if (explicit or waiting.action is Action.BUILD) and new.action is Action.RETIRE:
        return waiting
    if explicit and new.trigger.value == "reconcile":
        return waiting
    if waiting.pin and not (new.image_digest or new.image_tag or new.publish_image_id or new.force):
        return waiting
    return new.model_copy(
        update={"fresh": new.fresh or waiting.fresh, "force": new.force or waiting.force},
    )
