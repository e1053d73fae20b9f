"""How many images of an environment may go at once, and the refusal of more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from ami_lifecycle.domain.decision import Blocked
from ami_lifecycle.domain.model import Image
from ami_lifecycle.domain.settings import RetirementSettings
from ami_lifecycle.errors import RetirementLimitError


@dataclass(frozen=True)
class RetirementLimit:
    """The most disks that an environment may lose at once; `at_most` is None for any number.

    What counts are disks that no image shows any more afterwards: the candidate of an image that has been registered
    under the canonical name goes with every build, and nothing goes with it.

    Attributes:
        images: the environment's own images, the live one included.
        because: what allows so many, in words.
    """

    environment: str = ""
    images: tuple[Image, ...] = ()
    at_most: int | None = None
    because: str = ""

    def refused(self, going: Collection[str]) -> list[str]:
        """Those of the images that must not go, because together they are too many."""
        if self.at_most is None:
            return []
        lost = self._lost(going)
        if len({_disks(image) for image in lost}) <= self.at_most:
            return []
        return [image.image_id for image in lost]

    def _lost(self, going: Collection[str]) -> list[Image]:
        staying = {
            snapshot_id
            for image in self.images
            if image.image_id not in going
            for snapshot_id in image.snapshot_ids
        }
        return [image for image in self.images if image.image_id in going and not _disks(image) & staying]

    def refusal(self, refused: Sequence[str]) -> str:
        """Why none of these images goes, and the command that has them go."""
        number = len({_disks(image) for image in self.images if image.image_id in refused})
        return (
            f"{number} images of {self.environment} would be retired at once, {refused[0]} among them, and "
            f"{self.because}, so none is. See what would go, and why: ami-lifecycle retire {self.environment} "
            f"--dry-run. If that is meant: ami-lifecycle retire {self.environment} --at-most {number}"
        )

    def blocked(self, refused: Sequence[str]) -> Blocked:
        """The refusal, as reports have it."""
        return Blocked(
            resource=what_is_refused(self.environment),
            error=RetirementLimitError.__name__,
            reason=self.refusal(refused),
        )


NO_LIMIT: Final = RetirementLimit()


def what_is_refused(environment: str) -> str:
    """What reports and records call a retirement that the limit refuses."""
    return f"retirement of {environment}"


def limit_of(
    environment: str, policy: RetirementSettings, owned: Sequence[Image], confirmed: int | None = None
) -> RetirementLimit:
    """The limit by the settings, or what a person has confirmed.

    One image may always go: that is what a publication replaces.

    Args:
        owned: images with the tags of the environment; copies that somebody has made do not count.
    """
    images = tuple(image for image in owned if not image.is_copy)
    if confirmed is not None:
        return RetirementLimit(environment, images, confirmed, f"{confirmed} at most were asked for")
    number = len({_disks(image) for image in images})
    limits = []
    if policy.max_images is not None:
        limits.append((policy.max_images, f"retirement.max_images allows {policy.max_images}"))
    if policy.max_percent is not None:
        share = max(1, number * policy.max_percent // 100)
        limits.append((share, f"retirement.max_percent, {policy.max_percent}, allows {share} of {number}"))
    at_most, because = min(limits, default=(None, ""))
    return RetirementLimit(environment, images, at_most, because)


def _disks(image: Image) -> frozenset[str]:
    """The snapshots of an image; its id where it shows none."""
    return frozenset(image.snapshot_ids) or frozenset({image.image_id})
