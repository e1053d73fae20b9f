"""Which images have to be deprecated or protected, and which no longer."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from ami_lifecycle.domain.model import AmiId, Image, ImageState
from ami_lifecycle.domain.settings import RetirementSettings


class Switch(StrEnum):
    """What is switched at an image."""

    DEPRECATE = "deprecate"
    UNDEPRECATE = "undeprecate"
    PROTECT = "protect"


class DueSwitch(NamedTuple):
    """One thing that has to be switched."""

    image_id: AmiId
    switch: Switch


def due_switches(
    policy: RetirementSettings, live: Image, previous: Sequence[Image], *, is_final: bool
) -> list[DueSwitch]:
    """What has to be switched. Dates that are set already stay as they are.

    Args:
        previous: images that stay, although they are not live.
        is_final: the live image goes by the name that it keeps; otherwise it is deregistered as soon as its disks
            have that name.
    """
    due = []
    if policy.deprecate_kept:
        if live.deprecated_at is not None:
            due.append(DueSwitch(live.image_id, Switch.UNDEPRECATE))
        due += [
            DueSwitch(image.image_id, Switch.DEPRECATE)
            for image in previous
            if image.state is ImageState.AVAILABLE and image.deprecated_at is None
        ]
    if policy.deregistration_protection and is_final and not live.is_protected:
        due.append(DueSwitch(live.image_id, Switch.PROTECT))
    return due
