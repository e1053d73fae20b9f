"""The rig over the fakes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.fakes import World

from ami_lifecycle.domain.launch import LaunchRefusal
from ami_lifecycle.domain.model import BlockDevice, Image, ImageState, Instance, UsageKind
from ami_lifecycle.ports import (
    Approvals,
    Commands,
    Decisions,
    Documents,
    Environments,
    Executions,
    Images,
    ImageUsage,
    Instances,
    Notifier,
    PackageLists,
    Parameters,
    Repository,
    Waits,
)

STATE_MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:build"


class FakeRig:
    """One world of fakes."""

    def __init__(self, name: str) -> None:
        self.world = World()
        self.instances: Instances = self.world.instances
        self.images: Images = self.world.images
        self.usage: ImageUsage = self.world.usage
        self.commands: Commands = self.world.commands
        self.documents: Documents = self.world.documents
        self.parameters: Parameters = self.world.parameters
        self.repository: Repository = self.world.repository
        self.environments: Environments = self.world.environments
        self.approvals: Approvals = self.world.approvals
        self.decisions: Decisions = self.world.decisions
        self.waits: Waits = self.world.waits
        self.executions: Executions = self.world.executions
        self.notifier: Notifier = self.world.notifier
        self.package_lists: PackageLists = self.world.package_lists
        self.name = name
        self.base_image_id = "ami-0123456789abcdef0"
        self.instance_profile_arn = "arn:aws:iam::123456789012:instance-profile/builder"
        self.subnet_id = "subnet-0123456789abcdef0"
        self.repository_name = "comfyui"
        self.document = "ProvisionImage"
        self.state_machine_arn = STATE_MACHINE
        self._tasks = 0
        device = BlockDevice(device_name="/dev/sda1", snapshot_id="snap-0123456789abcdef0", volume_size=8)
        self.world.images.add(
            Image(
                image_id=self.base_image_id,
                name="ubuntu",
                state=ImageState.AVAILABLE,
                owner_id="099720109477",
                creation_date=self.world.clock.now(),
                block_devices=(device,),
            )
        )

    def now(self) -> datetime:
        return self.world.clock.now()

    def settle(self) -> None:
        self.world.settle()

    def keep_deleted(self, days: int) -> None:
        self.world.images.bin_days = days

    def pass_time(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    def refuse_launches(self, refusal: LaunchRefusal) -> None:
        self.world.instances.refuse(refusal=refusal)

    def bring_online(self, instance: Instance) -> None:
        self.world.commands.bring_online(instance.instance_id)

    def finish(self, command_id: str, instance_id: str) -> None:
        self.world.commands.finish(command_id, stdout="done")

    def store_document(self, name: str, text: str) -> None:
        self.world.documents.add(name, text)

    def use(self, image_id: str, kind: UsageKind) -> str:
        user = f"user-of-{image_id}"
        self.world.usage.use(image_id, kind, user)
        return user

    def break_usage(self) -> None:
        self.world.usage.unreadable = "ec2:DescribeImageReferences could not be read"

    def protect(self, image_id: str) -> None:
        self.world.images.protected.add(image_id)

    def disable(self, image_id: str) -> None:
        self.world.images.disable(image_id)

    def push(self, tag: str, content: str) -> str:
        return self.world.repository.push(tag, content)

    def waiting_task(self) -> str:
        self._tasks += 1
        token = f"task-token-{self._tasks}"
        self.world.executions.waiting.add(token)
        return token

    def abort(self, execution_arn: str) -> None:
        self.world.executions.end(execution_arn)

    def notifications(self) -> list[tuple[str, dict[str, Any]]]:
        return self.world.notifier.sent
