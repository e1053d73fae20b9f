"""Launch Builder: the instance that the candidate image is made of."""

from __future__ import annotations

from ami_lifecycle.domain.execution import ClaimedInput, InstanceRef
from ami_lifecycle.domain.model import Role
from ami_lifecycle.errors import SettingsError
from ami_lifecycle.steps.launcher import Launcher


def launch_builder(step: ClaimedInput, launcher: Launcher) -> InstanceRef:
    """Boot the base image of the plan.

    Raises:
        SettingsError: the plan names none; or as `Launcher.launch` does.
    """
    base = step.plan.base
    if base is None:
        raise SettingsError(f"the plan for {step.plan.environment} names no base image; start it again")
    return launcher.launch(
        step,
        Role.BUILDER,
        image_id=base.image_id,
        root_device_name=base.root_device_name,
        volatile_devices=base.volatile_devices,
    )
