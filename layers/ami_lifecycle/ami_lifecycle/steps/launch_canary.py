"""Launch Canary: the instance that shows whether the candidate image boots and serves."""

from __future__ import annotations

from ami_lifecycle.domain.execution import ClaimedInput, InstanceRef
from ami_lifecycle.domain.model import AmiId, Role
from ami_lifecycle.errors import ImageCreationFailedError
from ami_lifecycle.ports import Images
from ami_lifecycle.steps.launcher import Launcher


class CanaryInput(ClaimedInput):
    """Input of `launch_canary`."""

    image_id: AmiId


def launch_canary(step: CanaryInput, images: Images, launcher: Launcher) -> InstanceRef:
    """Boot the candidate.

    Raises:
        ImageCreationFailedError: the candidate is not there any more; or as `Launcher.launch` does.
    """
    image = images.get(step.image_id)
    if image is None:
        raise ImageCreationFailedError(
            f"the candidate {step.image_id} is gone before it was verified; somebody deregistered it. Build again"
        )
    return launcher.launch(
        step,
        Role.CANARY,
        image_id=step.image_id,
        root_device_name=image.root_device_name,
        volatile_devices=image.volatile_devices,
    )
