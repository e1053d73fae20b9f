"""The shared record of one environment: its claim, queued request, publications and failures."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from ami_lifecycle.domain.decision import Blocked
from ami_lifecycle.domain.model import AmiId, Frozen, Role
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.errors import AgentNotOnlineError, AgentTooOldError

# A call that an ended function had in flight may still take effect; boto3's read timeout bounds that.
IN_FLIGHT_MARGIN: Final = timedelta(seconds=5)
# More failures than any setting allows, so that the sweep does not restart a stopped build.
STOPPED_BY_A_PERSON: Final = 1_000_000
# For how many digests failures are kept: the tag's, the live one, a pin's, and earlier ones of the tag.
_FAILED_DIGESTS: Final = 8


class LaunchProgress(Frozen):
    """The progress of a launch: the position in the list of pairs of type and subnet."""

    role: Role
    position: int


class Claim(Frozen):
    """An execution's hold on an environment.

    `base_image_id` is the environment's own image that is updated; a fresh build has none. `recipe` is what the image
    is made with beside the Docker image.

    `number` is the fencing token: it grows with every claim. `busy_until` is set while a function of the holder is
    writing; until then the claim cannot be taken over, and after it that function has ended.
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
    """An image of the environment from which a build could not start; the next build is fresh.

    `is_certain` is false where the network may have been the cause.
    """

    image_id: AmiId
    reason: str
    is_certain: bool


class Pin(Frozen):
    """Keeps pushes from undoing a rollback, until it is removed."""

    image_id: str
    digest: str | None = None
    at: datetime
    reason: str = ""


class FailedAttempts(Frozen):
    """How often in a row a digest failed for reasons of its own, so that the sweep stops building it.

    With another `recipe`, that is other hooks, it is another image.

    `claim_number` is of the last claim that failed, so that a repeated clean-up does not count it twice;
    `error` is the latest error, whatever its cause.
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

    Retries never end, so a granted permission or new capacity takes effect within an hour.
    """
    if tries < 2:
        return timedelta(0)
    # The exponent is bounded: the number of tries is not.
    return min(LONGEST_PAUSE, _FIRST_PAUSE * (1 << min(tries - 2, 10)))


class HeldBack(Frozen):
    """A pending retry of something that was refused or failed.

    Attributes:
        what: the id of a resource that AWS refused to remove; or the work of an execution, such as `publish
            ami-0123456789abcdef0`.
        execution_arn: of the execution that the sweep has started for the work; None for a resource.
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
        """Whether it is a resource that was not removed, and not the work of an execution."""
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
        """The failures of each digest that was not published since, the latest first."""
        return (self.failed, *self.failed_before) if self.failed is not None else ()

    def failure_of(self, digest: str | None, recipe: str | None) -> FailedAttempts | None:
        """How often a digest failed in a row with this recipe; None where it did not, or has been published since."""
        return next(
            (failed for failed in self.failures if (failed.digest, failed.recipe) == (digest, recipe)), None
        )

    def with_failure(self, failed: FailedAttempts) -> tuple[FailedAttempts, ...]:
        """The failures with this digest's added; other digests are unaffected."""
        return (failed, *self.without_failure_of(failed.digest))[:_FAILED_DIGESTS]

    def without_failure_of(self, digest: str | None) -> tuple[FailedAttempts, ...]:
        """The failures without this digest's."""
        return tuple(failed for failed in self.failures if failed.digest != digest)

    def held(self, what: str) -> HeldBack | None:
        """The pending retry of this, if there is one."""
        return next((held for held in self.held_back if held.what == what), None)

    def not_due(self, now: datetime) -> frozenset[str]:
        """Ids of the blocked resources whose retry is not due."""
        return frozenset(held.what for held in self.held_back if held.is_resource and not held.is_due(now))

    def after_retry(
        self, blocked: Iterable[Blocked], now: datetime, *, unseen: frozenset[str] = frozenset()
    ) -> tuple[HeldBack, ...]:
        """The pending retries after resources were tried again and these were refused.

        Args:
            unseen: ids of resources that were not tried, whose retries stay as they are.
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
    """The unusable base after a build under `claim` has failed with `error`.

    An agent that never came online may be caused by the base or by the network. So the next build is fresh; if that
    fails as well, the base is used again, because what only fresh builds need, such as Ubuntu's archive, may be
    unreachable.
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
    """Merge a new request into the queued one.

    The newest wins, as with pushes; `fresh` and `force` are not lost, and a request for something
    explicit (a digest, an existing image) is not displaced by a mere reconcile or retirement. One that
    pins gives way only to another explicit one, because a pin holds against pushes.
    """
    if waiting is None:
        return new
    confirmed = new.retire_at_most if new.retire_at_most is not None else waiting.retire_at_most
    # Whichever gives way: both would retire.
    return _merged(waiting, new).model_copy(update={"retire_at_most": confirmed})


def _merged(waiting: BuildRequest, new: BuildRequest) -> BuildRequest:
    if new.trigger is Trigger.ALARM and waiting.pin:
        # A person has decided meanwhile, or another alarm.
        return waiting
    if Action.PROMOTE in {waiting.action, new.action}:
        return _merged_with_promotion(waiting, new)
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


def _merged_with_promotion(waiting: BuildRequest, new: BuildRequest) -> BuildRequest:
    """A promotion or its successor: neither inherits from the other that it was forced, and a pin holds as it does."""
    explicit = new.image_digest or new.image_tag or new.publish_image_id or new.promote_from
    if (
        new.action is Action.RETIRE
        or new.trigger.value == "reconcile"
        or (waiting.pin and not (explicit or new.force))
    ):
        return waiting
    return new
