"""Look-ups with a time limit; a failed one becomes a use of kind UNKNOWN."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from ami_lifecycle.domain.model import ImageUse, UsageKind
from ami_lifecycle.errors import AmiLifecycleError, ServiceUnavailableError
from ami_lifecycle.ports import Clock

# The part of the function's time that is reserved for acting on the decisions, and for one call that times out.
RESERVE: Final = timedelta(seconds=45)
Found = TypeVar("Found")


class TimeLimit:
    """Ends a look-up between two calls when its time is over."""

    def __init__(self, action: str, clock: Clock, until: datetime) -> None:
        self._action = action
        self._clock = clock
        self._until = until

    def check(self) -> None:
        """Raise `ServiceUnavailableError` if the time is over."""
        if self._clock.now() >= self._until:
            raise ServiceUnavailableError(
                f"{self._action} was not read to its end within its time. What was not read counts as a use; "
                "it is tried again with the next sweep."
            )

    def pages(self, paginator: Any, **parameters: Any) -> Iterator[Any]:
        """The pages of a paginator, until the time is over."""
        self.check()
        for page in paginator.paginate(**parameters):
            yield page
            self.check()


Reader = Callable[[TimeLimit], Iterable[Found]]


class UsageQuery:
    """Collects the uses of some images.

    Args:
        deadline: when the function ends; None for no limit.
    """

    def __init__(self, image_ids: Sequence[str], clock: Clock, deadline: datetime | None) -> None:
        self.image_ids = tuple(dict.fromkeys(image_ids))
        self._clock = clock
        self._deadline = deadline
        self._uses: dict[str, list[ImageUse]] = {image_id: [] for image_id in self.image_ids}

    def read(
        self, action: str, reader: Reader[Found], seconds: float, image_ids: Sequence[str] | None = None
    ) -> list[Found] | None:
        """The result of a look-up; None where it failed, which is recorded as an UNKNOWN use of the images."""
        until = self._clock.now() + timedelta(seconds=seconds)
        if self._deadline is not None:
            until = min(until, self._deadline - RESERVE)
        try:
            return list(reader(TimeLimit(action, self._clock, until)))
        except (AmiLifecycleError, BotoCoreError, ClientError) as error:
            unknown = ImageUse(kind=UsageKind.UNKNOWN, resource=f"{action} could not be read: {error}")
            self.add((image_id, unknown) for image_id in image_ids or self.image_ids)
            return None

    def add(self, found: Iterable[tuple[str, ImageUse]] | None) -> None:
        """Add uses of these images; others are ignored."""
        for image_id, use in found or ():
            if image_id in self._uses:
                self._uses[image_id].append(use)

    def uses_of(self, image_id: str) -> tuple[ImageUse, ...]:
        """The uses of an image, without duplicates."""
        return tuple(dict.fromkeys(self._uses[image_id]))
