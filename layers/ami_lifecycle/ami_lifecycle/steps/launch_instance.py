"""Launch Builder and Launch Canary: one instance each, in the first subnet that has capacity."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ami_lifecycle.contracts import BuildPlan, CanaryInput, ClaimedInput, InstanceRef
from ami_lifecycle.domain.model import TAG_EXECUTION, TAG_ROLE, Instance, Role, owner_tags
from ami_lifecycle.domain.naming import client_token
from ami_lifecycle.errors import CapacityUnavailableError, ImageCreationFailedError, SettingsError
from ami_lifecycle.ports import Environments, Images, Instances, LaunchRequest
from ami_lifecycle.steps.fencing import writing

# The instance ends itself when nobody else does: shutdown's behaviour is to terminate. The schedule lives
# in /run, so it is not part of an image.
# On Ubuntu the agent is a snap. A refresh restarts it, and a command that arrives then is lost; the hold ends
# by itself, and a snapd before 2.58, which knows none, must not fail the boot.
_USER_DATA: Final = """\
#!/bin/sh
set -e
shutdown -P +{minutes} 'ami-lifecycle: this instance has outlived its build'
timeout --kill-after=5 60 snap refresh --hold=3h amazon-ssm-agent || true
"""


@dataclass(frozen=True)
class Infrastructure:
    """What the stack made for instances of a build."""

    subnet_ids: tuple[str, ...]
    security_group_id: str
    instance_profile_arn: str


@dataclass(frozen=True)
class Launcher:
    """Launches the instances of a build."""

    instances: Instances
    images: Images
    environments: Environments
    infrastructure: Infrastructure
    deadline: datetime

    def launch_builder(self, step: ClaimedInput) -> InstanceRef:
        """Boot the base image.

        Raises:
            CapacityUnavailableError: no type in any subnet at this moment.
            ClaimLostError: the environment is not held any more.
        """
        base = step.plan.base
        if base is None:
            raise SettingsError(f"the plan for {step.plan.environment} names no base image; start it again")
        with writing(self.environments, step, self.deadline):
            return self._launch(
                step,
                Role.BUILDER,
                image_id=base.image_id,
                root_device_name=base.root_device_name,
                volatile_devices=base.volatile_devices,
            )

    def launch_canary(self, step: CanaryInput) -> InstanceRef:
        """Boot the candidate.

        Raises:
            CapacityUnavailableError: no type in any subnet at this moment.
            ImageCreationFailedError: the candidate is not there any more.
            ClaimLostError: the environment is not held any more.
        """
        image = self.images.get(step.image_id)
        if image is None:
            raise ImageCreationFailedError(
                f"the candidate {step.image_id} is gone before it was verified; somebody deregistered it. Build again"
            )
        with writing(self.environments, step, self.deadline):
            return self._launch(
                step,
                Role.CANARY,
                image_id=step.image_id,
                root_device_name=image.root_device_name,
                volatile_devices=tuple(
                    device.device_name
                    for device in image.block_devices
                    if device.snapshot_id and device.device_name != image.root_device_name
                ),
            )

    def _launch(
        self,
        step: ClaimedInput,
        role: Role,
        *,
        image_id: str,
        root_device_name: str,
        volatile_devices: tuple[str, ...],
    ) -> InstanceRef:
        plan = step.plan
        mine = self.instances.find({TAG_EXECUTION: step.execution_arn, TAG_ROLE: role.value})
        alive = sorted(
            (instance for instance in mine if not instance.state.is_over), key=lambda found: found.instance_id
        )
        if alive:
            return _reference(alive[0])
        settings = plan.configured.builder
        refusals = []
        for instance_type in settings.instance_types:
            for subnet_id in self._subnets(plan):
                result = self.instances.launch(
                    LaunchRequest(
                        client_token=client_token(
                            step.execution_arn, role, instance_type, subnet_id, len(mine)
                        ),
                        image_id=image_id,
                        instance_type=instance_type,
                        subnet_id=subnet_id,
                        security_group_ids=(self.infrastructure.security_group_id,),
                        instance_profile_arn=self.infrastructure.instance_profile_arn,
                        root_device_name=root_device_name,
                        root_volume_gib=settings.root_volume_gib,
                        volume_type=settings.volume_type,
                        iops=settings.iops,
                        throughput=settings.throughput,
                        volatile_devices=volatile_devices,
                        user_data=_USER_DATA.format(minutes=settings.self_destruct_minutes),
                        tags=owner_tags(
                            plan.configured.application,
                            plan.environment,
                            step.execution_arn,
                            role,
                            plan.image.digest,
                            f"{plan.configured.image_name} {role.value}",
                        ),
                    )
                )
                if result.instance is not None:
                    return _reference(result.instance)
                refusals.append(f"{instance_type} in {subnet_id}: {result.message}")
        raise CapacityUnavailableError(
            f"EC2 launches no {role.value} for {plan.environment}: {'; '.join(refusals)[:1500]}. Add instance types or "
            "subnets to the settings (builder.instance_types, builder.subnet_ids), or build again later"
        )

    def _subnets(self, plan: BuildPlan) -> tuple[str, ...]:
        subnets = plan.configured.builder.subnet_ids or self.infrastructure.subnet_ids
        if not subnets:
            raise SettingsError(
                f"no subnet is known for {plan.environment}; give the stack's parameter SubnetIds a value, or set the "
                f"parameter of aws.builder.subnet_ids"
            )
        return subnets


def _reference(instance: Instance) -> InstanceRef:
    return InstanceRef(
        instance_id=instance.instance_id,
        instance_type=instance.instance_type,
        subnet_id=instance.subnet_id,
    )
