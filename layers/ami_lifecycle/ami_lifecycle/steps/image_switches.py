"""Deprecating images that are kept, and protecting the live one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, assert_never

from ami_lifecycle.domain.image_switches import DueSwitch, Switch
from ami_lifecycle.ports import Clock, Images
from ami_lifecycle.steps.batch import BatchResult, process_each

# EC2 takes no date in the past and rounds to the minute (EC2 API reference, EnableImageDeprecation), and its clock is
# not ours.
_AHEAD: Final = timedelta(minutes=2)


@dataclass(frozen=True)
class ImageSwitcher:
    """Carries out what is due. Idempotent."""

    images: Images
    clock: Clock

    def switch(self, due: Sequence[DueSwitch]) -> BatchResult[None]:
        """Switch each; what AWS refuses is blocked."""
        return process_each(due, lambda each: each.image_id, self._switch)

    def _switch(self, due: DueSwitch) -> None:
        match due.switch:
            case Switch.DEPRECATE:
                at = (self.clock.now() + _AHEAD).replace(second=0, microsecond=0)
                self.images.deprecate(due.image_id, at)
            case Switch.UNDEPRECATE:
                self.images.undeprecate(due.image_id)
            case Switch.PROTECT:
                self.images.protect(due.image_id)
            case _:
                assert_never(due.switch)
