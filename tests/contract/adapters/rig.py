"""What a contract test needs besides the ports: an account to arrange, fake or emulated."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from ami_lifecycle.domain.launch import LaunchRefusal, LaunchRequest
from ami_lifecycle.domain.model import Instance, UsageKind
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


class Rig(Protocol):
    """The ports of one account, and what people and other systems do in it."""

    instances: Instances
    images: Images
    usage: ImageUsage
    commands: Commands
    documents: Documents
    parameters: Parameters
    repository: Repository
    environments: Environments
    waits: Waits
    approvals: Approvals
    decisions: Decisions
    executions: Executions
    notifier: Notifier
    package_lists: PackageLists

    name: str
    """A name that no other test uses."""
    base_image_id: str
    """An available image of another owner."""
    instance_profile_arn: str
    subnet_id: str
    repository_name: str
    document: str
    """Name of a document that takes the parameter `Message` and prints something."""
    state_machine_arn: str

    def now(self) -> datetime:
        """The time in that world."""

    def settle(self) -> None:
        """Wait until no instance and no image is in transition."""

    def keep_deleted(self, days: int) -> None:
        """Have the Recycle Bin keep this test's snapshots."""

    def pass_time(self, seconds: float) -> None:
        """Let the account's time pass."""

    def refuse_launches(self, refusal: LaunchRefusal) -> None:
        """Let EC2 refuse the next launches."""

    def bring_online(self, instance: Instance) -> None:
        """Wait until the instance's agent is online."""

    def finish(self, command_id: str, instance_id: str) -> None:
        """Wait until the command has succeeded."""

    def store_document(self, name: str, text: str) -> None:
        """Store a version of a Command document, which says this."""

    def use(self, image_id: str, kind: UsageKind) -> str:
        """Let something use the image; returns a part of what names the user."""

    def break_usage(self) -> None:
        """Take a permission away that looking for uses needs."""

    def protect(self, image_id: str) -> None:
        """Switch deregistration protection on."""

    def disable(self, image_id: str) -> None:
        """Disable an image."""

    def push(self, tag: str, content: str) -> str:
        """Push a Docker image; returns its digest."""

    def waiting_task(self) -> str:
        """Token of a task that waits."""

    def abort(self, execution_arn: str) -> None:
        """Stop an execution."""

    def notifications(self) -> list[tuple[str, dict[str, Any]]]:
        """Subjects and messages that arrived."""


def launch_request(rig: Rig, **changes: Any) -> LaunchRequest:
    """A launch in the rig's account; a test names what matters to it."""
    values: dict[str, Any] = {
        "client_token": f"token-{rig.name}",
        "image_id": rig.base_image_id,
        "instance_type": "m5.large",
        "subnet_id": rig.subnet_id,
        "security_group_ids": (),
        "instance_profile_arn": rig.instance_profile_arn,
        "root_device_name": "/dev/sda1",
        "root_volume_gib": 12,
        "volume_type": "gp3",
        "iops": 3000,
        "throughput": 250,
        "user_data": "#!/bin/sh\n",
        "tags": tags(rig),
    }
    return LaunchRequest(**(values | changes))


def tags(rig: Rig, **more: str) -> dict[str, str]:
    """Tags that only this test's resources carry."""
    return {"test": rig.name, "Name": "resource of a test", **more}


def running_instance(rig: Rig, **changes: Any) -> Instance:
    """An instance that runs."""
    launched = rig.instances.launch(launch_request(rig, **changes)).instance
    assert launched is not None
    rig.settle()
    found = rig.instances.get(launched.instance_id)
    assert found is not None
    return found


def available_image(rig: Rig, name: str | None = None, **more: str) -> str:
    """Id of an available image made of a running instance."""
    instance = running_instance(rig, client_token=f"image-{name or rig.name}"[:64])
    image_id = rig.images.create(
        instance.instance_id, name or rig.name, "an image of a test", tags(rig, **more)
    )
    assert image_id is not None
    rig.settle()
    return image_id
