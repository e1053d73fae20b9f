"""The shared record of one environment: who holds it, what waits, what was published and what failed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from ami_lifecycle.domain.decision import Blocked
from ami_lifecycle.domain.model import AmiId, Frozen, Role
from ami_lifecycle.domain.request import Action, BuildRequest
from ami_lifecycle.errors import AgentNotOnlineError, AgentTooOldError

# A call that a dead function had in flight may still arrive; boto3's read timeout bounds it.
IN_FLIGHT_MARGIN: Final = timedelta(seconds=5)
# Counts as more failures than any setting allows, so that the sweep does not start what a person has stopped.
STOPPED_BY_A_PERSON: Final = 1_000_000
# Failures are remembered of so many digests: what the tag names, the live one, a pin's, and earlier ones of the tag.
_FAILED_DIGESTS: Final = 8


class LaunchProgress(Frozen):
    """Where the launch of a claim's instance goes on: the position among the pairs of type and subnet, in
    the order in which they are tried.
    """

    role: Role
    position: int


class Claim(Frozen):
    """An execution's hold on an environment.

    `base_image_id` is the environment's own image that is updated; a fresh build has none. `recipe` is what the image
    is made with beside the Docker image.

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
    base_image_id: AmiId | None = None
    recipe: str | None = None

    def is_busy(self, now: datetime) -> bool:
        """Whether a function of the holder may be writing at this moment."""
        return self.busy_until is not None and now < self.busy_until


class UnusableBase(Frozen):
    """An image of the environment from which no build can start, as one has shown; the next one is fresh.

    `is_certain` tells what is wrong with the image itself from what may have been the network's fault.
    """

    image_id: AmiId
    reason: str
    is_certain: bool


class Pin(Frozen):
    """A rollback that pushes must not undo until it is lifted."""

    image_id: str
    digest: str | None = None
    at: datetime
    reason: str = ""


class FailedAttempts(Frozen):
    """How often a digest failed in a row by its own fault, so that the sweep does not build it for ever.

    With another `recipe`, that is other hooks, it is another image.

    `claim_number` is of the last claim that failed, so that a repeated clean-up does not count it twice;
    `error` is what it failed with, whoever was at fault.
    """

    digest: str
    count: int
    claim_number: int = 0
    error: str = ""
    recipe: str | None = None

    @property
    def explanation(self) -> str:
        """Why it is not built again, in words."""
        if self.count >= STOPPED_BY_A_PERSON:
            return "its build was stopped by a person"
        times = "once" if self.count == 1 else f"{self.count} times"
        return f"its build has failed {times}"


_FIRST_PAUSE: Final = timedelta(minutes=10)
LONGEST_PAUSE: Final = timedelta(hours=1)


def retry_delay(tries: int) -> timedelta:
    """How long to wait after so many tries: none after the first, then 10, 20 and 40 minutes, then an hour.

    There is no end to it: a permission that is granted, or a shortage that is over, is seen within an hour.
    """
    if tries < 2:
        return timedelta(0)
    # Bounded before it is doubled: what was refused for a year has a large number.
    return min(LONGEST_PAUSE, _FIRST_PAUSE * (1 << min(tries - 2, 10)))


class HeldBack(Frozen):
    """Something that was tried, did not succeed, and is tried again when it is `due`.

    Attributes:
        what: the id of a thing that AWS refused to let go; or the work of an execution, such as
            `publish ami-0123456789abcdef0`.
        execution_arn: of the execution that the sweep has started for the work; None for a thing.
        since: when it was tried first.
    """

    what: str
    reason: str = ""
    since: datetime
    tries: int = 1
    due: datetime
    execution_arn: str | None = None

    @property
    def is_resource(self) -> bool:
        """Whether it is a thing that was left, and not work that is to be done."""
        return self.execution_arn is None

    @property
    def tried(self) -> str:
        """How often it was tried, and what came of it."""
        times = "once" if self.tries == 1 else f"{self.tries} times"
        why = f": {self.reason.rstrip('. ')}" if self.reason else ""
        return f"tried {times} since {self.since:%Y-%m-%d %H:%M} UTC{why}"

    @property
    def explanation(self) -> str:
        """How often it was tried, what came of it, and when it is tried again."""
        return f"{self.tried}; tried again after {self.due:%H:%M} UTC"

    def is_due(self, now: datetime) -> bool:
        """Whether it is tried again at this moment."""
        return now >= self.due


class EnvironmentRecord(Frozen):
    """The environment's item.

    `fencing` grows with every claim and every release, so a plan made at one number is outdated at the
    next. `revision` grows with each request that is queued. `failed` is of the digest that failed last, and
    `failed_before` of others. `rebuild_due_since` is when a sweep first saw the rebuild that is due.
    """

    environment: str
    fencing: int = 0
    claim: Claim | None = None
    queued_request: BuildRequest | None = None
    revision: int = 0
    unusable_base: UnusableBase | None = None
    published_count: int = 0
    pin: Pin | None = None
    failed: FailedAttempts | None = None
    failed_before: tuple[FailedAttempts, ...] = ()
    rebuild_due_since: datetime | None = None
    held_back: tuple[HeldBack, ...] = ()

    @property
    def failures(self) -> tuple[FailedAttempts, ...]:
        """Of each digest that failed lately and was not published since, the last one first."""
        return (self.failed, *self.failed_before) if self.failed is not None else ()

    def failure_of(self, digest: str | None, recipe: str | None) -> FailedAttempts | None:
        """How often a digest failed in a row with this recipe; None where it did not, or has been published since."""
        return next(
            (failed for failed in self.failures if (failed.digest, failed.recipe) == (digest, recipe)), None
        )

    def with_failure(self, failed: FailedAttempts) -> tuple[FailedAttempts, ...]:
        """The failures once this digest has failed: one digest says nothing of another."""
        return (failed, *self.without_failure_of(failed.digest))[:_FAILED_DIGESTS]

    def without_failure_of(self, digest: str | None) -> tuple[FailedAttempts, ...]:
        """The failures once this digest is published."""
        return tuple(failed for failed in self.failures if failed.digest != digest)

    def held(self, what: str) -> HeldBack | None:
        """What is known of an earlier try at this."""
        return next((held for held in self.held_back if held.what == what), None)

    def not_due(self, now: datetime) -> frozenset[str]:
        """Ids of the things that were refused, and that nobody asks for again yet."""
        return frozenset(held.what for held in self.held_back if held.is_resource and not held.is_due(now))

    def after_retry(
        self, blocked: Iterable[Blocked], now: datetime, *, unseen: frozenset[str] = frozenset()
    ) -> tuple[HeldBack, ...]:
        """What is held back once things were looked at again, and these were refused.

        Args:
            unseen: ids of things that were not looked at, so that they stay as they are.
        """
        refused = {found.resource: found for found in blocked}
        stay = (
            held
            for held in self.held_back
            if held.what not in refused and (not held.is_resource or held.what in unseen)
        )
        return (*stay, *(self._refused_again(found, now) for found in refused.values()))

    def _refused_again(self, found: Blocked, now: datetime) -> HeldBack:
        before = self.held(found.resource)
        tries = before.tries + 1 if before else 1
        return HeldBack(
            what=found.resource,
            reason=found.reason,
            since=before.since if before else now,
            tries=tries,
            due=now + retry_delay(tries),
        )

    def is_held_by(self, execution_arn: str, number: int) -> bool:
        """Whether the execution holds the environment under this number."""
        return (
            self.claim is not None
            and self.claim.execution_arn == execution_arn
            and self.claim.number == number
        )


def unusable_base_after(known: UnusableBase | None, claim: Claim, error: str) -> UnusableBase | None:
    """What is known of an unusable base after a build under `claim` has failed with `error`.

    An agent that never came online may be the fault of the base, or of the network. So it makes one build
    fresh, and where that fails as well, the base gets another chance: what fresh builds need and updates do
    not, such as Ubuntu's archive, may be out of reach for good.
    """
    if claim.base_image_id is None:
        return known if known is not None and known.is_certain else None
    if error == AgentTooOldError.__name__:
        reason = "its SSM agent is too old for our documents"
        return UnusableBase(image_id=claim.base_image_id, reason=reason, is_certain=True)
    if error == AgentNotOnlineError.__name__:
        reason = "the SSM agent of an instance made from it never came online"
        return UnusableBase(image_id=claim.base_image_id, reason=reason, is_certain=False)
    return known


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
