"""Deregistering many images with their snapshots: uses are looked up for all at once, launch permissions right before
each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple

from ami_lifecycle.domain.decision import Decision, RetireAction
from ami_lifecycle.domain.model import TAG_APPLICATION, TAG_BUILT_FOR, Image, ImageState
from ami_lifecycle.domain.retirement import decide
from ami_lifecycle.domain.settings import RetirementSettings
from ami_lifecycle.errors import CleanUpIncompleteError, RefusedError
from ami_lifecycle.ports import Clock, Images, ImageUsage
from ami_lifecycle.steps.batch import BatchResult, process_each

# How old a review of the uses may be when an image is deregistered because of it. EC2's own answers are eventually
# consistent, by up to minutes (EC2 API reference, Eventual consistency), so a shorter time would be no safer. It
# allows 300 images for each review, at the sustained 5 deregistrations a second of EC2 (EC2 developer guide, Request
# throttling).
MAX_REVIEW_AGE: Final = timedelta(seconds=60)
# Time reserved for what follows the images: records, snapshots, and a call that times out.
TIME_RESERVE: Final = timedelta(seconds=20)
# What a look-up leaves of the time of the function (`adapters.usage.usage_query`), and a little for what follows.
# One that begins later is cut off, and everything would count as used.
_RESERVE_AFTER_REVIEW: Final = timedelta(seconds=60)
# Images in other states cannot be launched.
LAUNCHABLE: Final = frozenset({ImageState.AVAILABLE, ImageState.DISABLED})


class RemovalReview(NamedTuple):
    """The decisions about several images; with an `abort_reason`, none of them is removed."""

    decisions: BatchResult[Decision]
    abort_reason: str | None = None


@dataclass
class RemovalResult:
    """The images and snapshots that were removed, kept or blocked, and the images that time did not suffice for."""

    kept: list[Decision] = field(default_factory=list)
    tried: BatchResult[Decision] = field(default_factory=BatchResult)
    deleted_snapshots: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    abort_reason: str | None = None

    @property
    def retired(self) -> list[Decision]:
        """The decisions about the images that were deregistered."""
        return [decision for decision in self.tried.done if decision.action is RetireAction.RETIRE]

    def raise_unfinished(self) -> None:
        """Have the step retried if there were images left.

        Raises:
            CleanUpIncompleteError: time did not suffice for all images.
        """
        if self.unfinished:
            raise CleanUpIncompleteError(
                f"{len(self.retired)} images were removed, and this function's time is over; the next attempt goes on "
                f"with the other {len(self.unfinished)}, of which the first is {self.unfinished[0]}"
            )


@dataclass(frozen=True)
class ImageRemover:
    """Deregisters images until the deadline.

    Args:
        deadline: when the function ends; None for no limit.
    """

    images: Images
    usage: ImageUsage
    clock: Clock
    deadline: datetime | None = None

    def remove(
        self,
        candidates: Sequence[Image],
        snapshot_ids: Iterable[str],
        policy: RetirementSettings,
        review: Callable[[Sequence[Image]], RemovalReview],
        before_removal: Callable[[Decision], None],
    ) -> RemovalResult:
        """Review all candidates and remove those that are unused; review the rest again when the review is too old.

        Launch permissions can only be read image by image (EC2 API reference, DescribeImageAttribute), so that is
        done last, right before the deregistration.

        Args:
            snapshot_ids: the snapshots that may be deleted.
            review: decides for several images. An image without a decision is kept.
            before_removal: called with the decision before the image is deregistered.

        Raises:
            ClaimLostError: the environment is no longer held.
        """
        removed = RemovalResult()
        remaining = {image.image_id: image for image in candidates}
        exclusive = _with_exclusive_snapshots(candidates, frozenset(snapshot_ids))
        review_duration: timedelta | None = None
        while remaining and removed.abort_reason is None:
            begun = self.clock.now()
            if review_duration is not None and self._ends_before(
                begun + review_duration + _RESERVE_AFTER_REVIEW
            ):
                removed.unfinished = list(remaining)
                return removed
            reviewed = review(list(remaining.values()))
            reviewed_at = self.clock.now()
            review_duration = reviewed_at - begun
            removed.abort_reason = reviewed.abort_reason
            removed.tried.blocked += reviewed.decisions.blocked
            removed.tried.transient += reviewed.decisions.transient
            removed.kept += [found for found in reviewed.decisions.done if found.action is RetireAction.KEEP]
            retirable = [found for found in reviewed.decisions.done if found.action is RetireAction.RETIRE]
            remaining = {found.image_id: remaining[found.image_id] for found in retirable}
            for decision in retirable if reviewed.abort_reason is None else ():
                now = self.clock.now()
                if self._ends_before(now + TIME_RESERVE):
                    removed.unfinished = list(remaining)
                    return removed
                if now - reviewed_at > MAX_REVIEW_AGE:
                    break
                image = remaining.pop(decision.image_id)
                act = partial(self._remove, image, exclusive, policy, before_removal, removed)
                removed.tried.add(decision, lambda found: found.image_id, act)
        return removed

    def _ends_before(self, moment: datetime) -> bool:
        return self.deadline is not None and self.deadline <= moment

    def _remove(
        self,
        image: Image,
        exclusive: frozenset[str],
        policy: RetirementSettings,
        before_removal: Callable[[Decision], None],
        removed: RemovalResult,
        decision: Decision,
    ) -> Decision:
        if policy.protect_launch_permissions and image.state in LAUNCHABLE:
            (shared,) = decide([self.usage.permissions_of(image.image_id)], policy, None)
            if shared.action is RetireAction.KEEP:
                return shared
        before_removal(decision)
        removed.deleted_snapshots += self.images.deregister(
            image.image_id, with_snapshots=image.image_id in exclusive
        )
        return decision


def snapshots_with(
    images: Images, own: Sequence[str], candidates: Iterable[Image], application: str
) -> list[str]:
    """The own snapshots, and those of the application that promoted candidates are made of.

    A promoted image is made of the snapshots of another environment's build. Whoever removes the last image of them
    removes them, and until then nobody can.
    """
    promoted = [image for image in candidates if image.tags.get(TAG_BUILT_FOR)]
    others = {found for image in promoted for found in image.snapshot_ids} - set(own)
    if not others:
        return list(own)
    shared = images.find_each_snapshot(sorted(others))
    own_snapshots = [
        each for each in shared if each.tags.get(TAG_APPLICATION) == application and not each.is_copy
    ]
    return [*own, *(each.snapshot_id for each in own_snapshots)]


def _with_exclusive_snapshots(candidates: Sequence[Image], own_snapshots: frozenset[str]) -> frozenset[str]:
    """The images whose snapshots can be deleted with them: all of them may be deleted, and no other candidate uses
    them.

    EC2 itself skips a snapshot that another image of the account uses (EC2 API reference, DeregisterImage). Mappings
    of an image that is not available may lack snapshots.
    """
    users = Counter(snapshot_id for image in candidates for snapshot_id in set(image.snapshot_ids))
    return frozenset(
        image.image_id
        for image in candidates
        if image.state in LAUNCHABLE
        and image.snapshot_ids
        and all(
            snapshot_id in own_snapshots and users[snapshot_id] == 1 for snapshot_id in image.snapshot_ids
        )
    )


def delete_unused_snapshots(
    images: Images, snapshot_ids: Sequence[str], *, just_deregistered: bool
) -> BatchResult[str]:
    """Delete the snapshots that no image of this account uses; the ids of those deleted.

    One that EC2 reports as used is a transient failure, `CleanUpIncompleteError`, right after a deregistration.
    Otherwise it is refused: an image in the Recycle Bin is not shown, and keeps its snapshots for as long
    as its rule says, up to a year (EBS user guide, Recycle Bin).
    """

    def delete(snapshot_id: str) -> str:
        if not images.delete_snapshot(snapshot_id):
            if just_deregistered:
                raise CleanUpIncompleteError(
                    f"EC2 still counts {snapshot_id} as used, though no image shows it; try again"
                )
            raise RefusedError(
                f"EC2 counts {snapshot_id} as used, though no image shows it. One that is registered from it at "
                "this moment shows it soon. An image in the Recycle Bin keeps its snapshots (aws ec2 "
                "list-images-in-recycle-bin): exclude the service's images from the retention rule by their "
                "tags, or wait until it expires there; it is tried again later."
            )
        return snapshot_id

    if not snapshot_ids:
        return BatchResult()
    used = process_each(
        [snapshot_ids], lambda ids: f"the users of {', '.join(ids)}", images.images_of_snapshots
    )
    unused = [found for users in used.done for found in snapshot_ids if not users.get(found)]
    deleted = process_each(unused, str, delete)
    return BatchResult(deleted.done, [*used.blocked, *deleted.blocked], [*used.transient, *deleted.transient])
